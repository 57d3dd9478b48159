"""Many requests over one call, as tritonclient, plain stubs and our own service send them."""

import asyncio
import queue
import signal
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, outputs_of, text_request
from scrape import Scrape, scrape_when

IDS = np.array([[5, 17, 42, 9]], np.int64)
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


def make_input(name, array):
    tensor = tritonclient.grpc.InferInput(
        name, list(array.shape), "BYTES" if array.dtype == object else "INT64"
    )
    tensor.set_data_from_numpy(array)
    return tensor


def counts(page, method):
    """How often calls of `method` ended, by code."""
    return {
        sample.labels["code"]: sample.value
        for sample in page.matching("reprise_requests_total", method=method)
        if sample.value
    }


def added(before, after):
    return {code: n - before.get(code, 0) for code, n in after.items() if n != before.get(code, 0)}


class Answers:
    """Collects what a tritonclient stream calls back with."""

    def __init__(self):
        self._queue = queue.Queue()

    def __call__(self, result, error):
        self._queue.put((result, error))

    def next(self):
        return self._queue.get(timeout=30)


@pytest.fixture
def client(server):
    with tritonclient.grpc.InferenceServerClient(server.address) as client:
        yield client


def test_tritonclients_stream_gets_every_answer_in_order(client):
    expected = client.infer("tiny", [make_input("input_ids", IDS)]).as_numpy("last_hidden_state")
    answers = Answers()
    client.start_stream(answers)
    for number in range(50):
        client.async_stream_infer("tiny", [make_input("input_ids", IDS)], request_id=str(number))
    client.stop_stream()
    for number in range(50):
        result, error = answers.next()
        assert error is None
        assert result.get_response().id == str(number)
        assert result.get_response().parameters["triton_final_response"].bool_param
        assert (result.as_numpy("last_hidden_state") == expected).all()


def test_long_requests_do_not_let_short_ones_overtake_them(client):
    answers = Answers()
    client.start_stream(answers)
    lengths = [512, 1, 300, 2, 1, 64]
    for length in lengths:
        row = np.full((1, length), 7, np.int64)
        client.async_stream_infer("minilm", [make_input("input_ids", row)], request_id=str(length))
    client.stop_stream()
    assert [answers.next()[0].get_response().id for _ in lengths] == [str(n) for n in lengths]


def test_an_error_does_not_end_tritonclients_stream(client):
    answers = Answers()
    client.start_stream(answers)
    for model in ("nobody", "tiny"):
        client.async_stream_infer(
            model,
            [make_input("input_ids", IDS)],
            request_id=model,
            enable_empty_final_response=True,
            priority=1,
            timeout=60_000_000,
        )
    client.stop_stream()
    result, error = answers.next()
    assert result is None and "unknown model: 'nobody'" in error.message()
    result, error = answers.next()
    assert error is None and result.get_response().id == "tiny"


def test_a_stream_that_asks_for_grpc_errors_ends_with_the_first(client):
    answers = Answers()
    client.start_stream(answers, headers={"triton_grpc_error": "true"})
    client.async_stream_infer("nobody", [make_input("input_ids", IDS)])
    result, error = answers.next()
    client.stop_stream(cancel_requests=True)
    assert result is None and error.status() == "StatusCode.NOT_FOUND"


def test_asyncio_streams_are_answered(server):
    async def requests():
        for model in ("tiny", "nobody", "tiny-reuse"):
            yield {"model_name": model, "inputs": [make_input("input_ids", IDS)], "request_id": model}

    async def ask():
        async with tritonclient.grpc.aio.InferenceServerClient(server.address) as aio:
            replies = []
            async for result, error in aio.stream_infer(requests()):
                replies.append(result.get_response().model_name if error is None else str(error))
            return replies

    first, second, third = asyncio.run(ask())
    assert (first, third) == ("tiny", "tiny-reuse") and "'nobody'" in second


def test_asyncio_stubs_may_stop_reading_in_the_middle(server):
    async def ask():
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            call = stub.ModelStreamInfer()
            for number in range(10):
                await call.write(ids_request("tiny", IDS, id=str(number)))
            replies = [await call.read() for _ in range(3)]
            call.cancel()
            return [reply.infer_response.id for reply in replies]

    assert asyncio.run(ask()) == ["0", "1", "2"]


def test_a_stream_without_requests_ends_well(server, stub):
    before = counts(Scrape(server.metrics_port), "ModelStreamInfer/stream")
    assert list(stub.ModelStreamInfer(iter([]))) == []
    after = counts(Scrape(server.metrics_port), "ModelStreamInfer/stream")
    assert added(before, after) == {"OK": 1}


def test_bytes_that_are_no_message_fail_alone(channel):
    call = channel.stream_stream(
        STREAM, response_deserializer=service_pb2.ModelStreamInferResponse.FromString
    )
    good = ids_request("tiny", IDS, id="good").SerializeToString()
    bad, ok = call(iter([b"\xff\xff\xff", good]), timeout=30)
    assert "not a valid" in bad.error_message
    code = bad.infer_response.parameters["reprise_grpc_code"].int64_param
    assert code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert ok.error_message == "" and ok.infer_response.id == "good"


def test_requests_and_their_stream_are_counted_apart(server, stub):
    page = Scrape(server.metrics_port)
    before = [counts(page, method) for method in ("ModelStreamInfer", "ModelStreamInfer/stream")]
    requests = [ids_request(model, IDS) for model in ("tiny", "tiny", "nobody")]
    assert len(list(stub.ModelStreamInfer(iter(requests), timeout=30))) == 3
    page = Scrape(server.metrics_port)
    after = [counts(page, method) for method in ("ModelStreamInfer", "ModelStreamInfer/stream")]
    assert added(before[0], after[0]) == {"OK": 2, "NOT_FOUND": 1}
    assert added(before[1], after[1]) == {"OK": 1}


def test_a_full_queue_fails_requests_and_not_the_stream(start_server, full_repository):
    server = start_server(
        full_repository / "minilm" / "1", "--model-name", "minilm", "--max-queue-requests", 2
    ).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        requests = [ids_request("minilm", [[7] * 512] * 4, id=str(n)) for n in range(20)]
        replies = list(stub.ModelStreamInfer(iter(requests), timeout=60))
    assert [reply.infer_response.id for reply in replies] == [str(n) for n in range(20)]
    codes = {
        r.infer_response.parameters["reprise_grpc_code"].int64_param
        for r in replies
        if r.error_message
    }
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert any(not reply.error_message for reply in replies)
    server.stop()


def test_a_deadline_ends_the_stream_and_what_it_asked_for(server, stub):
    before = counts(Scrape(server.metrics_port), "ModelStreamInfer")
    requests = [ids_request("minilm", [[7] * 512] * 8) for _ in range(30)]
    ended = threading.Event()

    def endless():
        yield from requests
        ended.wait()

    # Those that cannot be in time are refused, and the stream waits for more.
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ModelStreamInfer(endless(), timeout=0.5))
    ended.set()
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    def settled(page):
        return page.total("reprise_inflight_requests") == 0

    scrape_when(server.metrics_port, settled)
    found = added(before, counts(Scrape(server.metrics_port), "ModelStreamInfer"))
    assert found["DEADLINE_EXCEEDED"] > 0 and found.keys() <= {"OK", "DEADLINE_EXCEEDED"}
    assert sum(found.values()) <= len(requests)


def test_a_cancelled_stream_leaves_nothing_behind(server, client):
    def streams(page):
        return counts(page, "ModelStreamInfer/stream").get("CANCELLED", 0)

    before = streams(Scrape(server.metrics_port))
    answers = Answers()
    client.start_stream(answers)
    for _ in range(20):
        client.async_stream_infer("minilm", [make_input("input_ids", np.full((8, 512), 7))])
    scrape_when(server.metrics_port, lambda page: page.total("reprise_inflight_requests") > 0)
    client.stop_stream(cancel_requests=True)
    scrape_when(server.metrics_port, lambda page: streams(page) == before + 1)
    scrape_when(server.metrics_port, lambda page: page.total("reprise_inflight_requests") == 0)


def test_a_drain_answers_what_was_read_and_ends_the_stream(start_server, full_repository):
    server = start_server(full_repository / "minilm" / "1", "--model-name", "minilm").await_ready()
    requests = queue.Queue()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelStreamInfer(iter(requests.get, None))
        for number in range(6):
            requests.put(ids_request("minilm", [[7] * 400] * 2, id=str(number)))
        scrape_when(server.metrics_port, lambda page: page.total("reprise_inflight_requests") == 6)
        server.signal(signal.SIGTERM)
        ids = []
        with pytest.raises(grpc.RpcError) as caught:
            for reply in call:
                assert reply.error_message == ""
                ids.append(reply.infer_response.id)
        requests.put(None)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert ids == [str(number) for number in range(6)]
    assert server.wait() == 0


def test_our_own_service_embeds_a_stream(channel, stub, wire):
    request_type = wire.message("reprise.v1.EmbedRequest")
    call = channel.stream_stream(
        "/reprise.v1.Reprise/EmbedStream",
        request_serializer=request_type.SerializeToString,
        response_deserializer=wire.message("reprise.v1.EmbedStreamResponse").FromString,
    )
    texts = ["one", "and another one"]
    requests = [request_type(model="minilm", texts=[text]) for text in texts]
    requests.insert(1, request_type(model="minilm"))
    first, wrong, last = call(iter(requests), timeout=30)
    expected = outputs_of(stub.ModelInfer(text_request("minilm", texts)))["sentence_embedding"]
    for reply, row in ((first, expected[0]), (last, expected[1])):
        assert np.array(reply.response.embeddings[0].values, "f4").tobytes() == row.tobytes()
    assert wrong.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "at least one" in wrong.error.message
    assert wrong.error.details[0].type_url.endswith("google.rpc.ErrorInfo")
