"""Asked to stop, a server finishes what it began, says so to everyone, and ends with 0."""

import concurrent.futures
import signal
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, outputs_of
from scrape import Scrape, scrape_when


@pytest.fixture
def demo_server(start_server, full_repository):
    """Serves the demo model, whose batches take long enough to be caught in flight."""
    checkpoint = full_repository / "minilm" / "1"
    return lambda *flags, **options: start_server(
        checkpoint, "--model-name", "minilm", *flags, **options
    ).await_ready()


def await_inflight(server, requests):
    scrape_when(
        server.metrics_port, lambda page: page.total("reprise_inflight_requests") == requests
    )


def test_a_drain_loses_no_request_that_was_in_flight(demo_server):
    server = demo_server("--max-batch-size", 4)  # so that most are still queued
    row = [7] * 400
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        expected = outputs_of(stub.ModelInfer(ids_request("minilm", [row])))["sentence_embedding"]
        calls = [stub.ModelInfer.future(ids_request("minilm", [row] * 2)) for _ in range(12)]
        await_inflight(server, len(calls))
        server.signal(signal.SIGTERM)
        for call in calls:
            found = outputs_of(call.result(timeout=60))["sentence_embedding"]
            assert found[0].tobytes() == found[1].tobytes() == expected[0].tobytes()
    assert server.wait() == 0
    messages = [line["message"] for line in server.log()]
    assert messages[-4:] == ["stopping", "draining", "taking no new inferences", "stopped"]


def test_a_request_that_comes_during_the_drain_is_told_to_try_elsewhere(demo_server, wire):
    server = demo_server()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(ids_request("minilm", [[7] * 512] * 8)) for _ in range(4)]
        await_inflight(server, len(calls))
        server.signal(signal.SIGTERM)
        server.await_log("taking no new inferences")
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(ids_request("minilm", [[7]]))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        details = wire.error_details(caught.value)
        assert details["ErrorInfo"].reason == "DRAINING"
        assert details["RetryInfo"].retry_delay.nanos > 0
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        health = health_pb2_grpc.HealthStub(channel)
        status = health.Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert all(call.result(timeout=60) for call in calls)
    assert server.wait() == 0


def test_callers_that_heed_the_health_service_lose_nothing(demo_server):
    server = demo_server(lame_duck_secs=1)
    turn_away = threading.Event()

    def heed_health(channel):
        request = health_pb2.HealthCheckRequest()
        for response in health_pb2_grpc.HealthStub(channel).Watch(request):
            if response.status != health_pb2.HealthCheckResponse.SERVING:
                return turn_away.set()

    def call_until_told(stub):
        answered = 0
        while not turn_away.is_set():
            stub.ModelInfer(ids_request("minilm", [[7] * 30]), timeout=30)
            answered += 1
        return answered

    with server.open_channel() as channel, concurrent.futures.ThreadPoolExecutor(9) as threads:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        watching = threads.submit(heed_health, channel)
        callers = [threads.submit(call_until_told, stub) for _ in range(8)]
        scrape_when(
            server.metrics_port,
            lambda page: page.total("reprise_requests_total", method="ModelInfer") > 8,
        )
        server.signal(signal.SIGTERM)
        answered = sum(caller.result(timeout=60) for caller in callers)
        watching.result(timeout=60)
    assert server.wait() == 0
    assert answered > 8


def test_requests_that_outlast_the_exit_timeout_end_as_unavailable_and_the_status_tells(demo_server):
    server = demo_server("--exit-timeout-secs", 0, "--max-batch-size", 8)
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(ids_request("minilm", [[7] * 512] * 8)) for _ in range(6)]
        await_inflight(server, len(calls))
        server.signal(signal.SIGTERM)
        codes = [call.exception(timeout=30).code() for call in calls if call.exception(timeout=30)]
    assert codes and set(codes) == {grpc.StatusCode.UNAVAILABLE}
    assert server.wait() == 1


def test_sigint_skips_the_lame_duck(start_server, tiny_repository):
    server = start_server(tiny_repository, lame_duck_secs=600).await_ready()
    server.signal(signal.SIGINT)
    assert server.wait(timeout_s=5) == 0


def test_a_second_signal_ends_the_process_at_once(start_server, tiny_repository):
    server = start_server(tiny_repository, lame_duck_secs=600).await_ready()
    server.signal(signal.SIGTERM)
    server.await_log("draining")
    server.signal(signal.SIGTERM)
    assert server.wait(timeout_s=5) == 128 + signal.SIGTERM


def test_a_server_without_traffic_stops_within_a_second(start_server, tiny_repository):
    server = start_server(tiny_repository).await_ready()
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 1


def test_replies_that_were_read_slowly_do_not_delay_the_stop(demo_server):
    server = demo_server()
    request = ids_request("minilm", [[7] * 512] * 8, outputs=["last_hidden_state"])
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for reply in stub.ModelStreamInfer(iter([request] * 4)):
            assert not reply.error_message
            time.sleep(0.1)
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 2


@pytest.mark.slow
def test_the_default_lame_duck_serves_on_for_ten_seconds_while_health_says_no(
    start_server, tiny_repository
):
    server = start_server(tiny_repository, lame_duck_secs=None).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        health = health_pb2_grpc.HealthStub(channel)
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        server.await_log("draining")
        assert Scrape(server.metrics_port).value("reprise_draining") == 1
        answered = 0
        while time.monotonic() - start < 9.5:
            status = health.Check(health_pb2.HealthCheckRequest()).status
            assert status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert not stub.ServerReady(service_pb2.ServerReadyRequest()).ready
            assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
            assert stub.ModelInfer(ids_request("tiny", [[1, 2, 3]])).model_name == "tiny"
            answered += 1
            time.sleep(0.05)
    assert answered > 20
    assert server.wait(timeout_s=10) == 0
    assert 10 <= time.monotonic() - start < 13
