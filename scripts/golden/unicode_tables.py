#!/usr/bin/env python3
"""Unicode tables of the reference tokenizer, found by asking it.

The regex engine and the NFC inside the `tokenizers` wheel carry their own
Unicode versions. Nothing here trusts a table: every code point is put through
the engine, and what it answers is written down as ranges.

  unicode_tables.py --json OUT.json     ranges as JSON
  unicode_tables.py --c OUT.h           the same as C arrays
  unicode_tables.py --utf8proc LIB.so   also compare NFC with a utf8proc build
"""

import argparse
import ctypes
import json
import random
import sys

import tokenizers
from tokenizers import Regex, normalizers

SURROGATES = range(0xD800, 0xE000)
LAST = 0x10FFFF


def code_points():
    for cp in range(LAST + 1):
        if cp not in SURROGATES:
            yield cp


def ranges(members):
    out = []
    for cp in sorted(members):
        # A gap that holds only surrogates is not a gap: UTF-8 cannot say them.
        if out and (cp == out[-1][1] + 1 or (cp == 0xE000 and out[-1][1] == 0xD7FF)):
            out[-1][1] = cp
        else:
            out.append([cp, cp])
    return out


def matching(pattern):
    """Code points that the reference's regex engine matches with `pattern`."""
    drop = normalizers.Replace(Regex(pattern), "")
    return {cp for cp in code_points() if drop.normalize_str(chr(cp)) == ""}


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def contractions():
    """Suffixes (as code point lists) that follow ' in a contraction, ASCII ones included."""
    drop = normalizers.Replace(Regex(CONTRACTIONS), "")
    found = []
    for cp in code_points():
        if drop.normalize_str("'" + chr(cp)) == "":
            found.append([cp])
    singles = {chr(s[0]) for s in found}
    for cp in code_points():
        c = chr(cp)
        for a in "rvlRVLeE":
            for pair in (a + c, c + a):
                if pair[0] in singles or [ord(x) for x in pair] in found:
                    continue
                if drop.normalize_str("'" + pair) == "":
                    found.append([ord(x) for x in pair])
    return found


class Nfc:
    """The reference's NFC and NFD, with everything a C copy needs to know about them."""

    def __init__(self):
        self.nfc = normalizers.NFC()
        self.nfd = normalizers.NFD()

    def decompositions(self):
        out = {}
        for cp in code_points():
            d = self.nfd.normalize_str(chr(cp))
            if d != chr(cp):
                out[cp] = [ord(c) for c in d]
        return out

    def reorders(self, first, second):
        return self.nfd.normalize_str(chr(first) + chr(second)) == chr(second) + chr(first)

    def combining_classes(self, decompositions):
        """Class of every mark, found from how pairs are put in canonical order."""
        # One mark of each class that Unicode has, by its stable published value.
        probes = {
            1: 0x334, 6: 0x16FF0, 7: 0x93C, 8: 0x3099, 9: 0x94D, 10: 0x5B0, 11: 0x5B1, 12: 0x5B2,
            13: 0x5B3, 14: 0x5B4, 15: 0x5B5, 16: 0x5B6, 17: 0x5B7, 18: 0x5B8, 19: 0x5B9,
            20: 0x5BB, 21: 0x5BC, 22: 0x5BD, 23: 0x5BF, 24: 0x5C1, 25: 0x5C2, 26: 0xFB1E,
            27: 0x64B, 28: 0x64C, 29: 0x64D, 30: 0x64E, 31: 0x64F, 32: 0x650, 33: 0x651,
            34: 0x652, 35: 0x670, 36: 0x711, 84: 0xC55, 91: 0xC56, 103: 0xE38, 107: 0xE48,
            118: 0xEB8, 122: 0xEC8, 129: 0xF71, 130: 0xF72, 132: 0xF74, 202: 0x321, 214: 0x1DCE,
            216: 0x31B, 218: 0x302A, 220: 0x316, 222: 0x59A, 224: 0x302E, 226: 0x1D16D,
            228: 0x5AE, 230: 0x301, 232: 0x315, 233: 0x35C, 234: 0x35D, 240: 0x345,
        }  # fmt: skip
        values = sorted(probes)
        usable = []
        for v in values:
            # A probe that the engine treats as class 0 tells nothing; report and drop it.
            if self.reorders(0x345, probes[v]) or v == 240:
                usable.append(v)
            else:
                print(f"note: probe U+{probes[v]:04X} of class {v} is class 0 here", file=sys.stderr)
        classes = {}
        for cp in code_points():
            if cp in decompositions:
                continue
            # Class 0 never moves. A mark either moves before a class-240 mark or, being
            # itself 240 or more, makes a class-1 mark move before it.
            if not (self.reorders(0x345, cp) or self.reorders(cp, probes[1])):
                continue
            if cp in probes.values():  # a mark and itself cannot be told apart
                classes[cp] = next(v for v in usable if probes[v] == cp)
                continue
            below = [v for v in usable if self.reorders(cp, probes[v])]  # v < class
            above = [v for v in usable if self.reorders(probes[v], cp)]  # v > class
            equal = [v for v in usable if v not in below and v not in above]
            if len(equal) != 1:
                raise SystemExit(f"U+{cp:04X}: class between {max(below)} and {min(above)}, no probe for it")
            classes[cp] = equal[0]
        return classes

    def compositions(self, decompositions):
        """Primary composites: pairs that NFC puts together."""
        pairs = {}
        for cp in decompositions:
            if 0xAC00 <= cp <= 0xD7A3:
                continue  # Hangul: by arithmetic
            if self.nfc.normalize_str(chr(cp)) == chr(cp):
                # One step back: the last code point of the full decomposition and the
                # composite of the rest.
                full = decompositions[cp]
                head = self.nfc.normalize_str("".join(map(chr, full[:-1])))
                if len(head) == 1 and self.nfc.normalize_str(head + chr(full[-1])) == chr(cp):
                    pairs[cp] = [ord(head), full[-1]]
                else:
                    print(f"note: U+{cp:04X} not explained by a pair", file=sys.stderr)
        return pairs


class TableNfc:
    """NFC from the tables found above: shows that they are complete."""

    def __init__(self, classes, decompositions, pairs):
        self.classes = classes
        self.decompositions = decompositions
        self.pairs = {(a, b): cp for cp, (a, b) in pairs.items()}

    def compose(self, a, b):
        if 0x1100 <= a < 0x1113 and 0x1161 <= b < 0x1176:
            return 0xAC00 + ((a - 0x1100) * 21 + b - 0x1161) * 28
        if 0xAC00 <= a < 0xD7A4 and (a - 0xAC00) % 28 == 0 and 0x11A7 < b < 0x11C3:
            return a + b - 0x11A7
        return self.pairs.get((a, b))

    def nfc(self, text):
        cps = [d for c in text for d in self.decompositions.get(ord(c), [ord(c)])]
        ccc = [self.classes.get(c, 0) for c in cps]
        i = 0
        while i < len(cps):  # canonical order: stable sort of each run of marks
            j = i
            while j < len(cps) and ccc[j]:
                j += 1
            order = sorted(range(i, j), key=lambda k: ccc[k])
            cps[i:j], ccc[i:j] = [cps[k] for k in order], [ccc[k] for k in order]
            i = max(j, i + 1)
        out, starter, last = [], None, 0
        for c, k in zip(cps, ccc, strict=True):
            blocked = starter is None or (starter != len(out) - 1 and last >= k)
            merged = None if blocked else self.compose(out[starter], c)
            if merged is not None:
                out[starter] = merged
                continue
            if k == 0:
                starter = len(out)
            last = k
            out.append(c)
        return "".join(map(chr, out))


def check_tables(nfc, table, classes, decompositions, pairs, rounds, seed):
    rng = random.Random(seed)
    marks = list(classes)
    hangul = [*range(0x10FE, 0x1115), *range(0x1160, 0x1178), *range(0x11A6, 0x11C5), 0xAC00, 0xAC01, 0xD788]
    bases = sorted({c for p in pairs.values() for c in p} | set(pairs) | set(decompositions) - set(range(0xAC00, 0xD7A4)))
    for _ in range(rounds):
        pool = rng.choice((marks, bases, hangul, marks + bases, range(0x250), [*range(0x300, 0x370), 65, 97, 111]))
        text = "".join(chr(rng.choice(pool)) for _ in range(rng.randrange(1, 12)))
        if rng.random() < 0.2:
            text += chr(rng.choice([c for c in (rng.randrange(LAST + 1),) if c not in SURROGATES] or [32]))
        if table.nfc(text) != nfc.nfc.normalize_str(text):
            raise SystemExit("tables do not explain " + " ".join(f"{ord(c):04X}" for c in text))


class Utf8proc:
    COMPOSE_STABLE = (1 << 1) | (1 << 3)
    DECOMPOSE_STABLE = (1 << 1) | (1 << 4)

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.utf8proc_map.restype = ctypes.c_ssize_t
        self.lib.utf8proc_version.restype = ctypes.c_char_p
        self.lib.utf8proc_unicode_version.restype = ctypes.c_char_p
        self.lib.utf8proc_get_property.restype = ctypes.POINTER(ctypes.c_int16 * 2)
        self.libc = ctypes.CDLL(None)
        self.libc.free.argtypes = [ctypes.c_void_p]

    def version(self):
        return f"{self.lib.utf8proc_version().decode()}, Unicode {self.lib.utf8proc_unicode_version().decode()}"

    def combining_class(self, cp):
        return self.lib.utf8proc_get_property(ctypes.c_int32(cp)).contents[1]

    def map(self, text, options):
        raw = text.encode()
        out = ctypes.c_void_p()
        n = self.lib.utf8proc_map(raw, ctypes.c_ssize_t(len(raw)), ctypes.byref(out), ctypes.c_int(options))
        if n < 0:
            raise ValueError(f"utf8proc error {n}")
        data = ctypes.string_at(out.value, n).decode()
        self.libc.free(out)
        return data

    def nfc(self, text):
        return self.map(text, self.COMPOSE_STABLE)

    def nfd(self, text):
        return self.map(text, self.DECOMPOSE_STABLE)


def compare_with_utf8proc(path, nfc, classes, decompositions, pairs):
    other = Utf8proc(path)
    ccc = []
    for cp in code_points():
        if cp in decompositions:
            continue
        theirs = other.combining_class(cp)
        ours = classes.get(cp, 0)
        if ours != theirs:
            ccc.append([cp, ours, theirs])
    deco = []
    for cp in code_points():
        theirs = [ord(c) for c in other.nfd(chr(cp))] if cp else [0]
        ours = decompositions.get(cp, [cp])
        if ours != theirs:
            deco.append([cp, ours, theirs])
    comp = [[cp, a, b] for cp, (a, b) in pairs.items() if other.nfc(chr(a) + chr(b)) != chr(cp)]
    comp2 = []
    for cp in code_points():
        d = other.nfd(chr(cp)) if cp else ""
        if d and d != chr(cp) and nfc.nfc.normalize_str(d) != other.nfc(d):
            comp2.append([cp, [ord(c) for c in nfc.nfc.normalize_str(d)], [ord(c) for c in other.nfc(d)]])
    return {
        "version": other.version(),
        "combining_class": {"columns": ["code point", "reference", "utf8proc"], "rows": ccc},
        "decomposition": {"columns": ["code point", "reference", "utf8proc"], "rows": deco},
        "composition_only_in_reference": comp,
        "composition_differs": comp2,
    }


def c_array(name, rows):
    body = ",\n".join("    {0x%04X, 0x%04X}" % (a, b) for a, b in rows)
    return f"static const unicode_range {name}[{len(rows)}] = {{\n{body},\n}};\n"


def write_c(path, data):
    text = [
        f"/* Written by scripts/golden/unicode_tables.py from tokenizers {tokenizers.__version__}. */\n",
        "/* clang-format off */\n",
    ]
    for name in ("letter", "number", "space"):
        text.append(c_array(f"unicode_{name}", data[name]))
    if "utf8proc" in data:
        rows = data["utf8proc"]["combining_class"]["rows"]
        body = ",\n".join("    {0x%04X, %d, %d}" % (a, b, c) for a, b, c in rows)
        text.append("/* code point, class in the reference, class in utf8proc */\n")
        text.append(f"static const unicode_class unicode_class_override[{len(rows)}] = {{\n{body},\n}};\n")
    text.append("/* clang-format on */\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(text))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--json")
    ap.add_argument("--c")
    ap.add_argument("--utf8proc")
    args = ap.parse_args()

    letter, number, space = matching(r"\p{L}"), matching(r"\p{N}"), matching(r"\s")
    other = matching(r"[^\s\p{L}\p{N}]")
    everything = set(code_points())
    assert not letter & number and not letter & space and not number & space
    assert other == everything - letter - number - space
    assert matching(r"[^\r\n\p{L}\p{N}]") == everything - letter - number - {10, 13}
    assert matching(r"\S") == everything - space

    nfc = Nfc()
    decompositions = nfc.decompositions()
    classes = nfc.combining_classes(decompositions)
    pairs = nfc.compositions(decompositions)
    check_tables(nfc, TableNfc(classes, decompositions, pairs), classes, decompositions, pairs, 200000, 1)
    data = {
        "tokenizers": tokenizers.__version__,
        "letter": ranges(letter),
        "number": ranges(number),
        "space": ranges(space),
        "contraction_suffixes": contractions(),
        "combining_class": sorted([cp, c] for cp, c in classes.items()),
        "decomposition": sorted([cp, d] for cp, d in decompositions.items() if not 0xAC00 <= cp <= 0xD7A3),
        "composition": sorted([a, b, cp] for cp, (a, b) in pairs.items()),
    }
    if args.utf8proc:
        data["utf8proc"] = compare_with_utf8proc(args.utf8proc, nfc, classes, decompositions, pairs)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(data, f, separators=(",", ":"))
    if args.c:
        write_c(args.c, data)
    print({k: len(v) for k, v in data.items() if isinstance(v, list)})
    print("code points:", len(letter), "letters", len(number), "numbers", len(space), "spaces")


if __name__ == "__main__":
    main()
