#!/usr/bin/env python3
"""vLLM (a CPU build) on a LLaVA-OneVision 0.5B of random weights, in turns with `critic bench`: one answer on a new
picture to the verdict's logits, and eight answers on one new picture. Needs an environment of its own: vLLM pins PyTorch.
FOLDER holds configuration and processor as llava-hf has them; `--make TOKENIZER.json` (Qwen2's) writes them there first, in the
environment of requirements.txt."""
import argparse
import os
import random
import time

from common import critic, report

WORDS, ANSWER, QUESTION = 50000, 400, 40
TEXT = dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, vocab_size=152000, max_position_embeddings=32768, rope_theta=1e6,
            rms_norm_eps=1e-6, tie_word_embeddings=True)
VISION = dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=26, num_attention_heads=16, image_size=384,
              patch_size=14, vision_use_head=False)


def make(folder, tokenizer):
    from transformers import (LlavaOnevisionConfig, LlavaOnevisionImageProcessor, LlavaOnevisionProcessor,
                              PreTrainedTokenizerFast, Qwen2Config, SiglipVisionConfig)
    from transformers.models.llava_onevision.video_processing_llava_onevision import LlavaOnevisionVideoProcessor
    tokens = PreTrainedTokenizerFast(tokenizer_file=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokens.add_tokens(["<image>", "<video>"], special_tokens=True)
    image, video = tokens.convert_tokens_to_ids(["<image>", "<video>"])
    pins = [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)]
    LlavaOnevisionConfig(
        text_config=Qwen2Config(**TEXT), vision_config=SiglipVisionConfig(**VISION), image_token_index=image, video_token_index=video,
        image_grid_pinpoints=pins, vision_aspect_ratio="anyres_max_9", vision_feature_layer=-1,
        vision_feature_select_strategy="full", tie_word_embeddings=True,
        architectures=["LlavaOnevisionForConditionalGeneration"]).save_pretrained(folder)
    size = {"height": 384, "width": 384}
    LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pins), tokenizer=tokens,
        video_processor=LlavaOnevisionVideoProcessor(size=size), num_image_tokens=729,
        vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_9").save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--make", metavar="TOKENIZER.json")
    parser.add_argument("--critic")
    parser.add_argument("--critic-dtype", default="bf16")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--eager", action="store_true", help="no torch.compile")
    args = parser.parse_args()
    if args.make:
        return make(args.folder, args.make)

    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{os.cpu_count() - 1}")  # by itself it leaves a core unused
    import numpy
    import vllm
    from PIL import Image
    llm = vllm.LLM(args.folder, load_format="dummy", dtype="bfloat16", max_model_len=8192, limit_mm_per_prompt={"image": 1, "video": 0},
                   enable_prefix_caching=True, enforce_eager=args.eager, disable_log_stats=True)
    mark = llm.get_tokenizer().convert_tokens_to_ids("<image>")
    rng = random.Random(1)

    def ask(n):
        """Seconds until n answers on a picture that was not seen before have their verdict's logits."""
        pixels = numpy.random.default_rng(rng.randrange(1 << 30)).integers(0, 255, (480, 640, 3), dtype=numpy.uint8)
        question = [rng.randrange(WORDS) for _ in range(QUESTION)]
        prompts = [{"prompt_token_ids": [mark] + question + [rng.randrange(WORDS) for _ in range(ANSWER)],
                    "multi_modal_data": {"image": Image.fromarray(pixels)}} for _ in range(n)]
        start = time.perf_counter()
        out = llm.generate(prompts, vllm.SamplingParams(max_tokens=1, temperature=0, logprobs=5), use_tqdm=False)
        seconds = time.perf_counter() - start
        assert len(out) == n and len(out[0].prompt_token_ids) > 2900
        return seconds

    ask(1)
    flags = ["--shape", "onevision-0.5b", "--dtype", args.critic_dtype]
    tokens = 2929 + QUESTION + ANSWER
    for n, phase in ((1, "request"), (8, "candidates_8")):
        # Of critic, too, a first pass that is not counted: vLLM had one above.
        pairs = [(critic(args.critic, phase, flags, passes=2)[0], ask(n)) for _ in range(args.pairs)]
        report(phase, f"vLLM {vllm.__version__}", tokens, pairs)


if __name__ == "__main__":
    main()
