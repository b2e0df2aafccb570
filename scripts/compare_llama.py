#!/usr/bin/env python3
"""Holds critic against llama.cpp on one text-only GGUF: greedy tokens and their
log-probabilities.

  compare_llama.py CRITIC MODEL.gguf [--tokens 32] [--prompt TEXT]...

Needs llama-cpp-python (scripts/golden/requirements.txt). critic is asked through
`critic tokenize` and `critic forward --raw` only: the whole sequence that llama.cpp made is
put through one forward pass, so that every position is compared on the same prefix. Leaves
with 1 if token ids differ, or if a token that llama.cpp chose is not critic's best either,
unless the two best are nearer than --tie.

  compare_llama.py - MODEL.gguf --write OUT.json

only writes what llama.cpp says, for the slow test (tests/golden/coder-gguf.json).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np
from safetensors.numpy import load_file

PROMPTS = [
    "Write a C function that returns the larger of two integers.",
    "Which answer is better, and why? Answer A: 2 + 2 = 4. Answer B: 2 + 2 = 5.",
    "List three primary colours.",
]
TEMPLATE = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def greedy(model, ids, count):
    """llama.cpp's own continuation and the log-probabilities at every step."""
    model.reset()
    model.eval(ids)
    chosen, rows = [], []
    for _ in range(count):
        pointer = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        row = np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),)).copy()
        rows.append(row)
        token = int(row.argmax())
        chosen.append(token)
        if token in (model.token_eos(),):
            break
        model.eval([token])
    return chosen, log_softmax(np.stack(rows))


def critic_logits(args, text, rows):
    with tempfile.TemporaryDirectory() as folder:
        prompt, out = pathlib.Path(folder, "prompt.txt"), pathlib.Path(folder, "dump.safetensors")
        prompt.write_bytes(text.encode())
        command = [args.critic, "forward", "--model", args.model, "--raw", "--prompt-file", str(prompt)]
        command += ["--dump", str(out), "--logits-last", str(rows), "--dtype", args.dtype]
        subprocess.run(command, check=True)
        got = load_file(out)
    return got["input_ids"].tolist(), got["logits"]


def write(args, model):
    prompts = []
    for prompt in PROMPTS:
        ids = model.tokenize(TEMPLATE.format(prompt).encode(), add_bos=False, special=True)
        chosen, logs = greedy(model, ids, args.tokens)
        best = np.sort(logs, axis=1)
        prompts.append(
            {
                "text": TEMPLATE.format(prompt),
                "ids": ids,
                "greedy": chosen,
                "logprobs": [round(float(logs[i, t]), 5) for i, t in enumerate(chosen)],
                "leads": [round(float(x), 5) for x in best[:, -1] - best[:, -2]],
            }
        )
    name = pathlib.Path(args.model).name
    data = {"file": name, "bytes": pathlib.Path(args.model).stat().st_size, "llama_cpp_python": llama_cpp.__version__, "prompts": prompts}
    pathlib.Path(args.write).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def compare(args, model, prompt):
    text = TEMPLATE.format(prompt)
    ids = model.tokenize(text.encode(), add_bos=False, special=True)
    chosen, theirs = greedy(model, ids, args.tokens)
    written = model.detokenize(chosen[:-1], special=True).decode()
    got_ids, logits = critic_logits(args, text + written, len(chosen))
    if got_ids != ids + chosen[:-1]:
        print(json.dumps({"prompt": prompt, "ids": got_ids, "llama": ids + chosen[:-1]}))
        return False
    ours = log_softmax(logits)
    at = np.arange(len(chosen))
    difference = np.abs(ours[at, chosen] - theirs[at, chosen])
    behind = ours.max(axis=1) - ours[at, chosen]
    lead = np.sort(theirs, axis=1)[:, -1] - np.sort(theirs, axis=1)[:, -2]
    print(
        f"{len(ids)} + {len(chosen)} tokens: same choice {int((behind == 0).sum())} of {len(chosen)}, "
        f"log-probability of the choice differs by at most {difference.max():.3g}, on average {difference.mean():.3g}; "
        f"smallest lead {lead.min():.3g}"
    )
    print("  " + written.replace("\n", "\\n"))
    return bool((behind <= args.tie).all())


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("critic")
    ap.add_argument("model")
    ap.add_argument("--tokens", type=int, default=32)
    ap.add_argument("--prompt", action="append")
    ap.add_argument("--dtype", default="auto")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--write")
    ap.add_argument("--tie", type=float, default=0.05)
    args = ap.parse_args()
    model = llama_cpp.Llama(args.model, n_ctx=1024, n_threads=args.threads, n_threads_batch=args.threads, logits_all=False, verbose=False)
    if args.write:
        return write(args, model)
    good = [compare(args, model, p) for p in args.prompt or PROMPTS]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
