"""tritonclient.http, unmodified, in all the ways it can ask; every answer is the one that gRPC gives, bit for bit."""

import asyncio

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from scrape import Scrape, scrape_when

IDS = np.array([[5, 17, 42, 9], [3, 8, 0, 0]], np.int64)
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.int64)
SENTENCES = ["A short sentence.", "And one with a few more words in it.", "Größe \0 €"]


@pytest.fixture(scope="module")
def client(server):
    with tritonclient.http.InferenceServerClient(server.http_address, concurrency=8) as client:
        yield client


@pytest.fixture(scope="module")
def grpc_client(server):
    with tritonclient.grpc.InferenceServerClient(server.address) as client:
        yield client


def make_input(name, array, binary=True, module=tritonclient.http):
    datatype = "BYTES" if array.dtype == object else "INT64"
    tensor = module.InferInput(name, list(array.shape), datatype)
    if module is tritonclient.grpc:
        tensor.set_data_from_numpy(array)
    else:
        tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def texts(values=SENTENCES):
    return np.array([v.encode() for v in values], dtype=object)


REQUESTS = {
    "ids": ("tiny", {"input_ids": IDS}, ["last_hidden_state", "pooler_output"]),
    "masked": ("tiny-reuse", {"input_ids": IDS, "attention_mask": MASK}, ["last_hidden_state"]),
    "text": ("minilm", {"text": texts()}, ["sentence_embedding", "last_hidden_state"]),
    "bf16": ("minilm-reuse-bf16", {"text": texts()}, ["sentence_embedding"]),
    "logits": ("tiny-classifier", {"input_ids": IDS}, ["logits"]),
}


@pytest.fixture(scope="module")
def expected(grpc_client):
    """What gRPC answers to a request of REQUESTS."""
    answers = {}
    for name, (model, arrays, outputs) in REQUESTS.items():
        inputs = [make_input(key, array, module=tritonclient.grpc) for key, array in arrays.items()]
        wanted = [tritonclient.grpc.InferRequestedOutput(output) for output in outputs]
        result = grpc_client.infer(model, inputs, outputs=wanted)
        answers[name] = {output: result.as_numpy(output) for output in outputs}
    return answers


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes-out", "json-out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["bytes-in", "json-in"])
@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_those_of_grpc(client, expected, name, binary_in, binary_out, coding):
    model, arrays, outputs = REQUESTS[name]
    inputs = [make_input(key, array, binary_in) for key, array in arrays.items()]
    wanted = [tritonclient.http.InferRequestedOutput(o, binary_data=binary_out) for o in outputs]
    result = client.infer(
        model, inputs, outputs=wanted, request_id="mine",
        request_compression_algorithm=coding, response_compression_algorithm=coding,
    )
    reply = result.get_response()
    assert reply["id"] == "mine" and reply["model_name"] == model and reply["model_version"] == "1"
    assert [output["name"] for output in reply["outputs"]] == outputs
    for output in outputs:
        found = result.as_numpy(output)
        assert found.dtype == np.float32 and found.shape == expected[name][output].shape
        assert found.tobytes() == expected[name][output].tobytes()


def test_without_named_outputs_the_defaults_come_as_bytes(client, expected):
    result = client.infer("minilm", [make_input("text", texts())])
    assert [output["name"] for output in result.get_response()["outputs"]] == ["sentence_embedding"]
    assert "binary_data_size" in result.get_response()["outputs"][0]["parameters"]
    found = result.as_numpy("sentence_embedding")
    assert found.tobytes() == expected["text"]["sentence_embedding"].tobytes()


def test_it_sees_a_live_and_ready_server(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("minilm-reuse")
    assert client.is_model_ready("tiny-versions", "2")
    assert not client.is_model_ready("nobody")


def test_it_reads_metadata_and_config(client, grpc_client):
    metadata = client.get_server_metadata()
    assert metadata["name"] == "reprise" and "binary_tensor_data" in metadata["extensions"]
    model = client.get_model_metadata("minilm")
    over_grpc = grpc_client.get_model_metadata("minilm")
    assert model["versions"] == list(over_grpc.versions)
    assert [(t["name"], t["datatype"], t["shape"]) for t in model["inputs"] + model["outputs"]] == [
        (t.name, t.datatype, list(t.shape)) for t in [*over_grpc.inputs, *over_grpc.outputs]
    ]
    config = client.get_model_config("minilm-reuse", "1")
    assert config["max_batch_size"] == grpc_client.get_model_config("minilm-reuse").config.max_batch_size
    assert config["input"][0]["data_type"] == "TYPE_INT64"
    assert config["parameters"]["reprise.reuse_plan"]["string_value"] == "3x4"


def test_it_lists_the_models(client):
    models = {(m["name"], m["version"]): m["state"] for m in client.get_model_repository_index()}
    assert models[("minilm", "1")] == "READY"
    assert ("tiny-versions", "1") in models and ("tiny-versions", "2") in models


def test_a_version_can_be_asked_for(client):
    ids = [make_input("input_ids", IDS)]
    states = {}
    for version in ("", "1", "2"):
        result = client.infer("tiny-versions", ids, model_version=version)
        assert result.get_response()["model_version"] == (version or "2")
        states[version] = result.as_numpy("last_hidden_state").tobytes()
    assert states[""] == states["2"] != states["1"]


@pytest.mark.parametrize("as_bytes", [True, False])
def test_classification_names_the_best_classes(client, expected, as_bytes):
    wanted = tritonclient.http.InferRequestedOutput("logits", binary_data=as_bytes, class_count=2)
    result = client.infer("tiny-classifier", [make_input("input_ids", IDS)], outputs=[wanted])
    classes = result.as_numpy("logits")
    names = ["calm", "lively", "stormy"]
    for row, found in zip(expected["logits"]["logits"], classes):
        for index, element in zip(np.argsort(-row), found):
            text = element.decode() if isinstance(element, bytes) else element
            score, number, name = text.split(":")
            assert (np.float32(score), int(number), name) == (row[index], index, names[index])


def test_priority_timeout_and_parameters_are_accepted(client):
    result = client.infer(
        "tiny", [make_input("input_ids", IDS)], priority=3, timeout=10_000_000, sequence_id=9,
        sequence_start=True, sequence_end=True, parameters={"of_the_caller": "anything"},
    )
    assert result.as_numpy("last_hidden_state").shape == (2, 4, 32)


def test_text_is_cut_only_when_asked(client):
    long_text = [make_input("text", texts(["word " * 1000]))]
    with pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", long_text)
    assert caught.value.status() == "400"
    result = client.infer("minilm", long_text, parameters={"truncate": True})
    assert result.as_numpy("sentence_embedding").shape == (1, 384)


def test_errors_are_those_of_grpc(client, grpc_client):
    def complaint(of, module, model, name, array):
        with pytest.raises(InferenceServerException) as caught:
            of.infer(model, [make_input(name, array, module=module)])
        return caught.value

    cases = [
        ("nobody", "input_ids", IDS, "404"),
        ("tiny", "nothing", IDS, "400"),
        ("tiny", "input_ids", np.array([[100000]]), "400"),
        ("tiny", "input_ids", np.zeros((1, 0), np.int64), "400"),
        ("minilm", "text", np.array([b"\xff\xfe"], dtype=object), "400"),
    ]
    for model, name, array, status in cases:
        over_http = complaint(client, tritonclient.http, model, name, array)
        over_grpc = complaint(grpc_client, tritonclient.grpc, model, name, array)
        assert over_http.status() == status
        assert over_http.message() == over_grpc.message()


def test_async_replies_arrive(client, expected):
    _, arrays, _ = REQUESTS["ids"]
    inputs = [make_input(key, array) for key, array in arrays.items()]
    calls = [client.async_infer("tiny", inputs, request_id=str(i)) for i in range(40)]
    for number, call in enumerate(calls):
        result = call.get_result()
        assert result.get_response()["id"] == str(number)
        found = result.as_numpy("last_hidden_state")
        assert found.tobytes() == expected["ids"]["last_hidden_state"].tobytes()


def test_asyncio_replies_arrive(server, expected):
    async def ask():
        address = server.http_address
        async with tritonclient.http.aio.InferenceServerClient(address) as aio:
            assert await aio.is_server_ready()
            inputs = [make_input("text", texts())]
            results = await asyncio.gather(*(aio.infer("minilm", inputs) for _ in range(10)))
            return [result.as_numpy("sentence_embedding").tobytes() for result in results]

    wanted = expected["text"]["sentence_embedding"].tobytes()
    assert asyncio.run(ask()) == [wanted] * 10


def test_calls_are_counted_by_protocol(server, client):
    def count(protocol):
        page = Scrape(server.metrics_port)
        labels = {"protocol": protocol, "method": "ModelInfer", "code": "OK"}
        return page.value("reprise_requests_total", **labels)

    before = count("http"), count("grpc")
    client.infer("tiny", [make_input("input_ids", IDS)])
    assert (count("http"), count("grpc")) == (before[0] + 1, before[1])


def test_a_client_that_goes_away_cancels_its_request(server):
    big = [make_input("input_ids", np.full((8, 512), 7, np.int64))]

    def cancelled():
        page = Scrape(server.metrics_port)
        labels = {"protocol": "http", "method": "ModelInfer", "code": "CANCELLED"}
        return page.value("reprise_requests_total", **labels)

    before = cancelled()
    with tritonclient.http.InferenceServerClient(
        server.http_address, network_timeout=0.2
    ) as impatient:
        with pytest.raises(Exception):
            for _ in range(20):  # one that is answered in time proves nothing
                impatient.infer("minilm", big)
    scrape_when(server.metrics_port, lambda page: cancelled() > before)
    scrape_when(server.metrics_port, lambda page: page.total("reprise_inflight_requests") == 0)


def test_it_tells_statistics_as_grpc_does(client, grpc_client):
    client.infer("tiny", [make_input("input_ids", IDS)])
    over_http = client.get_inference_statistics("tiny")["model_stats"][0]
    over_grpc = grpc_client.get_inference_statistics("tiny", as_json=True)["model_stats"][0]
    assert over_http["inference_stats"].keys() == over_grpc["inference_stats"].keys()
    assert over_http["inference_count"] == int(over_grpc["inference_count"]) >= 2
    assert {"tiny", "minilm"} <= {each["name"] for each in client.get_inference_statistics()["model_stats"]}


def test_it_changes_log_settings(client, grpc_client):
    before = client.get_log_settings()
    try:
        assert client.update_log_settings({"log_verbose_level": 1}) == before | {"log_verbose_level": 1}
        assert client.get_log_settings() == before | {"log_verbose_level": 1}
        with pytest.raises(InferenceServerException, match="log_colour"):
            client.update_log_settings({"log_colour": True})
    finally:
        client.update_log_settings({"log_verbose_level": before["log_verbose_level"]})
    assert client.get_log_settings() == before


def test_it_loads_lists_and_unloads_models(start_server, tiny_repository):
    server = start_server(tiny_repository, "--model-control", "explicit", "--load-model", "tiny").await_ready()
    with tritonclient.http.InferenceServerClient(server.http_address) as client:
        assert {each["name"] for each in client.get_model_repository_index() if each["state"] == "READY"} == {"tiny"}
        client.unload_model("tiny")
        assert not client.is_model_ready("tiny")
        with pytest.raises(InferenceServerException, match="nobody"):
            client.load_model("nobody")
        with pytest.raises(InferenceServerException, match="config"):
            client.load_model("tiny", config="{")
        client.load_model("tiny")
        assert client.infer("tiny", [make_input("input_ids", IDS)]).as_numpy("pooler_output").shape[0] == 2


def test_it_says_where_the_time_went_when_asked(client):
    reply = client.infer("tiny", [make_input("input_ids", IDS)], parameters={"reprise_timing": True}).get_response()
    assert reply["parameters"].keys() == {
        "reprise_queue_us", "reprise_compute_us", "reprise_batch_rows", "reprise_batch_tokens"}
    assert reply["parameters"]["reprise_batch_rows"] >= 2
