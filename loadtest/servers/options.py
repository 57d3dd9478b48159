"""What all of these servers can be told on their command lines."""

import argparse
import pathlib


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is too small, expected 1 or more")
    return value


def parser(name, description):
    """A parser with the common options; more may be added."""
    options = argparse.ArgumentParser(prog=f"loadtest/servers/run {name}", description=description,
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--model", type=pathlib.Path, required=True, metavar="DIR", help="checkpoint directory")
    options.add_argument("--port", type=int, default=0, help="of loopback; 0: a free one")
    options.add_argument("--threads", type=positive, default=1, help="of the engine")
    options.add_argument("--max-batch-size", type=positive, default=32, help="most texts in a batch")
    options.add_argument("--max-delay-ms", type=float, default=0, help="longest wait for others; 0: what waits already is taken")
    return options
