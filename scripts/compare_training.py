#!/usr/bin/env python3
"""Training steps beside PyTorch: forward and backward (no optimiser) of a Qwen2 decoder on random weights, the same shape, the
same batch, the same machine, alternating.

  compare_training.py TRAIN_STEP [--shape micro|0.5b] [--repeats N] [--modes bf16,f32] [--rank R]

TRAIN_STEP: the program built from bench/train_step.c (cmake --build … --target train_step). PyTorch runs transformers' model with
scaled_dot_product_attention, bf16 as autocast and as f32; the better one counts. Each side's best step is compared; every
time is printed."""

import argparse
import json
import os
import subprocess
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

# layers, width, heads, kv heads, ffn, vocab, tied, sequences, rows
SHAPES = {
    "micro": (6, 256, 4, 4, 704, 4096, 1, 32, 200),
    "0.5b": (24, 896, 14, 2, 4864, 151936, 1, 1, 700),
}


def peer(shape, modes, rank):
    layers, width, heads, kv, ffn, vocab, tied, n, rows = shape
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=width, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=kv, vocab_size=vocab, tie_word_embeddings=bool(tied), max_position_embeddings=32768,
        )
    ).train()  # fmt: skip
    if rank:
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=rank // 2, target_modules=targets, lora_dropout=0.0)).train()
    ids, targets = torch.randint(0, vocab, (2, n, rows))

    def step(mode):
        start = time.perf_counter()
        model.zero_grad(set_to_none=False)
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"):
            logits = model(input_ids=ids).logits
        torch.nn.functional.cross_entropy(logits.float().view(-1, vocab), targets.view(-1)).backward()
        return time.perf_counter() - start

    if layers * width < 10000:  # a large model's first step is like its second
        for mode in modes:
            step(mode)
    return step


def ours(program, shape, mode, threads, repeats, rank):
    args = [program, *map(str, shape), mode, str(threads), str(repeats), str(rank)]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--shape", choices=SHAPES, default="micro")
    parser.add_argument("--rank", type=int, default=0, help="adapters of this rank (LoRA) instead of all parameters")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--modes", default="bf16,f32")
    args = parser.parse_args()
    shape, modes = SHAPES[args.shape], args.modes.split(",")
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    tokens = shape[-1] * shape[-2]
    step = peer(shape, modes, args.rank)
    best = {}
    for mode in modes:
        theirs, mine = [], []
        for _ in range(args.repeats):
            theirs.append(step(mode))
            r = ours(args.program, shape, mode, threads, 1, args.rank)
            mine += r["seconds"]
        best["torch", mode], best["critic", mode] = min(theirs), min(mine)
        for who, times in (("torch", theirs), ("critic", mine)):
            print(f"{args.shape} {mode} {who:6} {tokens / min(times):8.0f} tokens/s   {' '.join(f'{t:.3f}' for t in times)} s", flush=True)
        print(f"  critic memory {r['rss'] / 2**30:.2f} GiB (planned {r['planned'] / 2**30:.2f})")
    torch_best, critic_best = (min(v for (who, _), v in best.items() if who == w) for w in ("torch", "critic"))
    print(f"{args.shape}{f' rank {args.rank}' if args.rank else ''}: {torch_best / critic_best:.2f} times PyTorch {torch.__version__} at its better, {threads} threads")


if __name__ == "__main__":
    main()
