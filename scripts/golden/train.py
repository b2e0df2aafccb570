"""Goldens of the trainer (tests/golden/train): token ids and label masks of conversations as
LLaVA-NeXT makes them, and optimiser steps of PyTorch.

labels.jsonl   {"record": a LLaVA record, "ids": [...], "labels": [...]}: ids with -200 for a picture,
               labels with -100 where nothing is learnt. Rules re-implemented from their description in
               docs/training.md (LLaVA-NeXT llava/train/train.py: preprocess_multimodal,
               preprocess_qwen); the tokenizer is that of tests/tiny/ov-lmms.
optim.json     ten steps of torch.optim.AdamW and torch.optim.Muon on small tensors.

usage: train.py REPOSITORY
"""

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer

IMAGE, IGNORE = -200, -100


class Masks:
    """Conversations to ids and labels."""

    def __init__(self, tokenizer):
        self.tok = tokenizer
        self.start, self.end = tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")
        self.newline = self.plain("\n")
        assert len(self.newline) == 1

    def plain(self, text):
        """Text that no one may forge a turn with: control tokens in it are spelt out."""
        self.tok.encode_special_tokens = True
        ids = self.tok.encode(text, add_special_tokens=False).ids
        self.tok.encode_special_tokens = False
        return ids

    def turn(self, role, text, pictures):
        """Ids of one turn; the newline behind the role is tokenised with the text."""
        ids = [self.start] + self.plain(role)
        parts = ("\n" + text).split("<image>") if pictures else ["\n" + text]
        for i, part in enumerate(parts):
            ids += ([IMAGE] if i else []) + (self.plain(part) if part else [])
        return ids + [self.end] + self.newline

    def sample(self, record):
        ids = self.turn("system", "You are a helpful assistant.", False)
        labels = [IGNORE] * len(ids)
        turns = record["conversations"]
        if turns[0]["from"] != "human":
            turns = turns[1:]
        for t in turns:
            human = t["from"] == "human"
            piece = self.turn("user" if human else "assistant", front(t["value"]) if human else t["value"], human)
            ids += piece
            labels += [IGNORE] * len(piece) if human else piece
        for i, token in enumerate(ids):
            if token in (self.newline[0], self.start, self.end):
                labels[i] = token
        return ids, labels


def front(value):
    if value.count("<image>") == 1 and not value.startswith("<image>"):
        value = value.replace("<image>", "").strip()
        value = ("<image>\n" + value).strip()
    return value


def talk(*values, image=None, first="human"):
    roles = ["human", "gpt"] if first == "human" else ["gpt", "human"]
    r = {"conversations": [{"from": roles[i % 2], "value": v} for i, v in enumerate(values)]}
    if image:
        r["image"] = image
    return r


RECORDS = [
    talk("<image>\nWhat is it?", "A cat.", image="a.png"),
    talk("What is it? <image>", "A cat.\nAnd a dog.", image="a.png"),
    talk("  Look at\n<image>\nand say what it is.  ", "A cat.", "Sure?", "Yes.\n\nQuite.", image="a.png"),
    talk("<image>What?", "It.", image="a.png"),
    talk("No picture.\nTwo lines.\n\nAnd a third.", "Fine.\n"),
    talk("<image>\n<image>\nWhich?", "The second.", image=["a.png", "b.png"]),
    talk("First <image> and then <image> here", "Both.", image=["a.png", "b.png"]),
    talk("dropped", "Hello", "Hi.", first="gpt"),
    talk("<|im_end|> in the text <|im_start|>user", "An answer with <image> and <|im_end|> in it."),
    talk("<image>", "A caption.", image="a.png"),
    talk("Umlaut äöü, 日本語 \U0001f600", "\nbegins with a newline\n", "and", "on"),
]


def labels(root, out):
    masks = Masks(Tokenizer.from_file(str(root / "tests/tiny/ov-lmms/tokenizer.json")))
    with open(out / "labels.jsonl", "w") as f:
        for record in RECORDS:
            ids, mask = masks.sample(record)
            f.write(json.dumps({"record": record, "ids": ids, "labels": mask}, ensure_ascii=False) + "\n")


def values(n, k):
    """Numbers that C makes as well: fractions of a multiplicative sequence."""
    return torch.tensor([((i * 7919 + k * 104729) % 2003) / 1001.5 - 1 for i in range(n)], dtype=torch.float64)


def steps(make, shape, scale):
    n = shape[0] * (shape[1] if len(shape) > 1 else 1)
    w = torch.nn.Parameter(values(n, 1).float().reshape(shape))
    opt = make([w])
    for step in range(10):
        w.grad = (scale * values(n, step + 2)).float().reshape(shape)
        opt.step()
    return w.detach().double().flatten().tolist()


def optim(out):
    adamw = lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    plain_adamw = lambda p: torch.optim.AdamW(p, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    muon = lambda p: torch.optim.Muon(p, lr=2e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
                                      ns_coefficients=(3.4445, -4.7750, 2.0315), ns_steps=5,
                                      adjust_lr_fn="match_rms_adamw")
    cases = [
        {"optimizer": "adamw", "lr": 1e-2, "beta2": 0.95, "weight_decay": 0.1, "shape": [7, 5], "scale": 1.0},
        {"optimizer": "adamw", "lr": 1e-3, "beta2": 0.999, "weight_decay": 0.0, "shape": [33], "scale": 1e-4},
        {"optimizer": "muon", "lr": 2e-3, "weight_decay": 0.1, "shape": [12, 20], "scale": 1.0},
        {"optimizer": "muon", "lr": 2e-3, "weight_decay": 0.1, "shape": [20, 12], "scale": 1e-2},
    ]
    makes = [adamw, plain_adamw, muon, muon]
    for case, make in zip(cases, makes):
        case["after"] = [float(f"{x:.9g}") for x in steps(make, case["shape"], case["scale"])]
    json.dump({"torch": torch.__version__, "cases": cases}, open(out / "optim.json", "w"))


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    labels(root, root / "tests/golden/train")
    optim(root / "tests/golden/train")
