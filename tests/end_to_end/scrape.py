"""Reads a server's metrics page."""

import re
import time
import urllib.request
from typing import NamedTuple


class Sample(NamedTuple):
    name: str
    labels: dict
    value: float


class Scrape:
    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        self.types = {}
        self.samples = []
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.samples.append(_parse(line))

    def matching(self, name, **labels):
        return [s for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def total(self, name, **labels):
        """The sum of the series that carry these labels, among others."""
        return sum(sample.value for sample in self.matching(name, **labels))

    def value(self, name, **labels):
        """The one series that carries these labels, among others."""
        found = self.matching(name, **labels)
        assert len(found) == 1, f"{len(found)} series match {name}{labels}: {found}"
        return found[0].value


def scrape_when(port, holds, timeout_s=30):
    """The first page of which `holds(page)` is true; what a server does on its own threads shows a little later."""
    deadline = time.monotonic() + timeout_s
    while True:
        page = Scrape(port)
        if holds(page):
            return page
        assert time.monotonic() < deadline, f"never came true in {timeout_s} s"
        time.sleep(0.01)


def _parse(line):
    match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
    assert match, f"not a line of the exposition format: {line!r}"
    name, labels, value = match.groups()
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
    return Sample(name, dict(pairs), float(value))
