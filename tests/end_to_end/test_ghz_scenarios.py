"""loadtest/ghz: each scenario runs against a real server, and gates fail when they must."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GHZ = ROOT / "loadtest" / "ghz"
sys.path.append(str(GHZ))

import payload  # noqa: E402
import scenario  # noqa: E402

# Short, of a rate that any machine bears, and with time enough for a busy one.
SHORT = {
    "unary": ["duration=1s", "concurrency=4"],
    "rate": ["duration=1s", "rps=50"],
    "ramp": ["duration=2s", "load-step-duration=1s", "load-start=20", "load-step=20", "load-end=40"],
    "soak": ["duration=1s", "rps=50"],
    "mixed_lengths": ["duration=1s", "rps=50"],
    "overload": ["duration=1s", "rps=300"],
}
PATIENT = ["p99_ms=5000", "p50_ms=5000", "min_calls=10", "min_rate_share=0.5", "min_ok_share=0.01"]


@pytest.fixture(scope="module")
def tiny_server(binary, tiny_repository, tmp_path_factory):
    from server_process import Server

    with Server(binary, tiny_repository, log_path=tmp_path_factory.mktemp("ghz") / "server.log") as running:
        running.await_ready()
        yield running
        running.stop()


@pytest.fixture
def run(deps, tmp_path):
    """Runs scenarios: exit status, results, what it printed."""

    def run_scenarios(address, *names, model="tiny", settings=(), gates=(), flags=()):
        report = tmp_path / "ghz.json"
        command = [GHZ / "run", *names, "--address", address, "--model", model, "--json", report, "--warm-up", "0s"]
        command += ["--output", "last_hidden_state", "--vocab-size", "20", "--lengths", "4,8,12", *flags]
        for flag, values in (("--set", settings), ("--gate", gates)):
            command += [word for value in values for word in (flag, value)]
        environment = {**os.environ, "REPRISE_DEPS": str(deps)}
        ran = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False, timeout=120, env=environment
        )
        return ran.returncode, json.loads(report.read_text()) if report.exists() else None, ran.stdout + ran.stderr

    return run_scenarios


def test_each_scenario_has_a_short_form_here():
    assert set(SHORT) == set(scenario.names())


@pytest.mark.parametrize("name", sorted(SHORT))
def test_a_scenario_keeps_its_gate(run, tiny_server, name):
    status, results, said = run(tiny_server.address, name, settings=SHORT[name], gates=PATIENT)
    assert status == 0, said
    assert results[0]["calls"] >= 10
    assert results[0]["codes"]["OK"] > 0
    if name == "ramp":
        assert [step["rate"] for step in results[0]["steps"]] == [20, 40]
        assert all(step["calls"] > 5 for step in results[0]["steps"])


def test_a_latency_that_is_missed_is_status_3(run, tiny_server):
    status, _, said = run(tiny_server.address, "rate", settings=SHORT["rate"], gates=["p99_ms=0.001", "min_calls=10"])
    assert status == 3
    assert "MISSED p99_ms 0.001; found" in said


def test_errors_are_status_4_although_ghz_ends_with_0(run, tiny_server):
    status, results, said = run(tiny_server.address, "unary", model="unknown", settings=SHORT["unary"], gates=PATIENT)
    assert status == 4
    assert set(results[0]["codes"]) == {"NOT_FOUND"}
    assert "no other code than OK is allowed" in said


def test_a_server_that_is_not_there_is_said(run):
    status, _, said = run("127.0.0.1:1", "unary", settings=["duration=1s", "connect-timeout=1s"])
    assert status != 0
    assert "is a server" in said or "UNAVAILABLE" in said


@pytest.mark.parametrize(
    "settings, gates, says",
    [
        (["rpss=200"], [], "'rpss' was unexpected"),
        (["rps=fast"], [], "'fast' is not of type 'integer'"),
        (["duration"], [], "expected KEY=VALUE"),
        ([], ["p98_ms=4"], "the gate has no 'p98_ms'"),
    ],
)
def test_what_ghz_would_ignore_is_refused(run, settings, gates, says):
    status, _, said = run("127.0.0.1:1", "rate", settings=settings, gates=gates)
    assert status == 2
    assert says in said


def test_an_unknown_scenario_is_answered_with_those_there_are(run):
    status, _, said = run("127.0.0.1:1", "nothing")
    assert status == 2
    assert "mixed_lengths" in said


def test_calls_that_are_cut_off_are_noticed(tmp_path):
    calls = payload.requests("tiny", "last_hidden_state", [3, 5], 20)
    payload.write(tmp_path / "calls.bin", calls)
    data = (tmp_path / "calls.bin").read_bytes()
    assert payload.read(data) == calls
    with pytest.raises(ValueError, match="call 2 has"):
        payload.read(data[:-1])
