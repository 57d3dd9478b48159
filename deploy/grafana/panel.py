"""What a dashboard is made of, and the queries that panels have in common."""

from typing import NamedTuple


class Panel(NamedTuple):
    title: str
    kind: str  # timeseries, stacked, stat, bars, heatmap, table
    unit: str  # Grafana's id of the unit
    description: str
    queries: list  # (PromQL, legend); $S and $P stand for the choices at the top of the board, see make_dashboards.py
    width: int = 8  # of 24
    height: int = 8
    maximum: float | None = None
    needs_gpu: bool = False  # asks for series that only a machine with a GPU has


class Row(NamedTuple):
    title: str
    panels: list


class Dashboard(NamedTuple):
    uid: str
    title: str
    description: str
    rows: list


RATE = "$__rate_interval"
# The codes that are the server's to answer for; the recording rules have the same.
ERRORS = "UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
BY_VERSION = "{{model}} v{{version}}"


def rate(metric, by="", where=""):
    """Per second, added up over everything but the labels of `by`."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{$S{',' + where if where else ''}}}[{RATE}]))"


def gauge(metric, by="", where="", how="sum", scope="$S"):
    grouping = f" by ({by})" if by else ""
    return f"{how}{grouping} ({metric}{{{scope}{',' + where if where else ''}}})"


def per(part, whole):
    """A ratio that is absent, rather than NaN, while there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def share(metric, label, value, by=""):
    return per(rate(metric, by, f'{label}="{value}"'), rate(metric, by))


def mean(histogram, by=""):
    return per(rate(histogram + "_sum", by), rate(histogram + "_count", by))


def quantile(q, histogram, by=""):
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', f'{by}, le' if by else 'le')} > 0)"


def quantiles(histogram, *levels):
    return [(quantile(q, histogram), f"p{100 * q:g}") for q in levels]


def buckets(histogram, where=""):
    inside = "$S" + ("," + where if where else "")
    return f"sum by (le) (increase({histogram}_bucket{{{inside}}}[{RATE}]))"
