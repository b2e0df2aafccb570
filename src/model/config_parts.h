/* Private to src/model/config*.c: the readers behind cr_config_read. */
#ifndef CR_MODEL_CONFIG_PARTS_H
#define CR_MODEL_CONFIG_PARTS_H

#include "model/config.h"
#include "model/config_section.h"

/* config_json.c: config.json and the files beside it. */
enum critic_status cr_config_from_json(struct cr_config *c, const char *dir,
                                       critic_error *err);
/* The layout that the folder's config.json belongs to, where no tensor names tell it. */
enum critic_status cr_config_layout(enum cr_layout *out, const char *dir,
                                    critic_error *err);
/* config_json_picture.c: the canvases of `image_grid_pinpoints`, which transformers gives as (height,
 * width), lmms-lab as (width, height). */
enum critic_status cr_config_pinpoints(struct cr_picture_config *p, struct cr_section s,
                                       size_t tile, bool height_first, critic_error *err);
/* The 36 canvases of (1..6) x (1..6) tiles that transformers assumes; fixed in pixels. */
enum critic_status cr_config_default_pinpoints(struct cr_picture_config *p, size_t tile,
                                               const char *where, critic_error *err);
/* The image settings of transformers: preprocessor_config.json, or the image_processor of
 * processor_config.json. */
enum critic_status cr_config_processor(struct cr_config *c, struct cr_section s,
                                       critic_error *err);
/* config_gguf.c: metadata of text and vision part. */
enum critic_status cr_config_from_gguf(struct cr_config *c, const struct cr_store *store,
                                       critic_error *err);
/* Appends a canvas. Errors: CRITIC_UNSUPPORTED past CR_MAX_PINPOINTS or for a side that is
 * zero or no whole number of tiles (`tile`), naming where and key. */
enum critic_status cr_config_add_pinpoint(struct cr_picture_config *p, size_t width,
                                          size_t height, size_t tile, const char *where,
                                          critic_error *err);
/* "anyres_max_9", "anyres", "pad", "square". Errors: CRITIC_UNSUPPORTED naming the key. */
enum critic_status cr_config_set_aspect(struct cr_picture_config *p, struct cr_str text,
                                        const char *where, const char *key,
                                        critic_error *err);

#endif
