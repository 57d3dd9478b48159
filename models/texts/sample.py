#!/usr/bin/env python3
"""Draws English texts from Debian documentation packages, to calibrate conversions and to judge them.

Writes four files with one text in each line, mixed from four genres in fixed shares:

  calibration_sentences.txt   3000 single sentences
  calibration_paragraphs.txt   600 paragraphs of 90 to 150 words
  held_out_sentences.txt      1000 sentences   } of other documents than
  held_out_paragraphs.txt      200 paragraphs  } the calibration texts
  sample.json                 packages, versions, seed, and the SHA-256 of each file

The packages (packages.txt) are downloaded with apt-get, unpacked into a scratch folder and not installed. The same
package versions and seed give the same files. Standard library only.
"""

import argparse
import gzip
import hashlib
import html.parser
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
from typing import Iterator, NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
HELD_OUT_ONE_IN = 4  # documents
SENTENCE_WORDS = range(6, 51)
PARAGRAPH_WORDS = range(90, 151)
COUNTS = {  # file: (sentences or paragraphs, held out, texts)
    "calibration_sentences": ("sentences", False, 3000),
    "calibration_paragraphs": ("paragraphs", False, 600),
    "held_out_sentences": ("sentences", True, 1000),
    "held_out_paragraphs": ("paragraphs", True, 200),
}


class Package(NamedTuple):
    genre: str
    share: int  # per cent of all texts, of the genre
    name: str
    version: str


class Document(NamedTuple):
    """A file of a package: its text in blocks, each one a paragraph, list item or quotation."""

    name: str
    blocks: list[str]


def read_packages() -> list[Package]:
    packages = []
    for line in (HERE / "packages.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            genre, share, name, version = line.split()
            packages.append(Package(genre, int(share), name, version))
    return packages


def unpack(package: Package, into: pathlib.Path) -> str:
    """Downloads and unpacks a package and returns its full version."""
    into.mkdir()
    run = subprocess.run(["apt-get", "download", "--quiet=2", package.name], cwd=into, capture_output=True, text=True)
    found = list(into.glob("*.deb"))
    if run.returncode != 0 or not found:
        sys.exit(f"sample: cannot download {package.name}: {run.stderr.strip()}\nIs this Debian 12, and was 'apt-get update' run?")
    version = subprocess.run(["dpkg-deb", "--field", found[0], "Version"], check=True, capture_output=True, text=True).stdout.strip()
    upstream = version.split(":")[-1]
    if not re.match(re.escape(package.version) + r"([-.+~]|$)", upstream):
        sys.exit(f"sample: {package.name} has version {version}, expected {package.version}: is this Debian 12?")
    subprocess.run(["dpkg-deb", "--extract", found[0], into], check=True)
    found[0].unlink()
    return version


def squeeze(text: str) -> str:
    return " ".join(text.split())


class BlockParser(html.parser.HTMLParser):
    """Collects the running text of <p> elements."""

    def __init__(self):
        super().__init__()
        self.blocks = []
        self._open = None

    def handle_starttag(self, tag, attrs):
        if tag == "p":
            self.close_block()
            self._open = []
        elif tag in ("pre", "table", "div", "ul", "ol", "dl"):
            self.close_block()

    def handle_endtag(self, tag):
        if tag in ("p", "div"):
            self.close_block()

    def handle_data(self, data):
        if self._open is not None:
            self._open.append(data)

    def close_block(self):
        if self._open:
            self.blocks.append(squeeze("".join(self._open)))
        self._open = None


def html_blocks(text: str) -> list[str]:
    parser = BlockParser()
    parser.feed(text)
    parser.close_block()
    return parser.blocks


FONT_LINE = re.compile(r"\.(B|I|BR|BI|IR|IB|RB|RI|SM|SB)\s+(.*)")


def roff_blocks(text: str) -> list[str]:
    """The running text of a manual page: text and font lines up to the next macro that breaks a paragraph."""
    blocks, lines, verbatim = [], [], False
    for line in text.splitlines() + [".PP"]:
        if line.startswith((".nf", ".EX", ".TS")):
            verbatim = True
        font = FONT_LINE.match(line)
        if font and not verbatim:
            parts = re.findall(r'"([^"]*)"|(\S+)', font.group(2))
            glue = " " if len(font.group(1)) == 1 or font.group(1) in ("SM", "SB") else ""
            lines.append(glue.join(a or b for a, b in parts))
        elif line.startswith((".", "'")):
            blocks.append(squeeze(unescape_roff(" ".join(lines))))
            lines = []
        elif not verbatim:
            lines.append(line)
        if line.startswith((".fi", ".EE", ".TE")):
            verbatim = False
    return blocks


def unescape_roff(text: str) -> str:
    text = re.sub(r"\\f(\[\w*\]|\(\w\w|\w)|\\[&%:/,^|]|\\s[-+]?\d", "", text)
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", '"').replace("\\e", "\\")
    text = text.replace("\\(lq", '"').replace("\\(rq", '"').replace("\\~", " ").replace("\\ ", " ")
    return re.sub(r"\\(\[\w+\]|\(\w\w|\*\(\w\w)", " ", text)


def fortune_blocks(text: str) -> list[str]:
    return [squeeze(re.sub(r".\x08", "", block)) for block in re.split(r"^%+$", text, flags=re.MULTILINE)]


def documents_of(package: Package, root: pathlib.Path) -> Iterator[Document]:
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name = f"{package.name}/{path.relative_to(root)}"
        if package.genre == "quotations":
            if path.parent.name == "fortunes" and not path.suffix:
                yield Document(name, fortune_blocks(path.read_text("utf-8", "ignore")))
        elif package.genre == "manual_pages":
            if path.suffix == ".gz" and "/man/man" in str(path):
                yield Document(name, roff_blocks(gzip.decompress(path.read_bytes()).decode("utf-8", "ignore")))
        elif path.suffix == ".html":
            yield Document(name, html_blocks(path.read_text("utf-8", "ignore")))


def is_prose(text: str) -> bool:
    letters = sum(c.isalpha() or c == " " for c in text)
    return letters >= 0.85 * len(text) and not re.search(r"[\x00-\x1f\\]|[{}<>|]{2}", text)


def sentences(document: Document) -> Iterator[str]:
    for block in document.blocks:
        for sentence in re.split(r"(?<=[.!?])[\"')]*\s+(?=[A-Z\"'(])", block):
            if len(sentence.split()) in SENTENCE_WORDS and sentence[-1:] in ".!?\"'" and is_prose(sentence):
                yield sentence


def paragraphs(document: Document) -> Iterator[str]:
    """Blocks of a document, joined until they are long enough."""
    words: list[str] = []
    for block in document.blocks:
        if not block or not is_prose(block):
            continue
        words += block.split()
        if len(words) in PARAGRAPH_WORDS:
            yield " ".join(words)
        if len(words) >= PARAGRAPH_WORDS.start:
            words = []


def is_held_out(document: Document) -> bool:
    return hashlib.sha256(document.name.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def draw(pools: dict[str, list[str]], shares: dict[str, int], texts: int, rng: random.Random) -> list[str]:
    drawn = []
    for genre, share in shares.items():
        wanted = texts * share // 100
        if len(pools[genre]) < wanted:
            sys.exit(f"sample: {genre} has {len(pools[genre])} texts, expected at least {wanted}")
        drawn += rng.sample(pools[genre], wanted)
    rng.shuffle(drawn)
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, help="folder to write the files to; made where missing")
    parser.add_argument("--seed", type=int, default=1, help="of the drawing (default: 1)")
    arguments = parser.parse_args()

    packages = read_packages()
    shares = {package.genre: package.share for package in packages}
    documents: list[tuple[str, Document]] = []
    versions = {}
    with tempfile.TemporaryDirectory() as scratch:
        for package in packages:
            print(f"sample: reading {package.name}", file=sys.stderr)
            root = pathlib.Path(scratch) / package.name
            versions[package.name] = unpack(package, root)
            documents += [(package.genre, document) for document in documents_of(package, root)]

    arguments.output.mkdir(parents=True, exist_ok=True)
    rng = random.Random(arguments.seed)
    described = {"packages": versions, "seed": arguments.seed, "shares_per_cent": shares, "files": {}}
    for name, (kind, held_out, texts) in COUNTS.items():
        cut = sentences if kind == "sentences" else paragraphs
        pools: dict[str, list[str]] = {genre: [] for genre in shares}
        for genre, document in documents:
            if is_held_out(document) == held_out:
                pools[genre] += cut(document)
        pools = {genre: sorted(set(pool)) for genre, pool in pools.items()}
        drawn = draw(pools, shares, texts, rng)
        text = "".join(line + "\n" for line in drawn)
        (arguments.output / f"{name}.txt").write_text(text, "utf-8")
        words = sum(len(line.split()) for line in drawn)
        described["files"][f"{name}.txt"] = {
            "texts": len(drawn), "words": words, "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        print(f"sample: {name}.txt: {len(drawn)} texts of {words / len(drawn):.0f} words", file=sys.stderr)
    (arguments.output / "sample.json").write_text(json.dumps(described, indent=1) + "\n")


if __name__ == "__main__":
    main()
