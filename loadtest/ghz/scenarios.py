"""Scenarios: read, held to their schema, and changed by the options of a run."""

import copy
import json
import pathlib

import jsonschema
from referencing import Registry, Resource

import durations
from problems import WrongUse

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
FOLDER = HERE / "scenarios"
GATE = json.loads((HERE / "scenario.schema.json").read_text())["properties"]["gate"]["properties"]
CODES = GATE["allowed"]["propertyNames"]["enum"]  # by ghz's names, without OK
MOST_RESULTS = 1_000_000  # that ghz keeps for its percentiles and details


def names():
    """The scenarios that come with this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name):
    """A scenario of this folder by its name, or any by its file."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        path = pathlib.Path(name)
    if not path.is_file():
        raise WrongUse(f"there is no scenario '{name}'; there are {', '.join(names())}, or name a file")
    try:
        scenario = json.loads(path.read_text())
    except ValueError as error:
        raise WrongUse(f"{path} is not JSON: {error}") from error
    check(scenario, "scenario.schema.json", path)
    return scenario


def check(content, schema, where):
    """Holds `content` to one of the schemas here; ghz itself drops a misspelt key without a word."""
    schemas = {path.name: json.loads(path.read_text()) for path in HERE.glob("*.schema.json")}
    registry = Registry().with_resources((name, Resource.from_contents(each)) for name, each in schemas.items())
    validator = jsonschema.Draft202012Validator(schemas[schema], registry=registry)
    error = jsonschema.exceptions.best_match(validator.iter_errors(content))
    if error:
        place = "/".join(str(step) for step in error.absolute_path)
        raise WrongUse(f"{where}{' at ' + place if place else ''}: {error.message}")


def with_options(scenario, options):
    """A copy with the rate, length, callers and thresholds that the command line asks for."""
    changed = copy.deepcopy(scenario)
    ghz, gate = changed["ghz"], changed["gate"]
    if options.duration is not None:
        ghz["duration"] = durations.text(options.duration)
    if options.rate is not None:
        set_rate(ghz, options.rate * scenario.get("rate_factor", 1))
    if "load-start" in ghz:
        spread_steps(ghz)
    if options.concurrency is not None:
        ghz["concurrency"] = options.concurrency
        ghz["connections"] = min(ghz["connections"], options.concurrency)
    if options.timeout is not None:
        ghz["timeout"] = durations.text(options.timeout)
    for name in ("p50_ms", "p99_ms", "min_rate_share", "min_calls"):
        if getattr(options, name) is not None:
            gate[name] = getattr(options, name)
    gate["allowed"].update(options.allow)
    refuse_what_ghz_would_bend(ghz)
    return changed


def set_rate(ghz, rate):
    """The rate of an open loop, or that of the last step; a closed loop has none."""
    if "load-start" in ghz:
        steps = step_count(ghz)
        each = int(rate / steps)
        if each < 1:
            raise WrongUse(f"--rate {rate:g} is too low for {steps} steps of at least 1 call per second")
        ghz.update({"load-start": each, "load-step": each, "load-end": each * steps})
    elif "rps" in ghz:
        if round(rate) < 1:
            raise WrongUse(f"--rate {rate:g} is too low: ghz takes whole calls per second")
        ghz["rps"] = round(rate)


def step_count(ghz):
    """How many rates a ramp goes through."""
    return (ghz["load-end"] - ghz["load-start"]) // ghz["load-step"] + 1


def spread_steps(ghz):
    """Steps of equal length over the whole run."""
    duration_s = durations.seconds(ghz["duration"])
    ghz["load-step-duration"] = durations.text(duration_s / step_count(ghz))
    ghz["load-max-duration"] = ghz["duration"]


def windows(scenario):
    """The parts of a run that are judged by themselves: (begin in seconds, length in seconds, calls per second)."""
    ghz = scenario["ghz"]
    duration_s = durations.seconds(ghz["duration"])
    if "load-start" in ghz:
        rates = [ghz["load-start"] + step * ghz["load-step"] for step in range(step_count(ghz))]
    else:
        rates = [ghz.get("rps")] * scenario["gate"].get("windows", 1)
    length_s = duration_s / len(rates)
    return [(index * length_s, length_s, rate) for index, rate in enumerate(rates)]


def calls_asked(scenario):
    """Calls that an open loop should begin; None for a closed one."""
    parts = windows(scenario)
    return sum(length_s * rate for _, length_s, rate in parts) if parts[0][2] else None


def refuse_what_ghz_would_bend(ghz):
    """ghz makes 200 calls of no duration, and beyond a number of results counts codes but forgets latencies."""
    if durations.seconds(ghz["duration"]) <= 0:
        raise WrongUse("the duration must be above 0")
    if "load-start" in ghz and step_count(ghz) < 1:
        raise WrongUse("load-end is below load-start")
    calls = calls_asked({"ghz": ghz, "gate": {}}) or 0
    if calls > MOST_RESULTS:
        many = f"{calls:.0f} calls are asked for, and ghz keeps {MOST_RESULTS} results"
        raise WrongUse(f"{many}: shorten --duration or lower --rate")


def ghz_config(scenario, options, folder):
    """The complete configuration of one run, whose files lie in `folder`."""
    config = scenario["ghz"] | {
        "host": options.address,
        "proto": str(PROTO / "inference" / "grpc_service.proto"),
        "import-paths": [str(PROTO)],
        "binary-file": str(folder / "payload.bin"),
        "output": str(folder / "report.json"),
    }
    config |= {"cacert": str(options.cacert)} if options.cacert else {"insecure": True}
    config |= {"cert": str(options.cert), "key": str(options.key)} if options.cert else {}
    config |= {"metadata-file": str(options.metadata_file)} if options.metadata_file else {}
    check(config, "ghz_config.schema.json", "ghz's configuration")
    return config


def warm_up_config(config, duration_s, folder):
    """The same calls by a few callers; ghz's skipFirst would leave out completions, not the first calls."""
    paced = [key for key in config if key in ("rps", "async") or key.startswith("load-")]
    warm_up = {key: value for key, value in config.items() if key not in paced}
    callers = min(4, config["concurrency"])
    warm_up |= {"name": "warm-up", "concurrency": callers, "connections": min(callers, config["connections"])}
    return warm_up | {"duration": durations.text(duration_s), "output": str(folder / "warm_up_report.json")}
