"""What is measured of each server, in which order."""

import os
import statistics

import tools

OVERLOAD = 1.5
# After an overload a server is well again when a second's p99 is within this many times the usual.
WELL_AGAIN = 2
RECOVERY_SHARE = 0.5


def measure(options, running):
    """An object with everything: the machine, the calls, and for each name of `running` its figures."""
    os.sched_setaffinity(0, {options.client_core})  # the load generator inherits it
    servers = {name: {} for name in running}
    loads = {name: loader(options, target) for name, target in running.items()}
    for name, load in loads.items():
        servers[name].update(capacity(options, name, load))
    curves(options, servers, loads)
    for name, load in loads.items():
        servers[name]["overload"] = overload(options, name, servers[name], load)
    return {
        "machine": tools.machine(),
        "calls": f"lines of {options.texts.name}" if options.texts else f"ids of {options.lengths} tokens",
        "slo_p99_ms": options.slo_p99_ms,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "servers": servers,
    }


def loader(options, target):
    """A function that runs reprise_load against the target and returns its report."""
    calls = ["--texts", options.texts] if options.texts else ["--lengths", options.lengths, "--vocab-size", options.vocab_size]
    fixed = ["--address", target.address, "--model", target.model, "--output", options.output, "--connections", 4, *calls]

    def load(seconds, *flags, warm_up_ms=None):
        warm_up_ms = min(1000, int(500 * seconds)) if warm_up_ms is None else warm_up_ms
        return tools.load(
            options.build, *fixed, "--duration-ms", int(1000 * seconds), "--warm-up-ms", warm_up_ms, *flags
        )

    return load


def capacity(options, name, load):
    unloaded = load(options.seconds)["ok"]
    if unloaded["calls"] == 0:
        raise SystemExit(f"{name} answered no call OK; ask it by hand what it says to one")
    search = ["--search", "--slo-p99-ms", options.slo_p99_ms, "--precision", options.precision]
    found = load(options.seconds, *search)["capacity_per_second"]
    say(f"{name}: unloaded p50 {unloaded['p50_ms']:.2f} ms, capacity {found:.1f} calls/s")
    return {"unloaded": unloaded, "capacity_per_second": found}


def curves(options, servers, loads):
    """Every level in every round; who goes first alternates, so that a drift of the machine hits all alike."""
    for server in servers.values():
        server["levels"] = [
            {"share": share, "rate": share * server["capacity_per_second"], "runs": []} for share in options.levels
        ]
    for turn in range(options.rounds):
        for level in range(len(options.levels)):
            order = list(loads) if turn % 2 == 0 else list(reversed(loads))
            for name in order:
                one_level(options, name, servers[name]["levels"][level], loads[name], seed=turn + 1)
    for server in servers.values():
        for level in server["levels"]:
            for key in ("p50_ms", "p99_ms", "ok_per_second"):
                level[key] = statistics.median(run[key] for run in level["runs"])


def one_level(options, name, level, load, seed):
    report = load(options.seconds, "--rate", level["rate"], "--seed", seed)
    level["runs"].append(
        {
            "p50_ms": report["ok"]["p50_ms"],
            "p99_ms": report["ok"]["p99_ms"],
            "ok_per_second": report["ok_per_second"],
            "codes": report["codes"],
            "valid": report["valid"],
        }
    )
    say(f"  {name} at {level['rate']:.1f} calls/s: p50 {report['ok']['p50_ms']:.2f} ms, p99 {report['ok']['p99_ms']:.2f} ms")


def overload(options, name, server, load):
    rate = OVERLOAD * server["capacity_per_second"]
    deadline = max(1, round(5 * server["unloaded"]["p99_ms"]))
    report = load(options.overload_seconds, "--rate", rate, "--deadline-ms", deadline)
    after = load(options.recovery_seconds, "--rate", RECOVERY_SHARE * server["capacity_per_second"], warm_up_ms=0)
    say(f"  {name} at {rate:.1f} calls/s: {report['ok_per_second']:.1f} OK per second within {deadline} ms")
    return {
        "rate": rate,
        "deadline_ms": deadline,
        "goodput_per_second": report["ok_per_second"],
        "goodput_share": report["ok_per_second"] / server["capacity_per_second"],
        "refused_p99_ms": report["refused"]["p99_ms"] if report["refused"]["calls"] else None,
        "codes": report["codes"],
        "lateness_p99_ms": report["lateness"]["p99_ms"],
        "valid": report["valid"],
        "recovery_s": recovery(after),
    }


def recovery(after):
    """Seconds after the overload until latency is as it will be; None if not within the run."""
    usual = statistics.median(interval["p99_ms"] for interval in after["intervals"][-5:])
    for interval in after["intervals"]:
        if interval["p99_ms"] <= WELL_AGAIN * usual:
            return interval["start_s"]
    return None


def say(words):
    print(words, flush=True)
