/* critic data prompts: questions about a world's scenes, without answers. What a policy is asked
 * (critic prefer, critic align); they are those that the oracle scores (answer.h). */
#ifndef CR_WORLD_PROMPTS_H
#define CR_WORLD_PROMPTS_H

#include "base/bytes.h"

struct cr_world_prompts_opts {
    const char *scenes; /* scenes.jsonl that critic data world wrote */
    const char *out;    /* NULL: prompts.jsonl beside it; pictures' paths start there */
    uint64_t seed;
    size_t limit;   /* scenes; 0: all */
    size_t n_scene; /* questions a scene, none of them twice; 1 to 16 */
    bool force;
};
/* seed 1, one question a scene. */
void cr_world_prompts_opts_default(struct cr_world_prompts_opts *opts);

/* Lines {"id", "images": […], "question", "scene"}. A function of seed and scene alone. A scene that
 * has fewer different questions gives fewer. *n: lines.
 * Errors: CRITIC_BAD_ARGUMENT (the file is there and force is false), CRITIC_BAD_DATA
 * "file:line: …", CRITIC_BAD_FILE, CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_world_prompts(const struct cr_world_prompts_opts *opts, size_t *n,
                                    critic_error *err);

#endif
