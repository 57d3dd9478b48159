"""loadtest/ghz: scenarios are valid, pass against a real server when they should, and fail when they must.

Bounds on time are wide: other work on the machine must not fail a test.
"""

import copy
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "loadtest" / "ghz"
BINARY = pathlib.Path(os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise"))
DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps"))

sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))  # servers and models, as the end-to-end tests make them
sys.path.insert(0, str(FOLDER))

import gate  # noqa: E402
import payload  # noqa: E402
import scenarios  # noqa: E402
from certificates import make_certificates  # noqa: E402
from model_repository import make_random_checkpoint, run_program  # noqa: E402
from problems import CouldNotRun, WrongUse  # noqa: E402
from server_process import Server  # noqa: E402

PASSED, COULD_NOT_RUN, WRONG_USE, THRESHOLD, ERRORS = 0, 1, 2, 3, 4
SCENARIOS = ["mixed_lengths", "overload", "ramp", "rate", "soak", "unary"]
# Some 50 ms for a long request on one core, so that a small queue is soon full on any machine.
SLOW = {
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "hidden_size": 384,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
QUICK = ["--warm-up", "200ms", "--lengths", "4,8,16"]
PATIENT = ["--p50-ms", 30_000, "--p99-ms", 30_000, "--min-rate-share", 0.05, "--min-calls", 20]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of `tiny`, `slow` and the demo model, `minilm`; its queue holds two requests on a busy executor."""
    folder = tmp_path_factory.mktemp("ghz")
    make_random_checkpoint(BINARY, folder / "models" / "tiny" / "1")
    make_random_checkpoint(BINARY, folder / "models" / "slow" / "1", SLOW)
    shutil.copytree(DEPS / "models" / "all-MiniLM-L6-v2", folder / "models" / "minilm" / "1")
    (folder / "models" / "slow" / "model.json").write_text(json.dumps({"max_queue_requests": 2}))
    with Server(BINARY, folder / "models", "--threads", 1, "--no-http", log_path=folder / "server.log") as running:
        running.models = folder / "models"
        yield running.await_ready()


@pytest.fixture
def load(tmp_path):
    """Runs loadtest/ghz/run: its status, the results in its summary by scenario, and what it printed."""

    def run(*arguments):
        summary = tmp_path / "summary.json"
        command = [FOLDER / "run", *arguments, "--json", summary]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        results = json.loads(summary.read_text())["results"] if summary.exists() else []
        return result.returncode, {each["scenario"]: each for each in results}, result.stdout + result.stderr

    return run


def changed(tmp_path, name, part, **values):
    """A file with a scenario of which some values are others."""
    scenario = scenarios.load(name)
    scenario[part].update(values)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(scenario))
    return path


def test_the_scenarios_are_there_and_valid():
    assert scenarios.names() == SCENARIOS
    for name in SCENARIOS:
        assert scenarios.load(name)["ghz"]["name"] == name


def test_the_schema_has_every_key_that_ghz_has():
    said = subprocess.run([DEPS / "bin" / "ghz", "--help"], capture_output=True, text=True, check=True)
    flags = set(re.findall(r"--([a-zA-Z-]+)", said.stdout + said.stderr))
    of_commands_only = {"help", "help-long", "help-man", "version", "config", "binary"}
    keys = set(json.loads((FOLDER / "ghz_config.schema.json").read_text())["properties"])
    assert keys - {"host"} == flags - of_commands_only


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"rpss": 200}, "'rpss' was unexpected"),
        ({"rps": "200"}, "'200' is not of type 'integer'"),
        ({"duration": "60"}, "'60' does not match"),
        ({"duration-stop": "close"}, "'wait' was expected"),
        ({"async": False}, "True was expected"),
        ({"skipFirst": 10}, "0 was expected"),
        ({"count-errors": False}, "True was expected"),
        ({"connections": 1}, "1 is less than the minimum of 4"),
        ({"load-schedule": "step"}, "'const' was expected"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_ghz_would_drop_or_bend_is_refused(tmp_path, values, complaint):
    with pytest.raises(WrongUse, match=re.escape(complaint)):
        scenarios.load(str(changed(tmp_path, "rate", "ghz", **values)))


def test_a_misspelt_threshold_and_an_unknown_code_are_refused(tmp_path):
    with pytest.raises(WrongUse, match="'p99' was unexpected"):
        scenarios.load(str(changed(tmp_path, "rate", "gate", p99=10)))
    with pytest.raises(WrongUse, match="'RESOURCE_EXHAUSTED' is not one of"):
        scenarios.load(str(changed(tmp_path, "rate", "gate", allowed={"RESOURCE_EXHAUSTED": 0.1})))


def test_a_payload_is_read_back_and_a_cut_one_noticed(tmp_path):
    requests = payload.ids_requests("tiny", [4, 200, 1000], 7, seed=1, ids_below=100, outputs=["logits"])
    assert [request.inputs[0].shape[1] for request in requests] == [4, 200, 1000, 4, 200, 1000, 4]
    assert requests == payload.ids_requests("tiny", [4, 200, 1000], 7, seed=1, ids_below=100, outputs=["logits"])
    file = tmp_path / "payload.bin"
    payload.write(file, requests)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(CouldNotRun, match="message 7 is cut short"):
        payload.check(file, requests)
    payload.write(file, requests[:-1])  # cut between messages
    with pytest.raises(CouldNotRun, match="holds 6 messages, not the 7"):
        payload.check(file, requests)
    file.write_bytes(whole[: len(file.read_bytes())] + b"\x80")  # cut in a length
    with pytest.raises(CouldNotRun, match="the length at byte"):
        payload.check(file, requests)
    file.write_bytes(requests[0].SerializeToString())  # without a length: ghz guesses
    with pytest.raises(CouldNotRun):
        payload.check(file, requests[:1])


def report_of(calls, **fields):
    """A report as ghz writes it; calls are (begin in ms, latency in ms, code), in the order in which they ended."""
    details = [
        {
            "timestamp": f"2026-11-27T20:16:{(begin + latency) / 1000:012.9f}Z",
            "latency": latency * 1_000_000,
            "error": "",
            "status": code,
        }
        for begin, latency, code in sorted(calls, key=lambda call: call[0] + call[1])
    ]
    codes = [code for _, _, code in calls]
    counts = {code: codes.count(code) for code in set(codes)}
    report = {"count": len(calls), "total": 10**10, "statusCodeDistribution": counts, "errorDistribution": {}}
    return report | {"details": details} | fields


def judged(scenario, report):
    figures = gate.measure(scenario, report)
    return figures, [(missed.kind, missed.text) for missed in gate.judge(scenario["gate"], figures)]


def rate_scenario(**thresholds):
    scenario = copy.deepcopy(scenarios.load("rate"))
    scenario["ghz"].update({"rps": 100, "duration": "10s"})
    scenario["gate"].update(thresholds)
    return scenario


def test_percentiles_are_of_all_calls_by_nearest_rank():
    calls = [(10 * index, index + 1, "OK") for index in range(1000)]
    figures, missed = judged(rate_scenario(p50_ms=500, p99_ms=990), report_of(calls))
    assert (figures["p50_ms"], figures["p99_ms"], figures["p999_ms"], figures["max_ms"]) == (500, 990, 999, 1000)
    assert figures["late_p99_ms"] == pytest.approx(0, abs=0.01)
    assert missed == []
    _, missed = judged(rate_scenario(p50_ms=499, p99_ms=989), report_of(calls))
    assert missed == [
        ("threshold", "p50 is 500.0 ms, allowed: 499 ms"),
        ("threshold", "p99 is 990.0 ms, allowed: 989 ms"),
    ]


def test_quick_refusals_do_not_flatter_latencies_and_are_bounded():
    calls = [(10 * index, 1 if index % 2 else 300, "ResourceExhausted" if index % 2 else "OK") for index in range(1000)]
    allowing = rate_scenario(allowed={"ResourceExhausted": 0.5})
    figures, missed = judged(allowing, report_of(calls))
    assert figures["p50_ms"] == 300 and missed == [("threshold", "p50 is 300.0 ms, allowed: 250 ms")]
    bounded = rate_scenario(allowed={"ResourceExhausted": 0.4}, p50_ms=500)
    assert judged(bounded, report_of(calls))[1] == [
        ("errors", "ResourceExhausted: 500, 50.0% of the calls; allowed: 40.0%")
    ]
    _, missed = judged(rate_scenario(p50_ms=500), report_of(calls))
    assert missed == [("errors", "ResourceExhausted: 500, allowed: none")]


def test_errors_without_one_answer_never_pass():
    calls = [(10 * index, 1, "ResourceExhausted") for index in range(1000)]
    _, missed = judged(rate_scenario(allowed={"ResourceExhausted": 1}), report_of(calls))
    assert missed == [("errors", "no call was answered")]


def test_calls_that_were_not_begun_are_missed_but_for_one():
    calls = [(10 * index, 1, "OK") for index in range(979)]  # of 1000, needed: 980, and ghz may leave out one
    assert judged(rate_scenario(), report_of(calls))[1] == []
    ((kind, text),) = judged(rate_scenario(), report_of(calls[:-1]))[1]
    assert kind == "threshold" and "97.8 of 100 calls per second were begun" in text
    ((kind, text),) = judged(rate_scenario(min_rate_share=0.1), report_of(calls[:99]))[1][:1]
    assert (kind, text) == ("threshold", "99 calls, at least 100 needed: run for longer")


def test_latencies_that_ghz_did_not_keep_are_missed():
    calls = [(10 * index, 1, "OK") for index in range(1000)]
    report = report_of(calls, count=1200, statusCodeDistribution={"OK": 1200})
    assert judged(rate_scenario(), report)[1] == [
        ("threshold", "ghz kept no latency of 200 calls: run for less long")
    ]


def test_each_step_of_a_ramp_is_judged_by_when_its_calls_began():
    scenario = copy.deepcopy(scenarios.load("ramp"))
    scenario["ghz"].update({"load-start": 20, "load-step": 20, "load-end": 60, "duration": "6s"})
    scenario["gate"].update({"p50_ms": 1500, "p99_ms": 1500})
    calls, begin = [], 0
    for rate, latency in ((20, 100), (40, 1000), (60, 2000)):  # long calls end in the next step
        for _ in range(2 * rate):
            begin += 1000 / rate
            calls.append((begin, latency, "OK"))
    figures, missed = judged(scenario, report_of(calls))
    parts = figures["windows"]
    assert [part["asked_per_s"] for part in parts] == [20, 40, 60]
    assert all(abs(part["calls"] - 2 * part["asked_per_s"]) <= 1 for part in parts)
    assert [part["p50_ms"] for part in parts] == [100, 1000, 2000]
    assert figures["held_per_s"] == 40
    assert ("threshold", "from 4 s on: p50 is 2000.0 ms, allowed: 1500 ms") in missed
    assert not any(text.startswith(("from 0", "from 2")) for _, text in missed)


def test_every_scenario_passes_against_a_server(server, load):
    at = ["--address", server.address, "--model", "tiny", "--rate", 60, "--duration", "1500ms"]
    status, results, printed = load(*SCENARIOS, *at, *QUICK, *PATIENT)
    assert status == PASSED, printed
    assert sorted(results) == SCENARIOS and all(each["missed"] == [] for each in results.values())
    for result in results.values():
        assert result["figures"]["codes"] == {"OK": result["figures"]["calls"]}
    assert results["overload"]["ghz"]["rps"] == 90
    assert len(results["ramp"]["figures"]["windows"]) == 5 and results["ramp"]["figures"]["held_per_s"] == 60
    assert len(results["soak"]["figures"]["windows"]) == 10


def test_messages_of_every_length_are_sent(server, load, tmp_path):
    arguments = ["--address", server.address, "--model", "minilm", "--keep", tmp_path, "--warm-up", "200ms", *PATIENT]
    status, results, printed = load("mixed_lengths", *arguments, "--rate", 20, "--duration", "1500ms")
    assert status == PASSED and results["mixed_lengths"]["figures"]["codes"].keys() == {"OK"}, printed
    requests = payload.read(tmp_path / "mixed_lengths" / "payload.bin")
    in_turn = scenarios.load("mixed_lengths")["payload"]["lengths"]
    assert [request.inputs[0].shape[1] for request in requests] == in_turn * 8 and len(set(in_turn)) == 7


def test_a_server_with_tls_and_tokens_is_reached(server, load, tmp_path):
    certificates = make_certificates(tmp_path / "certificates")
    made = run_program(BINARY, "token", "loader")
    (tmp_path / "tokens").write_text(made.stdout)
    token = tmp_path / "metadata.json"
    token.write_text(json.dumps({"authorization": f"Bearer {made.stderr.strip()}"}))
    flags = ["--tls-cert", certificates / "server.crt", "--tls-key", certificates / "server.key", "--health-port", 0]
    flags += ["--tls-client-ca", certificates / "ca.crt", "--auth-tokens-file", tmp_path / "tokens", "--no-http"]
    client = ["--cert", certificates / "client.crt", "--key", certificates / "client.key"]
    flags += ["--model-name", "tiny"]
    with Server(BINARY, server.models / "tiny" / "1", *flags, log_path=tmp_path / "server.log") as guarded:
        at = ["rate", "--address", guarded.await_ready().address, "--model", "tiny", "--duration", "500ms", *QUICK]
        at += [*PATIENT, "--rate", 60, "--min-calls", 5, "--cacert", certificates / "ca.crt", *client]
        status, results, printed = load(*at, "--metadata-file", token)
        assert status == PASSED and results["rate"]["figures"]["codes"].keys() == {"OK"}, printed
        status, _, printed = load(*at)
        assert status == COULD_NOT_RUN and "lets nobody in without a token" in printed
        status, _, printed = load(*at[: at.index("--cacert")])
        assert status == COULD_NOT_RUN and "a CA with --cacert" in printed


def test_texts_are_sent_as_texts(server, load, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("A short text.\n\nAnother one, a little longer, with ümlauts.\n")
    arguments = ["--address", server.address, "--model", "minilm", "--texts", texts, "--keep", tmp_path / "kept"]
    arguments += ["--duration", "1s", "--warm-up", "200ms", *PATIENT, "--min-calls", 1]
    status, _, printed = load("unary", *arguments)
    assert status == PASSED, printed
    first, second = payload.read(tmp_path / "kept" / "unary" / "payload.bin")
    assert first.raw_input_contents[0][4:] == b"A short text."
    assert "ümlauts" in second.raw_input_contents[0][4:].decode()
    assert [output.name for output in first.outputs] == ["sentence_embedding"]
    assert json.loads((tmp_path / "kept" / "unary" / "ghz.json").read_text())["host"] == server.address


def test_a_latency_bound_that_is_too_small_is_missed(server, load):
    at = ["--address", server.address, "--model", "tiny", "--rate", 60, "--duration", "1s"]
    status, results, printed = load("rate", *at, *QUICK, *PATIENT, "--p99-ms", 0.001)
    assert status == THRESHOLD, printed
    assert [missed["kind"] for missed in results["rate"]["missed"]] == ["threshold"]
    assert "p99 is" in printed and "allowed: 0.001 ms" in printed


def test_refusals_pass_overload_and_fail_the_rest(server, load):
    arguments = ["--address", server.address, "--model", "slow", "--lengths", 512, "--rate", 60, "--duration", "2s"]
    arguments += ["--warm-up", "200ms", *PATIENT]
    status, results, printed = load("rate", *arguments)
    assert status == ERRORS, printed
    refused = results["rate"]["figures"]["codes"]["ResourceExhausted"]
    assert f"rate: ResourceExhausted: {refused}, allowed: none" in printed and "the queue is full" in printed
    status, results, printed = load("overload", *arguments, "--allow", "ResourceExhausted=0.99")
    assert status == PASSED, printed
    assert set(results["overload"]["figures"]["codes"]) == {"OK", "ResourceExhausted"}
    status, results, printed = load("overload", *arguments, "--allow", "ResourceExhausted=0.01")
    assert status == ERRORS and "of the calls; allowed: 1.0%" in printed


def test_a_model_that_is_not_there_is_named_or_counted(server, load):
    arguments = ["rate", "--address", server.address, "--model", "nobody", "--duration", "1s", "--rate", 60, *QUICK]
    status, _, printed = load(*arguments)
    assert status == COULD_NOT_RUN and "no model 'nobody'" in printed and "ready: minilm, slow, tiny" in printed
    status, results, printed = load(*arguments, "--no-preflight")
    assert status == ERRORS and set(results["rate"]["figures"]["codes"]) == {"NotFound"}, printed
    assert "the warm-up got no answer" in printed
    status, results, printed = load(*arguments, *PATIENT, "--no-preflight", "--warm-up", "0")
    assert status == ERRORS and set(results["rate"]["figures"]["codes"]) == {"NotFound"}, printed
    assert "NotFound: " in printed and "unknown model: 'nobody'" in printed


def test_a_closed_port_is_said_before_ghz_runs(load):
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        status, results, printed = load("rate", "--address", address, "--model", "tiny")
    assert status == COULD_NOT_RUN and not results
    assert f"no server answers at {address}: start one" in printed and "Traceback" not in printed


def test_a_missing_ghz_names_what_brings_it(tmp_path):
    (tmp_path / "venv").symlink_to(DEPS / "venv")
    command = [FOLDER / "run", "rate", "--model", "tiny"]
    for deps, complaint in ((tmp_path, "bin/ghz does not run"), (tmp_path / "nothing", "venv/bin/python")):
        environment = os.environ | {"REPRISE_DEPS": str(deps)}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        assert result.returncode == COULD_NOT_RUN
        assert complaint in result.stderr and "scripts/install --tests" in result.stderr


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["nosuch"], "no scenario 'nosuch'"),
        (["rate", "--address", "localhost"], "not HOST:PORT"),
        (["rate", "--duration", "60"], "no duration such as 30s"),
        (["rate", "--duration", "0"], "duration must be above 0"),
        (["rate", "--allow", "OK=1"], "no code but OK"),
        (["rate", "--lengths", "8,x"], "'8,x' is not numbers"),
        (["ramp", "--rate", 3], "too low for 5 steps"),
        (["rate", "--rate", 100_000], "ghz keeps 1000000 results"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(map(str, value)),
)
def test_wrong_options_are_refused(load, arguments, complaint):
    status, results, printed = load(*arguments, "--model", "tiny")
    assert status == WRONG_USE and not results
    assert complaint in printed
