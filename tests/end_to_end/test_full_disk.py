"""A disk that is full costs what was to be written there, and no request."""

import signal
import socket
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

from infer_messages import ids_request
from model_repository import run_program


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of its own without room for a file of more than a page."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs the rights of root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_log_that_cannot_be_written_stops_nobody(binary, tiny_repository):
    port = free_port()  # the log, which would say the port, is lost
    command = [binary, "serve", "--model-repository", tiny_repository, "--grpc-port", port, "--no-http"]
    command += ["--metrics-port", 0, "--lame-duck-secs", 0, "--log-level", "debug"]
    with open("/dev/full", "wb") as full:
        server = subprocess.Popen(list(map(str, command)), stdout=full, stderr=full)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            deadline = time.monotonic() + 60
            check = health_pb2.HealthCheckRequest()
            while health.Check(check, wait_for_ready=True, timeout=60).status != health_pb2.HealthCheckResponse.SERVING:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            for _ in range(100):
                assert stub.ModelInfer(ids_request("tiny", [[1, 2, 3]])).outputs
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.wait()


def test_a_golden_file_that_does_not_fit_leaves_the_one_before(binary, tiny_repository, full_disk):
    golden = full_disk / "golden.json"
    golden.write_text("before")
    model = tiny_repository / "tiny" / "1"
    ids = [word for n in range(1, 9) for word in ("--ids", f"{n},2,3,4,5,6,7,8")]
    long = ["--output-name", "last_hidden_state"]
    failed = run_program(binary, "golden", model, *ids, *long, "--output", golden, check=False)
    assert failed.returncode == 1 and f"cannot write '{golden}'" in failed.stderr
    assert [path.name for path in full_disk.iterdir()] == ["golden.json"]
    assert golden.read_text() == "before"
    refused = run_program(binary, "golden", model, *ids, "--output", "/dev/full", check=False)
    assert refused.returncode == 1 and "choose another --output" in refused.stderr


def test_a_conversion_that_does_not_fit_says_so(binary, tiny_repository, full_disk):
    arguments = ["--heads", 2, "--layers", 2, "--output", full_disk / "model"]
    failed = run_program(binary, "convert", tiny_repository / "tiny" / "1", *arguments, check=False)
    assert failed.returncode == 1 and "No space left on device" in failed.stderr
