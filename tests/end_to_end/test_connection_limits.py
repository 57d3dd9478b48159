"""No caller can use up the server: floods are bounded, metadata and connections have limits."""

import pathlib
import socket
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

import half_sent
from infer_messages import ids_request
from server_process import Server

MIB = 1 << 20
INFER = "/inference.GRPCInferenceService/ModelInfer"


def resident_bytes(process_id):
    with open(f"/proc/{process_id}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def health_status(port):
    """What a probe with a connection of its own is told; the error's code where it gets no answer."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status
        except grpc.RpcError as error:
            return error.code()


@pytest.mark.allocator
@pytest.mark.parametrize(
    "connections,quota", [(20, 128 * MIB), pytest.param(200, 512 * MIB, marks=pytest.mark.slow)]
)
def test_a_flood_of_half_sent_requests_is_bounded_and_health_answers(
    start_server, tiny_repository, connections, quota
):
    server = start_server(tiny_repository, "--grpc-memory-bytes", quota, "--health-port", 0).await_ready()
    before = peak = resident_bytes(server.process_id)
    asked, shared = [], []
    stopped = threading.Event()

    def ask_for_health():
        while not stopped.is_set():
            asked.append(health_status(server.health_port))
            shared.append(health_status(server.grpc_port))

    def look():
        nonlocal peak
        peak = max(peak, resident_bytes(server.process_id))

    asker = threading.Thread(target=ask_for_health)
    asker.start()
    try:
        requests = half_sent.flood(
            server.grpc_port, INFER, connections, 60 * MIB, stop=half_sent.wait(60), watch=look
        )
    finally:
        stopped.set()
        asker.join()
    sent = sum(60 * MIB - 1 - request.message_left for request in requests)
    refused = sum(request.ended for request in requests)
    print(f"{sent / MIB:.0f} MiB sent, {refused} of {connections} refused, resident {before / MIB:.0f} -> "
          f"{peak / MIB:.0f} MiB, quota {quota / MIB:.0f} MiB, health asked {len(asked)} times")
    assert sent > quota  # or else nothing was put to the test
    assert peak - before < 1.5 * quota
    serving = health_pb2.HealthCheckResponse.SERVING
    assert asked and set(asked) == {serving}
    # The flooded port cuts connections off to get memory back, and may take that of a probe.
    assert serving in shared and set(shared) <= {serving, grpc.StatusCode.UNAVAILABLE}
    for request in requests:
        request.socket.close()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ModelInfer(ids_request("tiny", [[1]]), timeout=60).model_name == "tiny"
    server.stop()


def test_metadata_beyond_its_limit_is_refused_and_the_connection_goes_on(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-metadata-bytes", 4096).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(ids_request("tiny", [[1]]), metadata=[("x-filler", "x" * 5000)])
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "--max-metadata-bytes" in caught.value.details()
        assert stub.ModelInfer(ids_request("tiny", [[1]]), metadata=[("x-filler", "x" * 2000)])
    server.stop()


def test_calls_beyond_the_limit_of_a_connection_wait_for_their_turn(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-concurrent-streams", 1).await_ready()
    with server.open_channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(), timeout=0.5)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        watch.cancel()
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=20)
    server.stop()


def test_old_connections_are_replaced_without_a_failed_call(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-connection-age-secs", 1).await_ready()
    peers = set()
    end = time.monotonic() + 3
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while time.monotonic() < end:
            stub.ModelInfer(ids_request("tiny", [[1]]), timeout=20)
            peers |= connections_to(server.grpc_port)
    assert len(peers) >= 2
    server.stop()


def connections_to(port):
    """Local ports of this process's open connections to that port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and int(fields[2].split(":")[1], 16) == port:  # 01: established
                found.add(int(fields[1].split(":")[1], 16))
    return found


def test_connections_without_calls_are_closed(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-connection-idle-secs", 1).await_ready()
    with server.open_channel() as channel:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(ids_request("tiny", [[1]]))
        assert connections_to(server.grpc_port)
        end = time.monotonic() + 20
        while connections_to(server.grpc_port):
            assert time.monotonic() < end
            time.sleep(0.05)
    server.stop()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def closed_by_the_server(connections):
    """How many of these the server has closed; waits until it has dealt with the last."""
    ended = 0
    for connection in connections:
        try:
            # Whoever was taken hears the server's HTTP/2 settings first.
            ended += connection.recv(1) == b""
        except ConnectionResetError:
            ended += 1
    return ended


def infers(server):
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return stub.ModelInfer(ids_request("tiny", [[1]]), timeout=60, wait_for_ready=True).model_name == "tiny"


def test_connections_beyond_their_limit_are_closed_at_once(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-connections", 10).await_ready()
    connections = [connect(server.grpc_port) for _ in range(40)]
    assert 30 <= closed_by_the_server(connections) < 40
    for connection in connections:
        connection.close()
    assert infers(server)
    server.stop()


def test_a_server_that_had_no_descriptors_left_serves_again(binary, tiny_repository, tmp_path):
    # A process that may have few descriptors is soon out of them.
    small = tmp_path / "reprise"
    small.write_text(f'#!/bin/sh\nulimit -n 128\nexec "{binary}" "$@"\n')
    small.chmod(0o755)
    with Server(small, tiny_repository, "--health-port", 0, log_path=tmp_path / "log") as server:
        server.await_ready()
        connections = [connect(server.grpc_port) for _ in range(300)]
        assert closed_by_the_server(connections) > 200
        assert health_status(server.health_port) == health_pb2.HealthCheckResponse.SERVING
        # The other port may use the last of them too, for a while.
        probes = [connect(server.health_port) for _ in range(100)]
        assert closed_by_the_server(probes) > 50
        for connection in connections + probes:
            connection.close()
        assert infers(server)
        server.stop()
