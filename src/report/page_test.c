#include "report/page.h"

#include "base/base64.h"
#include "base/file.h"
#include "report/page_impl.h"
#include "t.h"

static critic_error err;

static char *written(struct cr_page *page) {
    struct cr_buf text;
    cr_buf_init(&text, 1 << 26);
    T_OK(cr_page_write(page, "page_test.html", &err));
    T_OK(cr_file_read("page_test.html", &text, &err));
    remove("page_test.html");
    cr_page_free(page);
    return text.data;
}

static struct cr_page *new_page(void) {
    struct cr_page *page;
    T_OK(cr_page_new(&page, "A & B <judges>", &err));
    return page;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static void base64_is_rfc_4648(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cr_buf out;
        cr_buf_init(&out, 100);
        struct cr_bytes data = {(const unsigned char *)rows[i][0], strlen(rows[i][0])};
        T_OK(cr_base64_append(&out, data, &err));
        assert_string_equal(cr_buf_str(&out).data, rows[i][1]);
        cr_buf_fini(&out);
    }
    unsigned char many[3000]; /* longer than a block of the encoder */
    memset(many, 0xff, sizeof many);
    struct cr_buf out;
    cr_buf_init(&out, 8000);
    T_OK(cr_base64_append(&out, (struct cr_bytes){many, sizeof many}, &err));
    assert_int_equal(out.len, 4000);
    assert_int_equal(strspn(out.data, "/"), 4000);
    cr_buf_fini(&out);
}

static void text_is_escaped(void **state) {
    (void)state;
    struct cr_buf out;
    cr_buf_init(&out, 1000);
    struct cr_str bad = {"a<b>&\"'\xff\x01\tz\xc3", 13};
    T_OK(cr_html_escape(&out, bad, &err));
    assert_string_equal(out.data,
                        "a&lt;b&gt;&amp;&quot;&#39;\xef\xbf\xbd\tz\xef\xbf\xbd");
    cr_buf_fini(&out);

    struct cr_page *page = new_page();
    cr_page_heading(page, "<script>alert(1)</script>");
    cr_page_paragraph(page, "%s", "<img src=x>");
    cr_page_quote(page, "</figure>", cr_str_of("</blockquote><b>"));
    char *html = written(page);
    assert_null(strstr(html, "<script>alert"));
    assert_null(strstr(html, "<img"));
    assert_null(strstr(html, "</blockquote><b>"));
    assert_non_null(strstr(html, "<title>A &amp; B &lt;judges&gt;</title>"));
    free(html);
}

static void page_stands_alone(void **state) {
    (void)state;
    static const double x[] = {1, 2}, y[] = {3, 4};
    const struct cr_series series = {"s", x, y, NULL, NULL, 2};
    const struct cr_chart chart = {
        .kind = CR_CHART_LINE, .title = "c", .series = &series, .n_series = 1};
    struct cr_page *page = new_page();
    cr_page_heading(page, "One");
    cr_page_heading(page, "Two");
    cr_page_chart(page, &chart);
    static const unsigned char png[] = "\x89PNG\r\n\x1a\n....";
    cr_page_picture(page, (struct cr_bytes){png, 12}, "a \"cat\"");
    char *html = written(page);
    assert_null(strstr(html, "<link rel=\"stylesheet"));
    assert_null(strstr(html, "src=\"http"));
    assert_null(strstr(html, "<script src"));
    assert_null(strstr(html, "url("));
    assert_null(strstr(html, "@import"));
    assert_non_null(strstr(html, "default-src 'none'"));
    assert_non_null(
        strstr(html, "alt=\"a &quot;cat&quot;\" src=\"data:image/png;base64,iVBORw0K"));
    assert_int_equal(count(html, "<section "), 2);
    assert_int_equal(count(html, "</section>"), 2);
    assert_int_equal(count(html, "<li><a href=\"#s"), 2);
    assert_int_equal(strstr(html, "Chart.js v") != NULL, cr_page_has_charts());
    free(html);
}

static void page_without_charts_leaves_the_library_out(void **state) {
    (void)state;
    struct cr_page *page = new_page();
    cr_page_paragraph(page, "words");
    char *html = written(page);
    assert_null(strstr(html, "Chart.js v"));
    assert_true(strlen(html) < 20000);
    free(html);
}

static void table_has_headings(void **state) {
    (void)state;
    static const struct cr_column columns[] = {
        {"group", false, NULL}, {"accuracy", true, "right answers of all"}};
    struct cr_page *page = new_page();
    cr_page_table_begin(page, "By group", columns, 2);
    cr_page_cell(page, "general");
    cr_page_interval(page, 54.55, 51, 58.14, 1);
    cr_page_cell(page, "rest");
    cr_page_number(page, NAN, 1);
    cr_page_cell(page, "red one");
    cr_page_cell_tone(page, CR_TONE_RED, "%d", 3);
    cr_page_cell(page, "warm");
    cr_page_heat(page, 0.5, 2);
    cr_page_table_end(page);
    char *html = written(page);
    assert_non_null(strstr(html, "<caption>By group</caption>"));
    assert_non_null(strstr(html,
                           "<tr><th scope=\"row\">general</th><td class=\"number\">54.5 "
                           "(51.0 to 58.1)</td></tr>"));
    assert_non_null(strstr(html, "<td class=\"number\">\xe2\x80\x93</td>"));
    assert_non_null(strstr(html, "<td class=\"number red\"><strong class=\"mark\">bad"));
    assert_non_null(strstr(html, "--heat:"));
    assert_int_equal(count(html, "<tr>"), 5);
    assert_int_equal(count(html, "</tr>"), 5);
    assert_non_null(strstr(html, "<dt>accuracy</dt><dd>right answers of all</dd>"));
    free(html);
}

static void chart_has_its_numbers_twice(void **state) {
    (void)state;
    static const double y[] = {0.25, NAN}, low[] = {0.125, NAN}, high[] = {0.5, NAN};
    static const char *const labels[] = {"a</script>b", "second"};
    const struct cr_series series = {"share", NULL, y, low, high, 2};
    const struct cr_chart chart = {.kind = CR_CHART_BAR,
                                   .title = "Shares",
                                   .description = "The first is a quarter.",
                                   .labels = labels,
                                   .series = &series,
                                   .n_series = 1};
    struct cr_page *page = new_page();
    cr_page_chart(page, &chart);
    char *html = written(page);
    if (cr_page_has_charts()) {
        assert_non_null(strstr(html, "a\\u003c/script>b"));
        assert_non_null(strstr(html, "\"y\":[0.25,null]"));
        assert_non_null(strstr(html, "aria-labelledby=\"c1\" aria-describedby=\"d1\""));
    }
    assert_non_null(
        strstr(html, "a&lt;/script&gt;b</th><td class=\"number\">0.25 (0.125 to 0.5)"));
    assert_non_null(strstr(html, "<p id=\"d1\">The first is a quarter.</p>"));
    free(html);
}

static void long_charts_have_short_tables(void **state) {
    (void)state;
    static double x[5000], y[5000];
    for (int i = 0; i < 5000; i++)
        x[i] = i, y[i] = -i;
    const struct cr_series series[] = {{"one", x, y, NULL, NULL, 5000},
                                       {"two", x, y, NULL, NULL, 3}};
    struct cr_chart chart = {
        .kind = CR_CHART_LINE, .title = "t", .series = series, .n_series = 1};
    struct cr_page *page = new_page();
    cr_page_chart(page, &chart);
    char *html = written(page);
    assert_int_equal(count(html, "<tr><th scope=\"row\""), CR_CHART_ROWS);
    assert_non_null(strstr(html, ">4999</th>"));
    assert_non_null(strstr(html, "200 of 5000 points"));
    free(html);
    chart.n_series = 2; /* no common places: a row for each point of each */
    page = new_page();
    cr_page_chart(page, &chart);
    html = written(page);
    assert_int_equal(count(html, "<tr><th scope=\"row\""), CR_CHART_ROWS + 3);
    free(html);
}

static void empty_chart_says_so(void **state) {
    (void)state;
    const struct cr_chart chart = {.kind = CR_CHART_LINE, .title = "nothing"};
    struct cr_page *page = new_page();
    cr_page_chart(page, &chart);
    char *html = written(page);
    assert_non_null(strstr(html, "nothing: nothing to draw."));
    free(html);
}

static void faults_come_out_at_the_end(void **state) {
    (void)state;
    struct cr_page *page = new_page();
    T_FAILS(cr_page_write(page, "no/such/folder/x.html", &err), CRITIC_IO,
            "no/such/folder");
    cr_fail(&page->fault, CRITIC_NO_MEMORY, "the first");
    cr_page_paragraph(page, "more");
    T_FAILS(cr_page_write(page, "page_test.html", &err), CRITIC_NO_MEMORY, "the first");
    assert_false(cr_file_exists("page_test.html"));
    cr_page_free(page);
}

/* Every part once. PAGE_TEST_KEEP=FILE keeps it, for scripts/check-page. */
static void sample_page(void **state) {
    (void)state;
    const char *keep = getenv("PAGE_TEST_KEEP");
    static const double x[] = {0.05, 0.15, 0.25, 0.5, 0.75, 0.95},
                        y[] = {0.1, 0.12, 0.3, 0.45, 0.9, 0.93},
                        low[] = {0, 0.05, 0.2, 0.4, 0.8, 0.9},
                        high[] = {0.2, 0.2, 0.4, 0.5, 0.95, 1};
    static const char *const labels[] = {"existence", "count", "position",
                                         "colour",    "OCR",   "commonsense reasoning"};
    const struct cr_series series[] = {{"critic", x, y, low, high, 6},
                                       {"baseline", x, x, NULL, NULL, 6}};
    static const struct cr_column columns[] = {{"judge", false, NULL},
                                               {"accuracy", true, "right of all"},
                                               {"verdict", false, NULL}};
    struct cr_page *page = new_page();
    cr_page_subtitle(page, "A page with every part once");
    cr_page_heading(page, "Words");
    cr_page_note(page, CR_TONE_GREEN, "All is well.");
    cr_page_note(page, CR_TONE_AMBER, "Look at this.");
    cr_page_note(page, CR_TONE_RED, "This is broken.");
    cr_page_note(page, CR_TONE_PLAIN, "A remark.");
    cr_page_subheading(page, "Numbers");
    cr_page_table_begin(page, "Judges", columns, 3);
    for (int i = 0; i < 3; i++) {
        cr_page_cell(page, "judge %d", i);
        cr_page_heat(page, i / 2.0, 2);
        cr_page_cell_tone(page, (enum cr_tone)(CR_TONE_GREEN + i), "of judge %d", i);
    }
    cr_page_table_end(page);
    cr_page_heading(page, "Charts");
    static const char *const titles[] = {"A line", "Bars", "A scatter", "Reliability"};
    for (int kind = 0; kind < 4; kind++) {
        const struct cr_chart chart = {.kind = (enum cr_chart_kind)kind,
                                       .title = titles[kind],
                                       .description = "Two series that rise.",
                                       .x_label = "stated",
                                       .y_label = "observed",
                                       .labels = labels,
                                       .series = series,
                                       .n_series = kind == CR_CHART_RELIABILITY ? 1 : 2};
        cr_page_chart(page, &chart);
    }
    cr_page_heading(page, "Disagreements");
    cr_page_fold_begin(page, "Item %d", 7);
    cr_page_quote(page, "Answer 1", cr_str_of("Two cats.\nOn a sofa."));
    struct cr_buf picture;
    cr_buf_init(&picture, 1 << 20);
    T_OK(cr_file_read(T_SOURCE("tests/golden/images/cat-wide.jpg"), &picture, &err));
    cr_page_picture(page, (struct cr_bytes){(unsigned char *)picture.data, picture.len},
                    "a cat");
    cr_buf_fini(&picture);
    cr_page_fold_end(page);
    if (keep)
        T_OK(cr_page_write(page, keep, &err));
    char *html = written(page);
    assert_int_equal(count(html, "<details>"), count(html, "</details>"));
    assert_int_equal(count(html, "<figure "), count(html, "</figure>"));
    assert_int_equal(count(html, "class=\"chart\""), 4);
    free(html);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_rfc_4648),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(page_stands_alone),
        cmocka_unit_test(page_without_charts_leaves_the_library_out),
        cmocka_unit_test(table_has_headings),
        cmocka_unit_test(chart_has_its_numbers_twice),
        cmocka_unit_test(long_charts_have_short_tables),
        cmocka_unit_test(empty_chart_says_so),
        cmocka_unit_test(sample_page),
        cmocka_unit_test(faults_come_out_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
