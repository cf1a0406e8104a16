#!/usr/bin/env python3
"""Tables and plots of docs/RESULTS.md from the files of the runs alone (needs matplotlib).

    docs/results/report.py OUT_FOLDER SET [--seconds NAME=S ...] > tables.md

OUT_FOLDER is what run.sh wrote. Copies each run's evaluations.jsonl and config.toml to docs/results/SET/, reads
only those copies and metrics.jsonl, prints the tables in markdown and writes docs/pictures/results-SET-*.png.
--seconds gives the seconds of one training step, measured apart on a quiet machine, for the tables over time.
"""

import argparse
import json
import shutil
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
ORDER = ["vanilla", "repa", "repa-e", "repa-e-from-vae", "naive", "vanilla-on-e2e", "repa-on-e2e"]
COLOURS = dict(zip(ORDER, ["#8a8f98", "#3b82c4", "#d1495b", "#e08e45", "#6b4fa0", "#5aa469", "#2a7f62"]))
FIGURES = [
    ("frechet", "Fréchet distance", 2, "low"),
    ("kid", "KID × 1000", 2, "low"),
    ("precision", "precision", 3, "high"),
    ("recall", "recall", 3, "high"),
    ("transformer cknna", "CKNNA, transformer", 3, "high"),
    ("latents cknna", "CKNNA, latents", 3, "high"),
]
STRUCTURE = [
    ("eval_psnr", "PSNR, dB", 2),
    ("eval_lpips", "LPIPS", 4),
    ("eval_spatial_variance", "spatial variance", 3),
    ("eval_total_variation", "total variation", 3),
    ("eval_effective_rank", "effective rank", 2),
]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def evaluations(folder):
    """{figure: {step: value}}; a later measurement of a step replaces an earlier one."""
    found = {}
    for row in lines(folder / "evaluations.jsonl"):
        for name, value in row.items():
            short = name.split(" [")[0]
            if short in {f[0] for f in FIGURES} and value is not None:
                scale = 1000 if short == "kid" else 1
                found.setdefault(short, {})[row["step"]] = value * scale
    return found


def structure(folder):
    """{name: {step: value}} of what was measured while training."""
    found = {}
    for row in lines(folder / "metrics.jsonl"):
        for name, *_ in STRUCTURE:
            if row.get(name) is not None:
                found.setdefault(name, {})[row["step"]] = row[name]
    return found


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def curve(title, unit, series, path, ylabel):
    figure, axes = plt.subplots(figsize=(7.2, 4.0), dpi=120)
    for name, points in series.items():
        x, y = zip(*sorted(points.items()))
        axes.plot(x, y, marker="o", markersize=3.5, linewidth=1.6, color=COLOURS.get(name, "#444"), label=name)
    axes.set(title=title, xlabel=unit, ylabel=ylabel)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    print(f"![{title}](pictures/{path.name})\n")


def reached(points, level):
    """The first measured step at or below `level`."""
    steps = [step for step, value in sorted(points.items()) if value <= level]
    return str(steps[0]) if steps else "not reached"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("set")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--seconds", nargs="*", default=[])
    args = parser.parse_args()
    seconds = {name: float(value) for name, value in (item.split("=") for item in args.seconds)}
    pictures = HERE.parent / "pictures"
    runs = {}
    for name in ORDER + ["vae"]:
        source = args.out / f"{name}-seed{args.seed}"
        if not (source / "config.toml").exists():
            continue
        copy = HERE / args.set / source.name
        copy.mkdir(parents=True, exist_ok=True)
        for file in ("config.toml", "evaluations.jsonl"):
            if (source / file).exists():
                shutil.copy(source / file, copy / file)
        kept = [row for row in lines(source / "metrics.jsonl") if any(n in row for n, *_ in STRUCTURE)]
        (copy / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
        runs[name] = (evaluations(copy), structure(copy))

    measured = {name: run for name, run in runs.items() if name != "vae" and run[0].get("frechet")}
    print("Figures at the last checkpoint:\n")
    rows = []
    for name, (figures, _) in measured.items():
        last = max(figures["frechet"])
        cells = [f"{figures[key][last]:.{digits}f}" if last in figures.get(key, {}) else "–" for key, _, digits, _ in FIGURES]
        rows.append([name, str(last), *cells])
    table(["run", "step", *[label for _, label, *_ in FIGURES]], rows)

    steps = sorted({step for figures, _ in measured.values() for step in figures["frechet"]})
    print("Fréchet distance over training:\n")
    table(
        ["run", *map(str, steps)],
        [[name, *[f"{f['frechet'][s]:.2f}" if s in f["frechet"] else "–" for s in steps]] for name, (f, _) in measured.items()],
    )
    curve("Fréchet distance against steps", "step", {n: f["frechet"] for n, (f, _) in measured.items()}, pictures / f"results-{args.set}-frechet.png", "Fréchet distance")
    if seconds:
        over = {n: {s * seconds[n]: v for s, v in f["frechet"].items()} for n, (f, _) in measured.items() if n in seconds}
        curve("Fréchet distance against training time", "seconds, two CPU cores, without the tokenizer's own training", over, pictures / f"results-{args.set}-time.png", "Fréchet distance")

    print("First measured step at which a run is as good as another at its end:\n")
    ends = {name: f["frechet"][max(f["frechet"])] for name, (f, _) in measured.items()}
    table(
        ["run", *[f"end of {n} ({v:.1f})" for n, v in ends.items()]],
        [[name, *[reached(f["frechet"], level) for level in ends.values()]] for name, (f, _) in measured.items()],
    )

    print("Autoencoders on held-out pictures, at the end (two-stage runs do not change theirs):\n")
    rows = []
    for name, (_, found) in runs.items():
        if found.get("eval_psnr"):
            last = max(found["eval_psnr"])
            rows.append([name, str(last), *[f"{found[k][last]:.{d}f}" if last in found.get(k, {}) else "–" for k, _, d in STRUCTURE]])
    table(["run", "step", *[label for _, label, _ in STRUCTURE]], rows)
    joint = {n: f for n, (_, f) in runs.items() if n in ("repa-e", "repa-e-from-vae", "naive", "vae")}
    for key, label, _ in STRUCTURE[2:4]:
        series = {n: f[key] for n, f in joint.items() if key in f}
        if series:
            curve(f"Latents: {label} over training", "step", series, pictures / f"results-{args.set}-{key.removeprefix('eval_')}.png", label)


if __name__ == "__main__":
    main()
