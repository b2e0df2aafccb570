#!/usr/bin/env python3
"""Trains the micro models' tokenizer.json: byte-level BPE with Qwen2's normaliser and pre-tokenizer, so that
the loader of the real models reads it. The text is the micro world's, with some prose of this repository
behind it so that other English does not fall to single bytes.

    scripts/micro/tokenizer.py WORLD_DIR [OUT_DIR]

WORLD_DIR: folders of `critic data world` with `critic data critic` run on them (any of train, novel, crowded);
assets/micro/README.md has the commands. Package: tokenizers (scripts/golden/requirements.txt). The same text
gives the same file."""
import glob
import json
import os
import re
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

VOCAB = 2048
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def world_text(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.jsonl"))):
        if not path.endswith(("base.jsonl", "critic.jsonl")):
            continue
        with open(path) as lines:
            for line in lines:
                for turn in json.loads(line)["conversations"]:
                    yield turn["value"].removeprefix("<image>\n")


def prose():
    for path in sorted(glob.glob(os.path.join(ROOT, "assets", "templates", "*.txt"))):
        with open(path, encoding="utf-8") as file:
            yield from re.split(r"(?<=\n)", file.read().split("---\n", 2)[-1])
    for name in ("docs/judge.md", "docs/templates.md", "docs/cli.md", "README.md"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            yield from file
    for word in ("You are a helpful assistant.", "system\n", "user\n", "assistant\n"):
        yield from [word] * 2000


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(SPECIAL), min_frequency=2, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = list(world_text(sys.argv[1])) + list(prose())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, "assets", "micro")
    tokenizer.save(os.path.join(out, "tokenizer.json"), pretty=False)
    ids = {t: tokenizer.token_to_id(t) for t in SPECIAL}
    print(f"{tokenizer.get_vocab_size()} tokens; {ids}; newline {tokenizer.encode(chr(10)).ids}")


if __name__ == "__main__":
    main()
