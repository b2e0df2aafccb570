"""The reference as a function: checkpoint folder, pictures and prompt to tensors. Reads
the HF layouts as transformers does and the lmms-lab layout by renaming its tensors."""

import json
import re

import numpy as np
import torch
import transformers.models.llava_onevision.modeling_llava_onevision as modeling
from safetensors.torch import load_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

import lmms
import pixels

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
IMAGE = "<image>"
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def qwen2_tokenizer(model):
    """A tokenizer around a BPE model, with everything that Qwen2 puts around it."""
    tok = Tokenizer(model)
    tok.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tok.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tok.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return tok


def load_tokenizer(folder):
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok = qwen2_tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    added = json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in sorted(added, key=added.get)])
    assert all(tok.token_to_id(s) == i for s, i in added.items())
    return tok


def is_lmms(config):
    return config.get("model_type") != "llava_onevision"


def pinpoints(value, size):
    """A list of pairs, or "(1x1),...,(6x6)" in units of the tile."""
    if isinstance(value, list):
        return [tuple(p) for p in value]
    ends = [tuple(map(int, m)) for m in re.findall(r"\((\d+)x(\d+)\)", value)]
    (a0, b0), (a1, b1) = ends[0], ends[-1]
    return [(size * a, size * b) for a in range(a0, a1 + 1) for b in range(b0, b1 + 1)]


def lmms_configuration(config):
    vision = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 26, "num_attention_heads": 16, "patch_size": 14, "image_size": 384}
    vision |= config.get("vision_config") or {}
    text = {k: config[k] for k in Qwen2Config().to_dict() if k in config and k not in ("model_type", "architectures", "torch_dtype", "dtype", "rope_scaling", "transformers_version")}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    return LlavaOnevisionConfig(
        text_config=Qwen2Config(**text),
        vision_config=SiglipVisionConfig(vision_use_head=False, **{k: v for k, v in vision.items() if k not in ("model_type", "vision_use_head")}),
        image_token_index=config["image_token_index"],
        video_token_index=-1,
        image_grid_pinpoints=[[h, w] for w, h in pinpoints(config["image_grid_pinpoints"], vision["image_size"])],
        vision_aspect_ratio=config["image_aspect_ratio"],
        tie_word_embeddings=config.get("tie_word_embeddings", False),
    )


def from_lmms_name(name):
    name = name.replace("model.vision_tower.vision_tower.vision_model.", "model.vision_tower.")
    name = name.replace("mm_projector.0", "multi_modal_projector.linear_1").replace("mm_projector.2", "multi_modal_projector.linear_2")
    return re.sub(r"^model\.(embed_tokens|layers|norm)\b", r"model.language_model.\1", name)


def load_model(folder):
    """The network in f32."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not is_lmms(config):
        return LlavaOnevisionForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    model = LlavaOnevisionForConditionalGeneration(lmms_configuration(config)).eval()
    weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= {from_lmms_name(n): t.float() for n, t in load_file(file).items()}
    missing, _ = model.load_state_dict(weights, strict=False)
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    return model


class Ids:
    """Prompt text to ids: template and marks parsed, the prompt itself only when raw."""

    def __init__(self, folder):
        self.special = load_tokenizer(folder)
        data = json.loads(self.special.to_str())
        data["added_tokens"] = []
        self.plain = Tokenizer.from_str(json.dumps(data))

    def encode(self, prompt, raw, counts):
        """counts: tokens of each picture."""
        if raw:
            pieces = re.split(re.escape(IMAGE), prompt)
            ids = [self.special.encode(p).ids for p in pieces]
        else:
            head = self.special.encode(SYSTEM + "<|im_start|>").ids
            tail = self.special.encode("<|im_end|>\n<|im_start|>assistant\n").ids
            texts = [("user" if i == 0 else "") + "\n" for i in range(len(counts) + 1)]
            texts[-1] += prompt
            ids = [self.plain.encode(t).ids for t in texts]
            ids[0] = head + ids[0]
            ids[-1] = ids[-1] + tail
        assert len(ids) == len(counts) + 1, "as many <image> marks as pictures"
        mark = self.special.token_to_id(IMAGE)
        out = list(ids[0])
        for n, more in zip(counts, ids[1:], strict=True):
            out += [mark] * n + more
        return out


class rounding:
    """The reference with the unpad rounding of LLaVA-NeXT (none) or its own."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        if self.kind == "lmms":
            modeling.round = lambda x, digits: x

    def __exit__(self, *_):
        vars(modeling).pop("round", None)


class Reference:
    """One checkpoint, ready to run. `images`: the folder that picture names refer to."""

    def __init__(self, folder, images):
        self.model = load_model(folder)
        vision = self.model.config.vision_config
        self.size, self.side = vision.image_size, vision.image_size // vision.patch_size
        self.pinpoints = [(w, h) for h, w in self.model.config.image_grid_pinpoints]  # transformers' order
        self.most = int(self.model.config.vision_aspect_ratio.removeprefix("anyres_max_"))
        self.images = images
        self.ids = Ids(folder)
        self.rounding = "lmms" if is_lmms(json.loads((folder / "config.json").read_text(encoding="utf-8"))) else "hf"

    def vision(self, files, kind):
        """Pixels of a sample: tiles u8, tile counts, the reference's batch, token counts."""
        pictures = [pixels.rgb(self.images / f) for f in files]
        proc = pixels.processor(self.size, self.pinpoints)
        values, counts, batch = pixels.reference_pixels(proc, pictures)
        mode = "anyres" if len(files) == 1 else "pad"
        u8 = np.concatenate([lmms.tiles(p, mode, self.size, self.pinpoints) for p in pictures])
        assert lmms.normalise(u8).tobytes() == values.tobytes()
        if mode == "pad":
            tokens = [self.side**2 + 1] * len(files)
        else:
            tokens = [lmms.layout(*pictures[0].size, self.size, self.side, self.pinpoints, kind, self.most)["tokens"]]
        batch = {
            "pixel_values": torch.from_numpy(np.stack([np.asarray(p) for p in batch["pixel_values"]])).float(),
            "image_sizes": torch.from_numpy(np.stack([np.asarray(s) for s in batch["image_sizes"]])),
            "batch_num_images": torch.tensor(batch["batch_num_images"]),
        }
        return u8, counts, batch, tokens, [p.size for p in pictures]

    def inputs(self, prompt, raw, files, kind):
        """Arguments of the model, tiles u8, tile counts, token counts, picture sizes."""
        u8, counts, batch, tokens, sizes = self.vision(files, kind) if files else (None, [], {}, [], [])
        ids = self.ids.encode(prompt, raw, tokens)
        return {**batch, "input_ids": torch.tensor([ids])}, u8, counts, tokens, sizes

    def run(self, inputs):
        """Rows after the final norm [n, H], and the rows of the pictures as spliced (None without)."""
        packed, network = [], self.model.model
        pack = type(network).pack_image_features

        def keep(*args, **kwargs):
            features, lengths = pack(network, *args, **kwargs)
            packed.extend(features)
            return features, lengths

        network.pack_image_features = keep
        try:
            hidden = network(**inputs).last_hidden_state[0]
        finally:
            del network.pack_image_features
        return hidden, torch.cat(packed) if packed else None
