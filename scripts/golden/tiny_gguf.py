"""The text part of a tiny checkpoint as GGUF, written with the `gguf` package in the form
that llama.cpp's converter gives Qwen2 models, and checked with llama.cpp itself."""

import json

import gguf
import llama_cpp
import numpy as np

import tiny

BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tensor_name(name):
    name = name.removeprefix("model.language_model.")
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("layers."):
        _, index, part = stem.split(".", 2)
        return f"blk.{index}.{BLOCK[part]}.{kind}"
    return {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}[stem] + f".{kind}"


def write(path, spec, weights, tok):
    text = spec["text"]
    w = gguf.GGUFWriter(str(path), "qwen2")
    w.add_name("tiny random Qwen2")
    w.add_block_count(text["num_hidden_layers"])
    w.add_context_length(32768)
    w.add_embedding_length(text["hidden_size"])
    w.add_feed_forward_length(text["intermediate_size"])
    w.add_head_count(text["num_attention_heads"])
    w.add_head_count_kv(text["num_key_value_heads"])
    w.add_rope_freq_base(1e6)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    data = json.loads(tok.to_str())
    by_id = {i: t for t, i in data["model"]["vocab"].items()} | {tiny.special_id(s): s for s in tiny.SPECIALS}
    kinds = [1] * tiny.WORDS + [3] * len(tiny.SPECIALS) + [5] * (tiny.ROWS - len(by_id))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([by_id.get(i, f"[PAD{i}]") for i in range(tiny.ROWS)])
    w.add_token_types(kinds)
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in data["model"]["merges"]])
    w.add_eos_token_id(tiny.special_id("<|im_end|>"))
    w.add_pad_token_id(tiny.special_id("<|endoftext|>"))
    w.add_add_bos_token(False)
    w.add_chat_template(tiny.CHAT_TEMPLATE)
    for name, t in weights.items():
        if "language_model" in name or name.startswith("lm_head"):
            a = t.numpy()
            w.add_tensor(tensor_name(name), a.astype(np.float16) if a.ndim == 2 else a)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def logits(path, ids):
    """llama.cpp's logits of every position."""
    model = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)
    model.eval(ids)
    return np.array(model.scores[: len(ids)], copy=True)


def check(path, reference_logits, ids):
    """The file means the same network to llama.cpp, whose f16 products are a little coarse."""
    theirs = logits(path, ids)
    error = np.abs(theirs - reference_logits).max() / np.abs(reference_logits).max()
    assert error < 5e-3, error
    return error
