/* Conversation files, read record by record: JSON lines, or one JSON list as LLaVA-Critic-113k is
 * dumped. */
#ifndef CR_WORLD_TALK_H
#define CR_WORLD_TALK_H

#include "io/json.h"
#include "io/jsonl.h"

struct cr_talk_reader {
    const char *path;
    bool is_list;
    struct cr_jsonl_reader lines;
    json_t *list;    /* of a JSON file */
    size_t at;       /* number of the last record (list) or line, from 1 */
    char where[512]; /* "file:number" of the last record, for messages */
    json_t *record;  /* the last one; owned */
};

/* A file whose first character is "[" is a list. Errors: CRITIC_BAD_FILE, CRITIC_NO_MEMORY. */
enum critic_status cr_talk_open(struct cr_talk_reader *r, const char *path,
                                critic_error *err);
/* The next record, valid until the next call; NULL at the end. A line that is no JSON is
 * CRITIC_BAD_DATA "file:line: …", and reading may go on behind it. */
enum critic_status cr_talk_next(struct cr_talk_reader *r, const json_t **out,
                                critic_error *err);
void cr_talk_close(struct cr_talk_reader *r);

/* The text of turn i, data NULL where there is none or it is not from `who` ("human", "gpt"). */
struct cr_str cr_record_turn(const json_t *record, size_t i, const char *who);
size_t cr_record_n_turns(const json_t *record);
/* Picture i of `image` (a text or a list of texts); data NULL behind the last. */
struct cr_str cr_record_image(const json_t *record, size_t i);

/* A set of 64-bit keys, each with the number of who put it there first. */
struct cr_seen {
    uint64_t *keys; /* 0: free */
    uint32_t *owners;
    size_t n, cap;
};
/* Puts key in unless it is there; *owner is then who was first, and *again says so.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_seen_put(struct cr_seen *s, uint64_t key, uint32_t *owner,
                               bool *again, critic_error *err);
void cr_seen_fini(struct cr_seen *s);

#endif
