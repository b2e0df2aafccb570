#!/usr/bin/env python3
"""Writes tests/golden/quants.bin: random blocks of every GGUF format with the floats that the
gguf package gives for them, and random floats with the blocks that it quantises them to.

Made with gguf 0.19.0 and numpy 2.4.6. File, little endian, repeated:
  u8 name length, name, u8 direction (0: blocks to floats, 1: floats to blocks),
  u32 n floats, u32 n bytes, floats, bytes
"""
import struct
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

SEED = 20261124


def half(r, lo, hi):
    return np.float16(r.uniform(lo, hi) * r.choice([-1, 1])).tobytes()


def blocks(r, t, n):
    size = GGML_QUANT_SIZES[t][1]
    raw = bytearray(r.integers(0, 256, n * size, dtype=np.uint8).tobytes())
    halves = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
              T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}[t]
    for b in range(n):  # random bytes as a half may be NaN: put plain numbers there
        for at in halves:
            raw[b * size + at:b * size + at + 2] = half(r, 1e-6 if b % 3 == 0 else 0.01, 0.05)
    return np.frombuffer(bytes(raw), np.uint8)


def record(f, t, direction, floats, raw):
    name = t.name.encode()
    f.write(struct.pack("<B", len(name)) + name + struct.pack("<BII", direction, floats.size, raw.size))
    f.write(floats.astype("<f4").tobytes() + raw.tobytes())


def main(path):
    r = np.random.default_rng(SEED)
    with open(path, "wb") as f:
        for t in (T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q4_K, T.Q5_K, T.Q6_K):
            raw = blocks(r, t, 6)
            record(f, t, 0, quants.dequantize(raw, t), raw)
        for t in (T.Q8_0, T.Q4_0, T.BF16, T.F16):
            x = r.standard_normal(32 * 12).astype(np.float32)
            x[32:64] = 0
            x[64:96] *= np.float32(1e-7)
            x[96:128] *= np.float32(3e4)
            x[128] = x[129] = -4.0  # a tie for the largest magnitude
            raw = x.astype(np.float16).view(np.uint8) if t == T.F16 else quants.quantize(x, t)
            record(f, t, 1, x, np.ascontiguousarray(raw).view(np.uint8).reshape(-1))


main(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/quants.bin")
