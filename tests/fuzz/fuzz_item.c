/* An item's line of JSON and a template's text, whatever the bytes are. */
#include "judge/judge.h"
#include "judge/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_item(struct cr_str text) {
    struct cr_item item;
    critic_error err = {0};
    if (cr_item_from_json(&item, text, "folder", "in.jsonl:1", &err) == CRITIC_OK)
        CR_ASSERT(item.n_answers > 0 && item.question.data);
    else
        CR_ASSERT(err.status != CRITIC_OK && err.message[0]);
    cr_item_fini(&item);
}

static void fuzz_template(struct cr_str text) {
    static const struct cr_str answers[] = {{"one", 3}, {"two", 3}};
    struct cr_template *t;
    struct cr_buf out;
    critic_error err = {0};
    struct cr_template_values values = {.question = {"q", 1},
                                        .answers = answers,
                                        .n_answers = 2,
                                        .reference = {"r", 1},
                                        .criterion = {"c", 1},
                                        .context = {"x", 1}};
    if (cr_template_parse(&t, "fuzz.txt", text, &err) != CRITIC_OK) {
        CR_ASSERT(err.message[0] && !t);
        return;
    }
    cr_buf_init(&out, 1 << 20);
    cr_template_render(t, &values, &out, &err);
    cr_buf_fini(&out);
    cr_template_free(t);
}

/* The first byte chooses which of the two. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 1 << 16)
        return 0;
    struct cr_str text = {(const char *)data + 1, size - 1};
    if (data[0] & 1)
        fuzz_template(text);
    else
        fuzz_item(text);
    return 0;
}
