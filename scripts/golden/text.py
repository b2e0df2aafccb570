#!/usr/bin/env python3
"""Token ids from the reference tokenizer.

  text.py fixtures QWEN_TOKENIZER.json RANGES.json OUT_DIR
      small tokenizers cut from Qwen's, and samples.jsonl with their ids
  text.py compare TOKENIZER.json RANGES.json "CRITIC" MODEL [COUNT [SEED]]
      COUNT (100000) hostile strings through `CRITIC tokenize --model MODEL --jsonl`,
      with special tokens parsed and not; every difference is a fault

RANGES.json is what unicode_tables.py --json writes.
"""

import json
import os
import random
import subprocess
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, pre_tokenizers

PHRASES = [
    "the", "The", " hello", "world", "'s", "'S", "'\u017f", "'LL", "'ll", "'re", "'Re", "'vE", "'d",
    "'M", "'t", "don't", "I'll", "foo_bar", "==", "<|", "|>", "<image>", "<|im_", "end|>", "im_start",
    "\n", "\r\n", "\n\n", "  ", "   ", "\t", "!!!", "...", "123", "3.14", "\u6f22\u5b57",
    "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155", "\u00e9", "e\u0301", "\ufb01", "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627",
    "_", "-", "'", "''", "\u0338", "<|im_end|>\u0338", "<|im_start|>\u0301",
]  # fmt: skip
EDGES = [
    0, 0x85, 0xA0, 0x130, 0x131, 0x17F, 0x180E, 0x1E9E, 0x200B, 0x200C, 0x200D, 0x2028, 0x2029, 0x212A,
    0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x105C9, 0x105D2, 0x11930, 0x11935, 0x11938, 0x10FFFF,
]  # fmt: skip


class Hostile:
    """Strings that stress every border of the tokenizer."""

    def __init__(self, tokenizer, specials, ranges, seed):
        self.rng = random.Random(seed)
        self.tokenizer = tokenizer
        self.specials = specials
        pick = self.rng.randint
        self.marks = [c for c, _ in ranges["combining_class"]]
        self.pools = [
            self.marks,
            [c for c, _ in ranges["decomposition"]],
            [b for _, b, _ in ranges["composition"]],
            [a for a, _, _ in ranges["composition"]],
            [c for a, b in ranges["letter"] for c in (a, b, pick(a, b))],
            [c for a, b in ranges["number"] for c in (a, b)],
            [c for a, b in ranges["space"] for c in range(a, b + 1)],
            [*range(0x10FE, 0x1115), *range(0x1160, 0x1178), *range(0x11A6, 0x11C5), 0xAC00, 0xAC01, 0xAC1C, 0xD7A3],
            EDGES,
        ]

    def char(self):
        rng = self.rng
        while True:
            kind = rng.random()
            if kind < 0.5:
                c = rng.choice(rng.choice(self.pools))
            else:
                c = rng.randrange(rng.choice((0x80, 0x80, 0x250, 0x10000, 0x110000)))
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    def mangled_special(self):
        s = self.rng.choice(self.specials)
        i = self.rng.randrange(len(s) + 1)
        return self.rng.choice([s, s[:i], s[i:], s[:i] + self.char() + s[i:], s + self.char(), " " + s + " "])

    def word(self):
        kind = self.rng.random()
        if kind < 0.7:
            return self.rng.choice(PHRASES)
        return self.rng.choice(self.specials) if kind < 0.85 else self.char()

    def token(self):
        return self.tokenizer.decode([self.rng.randrange(self.tokenizer.get_vocab_size())], skip_special_tokens=False)

    def text(self, longest=40):
        rng = self.rng
        n = rng.randrange(1, longest)
        few = [self.char() for _ in range(rng.randrange(1, 5))] + [rng.choice(" \n\r\t'aA1.")]
        makers = [
            self.char, self.char, self.word, self.word, self.mangled_special, self.token,
            lambda: rng.choice(few),
            lambda: rng.choice(" \n\r\t\u00a0\u3000\u2028a1.'"),
            lambda: chr(rng.choice(self.marks)),
        ]  # fmt: skip
        if rng.random() < 0.03:
            return (self.word() + self.char()) * n
        maker = rng.choice(makers)
        return "".join(maker() for _ in range(n))


def reference_ids(tokenizer, text, special):
    tokenizer.encode_special_tokens = not special
    return tokenizer.encode(text, add_special_tokens=False).ids


def small_vocabulary(full, n_merges):
    """The 256 bytes and the first merges of a large vocabulary, renumbered."""
    merges = full["model"]["merges"][:n_merges]
    merges = [m if isinstance(m, str) else " ".join(m) for m in merges]
    order = sorted(full["model"]["vocab"].items(), key=lambda item: item[1])
    names = [name for name, _ in order[:256]] + [m.replace(" ", "", 1) for m in merges]
    return {name: i for i, name in enumerate(dict.fromkeys(names))}, merges


def added(tokens, first_id):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": first_id + i, "content": text, **flags, **extra} for i, (text, extra) in enumerate(tokens)]


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": use_regex}


def write_splits(path, patterns, hostile):
    """Where the reference's regex engine cuts hostile texts."""
    with open(path, "w", encoding="utf-8") as f:
        for name, pattern in patterns.items():
            step = pre_tokenizers.Split(Regex(pattern), "isolated")
            texts = [hostile.text(24) for _ in range(200)]
            texts += ["'\u017fs", "1234567", "\u0661\u0662\u0663\u0664", "  \n \n  x", "a \n", "\u180e x", "'S'Ll'RE"]
            for text in texts:
                words = [word for word, _ in step.pre_tokenize_str(text)]
                row = {"kind": name, "words": words}
                f.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")


def fixtures(full_path, ranges, out):
    with open(full_path, encoding="utf-8") as f:
        full = json.load(f)
    vocab, merges = small_vocabulary(full, 300)
    chatml = [("<|endoftext|>", {}), ("<|im_start|>", {}), ("<|im_end|>", {}), ("<image>", {})]
    odd = [
        *chatml,
        ("<tool>", {"special": False}),
        ("<left>", {"special": False, "lstrip": True}),
        ("<right>", {"special": False, "rstrip": True}),
        ("A\u030a<", {"special": False, "normalized": True}),
        ("<image><", {"special": False}),
    ]
    qwen = full["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    llama = qwen.replace(r"\p{N}|", r"\p{N}{1,3}|")
    free = r"\p{Lu}+\p{Ll}*|\p{Ll}+|\p{N}{2}|\s+|[^\s\p{L}\p{N}]{1,2}"
    sequence = lambda *steps: {"type": "Sequence", "pretokenizers": list(steps)}  # noqa: E731
    variants = {
        "qwen2": (chatml, {"type": "NFC"}, sequence(split(qwen), byte_level(False)), {}),
        "llama3": (chatml, None, sequence(split(llama), byte_level(False)), {"ignore_merges": True}),
        "gpt2": (chatml[:1], None, byte_level(True), {}),
        "pattern": (odd, {"type": "NFC"}, sequence(split(free), split(r"[ab]"), byte_level(False)), {}),
    }
    samples = []
    for name, (extra, normalizer, pre_tokenizer, options) in variants.items():
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                 "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, **options,
                 "vocab": vocab, "merges": merges}  # fmt: skip
        if name == "llama3":  # the newer way of writing them, and a token that no merge makes
            model = {**model, "merges": [m.split(" ") for m in merges], "vocab": {**vocab, "\u0120quiz": len(vocab)}}
        data = {"version": "1.0", "truncation": None, "padding": None,
                "added_tokens": added(extra, len(model["vocab"])), "normalizer": normalizer,
                "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": byte_level(True),
                "model": model}  # fmt: skip
        path = os.path.join(out, name + ".json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(data, f, ensure_ascii=True, separators=(",", ":"))
            f.write("\n")
        tokenizer = Tokenizer.from_file(path)
        specials = [text for text, _ in extra]
        hostile = Hostile(tokenizer, specials, ranges, 1)
        texts = [hostile.text(16) for _ in range(400 if name == "qwen2" else 150)]
        texts += ["", " ", "a\0b", "a\u2028b", " quiz quiz", "\n\n", "\n \n x", "x  y", "1234567", "A\u030a<", "\u00c5<"]
        texts += [a + s + b for s in specials for a in ("", "  ", "x\n ") for b in ("", "  ", "\u0338", " y")]
        # The installed PCRE2 need not know every character that the reference knows.
        if name == "pattern":
            texts = [t for t in texts if all(ord(c) < 0x250 or c in "\u030a\u0338" for c in t)]
        for text in texts:
            for special in (True, False):
                samples.append({"file": name, "special": special, "text": text, "ids": reference_ids(tokenizer, text, special)})
    with open(os.path.join(out, "samples.jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(s, ensure_ascii=True, separators=(",", ":")) + "\n" for s in samples)
    with open(os.path.join(out, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump(vocab, f, ensure_ascii=True, separators=(",", ":"))
    with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(m + "\n" for m in merges))
    with open(os.path.join(out, "added_tokens.json"), "w", encoding="utf-8") as f:
        json.dump({text: len(vocab) + i for i, (text, _) in enumerate(chatml)}, f)
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    full_tokenizer = Tokenizer.from_file(full_path)
    hostile = Hostile(full_tokenizer, ["<|im_end|>", "<image>"], ranges, 2)
    write_splits(os.path.join(out, "splits.jsonl"), {"qwen2": qwen, "llama3": llama, "gpt2": gpt2}, hostile)
    print(f"{len(samples)} samples, tokenizers {tokenizers.__version__}")


def compare(path, ranges, critic, model, count=100000, seed=1):
    tokenizer = Tokenizer.from_file(path)
    with open(path, encoding="utf-8") as f:
        specials = [a["content"] for a in json.load(f)["added_tokens"]]
    hostile = Hostile(tokenizer, specials, ranges, int(seed))
    texts = [hostile.text() for _ in range(int(count))]
    lines = "".join(json.dumps(t, ensure_ascii=True) + "\n" for t in texts)
    faults = 0
    for special in (True, False):
        command = [*critic.split(), "tokenize", "--model", model, "--jsonl", *([] if special else ["--no-special"])]
        answer = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
        ours = [json.loads(line) for line in answer.splitlines()]
        assert len(ours) == len(texts)
        for text, ids in zip(texts, ours, strict=True):
            expected = reference_ids(tokenizer, text, special)
            if ids != expected:
                faults += 1
                if faults <= 10:
                    print(f"special={special} {text!a}\n  critic    {ids}\n  reference {expected}")
    print(f"{len(texts)} texts, both modes: {faults} differ")
    return 1 if faults else 0


def main():
    mode, path, ranges_path, *rest = sys.argv[1:]
    with open(ranges_path, encoding="utf-8") as f:
        ranges = json.load(f)
    if mode == "fixtures":
        fixtures(path, ranges, *rest)
        return 0
    return compare(path, ranges, *rest)


if __name__ == "__main__":
    sys.exit(main())
