"""What ghz's report says, and whether a scenario's thresholds held.

Latencies are taken from `details`, of all calls but the refusals that the gate allows: those are quick, and would
flatter the rest. ghz's own percentiles end at p99 and know no steps.
"""

import collections
import datetime
import math

from scenarios import calls_asked, windows

Call = collections.namedtuple("Call", "begin_s latency_ms code")
Missed = collections.namedtuple("Missed", "kind text")  # kind: "errors" or "threshold"


def measure(scenario, report):
    """The figures of a run, with those of its windows where it has several."""
    calls = read_calls(report)
    parts = windows(scenario)
    allowed = scenario["gate"]["allowed"]
    codes = report["statusCodeDistribution"]
    asked = calls_asked(scenario)
    duration_s = sum(length_s for _, length_s, _ in parts)
    figures = {
        "length_s": duration_s,
        "calls": report["count"],
        "codes": codes,
        "messages": most_frequent(report["errorDistribution"]),
        "asked_per_s": round(asked / duration_s, 2) if asked else None,
        "begun_per_s": round(report["count"] / duration_s, 2),
        "ok_per_s": round(codes.get("OK", 0) / (report["total"] / 1e9), 2),
        "late_p99_ms": lateness_p99_ms(calls, parts),
        "forgotten": report["count"] - len(calls),  # whose latencies ghz did not keep
    }
    figures |= latencies(calls, allowed)
    figures["windows"] = measure_windows(calls, parts, allowed) if len(parts) > 1 else []
    if "load-start" in scenario["ghz"]:
        figures["held_per_s"] = held_per_s(scenario["gate"], figures)
    return figures


def read_calls(report):
    """Calls in the order in which they began; a detail's timestamp is when its call ended."""
    calls = []
    for detail in report["details"]:
        ended_s = datetime.datetime.fromisoformat(detail["timestamp"]).timestamp()
        calls.append(Call(ended_s - detail["latency"] / 1e9, detail["latency"] / 1e6, detail["status"]))
    return sorted(calls)


def latencies(calls, allowed):
    """Percentiles in milliseconds, by nearest rank; None where no call counts."""
    counted = sorted(call.latency_ms for call in calls if call.code not in allowed)
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1}
    return {name: round(percentile(counted, share), 3) if counted else None for name, share in shares.items()}


def percentile(ascending, share):
    """The smallest value that a share of the values does not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def measure_windows(calls, parts, allowed):
    """The figures of each part. ghz waits for the time of the first call before it makes it."""
    origin_s = calls[0].begin_s - (1 / parts[0][2] if parts[0][2] else 0)
    length_s = parts[0][1]
    members = [[] for _ in parts]
    for call in calls:
        members[min(int((call.begin_s - origin_s) / length_s), len(parts) - 1)].append(call)
    return [
        {
            "begin_s": round(begin_s, 3),
            "length_s": length_s,
            "calls": len(inside),
            "asked_per_s": rate,
            "begun_per_s": round(len(inside) / length_s, 2),
            "codes": dict(collections.Counter(call.code for call in inside)),
        }
        | latencies(inside, allowed)
        for (begin_s, length_s, rate), inside in zip(parts, members)
    ]


def lateness_p99_ms(calls, parts):
    """How far calls of a constant rate began behind their time: the client's delay, part of no latency."""
    rate = parts[0][2]
    if rate is None or any(each != rate for _, _, each in parts):
        return None
    offsets_s = sorted(call.begin_s - index / rate for index, call in enumerate(calls))
    return round((percentile(offsets_s, 0.99) - offsets_s[0]) * 1000, 3)


def held_per_s(gate, figures):
    """The highest rate of a ramp up to which every step kept to the thresholds; 0 if the first did not."""
    held = 0
    for part in figures["windows"]:
        if any(missed_codes(gate, part)) or any(missed_bounds(gate, part)):
            break
        held = part["asked_per_s"]
    return held


def most_frequent(messages, count=3):
    """The errors that came most often."""
    return dict(sorted(messages.items(), key=lambda item: -item[1])[:count])


def judge(gate, figures):
    """Everything that a run missed, as Missed; empty if it passed."""
    missed = list(missed_codes(gate, figures))
    if figures["calls"] < gate["min_calls"]:
        few = f"{figures['calls']} calls, at least {gate['min_calls']} needed: run for longer"
        missed.append(Missed("threshold", few))
    if figures["forgotten"]:
        missed.append(Missed("threshold", f"ghz kept no latency of {figures['forgotten']} calls: run for less long"))
    for place, part in [("", figures), *((f"from {part['begin_s']:g} s on: ", part) for part in figures["windows"])]:
        missed += [Missed("threshold", place + text) for text in missed_bounds(gate, part)]
    return missed


def missed_codes(gate, figures):
    """Codes that may not occur, or not so often, with the most frequent messages."""
    for code, count in sorted(figures["codes"].items()):
        most = 1 if code == "OK" else gate["allowed"].get(code, 0)
        if count > most * figures["calls"]:
            share = f", {count / figures['calls']:.1%} of the calls; allowed: {most:.1%}" if most else ", allowed: none"
            yield Missed("errors", f"{code or 'no code'}: {count}{share}")
    if not figures["codes"].get("OK"):
        yield Missed("errors", "no call was answered")


def missed_bounds(gate, part):
    """Latency and rate of a run or of one of its windows. ghz may leave the last call out of a report."""
    for name in ("p50_ms", "p99_ms"):
        if name in gate and part[name] is not None and part[name] > gate[name]:
            yield f"{name[:3]} is {part[name]:.1f} ms, allowed: {gate[name]:g} ms"
    asked = part["asked_per_s"]
    if asked and "min_rate_share" in gate:
        if part["calls"] + 1 < gate["min_rate_share"] * asked * part["length_s"]:
            share = f"{part['begun_per_s'] / asked:.1%}, needed: {gate['min_rate_share']:.1%}"
            yield f"{part['begun_per_s']:g} of {asked:g} calls per second were begun, {share}: the client is too slow"
