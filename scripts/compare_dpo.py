#!/usr/bin/env python3
"""A step of preference learning beside PyTorch: one pair, one picture, LLaVA-OneVision on random weights, bf16, no optimiser.

  compare_dpo.py DPO_STEP [--shape onevision-0.5b] [--picture 640x480] [--prompt 60] [--answer 200] [--rank R] [--repeats N] [--threads T]

DPO_STEP: the program built from bench/dpo_step.c (cmake --build … --target dpo_step). The peer is the usual step (TRL,
LLaVA-NeXT): transformers' model and scaled_dot_product_attention, chosen and rejected as two whole sequences of one batch, each with its
picture, through the reference and the policy, then backward with gradient checkpointing. Full tuning: weights and gradients in bf16, a frozen
second model as reference, logits of every row; --rank R: PEFT adapters on the decoder's linears, the adapter turned off as
reference, the tower frozen. --peer keep: logits of the answers' rows only, which TRL once had as an option. Answers are equally long, so
that the peer has nothing to pad. critic runs as it would under train dpo: prompt and picture once, logits where they count.
Processes run one after the other, in turns; peak memory is each process's own. Every time is printed, wall and CPU."""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

TEXT = {
    "onevision-0.5b": dict(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, vocab_size=151936
    ),
    "tiny": dict(hidden_size=56, intermediate_size=100, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, vocab_size=640),
}
VISION = {
    "onevision-0.5b": dict(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=26, num_attention_heads=16, image_size=384, patch_size=14
    ),
    "tiny": dict(hidden_size=144, intermediate_size=102, num_hidden_layers=2, num_attention_heads=2, image_size=58, patch_size=14),
}


def build(args):
    import torch
    import transformers as tf

    px = VISION[args.shape]["image_size"]
    tf.logging.set_verbosity_error()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    config = tf.LlavaOnevisionConfig(
        text_config=tf.Qwen2Config(**TEXT[args.shape], max_position_embeddings=32768, rope_theta=1e6, tie_word_embeddings=True),
        vision_config=tf.SiglipVisionConfig(**VISION[args.shape], vision_use_head=False),
        image_token_index=0, vision_feature_layer=-1, vision_aspect_ratio="anyres_max_9", tie_word_embeddings=True,
        image_grid_pinpoints=[[px * h, px * w] for w in range(1, 7) for h in range(1, 7)],
    )  # fmt: skip
    model = tf.LlavaOnevisionForConditionalGeneration._from_config(config, attn_implementation="sdpa", dtype=torch.bfloat16)
    return model


def peer(args):
    """One process of the peer: prints a line of JSON."""
    import torch

    torch.set_num_threads(args.threads)
    model, reference = build(args), None
    vocab = TEXT[args.shape]["vocab_size"]
    if args.rank:
        from peft import LoraConfig, get_peft_model

        names = "|".join(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
        lora = LoraConfig(r=args.rank, lora_alpha=args.rank // 2, target_modules=rf".*language_model.*\.({names})")
        # No enable_input_require_grads: it would have the frozen tower go backward for nothing.
        model = get_peft_model(model, lora, autocast_adapter_dtype=False)
    else:
        reference = build(args).eval().requires_grad_(False)
        reference.load_state_dict(model.state_dict())
    model.train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    w, h = map(int, args.picture.split("x"))
    px = VISION[args.shape]["image_size"]
    ids = torch.randint(1, vocab, (2, args.prompt + args.tokens + args.answer))
    front = args.prompt // 5
    ids[1, : -args.answer] = ids[0, : -args.answer]
    ids[:, front : front + args.tokens] = 0
    pixels = torch.rand(1, args.tiles, 3, px, px).mul_(2).sub_(1).repeat(2, 1, 1, 1, 1)
    inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, image_sizes=torch.tensor([[h, w]] * 2))
    labels = ids[:, -args.answer :]

    def logps(m):
        keep = {"logits_to_keep": args.answer + 1} if args.peer == "keep" else {}
        logits = m(**inputs, use_cache=False, **keep).logits[:, :-1]
        if args.peer == "keep":
            logits = logits[:, -args.answer :]
            rows = [torch.log_softmax(row, -1).gather(-1, t[:, None])[:, 0] for row, t in zip(logits, labels, strict=True)]
            return torch.stack(rows).float().sum(1)
        # As TRL's selective_log_softmax for bf16, over all rows, those that do not count masked.
        rows = [torch.log_softmax(row, -1).gather(-1, t[:, None])[:, 0] for row, t in zip(logits, ids[:, 1:], strict=True)]
        return torch.stack(rows)[:, -args.answer :].float().sum(1)

    def step():
        start, cpu = time.perf_counter(), time.process_time()
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            if reference is None:
                with model.disable_adapter():
                    ref = logps(model)
            else:
                ref = logps(reference)
        middle = time.perf_counter()
        now = logps(model)
        d = (now - ref)[0] - (now - ref)[1]
        loss = -torch.nn.functional.logsigmoid(0.1 * d)
        loss.backward()
        return {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "reference": middle - start}, float(loss.detach())

    steps, loss = [], 0
    for _ in range(args.steps):
        t, loss = step()
        steps.append(t)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"steps": steps, "rss": peak, "loss": loss, "rows": 2 * ids.shape[1], "trained": trained, "torch": torch.__version__}))


def run(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--shape", choices=TEXT, default="onevision-0.5b")
    parser.add_argument("--picture", default="640x480")
    parser.add_argument("--prompt", type=int, default=60, help="tokens of the prompt beside the picture's")
    parser.add_argument("--answer", type=int, default=200, help="tokens of each answer")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=1, help="processes of each side, in turns")
    parser.add_argument("--steps", type=int, default=1, help="steps a process; the fastest counts")
    parser.add_argument("--modes", default="recompute,keep-all", help="of critic: which to run (recompute, keep-all)")
    parser.add_argument("--peer", choices=["full", "keep"], default="full")
    parser.add_argument("--tokens", type=int, help=argparse.SUPPRESS)  # of the picture; makes this the peer's process
    parser.add_argument("--tiles", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tokens:
        return peer(args)
    best = {}

    def note(who, r):
        fastest = min(r["steps"], key=lambda s: s["wall"])
        print(f"{who:18} {r['rows']:6} rows  " + "  ".join(f"{s['wall']:.1f} s ({s['cpu']:.1f} of CPU, reference {s['reference']:.1f})" for s in r["steps"]) + f"  peak {r['rss'] / 2**30:.2f} GiB  loss {r['loss']:.4f}", flush=True)  # fmt: skip
        old = best.setdefault(who, [float("inf"), float("inf"), 0])
        best[who] = [min(old[0], fastest["wall"]), min(old[1], fastest["cpu"]), max(old[2], r["rss"])]

    w, h = args.picture.split("x")
    for _ in range(args.repeats):
        for mode in args.modes.split(","):
            ours = run([args.program, args.shape, w, h, str(args.prompt), str(args.answer), "bf16", str(args.threads), str(args.steps), str(args.rank), str(int(mode == "recompute"))])  # fmt: skip
            note(f"critic {mode}", ours)
        command = [sys.executable, __file__, *sys.argv[1:], "--tokens", str(ours["picture"]), "--tiles", str(ours["tiles"]), "--threads", str(args.threads)]
        theirs = run(command)
        note("PyTorch", theirs)
    torch = best["PyTorch"]
    for who, ours in best.items():
        if who != "PyTorch":
            print(f"{who}: {torch[0] / ours[0]:.2f} times as fast as PyTorch {theirs['torch']} (by CPU time {torch[1] / ours[1]:.2f}), {ours[2] / torch[2]:.2f} of its peak memory; {args.threads} threads")


if __name__ == "__main__":
    main()
