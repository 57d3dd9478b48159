"""A measurement as a table in Markdown and as a picture."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#1b6ca8", "#2d7d46", "#b0470b", "#9c6aa8", "#7a7a7a", "#c77f3b")
LEFT, TOP, WIDTH, HEIGHT, RIGHT, BOTTOM = 70, 46, 620, 320, 190, 50


def table(results):
    lines = [
        f"{results['machine']}; {results['calls']}; medians of {results['rounds']} runs of {results['seconds']:g} s",
        "",
        f"| server | unloaded p50 / p99, ms | capacity (p99 <= {results['slo_p99_ms']:g} ms), calls/s | p50 / p99 at half of it, ms "
        "| at 90 % | goodput at 150 % / capacity | to refuse, p99 ms | well again after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, server in results["servers"].items():
        over = server["overload"]
        refused = "-" if over["refused_p99_ms"] is None else f"{over['refused_p99_ms']:.1f}"
        recovery = "not in time" if over["recovery_s"] is None else f"{over['recovery_s'] + 1:g} s"
        lines.append(
            f"| {name} | {both(server['unloaded'])} | {server['capacity_per_second']:.1f} | {at(server, 0.5)} | {at(server, 0.9)} "
            f"| {over['goodput_share']:.2f} | {refused} | {recovery} |"
        )
    return "\n".join(lines)


def both(latency):
    return f"{latency['p50_ms']:.1f} / {latency['p99_ms']:.1f}"


def at(server, share):
    return next((both(level) for level in server["levels"] if level["share"] == share), "-")


def picture(results):
    """SVG text: p50 and p99 of each server over the calls that were due per second."""
    levels = [level for server in results["servers"].values() for level in server["levels"]]
    scale = Scale(
        max(level["rate"] for level in levels),
        min(level["p50_ms"] for level in levels),
        max([level["p99_ms"] for level in levels] + [results["slo_p99_ms"]]),
    )
    parts = [*scale.grid(), *scale.limit(results["slo_p99_ms"])]
    for index, (name, server) in enumerate(results["servers"].items()):
        colour = COLOURS[index % len(COLOURS)]
        for key, dashes in (("p99_ms", ""), ("p50_ms", ' stroke-dasharray="5 4"')):
            points = " ".join(f"{scale.x(level['rate']):.1f},{scale.y(level[key]):.1f}" for level in server["levels"])
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts.append(text(LEFT + WIDTH + 14, TOP + 16 + 20 * index, name, "start", colour))
    width, height = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    title = f"Latency against load: p99 (lines) and p50 (dashes), ms; {results['calls']}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            text(LEFT, 20, title, "start"),
            text(LEFT, 36, results["machine"], "start", "#777"),
            *parts,
            text(LEFT + WIDTH / 2, height - 10, "calls due per second, a Poisson process", "middle"),
            "</svg>\n",
        ]
    )


class Scale:
    """Where a rate and a latency lie in the picture. Latency is on a logarithmic axis."""

    def __init__(self, top_rate, low_ms, high_ms):
        self._step = nice_step(top_rate)
        self._top_rate = self._step * math.ceil(top_rate / self._step)
        self._low = math.floor(math.log10(low_ms))
        self._high = math.log10(high_ms) + 0.1

    def x(self, rate):
        return LEFT + WIDTH * rate / self._top_rate

    def y(self, ms):
        return TOP + HEIGHT * (self._high - math.log10(ms)) / (self._high - self._low)

    def grid(self):
        for decade in range(self._low, math.ceil(self._high)):
            for digit in (1, 2, 5):
                ms = digit * 10.0**decade
                if self._low <= math.log10(ms) <= self._high:
                    yield line(LEFT, self.y(ms), LEFT + WIDTH, self.y(ms), "#ddd")
                    yield text(LEFT - 6, self.y(ms) + 4, f"{ms:g}", "end")
        for index in range(round(self._top_rate / self._step) + 1):
            rate = index * self._step
            yield text(self.x(rate), TOP + HEIGHT + 18, f"{rate:g}", "middle")

    def limit(self, ms):
        yield line(LEFT, self.y(ms), LEFT + WIDTH, self.y(ms), "#b00", ' stroke-dasharray="2 3"')


def nice_step(top):
    """A round number that goes into `top` four to ten times."""
    step = 10.0 ** math.floor(math.log10(top / 4))
    return next(step * factor for factor in (5, 2, 1) if top / (step * factor) >= 4)


def line(x1, y1, x2, y2, colour, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def text(x, y, words, anchor, colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
