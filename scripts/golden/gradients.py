"""Gradients of weighted log-probabilities on the tiny checkpoints, from autograd of transformers in double.

L = -sum w logp over rows with a target. A packed sequence (prefix and branches) is run as separate ordinary sequences, one a
branch, whose losses are added: that packing changes nothing is what the test shows. Each gradient is kept as its norm, its
largest value and dot products with hashed signs, which any wrong element moves.

Written to tests/golden/gradients.json; run through make.py."""

import json

import numpy as np
import torch

from peft import LoraConfig, get_peft_model

import lmms
import tiny
from reference import load_model

DOTS = 6
MASK = (1 << 64) - 1


def mix(x):
    """splitmix64 finaliser on arrays of u64."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def pixels(seed, n):
    """n values of a byte's 256, as normalised pixels."""
    return (mix(np.arange(n, dtype=np.uint64) + np.uint64(seed << 32)) >> np.uint64(56)).astype(np.float64) / 127.5 - 1


def signs(k, n):
    return 1.0 - 2.0 * (mix(np.arange(n, dtype=np.uint64) + np.uint64((k + 1) << 40)) & np.uint64(1)).astype(np.float64)


def digest(g):
    g = g.detach().double().numpy().ravel()
    return {"norm": float(np.linalg.norm(g)), "largest": float(np.abs(g).max()), "dots": [float(g @ signs(k, g.size)) for k in range(DOTS)]}


def canonical(name):
    return name.removeprefix("model.").removeprefix("language_model.").replace("vision_tower.vision_model.", "vision_tower.")


class Runner:
    def __init__(self, folder):
        self.model = load_model(folder).double()
        self.config = self.model.config
        vision = self.config.vision_config
        self.size, self.side = vision.image_size, vision.image_size // vision.patch_size
        self.pinpoints = [tuple(p) for p in self.config.image_grid_pinpoints]

    def picture(self, w, h, seed, alone):
        layout = lmms.layout(w, h, self.size, self.side, self.pinpoints, "hf") if alone else None
        n_tokens = layout["tokens"] if alone else self.side**2 + 1
        best = lmms.best_resolution(w, h, self.pinpoints) if alone else None
        n_tiles = 1 + (best[0] // self.size) * (best[1] // self.size) if alone else 1
        values = pixels(seed, n_tiles * 3 * self.size**2).reshape(n_tiles, 3, self.size, self.size)
        return {"width": w, "height": h, "seed": seed, "n_tiles": n_tiles, "n_tokens": n_tokens}, torch.from_numpy(values)

    def sequence(self, rng, sizes, parts, seed):
        """parts: rows of text before the pictures (one each), after them in the prefix, and of each branch."""
        before, after, branches = parts
        ids, pictures, tensors = list(rng.integers(0, tiny.WORDS, before)), [], []
        for i, (w, h) in enumerate(sizes):
            p, values = self.picture(w, h, seed + i, len(sizes) == 1)
            p["first_row"] = len(ids)
            ids += [-1] * p["n_tokens"] + list(rng.integers(0, tiny.WORDS, 2))
            pictures.append(p)
            tensors.append(values)
        ids += list(rng.integers(0, tiny.WORDS, after))
        n_prefix, positions, ends = len(ids), list(range(len(ids))), []
        for n in branches:
            positions += range(n_prefix, n_prefix + n)
            ids += list(rng.integers(0, tiny.WORDS, n))
            ends.append(len(ids))
        targets = [int(t) if rng.random() < 0.6 else -1 for t in rng.integers(0, tiny.WORDS, len(ids))]
        weights = [round(float(w), 3) for w in rng.uniform(-0.2, 1, len(ids))]
        s = {"ids": [int(i) for i in ids], "positions": positions, "targets": targets, "weights": weights}
        return s | {"n_prefix": n_prefix, "branch_ends": ends, "pictures": pictures}, tensors

    def loss(self, s, tensors):
        """Of one packed sequence, by ordinary sequences."""
        total, logps = 0, [0.0] * len(s["ids"])
        prefix = list(range(s["n_prefix"]))
        starts = [s["n_prefix"], *s["branch_ends"]][: len(s["branch_ends"])]
        runs = [prefix + list(range(a, b)) for a, b in zip(starts, s["branch_ends"], strict=True)] or [prefix]
        for i, rows in enumerate(runs):
            ids = torch.tensor([[self.config.image_token_index if s["ids"][r] < 0 else s["ids"][r] for r in rows]])
            more = {}
            if tensors:
                more["pixel_values"] = torch.stack(tensors)
                more["image_sizes"] = torch.tensor([[p["height"], p["width"]] for p in s["pictures"]])
                more["batch_num_images"] = torch.tensor([len(tensors)])
            logp = torch.log_softmax(self.model(input_ids=ids, **more).logits[0].double(), -1)
            for at, r in enumerate(rows):
                if s["targets"][r] >= 0 and (i == 0 or r >= s["n_prefix"]):
                    value = logp[at, s["targets"][r]]
                    logps[r] = float(value.detach())
                    total = total - s["weights"][r] * value
        return total, logps

    def case(self, name, checkpoint, sequences, seed):
        rng = np.random.default_rng(seed)
        self.model.zero_grad(set_to_none=True)
        made = [self.sequence(rng, sizes, parts, 100 * seed + 10 * i) for i, (sizes, *parts) in enumerate(sequences)]
        for s, tensors in made:
            loss, s["logp"] = self.loss(s, tensors)
            loss.backward()
        grads = {canonical(n): digest(p.grad) for n, p in self.model.named_parameters() if p.grad is not None}
        return {"name": name, "checkpoint": checkpoint, "sequences": [s for s, _ in made], "gradients": grads}


LEAVES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, ALPHA = 3, 7.5


class LoraRunner(Runner):
    """The same with PEFT's adapter on every linear of the decoder, its numbers hashed from place and element."""

    def __init__(self, folder):
        super().__init__(folder)
        targets = r".*language_model.*\.(" + "|".join(LEAVES) + ")"
        self.model = get_peft_model(self.model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0)).double()
        for name, p in self.model.named_parameters():
            if not p.requires_grad:
                continue
            parts = name.split(".")
            at = 7 * int(parts[parts.index("layers") + 1]) + next(i for i, leaf in enumerate(LEAVES) if leaf in parts)
            p.data = torch.from_numpy(0.4 * pixels(5000 + 2 * at + ("lora_B" in name), p.numel())).reshape(p.shape)

    def case(self, *args):
        c = super().case(*args)
        c["lora"] = {"rank": RANK, "scale": ALPHA / RANK}
        c["gradients"] = {n.removeprefix("base_model.model.model.language_model.").replace(".default", ""): g for n, g in c["gradients"].items()}
        return c


# name, checkpoint, sequences: (picture sizes, text before, text after, branches)
CASES = [
    ("text", "ov-hf-mem", [([], 23, 0, [])]),
    ("long", "ov-hf-mem", [([], 150, 60, [])]),
    ("picture", "ov-hf-mem", [([(60, 90)], 5, 12, [])]),
    ("shrink", "ov-hf-mem", [([(222, 200)], 3, 9, [])]),
    ("two", "ov-hf-mem", [([(50, 40), (37, 80)], 2, 9, [])]),
    ("packed", "ov-hf-mem", [([(50, 40)], 4, 3, [7, 80, 1, 19]), ([], 70, 0, [9, 66]), ([], 11, 0, [])]),
    ("tied", "tied-hf-old-flat", [([], 40, 0, [5, 6]), ([(30, 18)], 2, 20, [])]),
    ("head-72", "wide-hf-old-flat", [([(70, 50)], 3, 20, [8, 4])]),
]


def make(tests):
    runners, out = {}, []
    for i, (name, checkpoint, sequences) in enumerate(CASES):
        if checkpoint not in runners:
            runners[checkpoint] = Runner(tests / "tiny" / checkpoint)
        out.append(runners[checkpoint].case(name, checkpoint, sequences, i + 1))
        print(name, len(out[-1]["gradients"]), "gradients", flush=True)
    out.append(LoraRunner(tests / "tiny" / "ov-hf-mem").case("lora", "ov-hf-mem", [([(50, 40)], 4, 3, [17, 9])], 21))
    text = json.dumps({"torch": torch.__version__, "cases": out}, indent=None, separators=(",", ":"))
    (tests / "golden" / "gradients.json").write_text(text.replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")
