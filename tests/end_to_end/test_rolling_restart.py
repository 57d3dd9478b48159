"""Servers that are restarted one after the other under load: a small run of loadtest/rolling_restart."""

import json
import subprocess

import pytest

from conftest import ROOT

PROGRAM = ROOT / "loadtest" / "rolling_restart" / "rolling_restart"


@pytest.fixture
def roll(binary, deps, tmp_path):
    """Runs the program to its end; returns its exit status, its report and what it complained of."""

    def run(*options):
        report = tmp_path / "report.json"
        command = [deps / "venv" / "bin" / "python", PROGRAM, "--binary", binary, "--json", report, *options]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
        assert report.exists(), result.stderr
        return result.returncode, json.loads(report.read_text())["runs"], result.stderr

    return run


@pytest.mark.slow
def test_clients_that_heed_health_lose_no_call_over_a_rolling_restart(roll):
    status, (run,), complaints = roll("--clients", "health", "--requests", 3000, "--rate", 250, "--lame-duck-secs", 2)
    assert status == 0, complaints
    assert run["codes"] == {"OK": run["requests"]} and run["requests"] >= 3000
    assert run["restarts"] >= 3 and run["wrong_answers"] == 0
    assert all(restart["status"] == 0 and restart["answered_before"] > 0 for restart in run["each_restart"])


@pytest.mark.slow
def test_the_measurement_counts_what_killed_servers_lose(roll):
    # Every call stays in its server for a while, so that a kill always finds some there.
    held = ["--", "--max-queue-delay-us", 100_000]
    options = ["--clients", "health", "--requests", 500, "--rate", 150, "--lame-duck-secs", 0]
    status, (run,), complaints = roll(*options, "--signal", "KILL", *held)
    assert status == 1 and "calls failed" in complaints
    assert run["failed"] == run["requests"] - run["codes"]["OK"] > 0
    assert run["failures"][0]["code"] == "UNAVAILABLE"
