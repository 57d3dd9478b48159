"""What the comparison can be told on its command line. Needs no package, so that --help needs none."""

import argparse
import os
import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PEERS = ("openvino", "torch-eager", "torch-compile", "onnxruntime")
PRECISIONS = ("bf16", "fp32")
ISAS = ("avx2", "avx512", "avx512_bf16")


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


def one_of(names):
    """A parser of one of these names."""

    def parse_name(text):
        if text not in names:
            raise argparse.ArgumentTypeError(f"'{text}' is unknown, expected one of {', '.join(names)}")
        return text

    parse_name.__name__ = "name"
    return parse_name


def add_what(parser):
    """The model and the cases to time."""
    group = parser.add_argument_group("what to run")
    add = group.add_argument
    add(
        "--checkpoint",
        type=pathlib.Path,
        required=True,
        metavar="DIR",
        help="a BERT with Hugging Face names in model.safetensors, for example as "
        "'reprise bench --save-weights' writes it",
    )
    add("--peers", type=list_of(one_of(PEERS)), default=list(PEERS), metavar="NAME,...",
        help=f"what to compare with (default: {','.join(PEERS)}; onnxruntime in fp32 only)")
    add("--plan", type=list_of(str), default=["exact"], metavar="PLAN,...",
        help="reuse plans of reprise to time beside its exact one, as in 'reprise bench' (default: exact)")
    add("--precision", type=list_of(one_of(PRECISIONS)), default=list(PRECISIONS), metavar="bf16|fp32,...",
        help="arithmetic of matrix products, the same in all (default: bf16,fp32)")
    add("--batch-size", type=list_of(positive), default=[1], metavar="N,...",
        help="sequences in a batch (default: 1)")
    add("--seq-len", type=list_of(positive), default=[128, 512], metavar="N,...",
        help="tokens of each, none of them padding (default: 128,512)")
    add("--ragged", type=positive, metavar="N",
        help="one more batch: 16 sequences of lognormal lengths, the longest N, their mean 0.4 of it")
    add("--memory", action="store_true", help="also measure the peak memory of fresh processes")


def add_how(parser):
    """How often to run it, and on what."""
    group = parser.add_argument_group("how to run it")
    add = group.add_argument
    add("--reprise", type=pathlib.Path, default=REPOSITORY / "build/release/server/reprise", metavar="FILE",
        help="the program (default: build/release/server/reprise)")
    add("--threads", type=positive, default=2, metavar="N", help="of each program (default: 2)")
    add("--isa", type=one_of(ISAS), metavar="|".join(ISAS),
        help="hold reprise and PyTorch to this instruction set; the others have no such switch")
    add("--rounds", type=positive, default=5, metavar="N",
        help="turns of each program; who goes first alternates (default: 5)")
    add("--repetitions", type=positive, default=10, metavar="N", help="timed runs of each turn (default: 10)")
    add("--warmup", type=positive, default=3, metavar="N",
        help="untimed runs before those, in each turn (default: 3)")
    add("--verbose", action="store_true", help="show what the peers say on standard error")


def parse_options(arguments=None):
    """The options of this process. Exits with 2 for wrong ones, with 0 after --help."""
    parser = argparse.ArgumentParser(
        prog="loadtest/peers/run",
        description="Times the same BERT encoder in reprise and in other engines, in turns on this machine, "
        "after checking that all answers are right. Progress goes to stderr, the result to stdout. Each "
        "engine gets a virtual environment in .deps/peers the first time it is needed (PyTorch's takes 5 GB).",
        epilog="Exits with 0 when everything was measured, 1 when something failed, 2 for wrong options.",
    )
    add_what(parser)
    add_how(parser)
    group = parser.add_argument_group("what to write")
    group.add_argument("--json", type=pathlib.Path, metavar="FILE", help="everything measured")
    group.add_argument("--plot", type=pathlib.Path, metavar="FILE.svg", help="a picture of the ratios")
    options = parser.parse_args(arguments)
    options.environments = pathlib.Path(os.environ.get("REPRISE_DEPS", REPOSITORY / ".deps")) / "peers"
    if "exact" not in options.plan:
        options.plan.insert(0, "exact")
    return options


if __name__ == "__main__":  # the environments that these options need
    print("\n".join(dict.fromkeys(["leader", *(name.split("-")[0] for name in parse_options(sys.argv[1:]).peers)])))
