"""Runs load scenarios with ghz against a running server, and says whether their thresholds held.

For each SCENARIO, one of those in scenarios/ or a file like them: checks ghz's configuration against a schema, writes
the messages to send and reads them back, warms the server up, runs ghz, and holds its report to the thresholds.

Status: 0 all held; 3 a bound on latency, rate or number of calls was missed; 4 calls ended with codes that the
scenario does not allow; 1 it could not run; 2 wrong options or a wrong scenario. Of several scenarios the worst counts:
1, 4, 3, 0.
"""

import argparse
import contextlib
import datetime
import json
import math
import pathlib
import re
import sys
import tempfile

import durations
import gate
import ghz_run
import payload
import scenarios
import target
from problems import CouldNotRun, WrongUse

PASSED, COULD_NOT_RUN, WRONG_USE, THRESHOLD, ERRORS = 0, 1, 2, 3, 4
WORST_FIRST = [COULD_NOT_RUN, ERRORS, THRESHOLD, PASSED]
WORDS = {COULD_NOT_RUN: "could not run", ERRORS: "errors", THRESHOLD: "missed", PASSED: "passed"}


def make_parser():
    """Every option; those without a default leave the scenario's own value."""
    parser = argparse.ArgumentParser(
        prog="loadtest/ghz/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", help=f"{', '.join(scenarios.names())}, or a file")
    add_server_options(parser.add_argument_group("server"))
    add_load_options(parser.add_argument_group("load", "default: what the scenario says"))
    add_threshold_options(parser.add_argument_group("thresholds", "default: what the scenario says"))
    results = parser.add_argument_group("results")
    results.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the results to this file")
    results.add_argument(
        "--keep",
        type=pathlib.Path,
        metavar="FOLDER",
        help="keep ghz's configuration, messages and report there, a folder for each scenario",
    )
    return parser


def add_server_options(group):
    """Where the server is and how to reach it."""
    add = group.add_argument
    add("--address", type=host_and_port, default="127.0.0.1:8001", metavar="HOST:PORT", help="default: 127.0.0.1:8001")
    add("--model", required=True, metavar="NAME", help="model to ask")
    add("--cacert", type=existing_file, metavar="FILE", help="CA of the server's certificate, PEM; default: no TLS")
    add("--cert", type=existing_file, metavar="FILE", help="certificate to show, PEM; with --key and --cacert")
    add("--key", type=existing_file, metavar="FILE", help="key of --cert, PEM")
    add(
        "--metadata-file",
        type=existing_file,
        metavar="FILE",
        help='JSON object sent with each call, such as {"authorization": "Bearer TOKEN"}; --keep keeps it too',
    )
    add("--no-preflight", action="store_true", help="do not ask first whether the server is ready and has the model")


def add_load_options(group):
    """What is sent, how often and for how long."""
    add = group.add_argument
    add(
        "--rate",
        type=positive(float),
        metavar="N",
        help="calls per second of the open loops; ramp: of the last step; "
        "overload: what the server can take, of which it gets 150 %%",
    )
    add("--duration", type=duration, metavar="TIME", help="of each scenario, such as 1m30s; ramp: all steps together")
    add(
        "--concurrency",
        type=positive(int),
        metavar="N",
        help="open calls of unary; in open loops only ghz's workers, which is no limit",
    )
    add("--timeout", type=duration, metavar="TIME", help="deadline of each call")
    add(
        "--warm-up",
        type=duration,
        default=2.0,
        metavar="TIME",
        help="of calls before each scenario that are not counted; 0: none; default: 2s",
    )
    kind = group.add_mutually_exclusive_group()
    kind.add_argument("--lengths", type=lengths, metavar="N,...", help="ids of the messages, in turn")
    kind.add_argument("--texts", type=existing_file, metavar="FILE", help="send its lines as texts instead of ids")
    add(
        "--ids-below",
        type=positive(int),
        default=100,
        metavar="N",
        help="random ids are from 1 to below this; default: 100, which hardly a vocabulary lacks",
    )
    add("--seed", type=int, default=1, metavar="N", help="of the random ids; default: 1")
    add(
        "--outputs",
        type=lambda text: text.split(","),
        metavar="NAME,...",
        help="outputs to ask for; default: sentence_embedding where the model has it, else what the model gives",
    )


def add_threshold_options(group):
    """What must hold."""
    add = group.add_argument
    add("--p50-ms", type=positive(float), metavar="MS", help="largest median latency, of the run and of each part")
    add("--p99-ms", type=positive(float), metavar="MS", help="the same for the 99th percentile")
    add("--min-rate-share", type=share, metavar="SHARE", help="least share of an open loop's calls that must be begun")
    add("--min-calls", type=positive(int), metavar="N", help="fewest calls; below 100 a p99 says nothing")
    add(
        "--allow",
        type=allowed_code,
        action="append",
        default=[],
        metavar="CODE=SHARE",
        help="largest share of calls that may end with a code, such as DeadlineExceeded=0.01; also repeated",
    )


def host_and_port(text):
    """An address as ghz takes it."""
    if not re.fullmatch(r"[^\s:/]+:[0-9]+|\[[0-9a-fA-F:.]+\]:[0-9]+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return text


def existing_file(text):
    """An absolute path: ghz is told it in a file elsewhere."""
    path = pathlib.Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def positive(kind):
    """A number above 0."""

    def number(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    number.__name__ = "number"  # in argparse's message
    return number


def share(text):
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def duration(text):
    """In seconds."""
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def lengths(text):
    """Numbers above 0, with commas."""
    if not re.fullmatch(r"[1-9][0-9]*(,[1-9][0-9]*)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not numbers above 0 with commas")
    return [int(word) for word in text.split(",")]


def allowed_code(text):
    """A code by ghz's name, and a share."""
    code, _, most = text.partition("=")
    if code not in scenarios.CODES:
        raise argparse.ArgumentTypeError(f"'{code}' is no code but OK; there are {', '.join(scenarios.CODES)}")
    return code, share(most)


def parse_arguments():
    """Options whose values fit together."""
    parser = make_parser()
    options = parser.parse_args()
    options.allow = dict(options.allow)
    if bool(options.cert) != bool(options.key) or (options.cert and not options.cacert):
        parser.error("--cert needs --key and --cacert, and --key needs --cert")
    if options.ids_below < 2:
        parser.error("--ids-below must be above 1")
    return options


def make_requests(scenario, options):
    """The messages of a scenario, or those that the options ask for instead."""
    if options.texts:
        texts = [line for line in options.texts.read_text().splitlines() if line.strip()]
        if not texts:
            raise WrongUse(f"{options.texts} has no text")
        return payload.text_requests(options.model, texts, options.outputs)
    chosen = options.lengths or scenario["payload"]["lengths"]
    count = math.ceil(scenario["payload"]["messages"] / len(chosen)) * len(chosen)  # as many of each length
    return payload.ids_requests(options.model, chosen, count, options.seed, options.ids_below, options.outputs)


def run_scenario(scenario, options, folder):
    """Its figures and what it missed."""
    payload.write(folder / "payload.bin", make_requests(scenario, options))
    config = scenarios.ghz_config(scenario, options, folder)
    if options.warm_up:
        warm_up = ghz_run.run(scenarios.warm_up_config(config, options.warm_up, folder), folder / "warm_up.json")
        if not warm_up["statusCodeDistribution"].get("OK"):
            return warm_up_failed(warm_up)
    figures = gate.measure(scenario, ghz_run.run(config, folder / "ghz.json"))
    return figures, gate.judge(scenario["gate"], figures)


def warm_up_failed(report):
    """Not worth going on: the run would see nothing else."""
    messages = gate.most_frequent(report["errorDistribution"])
    figures = {"calls": report["count"], "codes": report["statusCodeDistribution"], "messages": messages}
    return figures, [gate.Missed("errors", "the warm-up got no answer, so the scenario was not run")]


def status_of(missed):
    """The exit status that belongs to what was missed."""
    if any(each.kind == "errors" for each in missed):
        return ERRORS
    return THRESHOLD if missed else PASSED


@contextlib.contextmanager
def working_folder(keep, name):
    """Where ghz's files of one scenario go."""
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder)
        return
    folder = keep.resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


COLUMNS = {  # of the table: titles by the names of figures
    "calls": "calls",
    "asked_per_s": "asked/s",
    "begun_per_s": "begun/s",
    "ok_per_s": "OK/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "max_ms": "max ms",
    "late_p99_ms": "late ms",
}


def print_heading():
    """Of the table: one row for each scenario, and one for each step or window below it."""
    print(f"{'scenario':<14}{''.join(f'{title:>9}' for title in COLUMNS.values())}  codes", flush=True)


def print_row(name, figures, verdict=""):
    """A run or one of its windows."""
    values = [figures.get(key) for key in COLUMNS]
    shown = ["-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value) for value in values]
    codes = ", ".join(f"{code or 'no code'} {count}" for code, count in sorted(figures["codes"].items()))
    print(f"{name:<14}{''.join(f'{value:>9}' for value in shown)}  {codes}{verdict}", flush=True)


def print_result(name, status, figures, missed):
    """A scenario's rows, and what it missed."""
    print_row(name, figures, f"; {WORDS[status]}")
    for part in figures.get("windows", []):
        print_row(f"  from {part['begin_s']:g} s", part)
    if "held_per_s" in figures:
        print(f"  {name}: held up to {figures['held_per_s']:g} calls per second", flush=True)
    for each in missed:
        print(f"  {name}: {each.text}", flush=True)
    if status == ERRORS:
        for text, count in figures["messages"].items():
            print(f"  {name}: {count} times: {text}", flush=True)


def run_named(scenario, options):
    """Runs a scenario and prints its rows; the result as the summary has it."""
    name = scenario["ghz"]["name"]
    with working_folder(options.keep, name) as folder:
        figures, missed = run_scenario(scenario, options, folder)
    status = status_of(missed)
    print_result(name, status, figures, missed)
    said = {"scenario": name, "status": status, "missed": [each._asdict() for each in missed]}
    return said | {"ghz": scenario["ghz"], "gate": scenario["gate"], "figures": figures}


def write_summary(options, ghz_version, results):
    """For programs: every figure, with the configuration and the thresholds that belong to it."""
    summary = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "ghz": ghz_version,
        "address": options.address,
        "model": options.model,
        "results": results,
    }
    options.json.write_text(json.dumps(summary, indent=2) + "\n")


def run_all(options, results):
    """Runs every scenario that is asked for, and adds to `results` after each."""
    chosen = [scenarios.with_options(scenarios.load(name), options) for name in options.scenarios]
    ghz_version = ghz_run.version()
    outputs = [] if options.no_preflight else target.check(options)
    options.outputs = options.outputs or [name for name in outputs if name == "sentence_embedding"]
    print_heading()
    for scenario in chosen:
        results.append(run_named(scenario, options))
        if options.json:  # after each: a later one may not run
            write_summary(options, ghz_version, results)


def main():
    """The status of the worst scenario."""
    options, results = parse_arguments(), []
    try:
        run_all(options, results)
    except (WrongUse, CouldNotRun, OSError) as error:
        print(f"loadtest/ghz/run: {error}", file=sys.stderr)
        return WRONG_USE if isinstance(error, WrongUse) else COULD_NOT_RUN
    statuses = [result["status"] for result in results]
    return next(status for status in WORST_FIRST if status in statuses)


if __name__ == "__main__":
    sys.exit(main())
