#!/bin/sh
# How fast the micro world is drawn: pictures with all their records (base and critic) a second, on THREADS
# threads, by the clock and by the processor time spent; exit status 1 where the clock's is below FLOOR.   usage: scripts/micro/speed.sh [COUNT [THREADS [FLOOR]]]
set -eu
count=${1:-8000}
threads=${2:-2}
floor=${3:-2000}
critic=${CRITIC:-$(dirname "$0")/../../build/release/critic}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
now() { date +%s.%N; }
start=$(now)
"$critic" data world --out "$tmp" --count "$count" --threads "$threads" --quiet
"$critic" data critic "$tmp/train/scenes.jsonl" --threads "$threads" --quiet
end=$(now)
# The second line of `times` is what the children took: 0m1.230s 0m0.400s. Not behind a pipe: a subshell has had
# no children.
times >"$tmp/times"
cpu=$(awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/); print u[1] * 60 + u[2] + s[1] * 60 + s[2] }' "$tmp/times")
awk -v n="$count" -v a="$start" -v b="$end" -v cpu="$cpu" -v floor="$floor" 'BEGIN {
    rate = n / (b - a)
    printf "%d pictures with their records: %.2f s, %.0f a second; %.0f a second of one core\n", n, b - a, rate, n / cpu
    exit rate < floor
}'
