"""loadtest/run: a small measurement of two servers, one of them started by a command."""

import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / "loadtest" / "run"

# What loadtest/servers/run does: says where it listens, ends on SIGTERM. The engine is none: it counts.
SERVER = """
import asyncio, sys
import numpy as np
sys.path.append({folder!r})
from grpc_front import serve
async def embed(text):
    return np.full(3, len(text), np.float32)
asyncio.run(serve(embed, 0))
"""


@pytest.fixture
def other_server(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER.format(folder=str(ROOT / "loadtest" / "servers")))
    return f"{sys.executable} {script}"


def measure(binary, *flags):
    command = [sys.executable, RUN, "--build", binary.parents[1], "--seconds", 0.5, "--rounds", 1, "--overload-seconds", 0.5,
               "--recovery-seconds", 2]
    command += ["--levels", "0.3,0.6", "--precision", 1, "--server-core", 0, *flags]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=180)


def test_a_measurement_has_all_its_figures(binary, deps, other_server, tmp_path):
    texts, report, picture = tmp_path / "texts.txt", tmp_path / "out.json", tmp_path / "out.svg"
    texts.write_text("A cat sits on the mat.\nSomething else was said about it.\n")
    model = deps / "models" / "all-MiniLM-L6-v2"
    flags = ["--slo-p99-ms", 400, "--model", f"demo={model}", "--server", f"other={other_server}", "--texts", texts]
    ran = measure(binary, *flags, "--json", report, "--svg", picture)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    servers = json.loads(report.read_text())["servers"]
    assert list(servers) == ["demo", "other"]
    for server in servers.values():
        assert server["capacity_per_second"] > 0
        assert [level["share"] for level in server["levels"]] == [0.3, 0.6]
        assert all(level["p99_ms"] >= level["p50_ms"] > 0 for level in server["levels"])
        assert sum(server["overload"]["codes"].values()) > 0
    assert servers["demo"]["overload"]["goodput_per_second"] > 0
    assert "| demo |" in ran.stdout
    names = [text.text for text in xml.etree.ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {"demo", "other"} <= set(names)


@pytest.mark.parametrize(
    "flags, status, says",
    [
        ([], 2, "nothing to measure"),
        (["--model", "a"], 2, "expected NAME=..."),
        (["--model", "a=x", "--model", "a=y"], 2, "two of the names are alike"),
        (["--model", "a=/nonexistent"], 1, "is no checkpoint directory"),
        (["--server", "a=false"], 1, "ended with status 1 before it was listening"),
        (["--levels", "3", "--model", "a=x"], 2, "expected shares of the capacity"),
    ],
)
def test_what_cannot_be_measured_is_said(binary, flags, status, says):
    ran = measure(binary, *flags)
    assert ran.returncode == status
    assert says in ran.stderr
