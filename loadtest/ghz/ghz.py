"""Runs ghz with a configuration, and reads its report."""

import json
import os
import pathlib
import subprocess
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


class GhzError(Exception):
    """Says why ghz made no report."""


def run(configuration, address, calls, warm_up):
    """ghz's report of the calls in that file."""
    complete = {
        **configuration,
        "proto": str(PROTO / "inference" / "grpc_service.proto"),
        "import-paths": [str(PROTO), str(PROTO / "inference")],
        "call": "inference.GRPCInferenceService.ModelInfer",
        "host": address,
        "insecure": True,
        "binary-file": str(calls),
        "disable-template-data": True,
        "count-errors": True,
        "format": "json",
    }
    if warm_up not in ("0", "0s"):
        start(without_schedule(complete, warm_up))
    return start(complete)


def without_schedule(configuration, duration):
    """The same calls from a few callers for a while. ghz's skipFirst would drop those that end first, not those sent first."""
    kept = {key: value for key, value in configuration.items() if not key.startswith(("load-", "concurrency-"))}
    for key in ("async", "rps", "total", "max-duration"):
        kept.pop(key, None)
    return {**kept, "concurrency": 4, "connections": 4, "duration": duration, "duration-stop": "wait"}


def start(configuration):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "ghz.json"
        path.write_text(json.dumps(configuration))
        program = pathlib.Path(os.environ["REPRISE_DEPS"]) / "bin" / "ghz"
        ran = subprocess.run([str(program), "--config", str(path)], capture_output=True, text=True, check=False)
    try:
        report = json.loads(ran.stdout)
    except ValueError:
        said = (ran.stderr or ran.stdout).strip().splitlines() or ["nothing"]
        raise GhzError(f"ghz made no report, it said: {said[0]}; is a server at {configuration['host']}?") from None
    if not report.get("count"):
        raise GhzError(f"ghz sent no call to {configuration['host']}; is a server there?")
    return report
