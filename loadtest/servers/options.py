"""What all of these servers can be told on their command lines."""

import argparse
import os
import pathlib


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is too small, expected 1 or more")
    return value


def milliseconds(text):
    value = float(text)
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not a delay, expected milliseconds from 0 to 10000")
    return value


def cores(text):
    """A set of cores from a list like 0,2-3."""
    chosen = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise argparse.ArgumentTypeError(f"'{text}' is no list of cores, expected one like 0,2-3")
        chosen.update(range(int(first), int(last or first) + 1))
    allowed = os.sched_getaffinity(0)
    if not chosen <= allowed:
        missing, have = sorted(chosen - allowed), sorted(allowed)
        raise argparse.ArgumentTypeError(f"this process may not run on cores {missing}; it may on {have}")
    return chosen


def model_folder(text):
    folder = pathlib.Path(text)
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / file).is_file():
            raise argparse.ArgumentTypeError(f"'{text}' has no {file}; name the folder of a sentence encoder")
    return folder


def parser(name, description, delay=True):
    """A parser with the common options; more may be added. `delay`: whether the server can be told how long to wait."""
    options = argparse.ArgumentParser(
        prog=f"loadtest/servers/run {name}", description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = options.add_argument
    add("--model", type=model_folder, required=True, default=argparse.SUPPRESS, metavar="DIR", help="checkpoint directory")
    add("--port", type=int, default=0, metavar="N", help="of loopback; 0: a free one")
    add("--threads", type=positive, default=1, metavar="N", help="of the engine")
    add("--cores", type=cores, default=argparse.SUPPRESS, metavar="LIST", help="bind the whole server to these, like 0,2-3; without: not bound")
    add("--max-batch-size", type=positive, default=32, metavar="N", help="most texts in a batch")
    if delay:
        add("--max-delay-ms", type=milliseconds, default=0.0, metavar="MS",
            help="longest wait for others; 0: what waits already is taken")
    return options


def parse(options):
    """The arguments of this process, which runs on the cores that they name from here on."""
    arguments = options.parse_args()
    if "cores" in arguments:
        os.sched_setaffinity(0, arguments.cores)
    return arguments
