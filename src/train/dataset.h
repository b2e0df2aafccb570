/* Training data ready to be batched: every record read, checked and tokenised once.
 *
 * A pack is what goes through the network as one sequence (model/train.h): a prefix that its
 * branches share, pictures at their marks. How conversations become packs:
 *   CR_PACKS_NONE    one conversation, one pack, no branches
 *   CR_PACKS_LENGTH  whole conversations as branches of an empty prefix, up to pack_tokens rows
 *   CR_PACKS_TURNS   branches on a shared picture: each human turn with its answer (a record with
 *                   several conversations: each of them), of all records that show the same
 *                   pictures, up to pack_tokens rows; positions restart behind the picture
 *   CR_PACKS_PAIRS   a preference record (train/preference_record.h): two branches, the
 *                   better answer first, behind the picture and the prompt
 * A record that cannot share (pictures inside the text) becomes a pack of its own. */
#ifndef CR_TRAIN_DATASET_H
#define CR_TRAIN_DATASET_H

#include "engine/engine.h"
#include "train/conversation.h"
#include "train/pictures.h"
#include "train/records.h"

enum cr_pack_mode { CR_PACKS_NONE, CR_PACKS_LENGTH, CR_PACKS_TURNS, CR_PACKS_PAIRS };

struct cr_dataset_opts {
    const char *image_folder; /* NULL: the current one */
    enum cr_pack_mode pack;
    size_t pack_tokens;
    size_t max_tokens; /* of one conversation; longer ones are bad records */
    enum cr_label_mask mask;
    struct cr_str system; /* data NULL: no system block */
    uint64_t seed;
    size_t keep_picture_bytes; /* of decoded pictures that stay in memory */
    bool skip_bad;             /* leave bad records out instead of stopping */
    bool skip_pictureless; /* the same of records whose picture is missing or broken */
    cr_log_fn *log;        /* may be NULL */
    void *log_user;
    cr_cancel_fn *cancel; /* may be NULL */
    void *cancel_user;
};

void cr_dataset_opts_default(struct cr_dataset_opts *o);

/* Tokens [first, first + n) of the dataset. */
struct cr_token_run {
    size_t first, n;
};

struct cr_branch {
    struct cr_token_run tokens;
    uint32_t record;
    uint32_t pack;
};

struct cr_pack {
    struct cr_token_run prefix;
    size_t first_branch, n_branches;  /* one at least */
    size_t first_picture, n_pictures; /* in picture_of */
    size_t n_rows;                    /* pictures expanded */
};

struct cr_dataset {
    const struct cr_config *config;
    struct cr_records records;
    struct cr_pictures pictures;
    struct cr_labelled tokens;
    struct cr_branch *branches; /* by pack */
    size_t n_branches, branches_cap;
    struct cr_pack *packs;
    size_t n_packs, packs_cap;
    uint32_t *picture_of; /* lists of pictures of packs */
    size_t n_picture_of, picture_of_cap;
    int32_t newline;
    size_t n_bad;         /* records left out */
    size_t n_pictureless; /* of them under skip_pictureless, not in n_bad */
    size_t n_targets;     /* labelled tokens */
    uint64_t hash[2]; /* of all tokens, packs and picture names: says "the same data" */
};

/* Reads `path` (train/records.h). Every bad record is logged as "file:line: what".
 * Errors: CRITIC_BAD_DATA (the first bad record, and how many more there are), CRITIC_BAD_FILE,
 * CRITIC_NO_MEMORY, CRITIC_CANCELLED. cr_dataset_close after failure too. */
enum critic_status cr_dataset_open(struct cr_dataset *d, const char *path,
                                   const struct cr_config *config,
                                   const struct cr_tokenizer *tokenizer,
                                   const struct cr_dataset_opts *opts, critic_error *err);
void cr_dataset_close(struct cr_dataset *d);

/* The id of a record for messages: "file:line", and its "id" where it has one. */
void cr_dataset_name(const struct cr_dataset *d, uint32_t record, char text[512]);

#endif
