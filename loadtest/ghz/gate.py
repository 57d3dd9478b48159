"""What ghz's report says, and whether that is what a scenario asks for."""

import datetime
import math

CODES = {  # ghz has names of its own for gRPC's codes
    "OK": "OK", "Canceled": "CANCELLED", "Unknown": "UNKNOWN", "InvalidArgument": "INVALID_ARGUMENT",
    "DeadlineExceeded": "DEADLINE_EXCEEDED", "NotFound": "NOT_FOUND", "AlreadyExists": "ALREADY_EXISTS",
    "PermissionDenied": "PERMISSION_DENIED", "ResourceExhausted": "RESOURCE_EXHAUSTED",
    "FailedPrecondition": "FAILED_PRECONDITION", "Aborted": "ABORTED", "OutOfRange": "OUT_OF_RANGE",
    "Unimplemented": "UNIMPLEMENTED", "Internal": "INTERNAL", "Unavailable": "UNAVAILABLE", "DataLoss": "DATA_LOSS",
    "Unauthenticated": "UNAUTHENTICATED",
}
PERCENTILES = {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "p99_9_ms": 99.9}
MISSED, FAILED = 3, 4


def figures(report, configuration):
    """Counts, and percentiles of the calls answered OK; of each step of the load if it has steps."""
    calls = [call(detail) for detail in report["details"]]
    codes = {CODES.get(code, code): count for code, count in report["statusCodeDistribution"].items()}
    return {
        "calls": report["count"],
        "codes": codes,
        "ok_share": codes.get("OK", 0) / report["count"],
        "calls_per_second": report["rps"],
        "asked_per_second": asked(configuration),
        **percentiles(calls),
        "steps": list(steps(calls, configuration)),
    }


def call(detail):
    """(when it started in s, latency in ms, whether it was answered OK). ghz's timestamp is that of the end."""
    ended = datetime.datetime.fromisoformat(microseconds(detail["timestamp"])).timestamp()
    latency_ms = detail["latency"] / 1e6
    return ended - latency_ms / 1000, latency_ms, detail["status"] == "OK"


def microseconds(timestamp):
    """ghz writes up to nine decimals of the second, and Z; Python 3.11 reads six."""
    second, _, rest = timestamp.replace("Z", "+00:00").partition(".")
    if not rest:
        return second
    cut = next((at for at, sign in enumerate(rest) if sign in "+-"), len(rest))
    return f"{second}.{rest[:cut][:6].ljust(6, '0')}{rest[cut:]}"


def asked(configuration):
    """The rate of an open loop; None of a closed one, or of one with steps."""
    return configuration.get("rps") if configuration.get("async") and "load-schedule" not in configuration else None


def percentiles(calls):
    ok = sorted(latency for _, latency, good in calls if good)
    return {name: nearest_rank(ok, percent) for name, percent in PERCENTILES.items()}


def nearest_rank(values, percent):
    return values[max(1, math.ceil(percent / 100 * len(values))) - 1] if values else math.nan


def steps(calls, configuration):
    """Percentiles of the calls that started in each step of the load: ghz's own mix all of them."""
    if configuration.get("load-schedule") != "step":
        return
    begin = min(start for start, _, _ in calls)
    duration = seconds(configuration["load-step-duration"])
    step, end = configuration["load-step"], configuration["load-end"]
    for index, rate in enumerate(range(configuration["load-start"], end + 1, step)):
        last = rate + step > end
        until = math.inf if last else (index + 1) * duration
        inside = [one for one in calls if index * duration <= one[0] - begin < until]
        yield {"rate": rate, "calls": len(inside), **percentiles(inside)}


def seconds(duration):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    unit = duration.lstrip("0123456789.")
    return float(duration[: -len(unit)]) * units[unit]


def missed(found, gate):
    """What the gate asks and was not found, each with an exit status and a sentence."""
    misses = []

    def miss(status, what):
        misses.append({"status": status, "what": what})

    errors = {code: count for code, count in found["codes"].items() if code not in gate["allowed_codes"]}
    if errors:
        miss(FAILED, f"no other code than {', '.join(gate['allowed_codes'])} is allowed; found {errors}")
    if found["ok_share"] < gate.get("min_ok_share", 0):
        miss(FAILED, f"min_ok_share {gate['min_ok_share']}; found {found['ok_share']:.4f}")
    if found["calls"] < gate.get("min_calls", 1):
        miss(MISSED, f"min_calls {gate['min_calls']}; found {found['calls']}")
    if found["asked_per_second"] and found["calls_per_second"] < gate.get("min_rate_share", 0) * found["asked_per_second"]:
        miss(MISSED, f"min_rate_share {gate['min_rate_share']} of {found['asked_per_second']} calls per second; "
                     f"found {found['calls_per_second']:.1f}")
    for name in ("p50_ms", "p99_ms"):
        if name in gate and not found[name] <= gate[name]:  # also when it is not a number, for want of calls
            miss(MISSED, f"{name} {gate[name]}; found {found[name]:.2f}")
    return misses
