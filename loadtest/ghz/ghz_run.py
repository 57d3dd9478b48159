"""One run of ghz: its configuration in a file, its report read back."""

import json
import os
import pathlib
import subprocess

import durations
from problems import CouldNotRun
from scenarios import HERE

DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", HERE.parents[1] / ".deps"))
PROGRAM = DEPS / "bin" / "ghz"
GRACE_S = 60  # to start, and to write a long report


def version():
    """Of ghz; CouldNotRun where there is none."""
    try:
        said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=GRACE_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise CouldNotRun(f"{PROGRAM} does not run: scripts/install --tests brings it ({error})") from error
    return (said.stdout + said.stderr).strip()  # of a build by `go install`: dev


def run(config, path):
    """Writes `config` to `path`, runs ghz by it and returns its report. That calls failed is in the report only."""
    path.write_text(json.dumps(config, indent=2) + "\n")
    limit_s = durations.seconds(config["duration"]) + durations.seconds(config["timeout"]) + GRACE_S
    try:  # with --config and nothing else: a second argument would let defaults of flags in
        result = subprocess.run([PROGRAM, f"--config={path}"], capture_output=True, text=True, timeout=limit_s)
    except OSError as error:
        raise CouldNotRun(f"{PROGRAM} does not run: scripts/install --tests brings it ({error})") from error
    except subprocess.TimeoutExpired as error:
        raise CouldNotRun(f"ghz did not end within {limit_s:.0f} s and was killed") from error
    if result.returncode != 0:
        raise CouldNotRun(f"ghz ended with status {result.returncode}: {result.stderr.strip()[-2000:]}")
    return read_report(pathlib.Path(config["output"]))


def read_report(path):
    """ghz's report; CouldNotRun if it holds no run that ended as it should."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CouldNotRun(f"ghz left no report that can be read in {path}: {error}") from error
    if not report.get("details"):
        raise CouldNotRun("ghz reports no call at all: lengthen --duration or raise --rate")
    if report.get("endReason") != "timeout":  # how ghz calls the end of the duration
        raise CouldNotRun(f"ghz ended before its duration was over: {report.get('endReason')}")
    return report
