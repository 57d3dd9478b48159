"""Memory that runs out under a server costs the requests that it was for, and nothing else."""

import gzip
import http.client
import json
import os
import pathlib
import subprocess

import grpc
import pytest
from infer_messages import ids_request, text_request
from scrape import Scrape
from tritonclient.grpc import service_pb2_grpc

ROUNDS = 10
IDS = [[7] * 256] * 4  # answered with 1.5 MiB of last_hidden_state
PADDING = 1 << 20  # bytes that make a request large


@pytest.fixture(scope="module")
def failing_new(tmp_path_factory):
    """A library that lets some of the large allocations fail while a file exists."""
    library = tmp_path_factory.mktemp("failing_new") / "failing_new.so"
    source = pathlib.Path(__file__).with_name("failing_new.cc")
    subprocess.run(["c++", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def grpc_outcomes(stub):
    padded = ids_request("minilm", IDS)
    padded.parameters["note"].string_param = "x" * PADDING
    texts = text_request("minilm", ["some words " * 5000] * 8, truncate=True)
    for request in (padded, texts):
        try:
            stub.ModelInfer(request, timeout=60)
            yield "OK"
        except grpc.RpcError as error:
            yield error.code().name


def http_outcomes(server):
    ids = [value for row in IDS for value in row]
    tensor = {"name": "input_ids", "datatype": "INT64", "shape": [4, 256], "data": ids}
    body = json.dumps({"inputs": [tensor]}).encode() + b" " * PADDING
    for sent, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        connection.request("POST", "/v2/models/minilm/infer", sent, headers)
        response = connection.getresponse()
        response.read()
        yield response.status
        connection.close()


@pytest.mark.allocator
def test_requests_without_memory_fail_alone(start_server, full_repository, failing_new, tmp_path):
    armed = tmp_path / "armed"
    env = os.environ | {"LD_PRELOAD": str(failing_new), "FAILING_NEW_WHILE": str(armed)}
    server = start_server(full_repository, env=env).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def outcomes():
            return list(grpc_outcomes(stub)), list(http_outcomes(server))

        assert outcomes() == (["OK"] * 2, [200] * 2)
        armed.touch()
        rounds = [outcomes() for _ in range(ROUNDS)]
        armed.unlink()
        over_grpc = {code for codes, _ in rounds for code in codes}
        over_http = {status for _, statuses in rounds for status in statuses}
        assert over_grpc - {"OK"} == {"RESOURCE_EXHAUSTED"}
        assert over_http - {200} == {429}
        assert outcomes() == (["OK"] * 2, [200] * 2)
    page = Scrape(server.metrics_port)
    assert page.total("reprise_inflight_requests") == 0
    assert page.total("reprise_queue_requests") == 0
    server.stop()
