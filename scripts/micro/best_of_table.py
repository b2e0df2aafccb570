#!/usr/bin/env python3
"""The tables of scripts/micro/best-of: oracle quality of the chosen answer with 95 % bootstrap intervals
over prompts. Standard library only.

usage: scripts/micro/best_of_table.py OUT/best-of"""
import json
import pathlib
import random
import sys

DRAWS = 2000


def lines(path):
    with open(path, encoding="utf-8") as f:
        return {row["id"]: row for row in map(json.loads, f) if row.get("status", "ok") != "error"}


def mean(values):
    return sum(values) / len(values)


def text(values, digits=1):
    rng = random.Random(1)
    n = len(values)
    means = sorted(mean([values[rng.randrange(n)] for _ in range(n)]) for _ in range(DRAWS))
    return f"{mean(values):.{digits}f} ({means[int(0.025 * DRAWS)]:.{digits}f} to {means[int(0.975 * DRAWS) - 1]:.{digits}f})"


def rewards(row, n):
    """None where nothing was said of an answer; a repeated answer has its twin's."""
    return [a["reward"] for a in row["answers"][:n]]


def chosen(row, n):
    given = rewards(row, n)
    best = [r if r is not None else float("-inf") for r in given]
    return best.index(max(best))


def main(out):
    out = pathlib.Path(out)
    oracle, critic = lines(out / "oracle.ledger.jsonl"), lines(out / "critic.ledger.jsonl")
    ids = [i for i in oracle if i in critic]
    quality = {i: [r or 0 for r in rewards(oracle[i], 16)] for i in ids}
    print(f"{len(ids)} prompts; tokens: written by the policy and by the critic, a prompt\n")
    print("| N | by the critic | by the oracle | at random | tokens |\n|---|---|---|---|---|")
    cost = {}
    for n in (1, 2, 4, 8, 16):
        by_critic = [quality[i][chosen(critic[i], n)] for i in ids]
        by_oracle = [max(quality[i][:n]) for i in ids]
        at_random = [mean(quality[i][:n]) for i in ids]
        written = mean([sum(a["tokens"] for a in critic[i]["answers"][:n]) for i in ids])
        judged = mean([critic[i]["judge_usage"]["completion_tokens"] for i in ids]) * n / 16 if n > 1 else 0
        cost[n] = written + judged
        print(f"| {n} | {text(by_critic)} | {text(by_oracle)} | {text(at_random)} | {cost[n]:.0f} |")

    refined, scores = lines(out / "refined.jsonl"), lines(out / "refined-scores.jsonl")
    some = [i for i in refined if "scores" in scores.get(i, {})]
    if not some:
        return
    tokens = mean([refined[i]["refined"]["usage"]["completion_tokens"] for i in some])
    kept = mean([refined[i]["refined"]["best"] > 0 for i in some])
    print(f"\nSelf-critique, two rounds, {len(some)} prompts, {tokens:.0f} tokens a prompt, a revision kept in "
          f"{100 * kept:.0f} %:\n")
    print("| | quality |\n|---|---|")
    print(f"| greedy draft | {text([scores[i]['scores'][0] for i in some])} |")
    print(f"| refined | {text([scores[i]['scores'][1] for i in some])} |")
    n = max(k for k in range(1, 17) if k == 1 or cost[16] * k / 16 <= tokens)
    print(f"| best of {n} by the critic, {cost[16] * n / 16:.0f} tokens | "
          f"{text([quality[i][chosen(critic[i], n)] for i in some])} |")


main(*sys.argv[1:2] or sys.exit(__doc__))
