/* The verdict parser on any bytes. Input: one byte for format and number of answers, one for
 * the scale, the rest is the text. */
#include "base/checked.h"
#include "judge/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct cr_scale scales[] = {
        {0, 100, 1}, {1, 10, 0.1}, {0, 1, 0.1}, {-5, 5, 1}};
    struct cr_parsed p;
    struct cr_buf reason;
    if (size < 2 || size > 1 << 16)
        return 0;
    struct cr_verdict_rule rule = {.n_formats = 2,
                                   .scale = scales[data[1] % CR_COUNT(scales)]};
    rule.formats[0] = (enum cr_format)(data[0] % CR_N_FORMATS);
    rule.formats[1] = (enum cr_format)((data[0] + 1) % CR_N_FORMATS);
    rule.n_answers = 1 + data[0] / CR_N_FORMATS;
    struct cr_str text = {(const char *)data + 2, size - 2};
    if (cr_verdict_parse(&p, text, &rule, NULL) != CRITIC_OK)
        return 0;
    CR_ASSERT(p.ok == (p.why == NULL));
    CR_ASSERT(p.len <= text.len && p.at <= text.len - p.len && p.value_at <= text.len);
    if (p.ok && cr_format_mode(p.format) == CR_MODE_POINTWISE)
        CR_ASSERT(p.score >= rule.scale.min && p.score <= rule.scale.max);
    uint32_t seen = 0;
    for (size_t i = 0; i < p.n_order; i++) {
        CR_ASSERT(p.order[i] < rule.n_answers && !(seen >> p.order[i] & 1));
        seen |= UINT32_C(1) << p.order[i];
    }
    cr_buf_init(&reason, size);
    CR_ASSERT(cr_verdict_reason(&reason, text, &p, NULL) == CRITIC_OK);
    cr_buf_fini(&reason);
    return 0;
}
