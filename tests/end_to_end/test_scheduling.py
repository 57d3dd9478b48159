"""Deadlines, early refusals and priorities while the only executor is busy for long."""

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from infer_messages import ids_request
from model_repository import make_random_checkpoint
from scrape import Scrape, scrape_when

SLOW_CONFIG = {
    "num_hidden_layers": 6,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
}
FLAGS = ["--threads", 1, "--precision", "fp32"]
FULL_BATCH = [[7] * 512] * 8  # 4096 tokens: each such request is a batch of its own
WAITING = 3


@pytest.fixture(scope="module")
def slow_repository(binary, tmp_path_factory):
    root = tmp_path_factory.mktemp("slow") / "models"
    make_random_checkpoint(binary, root / "slow" / "1", SLOW_CONFIG)
    return root


class BusyServer:
    """Several batches of the highest priority run and wait; whatever else comes is behind them."""

    def __init__(self, server):
        self._server = server

    def __enter__(self):
        self._channel = self._server.open_channel()
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        request = ids_request("slow", FULL_BATCH)
        request.parameters["priority"].int64_param = 1
        self._calls = [self.stub.ModelInfer.future(request) for _ in range(1 + WAITING)]
        self.await_waiting(WAITING)
        return self

    def __exit__(self, *unused):
        for call in self._calls:
            call.cancel()
        self._channel.close()

    def await_waiting(self, requests):
        return scrape_when(
            self._server.metrics_port,
            lambda page: page.value("reprise_queue_requests", model="slow", version="1") == requests,
        )

    def refused(self, **parameters):
        """The error that a short request of low priority with these parameters ends with."""
        request = ids_request("slow", [[5, 6]])
        request.parameters["priority"].int64_param = 3
        for name, value in parameters.items():
            request.parameters[name].int64_param = value
        with pytest.raises(grpc.RpcError) as error:
            self.stub.ModelInfer(request, timeout=60)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        return error.value

    def refused_for_deadline(self):
        page = Scrape(self._server.metrics_port)
        return page.value("reprise_refused_total", model="slow", version="1", reason="deadline")


def test_what_would_be_late_is_refused_at_once_with_a_time_to_try_again(
    start_server, slow_repository, wire
):
    server = start_server(slow_repository, *FLAGS).await_ready()
    with BusyServer(server) as busy:
        error = busy.refused(timeout=50_000)
        assert "refused at once" in error.details()
        details = wire.error_details(error)
        assert details["ErrorInfo"].reason == "DEADLINE"
        retry = details["RetryInfo"].retry_delay
        assert retry.seconds + 1e-9 * retry.nanos > 0.01
        assert busy.refused_for_deadline() == 1
        # It never was in the queue.
        assert Scrape(server.metrics_port).total("reprise_queue_requests") <= WAITING


def test_without_prediction_it_leaves_the_queue_at_its_deadline(start_server, slow_repository):
    server = start_server(
        slow_repository, *FLAGS, "--no-prediction", "--queue-timeout-ms", 100
    ).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(ids_request("slow", FULL_BATCH)) for _ in range(3)]
        codes = [call.code() for call in calls]
        messages = [call.details() for call in calls if call.code() != grpc.StatusCode.OK]
    # One finds the executor idle; a batch takes longer than the queue timeout that the others have.
    assert codes.count(grpc.StatusCode.DEADLINE_EXCEEDED) == 2
    assert all("the deadline passed before the request could run" in message for message in messages)


def test_cancelled_requests_leave_the_queue_while_the_executor_is_busy(start_server, slow_repository):
    server = start_server(slow_repository, *FLAGS).await_ready()
    with BusyServer(server) as busy:
        call = busy.stub.ModelInfer.future(ids_request("slow", [[5, 6]]))
        busy.await_waiting(WAITING + 1)
        call.cancel()
        busy.await_waiting(WAITING)
