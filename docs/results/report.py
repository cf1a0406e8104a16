#!/usr/bin/env python3
"""Tables and plots of docs/RESULTS.md from the files of the runs alone (needs matplotlib).

    docs/results/report.py SET [OUT_FOLDER] [--seconds NAME=S ...] > tables.md

OUT_FOLDER is what run.sh wrote: each run's config.toml and evaluations.jsonl and the rows of metrics.jsonl that are
shown are copied to docs/results/SET/ (paths in them shortened to what run.sh calls them). Everything is then made from
those copies alone, of this and of earlier calls: tables in markdown and docs/pictures/results-SET-*.png. Every seed
counts: figures are the mean over seeds ± the standard deviation, curves the mean between the lowest and the highest.
--seconds gives the seconds of one training step, measured apart on a quiet machine, for the tables over time.
"""

import argparse
import json
import re
import shutil
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
COLOURS = {
    "vanilla": "#8a8f98",
    "vanilla-long": "#5b5f66",
    "repa": "#3b82c4",
    "repa-e": "#d1495b",
    "repa-e-settled": "#8c1c2f",
    "repa-e-from-vae": "#e08e45",
    "naive": "#6b4fa0",
    "vanilla-on-vae-long": "#b08968",
    "vanilla-on-e2e": "#5aa469",
    "repa-on-e2e": "#2a7f62",
    "vae": "#444444",
    "vae-long": "#c9a227",
}
# The run that made the autoencoder on which a run stands; its time counts too.
BEFORE = {name: "vae" for name in ("vanilla", "vanilla-long", "repa", "repa-e-from-vae")}
BEFORE |= {"vanilla-on-e2e": "repa-e", "repa-on-e2e": "repa-e", "vanilla-on-vae-long": "vae-long"}
FIGURES = [
    ("frechet", "Fréchet distance", 2),
    ("kid", "KID × 1000", 2),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("transformer cknna", "CKNNA, transformer", 3),
    ("latents cknna", "CKNNA, latents", 3),
    ("reconstruction frechet", "reconstruction Fréchet", 2),
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
    """{figure: {step: value}} by the measurements with the most samples; a later one of a step replaces an earlier."""
    found = {}
    rows = lines(folder / "evaluations.jsonl")
    samples = lambda row: max((int(n) for name in row for n in re.findall(r"(\d+) samples", name)), default=0)
    most = max(map(samples, rows), default=0)
    for row in (row for row in rows if samples(row) == most):
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


def cell(values, digits):
    """Mean ± standard deviation over seeds."""
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def keep(source, kept):
    """Copies what the tables need of the run `source`."""
    kept.mkdir(parents=True, exist_ok=True)
    if (source / "evaluations.jsonl").exists():
        shutil.copy(source / "evaluations.jsonl", kept / "evaluations.jsonl")
    config = (source / "config.toml").read_text()
    named = lambda found: f'{found[1]} = "{"DATA.zip" if found[2].endswith(".zip") else "OUT/" + found[2]}"'
    config = re.sub(r'^(source|init_from) = "(?:.*/)?([^/"]+)"$', named, config, flags=re.MULTILINE)
    (kept / "config.toml").write_text(config)
    names = ["step", *sorted(name for name, *_ in STRUCTURE)]
    rows = [{n: row[n] for n in names if n in row} for row in lines(source / "metrics.jsonl")]
    rows = [row for row in rows if len(row) > 1]
    (kept / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


class Runs:
    """One line of the tables: a method's runs, one for each seed."""

    def __init__(self, name):
        self.name, self.seeds = name, []

    def add(self, kept):
        self.seeds.append(evaluations(kept) | structure(kept))

    def steps(self, key):
        return sorted({step for seed in self.seeds for step in seed.get(key, {})})

    def at(self, key, step):
        """The values of all seeds at a step."""
        return [seed[key][step] for seed in self.seeds if step in seed.get(key, {})]

    def curve(self, key):
        """{step: (mean, lowest, highest)}"""
        found = {step: self.at(key, step) for step in self.steps(key)}
        return {step: (statistics.mean(v), min(v), max(v)) for step, v in found.items()}

    def end(self, key):
        steps = self.steps(key)
        return statistics.mean(self.at(key, steps[-1])) if steps else None


def plot(title, unit, series, path, ylabel):
    """`series`: {name: {x: (mean, lowest, highest)}}"""
    figure, axes = plt.subplots(figsize=(7.2, 4.0), dpi=120)
    for name, points in series.items():
        x = sorted(points)
        colour = COLOURS[name]
        axes.plot(x, [points[at][0] for at in x], marker="o", markersize=3.5, linewidth=1.6, color=colour, label=name)
        axes.fill_between(x, [points[at][1] for at in x], [points[at][2] for at in x], color=colour, alpha=0.15, linewidth=0)
    axes.set(title=title, xlabel=unit, ylabel=ylabel)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    print(f"![{title}](pictures/{path.name})\n")


def reached(points, level):
    """The first measured step at or below `level`, by means."""
    steps = [step for step, (mean, *_) in sorted(points.items()) if mean <= level]
    return str(steps[0]) if steps else "not reached"


def figures(measured):
    print("Figures at the last checkpoint:\n")
    rows = []
    for run in measured:
        last = run.steps("frechet")[-1]
        rows.append([run.name, str(last), *[cell(run.at(key, last), digits) for key, _, digits in FIGURES]])
    table(["run", "step", *[label for _, label, _ in FIGURES]], rows)


def over_time(runs, seconds, path):
    """Fréchet distance against time, the autoencoder's own training included."""
    last = {run.name: max(run.steps("frechet") or run.steps("eval_psnr")) for run in runs}
    spent = lambda name, step: step * seconds[name]
    before = lambda name: spent(BEFORE[name], last[BEFORE[name]]) if name in BEFORE else 0
    timed = [run for run in runs if run.steps("frechet") and run.name in seconds]
    over = {run.name: {before(run.name) + spent(run.name, s): v for s, v in run.curve("frechet").items()} for run in timed}
    title = "Fréchet distance against training time"
    plot(title, "seconds on two CPU cores, with the autoencoder's own training", over, path("time"), "Fréchet distance")
    print("Fréchet distance at equal time (the last measurement within it, its time in brackets):\n")
    budgets = sorted({max(over[name]) for name in ("vanilla", "repa-e", "vanilla-long") if name in over})
    found = lambda points, limit: max((at for at in points if at <= limit + 1), default=None)
    cell_at = lambda points, at: f"{points[at][0]:.2f} ({at:.0f} s)" if at is not None else "–"
    rows = [[n, *[cell_at(points, found(points, limit)) for limit in budgets]] for n, points in over.items()]
    table(["run", *[f"{limit:.0f} s" for limit in budgets]], rows)


def over_training(measured, path):
    steps = sorted({step for run in measured for step in run.steps("frechet")})
    print("Fréchet distance over training:\n")
    table(["run", *map(str, steps)], [[run.name, *[cell(run.at("frechet", s), 1) for s in steps]] for run in measured])
    curves = {run.name: run.curve("frechet") for run in measured}
    plot("Fréchet distance against steps", "step", curves, path("frechet"), "Fréchet distance")
    print("First measured step at which a run is as good as another at its end (means over seeds):\n")
    ends = {run.name: run.end("frechet") for run in measured}
    head = ["run", *[f"end of {n} ({v:.1f})" for n, v in ends.items()]]
    table(head, [[n, *[reached(points, level) for level in ends.values()]] for n, points in curves.items()])


def autoencoders(runs, path):
    print("Autoencoders on held-out pictures, at the end (two-stage runs do not change theirs):\n")
    joint = [run for run in runs if run.name in ("vae", "vae-long", "repa-e", "repa-e-from-vae", "naive") and run.steps("eval_psnr")]
    rows = []
    for run in joint:
        last = run.steps("eval_psnr")[-1]
        rows.append([run.name, str(last), *[cell(run.at(k, last), d) for k, _, d in STRUCTURE]])
    table(["run", "step", *[label for _, label, _ in STRUCTURE]], rows)
    for key, label, _ in STRUCTURE[2:]:
        series = {run.name: run.curve(key) for run in joint if run.steps(key)}
        if series:
            name = key.removeprefix("eval_").replace("_", "-")
            plot(f"Latents: {label} over training", "step", series, path(name), label)


def samples(out, path):
    """The last preview's samples of the first seed's runs, side by side."""
    shown = ["vanilla", "repa", "repa-e", "repa-e-from-vae", "vanilla-on-e2e", "naive"]
    grids = {name: sorted(out.glob(f"{name}-seed0/previews/samples-*.png")) for name in shown}
    if not all(grids.values()):
        return
    figure, places = plt.subplots(2, 3, figsize=(9, 6.3), dpi=100)
    for place, (name, found) in zip(places.flat, grids.items()):
        place.imshow(plt.imread(found[-1]), interpolation="nearest")
        place.set_title(name, fontsize=9, loc="left")
        place.set_axis_off()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    print(f"![Samples at the last step, equal noise and labels](pictures/{path.name})\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--seconds", nargs="*", default=[])
    args = parser.parse_args()
    seconds = {name: float(value) for name, value in (item.split("=") for item in args.seconds)}
    for config in sorted(args.out.glob("*-seed*/config.toml")) if args.out else []:
        keep(config.parent, HERE / args.set / config.parent.name)
    runs = []
    for name in COLOURS:
        run = Runs(name)
        for kept in sorted((HERE / args.set).glob(f"{name}-seed*")):
            run.add(kept)
        if run.seeds:
            runs.append(run)
    measured = [run for run in runs if run.steps("frechet")]

    def path(figure):
        return HERE.parent / "pictures" / f"results-{args.set}-{figure}.png"

    figures(measured)
    over_training(measured, path)
    if seconds:
        over_time(runs, seconds, path)
    autoencoders(runs, path)
    if args.out:
        samples(args.out, path("samples"))


if __name__ == "__main__":
    main()
