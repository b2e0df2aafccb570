#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c from what unicode_tables.py found by asking the
reference tokenizer.

  unicode_source.py RANGES.json > src/text/unicode_tables.c
"""

import json
import sys

HEAD = """/* Written by scripts/golden/unicode_source.py from tokenizers %s: every code point was
 * put through the reference. Not to be edited. */
#include "text/unicode_tables.h"

#include "base/checked.h"

/* clang-format off */
"""


def rows(items, per_line):
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return ",\n".join("    " + line for line in lines)


def class_steps(data):
    """Where the class changes, as (code point << 2 | class from there on)."""
    spans = []
    for value, key in ((1, "letter"), (2, "number"), (3, "space")):
        spans += [(a, b, value) for a, b in data[key]]
    spans.sort()
    steps, at = [(0, 0)], 0
    for a, b, value in spans:
        if a > at:
            if steps[-1][1] != 0:
                steps.append((at, 0))
        if steps[-1][0] == a:
            steps.pop()
        steps.append((a, value))
        at = b + 1
    steps.append((at, 0))
    return [f"0x{a << 2 | v:06X}" for a, v in steps]


def merge(points):
    out = []
    for point, value in sorted(points):
        if out and out[-1][1] == point - 1 and out[-1][2] == value:
            out[-1][1] = point
        else:
            out.append([point, point, value])
    return out


def unstable(data):
    """Code points whose presence means that a text may not be in NFC."""
    classes = dict(map(tuple, data["combining_class"]))
    composites = {c for _, _, c in data["composition"]}
    points = set(classes)
    points |= {c for c, _ in data["decomposition"] if c not in composites}
    points |= {b for _, b, _ in data["composition"]}
    points |= set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    return points


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        data = json.load(f)
    print(HEAD % data["tokenizers"])
    print("const uint32_t cr_char_steps[] = {\n" + rows(class_steps(data), 8) + "};")
    print("const size_t cr_n_char_steps = CR_COUNT(cr_char_steps);\n")
    spans = [f"{{0x{a:04X}, 0x{b:04X}, {v}}}" for a, b, v in merge(map(tuple, data["combining_class"]))]
    print("const struct cr_class_span cr_combining_spans[] = {\n" + rows(spans, 3) + "};")
    print("const size_t cr_n_combining_spans = CR_COUNT(cr_combining_spans);\n")
    spans = [f"{{0x{a:04X}, 0x{b:04X}, 1}}" for a, b, _ in merge((p, 1) for p in unstable(data))]
    print("const struct cr_class_span cr_unstable_spans[] = {\n" + rows(spans, 3) + "};")
    print("const size_t cr_n_unstable_spans = CR_COUNT(cr_unstable_spans);")


if __name__ == "__main__":
    main()
