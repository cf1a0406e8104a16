"""Rebuilds emoji.zip, the picture set inside the program, byte for byte.

Needs Python 3.11+ and `pip install pillow==12.0.0` (its bundled libwebp decides the bytes), and these
npm packages unpacked side by side (`npm pack NAME@VERSION`, `tar xzf`, folder `package/` renamed):

    emoji-datasource-google@16.0.0   -> SOURCES/google     (Noto Emoji pictures, 64 px, and emoji.json)
    emoji-datasource-twitter@16.0.0  -> SOURCES/twitter    (Twemoji pictures, 64 px)
    emojibase-data@17.0.0            -> SOURCES/emojibase  (names and keywords)

    python build_pack.py SOURCES emoji.zip

Left out: skin tone variants, the category "Component", emoji obsoleted by another one.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

from PIL import Image

STYLES = {"noto": "google", "twemoji": "twitter"}
SIDE = 64


def keyword_table(root):
    """Code without variation selectors -> (name, keywords)."""
    rows = json.loads((root / "emojibase/en/compact.json").read_text("utf-8"))
    return {r["hexcode"].replace("-FE0F", ""): (r["label"], r.get("tags", [])) for r in rows}


def picture(path):
    """A lossless WebP of the picture over white."""
    art = Image.open(path).convert("RGBA")
    assert art.size == (SIDE, SIDE), path
    paper = Image.new("RGBA", art.size, (255, 255, 255, 255))
    paper.alpha_composite(art)
    out = io.BytesIO()
    paper.convert("RGB").save(out, "WEBP", lossless=True, quality=75, method=4)
    return out.getvalue()


def add(pack, name, data, method):
    entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    entry.compress_type = method
    entry.create_system = 3
    pack.writestr(entry, data)


def main(root, target):
    keywords = keyword_table(root)
    emoji = json.loads((root / "google/emoji.json").read_text("utf-8"))
    emoji = [e for e in emoji if e["category"] != "Component" and not e.get("obsoleted_by")]
    emoji = [e for e in emoji if e["has_img_google"] and e["has_img_twitter"]]
    emoji.sort(key=lambda e: e["image"])
    rows = []
    for e in emoji:
        name, tags = keywords.get(e["unified"].replace("-FE0F", ""), (e["name"].lower(), []))
        words = list(dict.fromkeys(tags + [s.replace("_", " ") for s in e["short_names"]]))
        code = e["image"].removesuffix(".png")
        rows.append({"code": code, "class": e["category"], "name": name, "keywords": words})
    index = {"format": 1, "styles": list(STYLES), "pictures": rows}
    with zipfile.ZipFile(target, "w") as pack:
        text = json.dumps(index, ensure_ascii=False, separators=(",", ":")).encode()
        # Stored: the deflate of another zlib would give other bytes.
        add(pack, "index.json", text, zipfile.ZIP_STORED)
        for style, source in STYLES.items():
            for row in rows:
                path = root / source / "img" / source / "64" / (row["code"] + ".png")
                add(pack, f"{style}/{row['code']}.webp", picture(path), zipfile.ZIP_STORED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
