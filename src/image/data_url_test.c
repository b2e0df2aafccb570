#include "t.h"

#include "image/image.h"

static void expect(const char *url, const char *bytes, size_t len) {
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 1 << 20);
    T_OK(cr_data_url_decode(&out, cr_str_of(url), &err));
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, bytes, len);
    cr_buf_fini(&out);
}

static void forms_that_browsers_accept(void **state) {
    (void)state;
    expect("data:image/png;base64,QUJD", "ABC", 3);
    expect("DATA:image/PNG;charset=x;BASE64,QUJD", "ABC", 3);
    expect("data:;base64,QUI=", "AB", 2);
    expect("data:;base64,QUI", "AB", 2);
    expect("data:;base64,QQ==", "A", 1);
    expect("data:;base64,QQ", "A", 1);
    expect("data:;base64,QR", "A", 1); /* spare bits are ignored */
    expect("data:; base64 ,Q U\tJ\nD\r\f", "ABC", 3);
    expect("data:;base64,%51%55%4a%44", "ABC", 3);
    expect("data:;base64,QUI%3D", "AB", 2);
    expect("data:;base64,%2b/%2F+", "\xFB\xFF\xFE", 3);
    expect("data:;base64,QUJD#page", "ABC", 3);
    expect("data:,a%20b%", "a b%", 4);
    expect("data:,%zz%4", "%zz%4", 5);
    expect("data:base64,QUJD", "QUJD", 4); /* no ';': a media type */
    expect("data:;notbase64,QUJD", "QUJD", 4);
}

static void empty_data(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 0);
    T_OK(cr_data_url_decode(&out, cr_str_of("data:;base64,"), &err));
    assert_int_equal(out.len, 0);
    T_OK(cr_data_url_decode(&out, cr_str_of("data:,"), &err));
    cr_buf_fini(&out);
}

static void faults_name_their_place(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf out;
    static const struct {
        const char *url;
        const char *message;
    } cases[] = {
        {"cat.jpg", "does not start with 'data:'"},
        {"data", "does not start with 'data:'"},
        {"data:image/png;base64", "no comma; expected data:[type][;base64],DATA"},
        {"data:a#b,c", "byte 6: '#' before the comma"},
        {"data:;base64,ab!d", "byte 15: '!' is no base64 digit"},
        {"data:;base64,ab%21d", "byte 15: '!' is no base64 digit"},
        {"data:;base64,ab%", "byte 15: '%' is no base64 digit"},
        {"data:;base64,ab\xC3", "byte 15: 0xC3 is no base64 digit"},
        {"data:;base64,ab-_", "byte 15: '-' is no base64 digit"},
        {"data:;base64,QQ==QQ==", "byte 17: 'Q' is no base64 digit"},
        {"data:;base64,QUJDR", "5 digits and 0 '='"},
        {"data:;base64,QUJD=", "4 digits and 1 '='"},
        {"data:;base64,QUI==", "3 digits and 2 '='"},
        {"data:;base64,QQ=", "2 digits and 1 '='"},
        {"data:;base64,Q===", "1 digits and 3 '='"},
        {"data:;base64,====", "0 digits and 4 '='"},
    };
    cr_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        T_FAILS(cr_data_url_decode(&out, cr_str_of(cases[i].url), &err), CRITIC_BAD_DATA,
                cases[i].message);
    cr_buf_fini(&out);
}

static void the_limit_is_exact(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf out;
    cr_buf_init(&out, 3);
    T_OK(cr_data_url_decode(&out, cr_str_of("data:;base64,QUJD"), &err));
    T_FAILS(cr_data_url_decode(&out, cr_str_of("data:;base64,QUJDQQ=="), &err),
            CRITIC_BAD_DATA, "data URL: more bytes than the limit of 3");
    T_FAILS(cr_data_url_decode(&out, cr_str_of("data:,abcd"), &err), CRITIC_BAD_DATA,
            "data URL: more bytes than the limit of 3");
    cr_buf_fini(&out);
}

/* Every length around the block in which bytes are handed on, against a plain encoder. */
static void any_length_round_trips(void **state) {
    (void)state;
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t len = 0; len < 6200; len += len < 70 || len > 6000 ? 1 : 61) {
        unsigned char *data = malloc(len + 3);
        char *url = malloc(2 * len + 64);
        size_t at = (size_t)snprintf(url, 2 * len + 64, "data:;base64,");
        for (size_t i = 0; i < len + 3; i++)
            data[i] = i < len ? (unsigned char)(i * 197 + 11) : 0;
        for (size_t i = 0; i < len; i += 3) {
            unsigned int group = (unsigned int)data[i] << 16 |
                                 (unsigned int)data[i + 1] << 8 | data[i + 2];
            for (size_t k = 0; k < 4; k++)
                url[at++] = i + k > len ? '=' : digits[group >> (18 - 6 * k) & 63];
        }
        url[at] = '\0';
        expect(url, (const char *)data, len);
        free(url);
        free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_that_browsers_accept),
        cmocka_unit_test(empty_data),
        cmocka_unit_test(faults_name_their_place),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(any_length_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
