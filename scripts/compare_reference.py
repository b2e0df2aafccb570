#!/usr/bin/env python3
"""Holds one forward pass of critic against transformers, tensor by tensor.

  compare_reference.py CRITIC MODEL_DIR --prompt-file F [--raw] [--image F]... [--dtype f32]

Needs the packages of scripts/golden/requirements.txt. Prints, for each tensor of the dump,
the largest difference over the reference's largest value; leaves with 1 if ids or pixels
are not equal or logits differ by more than --tolerance (default 1e-5).
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
from reference import Reference, rounding  # noqa: E402


def dump(args, folder):
    out = folder / "dump.safetensors"
    command = [args.critic, "forward", "--model", args.model, "--prompt-file", args.prompt_file, "--dump", str(out)]
    command += [a for f in args.image for a in ("--image", f)]
    command += ["--raw"] if args.raw else []
    command += ["--dtype", args.dtype]
    command += ["--logits-last", str(args.logits_last)] if args.logits_last else []
    subprocess.run(command, check=True)
    return load_file(out)


def expected(args):
    ref = Reference(pathlib.Path(args.model), pathlib.Path("."))
    prompt = pathlib.Path(args.prompt_file).read_bytes().decode()
    kind = args.preprocess or ref.rounding
    with torch.no_grad(), rounding(kind):
        inputs, _, counts, _, _ = ref.inputs(prompt, args.raw, args.image, kind)
        hidden, features = ref.run(inputs)
        out = {"input_ids": inputs["input_ids"][0], "hidden_states": hidden}
        out["logits"] = ref.model.lm_head(hidden[-args.logits_last :] if args.logits_last else hidden)
        if args.image:
            out["tiles_per_image"] = torch.tensor(counts)
            out["pixel_values"] = torch.cat([p[:n] for p, n in zip(inputs["pixel_values"], counts, strict=True)])
            out["image_features"] = features
    return out


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("critic")
    ap.add_argument("model")
    ap.add_argument("--prompt-file", required=True)
    ap.add_argument("--image", action="append", default=[])
    ap.add_argument("--raw", action="store_true")
    ap.add_argument("--dtype", default="f32")
    ap.add_argument("--preprocess", choices=("lmms", "hf"))
    ap.add_argument("--logits-last", type=int, default=0)
    ap.add_argument("--tolerance", type=float, default=1e-5)
    args = ap.parse_args()

    want = expected(args)
    with tempfile.TemporaryDirectory() as folder:
        got = dump(args, pathlib.Path(folder))
    good = True
    for name, w in want.items():
        g = got.get(name)
        if g is None or g.shape != w.shape:
            print(f"{name}: shape {None if g is None else tuple(g.shape)}, reference {tuple(w.shape)}")
            good = False
            continue
        exact = name in ("input_ids", "tiles_per_image", "pixel_values")
        error = float((g.double() - w.double()).abs().max() / max(float(w.double().abs().max()), 1e-30))
        ok = torch.equal(g, w) if exact else (name != "logits" or error <= args.tolerance)
        good &= ok
        print(f"{name:16} {tuple(w.shape)!s:22} {error:.3g}{'' if ok else '  DIFFERS'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
