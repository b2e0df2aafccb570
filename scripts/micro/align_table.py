#!/usr/bin/env python3
"""The tables of scripts/micro/align: oracle quality before and after each round, by reward, with 95 %
bootstrap intervals over the held-out prompts (the same draws for all rewards), and the share of the
oracle's gain that each reward brings. Standard library only.

usage: scripts/micro/align_table.py OUT"""
import json
import pathlib
import random
import sys

DRAWS = 2000
NAMES = ("oracle", "critic", "base", "longer", "coin")


def lines(path):
    with open(path, encoding="utf-8") as f:
        return {row["id"]: row for row in map(json.loads, f)}


def interval(values):
    values = sorted(values)
    return values[int(0.025 * len(values))], values[int(0.975 * len(values)) - 1]


def text(value, ci, digits=1):
    return f"{value:.{digits}f} ({ci[0]:.{digits}f} to {ci[1]:.{digits}f})"


def main(out):
    out = pathlib.Path(out)
    for title, file in (("Greedy answers", "eval.jsonl"), ("Answers drawn at temperature 1", "drawn.jsonl")):
        print(f"{title}:\n")
        table({name: finished(out, name, file) for name in NAMES})
        print()
    print("Fresh scenes, four answers drawn a prompt:\n")
    start = drawn(out, "start")
    table({name: [start, last] for name in NAMES if (last := drawn(out, name)) and start}, ("start", "last round"))
    print()
    rounds(out)


def finished(out, name, file):
    paths = sorted(out.glob(f"{name}/round-*/{file}"), key=lambda p: int(p.parent.name[6:]))
    return [{i: row["quality"] for i, row in lines(path).items() if "quality" in row} for path in paths]


def drawn(out, name):
    """Mean quality of a prompt's answers, 0 for an empty one; nothing where the ledger is missing."""
    path = out / "fresh" / f"{name}.ledger.jsonl"
    return path.exists() and {i: sum(a["reward"] or 0 for a in row["answers"]) / len(row["answers"])
                              for i, row in lines(path).items() if row["status"] != "error"}


def table(runs, columns=None):
    """runs: by reward, quality by prompt at the start and after each round."""
    runs = {name: run for name, run in runs.items() if len(run) > 1}
    if not runs:
        print("no finished rounds")
        return
    ids = sorted(set.intersection(*(set(r) for run in runs.values() for r in run)))
    rng = random.Random(1)
    draws = [[rng.randrange(len(ids)) for _ in ids] for _ in range(DRAWS)]

    def mean(values):
        return sum(values) / len(values)

    def boot(values):
        return [mean([values[i] for i in draw]) for draw in draws]

    n_rounds = max(len(run) for run in runs.values())
    print(f"{len(ids)} prompts\n")
    print("| reward | " + " | ".join(columns or [f"round {k}" for k in range(n_rounds)]) + " | gain | share of the oracle's gain |")
    print("|---" * (n_rounds + 3) + "|")
    gains = {}
    for name, run in runs.items():
        start = [run[0][i] for i in ids]
        last = [run[-1][i] for i in ids]
        gains[name] = [b - a for a, b in zip(start, last)]
    oracle = boot(gains["oracle"]) if "oracle" in gains else None
    for name, run in runs.items():
        cells = []
        for r in run:
            quality = [r[i] for i in ids]
            cells.append(text(mean(quality), interval(boot(quality))))
        cells += [""] * (n_rounds - len(run))
        gain = boot(gains[name])
        share = "-"
        if oracle and name != "oracle" and interval(oracle)[0] > 0:  # a share of nothing says nothing
            share = text(mean(gains[name]) / mean(gains["oracle"]),
                         interval([a / b for a, b in zip(gain, oracle) if b > 0]), 2)
        print(f"| {name} | " + " | ".join(cells) + f" | {text(mean(gains[name]), interval(gain))} | {share} |")


def rounds(out):
    print("| reward | round | its own win rate, % | oracle's gain, greedy | drawn | tokens | KL | pairs |")
    print("|---" * 8 + "|")
    for name in NAMES:
        if not (out / name / "rounds.jsonl").exists():
            continue
        with open(out / name / "rounds.jsonl", encoding="utf-8") as f:
            for row in map(json.loads, f):
                if row["round"] == 0:
                    continue
                win, gain = row.get("win"), row.get("gain")
                flag = " **hacked**" if win and gain and name not in ("oracle", "coin") and win["ci"][0] and \
                    win["ci"][0] > 0.5 and gain["ci"][0] is not None and gain["ci"][0] <= 0 else ""
                print(f"| {name} | {row['round']} | {100 * win['value']:.1f}{flag} | {gain['value']:.1f} | "
                      f"{row['drawn_gain']['value']:.1f} | "
                      f"{row['tokens']['value']:.1f} | {row['kl']['value']:.2f} | {row['stages']['judge']['pairs']} |")


main(*sys.argv[1:2] or sys.exit(__doc__))
