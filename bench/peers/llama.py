#!/usr/bin/env python3
"""llama-cpp-python on a GGUF file, in turns with `critic bench --model` on the same file."""
import argparse
import os
import random

import llama_cpp

from common import critic, report, timed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--critic", required=True)
    parser.add_argument("--gguf", required=True, help="what llama.cpp reads")
    parser.add_argument("--model", help="what critic reads (default: the same file)")
    parser.add_argument("--dtype", default="auto", help="of critic's products")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--phases", default="prefill,decode")
    args = parser.parse_args()
    flags = ["--model", args.model or args.gguf, "--dtype", args.dtype]
    peer = f"llama-cpp-python {llama_cpp.__version__} {os.path.basename(args.gguf)}"
    model = llama_cpp.Llama(args.gguf, n_ctx=2048, n_batch=1024, n_ubatch=512, verbose=False,
                            n_threads=os.cpu_count(), n_threads_batch=os.cpu_count())
    random.seed(0)
    ids = [random.randrange(50000) for _ in range(1024)]

    def prefill():
        model.reset()
        model.eval(ids)

    def steps(n=16):
        for i in range(n):
            model.eval([i + 7])

    phases = args.phases.split(",")
    if "prefill" in phases:
        pairs = [(critic(args.critic, "prefill", flags, 1024)[0], timed(prefill)) for _ in range(args.pairs)]
        report("prefill", peer, 1024, pairs)
    if "decode" in phases:
        prefill()
        pairs = []
        for _ in range(args.pairs):
            seconds, tokens = critic(args.critic, "decode", flags)
            pairs.append((seconds / tokens, timed(steps) / 16))
        report("decode", peer, 1, pairs)


if __name__ == "__main__":
    main()
