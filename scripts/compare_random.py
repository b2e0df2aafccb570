#!/usr/bin/env python3
"""Holds critic against transformers on checkpoints, pictures and prompts that nobody chose.

  compare_random.py CRITIC [--seeds 0:100] [--isa NAME]... [--keep DIR]

Every seed makes a tiny checkpoint of random odd sizes (heads, widths, depths, patches, canvases,
tied or not) in a random layout and dtype, random pictures in random formats, and a random
prompt. transformers loads the folder itself where the layout is one of its own. Compared:
ids, tiles and pixels exactly; features, hidden states and logits in f32 within 1e-5 of the
largest value, or, where a random network is so ill-conditioned that transformers itself is
further than that from f64, no further from f64 than three times that; bf16 within transformers' own bf16 error (median and
largest ratio are printed at the end), and that of every ISA named; and `critic convert` to the
other layouts must give logits of the same bits. One line a seed; leaves with 1 if any differs.

Needs the packages of scripts/golden/requirements.txt.
"""

import argparse
import copy
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers.models.qwen2.modeling_qwen2 as qwen2
from PIL import Image
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
import tiny  # noqa: E402
from reference import Reference, rounding  # noqa: E402

LAYOUTS = ["lmms", "lmms-sharded", "hf-old", "hf-old-flat", "hf-mem", "hf-mem-flat"]
EXACT = ("input_ids", "tiles_per_image", "pixel_values")


def random_spec(rng, seed):
    kv = rng.randint(1, 4)
    heads = kv * rng.randint(1, 7)
    head_dim = 2 * rng.randint(1, 20)
    while heads * head_dim < 16:  # a norm over a handful of numbers only amplifies rounding
        head_dim += 2
    vision_heads = rng.randint(1, 4)
    patch = rng.choice([3, 4, 5, 7, 8, 14, 16])
    side = rng.randint(2, 7)
    size = patch * side + rng.randrange(patch)
    text = {
        "hidden_size": heads * head_dim,
        "intermediate_size": rng.randint(3, 150),
        "num_hidden_layers": rng.randint(1, 5),
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "rms_norm_eps": rng.choice([1e-6, 1e-5, 3e-4]),
    }
    vision = {
        "hidden_size": vision_heads * rng.choice([16, 17, 21, 33, 40, 72]),
        "intermediate_size": rng.randint(2, 130),
        "num_hidden_layers": rng.randint(1, 4),
        "num_attention_heads": vision_heads,
        "patch_size": patch,
        "image_size": size,
    }
    spec = {
        "seed": seed,
        "tied": rng.random() < 0.4,
        "text": text,
        "vision": vision,
        "rows": tiny.WORDS + len(tiny.SPECIALS) + rng.randrange(40),
        "rope_theta": rng.choice([1e4, 1e6, 5e5]),
        "aspect": f"anyres_max_{rng.choice([1, 2, 4, 9, 9, 9])}",
    }
    if rng.random() < 0.5:
        spec["pinpoints"] = [[size * rng.randint(1, 5), size * rng.randint(1, 5)] for _ in range(rng.randint(1, 9))]
    return spec


def write_checkpoint(out, spec, layout, rng):
    """Returns the folder."""
    tiny.MODELS["random"] = spec
    writer = tiny.Writer(out, "random", tiny.train_tokenizer())
    if layout == "lmms":
        writer.lmms()
    elif layout == "lmms-sharded":
        spec.pop("pinpoints", None)  # this layout writes the compact string
        writer.lmms_sharded()
    elif layout in ("hf-old", "hf-mem"):
        writer.hf_old(layout[3:], rng.choice(["bfloat16", "float16"]), "4.45.0")
    else:
        writer.hf_new(layout[3:])
    return out / f"random-{layout}"


def random_picture(rng, path):
    """A picture of random size, mode and format: gradients, noise, edges."""
    longest = rng.choice([3, 40, 200, 700])
    w, h = rng.randint(1, longest), rng.randint(1, longest)
    noise = np.random.default_rng(rng.randrange(1 << 30))
    y, x = np.mgrid[0:h, 0:w]
    waves = [127 + 127 * np.sin(x * noise.uniform(0, 0.5) + y * noise.uniform(0, 0.5) + noise.uniform(0, 6)) for _ in range(4)]
    a = np.stack(waves, -1) * 0.7 + noise.uniform(0, 255, (h, w, 4)) * 0.3
    a = a.astype(np.uint8)
    kind = rng.choice(["jpg", "jpg", "png", "png", "webp"])
    if kind == "jpg":
        mode = rng.choice(["RGB", "L", "CMYK"])
        picture = Image.fromarray({"RGB": a[..., :3], "L": a[..., 0], "CMYK": a}[mode], mode)
        save = {"quality": rng.randint(5, 100), "progressive": rng.random() < 0.4}
        save |= {} if mode != "RGB" else {"subsampling": rng.choice([0, 1, 2])}
    elif kind == "webp":
        mode = rng.choice(["RGB", "RGBA"])
        picture = Image.fromarray(a[..., : len(mode)], mode)
        save = {"lossless": rng.random() < 0.5, "quality": rng.randint(1, 100)}
    else:
        mode = rng.choice(["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
        save = {}
        if mode == "I;16":
            picture = Image.fromarray(noise.integers(0, rng.choice([300, 65536]), (h, w)).astype(np.uint16))
        elif mode in ("P", "1"):
            picture = Image.fromarray(a[..., :3], "RGB").convert(mode)
            save = {"bits": rng.choice([1, 2, 4, 8])} if mode == "P" else {}
            if "bits" in save:
                picture = Image.fromarray(a[..., :3], "RGB").quantize(2 ** save["bits"])
        else:
            picture = Image.fromarray({"L": a[..., 0], "LA": a[..., :2]}.get(mode, a[..., : len(mode)]), mode)
    path = path.with_suffix("." + kind)
    picture.save(path, **save)
    return path.name, f"{mode} {w}x{h} {kind}"


def random_prompt(rng, n_pictures):
    words = ["What is it?", "\n", "\n\n", "  ", "Score: [", "caf\u00e9", "\u56fe\u7247", "12345", " the cat's", "<|im_end|>", "e\u0301", "\t", "ASSISTANT:\n", "\U0001f600", "<image>"]
    text = lambda: "".join(rng.choice(words) for _ in range(rng.randint(0, 25)))  # noqa: E731
    raw = rng.random() < 0.4
    if not raw:
        return text(), False
    return "<image>".join(text().replace("<image>", "") + ("x" if i == 0 else "") for i in range(n_pictures + 1)), True


def run(command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr.decode()}")


def dump(critic, model, prompt, raw, pictures, out, *options):
    command = [critic, "forward", "--model", model, "--prompt-file", prompt, "--dump", out, *options]
    command += [a for f in pictures for a in ("--image", f)]
    run(command + (["--raw"] if raw else []))
    return load_file(out)


def expected(ref, prompt, raw, files):
    with torch.no_grad(), rounding(ref.rounding):
        inputs, _, counts, _, _ = ref.inputs(prompt, raw, files, ref.rounding)
        hidden, features = ref.run(inputs)
        out = {"input_ids": inputs["input_ids"][0], "hidden_states": hidden, "logits": ref.model.lm_head(hidden)}
        if files:
            out["tiles_per_image"] = torch.tensor(counts)
            out["pixel_values"] = torch.cat([p[:n] for p, n in zip(inputs["pixel_values"], counts, strict=True)])
            out["image_features"] = features
        rough = logits_in(torch.bfloat16, ref, inputs)
    return out, error(rough, out["logits"]), inputs


def logits_in(dtype, ref, inputs):
    model = copy.deepcopy(ref.model).to(dtype)
    return model(**{k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}).logits[0]


def double_norm(norm, x):
    """The reference's goes through f32 whatever it is given."""
    return norm.weight * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + norm.variance_epsilon))


def in_f64(ref, inputs):
    """The tensors that are compared, from the reference in f64."""
    original, wide = qwen2.Qwen2RMSNorm.forward, copy.copy(ref)
    wide.model = copy.deepcopy(ref.model).double()
    qwen2.Qwen2RMSNorm.forward = double_norm
    try:
        with torch.no_grad(), rounding(ref.rounding):
            hidden, features = wide.run({k: v.double() if v.is_floating_point() else v for k, v in inputs.items()})
            return {"hidden_states": hidden, "image_features": features, "logits": wide.model.lm_head(hidden)}
    finally:
        qwen2.Qwen2RMSNorm.forward = original


def error(got, want):
    if got.shape != want.shape:
        return float("inf")
    return float((got.double() - want.double()).abs().max() / max(float(want.double().abs().max()), 1e-30))


def compare(want, got, tolerance, exact):
    """exact: a function that gives the tensors in f64."""
    faults, worst = [], 0.0
    for name, w in want.items():
        g = got.get(name)
        if g is None or g.shape != w.shape:
            faults.append(f"{name}: shape {None if g is None else tuple(g.shape)}, reference {tuple(w.shape)}")
        elif name in EXACT:
            if not torch.equal(g, w):
                faults.append(f"{name}: {int((g != w).sum())} values differ")
        else:
            e = error(g, w)
            worst = max(worst, e)
            if not e <= tolerance:
                true = exact()[name]
                ours, theirs = error(g, true), error(w, true)
                if not ours <= 3 * theirs:
                    faults.append(f"{name}: {e:.2g} ({ours:.2g} from f64, transformers {theirs:.2g})")
    return faults, worst


def converted(critic, folder, model, prompt, raw, pictures, layout, plain):
    """Other layouts of the same weights: the very same logits, features and ids."""
    faults = []
    kind = "lmms" if layout.startswith("lmms") else "hf"
    for target in ("safetensors-hf", "safetensors-lmms", "gguf"):
        out = folder / ("c-" + target) / ("model.gguf" if target == "gguf" else "")
        (folder / ("c-" + target)).mkdir()
        run([critic, "convert", model, out, "--to", target, "--dtype", "f32", "--quiet"])
        # Unpad rounding follows the layout, so it is asked for as it was.
        got = dump(critic, out, prompt, raw, pictures, folder / "c.safetensors", "--dtype", "f32", "--preprocess", kind)
        if not raw and not torch.equal(got["input_ids"], plain["input_ids"]):
            faults.append(f"{target}: ids differ")
            continue
        for name in ("input_ids", "image_features", "logits"):
            if name in plain and not torch.equal(got[name], plain[name]):
                faults.append(f"{target}: {name} differ by {error(got[name], plain[name]):.2g}")
    return faults


def one(args, seed, folder):
    rng = random.Random(seed)
    spec, layout = random_spec(rng, seed), rng.choice(LAYOUTS)
    model = write_checkpoint(folder, spec, layout, rng)
    made = [random_picture(rng, folder / f"picture{i}") for i in range(rng.choice([0, 1, 1, 1, 1, 2, 3]))]
    files = [name for name, _ in made]
    prompt, raw = random_prompt(rng, len(files))
    if not raw and prompt == "":
        prompt = "?"
    (folder / "prompt.txt").write_bytes(prompt.encode())
    pictures = [folder / f for f in files]
    ref = Reference(model, folder)
    want, rough, inputs = expected(ref, prompt, raw, files)
    faults, worst = [], 0.0
    plain = None
    for isa in args.isa or [None]:
        options = ["--dtype", "f32"] + (["--isa", isa] if isa else [])
        got = dump(args.critic, model, folder / "prompt.txt", raw, pictures, folder / "d.safetensors", *options)
        plain = got if plain is None or isa is None else plain
        more, e = compare(want, got, 1e-5, lambda: in_f64(ref, inputs))
        faults += [f"{isa or 'best'} {m}" for m in more]
        worst = max(worst, e)
    plain = dump(args.critic, model, folder / "prompt.txt", raw, pictures, folder / "d.safetensors", "--dtype", "f32")
    half_error = 0.0
    for isa in args.isa or [None]:
        options = ["--dtype", "bf16"] + (["--isa", isa] if isa else [])
        half = dump(args.critic, model, folder / "prompt.txt", raw, pictures, folder / "d.safetensors", *options)
        half_error = max(half_error, error(half["logits"], want["logits"]))
    if not half_error <= max(rough, 1e-5):
        faults.append(f"bf16 {half_error:.2g}, transformers {rough:.2g}")
    faults += converted(args.critic, folder, model, folder / "prompt.txt", raw, pictures, layout, plain)
    t, v = spec["text"], spec["vision"]
    print(
        f"{seed}: {layout} H{t['hidden_size']} heads {t['num_attention_heads']}/{t['num_key_value_heads']} "
        f"V{v['hidden_size']}/{v['num_attention_heads']} patch {v['patch_size']} image {v['image_size']} {spec['aspect']} "
        f"{'tied ' if spec['tied'] else ''}{len(want['input_ids'])} tokens [{'; '.join(m for _, m in made)}] "
        f"f32 {worst:.1e} bf16 {half_error:.1e} of {rough:.1e}{'' if not faults else '  DIFFERS: ' + '; '.join(faults)}",
        flush=True,
    )
    args.ratios.append(half_error / max(rough, 1e-30))
    return not faults


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("critic")
    ap.add_argument("--seeds", default="0:100")
    ap.add_argument("--isa", action="append", help="scalar, avx2, avx512; default: the best here")
    ap.add_argument("--keep", type=pathlib.Path, help="where the files of seeds that differ go")
    args = ap.parse_args()
    first, _, end = args.seeds.partition(":")
    bad, args.ratios = [], []
    torch.set_num_threads(1)
    for seed in range(int(first), int(end or int(first) + 1)):
        with tempfile.TemporaryDirectory() as folder:
            good = False
            try:
                good = one(args, seed, pathlib.Path(folder))
            except (RuntimeError, AssertionError) as e:
                print(f"{seed}: FAILED: {e!r}", flush=True)
            if not good:
                bad.append(seed)
                if args.keep:
                    shutil.copytree(folder, args.keep / str(seed), dirs_exist_ok=True)
    if args.ratios:
        print(f"bf16 error over transformers' own: median {statistics.median(args.ratios):.2f}, largest {max(args.ratios):.2f}")
    print(f"{len(bad)} differ: {bad}" if bad else "none differs")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
