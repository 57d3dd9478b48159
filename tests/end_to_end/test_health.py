"""grpc.health.v1 and the protocol's own questions: what is said while loading, serving and stopping."""

import queue
import signal
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

Response = health_pb2.HealthCheckResponse
# Loading takes seconds where warm-up is slow and repeated, long enough to be looked at.
SLOW_START = ["--warmup-runs", "20", "--precision", "fp32"]


def check(channel, service=""):
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


def watch(channel, service=""):
    """The statuses of a Watch as a queue."""
    statuses = queue.Queue()
    stub = health_pb2_grpc.HealthStub(channel)
    stream = stub.Watch(health_pb2.HealthCheckRequest(service=service))

    def read():
        try:
            for response in stream:
                statuses.put(response.status)
        except grpc.RpcError as error:
            statuses.put(error.code())

    threading.Thread(target=read, daemon=True).start()
    return statuses, stream


@pytest.mark.parametrize("service", ["", "readiness", "startup", "liveness", "minilm", "tiny-reuse"])
def test_a_ready_server_is_serving_under_every_name(channel, service):
    assert check(channel, service) == Response.SERVING


def test_check_of_an_unknown_name_is_not_found(channel):
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert "nobody" in caught.value.details()


def test_watch_of_an_unknown_name_says_so_and_goes_on(channel):
    statuses, stream = watch(channel, "nobody")
    assert statuses.get(timeout=10) == Response.SERVICE_UNKNOWN
    assert stream.is_active()
    stream.cancel()
    assert statuses.get(timeout=10) == grpc.StatusCode.CANCELLED


def test_watch_tells_the_status_at_once(channel):
    statuses, stream = watch(channel)
    assert statuses.get(timeout=10) == Response.SERVING
    stream.cancel()


def test_an_unknown_model_is_not_found_rather_than_not_ready(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelReady(service_pb2.ModelReadyRequest(name="nobody"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.fixture
def starting_server(start_server, full_repository):
    server = start_server(full_repository / "minilm" / "1", "--model-name", "minilm", *SLOW_START)
    return server.await_listening()


def test_the_ports_are_open_while_models_load_and_say_no(starting_server):
    with starting_server.open_channel() as channel:
        assert check(channel) == Response.NOT_SERVING
        assert check(channel, "startup") == Response.NOT_SERVING
        assert check(channel, "minilm") == Response.NOT_SERVING
        assert check(channel, "liveness") == Response.SERVING
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert not stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="minilm")).ready
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(service_pb2.ModelInferRequest(model_name="minilm"))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "not at ready state" in caught.value.details()
        statuses, stream = watch(channel)
        assert [statuses.get(timeout=60) for _ in range(2)] == [
            Response.NOT_SERVING,
            Response.SERVING,
        ]
        assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready
    starting_server.stop()


def test_a_server_that_still_loads_stops_on_sigterm(starting_server):
    starting_server.stop()
    messages = [line["message"] for line in starting_server.log()]
    assert "ready" not in messages and messages[-1] == "stopped"


def test_a_hundred_watches_do_not_hold_up_the_end(start_server, tiny_repository):
    server = start_server(tiny_repository, lame_duck_secs=1).await_ready()
    with server.open_channel() as channel:
        watches = [watch(channel) for _ in range(100)]
        assert all(statuses.get(timeout=10) == Response.SERVING for statuses, _ in watches)
        server.signal(signal.SIGTERM)
        assert server.wait(timeout_s=3) == 0
        ends = [list(iter_queue(statuses)) for statuses, _ in watches]
    assert all(Response.NOT_SERVING in statuses for statuses in ends)


def iter_queue(statuses):
    """What a watch said until its stream ended."""
    while True:
        status = statuses.get(timeout=10)
        yield status
        if isinstance(status, grpc.StatusCode):
            return


def test_the_health_command_asks_a_server(run_reprise, server):
    def ask(*arguments):
        # Longer than the default second: a busy machine may take that to start the program.
        return run_reprise(
            "health", "--port", server.grpc_port, "--timeout-ms", 20_000, *arguments
        )

    well = ask()
    assert (well.returncode, well.stdout) == (0, "SERVING\n")
    assert ask("--service", "minilm").returncode == 0
    unknown = ask("--service", "nobody")
    assert unknown.returncode == 1 and "nobody" in unknown.stderr


def test_the_health_command_fails_where_nobody_listens(run_reprise):
    result = run_reprise("health", "--port", 1, "--timeout-ms", 300)
    assert result.returncode == 1 and "127.0.0.1:1" in result.stderr


def test_the_health_command_fails_while_models_load(run_reprise, starting_server):
    result = run_reprise(
        "health", "--port", starting_server.grpc_port, "--timeout-ms", 5_000
    )
    assert (result.returncode, result.stdout) == (1, "NOT_SERVING\n")
    assert run_reprise(
        "health", "--port", starting_server.grpc_port, "--service", "liveness"
    ).returncode == 0
