#!/usr/bin/env python3
"""Small files in the exact schema of the published benchmarks, from a seed; what critic eval run prints on
them is computed here a second time, by other code.   usage: eval_synthetic.py OUT_FOLDER

Schemas: the data cards and repositories named in src/eval/exam_table.c. Nothing in them is published data.
"""
import base64
import json
import pathlib
import random
import struct
import sys
import zlib

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
rng = random.Random(5)


def png(shade):
    rows = b"".join(b"\0" + bytes([shade, 90, 200 - shade]) * 8 for _ in range(6))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def lines(name, rows):
    (out / name).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


(out / "images").mkdir(exist_ok=True)
for i in range(4):
    (out / "images" / f"{i}.png").write_bytes(png(40 * i))

# VL-RewardBench: the import's JSON lines, and the TSV with base64 pictures and a list literal
prefixes = ["RLAIF-V_", "RLHF-V-", "hallucination_", "mathverse_", "mmmu_", "wildvision-battle_", "vlfb_"]
vlrb = []
for i in range(42):
    words = ["cat", "\u732b", "dog", "caf\u00e9", "red", "on", "the"]
    answers = [" ".join(rng.choice(words) for _ in range(rng.randint(1, 9))) for _ in range(2)]
    vlrb.append({"id": f"{prefixes[i % 7]}{i}", "query": "<image>\nWhat is it?" if i % 2 else "What is it?",
                 "response": answers, "image": f"images/{i % 4}.png",
                 "human_ranking": rng.choice([[0, 1], [1, 0]]), "models": ["m1", "m2"], "judge": "j",
                 "rationale": "", "query_source": "", "ground_truth": ""})
lines("vl_rewardbench.jsonl", vlrb)
with open(out / "vl_rewardbench.tsv", "w", encoding="utf-8") as f:
    f.write("index\timage\tquestion\tresponse\tanswer\tcategory\n")
    for i, r in enumerate(vlrb):
        field = str(r["response"]).replace('"', '""')
        f.write(f"{r['id']}\t{base64.b64encode(png(40 * (i % 4))).decode() * 1}\t\"{r['query']}\"\t\"{field}\"\t"
                f"{r['human_ranking']}\tx\n")

# its own output: K = 3 samples, a coin for the order, raw text
verdicts = []
for r in vlrb:
    for k in range(3):
        swapped = rng.random() < 0.5
        said = rng.choice(["1", "2", "1", "2", "3", None])
        text = (f"Because.\n**Overall Judgment**: Answer {said} is slightly better." if said else "I cannot say.")
        verdicts.append({"id": r["id"], "meta": {"filter_choice": text, "random_number": int(swapped)}})
lines("vlrb_output.jsonl", verdicts)

# a judge that takes whatever stands first, asked in both orders
lines("vlrb_first.jsonl", [{"id": r["id"], "meta": {"filter_choice": "Overall Judgment: Answer 1 is better.",
                                                     "random_number": swapped}} for r in vlrb for swapped in (0, 1)])

# Multimodal RewardBench
lines("mmrb_rows.jsonl", [])
rows = [{"ID": ("pairs" if i % 3 else "math") + str(i), "Text": "Which?", "Image": f"images/{i % 4}.png",
         "Output1": "one " * (i % 5 + 1), "Output2": "two", "Better": rng.choice(["Output1", "Output2"]),
         "Category": ["safety", "reasoning", "vqa"][i % 3]} for i in range(18)]
(out / "all_data.json").write_text(json.dumps(rows))
(out / "mmrb_rows.jsonl").unlink()

# MM-RLHF-RewardBench: several rows share an id
lines("mm_reward_bench.jsonl", [
    {"id": f"p{i // 2}", "prompt": "Which?", "chosen": "good " * (1 + i % 4), "rejected": "bad bad",
     "chosen_reason": "", "rejected_reason": "", "image": f"images/{['mcq', 'long', 'short'][i % 3]}/../{i % 4}.png"}
    for i in range(12)])
for d in ("mcq", "long", "short"):
    (out / "images" / d).mkdir(exist_ok=True)
    (out / "images" / d / ".keep").write_text("")

# MLLM-as-a-Judge; "human" is sometimes a number, sometimes a numeric text
lines("score.jsonl", [
    {"score_id": i, "id": i // 2, "name": f"m{i % 3}", "instruction": "Describe.", "image_path": f"images/{i % 4}.png",
     "answer": "x" * rng.randint(1, 400), "original_dataset": ["coco", "c3"][i % 2],
     "human": rng.randint(1, 5) if i % 2 else str(rng.randint(1, 5))} for i in range(40)])
lines("pair.jsonl", [
    {"id": i, "pair_id": f"q{i}", "image_path": f"images/{i % 4}.png", "original_dataset": ["coco", "c3"][i % 2],
     "instruction": "Describe.", "answer1": {"name": f"m{i % 3}", "answer": "a" * rng.randint(1, 30)},
     "answer2": {"name": f"m{(i + 1) % 3}", "answer": "b" * rng.randint(1, 30)},
     "human_answer": rng.choice("ABC")} for i in range(30)])
lines("batch.jsonl", [
    {"id": i, "instruction": "Describe.", "image_path": f"images/{i % 4}.png", "original_dataset": "coco",
     "answers": [{"name": f"m{k}", "answer": "w" * rng.randint(1, 99)} for k in range(3 + i % 2)],
     "human_answer": "".join(rng.sample("ABCD"[:3 + i % 2], 3 + i % 2))} for i in range(10)])

# candidates: WildVision-Bench column, LLaVA-Bench, Wilder, MMHal, MM-Vet, captions
lines("wildvision_bench.jsonl", [
    {"question_id": f"w{i}", "instruction": "What?", "image": f"images/{i % 4}.png", "language": "English",
     "claude-3-sonnet-20240229": "base " * 3, "mine": "mine " * (i % 6)} for i in range(12)])
lines("llava_bench.jsonl", [
    {"question_id": i, "question": "What?", "caption": ["a cat", "on a sofa"], "gpt_answer": "ref " * 4,
     "category": ["conv", "detail", "complex"][i % 3]} for i in range(9)])
lines("llava_wilder.jsonl", [{"Question": "What?", "Answer": "ref", "image": f"images/{i % 4}.png"} for i in range(5)])
lines("answers.jsonl", [{"question_id": i, "text": f"answer {i}"} for i in range(40)])
(out / "mmhal_bench.json").write_text(json.dumps([
    {"image_content": ["cat", "sofa"], "question": "What?", "gt_answer": "A cat.", "model_answer": f"answer {i}",
     "question_type": "attribute", "image_id": "x"} for i in range(16)]))
lines("mm_vet.jsonl", [{"question_id": i, "question": "What?", "answer": "cat<AND>sofa", "capability": c}
                       for i, c in enumerate(["ocr,math", "rec", "rec,know,gen", "ocr", "spat"])])
lines("image_dc.jsonl", [{"question_id": i, "question": "Describe.", "answer": "ref", "image": f"images/{i % 4}.png"}
                         for i in range(4)])
lines("video_dc.jsonl", [{"video_name": "v", "question_id": i, "question": "Describe.", "answer": "ref"}
                         for i in range(4)])

# the paper's in-domain protocol and WildVision Arena's votes
text = random.Random(7)
lines("in_domain_pointwise.jsonl", [
    {"id": f"{b}-{q}-{m}", "question_id": f"{b}-{q}", "benchmark": b, "question": "Describe.", "reference": "A cat.",
     "images": [f"images/{q % 4}.png"], "response": "x" * text.randint(1, 60 + 90 * m), "model": f"model-{m}",
     "score": round(text.uniform(0, 60) + 12 * m, 1)}
    for b in ("MMVet", "LLaVA-W", "MMHal") for q in range(6) for m in range(4)])


def battle(i):
    first, second = text.sample(range(4), 2)
    return {"question": "Which is better?", "images": [f"images/{i % 4}.png"], "model_a": f"model-{first}",
            "model_b": f"model-{second}", "response_a": "a" * text.randint(1, 20 + 20 * first),
            "response_b": "b" * text.randint(1, 20 + 20 * second),
            "winner": text.choice(["model_a", "model_b", "tie", "model_a" if first > second else "model_b"])}


battles = [battle(i) for i in range(48)]
lines("in_domain_pairwise.jsonl", [{"id": f"b{i}", "question_id": f"q{i // 2}", "benchmark": "WildVision", **b}
                                   for i, b in enumerate(battles)])
# the arena's release: conversations, and two kinds of tie
lines("wildvision_arena.jsonl", [
    {"question_id": f"b{i}", "model_a": b["model_a"], "model_b": b["model_b"], "language": ["English", "German"][i % 2],
     "winner": "tie (bothbad)" if b["winner"] == "tie" and i % 2 else b["winner"], "image": b["images"][0],
     "conversation_a": [{"role": "user", "content": b["question"]}, {"role": "assistant", "content": b["response_a"]}],
     "conversation_b": [{"role": "user", "content": b["question"]}, {"role": "assistant", "content": b["response_b"]}]}
    for i, b in enumerate(battles)])

# ---- expected figures, by other code ------------------------------------------------------------------
import re

expected = {}


def group_of(i):
    prefix = re.split("[_-]", i)[0]
    return {"RLAIF": "hallucination", "RLHF": "hallucination", "hallucination": "hallucination",
            "mathverse": "reasoning", "mmmu": "reasoning"}.get(prefix, "general")


counts = {}
for r in vlrb:
    votes = []
    for v in verdicts:
        if v["id"] != r["id"]:
            continue
        text = v["meta"]["filter_choice"].replace("\n", "").replace("*", "")
        m = re.search(r"(?:overall judgment|therefore).*answer (\d+) is (?:the )?(?:slightly )?better", text, re.I)
        preferred = r["human_ranking"].index(0) + 1
        rejected = 3 - preferred
        if v["meta"]["random_number"]:
            rejected = 3 - rejected
        votes.append(None if not m else int(m.group(1)) != rejected)
    for verdict in (True, False):
        if 2 * votes.count(verdict) > len(votes):
            counts.setdefault(group_of(r["id"]), []).append(verdict)
everything = sum(counts.values(), [])
expected["vlrb overall"] = 100 * sum(everything) / len(everything)
expected["vlrb macro"] = sum(100 * sum(c) / len(c) for c in counts.values()) / len(counts)
expected["vlrb n"] = len(everything)



def parity(length):  # lmms-eval, VLMEvalKit: swapped where the lengths' sum is odd; the first slot wins
    right = [r["human_ranking"][sum(map(length, r["response"])) % 2] == 0 for r in vlrb]
    return 100 * sum(right) / len(right)


expected["vlrb parity"] = parity(len)
assert parity(len) != parity(lambda s: len(s.encode())), "code points have to matter"

score_rows = [json.loads(line) for line in open(out / "score.jsonl")]


def pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return xy / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5


by = {}
for r in score_rows:
    n = len(r["answer"])
    by.setdefault(r["original_dataset"], []).append((1 + int(n / (n + 400) * 4 + 0.5), float(r["human"])))
expected["mllm-score longer"] = sum(pearson(*zip(*v)) for v in by.values()) / len(by)

pairs = [json.loads(line) for line in open(out / "pair.jsonl")]
right = []
for r in pairs:
    a, b = len(r["answer1"]["answer"]), len(r["answer2"]["answer"])
    right.append(("A" if a > b else "B" if b > a else "C") == r["human_answer"])
expected["mllm-pair longer"] = 100 * sum(right) / len(right)

from math import log


def tau_b(x, y):
    signs = [((x[i] > x[j]) - (x[i] < x[j]), (y[i] > y[j]) - (y[i] < y[j])) for i in range(len(x)) for j in range(i)]
    p = sum(a * b for a, b in signs)
    return p / (sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs)) ** 0.5


def longer_score(n):  # the pointwise template's 0 to 100
    return int(n / (n + 400) * 100 + 0.5)


points = [json.loads(line) for line in open(out / "in_domain_pointwise.jsonl")]
rs, taus = [], []
for bench in ("MMVet", "LLaVA-W", "MMHal"):
    mine = [r for r in points if r["benchmark"] == bench]
    rs.append(pearson([longer_score(len(r["response"])) for r in mine], [r["score"] for r in mine]))
    means = [[sum(f(r) for r in mine if r["model"] == f"model-{m}") / 6 for m in range(4)]
             for f in (lambda r: longer_score(len(r["response"])), lambda r: r["score"])]
    taus.append(tau_b(*means))
expected["in-domain pointwise longer"] = sum(rs) / 3
expected["in-domain pointwise tau"] = sum(taus) / 3

verdicts = [(lambda a, b: 0.5 if a == b else float(a > b))(len(b["response_a"]), len(b["response_b"])) for b in battles]
votes = [{"model_a": 1.0, "model_b": 0.0, "tie": 0.5}[b["winner"]] for b in battles]
strict = [(v, h) for v, h in zip(verdicts, votes) if h != 0.5]
decisive = [(v, h) for v, h in strict if v != 0.5]
expected["pairwise with ties"] = 100 * sum(v == h for v, h in zip(verdicts, votes)) / 48
expected["pairwise strict"] = 100 * sum(v == h for v, h in strict) / len(strict)
expected["pairwise decisive"] = 100 * sum(v == h for v, h in decisive) / len(decisive)


def strengths(won):  # Bradley-Terry by minorise-maximise (Hunter 2004), a tie half a win each way
    p = [1.0] * 4
    wins = [0.0] * 4
    met = [[0] * 4 for _ in range(4)]
    for b, w in zip(battles, won):
        i, j = int(b["model_a"][-1]), int(b["model_b"][-1])
        wins[i] += w
        wins[j] += 1 - w
        met[i][j] += 1
        met[j][i] += 1
    for _ in range(20000):
        p = [wins[i] / sum(met[i][j] / (p[i] + p[j]) for j in range(4) if j != i) for i in range(4)]
        p = [x / sum(p) for x in p]
    return [log(x) for x in p]


expected["pairwise tau"] = tau_b(strengths(verdicts), strengths(votes))

(out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
