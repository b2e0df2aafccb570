"""The LLaVA-NeXT side of preprocessing and token assembly, written here from its
description, in numpy and Pillow only. It gives the expectations for the lmms-lab layout
and is itself checked against transformers wherever the two conventions agree."""

import math

import numpy as np
from PIL import Image


def grid(size, most=6):
    """Candidate resolutions as (width, height), width outermost."""
    return [(size * i, size * j) for i in range(1, most + 1) for j in range(1, most + 1)]


def best_resolution(w, h, candidates):
    best, best_area, best_waste = None, 0, math.inf
    for cw, ch in candidates:
        s = min(cw / w, ch / h)
        area = min(int(w * s) * int(h * s), w * h)
        waste = cw * ch - area
        if area > best_area or (area == best_area and waste < best_waste):
            best, best_area, best_waste = (cw, ch), area, waste
    return best


def fitted(w, h, tw, th):
    """Size of the picture inside the canvas tw x th and where it is pasted."""
    sw, sh = tw / w, th / h
    if sw < sh:
        nw, nh = tw, min(math.ceil(h * sw), th)
    else:
        nw, nh = min(math.ceil(w * sh), tw), th
    return nw, nh, (tw - nw) // 2, (th - nh) // 2


def tiles(picture, mode, size, candidates):
    """uint8 [tiles, 3, size, size] of one RGB picture."""
    w, h = picture.size
    if mode == "square":
        views = [picture.resize((size, size), Image.BICUBIC)]
    elif mode == "pad":
        side = max(w, h)
        canvas = Image.new("RGB", (side, side), (127, 127, 127))
        canvas.paste(picture, ((side - w) // 2, (side - h) // 2))
        views = [canvas.resize((size, size), Image.BICUBIC)]
    else:
        tw, th = best_resolution(w, h, candidates)
        nw, nh, x, y = fitted(w, h, tw, th)
        canvas = Image.new("RGB", (tw, th), (0, 0, 0))
        canvas.paste(picture.resize((nw, nh), Image.BICUBIC), (x, y))
        views = [picture.resize((size, size), Image.BICUBIC)]
        views += [canvas.crop((i, j, i + size, j + size)) for j in range(0, th, size) for i in range(0, tw, size)]
    return np.stack([np.asarray(v).transpose(2, 0, 1) for v in views])


def normalise(u8):
    scaled = (u8.astype(np.float64) * (1 / 255)).astype(np.float32)
    return (scaled - np.float32(0.5)) / np.float32(0.5)


def layout(w, h, size, side, candidates, rounding, most=9):
    """Rows of an anyres picture: (first row, rows, first column, columns) kept by unpad,
    (width, height) after the shrink, and the number of tokens. `side`: patches per tile
    edge; rounding "hf" rounds to 7 decimals before it truncates, "lmms" does not."""
    tw, th = best_resolution(w, h, candidates)
    ch, cw = th // size * side, tw // size * side
    cut = (lambda x: int(round(x, 7))) if rounding == "hf" else int
    x = y = 0
    if w / h > cw / ch:
        y = (ch - cut(h * (cw / w))) // 2
    else:
        x = (cw - cut(w * (ch / h))) // 2
    mh, mw = ch - 2 * y, cw - 2 * x
    t = math.sqrt(mh * mw / (most * side * side))
    fw, fh = (int(mw // t), int(mh // t)) if t > 1.1 else (mw, mh)
    return {"best": (tw, th), "unpad": (y, mh, x, mw), "final": (fw, fh), "tokens": side * side + fh * (fw + 1)}


def taps(n_in, n_out):
    """Lower tap, upper tap and upper weight of bilinear resizing without antialiasing.
    Coordinates in f32, as torch has them: exact ones move a weight by 3e-5 on real maps."""
    scale = np.float32(n_in) / np.float32(n_out)
    src = np.maximum(np.float32(0), scale * (np.arange(n_out, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5))
    low = src.astype(np.int64)
    return low, np.minimum(low + 1, n_in - 1), (src - low.astype(np.float32)).astype(np.float64)


def bilinear(fmap, fh, fw):
    lo, hi, a = taps(fmap.shape[0], fh)
    rows = fmap[lo] * (1 - a)[:, None, None] + fmap[hi] * a[:, None, None]
    lo, hi, a = taps(fmap.shape[1], fw)
    return rows[:, lo] * (1 - a)[None, :, None] + rows[:, hi] * a[None, :, None]


def assemble(features, newline, w, h, size, side, candidates, rounding):
    """features [tiles, side*side, H] of one picture to the rows that are spliced in."""
    features = features.astype(np.float64)
    if features.shape[0] == 1:
        return np.concatenate([features[0], newline[None]])
    plan = layout(w, h, size, side, candidates, rounding)
    gw, gh = plan["best"][0] // size, plan["best"][1] // size
    fmap = features[1:].reshape(gh, gw, side, side, -1).transpose(0, 2, 1, 3, 4).reshape(gh * side, gw * side, -1)
    y, mh, x, mw = plan["unpad"]
    fmap = fmap[y : y + mh, x : x + mw]
    fw, fh = plan["final"]
    if (fw, fh) != (mw, mh):
        fmap = bilinear(fmap, fh, fw)
    column = np.broadcast_to(newline, (fh, 1, newline.size))
    rows = np.concatenate([fmap, column], axis=1).reshape(fh * (fw + 1), -1)
    return np.concatenate([features[0], rows])
