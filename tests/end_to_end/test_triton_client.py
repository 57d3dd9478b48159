"""tritonclient.grpc, unmodified, in all the ways it can ask."""

import asyncio
import itertools
import queue
import threading

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

from scrape import Scrape, scrape_when

IDS = np.array([[5, 17, 42, 9], [3, 8, 0, 0]], np.int64)
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.int64)
TYPES = np.array([[0, 0, 1, 1], [0, 1, 0, 0]], np.int64)
SENTENCES = ["A short sentence.", "And one with a few more words in it."]


@pytest.fixture(scope="module")
def client(server):
    with tritonclient.grpc.InferenceServerClient(server.address) as client:
        yield client


def make_input(name, array, module=tritonclient.grpc):
    datatype = "BYTES" if array.dtype == object else "INT64"
    tensor = module.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def texts(values=SENTENCES):
    return make_input("text", np.array([v.encode() for v in values], dtype=object))


def big_request():
    """A tenth of a second of work or more: the demo model on its longest sequences."""
    return [make_input("input_ids", np.full((8, 512), 7, np.int64))]


def test_it_sees_a_live_and_ready_server(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("minilm-reuse")
    assert client.is_model_ready("tiny-versions", "2")


def test_it_reads_the_servers_metadata(client):
    metadata = client.get_server_metadata(as_json=True)
    assert metadata["name"] == "reprise"
    assert "model_configuration" in metadata["extensions"]


def test_it_reads_a_models_metadata(client):
    metadata = client.get_model_metadata("minilm", as_json=True)
    assert metadata["name"] == "minilm" and metadata["versions"] == ["1"]
    inputs = {i["name"]: (i["datatype"], i["shape"]) for i in metadata["inputs"]}
    assert inputs == {
        "input_ids": ("INT64", ["-1", "-1"]),
        "attention_mask": ("INT64", ["-1", "-1"]),
        "token_type_ids": ("INT64", ["-1", "-1"]),
        "text": ("BYTES", ["-1", "1"]),
    }
    outputs = {o["name"]: (o["datatype"], o["shape"]) for o in metadata["outputs"]}
    assert outputs == {
        "last_hidden_state": ("FP32", ["-1", "-1", "384"]),
        "pooler_output": ("FP32", ["-1", "384"]),
        "sentence_embedding": ("FP32", ["-1", "384"]),
    }


def test_it_reads_a_models_config(client):
    config = client.get_model_config("minilm-reuse").config
    assert config.max_batch_size > 1
    assert config.HasField("dynamic_batching")
    metadata = client.get_model_metadata("minilm-reuse")
    assert [i.name for i in config.input] == [i.name for i in metadata.inputs]
    assert [list(i.dims) for i in config.input] == [list(i.shape[1:]) for i in metadata.inputs]
    assert [o.name for o in config.output] == [o.name for o in metadata.outputs]
    assert config.parameters["reprise.reuse_plan"].string_value == "3x4"


def test_it_lists_the_models(client):
    models = {(m.name, m.version): m.state for m in client.get_model_repository_index().models}
    assert models[("minilm", "1")] == "READY"
    assert ("tiny-versions", "1") in models and ("tiny-versions", "2") in models


def test_ids_alone_mean_every_token_is_real(client):
    result = client.infer("tiny", [make_input("input_ids", IDS)])
    assert result.as_numpy("last_hidden_state").shape == (2, 4, 32)
    assert result.as_numpy("last_hidden_state").all()


def test_a_mask_and_types_are_heeded(client):
    ids, mask, types = (
        make_input(name, array)
        for name, array in (("input_ids", IDS), ("attention_mask", MASK), ("token_type_ids", TYPES))
    )
    plain = client.infer("tiny", [ids]).as_numpy("last_hidden_state")
    masked = client.infer("tiny", [ids, mask]).as_numpy("last_hidden_state")
    typed = client.infer("tiny", [types, ids, mask]).as_numpy("last_hidden_state")
    assert (masked[0] == plain[0]).all() and not (masked[1, :2] == plain[1, :2]).all()
    assert not masked[1, 2:].any() and not typed[1, 2:].any()
    assert not (typed[0] == masked[0]).all()


def test_text_gives_the_sentence_embedding_unless_more_is_asked_for(client):
    result = client.infer("minilm", [texts()])
    assert [output.name for output in result.get_response().outputs] == ["sentence_embedding"]
    wanted = [
        tritonclient.grpc.InferRequestedOutput(name)
        for name in ("last_hidden_state", "sentence_embedding")
    ]
    more = client.infer("minilm", [texts()], outputs=wanted)
    assert [output.name for output in more.get_response().outputs] == [o.name() for o in wanted]
    assert (more.as_numpy("sentence_embedding") == result.as_numpy("sentence_embedding")).all()


def test_text_may_be_a_column(client):
    column = np.array([[s.encode()] for s in SENTENCES], dtype=object)
    expected = client.infer("minilm", [texts()]).as_numpy("sentence_embedding")
    found = client.infer("minilm", [make_input("text", column)]).as_numpy("sentence_embedding")
    assert (found == expected).all()


def test_text_may_hold_a_zero_byte_and_may_be_empty(client):
    result = client.infer("minilm", [texts(["before\0after", ""])])
    assert np.isfinite(result.as_numpy("sentence_embedding")).all()


def test_the_id_comes_back(client):
    result = client.infer("tiny", [make_input("input_ids", IDS)], request_id="request 4711 ü")
    assert result.get_response().id == "request 4711 ü"
    assert client.infer("tiny", [make_input("input_ids", IDS)]).get_response().id == ""


def test_the_latest_version_answers_unless_another_is_asked_for(client):
    ids = [make_input("input_ids", IDS)]
    replies = {v: client.infer("tiny-versions", ids, model_version=v) for v in ("", "1", "2")}
    assert {v: r.get_response().model_version for v, r in replies.items()} == {
        "": "2", "1": "1", "2": "2",
    }
    states = {v: r.as_numpy("last_hidden_state") for v, r in replies.items()}
    assert (states[""] == states["2"]).all() and not (states["1"] == states["2"]).all()


def test_classification_names_the_best_classes(client):
    ids = [make_input("input_ids", IDS)]
    logits = client.infer("tiny-classifier", ids).as_numpy("logits")
    wanted = tritonclient.grpc.InferRequestedOutput("logits", class_count=2)
    classes = client.infer("tiny-classifier", ids, outputs=[wanted]).as_numpy("logits")
    assert logits.shape == (2, 3) and classes.shape == (2, 2)
    names = ["calm", "lively", "stormy"]
    for row, found in zip(logits, classes):
        for index, element in zip(np.argsort(-row), found):
            score, number, name = element.decode().split(":")
            assert (np.float32(score), int(number), name) == (row[index], index, names[index])


def test_compressed_messages_are_read(client):
    expected = client.infer("tiny", [make_input("input_ids", IDS)]).as_numpy("last_hidden_state")
    for algorithm in ("gzip", "deflate"):
        result = client.infer(
            "tiny", [make_input("input_ids", IDS)], compression_algorithm=algorithm
        )
        assert (result.as_numpy("last_hidden_state") == expected).all()


def test_priority_timeout_and_sequence_parameters_are_accepted(client):
    result = client.infer(
        "tiny",
        [make_input("input_ids", IDS)],
        priority=3,
        timeout=10_000_000,
        sequence_id=9,
        sequence_start=True,
        sequence_end=True,
        parameters={"of_the_caller": "anything"},
    )
    assert result.as_numpy("last_hidden_state").shape == (2, 4, 32)


def test_a_reply_says_where_its_time_went_when_asked(client):
    ids = [make_input("input_ids", IDS)]
    assert not client.infer("tiny", ids).get_response().parameters
    timed = client.infer("tiny", ids, parameters={"reprise_timing": True}).get_response()
    times = {name: value.int64_param for name, value in timed.parameters.items()}
    names = {f"reprise_{what}" for what in ("queue_us", "compute_us", "batch_rows", "batch_tokens")}
    assert times.keys() == names
    assert times["reprise_compute_us"] > 0 and times["reprise_queue_us"] >= 0
    assert times["reprise_batch_rows"] >= 2 and times["reprise_batch_tokens"] >= IDS.size


EVERY_DATATYPE = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}


@pytest.mark.parametrize("datatype", EVERY_DATATYPE)
def test_every_datatype_is_read_and_the_wrong_one_named(client, datatype):
    array = np.array([[1, 0], [0, 1]]).astype(EVERY_DATATYPE[datatype])
    if datatype == "BYTES":
        array = np.array([[b"a", b"\0"], [b"", b"\xff"]], dtype=object)
    elif datatype in ("FP16", "BF16", "FP32", "FP64"):
        array[0] = [np.nan, np.inf]
    tensor = tritonclient.grpc.InferInput("input_ids", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    with pytest.raises(InferenceServerException) as caught:
        client.infer("tiny", [tensor])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert f"has datatype {datatype}; expected INT64" in caught.value.message()


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_zero_elements_are_read_and_refused_for_their_shape(client, shape):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("tiny", [make_input("input_ids", np.zeros(shape, np.int64))])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert f"shape [{shape[0]},{shape[1]}]" in caught.value.message()


def test_async_replies_come_back_with_their_ids(client):
    answers = queue.Queue()
    expected = client.infer("tiny", [make_input("input_ids", IDS)]).as_numpy("last_hidden_state")
    for number in range(40):
        client.async_infer(
            "tiny",
            [make_input("input_ids", IDS)],
            callback=lambda result, error: answers.put((result, error)),
            request_id=str(number),
        )
    ids = set()
    for _ in range(40):
        result, error = answers.get(timeout=30)
        assert error is None
        assert (result.as_numpy("last_hidden_state") == expected).all()
        ids.add(result.get_response().id)
    assert ids == {str(number) for number in range(40)}


def test_asyncio_replies_arrive(server, client):
    expected = client.infer("minilm", [texts()]).as_numpy("sentence_embedding")

    async def ask():
        async with tritonclient.grpc.aio.InferenceServerClient(server.address) as aio:
            assert await aio.is_server_ready()
            results = await asyncio.gather(*(aio.infer("minilm", [texts()]) for _ in range(10)))
            return [result.as_numpy("sentence_embedding") for result in results]

    for found in asyncio.run(ask()):
        assert (found == expected).all()


def inflight(page):
    return page.total("reprise_inflight_requests")


def calls(page, code):
    return page.value("reprise_requests_total", protocol="grpc", method="ModelInfer", code=code)


@pytest.fixture
def busy_executor(server, client):
    """Keeps the demo model's executor at work for a while; yields an event that is set when it is free."""
    free = threading.Event()
    requests = 8
    left = itertools.count(requests - 1, -1)
    for _ in range(requests):
        client.async_infer(
            "minilm", big_request(), callback=lambda result, error: next(left) or free.set()
        )
    scrape_when(server.metrics_port, lambda page: inflight(page) == requests)
    yield free
    assert free.wait(60)


def test_a_callers_deadline_ends_a_waiting_request(server, client, busy_executor):
    before = calls(Scrape(server.metrics_port), "DEADLINE_EXCEEDED")
    with pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", [texts()], client_timeout=0.2)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    # The caller knows that it gave up before the server does.
    scrape_when(server.metrics_port, lambda page: calls(page, "DEADLINE_EXCEEDED") == before + 1)


def test_a_timeout_ends_a_waiting_request_while_the_executor_is_busy(client, busy_executor):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", [texts()], timeout=20_000)  # microseconds
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert not busy_executor.is_set(), "the answer had to wait for the executor"


def test_a_cancelled_call_is_answered_and_leaves_nothing_behind(server, client):
    before = calls(Scrape(server.metrics_port), "CANCELLED")
    ended = threading.Event()
    call = client.async_infer(
        "minilm", big_request(), callback=lambda result, error: ended.set()
    )
    scrape_when(server.metrics_port, lambda page: inflight(page) == 1)
    call.cancel()
    assert ended.wait(30)
    scrape_when(server.metrics_port, lambda page: calls(page, "CANCELLED") == before + 1)
    scrape_when(server.metrics_port, lambda page: inflight(page) == 0)
