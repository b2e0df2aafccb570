#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/checked.h"
#include "base/file.h"
#include "image/image.h"
#include "rater/rater_impl.h"

#define N_TOP 20 /* the most that the protocol allows */

struct endpoint {
    struct cr_rater rater;
    struct cr_chat *chat;
    struct cr_image_limits limits;
    pthread_mutex_t lock;
    struct cr_chat_usage usage;
};

/* ---- pictures ------------------------------------------------------------------------------ */

static enum critic_status append_file(const struct endpoint *e, struct cr_str folder,
                                      struct cr_str source, struct cr_buf *out,
                                      critic_error *err) {
    struct cr_buf path, file;
    char *dir = cr_str_dup(folder.data ? folder : (struct cr_str){"", 0});
    char *name = cr_str_dup(source);
    enum critic_status status;
    cr_buf_init(&path, 1 << 16);
    cr_buf_init(&file, e->limits.max_bytes);
    if (!dir || !name)
        CR_TRY_GOTO(cr_fail(err, CRITIC_NO_MEMORY, "no memory for a picture"));
    CR_TRY_GOTO(cr_path_join(&path, dir, name, err));
    CR_TRY_GOTO(cr_file_read(path.data, &file, err));
    struct cr_bytes bytes = {(const unsigned char *)file.data, file.len};
    if (strncmp(cr_media_type(bytes), "image/", 6) != 0)
        CR_TRY_GOTO(
            cr_fail(err, CRITIC_BAD_DATA,
                    "%s: not a picture that an endpoint reads; expected JPEG, PNG, "
                    "WebP or GIF",
                    path.data));
    CR_TRY_GOTO(cr_data_url_append(out, bytes, err));
fail:
    free(dir);
    free(name);
    cr_buf_fini(&path);
    cr_buf_fini(&file);
    return status;
}

static enum critic_status append_pixels(const struct cr_image *image, struct cr_buf *out,
                                        critic_error *err) {
    struct cr_buf png;
    cr_buf_init(&png, (size_t)1 << 29);
    enum critic_status status = cr_image_encode_png(&png, image, err);
    if (status == CRITIC_OK)
        status = cr_data_url_append(
            out, (struct cr_bytes){(const unsigned char *)png.data, png.len}, err);
    cr_buf_fini(&png);
    return status;
}

/* The item's picture i as a data URL. */
static enum critic_status append_picture(const struct endpoint *e,
                                         const struct cr_item *item, size_t i,
                                         struct cr_buf *out, critic_error *err) {
    if (item->images)
        return append_pixels(&item->images[i], out, err);
    if (cr_is_data_url(item->sources[i]))
        return cr_buf_append(out, item->sources[i].data, item->sources[i].len, err);
    return append_file(e, item->folder, item->sources[i], out, err);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void add_usage(struct endpoint *e, const struct cr_chat_usage *u,
                      struct cr_judge_usage *usage) {
    usage->prompt_tokens += u->prompt_tokens;
    usage->completion_tokens += u->completion_tokens;
    usage->n_remembered += u->n_remembered;
    pthread_mutex_lock(&e->lock);
    e->usage.n_calls += u->n_calls;
    e->usage.n_remembered += u->n_remembered;
    e->usage.n_retries += u->n_retries;
    e->usage.prompt_tokens += u->prompt_tokens;
    e->usage.completion_tokens += u->completion_tokens;
    pthread_mutex_unlock(&e->lock);
}

static enum critic_status ask_chat(struct endpoint *e, const struct cr_voice_ask *ask,
                                   const struct cr_str *pictures, size_t n_pictures,
                                   struct cr_reply *replies, struct cr_judge_usage *usage,
                                   critic_error *err) {
    struct cr_chat_usage used = {0};
    const struct cr_chat_request request = {.system = ask->system,
                                            .prompt = ask->prompt,
                                            .pictures = pictures,
                                            .n_pictures = n_pictures,
                                            .n = ask->n_samples,
                                            .max_tokens = ask->max_new_tokens,
                                            .temperature = ask->temperature,
                                            .top_p = ask->top_p,
                                            .has_seed = ask->temperature > 0,
                                            .seed = ask->seed,
                                            .n_top = ask->probabilities ? N_TOP : 0};
    struct cr_chat_choice *choices = calloc(ask->n_samples, sizeof *choices);
    if (!choices)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu samples",
                       ask->n_samples);
    for (size_t i = 0; i < ask->n_samples; i++) {
        choices[i].text = replies[i].text; /* lent and given back */
        choices[i].tokens = ask->probabilities ? &replies[i].tokens : NULL;
    }
    enum critic_status status = cr_chat_ask(e->chat, &request, choices, &used, err);
    for (size_t i = 0; i < ask->n_samples; i++) {
        replies[i].text = choices[i].text;
        replies[i].cut = choices[i].cut;
    }
    free(choices);
    add_usage(e, &used, usage);
    return status;
}

static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *err) {
    struct endpoint *e = self;
    const struct cr_item *item = ask->item;
    size_t n = item->images ? item->n_images : item->n_sources;
    struct cr_buf *urls = calloc(n + 1, sizeof *urls);
    struct cr_str *pictures = calloc(n + 1, sizeof *pictures);
    enum critic_status status = CRITIC_OK;
    if (!urls || !pictures)
        status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for the pictures of an item");
    for (size_t i = 0; i < n && status == CRITIC_OK; i++) {
        cr_buf_init(&urls[i], (size_t)1 << 30);
        status = append_picture(e, item, i, &urls[i], err);
        pictures[i] = cr_buf_str(&urls[i]);
    }
    if (status == CRITIC_OK)
        status = ask_chat(e, ask, pictures, n, replies, usage, err);
    for (size_t i = 0; urls && i < n; i++)
        cr_buf_fini(&urls[i]);
    free(urls);
    free(pictures);
    return status;
}

static void fini(struct cr_rater *rater) {
    pthread_mutex_destroy(&((struct endpoint *)rater)->lock);
}

enum critic_status cr_rater_endpoint(struct cr_rater **out, struct cr_chat *chat,
                                     const struct cr_image_limits *limits,
                                     critic_error *err) {
    *out = NULL;
    struct endpoint *e =
        (struct endpoint *)cr_rater_alloc(sizeof *e, cr_chat_model(chat), err);
    if (!e)
        return CRITIC_NO_MEMORY;
    pthread_mutex_init(&e->lock, NULL);
    e->chat = chat;
    cr_image_limits_default(&e->limits);
    if (limits)
        e->limits = *limits;
    e->rater.fini = fini;
    e->rater.voice.ask = answer;
    e->rater.voice.reads_prompts = true;
    e->rater.voice.is_concurrent = true;
    e->rater.voice.gives_tokens = true;
    *out = &e->rater;
    return CRITIC_OK;
}

struct cr_chat_usage cr_rater_usage(struct cr_rater *rater) {
    struct endpoint *e = (struct endpoint *)rater;
    pthread_mutex_lock(&e->lock);
    struct cr_chat_usage usage = e->usage;
    pthread_mutex_unlock(&e->lock);
    return usage;
}
