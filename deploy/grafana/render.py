#!/usr/bin/env python3
"""Draws a dashboard as Grafana would lay it out, with the data that a running Prometheus has: for pages and reports."""

import argparse
import datetime
import io
import json
import math
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib import dates  # noqa: E402
from matplotlib.ticker import FuncFormatter, MultipleLocator  # noqa: E402
from PIL import Image  # noqa: E402

COLUMNS = 24
INCHES_PER_COLUMN, INCHES_PER_ROW = 0.8, 0.42
COLORS = ["#3274d9", "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#8f6b00", "#0f8a8a", "#777777"]
PER_SECOND = {"reqps": "/s", "ops": "/s", "flops": "FLOP/s"}
POINTS = 240


def scaled(value, base, names):
    """The value with the largest of the names that leaves at least 1."""
    for power, name in reversed(list(enumerate(names))):
        if abs(value) >= base**power or power == 0:
            return f"{value / base**power:.3g} {name}".rstrip()


def show(value, unit):
    """A value as Grafana writes it in that unit."""
    if not math.isfinite(value):
        return "none"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        if abs(value) >= 86400:
            return f"{value / 86400:.3g} days"
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{1000 * value:.3g} ms"
    if unit in ("bytes", "mbytes"):
        return scaled(value * (2**20 if unit == "mbytes" else 1), 1024, ["B", "KiB", "MiB", "GiB", "TiB"])
    number = scaled(value, 1000, ["", "K", "M", "G", "T", "P"])
    return number + (" " if unit == "flops" else "") + PER_SECOND.get(unit, "")


class Source:
    """Asks one Prometheus about one stretch of time."""

    def __init__(self, url, seconds, variables):
        self.end = time.time()
        self.start = self.end - seconds
        self.step = max(1, seconds / POINTS)
        self._url, self._variables = url.rstrip("/"), variables

    def ask(self, target, **when):
        expression = target["expr"]
        for name, value in self._variables.items():
            expression = expression.replace(f"${name}", value)
        path = "query_range" if "start" in when else "query"
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode({'query': expression, **when})}"
        with urllib.request.urlopen(url, timeout=60) as reply:
            return json.load(reply)["data"]["result"]

    def now(self, target):
        """[(labels, value)]"""
        return [(r["metric"], float(r["value"][1])) for r in self.ask(target, time=self.end)]

    def history(self, target):
        """[(labels, times, values)]"""
        found = self.ask(target, start=self.start, end=self.end, step=self.step)
        return [(r["metric"], *zip(*[(float(t), float(v)) for t, v in r["values"]])) for r in found]


def legend(target, labels):
    text = target["legendFormat"]
    if text == "__auto":
        return ", ".join(f"{k}={v}" for k, v in labels.items())
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), text)


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds)


def no_data(axes):
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color="#999999")
    axes.set_xticks([])
    axes.set_yticks([])


def set_time_axis(axes, source):
    axes.set_xlim(moment(source.start), moment(source.end))
    minutes = (source.end - source.start) / 60
    every = dates.MinuteLocator(interval=math.ceil(minutes / 5))
    axes.xaxis.set_major_locator(dates.AutoDateLocator() if minutes > 30 else every)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))


def draw_lines(axes, panel, source):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    found = [(i, legend(t, labels), x, y) for i, t in enumerate(panel["targets"]) for labels, x, y in source.history(t)]
    if not found:
        return no_data(axes)
    series = [one[1:] for one in found]
    custom = panel["fieldConfig"]["defaults"]["custom"]
    if custom["stacking"]["mode"] == "normal":
        moments = sorted({at for _, x, _ in series for at in x})
        rows = [[dict(zip(x, y)).get(at, 0) for at in moments] for _, x, y in series]
        names = [name for name, _, _ in series]
        axes.stackplot([moment(at) for at in moments], rows, labels=names, colors=COLORS, alpha=0.75, linewidth=0)
    else:
        for i, (query, name, x, y) in enumerate(found):
            # Of two lines of one height, the second query's must not hide the first's.
            second = query == 1 and len(panel["targets"]) == 2
            style = "--" if second or i >= len(COLORS) else "-"
            axes.plot([moment(at) for at in x], y, style, label=name, color=COLORS[i % len(COLORS)], linewidth=1.3)
    # Grafana's axes begin at the least value; with a share of a whole one wants to see 0.
    if all(value >= 0 for _, _, y in series for value in y):
        axes.set_ylim(bottom=0)
    if panel["fieldConfig"]["defaults"].get("max") is not None:
        axes.set_ylim(top=1.03 * panel["fieldConfig"]["defaults"]["max"])
    if unit in ("bytes", "mbytes"):
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(MultipleLocator(2 ** math.ceil(math.log2(max(high - low, 8) / 6))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value, unit)))
    set_time_axis(axes, source)
    axes.grid(alpha=0.25, linewidth=0.6)
    columns = 2 if len(series) > 3 or max(len(name) for name, _, _ in series) > 22 else 3
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), ncol=columns, fontsize=8, frameon=False, handlelength=1.2,
                columnspacing=1, borderaxespad=0, labelspacing=0.25)


def draw_stat(axes, panel, source):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    values = [(legend(t, labels), value) for t in panel["targets"] for labels, value in source.now(t)]
    axes.set_axis_off()
    if not values:
        return no_data(axes)
    named = panel["options"]["textMode"] == "value_and_name"
    for i, (name, value) in enumerate(values):
        x = (i + 0.5) / len(values)
        axes.text(x, 0.52, show(value, unit), transform=axes.transAxes, ha="center", va="center", fontsize=17, color="#1f4e9c")
        if named:
            axes.text(x, 0.1, name, transform=axes.transAxes, ha="center", va="center", fontsize=8.5, color="#555555")


def draw_bars(axes, panel, source):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    values = [(legend(t, labels), value) for t in panel["targets"] for labels, value in source.now(t)]
    if not values:
        return no_data(axes)
    values.sort(key=lambda pair: pair[0])
    names, numbers = zip(*values[::-1])
    axes.barh(range(len(numbers)), numbers, color=COLORS[0], height=0.7)
    axes.set_yticks(range(len(names)), names, fontsize=8 if len(names) < 10 else 7)
    axes.set_xlim(0, 1.25 * max(max(numbers), 1e-9))
    for i, number in enumerate(numbers):
        axes.text(number, i, " " + show(number, unit), va="center", fontsize=8 if len(names) < 10 else 7)
    axes.set_xticks([])


def draw_heatmap(axes, panel, source):
    unit = panel["options"]["yAxis"]["unit"]
    series = sorted(source.history(panel["targets"][0]), key=lambda one: float(one[0]["le"].replace("+Inf", "inf")))
    if not series:
        return no_data(axes)
    moments = sorted({at for _, x, _ in series for at in x})
    cumulative = [[dict(zip(x, y)).get(at, 0) for at in moments] for _, x, y in series]
    counts = [cumulative[0]] + [[b - a for a, b in zip(low, high)] for low, high in zip(cumulative, cumulative[1:])]
    edges = [labels["le"] for labels, _, _ in series]
    filled = [i for i, row in enumerate(counts) if max(row) > 0]
    if not filled:
        return no_data(axes)
    first, last = max(0, filled[0] - 1), min(len(counts) - 1, filled[-1] + 1)
    shown = counts[first : last + 1]
    times = [dates.date2num(moment(at)) for at in (moments[0], moments[-1])]
    extent = [*times, -0.5, len(shown) - 0.5]
    axes.imshow(shown, origin="lower", aspect="auto", cmap="Blues", interpolation="nearest", extent=extent)
    axes.xaxis_date()
    every = max(1, len(shown) // 7)
    ticks = range(0, len(shown), every)
    names = ["more" if edges[first + i] == "+Inf" else "≤ " + show(float(edges[first + i]), unit) for i in ticks]
    axes.set_yticks(list(ticks), names, fontsize=8)
    set_time_axis(axes, source)


def draw_table(axes, panel, source):
    axes.set_axis_off()
    rows = source.now(panel["targets"][0])
    if not rows:
        return no_data(axes)
    columns = sorted({label for labels, _ in rows for label in labels})
    cells = sorted([labels.get(column, "")[:26] for column in columns] + [f"{value:g}"] for labels, value in rows)
    table = axes.table(cellText=cells, colLabels=[*columns, "servers"], loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.auto_set_column_width(list(range(len(columns) + 1)))
    for cell in table.get_celld().values():
        cell.set_edgecolor("#dddddd")
        cell.set_height(0.2)


DRAW = {"timeseries": draw_lines, "stat": draw_stat, "bargauge": draw_bars, "heatmap": draw_heatmap, "table": draw_table}


def without_rows(panels, dropped):
    """The panels without the rows of these titles, moved up to where those were."""
    result, shift, dropping, top = [], 0, False, 0
    for panel in panels:
        y = panel["gridPos"]["y"]
        if panel["type"] == "row":
            if dropping:
                shift += y - top
            dropping, top = panel["title"] in dropped, y
        if not dropping:
            result.append(panel | {"gridPos": panel["gridPos"] | {"y": y - shift}})
    return result


def draw(dashboard, source, dropped):
    panels = without_rows(dashboard["panels"], dropped)
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    rows = height + 2
    figure = plt.figure(figsize=(COLUMNS * INCHES_PER_COLUMN, rows * INCHES_PER_ROW), facecolor="#f4f5f5")
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#bbbbbb"}
    figure.text(0.008, 1 - 0.9 / rows, dashboard["title"], fontsize=15, fontweight="bold", va="center")
    for panel in panels:
        place = panel["gridPos"]
        left, bottom = place["x"] / COLUMNS, 1 - (place["y"] + place["h"] + 2) / rows
        width, tall = place["w"] / COLUMNS, place["h"] / rows
        if panel["type"] == "row":
            figure.text(left + 0.008, bottom + 0.35 * tall, panel["title"], fontsize=12, color="#333333")
            continue
        frame = figure.add_axes((left + 0.004, bottom + 0.12 / rows, width - 0.008, tall - 0.24 / rows))
        frame.set_facecolor("white")
        frame.set_xticks([])
        frame.set_yticks([])
        for spine in frame.spines.values():
            spine.set_visible(False)
        figure.text(left + 0.01, bottom + tall - 0.65 / rows, panel["title"], fontsize=10.5, fontweight="bold", va="center")
        inset = {
            "stat": (0.01, 0.3, 0.98, 0.9),
            "table": (0.01, 0.3, 0.98, 1.3),
            "bargauge": (0.45 if place["w"] < 12 else 0.2, 0.4, 0.97, 1.3),
        }
        x0, y0, x1, y1 = inset.get(panel["type"], (0.13 if place["w"] < 12 else 0.08, 2.3, 0.97, 1.4))
        if panel["type"] == "heatmap":
            y0 = 1.1
        axes = figure.add_axes((left + x0 * width, bottom + y0 / rows, (x1 - x0) * width, tall - (y0 + y1) / rows))
        DRAW[panel["type"]](axes, panel, source)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dashboard", type=pathlib.Path, nargs="+", help="files of deploy/grafana/dashboards")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="where to ask; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=15, help="how far back; default: %(default)s")
    rates = "what rates are taken over, at least four scrapes; default: %(default)s"
    parser.add_argument("--rate-interval", default="1m", help=rates)
    parser.add_argument("--model", default=".*", help="regular expression of the models; default: all")
    parser.add_argument("--instance", default=".*", help="the same of the servers")
    parser.add_argument("--job", default=".*", help="the same of the jobs")
    row = "title of a row of panels to leave out; may repeat"
    parser.add_argument("--without-row", action="append", default=[], help=row)
    output = "folder for dashboard_NAME.png; default: here"
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."), help=output)
    arguments = parser.parse_args()
    variables = {
        "__rate_interval": arguments.rate_interval,
        "job": arguments.job,
        "instance": arguments.instance,
        "model": arguments.model,
    }
    for path in arguments.dashboard:
        source = Source(arguments.prometheus, 60 * arguments.minutes, variables)
        try:
            figure = draw(json.loads(path.read_text()), source, arguments.without_row)
        except (OSError, ValueError) as error:
            sys.exit(f"{path}: {error}; is {arguments.prometheus} a Prometheus that can be reached, and this a dashboard?")
        output = arguments.output / f"dashboard_{path.stem}.png"
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=80)
        Image.open(drawn).convert("RGB").quantize(160).save(output, optimize=True)  # a third of the bytes
        plt.close(figure)
        print(f"wrote {output}")


if __name__ == "__main__":
    main()
