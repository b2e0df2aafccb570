/* Checkpoints out: any layout that tensor/store.h reads becomes safetensors in the layout of
 * transformers 5 or of lmms-lab, or a GGUF pair for llama.cpp.
 *
 *   HF     a folder: model.safetensors (or shards and index), config.json nested,
 *          generation_config.json, processor_config.json and preprocessor_config.json,
 *          tokenizer files
 *   lmms   a folder: the same weights under lmms-lab's names, config.json flat, with a
 *          vision_config where the tower is not so400m/14 at 384
 *   packed one file of everything, its matrices quantised and laid out as 8-bit products read them
 *          (tensor/packed_file.h); nothing is converted when it is opened
 *   GGUF   NAME.gguf in llama.cpp's qwen2 form with tokenizer and chat template, and
 *          mmproj-NAME.gguf beside it where there is a tower
 * A text model without tower becomes plain Qwen2 safetensors under either of the first two.
 *
 * Only what the configuration asks for is written: surplus tower blocks, pooling head and a
 * head that is tied are left out; post_layernorm is kept, or made (1, 0) where it is lacking. What was written is opened again
 * and compared, configuration and every byte, before it gets its final name. */
#ifndef CR_CONVERT_CONVERT_H
#define CR_CONVERT_CONVERT_H

#include "model/config.h"

enum cr_convert_target {
    CR_CONVERT_HF,
    CR_CONVERT_LMMS,
    CR_CONVERT_GGUF,
    CR_CONVERT_PACKED
};

struct cr_convert_options {
    enum cr_convert_target target;
    /* F32, F16, BF16; Q8_0 and Q4_0 for GGUF; PANEL8 and PANEL4 for packed. CR_DTYPE_COUNT keeps each tensor's own (block
     * formats become F16 in safetensors; packed: PANEL8). GGUF keeps vectors, positions and the patch kernel
     * plain as llama.cpp wants them, and the embedding and head of Q4_0 in Q8_0. */
    enum cr_dtype dtype;
    /* folder of a PEFT adapter to add to the weights; NULL: none */
    const char *merge_lora;
    size_t max_shard_bytes; /* of a safetensors file; 0: 5e9 */
};

struct cr_convert_result {
    size_t n_tensors;
    size_t n_files; /* of weights */
    size_t bytes;   /* of tensors */
    /* matrices whose width is no multiple of 32, kept as they were */
    size_t n_not_quantised;
};

/* out: the folder to make (absent or empty), or the .gguf file (replaced if there).
 * result may be NULL.
 * Errors: CRITIC_BAD_ARGUMENT (dtype or name of out does not suit the target),
 * CRITIC_UNSUPPORTED (a setting that the target cannot say), CRITIC_BAD_MODEL, CRITIC_BAD_DATA
 * (a number that the dtype cannot hold, naming the tensor), CRITIC_IO, CRITIC_NO_MEMORY.
 * On failure nothing is left behind. */
enum critic_status cr_convert(const struct cr_store *store,
                              const struct cr_config *config, const char *out,
                              const struct cr_convert_options *options,
                              struct cr_convert_result *result, critic_error *err);

#endif
