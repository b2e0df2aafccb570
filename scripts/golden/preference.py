"""Losses and gradients of critic train dpo on a tiny checkpoint with pictures, from autograd of transformers in double.

Chosen and rejected run as two ordinary sequences, each with its picture; the program packs them on one prompt. Full tuning has no
reference (log p 0), the adapter's is the model without it. `losses` holds every loss with its gradient over all tensors together;
`gradients` every tensor of the loss that `all` names: norm, and dot products with hashed signs (gradients.py). `scale` is what a tensor is
measured by: its norm, for a key's bias, whose gradient is rounding alone, its neighbours'.

Written to tests/golden/preference; run through make.py."""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

from gradients import digest, pixels, signs

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from compare_gradients import canonical  # noqa: E402
from compare_preference import LOSSES, SIDES, Side, loss_of  # noqa: E402

MODEL = "ov-lmms"
ALL = "sigmoid+sft"
PAIRS = [
    {"id": "a", "image": "1x1.png", "prompt": "What is it?", "chosen": "It is small.", "rejected": "It is a very large dog."},
    {"id": "b", "prompt": "Add 1 and 2.", "chosen": "3", "rejected": "It is four."},
    {"id": "c", "image": ["94x235.png"], "prompt": "Which colour?", "chosen": "Red", "rejected": "Blue and red"},
]


def adapter(model, folder):
    """Rank 2 on every linear of decoder, projector and tower, hashed numbers, under lmms-lab's names as the program writes them."""
    weights, targets = {}, []
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        name = canonical(name)
        if name.startswith("layers."):
            name = "model." + name
        elif name.startswith("vision_tower."):
            name = "model.vision_tower.vision_tower.vision_model." + name.removeprefix("vision_tower.").removeprefix("vision_model.")
        else:
            name = "model." + name
        if ".head." in name or ".post_layernorm" in name:
            continue
        targets.append(name)
        for side, shape in (("A", (2, module.in_features)), ("B", (module.out_features, 2))):
            values = 0.1 * pixels(7000 + len(weights), shape[0] * shape[1])
            weights[f"base_model.model.{name}.lora_{side}.weight"] = torch.tensor(values, dtype=torch.float32).reshape(shape)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "target_modules": targets, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def scale_of(name, grads):
    names = [name] if not name.endswith("k_proj.bias") else [name, *(name.replace("k_proj", p) for p in ("q_proj", "v_proj"))]
    return max(float(grads[n].norm()) for n in names)


def case(name, side, with_reference):
    logps, counts, grads = [[], []], [[], []], [[], []]
    reference = [[0.0] * len(PAIRS), [0.0] * len(PAIRS)]
    names = [n for n, p in side.model.named_parameters() if p.requires_grad]
    params = [p for p in side.model.parameters() if p.requires_grad]
    for record in PAIRS:
        for k, which in enumerate(("chosen", "rejected")):
            logp, n = side.logp(record, which)
            logps[k].append(logp.item())
            counts[k].append(n)
            grads[k].append([torch.zeros_like(p) if g is None else g for g, p in zip(torch.autograd.grad(logp, params, allow_unused=True), params, strict=True)])
    if with_reference:
        with side.model.disable_adapter(), torch.no_grad():
            reference = [[side.logp(r, which)[0].item() for r in PAIRS] for which in ("chosen", "rejected")]
    out = {"name": name, **dict(zip(SIDES, (*logps, *reference), strict=True)), "losses": []}
    for label, flags in LOSSES.items():
        total, sums = 0.0, [torch.zeros_like(p) for p in params]
        for i in range(len(PAIRS)):
            policy = [torch.tensor(logps[k][i], dtype=torch.float64, requires_grad=True) for k in range(2)]
            ref = [torch.tensor(reference[k][i], dtype=torch.float64) for k in range(2)]
            loss = loss_of(flags, policy, ref, [counts[k][i] for k in range(2)]) / len(PAIRS)
            by = torch.autograd.grad(loss, policy, allow_unused=True)
            total += loss.item()
            for k in range(2):
                for s, g in zip(sums, grads[k][i], strict=True):
                    s += by[k] * g
        found = {canonical(n): s for n, s in zip(names, sums, strict=True)}
        f = dict(zip(flags[::2], flags[1::2], strict=True))
        dots = [sum(float(s.flatten().numpy() @ signs(k, s.numel())) for s in sums) for k in range(2)]
        norm = sum(float(s.norm()) ** 2 for s in sums) ** 0.5
        out["losses"].append({"name": label, "kind": f["--loss"], "beta": float(f["--beta"]), "smoothing": float(f.get("--label-smoothing", 0)), "gamma": float(f.get("--simpo-gamma", 0)), "sft": float(f.get("--sft-weight", 0)), "loss": total, "norm": norm, "dots": dots})  # fmt: skip
        if label == ALL:
            out["all"] = label
            out["gradients"] = {n: {"scale": scale_of(n, found), **{k: v for k, v in digest(g).items() if k != "largest"}} for n, g in found.items() if g.abs().max() > 0}
    return out


def make(out):
    folder = out / "golden" / "preference"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in PAIRS), encoding="utf-8")
    model, images = out / "tiny" / MODEL, out / "golden" / "images"
    full = Side(model, images, None, True)
    adapter(full.model, folder / "adapter")
    cases = [case("full", full, False), case("lora", Side(model, images, folder / "adapter", True), True)]
    text = json.dumps({"model": MODEL, "torch": torch.__version__, "cases": cases}, indent=0)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")
