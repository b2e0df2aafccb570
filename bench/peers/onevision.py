#!/usr/bin/env python3
"""transformers on a LLaVA-OneVision 0.5B of random weights, in turns with `critic bench`."""
import argparse
import warnings

import torch
import transformers

from common import critic, report, timed

TEXT = dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, vocab_size=151936, max_position_embeddings=32768, rope_theta=1e6,
            rms_norm_eps=1e-6, tie_word_embeddings=True)
VISION = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=26, num_attention_heads=16,
              image_size=384, patch_size=14)
TILES, PATCHES = 5, 729


def projector():
    return torch.nn.Sequential(torch.nn.Linear(1152, 896), torch.nn.GELU(), torch.nn.Linear(896, 896))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--critic", required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--critic-dtype", help="of critic's products (default: the same)")
    parser.add_argument("--phases", default="vision,prefill,decode", help="and request")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    phases = args.phases.split(",")
    flags = ["--shape", "onevision-0.5b", "--dtype", args.critic_dtype or args.dtype]
    torch.manual_seed(0)
    with torch.inference_mode():
        if "vision" in phases or "request" in phases:
            tower = transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION)).to(dtype).eval()
            project = projector().to(dtype)
            pixels = torch.randn(TILES, 3, 384, 384, dtype=dtype)

            def vision():
                return project(tower(pixels, output_hidden_states=True).hidden_states[-1])
        if "vision" in phases:
            pairs = [(critic(args.critic, "vision", flags)[0], timed(vision)) for _ in range(args.pairs)]
            report("vision", f"transformers {transformers.__version__} {args.dtype}", TILES * PATCHES, pairs)
        text = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**TEXT)).to(dtype).eval()
        for n in (1024, 4096):
            if "prefill" not in phases:
                break
            ids = torch.randint(0, 50000, (1, n))
            pairs = [(critic(args.critic, "prefill", flags, n)[0],
                      timed(lambda: text(ids, logits_to_keep=1))) for _ in range(args.pairs)]
            report("prefill", f"transformers {transformers.__version__} {args.dtype}", n, pairs)
        if "request" in phases:  # 2,929 picture tokens, 40 of a question, 400 of an answer
            ids = torch.randint(0, 50000, (1, 3369))
            pairs = [(critic(args.critic, "request", flags)[0],
                      timed(lambda: (vision(), text(ids, logits_to_keep=1)))) for _ in range(args.pairs)]
            report("request", f"transformers {transformers.__version__} {args.dtype}", 3369, pairs)
        if "decode" in phases:
            ids = torch.randint(0, 50000, (1, 1024))
            state = text(ids, logits_to_keep=1, use_cache=True)

            def steps(n=16):
                cache, token = state.past_key_values, torch.tensor([[7]])
                for _ in range(n):
                    out = text(token, past_key_values=cache, use_cache=True)
                    token = out.logits[:, -1:].argmax(-1)
            pairs = []
            for _ in range(args.pairs):
                seconds, tokens = critic(args.critic, "decode", flags)
                pairs.append((seconds / tokens, timed(steps) / 16))
            report("decode", f"transformers {transformers.__version__} {args.dtype}", 1, pairs)


if __name__ == "__main__":
    main()
