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
    kept = mean([refined[i]["refined"]["best"] > 0 for i in some])
    print(f"\nSelf-critique, two rounds, {len(some)} prompts, a revision kept in {100 * kept:.0f} %; tokens a prompt of policy and "
          "critic: prompts computed and text written\n")
    print("| | quality | computed | written | all |\n|---|---|---|---|---|")
    usage = [refined[i]["refined"]["usage"] for i in some]
    spent = cost_of(usage)
    print(f"| greedy draft | {text([scores[i]['scores'][0] for i in some])} | | | |")
    print(f"| refined | {text([scores[i]['scores'][1] for i in some])} | {cells(spent)} |")
    print(f"| refined less the draft | {text([scores[i]['scores'][1] - scores[i]['scores'][0] for i in some])} | | | |")
    best_of = {}
    for path in sorted(out.glob("cost-*.jsonl"), key=lambda p: int(p.stem[5:])):
        n = int(path.stem[5:])
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        parts = [cost_of([row[stage] for row in rows]) for stage in ("sampling", "judging")]
        whole = [x + y for x, y in zip(*parts)]
        best_of[n] = sum(whole), [quality[i][chosen(critic[i], n)] for i in some]
        print(f"| best of {n} by the critic | {text(best_of[n][1])} | {cells(whole)} |")
    equal(sum(spent), best_of, [scores[i]["scores"][1] for i in some])


def cost_of(usage):
    computed = mean([u["prompt_tokens"] - u["cached_tokens"] for u in usage])
    return [computed, mean([u["completion_tokens"] for u in usage])]


def cells(cost):
    return " | ".join(f"{x:.0f}" for x in (*cost, sum(cost)))


def equal(tokens, best_of, refined):
    """Best of N at exactly so many tokens: the counts next to it, mixed in the share that gives them."""
    below = max((n for n in best_of if best_of[n][0] <= tokens), default=None)
    above = min((n for n in best_of if best_of[n][0] > tokens), default=None)
    if below is None or above is None:
        print("\nno count of answers on either side of that many tokens: set COUNTED")
        return
    share = (tokens - best_of[below][0]) / (best_of[above][0] - best_of[below][0])
    mixed = [(1 - share) * x + share * y for x, y in zip(best_of[below][1], best_of[above][1])]
    print(f"| best of {below} or {above}, {100 * share:.0f} % of prompts the latter | {text(mixed)} | | | {tokens:.0f} |")
    print(f"| refined less that | {text([r - m for r, m in zip(refined, mixed)])} | | | |")


main(*sys.argv[1:2] or sys.exit(__doc__))
