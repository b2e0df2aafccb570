"""The pictures under tests/golden/images: a photograph or two in many encodings, and
synthetic ones in every PNG and WebP form that Pillow reads and critic must read alike."""

import importlib.util
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

LICENCE = """# Where the pictures come from

Everything in this folder is written by `scripts/golden/pictures.py`. The synthetic
pictures (gradients, noise, stripes) are ours, under the licence of the project. Four
photographs, cut and shrunk, come from the `skimage/data` folder of scikit-image 0.26:

| file name starts with | source file | what, licence |
|---|---|---|
| `astronaut` | astronaut.png | Eileen Collins, NASA, public domain |
| `coffee` | coffee.png | Rachel Michetti, CC0 by the photographer |
| `cat` | chelsea.png | Stefan van der Walt, CC0 by the photographer |
| `rocket` | rocket.jpg | SpaceX, CC0 |
"""

# colour type of PNG: channels
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def photo(name):
    spec = importlib.util.find_spec("skimage")
    path = pathlib.Path(spec.submodule_search_locations[0]) / "data" / name
    return Image.open(path).convert("RGB")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """samples [h, w, channels] to PNG scanlines, filter types 0 to 2 in turn."""
    h, w, c = samples.shape
    if depth == 16:
        rows = samples.astype(">u2").reshape(h, -1).view(np.uint8)
    elif depth == 8:
        rows = samples.astype(np.uint8).reshape(h, -1)
    else:
        bits = np.unpackbits(samples.astype(np.uint8).reshape(h, -1, 1), axis=2)[:, :, 8 - depth :]
        rows = np.packbits(bits.reshape(h, -1), axis=1)
    step = max(1, depth * c // 8)
    out = []
    above = np.zeros(rows.shape[1], np.uint8)
    for y, row in enumerate(rows):
        kind = y % 3
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]]) if len(row) > step else np.zeros_like(row)
        out.append(bytes([kind]) + (row - (0, left, above)[kind]).astype(np.uint8).tobytes())
        above = row
    return b"".join(out)


def write_png(path, samples, depth, colour, interlace=False, palette=None, extra=()):
    """samples [h, w, channels]; `extra` holds (type, data) chunks placed before IDAT."""
    h, w, c = samples.shape
    assert c == PNG_CHANNELS[colour]
    if interlace:
        passes = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
        raw = b"".join(pack_rows(p, depth) for p in passes if p.size)
    else:
        raw = pack_rows(samples, depth)
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlace)))
    if palette is not None:
        data += chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())
    for kind, body in extra:
        data += chunk(kind, body)
    data += chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    path.write_bytes(data)


def texture(w, h, seed, channels=3, top=255):
    """Gradients, rings, hard stripes and noise: resampling errors show in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    out = np.empty((h, w, channels))
    for c in range(channels):
        out[..., c] = 0.5 + 0.25 * np.sin((x * (c + 1) + y * (3 - c)) / 7.0) + 0.2 * np.cos(np.hypot(x - w / 2, y - h / 3) / (3 + c))
        out[..., c] += np.where(((x // 5 + y // 3) % 4) == c, 0.3, 0.0)
    out += rng.normal(0, 0.08, out.shape)
    return np.clip(np.rint(out * top), 0, top).astype(np.uint16 if top > 255 else np.uint8)


def jpegs(folder):
    astronaut, coffee, cat, rocket = (photo(n) for n in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg"))

    def save(name, picture, **options):
        picture.save(folder / name, "JPEG", **options)

    save("astronaut-420.jpg", astronaut.crop((60, 0, 400, 300)).resize((320, 240)), quality=85, subsampling=2)
    save("coffee-444-odd.jpg", coffee.resize((333, 257)), quality=88, subsampling=0)
    save("cat-422-restart.jpg", cat.resize((226, 151)), quality=80, subsampling=1, restart_marker_blocks=5)
    save("rocket-progressive-odd.jpg", rocket.resize((301, 199)), quality=75, subsampling=2, progressive=True)
    save("cat-gray.jpg", cat.convert("L").resize((211, 141)), quality=80)
    save("astronaut-rgb.jpg", astronaut.resize((97, 101)), quality=85, keep_rgb=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the reference does not turn it back
    save("rocket-exif-turned.jpg", rocket.resize((160, 107)), quality=80, exif=exif)
    save("coffee-tiny-3x2.jpg", coffee.resize((3, 2)), quality=90)
    save("cat-wide.jpg", cat.crop((0, 60, 451, 130)).resize((350, 54)), quality=80)
    save("rocket-tall.jpg", rocket.crop((250, 0, 400, 427)).resize((70, 311)), quality=80)
    cmyk = np.concatenate([255 - np.asarray(coffee.resize((120, 81))), texture(120, 81, 1, 1) // 3], axis=2)
    save("coffee-cmyk.jpg", Image.fromarray(cmyk, "CMYK"), quality=85)
    data = bytearray((folder / "coffee-cmyk.jpg").read_bytes())
    at = data.index(b"Adobe")
    assert data[at + 11] == 0
    data[at + 11] = 2  # the same samples, now to be read as YCCK
    (folder / "coffee-ycck.jpg").write_bytes(data)


def pngs(folder):
    rng = np.random.default_rng(7)
    palette = rng.integers(0, 256, (200, 3))
    index = (texture(90, 61, 2, 1) // 2).astype(np.uint8)
    write_png(folder / "palette.png", index, 8, 3, palette=palette)
    write_png(folder / "palette-trns.png", index, 8, 3, palette=palette, extra=[(b"tRNS", bytes(range(0, 180, 3)))])
    write_png(folder / "palette-2bit.png", index[:33, :45] // 40 % 4, 2, 3, palette=palette[:4])
    write_png(folder / "palette-4bit-interlaced.png", index[:21, :37] // 9 % 16, 4, 3, True, palette[:16])
    for depth in (1, 2, 4):
        gray = texture(47, 35, 3 + depth, 1) >> (8 - depth)
        write_png(folder / f"gray-{depth}bit.png", gray, depth, 0)
    write_png(folder / "gray-8bit-trns.png", texture(31, 29, 8, 1), 8, 0, extra=[(b"tRNS", b"\x00\x80")])
    deep = texture(40, 30, 9, 1, 65535)
    deep[:15] = deep[:15] // 200  # 16-bit gray is clipped at 255, not shifted
    write_png(folder / "gray-16bit.png", deep, 16, 0)
    write_png(folder / "rgb-16bit.png", texture(40, 30, 10, 3, 65535), 16, 2)
    write_png(folder / "rgba-16bit.png", texture(30, 20, 11, 4, 65535), 16, 6)
    write_png(folder / "gray-alpha.png", texture(50, 40, 12, 2), 8, 4)
    write_png(folder / "gray-alpha-16bit.png", texture(25, 20, 13, 2, 65535), 16, 4)
    write_png(folder / "rgba.png", texture(75, 64, 14, 4), 8, 6)
    write_png(folder / "rgb-interlaced.png", texture(67, 59, 15), 8, 2, True)
    write_png(folder / "rgb-gamma-trns.png", texture(44, 33, 16), 8, 2, extra=[(b"gAMA", struct.pack(">I", 100000)), (b"tRNS", bytes(6))])
    write_png(folder / "1x1.png", np.array([[[200, 30, 90]]], np.uint8), 8, 2)
    write_png(folder / "2x1-interlaced.png", np.array([[[9, 8, 7], [250, 1, 128]]], np.uint8), 8, 2, True)
    write_png(folder / "47x423.png", texture(47, 423, 17) // 32 * 36, 8, 2)
    # the two unpad roundings part on this size under the tiny geometry of tests/tiny/ov-*
    write_png(folder / "94x235.png", texture(94, 235, 19) // 32 * 36, 8, 2)
    large(folder)


def large(folder):
    """Large but cheap: a few colours, long runs, edges that fall between output pixels."""
    palette = np.random.default_rng(18).integers(0, 256, (16, 3))
    y, x = np.mgrid[0:300, 0:4000]
    bands = ((x // 37 + y // 23) % 7 + (((x - 2000) ** 2 // 900 + (y - 150) ** 2) < 9000) * 7).astype(np.uint8)
    write_png(folder / "4000x300.png", bands[..., None], 4, 3, palette=palette)
    y, x = np.mgrid[0:2304, 0:2304]
    rings = ((np.hypot(x - 900, y - 1300) // 61) % 5 + ((x // 256 + y // 320) % 2) * 5).astype(np.uint8)
    write_png(folder / "2304x2304.png", rings[..., None], 4, 3, palette=palette)
    y, x = np.mgrid[0:1375, 0:1125]
    field = ((x * 3 + y * 2) // 97 % 6 + (np.hypot(x - 300, y - 700) < 260) * 6).astype(np.uint8)
    write_png(folder / "1125x1375.png", field[..., None], 4, 3, palette=palette)


def webps(folder):
    coffee = photo("coffee.png")
    coffee.resize((203, 135)).save(folder / "coffee-lossy.webp", quality=80)
    Image.fromarray(texture(61, 43, 20)).save(folder / "lossless.webp", lossless=True)
    rgba = Image.fromarray(texture(58, 47, 21, 4))
    rgba.save(folder / "alpha-lossy.webp", quality=75)
    rgba.save(folder / "alpha-lossless.webp", lossless=True, exact=True)


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    jpegs(folder)
    pngs(folder)
    webps(folder)
    (folder / "LICENSE.md").write_text(LICENCE, encoding="utf-8")
    for path in sorted(folder.iterdir()):
        if path.suffix != ".md":
            Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
