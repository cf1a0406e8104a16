"""Makes the half-precision weights that are built into the program.

Needs Python 3.11+ and `pip install numpy==2.3.5 safetensors==0.7.0`.

    python convert.py EFFICIENTNET.safetensors LPIPS_ALEX.safetensors OUT_FOLDER

Names are kept. `num_batches_tracked` goes. A tensor stays f32 when one of its values does not fit f16's
normal range (6.104e-5 to 65504) to 2^-11 relative and the tensor is small (batch norm, bias: 4096 values
or fewer); in large ones a subnormal weight costs at most 3e-8 absolute, far below the tensor's scale.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

SMALL = 4096


def half(name, values):
    assert np.isfinite(values).all(), name
    out = values.astype(np.float16)
    nonzero = values != 0
    relative = np.abs(out.astype(np.float32) - values)[nonzero] / np.abs(values[nonzero])
    exact_enough = relative.size == 0 or relative.max() <= 2.0**-11
    if not np.isfinite(out).all() or ".running_var" in name or (values.size <= SMALL and not exact_enough):
        return values, 0.0, 0.0
    absolute = np.abs(out.astype(np.float32) - values).max()
    normal = np.abs(values[nonzero]) >= 2.0**-14
    worst = relative[normal].max() if normal.any() else 0.0
    return out, float(worst), float(absolute / np.abs(values).max()) if nonzero.any() else 0.0


def convert(source, target):
    out, worst, scaled, kept = {}, 0.0, 0.0, 0
    with safe_open(source, "np") as file:
        metadata = file.metadata() or {}
        for name in sorted(file.keys()):
            if name.endswith("num_batches_tracked"):
                continue
            values, relative, of_scale = half(name, file.get_tensor(name).astype(np.float32))
            out[name] = values
            worst, scaled = max(worst, relative), max(scaled, of_scale)
            kept += values.dtype == np.float32
    metadata = {"format": "pt", "source": metadata.get("source", "")}
    save_file(out, target, metadata)
    print(f"{target.name}: {len(out)} tensors, {kept} kept f32, {target.stat().st_size} bytes, "
          f"largest relative error {worst:.3g} (normal range), largest error / tensor maximum {scaled:.3g}")


if __name__ == "__main__":
    folder = Path(sys.argv[3])
    convert(sys.argv[1], folder / "efficientnet_lite0.f16.safetensors")
    convert(sys.argv[2], folder / "lpips_alex.f16.safetensors")
