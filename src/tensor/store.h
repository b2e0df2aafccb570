/* A checkpoint's tensors behind one lookup, whatever file they came from: a folder with
 * model.safetensors (or shards and their index), one .safetensors file, or a .gguf file.
 * The files stay mapped and weights are used in place.
 *
 * Names. Five safetensors spellings (docs/formats.md) and GGUF's are normalised to one
 * canonical form:
 *   embed_tokens.weight  norm.weight  lm_head.weight  image_newline
 *   layers.{i}.input_layernorm.weight  layers.{i}.post_attention_layernorm.weight
 *   layers.{i}.self_attn.{q,k,v,o}_proj.{weight,bias}
 *   layers.{i}.mlp.{gate,up,down}_proj.weight
 *   multi_modal_projector.linear_{1,2}.{weight,bias}
 *   vision_tower.embeddings.patch_embedding.{weight,bias}
 *   vision_tower.embeddings.position_embedding.weight
 *   vision_tower.encoder.layers.{i}.layer_norm{1,2}.{weight,bias}
 *   vision_tower.encoder.layers.{i}.self_attn.{q,k,v,out}_proj.{weight,bias}
 *   vision_tower.encoder.layers.{i}.mlp.fc{1,2}.{weight,bias}
 *   vision_tower.post_layernorm.{weight,bias}  vision_tower.head.*   (recognised, unused)
 * The name in the file is kept beside it: gradients and saved weights use that one. Names
 * that no rule knows keep what is left of them and are never asked for.
 * Weights lie in the mapping; only a tensor that is not aligned to its element is copied.
 *
 * Refuses: anything that does not lie inside its file, overlaps another tensor, has a dtype
 * not in base/dtype.h, or appears twice under one canonical name. */
#ifndef CR_TENSOR_STORE_H
#define CR_TENSOR_STORE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "tensor/tensor.h"

enum cr_layout {
    CR_LAYOUT_LMMS, /* lmms-lab: model.layers…, model.mm_projector.0… */
    CR_LAYOUT_HF,   /* any of the four llava-hf spellings */
    CR_LAYOUT_TEXT, /* plain Qwen2 safetensors without a tower */
    CR_LAYOUT_GGUF
};

struct cr_store_entry {
    const char *name; /* as in the file */
    const char *canonical;
    const char *file;        /* base name of the file it lies in */
    struct cr_tensor tensor; /* tensor.name is `name` */
};

struct cr_store;
struct cr_gguf; /* io/gguf.h */

/* path: a folder, a .safetensors file, a .gguf file or a packed file of any name. To x.gguf belongs the vision part
 * mmproj-x.gguf in the same folder, or else the only *mmproj*.gguf there, provided that its
 * projector ends in the width of x. A folder may also hold one .gguf instead of safetensors.
 * Where no such path exists, the name of a model that is compiled in (tensor/embedded.h).
 * Errors: CRITIC_BAD_FILE, CRITIC_UNSUPPORTED, CRITIC_NO_MEMORY; the message names file and tensor.
 * Ownership: the caller closes *out. */
enum critic_status cr_store_open(struct cr_store **out, const char *path,
                                 critic_error *err);
/* The same with all metadata in the caller's arena, which must outlive the store. */
enum critic_status cr_store_open_in(struct cr_store **out, struct cr_arena *arena,
                                    const char *path, critic_error *err);
/* Safe on NULL. */
void cr_store_close(struct cr_store *s);

enum cr_layout cr_store_layout(const struct cr_store *s);
/* The folder that holds the checkpoint, without a trailing slash; the name of an embedded one. */
const char *cr_store_dir(const struct cr_store *s);
/* NULL unless the layout is CR_LAYOUT_GGUF. */
const struct cr_gguf *cr_store_gguf(const struct cr_store *s);
/* Do the matrices lie in panels, ready for 8-bit products (tensor/packed_file.h)? Then nothing but
 * those products can be done with them. The layout is CR_LAYOUT_GGUF. */
bool cr_store_is_packed(const struct cr_store *s);
/* CR_PANEL8 or CR_PANEL4, in which its decoder blocks are. */
enum cr_dtype cr_store_packing(const struct cr_store *s);
/* Reads all of a packed file and compares its hashes. Errors: CRITIC_BAD_FILE naming the tensor. */
enum critic_status cr_store_verify(const struct cr_store *s, critic_error *err);
/* The vision part's GGUF, NULL where there is none; of a packed file the file itself. */
const struct cr_gguf *cr_store_gguf_vision(const struct cr_store *s);
/* Nobody needs these bytes of a tensor soon: what of them lies in a mapped file leaves the process's
 * memory until it is read again. */
void cr_store_forget(const struct cr_store *s, struct cr_bytes bytes);
size_t cr_store_count(const struct cr_store *s);
const struct cr_store_entry *cr_store_at(const struct cr_store *s, size_t i);
/* By canonical name; NULL where absent. */
const struct cr_store_entry *cr_store_find(const struct cr_store *s,
                                           const char *canonical);
/* By canonical name with its shape proved: n_dim and dim must match. A GGUF conv weight or a vector
 * stored with unit axes is reshaped where the element order is the same.
 * Errors: CRITIC_BAD_MODEL: missing, or wrong shape ("found (4, 8), expected (8, 4)"). */
enum critic_status cr_store_get(const struct cr_store *s, const char *canonical,
                                int n_dim, const size_t *dim, struct cr_tensor *out,
                                critic_error *err);
/* 128-bit content hash as 32 hex digits: of every tensor's name, dtype, shape and of samples of its
 * bytes (first and last 4 KiB and 64 strided blocks), so a 15 GB checkpoint is hashed in milliseconds. */
void cr_store_hash(const struct cr_store *s, char hex[33]);

#endif
