/* Base records: questions about a scene and their right answers, for training and testing a
 * model that answers. About fifteen turns a picture, each independent of the others. */
#ifndef CR_WORLD_BASE_H
#define CR_WORLD_BASE_H

#include "world/desc.h"

/* X(name, spelling, weight among the turns of a picture) */
#define CR_FAMILY_LIST(X)                                                                \
    X(DESCRIBE, "describe", 0) /* always the first turn */                               \
    X(DESCRIBE_SOME, "describe-some", 2)                                                 \
    X(AT, "at", 2)                                                                       \
    X(ATTRIBUTE_AT, "attribute-at", 2)                                                   \
    X(COUNT_ALL, "count-all", 1)                                                         \
    X(COUNT_COLOUR, "count-colour", 3)                                                   \
    X(COUNT_SHAPE, "count-shape", 3)                                                     \
    X(COLOUR_OF, "colour-of", 2)                                                         \
    X(SIZE_OF, "size-of", 1)                                                             \
    X(DIGIT_ON, "digit-on", 2)                                                           \
    X(WHERE, "where", 3)                                                                 \
    X(EXISTS, "exists", 3)                                                               \
    X(RELATION, "relation", 3)                                                           \
    X(ODD_ONE, "odd-one", 1)                                                             \
    X(LARGER, "larger", 1)                                                               \
    X(CHOICE, "choice", 2)                                                               \
    X(TRUE_FALSE, "true-false", 3)                                                       \
    X(CHECK, "check", 5)                                                                 \
    X(SAME_WORDS, "same-words", 2)                                                       \
    X(WRONG_WORDS, "wrong-words", 3)

enum cr_family {
#define CR_FAMILY_ENUM(name, text, weight) CR_FAMILY_##name,
    CR_FAMILY_LIST(CR_FAMILY_ENUM)
#undef CR_FAMILY_ENUM
        CR_N_FAMILIES
};
const char *cr_family_name(enum cr_family family);

struct cr_turn_text {
    struct cr_line question, answer;
};

/* A turn of the family; false where the scene has no such question. novel_ok: text may name
 * novel pairs. */
bool cr_base_turn(struct cr_turn_text *out, enum cr_family family,
                  const struct cr_scene *s, struct cr_rng *r, bool novel_ok);
/* A turn of any family but `describe`, drawn by weight. */
enum cr_family cr_base_draw(struct cr_turn_text *out, const struct cr_scene *s,
                            struct cr_rng *r, bool novel_ok);

/* Appends one record without its newline: {"id","source","image","conversations":[…]}, the picture
 * mark in the first turn. n_turns: describe and n_turns - 1 others, no question twice. *families
 * (may be NULL) gets the family of each turn, *n_made their number. */
enum critic_status cr_base_record(struct cr_buf *out, const struct cr_scene *s,
                                  const char *id, const char *image, unsigned n_turns,
                                  struct cr_rng *r, bool novel_ok, uint8_t *families,
                                  unsigned *n_made, critic_error *err);

/* Appends a conversation's pair: ,{"from":"human",…},{"from":"gpt",…}; the leading comma unless
 * first, and with `first` the picture mark. */
enum critic_status cr_add_pair(struct cr_buf *out, bool first, struct cr_str question,
                               struct cr_str answer, critic_error *err);

#endif
