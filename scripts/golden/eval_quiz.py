#!/usr/bin/env python3
"""POPE, MME and MMBench as they are downloaded, tiny: folders, names and columns of the published files, questions
of our own.   usage: eval_quiz.py OUT_FOLDER

Layouts: POPE output/coco/coco_pope_*.json with COCO's val2014/ beside them; MME_Benchmark_release_version with its two
kinds of task folders; an MMBench TSV (pictures as base64), with and without rotated copies.
"""
import base64
import json
import pathlib
import random
import struct
import sys
import zlib

out = pathlib.Path(sys.argv[1])
rng = random.Random(6)


def png(shade, side=24):
    rows = b"".join(b"\0" + bytes(rng.choice([shade, 90, 200 - shade]) for _ in range(3 * side)) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write(name, data):
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


# POPE: question_ids begin anew in every split
pictures = [f"COCO_val2014_{i:012d}.jpg" for i in (42, 73, 74)]  # the content decides, not the ending
for i, name in enumerate(pictures):
    write(f"pope/val2014/{name}", png(40 * i))
things = ["dog", "car", "person", "chair", "bottle", "bicycle"]
for split in ("random", "popular", "adversarial"):
    rows = []
    for i in range(6):
        thing = rng.choice(things)
        rows.append({"question_id": i + 1, "image": pictures[i // 2], "text": f"Is there a {thing} in the image?",
                     "label": "yes" if i % 2 == 0 else "no"})
    write(f"pope/coco_pope_{split}.json", "".join(json.dumps(r) + "\n" for r in rows))

# MME: texts beside the pictures, or in folders of their own
root = "mme/MME_Benchmark_release_version/MME_Benchmark"
for task in ("existence", "count", "code_reasoning"):
    for i in range(2):
        write(f"{root}/{task}/{i:04d}.{'png' if task == 'code_reasoning' else 'jpg'}", png(30 * i))
        write(f"{root}/{task}/{i:04d}.txt", f"Is there a {things[i]} here? Please answer yes or no.\tYes\n"
                                            f"Is there a {things[i + 2]} here? Please answer yes or no.\tNo")
for i in range(2):
    write(f"{root}/artwork/images/{100 + i}.jpg", png(70 * i))
    write(f"{root}/artwork/questions_answers_YN/{100 + i}.txt",
          "Is this a still life? Please answer yes or no.\tYes\r\n"
          "Is this a portrait? Please answer yes or no.\tNo\r\n")
rows = [{"question_id": f"{task}/{i:04d}.jpg", "image": f"pictures/{i}.png", "question": q, "answer": a,
         "category": task}
        for task in ("existence", "scene") for i in range(2)
        for q, a in (("Is this red? Please answer yes or no.", "Yes"), ("Is this blue? Please answer yes or no.", "No"))]
for i in range(2):
    write(f"mme-import/pictures/{i}.png", png(50 * i))
write("mme-import/mme.jsonl", "".join(json.dumps(r) + "\n" for r in rows))

# MMBench
columns = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category",
           "comment", "split"]
questions = [(241, "Which one is correct?", "nan", ["left", "right", "above", "below"], "B", "spatial"),
             (252, "What is the mood?", "The picture was\ttaken at night.", ["calm", "tense", "", ""], "A", "style"),
             (378, 'What does the "sign" say?', "", ["stop", "go", "wait", ""], "C", "ocr"),
             (401, "How many are there?", "nan", ["1", "2", "3", "4"], "D", "count")]


def tsv(rows):
    def field(x):
        x = str(x)
        return '"' + x.replace('"', '""') + '"' if any(c in x for c in '\t\n"') else x
    return "\t".join(columns) + "\n" + "".join("\t".join(field(x) for x in r) + "\n" for r in rows)


plain, rotated = [], []
for index, question, hint, options, answer, category in questions:
    picture = base64.b64encode(png(rng.randrange(200))).decode()
    n = sum(map(bool, options))
    for k in range(n):
        turned = [options[(i + k) % n] for i in range(n)] + options[n:]
        letter = "ABCD"[(("ABCD".index(answer)) - k) % n]
        row = [index + k * 1000000, question, hint, *turned, letter, category, picture if k == 0 else index, "x",
               "perception", "", "dev"]
        rotated.append(row)
        if k == 0:
            plain.append(row)
write("mmbench/MMBench_DEV_EN.tsv", tsv(plain))
write("mmbench-rotated/mmbench_dev_20230712.tsv", tsv(rotated))
