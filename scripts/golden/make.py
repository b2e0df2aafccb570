#!/usr/bin/env python3
"""Writes every golden and tiny checkpoint of the tests; see README.md beside this file.

  make.py OUTDIR [STAGE …]      OUTDIR is the folder `tests` of the project; no stage: all
"""

import pathlib
import sys
import warnings


def pictures(out):
    import pictures as stage

    stage.make(out / "golden" / "images")


def pixels(out):
    import pixels as stage

    stage.make(out / "golden" / "images", out / "golden" / "pixels")


def tiny(out):
    import tiny as stage

    stage.make(out / "tiny")


def forward(out):
    import forward as stage

    stage.make(out)


def gradients(out):
    import gradients as stage

    stage.make(out)


def preference(out):
    import preference as stage

    stage.make(out)


def stats(out):
    import stats as stage

    stage.make(out / "golden" / "eval" / "stats.json")


def plain(out):
    import plain as stage

    stage.make(out / "golden" / "eval")


STAGES = {f.__name__: f for f in (pictures, pixels, tiny, forward, gradients, preference, stats, plain)}


def main():
    if len(sys.argv) < 2 or any(s not in STAGES for s in sys.argv[2:]):
        sys.exit(f"usage: make.py OUTDIR [{' '.join(STAGES)}]")
    warnings.filterwarnings("ignore", message="Palette images with Transparency")
    out = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or STAGES:
        print(f"== {name}", flush=True)
        STAGES[name](out)
    for path in out.rglob("*"):  # safetensors writes 0600
        if path.is_file() and path.stat().st_mode & 0o777 == 0o600:
            path.chmod(0o644)


if __name__ == "__main__":
    main()
