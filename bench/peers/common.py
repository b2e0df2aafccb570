"""What the peer scripts share: running critic's phase, alternating, medians of pairs."""
import json
import os
import statistics
import subprocess
import time


def critic(program, phase, arguments, tokens=None, passes=1):
    """(seconds, tokens) of the phase, the fastest of some passes; the longest one of that name
    unless tokens are named. One step of several counts for decode."""
    out = subprocess.run(
        [program, "bench", "--only", phase, "--passes", str(passes), "--quiet", "--json", *arguments],
        check=True, capture_output=True, text=True).stdout
    phases = [p for p in json.loads(out)["phases"]
              if p["name"] == phase and (tokens is None or p["tokens"] == tokens)]
    if not phases:
        raise SystemExit(f"critic bench has no phase {phase} of {tokens} tokens")
    return phases[-1]["seconds"], phases[-1]["tokens"]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(name, peer, tokens, pairs):
    """pairs: (critic's seconds, the peer's) taken one after the other."""
    print(json.dumps({
        "name": name, "peer": peer, "tokens": tokens,
        "critic_seconds": round(statistics.median(p[0] for p in pairs), 4),
        "peer_seconds": round(statistics.median(p[1] for p in pairs), 4),
        "ratio": round(statistics.median(p[1] / p[0] for p in pairs), 3),
        "pairs": len(pairs), "threads": os.cpu_count()}), flush=True)
