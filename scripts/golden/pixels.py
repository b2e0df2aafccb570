"""Goldens of decoding, resampling, tiling and the arithmetic of anyres."""

import hashlib
import json

import numpy as np
import torch
import transformers.models.llava_onevision.modeling_llava_onevision as modeling
from PIL import Image
from safetensors.numpy import save_file
from transformers import LlavaOnevisionProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

import lmms

FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}

# file, sizes it is resized to. One axis unchanged, up, down, to one pixel, far apart,
# and tall pictures squeezed (where Pillow 13 changes the order of the passes).
RESIZES = {
    "astronaut-420.jpg": [(384, 384), (384, 288), (320, 100), (77, 240), (321, 241), (1, 1), (2, 3), (768, 576)],
    "coffee-444-odd.jpg": [(333, 256), (332, 257), (128, 128), (27, 391), (500, 11)],
    "rocket-tall.jpg": [(24, 24), (384, 384), (70, 30), (71, 312)],
    "cat-gray.jpg": [(24, 24), (44, 44), (97, 64)],
    "lossless.webp": [(61, 1), (1, 43), (62, 43), (61, 44), (7, 5), (250, 251)],
    "coffee-tiny-3x2.jpg": [(1, 1), (2, 2), (3, 3), (44, 31), (384, 256)],
    "1x1.png": [(1, 1), (2, 1), (1, 7), (384, 384)],
    "2x1-interlaced.png": [(1, 1), (5, 4), (24, 24)],
    "4000x300.png": [(384, 384), (2304, 173), (3999, 299), (24, 24)],
    "2304x2304.png": [(384, 384), (383, 2304), (24, 24), (144, 144)],
    "47x423.png": [(384, 384), (43, 384), (128, 1152)],
    "1125x1375.png": [(1886, 2304), (384, 384)],
}
KEPT_BYTES = 20000  # results up to this size are stored whole, beside the hash

TILED = [
    "astronaut-420.jpg",
    "coffee-444-odd.jpg",
    "rocket-tall.jpg",
    "cat-wide.jpg",
    "1x1.png",
    "2x1-interlaced.png",
    "47x423.png",
    "4000x300.png",
    "1125x1375.png",
    "2304x2304.png",
    "gray-16bit.png",
    "alpha-lossy.webp",
]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write_json(path, data):
    """One row a line: a diff of goldens can be read."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
            rows = ",\n  ".join(json.dumps(v) for v in value)
            parts.append(f" {json.dumps(key)}: [\n  {rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def rgb(path):
    with Image.open(path) as picture:
        return picture.convert("RGB")


def decode(images, out):
    rows = []
    for path in sorted(images.iterdir()):
        if path.suffix != ".md":
            picture = rgb(path)
            rows.append({"file": path.name, "width": picture.width, "height": picture.height, "rgb_sha256": digest(np.asarray(picture))})
    write_json(out / "decode.json", {"about": "SHA-256 of height x width x 3 bytes", "pictures": rows})


def resize(images, out):
    rows, kept = [], {}
    for name, sizes in RESIZES.items():
        picture = rgb(images / name)
        for w, h in sizes:
            for label, kind in FILTERS.items():
                result = np.asarray(picture.resize((w, h), kind))
                row = {"file": name, "filter": label, "width": w, "height": h, "rgb_sha256": digest(result)}
                if result.size <= KEPT_BYTES and (w, h) != (1, 1):
                    row["tensor"] = f"{name}.{label}.{w}x{h}"
                    kept[row["tensor"]] = np.ascontiguousarray(result)
                rows.append(row)
    write_json(out / "resize.json", {"about": "SHA-256 of height x width x 3 bytes; some whole in resize.safetensors as U8 [h, w, 3]", "resizes": rows})
    save_file(kept, out / "resize.safetensors")


def processor(size, pinpoints=None):
    """pinpoints: (width, height); none: the 36 canvases, in the order of published files."""
    return LlavaOnevisionImageProcessorPil(
        size={"height": size, "width": size},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        image_grid_pinpoints=[[h, w] for w, h in pinpoints] if pinpoints else [list(p) for p in lmms.grid(size)],
    )


def reference_pixels(proc, pictures):
    """f32 [tiles, 3, S, S], tile counts: what the reference's processor makes of one sample."""
    batch = proc([pictures], return_tensors="np")
    counts = [1] * len(pictures)
    if len(pictures) == 1:
        size = proc.size["height"]
        best = lmms.best_resolution(*pictures[0].size, [(w, h) for h, w in proc.image_grid_pinpoints])
        counts = [1 + best[0] // size * (best[1] // size)]
    values = [p[:n] for p, n in zip(batch["pixel_values"], counts, strict=True)]
    return np.concatenate(values).astype(np.float32), counts, batch


def tiles(images, out, size=384):
    proc = processor(size)
    rows = []
    for name in TILED:
        picture = rgb(images / name)
        for mode in ("anyres", "pad", "square"):
            u8 = lmms.tiles(picture, mode, size, lmms.grid(size))
            values = lmms.normalise(u8)
            if mode != "square":  # a pair makes the reference choose pad mode
                theirs, counts, _ = reference_pixels(proc, [picture] * (1 if mode == "anyres" else 2))
                theirs = theirs[: len(values)]
                assert theirs.tobytes() == values.tobytes(), (name, mode)
                assert counts[0] == len(u8)
            rows.append({"file": name, "mode": mode, "tiles": len(u8), "u8_sha256": digest(u8), "f32_sha256": digest(values)})
    about = "SHA-256 of [tiles, 3, 384, 384]: bytes before normalisation, and little-endian f32 after it"
    write_json(out / "tiles.json", {"about": about, "size": size, "cases": rows})


def norm_table(out):
    """The f32 value of each byte, read off the reference's processor."""
    proc = processor(16)
    square = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(np.stack([square] * 3, axis=2))
    values = proc([[picture, picture]], return_tensors="np")["pixel_values"][0][0]
    table = values[0].astype(np.float32).reshape(256)
    assert table.tobytes() == lmms.normalise(np.arange(256)).tobytes()
    save_file({"byte_value": table}, out / "normalise.safetensors")


def sizes_for_anyres():
    """Worked examples, known rounding differences, thresholds, then a seeded sweep."""
    listed = "640x480 1024x1024 1920x1080 200x900 384x384 336x336 100x100 1x1 480x640 1024x899 1280x720 4000x3000 2304x2304"
    listed += " 5000x50 946x1156 47x423 423x47 1125x1375 357x1666 1x5000 5000x1 2x3 383x384 385x384 384x385 768x768 769x768 4000x300 300x4000"
    out = [tuple(map(int, s.split("x"))) for s in listed.split()]
    rng = np.random.default_rng(5)
    for top in (40, 400, 1500, 1500, 1500, 4000, 10000):
        out += [(int(a), int(b)) for a, b in rng.integers(1, top + 1, (200, 2))]
    return list(dict.fromkeys(out))


def anyres(out, size=384, side=27):
    """Every row is checked against the reference's own counting code."""
    proc = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)
    proc.num_image_tokens, proc.vision_aspect_ratio = side * side, "anyres_max_9"
    proc.image_processor = processor(size)
    candidates = lmms.grid(size)
    sizes = sizes_for_anyres()
    dense = [(w, h) for w in range(1, 1501) for h in range(1, 1501) if differs(w, h)]
    lines = ["width\theight\tbest_width\tbest_height\ttiles\tfinal_width\tfinal_height\ttokens_lmms\ttokens_hf"]
    for w, h in sizes + [s for s in dense if s not in sizes]:
        ours = lmms.layout(w, h, size, side, candidates, "lmms")
        theirs = lmms.layout(w, h, size, side, candidates, "hf")
        assert theirs["tokens"] == proc._get_number_of_features(h, w, size, size), (w, h)
        pins = [list(p) for p in candidates]
        tile_count = modeling.image_size_to_num_patches((h, w), pins, size)
        tw, th = ours["best"]
        assert tile_count == 1 + (tw // size) * (th // size)
        row = (w, h, tw, th, tile_count, *ours["final"], ours["tokens"], theirs["tokens"])
        lines.append("\t".join(map(str, row)))
    (out / "anyres.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(dense)


def differs(w, h, size=384, side=27):
    """Quick test for a size on which the two roundings part."""
    g = GRID_CACHE
    tw, th = lmms.best_resolution(w, h, g) if near_integer(w, h) else (0, 0)
    if not tw:
        return False
    return lmms.layout(w, h, size, side, g, "lmms")["tokens"] != lmms.layout(w, h, size, side, g, "hf")["tokens"]


GRID_CACHE = lmms.grid(384)


def near_integer(w, h):
    """Only sizes whose unpadded edge is an integer in exact arithmetic can differ."""
    for a, b in ((w, h), (h, w)):
        if any(a * 27 * i % b == 0 for i in range(1, 7)):
            return True
    return False


def shrink(out):
    """Bilinear shrink of a feature map, straight from torch."""
    rng = np.random.default_rng(3)
    kept = {}
    for h, w, fh, fw in ((7, 5, 3, 2), (18, 18, 9, 9), (30, 27, 13, 11), (4, 40, 3, 29), (162, 135, 93, 70)):
        fmap = rng.standard_normal((h, w, 2)).astype(np.float32)
        t = torch.from_numpy(fmap).permute(2, 0, 1)[None]
        small = torch.nn.functional.interpolate(t, [fh, fw], mode="bilinear")[0].permute(1, 2, 0)
        small = small.contiguous().numpy()
        assert np.abs(small - lmms.bilinear(fmap.astype(np.float64), fh, fw)).max() < 1e-5  # torch fuses the multiply-add on some paths
        kept[f"in.{h}x{w}"] = fmap
        kept[f"out.{h}x{w}.{fh}x{fw}"] = small
    save_file(kept, out / "shrink.safetensors")


def make(images, out):
    out.mkdir(parents=True, exist_ok=True)
    decode(images, out)
    resize(images, out)
    tiles(images, out)
    norm_table(out)
    shrink(out)
    print("sizes up to 1500 where the roundings differ:", anyres(out))
