"""Trains the small classifier that judges pictures (`judge.f16.safetensors`).

Needs Python 3.11+, torch, numpy, pillow, safetensors.

    python train.py CIFAR10.zip TINYIMAGENET10.zip ../embedded/emoji.zip OUT.safetensors [EPOCHS]

A residual network on 32 x 32 pictures, 29 classes: those of CIFAR-10, of ten Tiny-ImageNet classes and of
the embedded emoji, training parts only (the held-out rules are those of core/src/data). It is no part of
any training run, so its features may judge them. Batch norms are folded into the convolutions on export.
"""

import hashlib
import io
import json
import sys
import time
import zipfile

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn

WIDTHS = (24, 48, 96, 192)


def square(data):
    """[32, 32, 3]; larger pictures by means of squares, as core/src/data/resize.rs halves them."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    while pixels.shape[0] > 32:
        h, w = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = pixels.reshape(h, 2, w, 2, 3).mean((1, 3)).round().astype(np.uint8)
    assert pixels.shape == (32, 32, 3), pixels.shape
    return pixels


def folder_zip(path):
    """(class, split, pixels) of a zip of SET/SPLIT/CLASS/FILE."""
    with zipfile.ZipFile(path) as z:
        for name in sorted(z.namelist()):
            parts = name.split("/")
            if len(parts) == 4 and parts[3]:
                yield f"{parts[0]}/{parts[2]}", parts[1], square(z.read(name))


def emoji_zip(path):
    """The embedded set; held out are 5 % of the codes, by their hash (core/src/data/layout.rs)."""
    with zipfile.ZipFile(path) as z:
        index = json.loads(z.read("index.json"))
        for row in index["pictures"]:
            first = int.from_bytes(hashlib.sha256(row["code"].encode()).digest()[:8], "big")
            split = "test" if first < (2**64 - 1) // 100 * 5 else "train"
            for style in index["styles"]:
                yield f"emoji/{row['class']}", split, square(z.read(f"{style}/{row['code']}.webp"))


class Block(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.skip = nn.Conv2d(before, width, 1, stride, bias=False) if before != width else None
        self.norm3 = nn.BatchNorm2d(width) if self.skip else None

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h + (self.norm3(self.skip(x)) if self.skip else x))


class Judge(nn.Module):
    """Pictures in [-1, 1]; features are the means of the last stage, 4 x 4."""

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.blocks = nn.ModuleList(
            Block(WIDTHS[max(i - 1, 0)], w, 1 if i == 0 else 2) for i, w in enumerate(WIDTHS))
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x):
        h = F.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            h = block(h)
        return self.fc(h.mean((2, 3)))


def folded(conv, norm, name):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return {f"{name}.weight": conv.weight * scale[:, None, None, None],
            f"{name}.bias": norm.bias - norm.running_mean * scale}


def export(model, classes, accuracy, path):
    out = folded(model.conv, model.norm, "stem")
    for i, block in enumerate(model.blocks):
        out |= folded(block.conv1, block.norm1, f"blocks.{i}.conv1")
        out |= folded(block.conv2, block.norm2, f"blocks.{i}.conv2")
        if block.skip:
            out |= folded(block.skip, block.norm3, f"blocks.{i}.skip")
    out |= {"fc.weight": model.fc.weight, "fc.bias": model.fc.bias}
    out = {k: v.detach().half().contiguous() for k, v in out.items()}
    assert all(torch.isfinite(v).all() for v in out.values())
    save_file(out, path, {"format": "pt", "classes": json.dumps(classes), "accuracy": json.dumps(accuracy)})


def augmented(images, generator):
    """Mirrored, and moved by up to four pixels."""
    flip = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (4, 4, 4, 4), mode="reflect")
    y, x = torch.randint(0, 9, (2, 1), generator=generator).tolist()
    return padded[:, :, y[0]:y[0] + 32, x[0]:x[0] + 32]


def main():
    cifar, tiny, emoji, target = sys.argv[1:5]
    epochs = int(sys.argv[5]) if len(sys.argv) > 5 else 14
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = [*folder_zip(cifar), *folder_zip(tiny), *emoji_zip(emoji)]
    classes = sorted({row[0] for row in rows})
    tensors = {}
    for split in ("train", "test"):
        part = [row for row in rows if row[1] == split]
        pixels = torch.from_numpy(np.stack([row[2] for row in part])).permute(0, 3, 1, 2)
        tensors[split] = (pixels, torch.tensor([classes.index(row[0]) for row in part]))
        print(split, len(part), flush=True)
    model, generator, batch = Judge(len(classes)), torch.Generator().manual_seed(0), 64
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images, labels = tensors["train"]
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, epochs * steps, pct_start=0.2)
    for epoch in range(epochs):
        began, total = time.time(), 0.0
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            pick = order[step * batch:(step + 1) * batch]
            x = augmented(images[pick].float() / 127.5 - 1, generator)
            x = x.contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(x), labels[pick], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            if step % 100 == 0:
                print(f"epoch {epoch} step {step}/{steps} loss {total / (step + 1):.3f} {time.time() - began:.0f} s", flush=True)
        model.eval()
        with torch.no_grad():
            test, truth = tensors["test"]
            guess = torch.cat([model(x.float() / 127.5 - 1).argmax(1) for x in test.split(250)])
        right, accuracy = guess == truth, {}
        for group in ("cifar10", "tinyimagenet10", "emoji"):
            inside = torch.tensor([classes[t].startswith(group) for t in truth.tolist()])
            accuracy[group] = round(right[inside].float().mean().item(), 4)
        print(f"epoch {epoch}: loss {total / steps:.3f}, held-out accuracy {accuracy}, {time.time() - began:.0f} s", flush=True)
        export(model, classes, accuracy, target)


if __name__ == "__main__":
    main()
