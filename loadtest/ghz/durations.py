"""Durations as ghz writes them, `90s` or `1m30s`, and as seconds."""

import re

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)")


def seconds(text):
    """The seconds of "1m30s"; a ValueError for what Go would not take either."""
    if text == "0":
        return 0.0
    if not re.fullmatch(f"(?:{PART.pattern})+", text):
        raise ValueError(f"'{text}' is no duration such as 30s, 1m30s or 500ms")
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(text))


def text(duration_s):
    """In milliseconds, which Go takes too."""
    return f"{round(duration_s * 1000)}ms"
