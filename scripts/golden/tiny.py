"""Tiny random checkpoints of the whole network in every layout that critic reads.

All layouts of one model hold the same numbers: values are chosen to be exact in bf16
and in f16, so f32, f16 and bf16 files are equal weights. Sizes are odd on purpose."""

import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    Qwen2Config,
    SiglipVisionConfig,
)

import lmms
import pixels
from reference import qwen2_tokenizer

# Ids follow this order, which is not that of the published tokenizer.
SPECIALS = ["<|im_start|>", "<image>", "<|endoftext|>", "<|im_end|>", "<video>"]
WORDS = 507  # ordinary tokens: 256 bytes and 251 merges
ROWS = 523  # rows of the embedding: 11 more than the tokenizer has

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for c in message['content'] if c['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for c in message['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

MODELS = {
    # three blocks, five patches a side, trailing pixels dropped (37 = 5 * 7 + 2)
    "ov": {
        "seed": 11,
        "tied": False,
        "text": {"hidden_size": 40, "intermediate_size": 68, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2},
        "vision": {"hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 7, "image_size": 37},
    },
    # head output is the embedding; seven query heads share one key head
    "tied": {
        "seed": 22,
        "tied": True,
        "text": {"hidden_size": 42, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 7, "num_key_value_heads": 1},
        "vision": {"hidden_size": 34, "intermediate_size": 41, "num_hidden_layers": 2, "num_attention_heads": 1, "patch_size": 5, "image_size": 19},
    },
    # the real tower's head width 72 and patch 14
    "wide": {
        "seed": 33,
        "tied": False,
        "text": {"hidden_size": 84, "intermediate_size": 101, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3},
        "vision": {"hidden_size": 144, "intermediate_size": 100, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14, "image_size": 44},
    },
}


def special_id(token):
    return WORDS + SPECIALS.index(token)


def pinpoints(spec):
    """As they stand in the file: (height, width) to transformers, (width, height) to LLaVA-NeXT."""
    return [list(p) for p in spec.get("pinpoints") or lmms.grid(spec["vision"]["image_size"])]


def rope_theta(spec):
    return spec.get("rope_theta", 1000000.0)


def aspect(spec):
    return spec.get("aspect", "anyres_max_9")


def train_tokenizer():
    tok = qwen2_tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tok.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=WORDS, initial_alphabet=alphabet, show_progress=False)
    text = (pathlib.Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8")
    tok.train_from_iterator(text.splitlines(keepends=True), trainer)
    assert tok.get_vocab_size() == WORDS
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    assert [tok.token_to_id(s) for s in SPECIALS] == list(range(WORDS, WORDS + len(SPECIALS)))
    return tok


def write_json(path, data):
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def tokenizer_config():
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(special_id(s)): {"content": s, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
            for s in SPECIALS
        },
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def write_tokenizer(folder, tok, slow=False):
    """tokenizer.json, or with `slow` the vocab.json + merges.txt + added_tokens.json form."""
    data = json.loads(tok.to_str())
    write_json(folder / "tokenizer_config.json", tokenizer_config())
    if not slow:
        write_json(folder / "tokenizer.json", data)
        return
    write_json(folder / "vocab.json", data["model"]["vocab"])
    merges = [" ".join(m) if isinstance(m, list) else m for m in data["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    write_json(folder / "added_tokens.json", {s: special_id(s) for s in SPECIALS})


def configuration(spec):
    text = Qwen2Config(
        vocab_size=spec.get("rows", ROWS),
        rope_parameters={"rope_type": "default", "rope_theta": rope_theta(spec)},
        max_position_embeddings=32768,
        tie_word_embeddings=spec["tied"],
        bos_token_id=special_id("<|endoftext|>"),
        eos_token_id=special_id("<|im_end|>"),
        **{"rms_norm_eps": 1e-6, **spec["text"]},
    )
    vision = SiglipVisionConfig(vision_use_head=False, **spec["vision"])
    return LlavaOnevisionConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=special_id("<image>"),
        video_token_index=special_id("<video>"),
        image_grid_pinpoints=pinpoints(spec),
        vision_aspect_ratio=aspect(spec),
        tie_word_embeddings=spec["tied"],
    )


def exact(values):
    """Nearest values that bf16 and f16 both hold exactly."""
    v = values.to(torch.bfloat16).float()
    v = torch.where(v.abs() < 2.0**-14, torch.zeros_like(v), v)
    assert torch.equal(v.half().float(), v)
    return v


def random_tensor(name, shape, tied, gen):
    """Every term must matter: norms off one, biases off zero, attention far from uniform,
    logits of several units, rows past the tokenizer's end that would win if not masked."""
    normal = torch.randn(shape, generator=gen)
    uniform = torch.rand(shape, generator=gen) * 2 - 1
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.3 * uniform
    if name.endswith("bias"):
        return 0.2 * uniform
    if name.endswith("image_newline"):
        return normal
    if "position_embedding" in name:
        return 0.5 * normal
    if "embed_tokens" in name or name.startswith("lm_head"):
        scale = torch.full((shape[0], 1), 0.3 if tied else (1.7 / shape[1] ** 0.5 if name.startswith("lm_head") else 1.0))
        if tied or name.startswith("lm_head"):
            scale[WORDS : WORDS + len(SPECIALS)] *= 0.3
            scale[WORDS + len(SPECIALS) :] *= 1.5
        return scale * normal
    fan_in = int(np.prod(shape[1:]))
    gain = 1.0
    if "q_proj" in name or "k_proj" in name:
        gain = 1.7
    elif "o_proj" in name or "down_proj" in name or "out_proj" in name:
        gain = 0.8
    elif "patch_embedding" in name:
        gain = 2.0
    return gain * normal / fan_in**0.5


def master(spec):
    """The model in f32 and its weights under the names that transformers has in memory."""
    model = LlavaOnevisionForConditionalGeneration(configuration(spec)).eval()
    gen = torch.Generator().manual_seed(spec["seed"])
    weights = {}
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.copy_(exact(random_tensor(name, tuple(p.shape), spec["tied"], gen)))
            weights[name] = p.detach().clone()
    assert ("lm_head.weight" in weights) != spec["tied"]
    return model, weights


def surplus(spec, gen):
    """What lmms-lab files carry beside the network: a tower block too many and the pooling head."""
    d, m = spec["vision"]["hidden_size"], spec["vision"]["intermediate_size"]
    block = f"encoder.layers.{spec['vision']['num_hidden_layers']}"
    shapes = {f"{block}.{n}.{k}": (d,) for n in ("layer_norm1", "layer_norm2") for k in ("weight", "bias")}
    for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes |= {f"{block}.self_attn.{n}.weight": (d, d), f"{block}.self_attn.{n}.bias": (d,)}
    for n in (f"{block}.mlp", "head.mlp"):
        shapes |= {f"{n}.fc1.weight": (m, d), f"{n}.fc1.bias": (m,), f"{n}.fc2.weight": (d, m), f"{n}.fc2.bias": (d,)}
    shapes |= {"head.probe": (1, 1, d), "head.layernorm.weight": (d,), "head.layernorm.bias": (d,)}
    shapes |= {"head.attention.in_proj_weight": (3 * d, d), "head.attention.in_proj_bias": (3 * d,)}
    shapes |= {"head.attention.out_proj.weight": (d, d), "head.attention.out_proj.bias": (d,)}
    return {"model.vision_tower." + n: exact(torch.randn(s, generator=gen)) for n, s in shapes.items()}


def rename(name, layout):
    """From the in-memory name to the one of a layout."""
    if layout == "mem-flat":
        return name
    if layout == "mem":
        return name.replace("model.vision_tower.", "model.vision_tower.vision_model.")
    if layout == "lmms":
        name = name.replace("model.language_model.", "model.")
        name = name.replace("model.vision_tower.", "model.vision_tower.vision_tower.vision_model.")
        return name.replace("multi_modal_projector.linear_1", "mm_projector.0").replace("multi_modal_projector.linear_2", "mm_projector.2")
    name = name.replace("model.language_model.", "language_model.model.").replace("lm_head", "language_model.lm_head")
    name = name.removeprefix("model.")
    return name if layout == "old-flat" else name.replace("vision_tower.", "vision_tower.vision_model.")


def save(tensors, path):
    save_file({n: t.contiguous() for n, t in tensors.items()}, path, metadata={"format": "pt"})


def save_sharded(folder, tensors, dtypes):
    """Two shards; the dtype changes from tensor to tensor."""
    names = sorted(tensors)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    at = 0
    for i, part in enumerate(halves):
        file = f"model-{i + 1:05d}-of-{len(halves):05d}.safetensors"
        typed = {}
        for n in part:
            typed[n] = tensors[n].to(dtypes[at % len(dtypes)])
            at += 1
            index["weight_map"][n] = file
            index["metadata"]["total_size"] += typed[n].numel() * typed[n].element_size()
        save(typed, folder / file)
    write_json(folder / "model.safetensors.index.json", index)


def lmms_config(spec, canvases):
    text = spec["text"]
    return {
        "architectures": ["LlavaQwenForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": special_id("<|endoftext|>"),
        "eos_token_id": special_id("<|im_end|>"),
        "hidden_act": "silu",
        "image_aspect_ratio": aspect(spec),
        "image_crop_resolution": None,
        "image_grid_pinpoints": canvases,
        "image_split_resolution": None,
        "image_token_index": special_id("<image>"),
        "initializer_range": 0.02,
        "max_position_embeddings": 32768,
        "max_window_layers": text["num_hidden_layers"],
        "mm_hidden_size": spec["vision"]["hidden_size"],
        "mm_newline_position": "one_token",
        "mm_patch_merge_type": "spatial_unpad",
        "mm_projector_lr": None,
        "mm_projector_type": "mlp2x_gelu",
        "mm_resampler_type": None,
        "mm_spatial_pool_mode": "bilinear",
        "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "google/siglip-so400m-patch14-384",
        "mm_vision_tower_lr": 2e-06,
        "model_type": "llava",
        "rms_norm_eps": 1e-06,
        **text,
        "rope_scaling": None,
        "rope_theta": rope_theta(spec),
        "sliding_window": 131072,
        "tie_word_embeddings": spec["tied"],
        "tokenizer_model_max_length": 32768,
        "tokenizer_padding_side": "right",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.0.dev0",
        "use_cache": True,
        "use_mm_proj": True,
        "use_pos_skipping": False,
        "use_sliding_window": False,
        "vision_config": {"model_type": "siglip_vision_model", **spec["vision"]},
        "vision_tower_pretrained": None,
        "vocab_size": spec.get("rows", ROWS),
    }


def old_config(spec, dtype, version):
    """config.json as transformers 4 wrote it: defaults left out, rope_theta, torch_dtype."""
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": pinpoints(spec),
        "image_token_index": special_id("<image>"),
        "model_type": "llava_onevision",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "bos_token_id": special_id("<|endoftext|>"),
            "eos_token_id": special_id("<|im_end|>"),
            **spec["text"],
            "max_window_layers": spec["text"]["num_hidden_layers"],
            "model_type": "qwen2",
            "rope_theta": rope_theta(spec),
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "vocab_size": spec.get("rows", ROWS),
        },
        "tie_word_embeddings": spec["tied"],
        "torch_dtype": dtype,
        "transformers_version": version,
        "use_image_newline_parameter": True,
        "video_token_index": special_id("<video>"),
        "vision_aspect_ratio": aspect(spec),
        "vision_config": {"model_type": "siglip_vision_model", **spec["vision"], "vision_use_head": False},
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }


def old_preprocessor(spec):
    size = spec["vision"]["image_size"]
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_grid_pinpoints": pinpoints(spec),
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "LlavaOnevisionProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": size, "width": size},
    }


def processor(spec, folder):
    size, patch = spec["vision"]["image_size"], spec["vision"]["patch_size"]
    return LlavaOnevisionProcessor(
        image_processor=pixels.processor(size, [(w, h) for h, w in pinpoints(spec)]),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        video_processor=LlavaOnevisionVideoProcessor(size={"height": size, "width": size}),
        num_image_tokens=(size // patch) ** 2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=aspect(spec),
        chat_template=CHAT_TEMPLATE,
    )


def generation_config(folder):
    ids = [special_id("<|im_end|>"), special_id("<|endoftext|>")]
    write_json(folder / "generation_config.json", {"bos_token_id": ids[1], "eos_token_id": ids, "pad_token_id": ids[1], "transformers_version": "4.45.0"})


class Writer:
    def __init__(self, out, name, tok):
        self.out, self.name, self.tok = out, name, tok
        self.spec = MODELS[name]
        self.model, self.weights = master(self.spec)
        self.size = self.spec["vision"]["image_size"]

    def folder(self, suffix, slow=False):
        path = self.out / f"{self.name}-{suffix}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        write_tokenizer(path, self.tok, slow)
        return path

    def named(self, layout, dtype, extra=None):
        tensors = {rename(n, layout): t.to(dtype) for n, t in (self.weights | (extra or {})).items()}
        return tensors

    def lmms(self):
        path = self.folder("lmms")
        gen = torch.Generator().manual_seed(self.spec["seed"] + 1)
        save(self.named("lmms", torch.bfloat16, surplus(self.spec, gen)), path / "model.safetensors")
        write_json(path / "config.json", lmms_config(self.spec, pinpoints(self.spec)))
        generation_config(path)

    def lmms_sharded(self):
        path = self.folder("lmms-sharded", slow=True)
        save_sharded(path, self.named("lmms", torch.float32), [torch.bfloat16, torch.float32, torch.float16, torch.bfloat16])
        write_json(path / "config.json", {**lmms_config(self.spec, "(1x1),...,(6x6)"), "model_type": "llava_qwen"})

    def hf_old(self, layout, dtype, version):
        path = self.folder("hf-" + layout)
        typed = {"bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
        save(self.named(layout, typed), path / "model.safetensors")
        write_json(path / "config.json", old_config(self.spec, dtype, version))
        write_json(path / "preprocessor_config.json", old_preprocessor(self.spec))
        write_json(path / "processor_config.json", {"num_image_tokens": (self.size // self.spec["vision"]["patch_size"]) ** 2, "processor_class": "LlavaOnevisionProcessor", "vision_aspect_ratio": aspect(self.spec), "vision_feature_select_strategy": "full"})
        generation_config(path)

    def hf_new(self, layout):
        """Whatever transformers 5 itself writes."""
        path = self.folder("hf-" + layout)
        self.model.to(torch.bfloat16)
        self.model.save_pretrained(path, save_original_format=layout == "old-flat")
        self.model.to(torch.float32)
        processor(self.spec, path).save_pretrained(path)
        (path / "preprocessor_config.json").unlink(missing_ok=True)


def make(out):
    import tiny_gguf  # it needs this module

    tok = train_tokenizer()
    ov = Writer(out, "ov", tok)
    tiny_gguf.write(out / "ov-text.gguf", ov.spec, ov.weights, tok)
    ov.lmms()
    ov.lmms_sharded()
    ov.hf_old("old", "float16", "4.45.0.dev0")
    ov.hf_old("mem", "bfloat16", "4.53.0")
    ov.hf_new("old-flat")
    ov.hf_new("mem-flat")
    tied = Writer(out, "tied", tok)
    tied.lmms()
    tied.hf_new("old-flat")
    Writer(out, "wide", tok).hf_new("old-flat")
