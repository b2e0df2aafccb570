#!/usr/bin/env python3
"""llama-cpp-python on GGUF files in turns with `critic bench --model`: prefill and decode.

Each turn takes one file: a first prefill that maps its pages and warms the machine, then the
fastest of `--passes` prefills and of `--rounds` rounds of four steps behind that prompt, on both
sides. Turns alternate between the peer's files and critic's. One JSON line a turn, and at the end
one line for each pair of files: how many times as fast critic is, the median of the turns."""
import argparse
import gc
import json
import os
import random
import statistics

import llama_cpp

from common import critic, timed

STEPS = 4  # of a round, as in critic bench


def peer_turn(path, args):
    model = llama_cpp.Llama(path, n_ctx=args.tokens + STEPS + 1, n_batch=args.tokens, n_ubatch=512,
                            verbose=False, n_threads=args.threads, n_threads_batch=args.threads)
    random.seed(0)
    ids = [random.randrange(50000) for _ in range(args.tokens)]

    def prefill():
        model.reset()
        model.eval(ids)

    def steps():
        for i in range(STEPS):
            model.eval([7 * i])

    def round_of_steps():
        model.n_tokens = args.tokens  # eval() drops what lies behind
        return timed(steps) / STEPS

    model.eval(ids[:64])
    result = {"prefill": min(timed(prefill) for _ in range(args.passes))}
    result["decode"] = min(round_of_steps() for _ in range(args.rounds))
    del model
    gc.collect()
    return result


def critic_turn(path, dtype, args):
    flags = ["--model", path, "--dtype", dtype, "--tokens", str(args.tokens), "--threads", str(args.threads)]
    # A pass more than the peer, the first of which maps the file's pages.
    result = {"prefill": critic(args.critic, "prefill", flags, args.tokens, args.passes + 1)[0]}
    seconds, tokens = critic(args.critic, "decode", flags, passes=args.rounds)
    result["decode"] = seconds / tokens
    return result


def named(text):
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=FILE")
    return name, path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--critic", required=True)
    parser.add_argument("--peer", type=named, action="append", required=True, metavar="NAME=FILE",
                        help="a GGUF file for llama.cpp; repeat")
    parser.add_argument("--ours", type=named, action="append", required=True, metavar="DTYPE=FILE",
                        help="critic's --dtype and --model; repeat")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--passes", type=int, default=1, help="of a prefill")
    parser.add_argument("--rounds", type=int, default=6, help="of four steps")
    parser.add_argument("--tokens", type=int, default=1024, help="of the prompt")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    work = [("peer", *p) for p in args.peer]
    for i, ours in enumerate(args.ours):  # between the peer's
        work.insert(min(2 * i + 1, len(work)), ("critic", *ours))
    seen = {}
    for _ in range(args.turns):
        for who, name, path in work:
            result = peer_turn(path, args) if who == "peer" else critic_turn(path, name, args)
            seen.setdefault((who, name), []).append(result)
            print(json.dumps({"who": who, "type": name, "file": os.path.basename(path), "tokens": args.tokens,
                              "threads": args.threads, "prefill_seconds": round(result["prefill"], 3),
                              "decode_ms": round(1000 * result["decode"], 2)}), flush=True)
    for ours, _ in args.ours:
        for name, _ in args.peer:
            pairs = list(zip(seen["critic", ours], seen["peer", name]))
            print(json.dumps({"critic": ours, "peer": f"llama-cpp-python {llama_cpp.__version__} {name}",
                              **{f"{phase}_ratio": round(statistics.median(p[phase] / c[phase] for c, p in pairs), 3)
                                 for phase in ("prefill", "decode")}, "turns": args.turns}), flush=True)


if __name__ == "__main__":
    main()
