#!/usr/bin/env python3
"""Tandem against the real PyTorch and diffusers, in both directions.

    python3 -m venv venv && venv/bin/pip install -r tests/interop/requirements.txt
    venv/bin/python tests/interop/interop.py --tandem target/release/tandem [--golden FOLDER] [--full]

Saves random models of the six published layouts (narrow ones) with diffusers, has Tandem inspect, encode,
decode and re-save them, loads the result back, compares outputs (1e-4 relative) and files (byte for
byte); trains a nano run and loads its export with AutoencoderKL.from_pretrained; round-trips a REPA-E
checkpoint. --full measures the full-size layouts: time and peak memory of a 256 x 256 picture, encoded and
decoded, against diffusers in the same run. Exits non-zero on the first difference.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage
from PIL import Image
from safetensors.torch import load_file

BOUND = 1e-4
FULL_KL = dict(in_channels=3, out_channels=3, layers_per_block=2, norm_num_groups=32)


def blocks(levels, lowest_attention):
    down, up = ["DownEncoderBlock2D"] * levels, ["UpDecoderBlock2D"] * levels
    if lowest_attention:
        down[-1], up[0] = "AttnDownEncoderBlock2D", "AttnUpDecoderBlock2D"
    return dict(down_block_types=down, up_block_types=up)


def kl(channels, z, lowest_attention=False, **more):
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=channels, latent_channels=z, **blocks(len(channels), lowest_attention), **FULL_KL, **more
    )


def qwen(base, z):
    torch.manual_seed(0)
    stats = {} if z == 16 else dict(latents_mean=[0.1] * z, latents_std=[1.5] * z)
    return AutoencoderKLQwenImage(base_dim=base, z_dim=z, **stats)


def stats(z):
    return dict(latents_mean=[0.01 * i for i in range(z)], latents_std=[1.0 + 0.1 * i for i in range(z)])


FLUX = dict(use_quant_conv=False, use_post_quant_conv=False)
LAYOUTS = {
    "e2e-sdvae": lambda: kl([32, 64, 64, 64], 4, sample_size=256, **stats(4)),
    "e2e-sd3.5": lambda: kl([32, 32, 64, 64], 16, scaling_factor=1.5305, shift_factor=0.0609, **FLUX),
    "e2e-flux": lambda: kl([32, 64, 64, 64], 16, scaling_factor=0.3611, shift_factor=0.1159, **FLUX).bfloat16(),
    "e2e-vavae": lambda: kl([32, 32, 32, 32, 64], 32, True, **stats(32)),
    "e2e-invae": lambda: kl([32, 32, 64, 32, 64], 32, True, **stats(32)).half(),
    "e2e-qwenimage": lambda: qwen(8, 16),
}
FULL = {
    "SD-VAE": lambda: kl([128, 256, 512, 512], 4),
    "FLUX": lambda: kl([128, 256, 512, 512], 16, scaling_factor=0.3611, shift_factor=0.1159, **FLUX),
    "f16d32": lambda: kl([128, 128, 256, 256, 512], 32, True),
    "Qwen-Image": lambda: qwen(96, 16),
}


def open_model(folder):
    cls = json.loads((folder / "config.json").read_text())["_class_name"]
    cls = {"AutoencoderKL": AutoencoderKL, "AutoencoderKLQwenImage": AutoencoderKLQwenImage}[cls]
    return cls.from_pretrained(folder).float().eval()


def encode(model, x):
    video = isinstance(model, AutoencoderKLQwenImage)
    with torch.no_grad():
        posterior = model.encode(x[:, :, None] if video else x).latent_dist
    return (posterior.mean[:, :, 0], posterior.std[:, :, 0]) if video else (posterior.mean, posterior.std)


def decode(model, z):
    video = isinstance(model, AutoencoderKLQwenImage)
    with torch.no_grad():
        x = model.decode(z[:, :, None] if video else z).sample
    return x[:, :, 0] if video else x


def relative(a, b):
    a, b = a.double(), b.double()
    return ((a - b).abs().max() / b.abs().max()).item()


class Report:
    def __init__(self):
        self.failed = 0

    def check(self, what, good, detail=""):
        print(f"{'ok  ' if good else 'FAIL'} {what}{': ' + detail if detail else ''}", flush=True)
        self.failed += not good


class Tandem:
    def __init__(self, binary):
        self.binary = str(Path(binary).resolve())

    def __call__(self, *args, **more):
        args = [self.binary, *map(str, args)]
        done = subprocess.run(args, capture_output=True, text=True, **more)
        if done.returncode != 0:
            sys.exit(f"{' '.join(args)}\n{done.stderr}")
        return json.loads(done.stdout) if "--json" in args else done.stdout


def picture(path, width, height, seed):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.BICUBIC)
    image.save(path)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    return pixels / 127.5 - 1


def outputs(tandem, model_path, image, folder):
    """Mean, deviation and reconstruction that Tandem gives."""
    latents, values = folder / "z.safetensors", folder / "x.safetensors"
    tandem("encode", model_path, image, "--out", latents, "--device", "cpu")
    tandem("decode", model_path, latents, "--out", values, "--device", "cpu")
    stored = load_file(latents)
    return stored["latents"], stored["std"], load_file(values)["images"]


def same_files(a, b):
    names = sorted(p.name for p in a.iterdir())
    return names == sorted(p.name for p in b.iterdir()) and all(
        (a / name).read_bytes() == (b / name).read_bytes() for name in names
    )


def layouts(tandem, report, work):
    for name, make in LAYOUTS.items():
        folder = work / name
        make().eval().save_pretrained(folder)
        model = open_model(folder)
        found = tandem("inspect", folder, "--json")
        whole = not (found["missing"] or found["unknown"] or found["problems"])
        count = sum(p.numel() for p in model.parameters())
        report.check(f"{name} inspect", whole and found["parameters"] == count, f"{found['what']}, {count} parameters")

        x = picture(work / "p.png", 64, 48, 1)
        mean, std = encode(model, x)
        ours = outputs(tandem, folder, work / "p.png", work)
        theirs = (mean, std, decode(model, ours[0]))
        errors = [relative(a, b) for a, b in zip(ours, theirs)]
        report.check(f"{name} outputs", max(errors) <= BOUND, f"mean {errors[0]:.1e}, std {errors[1]:.1e}, picture {errors[2]:.1e}")

        resaved = work / f"{name}-resaved"
        tandem("export", folder, "--format", "diffusers", "--out", resaved)
        report.check(f"{name} re-saved byte for byte", same_files(folder, resaved))
        for dtype, torch_dtype in [("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)]:
            other = work / f"{name}-{dtype}"
            tandem("export", folder, "--format", "diffusers", "--out", other, "--dtype", dtype, "--max-shard-size", "200KB")
            again = type(model).from_pretrained(other, torch_dtype=torch_dtype).state_dict()
            good = all(torch.equal(again[k], v.to(torch_dtype)) for k, v in model.state_dict().items())
            shards = len(list(other.glob("*.safetensors")))
            report.check(f"{name} as {dtype} in {shards} shards", good and shards > 1)
        if not name.endswith("qwenimage"):
            repae = work / f"{name}-repae"
            tandem("export", folder, "--format", "repa-e", "--out", repae)
            state = torch.load(repae / "vae.pt", weights_only=True)
            size = sum(v.numel() for v in state.values())
            mean, _, _ = outputs(tandem, repae / "vae.pt", work / "p.png", work)
            report.check(f"{name} as vae.pt", size == count and relative(mean, theirs[0]) <= BOUND)


def pickles(tandem, report, work):
    """State dicts of every age, with views and half precision, told apart and counted."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {"a": base, "t": base.t(), "row": base[1], "half": base.half(), "n": torch.tensor(3)}
    for name, more in [("zip", {}), ("legacy", dict(_use_new_zipfile_serialization=False))]:
        path = work / f"{name}.pt"
        torch.save(state, path, **more)
        found = tandem("inspect", path, "--json")
        mean = found["parts"]["t"]["mean"]
        report.check(f"{name} pickle", found["tensors"] == 5 and abs(mean - 11.5) < 1e-6, found["what"])


def nano(tandem, report, work):
    run = work / "nano"
    tandem("train", "--preset", "nano", "--steps", "12", "--device", "cpu", "--out", run)
    folder = work / "nano-diffusers"
    tandem("export", run, "--format", "diffusers", "--out", folder)
    model = open_model(folder)
    x = picture(work / "n.png", 32, 32, 2)
    ours = outputs(tandem, run, work / "n.png", work)
    mean, std = encode(model, x)
    errors = [relative(a, b) for a, b in zip(ours, (mean, std, decode(model, ours[0])))]
    has_stats = model.config.latents_mean is not None and len(model.config.latents_std) == model.config.latent_channels
    report.check("nano run in AutoencoderKL.from_pretrained", max(errors) <= BOUND and has_stats, f"{max(errors):.1e}")

    repae = work / "nano-repae"
    tandem("export", run, "--format", "repa-e", "--out", repae)
    torch.serialization.add_safe_globals([argparse.Namespace])
    state = torch.load(repae / "checkpoints/0000012.pt", weights_only=True)
    trained = [v for k, v in state["model"].items() if not k.startswith("bn.")]
    params = [torch.nn.Parameter(v) for v in trained]
    optimizer = torch.optim.AdamW(params, lr=1e-4)
    optimizer.load_state_dict(state["opt"])
    good = all(optimizer.state[p]["exp_avg"].shape == p.shape for p in params if p in optimizer.state)
    report.check("nano run's optimizer in torch.optim.AdamW", good and len(optimizer.state) > 0 and state["steps"] == 12)
    back = work / "nano-back"
    tandem("import", repae / "checkpoints/0000012.pt", "--out", back, "--set", "data.source=embedded")
    more = tandem("train", "--resume", back, "--steps", "14", "--json", "--device", "cpu")
    report.check("nano run through REPA-E's format and on", more["step"] == 14)


def flat(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for key, inner in enumerate(value):
            yield from flat(inner, f"{path}/{key}")
    else:
        yield path, value


def checkpoint(tandem, report, work, golden):
    torch.serialization.add_safe_globals([argparse.Namespace])
    source = golden / "repae_checkpoint.pt"
    run, out = work / "imported", work / "exported"
    tandem("import", source, "--out", run, "--set", "sit.heads=2")
    tandem("export", run, "--format", "repa-e", "--out", out)
    before, after = (
        dict(flat(torch.load(p, weights_only=True))) for p in (source, out / "checkpoints/0000002.pt")
    )
    for state in (before, after):
        state.pop("/args")
    equal = before.keys() == after.keys() and all(
        torch.equal(v, after[k]) if torch.is_tensor(v) else v == after[k] for k, v in before.items()
    )
    report.check("REPA-E checkpoint there and back", equal, f"{len(before)} values")


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_by_diffusers(folder, image):
    """In a process of its own: seconds to load, to encode and decode, peak memory."""
    torch.set_num_threads(os.cpu_count())
    pixels = torch.from_numpy(np.asarray(Image.open(image)).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    began = time.perf_counter()
    model = open_model(Path(folder))
    load = time.perf_counter() - began
    times = []
    for _ in range(3):
        began = time.perf_counter()
        decode(model, encode(model, pixels)[0])
        times.append(time.perf_counter() - began)
    print(json.dumps({"load_s": load, "seconds": min(times), "peak_mb": peak_mb()}))


def full(tandem, report, work):
    image = work / "full.png"
    picture(image, 256, 256, 3)
    print(f"{'':12}{'diffusers':>24}{'tandem':>28}")
    for name, make in FULL.items():
        folder = work / "full"
        make().save_pretrained(folder)
        size = (folder / "diffusion_pytorch_model.safetensors").stat().st_size / 1e6
        done = subprocess.run(
            [sys.executable, __file__, "--measure", folder, image], capture_output=True, text=True, check=True
        )
        theirs = json.loads(done.stdout)
        args = [tandem.binary, "reconstruct", folder, image, image, image, "--out", work / "r", "--device", "cpu", "--json"]
        began = time.perf_counter()
        child = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        answer = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        seconds = min(p["seconds"] for p in json.loads(answer)["pictures"])
        report.check(
            f"{name} ({size:.0f} MB)",
            status == 0,
            f"diffusers {theirs['seconds']:.2f} s, peak {theirs['peak_mb']:.0f} MB; tandem {seconds:.2f} s, "
            f"peak {usage.ru_maxrss / 1024:.0f} MB (whole command with LPIPS, three pictures: {wall:.1f} s)",
        )
        for path in folder.iterdir():
            path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tandem", default="target/release/tandem")
    parser.add_argument("--golden", type=Path, default=os.environ.get("TANDEM_GOLDEN"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only-full", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "IMAGE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measured_by_diffusers(*args.measure)
    tandem, report = Tandem(args.tandem), Report()
    import diffusers

    diffusers.utils.logging.disable_progress_bar()

    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        if not args.only_full:
            layouts(tandem, report, work)
            pickles(tandem, report, work)
            nano(tandem, report, work)
            if args.golden:
                checkpoint(tandem, report, work, Path(args.golden))
        if args.full or args.only_full:
            full(tandem, report, work)
    print("all good" if report.failed == 0 else f"{report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
