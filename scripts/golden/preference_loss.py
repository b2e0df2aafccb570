"""Losses and derivatives of preference pairs by PyTorch autograd, for src/train/preference_loss_test.c.

The formulas are written out from the papers and agree with TRL's DPOTrainer where it has the loss
(sigmoid without smoothing, robust, hinge, ipo, sigmoid_norm); sigmoid with smoothing is LLaVA-NeXT's
and LLaMA-Factory's, simpo is LLaMA-Factory's.

usage: python scripts/golden/preference_loss.py >tests/golden/preference_loss.tsv     (torch 2.15.0)
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(7)


def loss(name, pc, pr, rc, rr, nc, nr, beta, eps, gamma):
    d = (pc - rc) - (pr - rr)
    dbar = (pc - rc) / nc - (pr - rr) / nr
    if name == "sigmoid":
        return -(1 - eps) * F.logsigmoid(beta * d) - eps * F.logsigmoid(-beta * d)
    if name == "robust":
        return (-(1 - eps) * F.logsigmoid(beta * d) + eps * F.logsigmoid(-beta * d)) / (1 - 2 * eps)
    if name == "hinge":
        return torch.relu(1 - beta * d)
    if name == "ipo":
        return (dbar - 1 / (2 * beta)) ** 2
    if name == "sigmoid_norm":
        return -(1 - eps) * F.logsigmoid(beta * dbar) - eps * F.logsigmoid(-beta * dbar)
    x = beta * (pc / nc - pr / nr) - gamma
    return -(1 - eps) * F.logsigmoid(x) - eps * F.logsigmoid(-x)


print("# loss beta smoothing gamma pc pr rc rr nc nr -> loss by_chosen by_rejected")
for name in ("sigmoid", "robust", "hinge", "ipo", "sigmoid_norm", "simpo"):
    smooths = name not in ("hinge", "ipo")
    for case in range(8):
        u = torch.rand(6, generator=generator)
        spread = [1, 40, 400, 3000][case % 4]
        values = [(-spread * v).item() for v in u[:4]]
        nc, nr = 1 + int(u[4] * 300), 1 + int(u[5] * 300)
        beta = [0.1, 2.5][case // 4]
        eps = 0.1 if smooths and case % 2 else 0.0
        gamma = 1.25 if name == "simpo" else 0.0
        pc, pr = (torch.tensor(v, requires_grad=True) for v in values[:2])
        value = loss(name, pc, pr, values[2], values[3], nc, nr, beta, eps, gamma)
        by_c, by_r = torch.autograd.grad(value, (pc, pr))
        numbers = [beta, eps, gamma, *values, nc, nr, value.item(), by_c.item(), by_r.item()]
        print(name, *(repr(n) for n in numbers), sep="\t")
