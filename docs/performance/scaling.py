#!/usr/bin/env python3
"""How speed and memory scale: runs `tandem bench` over threads, batch, resolution and model (needs matplotlib).

    docs/performance/scaling.py --tandem target/release/tandem [--device cpu] [--only batch ...] > tables.md

Every point is a process of its own, so that its peak memory is its own. Writes docs/performance/scaling.json (a
point that is there already is measured again only with --again) and docs/pictures/scaling-DEVICE.png.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

HERE = Path(__file__).resolve().parent
BLUE, RED = "#3b82c4", "#d1495b"
# Sweep: its points, and the arguments of one. Latents are 4 × smaller than pictures in nano: 8² to 64² tokens.
SWEEPS = {
    "threads": ([1, 2], lambda n: ["--preset", "nano", "--threads", str(n)]),
    "batch": ([1, 2, 4, 8, 16, 32, 64], lambda n: ["--preset", "nano", "--batch", str(n)]),
    "resolution": ([32, 64, 128, 256], lambda n: ["--preset", "nano", "--batch", "2", "--set", f"data.image_px={n}"]),
    "model": (["nano", "tiny", "small", "base256"], lambda n: ["--preset", n]),
}
STEPS = {"small": 2, "base256": 1}


def measured(tandem, device, arguments, steps):
    command = [tandem, "bench", "--json", "--device", device, "--steps", str(steps), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(sweep, points):
    print(f"| {sweep} | step | images/s | peak memory |\n|---|---|---|---|")
    for at, found in points.items():
        print(f"| {at} | {found['step_s']:.3f} s | {found['images_per_s']:.3g} | {found['peak_rss_mb']} MiB |")
    print()


def plot(sweep, points, speed):
    memory = speed.twinx()
    at = list(range(len(points)))
    speed.plot(at, [p["images_per_s"] for p in points.values()], marker="o", color=BLUE)
    memory.plot(at, [p["peak_rss_mb"] for p in points.values()], marker="s", color=RED, linestyle="--")
    speed.set_xticks(at, list(points))
    speed.set(title=f"Training against {sweep}")
    speed.set_ylabel("images/s", color=BLUE)
    memory.set_ylabel("peak memory, MiB", color=RED)
    for axis in (speed, memory):
        if sweep == "threads":
            axis.set_ylim(0, None)
        else:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_locator(NullLocator())
    speed.grid(alpha=0.25)


def plots(sweeps, path):
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), dpi=110)
    for (sweep, points), place in zip(sweeps.items(), axes.flat):
        plot(sweep, points, place)
    for place in list(axes.flat)[len(sweeps) :]:
        place.set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tandem", default="target/release/tandem")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", default=list(SWEEPS), choices=list(SWEEPS))
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    kept = HERE / "scaling.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    for sweep in args.only:
        points, arguments = SWEEPS[sweep]
        rows = found.setdefault(args.device, {}).setdefault(sweep, {})
        for at in points:
            if args.again or str(at) not in rows:
                rows[str(at)] = measured(args.tandem, args.device, arguments(at), STEPS.get(at, 5))
                kept.write_text(json.dumps(found, indent=1) + "\n")
    for device, sweeps in found.items():
        print(f"Device {device}:\n")
        for sweep, points in sweeps.items():
            table(sweep, points)
        plots(sweeps, HERE.parent / "pictures" / f"scaling-{device}.png")


main()
