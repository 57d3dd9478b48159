"""reprise_load against a real server: what it reports, and what a stopped server looks like."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

PAUSE_S = 0.5


# Longer than a busy machine delays an answer of the tiny model, much shorter than the pause.
SLOW_MS = 150
RATE = 100
TINY = {"--output": "last_hidden_state", "--lengths": "4-8", "--vocab-size": 20}


@pytest.fixture(scope="module")
def program(binary):
    return binary.parents[1] / "loadtest" / "generator" / "reprise_load"


@pytest.fixture
def load(program, tmp_path):
    """Runs the generator against an address: its exit status, its report (None if there is none), what it printed."""

    def run(address, *flags, model="tiny"):
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        command = [program, "--address", address, "--model", model, *flags]
        for flag, default in {**TINY, "--json": report}.items():
            command += [] if flag in flags else [flag, default]
        ran = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=60)
        return ran.returncode, json.loads(report.read_text()) if report.exists() else None, ran.stdout + ran.stderr

    return run


@pytest.fixture
def tiny_server(start_server, tiny_repository):
    server = start_server(tiny_repository)
    server.await_ready()
    return server


def pause_once(server, after_s):
    """Stops the server's process for a while, later, in a thread of its own."""

    def pause():
        time.sleep(after_s)
        os.kill(server.process_id, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.kill(server.process_id, signal.SIGCONT)

    thread = threading.Thread(target=pause)
    thread.start()
    return thread


def test_a_stopped_server_is_seen_by_every_call_that_was_due_meanwhile(load, tiny_server, tmp_path):
    page = tmp_path / "load.html"
    pausing = pause_once(tiny_server, 1.2)
    flags = ["--rate", RATE, "--arrival", "constant", "--warm-up-ms", 0, "--duration-ms", 3000, "--html", page]
    status, report, _ = load(tiny_server.address, *flags)
    pausing.join()
    assert status in (0, 5)  # 5: this machine was too busy to send on time; the pause is there all the same
    assert report["codes"] == {"OK": 3 * RATE - 1} or report["codes"] == {"OK": 3 * RATE}
    assert report["ok"]["max_ms"] > 1000 * PAUSE_S - 100
    # Half a second of calls waited, evenly between the whole pause and none of it.
    percentiles = dict(map(tuple, report["ok"]["percentiles_ms"]))
    assert percentiles[90] > SLOW_MS, "a sixth of the calls was due in the pause, most of them early enough to be slow"
    longest = max(report["intervals"], key=lambda interval: interval["max_ms"])
    assert longest["start_s"] in (0, 1)
    assert "id=\"percentiles\"" in page.read_text()


def test_one_caller_that_waits_hardly_sees_the_same_pause(load, tiny_server):
    """What the open loop is for: a closed loop sends nothing in the pause, so one call of many was slow."""
    pausing = pause_once(tiny_server, 1.2)
    status, report, _ = load(tiny_server.address, "--concurrency", 1, "--warm-up-ms", 0, "--duration-ms", 3000)
    pausing.join()
    assert status == 0
    assert report["ok"]["max_ms"] > 1000 * PAUSE_S - 100
    percentiles = dict(map(tuple, report["ok"]["percentiles_ms"]))
    assert percentiles[90] < SLOW_MS


def test_the_exit_status_says_what_was_missed(load, tiny_server):
    few = ["--max-calls", 5, "--warm-up-ms", 0]
    assert load(tiny_server.address, *few)[0] == 0
    status, report, said = load(tiny_server.address, *few, "--slo-p99-ms", 0.001)
    assert status == 3
    assert "were asked for" in said
    status, report, said = load(tiny_server.address, *few, model="unknown")
    assert status == 4
    assert report["codes"] == {"NOT_FOUND": 5}
    assert "errors: 5 NOT_FOUND" in said
    assert load(tiny_server.address, *few, "--allow", "NOT_FOUND,UNAVAILABLE", model="unknown")[0] == 0


def test_a_trace_and_bursts_are_sent(load, tiny_server, tmp_path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text("".join(json.dumps({"at_ms": 20 * i, "tokens": [8, 8], "priority": 1}) + "\n" for i in range(30)))
    status, report, said = load(tiny_server.address, "--trace", trace, "--warm-up-ms", 100)
    assert status in (0, 5), said
    assert report["codes"] == {"OK": 25}
    flags = ["--rate", 100, "--arrival", "burst", "--burst-on-ms", 100, "--burst-off-ms", 300, "--warm-up-ms", 0]
    status, report, said = load(tiny_server.address, *flags, "--duration-ms", 2000)
    assert status in (0, 5), said
    assert set(report["codes"]) == {"OK"}
    assert 100 < report["calls"] < 300


def test_the_search_ends_at_a_rate_that_was_borne(load, tiny_server):
    flags = ["--search", "--slo-p99-ms", 300, "--warm-up-ms", 0, "--duration-ms", 300, "--precision", 1]
    status, report, said = load(tiny_server.address, *flags)
    assert status in (0, 5), said
    assert "capacity: " in said
    assert report["ok"]["p99_ms"] <= 300
    assert report["ok_share"] >= 0.99


@pytest.mark.parametrize(
    "flags, status, says",
    [
        (["--lengths", "9-3"], 2, "is no range of lengths"),
        (["--arrival", "even"], 2, "poisson, constant or burst"),
        (["--trace", "/nonexistent"], 2, "cannot read '/nonexistent'"),
        (["--texts", "/dev/null"], 2, "has no text"),
        (["--search"], 2, "--slo-p99-ms"),
        (["--search", "--slo-p99-ms", "9", "--trace", "x"], 2, "--trace excludes --search"),
        (["--connections", "0"], 2, "connections is 0"),
        (["--json", "/nonexistent/x.json", "--max-calls", "1", "--warm-up-ms", "0"], 1, "is the folder there?"),
    ],
)
def test_wrong_flags_are_said(load, server, flags, status, says):
    found, _, said = load(server.address, *flags)
    assert found == status
    assert says in said


def test_no_server_is_said(load):
    status, _, said = load("127.0.0.1:1")
    assert status == 1
    assert "no server answers at 127.0.0.1:1: start it, or set --address" in said


def test_texts_are_sent(load, server, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("A cat sits on the mat.\n\nSomething else, and longer, was said about it yesterday.\n")
    flags = ["--texts", texts, "--output", "sentence_embedding", "--max-calls", 6, "--warm-up-ms", 0]
    status, report, said = load(server.address, *flags, model="minilm")
    assert status == 0, said
    assert report["codes"] == {"OK": 6}
