#!/usr/bin/env python3
"""Holds loss, log-probabilities and gradients of critic train dpo against PyTorch's autograd of transformers.

  compare_preference.py CRITIC MODEL_DIR PAIRS.jsonl IMAGE_FOLDER [--ref-model DIR] [--loss all] [--tolerance 1e-4]

The reference runs prompt + answer as ordinary sequences, chosen and rejected apart, each with its picture (LLaVA-NeXT and
TRL concatenate them; the numbers are the same), counts the answer's tokens and its <|im_end|>, and takes the mean over the file's
pairs of the loss written out in loss_of. --loss all goes through every loss. Prints the worst differences, gradients over the largest
value of the tensor; leaves with 1 where one is above the tolerance. Records: prompt, chosen, rejected, image(s).
Needs the packages of scripts/golden/requirements.txt.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
from compare_gradients import adapted, canonical, expand, scale_of  # noqa: E402
from reference import Reference, is_lmms, rounding  # noqa: E402
from train import IGNORE, Masks  # noqa: E402

# name: flags of critic; --loss NAME picks one.
LOSSES = {
    "sigmoid": ["--loss", "sigmoid", "--beta", "0.1"],
    "cdpo": ["--loss", "sigmoid", "--beta", "0.3", "--label-smoothing", "0.1"],
    "sigmoid+sft": ["--loss", "sigmoid", "--beta", "0.1", "--sft-weight", "0.5"],
    "robust": ["--loss", "robust", "--beta", "0.2", "--label-smoothing", "0.1"],
    "hinge": ["--loss", "hinge", "--beta", "0.1"],
    "ipo": ["--loss", "ipo", "--beta", "0.2"],
    "sigmoid_norm": ["--loss", "sigmoid_norm", "--beta", "2"],
    "simpo": ["--loss", "simpo", "--beta", "2", "--simpo-gamma", "0.7"],
}


def loss_of(flags, policy, reference, n):
    """Of one pair. policy, reference: (chosen, rejected) sums; n: counted tokens."""
    f = dict(zip(flags[::2], flags[1::2], strict=True))
    kind, beta, e, gamma = f["--loss"], float(f["--beta"]), float(f.get("--label-smoothing", 0)), float(f.get("--simpo-gamma", 0))
    logsig = torch.nn.functional.logsigmoid
    a = [p - r for p, r in zip(policy, reference, strict=True)]
    d, dbar = a[0] - a[1], a[0] / n[0] - a[1] / n[1]
    smooth = lambda x: -(1 - e) * logsig(x) - e * logsig(-x)  # noqa: E731
    if kind == "sigmoid":
        loss = smooth(beta * d)
    elif kind == "robust":
        loss = (-(1 - e) * logsig(beta * d) + e * logsig(-beta * d)) / (1 - 2 * e)
    elif kind == "hinge":
        loss = torch.relu(1 - beta * d)
    elif kind == "ipo":
        loss = (dbar - 1 / (2 * beta)) ** 2
    elif kind == "sigmoid_norm":
        loss = smooth(beta * dbar)
    else:
        loss = smooth(beta * (policy[0] / n[0] - policy[1] / n[1]) - gamma)
    return loss - float(f.get("--sft-weight", 0)) * policy[0] / n[0]


class Side:
    """Log-probabilities of answers under one model."""

    def __init__(self, folder, images, adapter, double):
        self.ref = Reference(pathlib.Path(folder), pathlib.Path(images))
        self.model = self.ref.model
        if adapter:
            self.model = adapted(self.model, pathlib.Path(adapter), is_lmms(json.loads(pathlib.Path(folder, "config.json").read_text())))
        self.double = double
        self.model = self.model.double() if double else self.model
        self.masks, self.mark = Masks(self.ref.ids.special), self.ref.ids.special.token_to_id("<image>")

    def ids(self, prompt, answer, n_images):
        record = {"conversations": [{"from": "human", "value": "<image>\n" * n_images + prompt}, {"from": "gpt", "value": answer}]}
        ids, _ = self.masks.sample(record)
        body = self.masks.turn("assistant", answer, False)
        start = len(ids) - len(body)
        header = 1 + len(self.masks.plain("assistant"))
        first = start + header + (ids[start + header] == self.masks.newline[0])
        labels = [t if first <= i < len(ids) - len(self.masks.newline) else IGNORE for i, t in enumerate(ids)]
        return ids, labels

    def logp(self, record, side):
        files = record.get("images") or record.get("image") or []
        files = [files] if isinstance(files, str) else files
        prompt = record["prompt"].replace("<image>\n", "").replace("<image>", "")
        with rounding(self.ref.rounding):
            batch, counts = {}, []
            if files:
                _, _, batch, counts, _ = self.ref.vision(files, self.ref.rounding)
            ids, labels = expand(*self.ids(prompt, record[side], len(files)), counts, self.mark)
            if self.double and batch:
                batch["pixel_values"] = batch["pixel_values"].double()
            logits = self.model(input_ids=torch.tensor([ids]), **batch).logits[0]
        labels = torch.tensor(labels)[1:]
        at = labels != IGNORE
        rows = torch.log_softmax(logits[:-1][at].double(), -1)
        return rows.gather(1, labels[at][:, None]).sum(), int(at.sum())


def reference(args, records, flags, policy, other):
    sides = [[], [], [], []]
    total = 0.0
    policy.model.zero_grad(set_to_none=True)
    for record in records:
        logps, n = zip(*(policy.logp(record, s) for s in ("chosen", "rejected")), strict=True)
        refs = [torch.tensor(0.0, dtype=torch.float64)] * 2
        if "simpo" not in flags:
            with torch.no_grad():
                refs = [other.logp(record, s)[0] for s in ("chosen", "rejected")]
        loss = loss_of(flags, logps, refs, n) / len(records)
        loss.backward()
        total += float(loss.detach())
        for out, value in zip(sides, (*logps, *refs), strict=True):
            out.append(float(value.detach()))
    grads = {canonical(k): p.grad for k, p in policy.model.named_parameters() if p.grad is not None}
    return total, sides, grads


SIDES = ["policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps", "reference_rejected_logps"]


def critic(args, flags):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "gradients.safetensors"
        command = [args.critic, "train", "dpo", "--model", args.model, "--data", args.data, "--image-folder", args.images, *flags]
        command += ["--lora", args.adapter] if args.adapter else []
        command += ["--ref-model", args.ref_model] if args.ref_model and "simpo" not in flags else []
        command += ["--dtype", args.dtype, "--batch", str(args.batch), "--dump-gradients", str(out), "--quiet"]
        subprocess.run(command, check=True)
        return load_file(out)


def compare(args, name, records, policy, other):
    loss, sides, want = reference(args, records, LOSSES[name], policy, other)
    got = critic(args, LOSSES[name])
    rows = [(abs(float(got.pop("loss")) - loss) / abs(loss), f"loss {loss:.6f}")]
    for key, values in zip(SIDES, sides, strict=True):
        w = torch.tensor(values, dtype=torch.float64)
        rows.append((float((got.pop(key).double() - w).abs().max() / w.abs().max().clamp(min=1e-30)), key))
    got = {canonical(n): t for n, t in got.items()}
    for key, g in got.items():
        w = want.get(key)
        if w is None:
            rows.append((float(g.abs().max()), key + " (no gradient in the reference)"))
            continue
        rows.append((float((g.double() - w.double()).abs().max()) / max(scale_of(key, want), 1e-30), key))
    missing = [n for n in want if n not in got]
    rows.sort()
    for error, what in rows[-args.show :]:
        print(f"  {error:.3g}  {what}")
    print(f"{name}: loss {loss:.6f}, {len(got)} tensors, largest {rows[-1][0]:.3g}" + (f"; MISSING {missing}" if missing else ""), flush=True)
    return rows[-1][0] <= args.tolerance and not missing


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("critic")
    ap.add_argument("model")
    ap.add_argument("data")
    ap.add_argument("images")
    ap.add_argument("--ref-model", help="default: the model itself")
    ap.add_argument("--adapter", help="the policy carries this LoRA adapter")
    ap.add_argument("--loss", default="all", choices=["all", *LOSSES])
    ap.add_argument("--dtype", default="f32")
    ap.add_argument("--batch", type=int, default=2)
    ap.add_argument("--show", type=int, default=2)
    ap.add_argument("--double", action="store_true", help="the reference in f64")
    ap.add_argument("--tolerance", type=float, default=1e-4)
    args = ap.parse_args()
    records = [json.loads(line) for line in open(args.data, encoding="utf-8") if line.strip()]
    policy = Side(args.model, args.images, args.adapter, args.double)
    # The model that training starts from, adapter included, is its own reference.
    other = Side(args.ref_model, args.images, None, args.double) if args.ref_model else policy
    names = LOSSES if args.loss == "all" else [args.loss]
    ok = [compare(args, name, records, policy, other) for name in names]
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
