#!/bin/sh
# A limit that the host sets on OpenMP's threads changes no bit: oneDNN left out parts of products.
set -eu
. "$CRITIC_SOURCE_DIR/tests/e2e/lib.sh"
cd "$tmp"
echo "What is it?" >prompt.txt
for dtype in f32 bf16; do
    for limit in 1 4; do
        OMP_THREAD_LIMIT=$limit "$CRITIC" forward --model "$tiny/wide-hf-old-flat" --dtype $dtype \
            --threads 2 --prompt-file prompt.txt --dump $limit.safetensors >/dev/null
    done
    cmp 1.safetensors 4.safetensors
done
