#!/usr/bin/env python3
"""Writes synthetic result files of MME, POPE and MMBench, full of edge cases, and what the benchmarks' own rules make of
them, written down here again from their sources (docs/evaluation.md names these).

  plain.py OUTDIR      tests/golden/eval
"""

import json
import pathlib
import random
import string
import sys

rng = random.Random(20251125)

EDGE = ["Yes", "No", "yes", "no", "Yes.", "No.", "yes, there is", "no, there is not", "NO", "YES", "NOT", "not", "Not", "",
        " ", "Yes,", " Yes", "  Yes", "   no", "maybe", "other", "Nope", "I know", "eyes", "y", "n", "Y.", "N", "nothing",
        "There is no dog, but", "There is not.", "It is. no", "n,o", "**Yes**", "\"no\"", "\u201cyes\u201d", "\u00e9 yes",
        "The answer is yes", "unknown", "none", "No way.", "yes no", "no yes", "n.o", "ja", "\u4e0d"]

# ---- MME: eval_tool/calculation.py ---------------------------------------------------------------

PERCEPTION = ["existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"]
COGNITION = ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"]


def mme_reads(text):
    text = text.lower()
    if text in ("yes", "no"):
        return text
    return "yes" if "yes" in text[:4] else "no" if "no" in text[:4] else "other"


def mme_task(path):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    right, both = 0, 0
    for first, second in zip(lines[::2], lines[1::2]):
        hits = 0
        for line in (first, second):
            _, _, answer, prediction = line.split("\t")
            hits += mme_reads(prediction) == answer.lower()
        right += hits
        both += hits == 2
    return right / len(lines), both / (len(lines) // 2)


def mme(out):
    folder = out / "mme"
    folder.mkdir(exist_ok=True)
    tasks = {}
    for i, task in enumerate(PERCEPTION + COGNITION):
        lines = []
        for picture in range(30 if i < 12 else 1 + i % 3):
            for q, answer in enumerate(rng.sample(["Yes", "No"], 2)):
                said = rng.choice(EDGE) if rng.random() < 0.6 else answer
                lines.append(f"{picture:04}.jpg\tIs it {q}? Please answer yes or no.\t{answer}\t{said}\n")
        (folder / f"{task}.txt").write_text("".join(lines), encoding="utf-8")
        acc, plus = mme_task(folder / f"{task}.txt")
        tasks[task] = {"acc": acc, "acc_plus": plus, "score": acc * 100 + plus * 100}
    total = lambda names: sum(tasks[t]["score"] for t in names)
    return {"tasks": tasks, "perception": total(PERCEPTION), "cognition": total(COGNITION)}


# ---- POPE: evaluate.py ---------------------------------------------------------------------------


def pope_reads(text):
    if text.find(".") != -1:
        text = text.split(".")[0]
    words = text.replace(",", "").split(" ")
    return not ("No" in words or "not" in words or "no" in words)


def pope_scores(pairs):
    tp = sum(y and p for y, p in pairs)
    fp = sum(not y and p for y, p in pairs)
    tn = sum(not y and not p for y, p in pairs)
    fn = sum(y and not p for y, p in pairs)
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return {"accuracy": (tp + tn) / len(pairs), "precision": precision, "recall": recall,
            "f1": 2 * precision * recall / (precision + recall), "yes_ratio": (tp + fp) / len(pairs)}


def pope(out):
    labels, answers = [], []
    for i in range(600):
        label = rng.choice(["yes", "no"])
        category = ("random", "popular", "adversarial")[i % 3]
        labels.append({"question_id": i + 1, "image": f"{i // 6:06}.jpg", "text": f"Is there a thing {i % 6} in the image?",
                       "label": label, "category": category})
        said = rng.choice(EDGE) if rng.random() < 0.6 else label.capitalize()
        answers.append({"question": labels[-1]["text"], "answer": said})
    dump = lambda name, rows: (out / name).write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    dump("pope-labels.json", labels)
    dump("pope-answers.jsonl", answers)
    # LLaVA's form, in another order: paired by question_id.
    by_id = [{"question_id": l["question_id"], "prompt": l["text"], "text": a["answer"]} for l, a in zip(labels, answers)]
    rng.shuffle(by_id)
    dump("pope-llava.jsonl", by_id)
    pairs = [(l["label"] == "yes", pope_reads(a["answer"])) for l, a in zip(labels, answers)]
    splits = {c: pope_scores([p for p, l in zip(pairs, labels) if l["category"] == c])
              for c in ("random", "popular", "adversarial")}
    return {**pope_scores(pairs), "splits": splits}


# ---- MMBench: opencompass tools/eval_mmbench.py, lmms-eval mmbench_evals.py; VLMEvalKit matching_util.py ----


def letter_official(reply):
    letters = string.ascii_uppercase[:5]
    words = reply.split()
    if "Failed to obtain answer via API" in reply:
        return None
    bare = [c for c in letters if c in words]
    if len(bare) == 1 and not ("A" in words and len(words) > 3):
        return bare[0]
    for before, after in (("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""),
                          (":", ","), (":", "."), (":", ")"), (":", ").")):
        found = [c for c in letters if before + c + after in words]
        if len(found) == 1:
            return found[0]
    return None


def text_match(reply, options):
    found = [c for c, t in options.items() if t.lower() in reply.lower()]
    return found[0] if len(found) == 1 else None


def letter_vlmeval(reply, options):
    if "Failed to obtain answer via API" in reply:
        return None
    if any(r in reply for r in ("Sorry, I can't help with images of people yet.", "I can't process this file.",
                                "I'm sorry, but without the image provided", "Cannot determine the answer")):
        return "Z"
    for c in ".()[],:;!*#{}":
        reply = reply.replace(c, " ")
    words = reply.split()
    found = [c for c in options if c in words]
    if len(found) == 1:
        return found[0] if words.index(found[0]) > len(words) - 5 else None
    return "Z" if not found and "Z" in words else None


def read_official(reply, options):
    return letter_official(reply) or text_match(reply, options)


def read_vlmeval(reply, options):
    letter = letter_vlmeval(reply, options)
    if letter:
        return letter
    return None if len(reply) > 2 * sum(map(len, options.values())) else text_match(reply, options)


def mmbench(out):
    words = ["cat", "dog", "a red house", "two birds", "the sea", "nothing at all", "Paris", "North", "7", "17"]
    rows = []
    for q in range(60):
        n = rng.choice([2, 3, 4, 4, 4])
        texts = rng.sample(words, n)
        right = texts[0]
        for k in range(n):
            turned = texts[k:] + texts[:k]
            options = dict(zip("ABCDE", turned))
            answer = "ABCDE"[turned.index(right)]
            other = rng.choice([c for c in options if c != answer])
            reply = rng.choice([answer] * 6 + [f"{answer}.", f"({answer})", f"{answer}. {right}", f"The answer is {answer}.",
                f"A cat is what I see, so {answer}", right, right.upper(), f"{other}", f"{answer} or {other}", "", "none",
                f"I see {right} here", f"{answer}) because it is so and the rest of it is long enough to matter",
                "Cannot determine the answer", "Z", f"Answer:{answer}", f"**{answer}**", f"[{answer}]", f"{answer}, {right}",
                f"A {answer}", "line one\n" + answer, "say \"" + right + "\"\tthen " + answer])
            rows.append({"index": q + k * 10**6, "question": f"What is in picture {q}?", **{c: options.get(c, "") for c in "ABCD"},
                         "answer": answer, "category": f"c{q % 5}", "l2-category": f"l{q % 2}", "split": "dev",
                         "prediction": reply})
    columns = list(rows[0])
    quote = lambda v: '"' + v.replace('"', '""') + '"' if any(c in v for c in '\t\n"') else v
    (out / "mmbench.tsv").write_text("\t".join(columns) + "\n" + "".join(
        "\t".join(quote(str(r[c])) for c in columns) + "\n" for r in rows), encoding="utf-8")
    (out / "mmbench.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    expect = {"questions": 60, "rows": len(rows)}
    for name, read in (("official", read_official), ("vlmevalkit", read_vlmeval)):
        hit, letters = {}, [read(r["prediction"], {c: r[c] for c in "ABCD" if r[c]}) for r in rows]
        for r, letter in zip(rows, letters):
            base = r["index"] % 10**6
            hit[base] = hit.get(base, True) and letter == r["answer"]
        groups = lambda key, of: {g: sum(hit[b] for b in hit if of(b) == g) / sum(of(b) == g for b in hit) for g in key}
        expect[name] = {"overall": sum(hit.values()) / 60, "unread": sum(x in (None, "Z") for x in letters),
                        "right": sum(x == r["answer"] for x, r in zip(letters, rows)),
                        "category": groups([f"c{i}" for i in range(5)], lambda b: f"c{b % 5}")}
    return expect


def make(out):
    expect = {"mme": mme(out), "pope": pope(out), "mmbench": mmbench(out)}
    (out / "plain.json").write_text(json.dumps(expect, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: plain.py OUTDIR")
    make(pathlib.Path(sys.argv[1]))
