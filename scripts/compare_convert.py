#!/usr/bin/env python3
"""Holds what `critic convert` writes against the programs that are to read it.

  compare_convert.py CRITIC [--folder tests/tiny]

Every tiny checkpoint in every target and dtype. The llava-hf folders are loaded by transformers'
own from_pretrained (weights, processor and tokenizer), the lmms-lab ones by renaming: logits
must be those of the source bit for bit wherever the dtype holds the weights exactly. The GGUF
text parts are loaded by llama.cpp, whose greedy tokens must be those of `critic generate` on
the same file; the mmproj parts by the gguf package, tensor by tensor. Leaves with 1 if any
differs. Needs the packages of scripts/golden/requirements.txt.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, AutoTokenizer

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
import tiny  # noqa: E402
import tiny_gguf  # noqa: E402
from reference import Reference, rounding  # noqa: E402

PLAIN = ("keep", "f32", "f16", "bf16")
PROMPT = "Which answer is better, and why?"
PICTURE = "coffee-444-odd.jpg"
IMAGES = pathlib.Path(__file__).parent.parent / "tests/golden/images"
# Widths that are whole blocks, so that Q8_0 and Q4_0 mean something.
BLOCKS = {
    "seed": 44,
    "tied": False,
    "text": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2},
    "vision": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 7, "image_size": 37},
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr.decode()}")
    return done.stdout.decode()


def logits(folder, kind):
    ref = Reference(folder, IMAGES)
    with torch.no_grad(), rounding(kind):
        inputs = ref.inputs(PROMPT, False, [PICTURE], kind)[0]
        return inputs["input_ids"][0].tolist(), ref.model(**inputs).logits[0]


def opens(folder):
    """transformers takes the processor and the tokenizer from the folder; ids are the reference's."""
    processor, tokenizer = AutoProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = processor.apply_chat_template([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}], add_generation_prompt=True)
    ours = Reference(folder, IMAGES).ids.special.encode(text).ids
    return tokenizer(text, add_special_tokens=False)["input_ids"] == ours


def greedy(critic, path, n):
    """What critic writes, and the ids of its prompt."""
    out = json.loads(run(critic, "generate", "--model", path, "--prompt", PROMPT, "--greedy", "--max-new-tokens", n, "--dtype", "f32", "--json"))
    return out["token_ids"] if "token_ids" in out else out["samples"][0]["token_ids"]


def prompt_ids(critic, path, folder):
    run(critic, "forward", "--model", path, "--prompt", PROMPT, "--dump", folder / "ids.safetensors", "--logits-last", 1, "--dtype", "f32")
    return load_file(folder / "ids.safetensors")["input_ids"].tolist()


def check_gguf(critic, path, folder, dtype):
    """llama.cpp's greedy tokens; its 8-bit activations may choose otherwise only at a near tie."""
    ids = prompt_ids(critic, path, folder)
    ours = greedy(critic, path, 12)
    rows = tiny_gguf.logits(path, ids + ours[:-1])[len(ids) - 1 :]
    usable = tiny.WORDS + len(tiny.SPECIALS)
    faults = []
    for i, token in enumerate(ours):
        row = rows[i][:usable]
        behind = float(row.max() - row[token]) / float(np.abs(row).max())
        if behind > (5e-3 if dtype in PLAIN else 2e-2):
            faults.append(f"token {i}: llama.cpp prefers {int(row.argmax())} to {token} by {behind:.2g}")
    vision = path.with_name("mmproj-" + path.name)
    names = [t.name for t in gguf.GGUFReader(str(vision)).tensors]
    if "mm.0.weight" not in names or "v.patch_embd.weight" not in names or len(set(names)) != len(names):
        faults.append("mmproj lacks tensors")
    gguf.GGUFReader(str(path))
    return faults


def check(critic, source, scratch):
    name = source.name
    kind = "lmms" if "lmms" in name else "hf"
    ids, want = logits(source, kind)
    good = True
    for target in ("safetensors-hf", "safetensors-lmms", "gguf"):
        for dtype in PLAIN + (("q8_0", "q4_0") if target == "gguf" else ()):
            out = scratch / f"{name}.{target}.{dtype}"
            path = out / "model.gguf" if target == "gguf" else out
            if target == "gguf":
                out.mkdir()
            run(critic, "convert", source, path, "--to", target, "--quiet", *(["--dtype", dtype] if dtype != "keep" else []))
            if target == "gguf":
                faults = check_gguf(critic, path, scratch, dtype)
            else:
                got_ids, got = logits(out, kind)
                faults = [] if got_ids == ids else ["ids"]
                faults += [] if torch.equal(got, want) else [f"logits differ by {float((got - want).abs().max()):.2g}"]
                if target == "safetensors-hf" and not opens(out):
                    faults.append("transformers' tokenizer gives other ids")
            good &= not faults
            print(f"{name:18} {target:16} {dtype:5} {'; '.join(faults) or 'equal'}", flush=True)
    return good


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("critic")
    ap.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "tests/tiny")
    args = ap.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        tiny.MODELS["blocks"] = BLOCKS
        writer = tiny.Writer(scratch, "blocks", tiny.train_tokenizer())
        writer.lmms()
        sources = sorted(p for p in args.folder.iterdir() if (p / "config.json").exists())
        good = [check(args.critic, s, scratch) for s in [scratch / "blocks-lmms", *sources]]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
