"""Runs load scenarios with ghz, and fails when what they ask for is not kept.

    loadtest/ghz/run SCENARIO... --address 127.0.0.1:8001 --model NAME

ghz itself ends with status 0 even if every call failed, and ignores configuration keys that it does not know. So each scenario is
checked against ghz's schema first, and its gate is held against ghz's report. A scenario's rates are those of a small model on
a small machine: set your own with --set, for example --set rps=800 --set duration=60s --gate p99_ms=50.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import gate
import ghz
import payload
import scenario

STATUS = """exits with 0 when all gates held, 1 when a scenario could not run, 2 for wrong options, 3 when a rate or a latency was
missed, 4 when calls failed that the gate does not allow"""


def parse_options():
    parser = argparse.ArgumentParser(
        prog="loadtest/ghz/run", description=__doc__, epilog=STATUS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", help=f"of {', '.join(scenario.names())}; or a file of your own")
    parser.add_argument("--address", default="127.0.0.1:8001", help="host and gRPC port; default: 127.0.0.1:8001")
    parser.add_argument("--model", required=True, help="name of the served model")
    parser.add_argument("--output", default="sentence_embedding", help="output to ask for; default: sentence_embedding")
    parser.add_argument("--vocab-size", type=int, default=1000, help="ids are below this; default: 1000")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of ghz's configuration to replace")
    parser.add_argument("--gate", action="append", default=[], metavar="KEY=VALUE", help="a key of the gate to replace")
    parser.add_argument("--lengths", type=payload.lengths, metavar="N,...", help="tokens of the calls, instead of the scenario's")
    parser.add_argument("--warm-up", default="1s", help="duration of an uncounted run before; 0s: none; default: 1s")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write what was found to this file")
    return parser.parse_args()


def run(name, options):
    """What became of one scenario: its figures, and what its gate says."""
    with tempfile.TemporaryDirectory() as folder:
        plan = scenario.load(name, options.set, options.gate)
        lengths = options.lengths or plan["lengths"]
        calls = pathlib.Path(folder) / "calls.bin"
        payload.write(calls, payload.requests(options.model, options.output, lengths, options.vocab_size))
        report = ghz.run(plan["ghz"], options.address, calls, options.warm_up)
    figures = gate.figures(report, plan["ghz"])
    return {"scenario": name, "gate": plan["gate"], **figures, "missed": gate.missed(figures, plan["gate"])}


def show(result):
    print(f"{result['scenario']}: {result['calls']} calls, {result['calls_per_second']:.1f} per second, {result['codes']}")
    for step in [result, *result["steps"]]:
        name = f"from {step['rate']} calls/s" if "rate" in step else "all"
        print(f"  {name:<20} p50 {step['p50_ms']:.2f}  p90 {step['p90_ms']:.2f}  p99 {step['p99_ms']:.2f}  p99.9 {step['p99_9_ms']:.2f} ms")
    for miss in result["missed"]:
        print(f"  MISSED {miss['what']}")
    if not result["missed"]:
        print("  kept")


def main():
    options = parse_options()
    results = []
    try:
        for name in options.scenarios:
            results.append(run(name, options))
            show(results[-1])
    except scenario.ScenarioError as error:
        print(f"loadtest/ghz/run: {error}", file=sys.stderr)
        return 2
    except ghz.GhzError as error:
        print(f"loadtest/ghz/run: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return max((miss["status"] for result in results for miss in result["missed"]), default=0)


if __name__ == "__main__":
    sys.exit(main())
