#!/usr/bin/env python3
"""Holds the gradients of critic train sft against PyTorch's autograd of transformers.

  compare_gradients.py CRITIC MODEL_DIR DATA.jsonl IMAGE_FOLDER [--pack none] [--tolerance 1e-4]

Loss: next-token cross-entropy over LLaVA-NeXT's targets, the sum over the file divided by their number. Prints for the loss
and each tensor the largest difference over the reference's largest value, worst last; leaves with 1 where one is above
the tolerance. Gradients that are zero in theory (a key's bias) are measured against the largest gradient of their
layer's biases. With --adapter the network carries that LoRA adapter (PEFT's folder, as critic train sft --lora writes it), the
reference through PEFT, and the gradients are the adapter's. --base FILE.gguf: critic reads the frozen weights in 8 bits, the reference
the same numbers from MODEL_DIR, made by critic convert FILE.gguf MODEL_DIR --to safetensors-hf --dtype f32. --freeze PART,
repeated, as critic has it: gradients of the rest, and of nothing else. Needs the packages of scripts/golden/requirements.txt.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
from reference import Reference, from_lmms_name, is_lmms, rounding  # noqa: E402
from train import IGNORE, IMAGE, Masks  # noqa: E402


def canonical(name):
    name = name.removeprefix(PEFT).replace(".default", "")
    name = re.sub(r"^(model\.)?(language_model\.)?(model\.)?", "", from_lmms_name(name))
    return name.replace("vision_tower.vision_model.", "vision_tower.")


def expand(ids, labels, counts, mark):
    """Marks to picture rows."""
    out, targets, counts = [], [], iter(counts)
    for token, label in zip(ids, labels, strict=True):
        n = next(counts) if token == IMAGE else 1
        out += [mark if token == IMAGE else token] * n
        targets += [IGNORE if token == IMAGE else label] * n
    return out, targets


PEFT = "base_model.model."


def adapted(model, folder, is_lmms):
    """The model with the adapter; names of lmms-lab's modules become those of transformers."""
    rename = from_lmms_name if is_lmms else lambda name: name
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["target_modules"] = [rename(n) for n in config["target_modules"]]
    weights = {PEFT + rename(n.removeprefix(PEFT)): t for n, t in load_file(folder / "adapter_model.safetensors").items()}
    with tempfile.TemporaryDirectory() as copy:
        pathlib.Path(copy, "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file(weights, pathlib.Path(copy, "adapter_model.safetensors"))
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing.*")
            model = PeftModel.from_pretrained(model, copy, is_trainable=True)
    got = {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
    assert set(got) == set(weights), set(got) ^ set(weights)
    return model.eval()


def reference(args):
    ref = Reference(pathlib.Path(args.model), pathlib.Path(args.images))
    model = ref.model
    if args.adapter:
        model = adapted(model, pathlib.Path(args.adapter), is_lmms(json.loads(pathlib.Path(args.model, "config.json").read_text())))
    model = model.double() if args.double else model
    masks, mark = Masks(ref.ids.special), ref.ids.special.token_to_id("<image>")
    total, n_targets = 0.0, 0
    records = [json.loads(line) for line in open(args.data, encoding="utf-8") if line.strip()]
    for record in records:
        files = record.get("image") or []
        files = [files] if isinstance(files, str) else files
        with rounding(ref.rounding):
            batch, counts = {}, []
            if files:
                _, _, batch, counts, _ = ref.vision(files, ref.rounding)
            ids, labels = expand(*masks.sample(record), counts, mark)
            if args.double and batch:
                batch["pixel_values"] = batch["pixel_values"].double()
            logits = model(input_ids=torch.tensor([ids]), **batch).logits[0]
        labels = torch.tensor(labels)
        loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=IGNORE, reduction="sum")
        loss.backward()
        total += float(loss.detach())
        n_targets += int((labels[1:] != IGNORE).sum())
    grads = {canonical(n): p.grad / n_targets for n, p in model.named_parameters() if p.grad is not None}
    return total / n_targets, n_targets, grads


def critic(args, folder):
    out = folder / "gradients.safetensors"
    command = [args.critic, "train", "sft", "--model", args.base or args.model, "--data", args.data, "--image-folder", args.images]
    command += ["--lora", args.adapter] if args.adapter else []
    command += [word for part in args.freeze for word in ("--freeze", part)]
    command += ["--dtype", args.dtype, "--pack", args.pack, "--dump-gradients", str(out), "--quiet"]
    subprocess.run(command, check=True)
    return load_file(out)


def part_of(name):
    return {"vision_tower": "tower", "multi_modal_projector": "projector"}.get(name.split(".")[0], "decoder")


def scale_of(name, grads):
    """The largest value that the gradient is measured by."""
    own = float(grads[name].abs().max())
    if not name.endswith("k_proj.bias"):
        return own
    return max(own, *(float(grads[name.replace("k_proj", p)].abs().max()) for p in ("q_proj", "v_proj")))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("critic")
    ap.add_argument("model")
    ap.add_argument("data")
    ap.add_argument("images")
    ap.add_argument("--adapter", help="a LoRA adapter's folder")
    ap.add_argument("--base", help="what critic trains on instead of MODEL_DIR: a file of which MODEL_DIR holds the same numbers in f32")
    ap.add_argument("--freeze", action="append", default=[], help="tower, projector or decoder")
    ap.add_argument("--dtype", default="f32")
    ap.add_argument("--pack", default="none")
    ap.add_argument("--show", type=int, default=8)
    ap.add_argument("--double", action="store_true", help="the reference in f64")
    ap.add_argument("--tolerance", type=float, default=1e-4)
    args = ap.parse_args()

    loss, n_targets, want = reference(args)
    want = {name: g for name, g in want.items() if part_of(name) not in args.freeze}
    with tempfile.TemporaryDirectory() as folder:
        got = {canonical(n): t for n, t in critic(args, pathlib.Path(folder)).items()}
    rows = [(abs(float(got.pop("loss")) - loss) / abs(loss), f"loss {loss:.6f} over {n_targets} targets")]
    for name, g in got.items():
        w = want.get(name)
        if w is None:
            rows.append((float(g.abs().max()), name + " (no gradient in the reference)"))
            continue
        assert w.shape == g.shape, (name, w.shape, g.shape)
        rows.append((float((g.double() - w.double()).abs().max()) / max(scale_of(name, want), 1e-30), name))
    missing = [n for n in want if n not in got]
    rows.sort()
    for error, what in rows[-args.show :]:
        print(f"{error:.3g}  {what}")
    print(f"{len(got)} tensors, largest {rows[-1][0]:.3g}" + (f"; MISSING {missing}" if missing else ""))
    sys.exit(0 if rows[-1][0] <= args.tolerance and not missing else 1)


if __name__ == "__main__":
    main()
