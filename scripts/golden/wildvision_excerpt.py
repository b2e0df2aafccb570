#!/usr/bin/env python3
"""Cuts WildVision-Bench judgements down to what their verdicts need: of a text with labels the last 60 characters
before the last one, and a line for every further label; texts without a label are kept to 200 characters.

  wildvision_excerpt.py OUTDIR FILE.jsonl …
"""

import json
import pathlib
import re
import sys

LABEL = re.compile(r"\[\[[AB<>=]+\]\]")


def excerpt(text):
    if text is None or len(text) <= 200:
        return text
    labels = LABEL.findall(text)
    if not labels:
        return text[:200]
    end = text.rindex(labels[-1])
    return "\n".join([*labels[:-1], "…" + text[max(0, end - 60):end + len(labels[-1])]])


def main():
    out = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:]:
        rows = [json.loads(line) for line in open(name, encoding="utf-8")]
        for row in rows:
            cut = excerpt(row["judgment"])
            assert set(LABEL.findall(cut or "")) == set(LABEL.findall(row["judgment"] or ""))
            row["judgment"] = cut
            if row["score"] and len(row["score"]) > 200 and not LABEL.search(row["score"]):
                row["score"] = row["score"][:200]
        (out / pathlib.Path(name).name).write_text(
            "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
