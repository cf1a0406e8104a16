"""Checks the Frechet distance, KID, precision and recall of `tandem eval` against other programs' formulas.

Needs Python 3.11+, numpy, scipy; torch-fidelity for the second part (skipped without it).

    tandem eval A --save-statistics a.npz; tandem eval B --save-statistics b.npz
    tandem eval A --reference b.npz --json > ab.json
    python frechet.py a.npz b.npz ab.json

`kept` in the statistics are the very features that were judged, so both sides see the same numbers.
"""

import json
import sys

import numpy as np
from scipy import linalg


def pytorch_fid(mu1, sigma1, mu2, sigma2, eps=1e-6):
    """pytorch-fid 0.3.0, calculate_frechet_distance."""
    diff = mu1 - mu2
    covmean = linalg.sqrtm(sigma1.dot(sigma2))
    covmean = covmean[0] if isinstance(covmean, tuple) else covmean
    if not np.isfinite(covmean).all():
        offset = np.eye(sigma1.shape[0]) * eps
        covmean = linalg.sqrtm((sigma1 + offset).dot(sigma2 + offset))
    if np.iscomplexobj(covmean):
        covmean = covmean.real
    return diff.dot(diff) + np.trace(sigma1) + np.trace(sigma2) - 2 * np.trace(covmean)


def precision_recall(real, fake, k=3):
    """Kynkaanniemi et al., by brute force."""
    def distances(a, b):
        return np.sqrt(np.maximum(((a[:, None, :] - b[None, :, :]) ** 2).sum(-1), 0))
    def radii(a):
        return np.sort(distances(a, a), axis=1)[:, k]
    across = distances(fake, real)
    return (across <= radii(real)).any(1).mean(), (across.T <= radii(fake)).any(1).mean()


def main():
    a, b, found = np.load(sys.argv[1]), np.load(sys.argv[2]), json.load(open(sys.argv[3]))["figures"]
    fake, real = a["kept"].astype(np.float64), b["kept"].astype(np.float64)
    rows = []
    for stats, features, name in ((a, fake, "A"), (b, real, "B")):
        if len(features) == int(stats["num"][0]):
            rows.append((f"mu of {name}", 0.0, np.abs(features.mean(0) - stats["mu"]).max()))
            rows.append((f"sigma of {name}", 0.0, np.abs(np.cov(features, rowvar=False) - stats["sigma"]).max()))
    expected = pytorch_fid(a["mu"], a["sigma"], b["mu"], b["sigma"])
    rows.append(("Frechet distance, pytorch-fid", expected, found["frechet"]["value"] - expected))
    expected = pytorch_fid(a["mu_s"], a["sigma_s"], b["mu_s"], b["sigma_s"])
    rows.append(("spatial distance, pytorch-fid", expected, found["sfid"] - expected))
    precision, recall = precision_recall(real[:1000], fake[:1000])
    if len(real) <= 1000 and len(fake) <= 1000:
        rows.append(("precision", precision, found["precision"]["value"] - precision))
        rows.append(("recall", recall, found["recall"]["value"] - recall))
    try:
        from torch_fidelity.metric_fid import fid_statistics_to_metric
        from torch_fidelity.metric_kid import kernel_mmd
    except ImportError:
        print("torch-fidelity is not installed: its half is skipped")
    else:
        one, two = ({"mu": stats["mu"], "sigma": stats["sigma"]} for stats in (a, b))
        expected = fid_statistics_to_metric(one, two, verbose=False)["frechet_inception_distance"]
        rows.append(("Frechet distance, torch-fidelity", expected, found["frechet"]["value"] - expected))
        if len(real) == len(fake) <= 1000:
            # Subsets of all samples are all the same.
            expected = kernel_mmd(fake, real)
            rows.append(("KID, torch-fidelity", expected, found["kid"]["mean"] - expected))
    failed = False
    for name, expected, apart in rows:
        ok = abs(apart) <= 1e-6 * max(1.0, abs(expected))
        failed |= not ok
        print(f"{name:36} {expected:16.8f}  apart {apart: .2e}  {'ok' if ok else 'DIFFERS'}")
    # The comparison can fail: a moved mean must show.
    moved = pytorch_fid(a["mu"] + 0.01, a["sigma"], b["mu"], b["sigma"])
    assert abs(moved - pytorch_fid(a["mu"], a["sigma"], b["mu"], b["sigma"])) > 1e-6
    sys.exit(failed)


if __name__ == "__main__":
    main()
