"""What the comparison can be told on its command line."""

import argparse
import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def positive(text):
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is too small, expected 1 or more")
    return value


def list_of(parse):
    """A parser of values with commas between them."""

    def parse_list(text):
        return [parse(part) for part in text.split(",")]

    parse_list.__name__ = f"list of {parse.__name__}"  # what argparse calls it in a message
    return parse_list


def precision(text):
    """A precision that both programs know."""
    if text not in ("bf16", "fp32"):
        raise argparse.ArgumentTypeError(f"'{text}' is no precision, expected bf16 or fp32")
    return text


def add_what(parser):
    """The model and the cases to time."""
    group = parser.add_argument_group("what to run")
    group.add_argument(
        "--checkpoint",
        type=pathlib.Path,
        required=True,
        metavar="DIR",
        help="a BERT with Hugging Face names in model.safetensors, for example as "
        "'reprise bench --save-weights' writes it",
    )
    group.add_argument(
        "--seq-len",
        type=list_of(positive),
        default=[128, 512],
        metavar="N,...",
        help="tokens of the one sequence in a batch, none of them padding (default: 128,512)",
    )
    group.add_argument(
        "--precision",
        type=list_of(precision),
        default=["bf16", "fp32"],
        metavar="bf16|fp32,...",
        help="arithmetic of matrix products, the same in both (default: bf16,fp32)",
    )
    group.add_argument(
        "--attention",
        choices=["sdpa", "plain"],
        default="sdpa",
        help="how OpenVINO's graph says attention: one scaled_dot_product_attention, or matmul, "
        "softmax and matmul (default: sdpa)",
    )


def add_how(parser):
    """How often to run it, and on what."""
    group = parser.add_argument_group("how to run it")
    group.add_argument(
        "--reprise",
        type=pathlib.Path,
        default=REPOSITORY / "build/release/server/reprise",
        metavar="FILE",
        help="the program (default: build/release/server/reprise)",
    )
    group.add_argument(
        "--threads", type=positive, default=2, metavar="N", help="of each program (default: 2)"
    )
    group.add_argument(
        "--rounds",
        type=positive,
        default=5,
        metavar="N",
        help="turns of each program; who goes first alternates (default: 5)",
    )
    group.add_argument(
        "--repetitions",
        type=positive,
        default=10,
        metavar="N",
        help="timed runs of each turn (default: 10)",
    )
    group.add_argument(
        "--warmup",
        type=positive,
        default=3,
        metavar="N",
        help="untimed runs before those, in each turn (default: 3)",
    )


def parse_options():
    """The options of this process. Exits with 2 for wrong ones, with 0 after --help."""
    parser = argparse.ArgumentParser(
        prog="loadtest/peers/run",
        description="Times the same BERT encoder in reprise and in OpenVINO, in turns on this machine, "
        "after checking that OpenVINO's answer is right. Progress goes to stderr, the "
        "result to stdout. The first run makes a virtual environment, .deps/peers.",
        epilog="Exits with 0 when everything was measured, 1 when something failed, 2 for wrong options.",
    )
    add_what(parser)
    add_how(parser)
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="also write everything measured to this file"
    )
    return parser.parse_args()


if __name__ == "__main__":  # so that --help needs no package
    parse_options()
