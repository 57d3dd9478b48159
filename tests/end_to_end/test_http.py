"""HTTP as anybody may speak it: curl, Python's own client, bytes by hand, and a server that stops."""

import concurrent.futures
import gzip
import http.client
import json
import signal
import socket
import subprocess

import numpy as np
import pytest

from scrape import scrape_when

IDS = {"name": "input_ids", "datatype": "INT64", "shape": [1, 3], "data": [5, 17, 42]}


def ask(server, method, path, body=None, headers=None):
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def infer(server, model, *inputs, headers=None, **more):
    body = json.dumps({"inputs": list(inputs), **more})
    return ask(server, "POST", f"/v2/models/{model}/infer", body, headers)


def curl(server, *arguments, check=True):
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True)
    assert not check or result.returncode == 0, result.stderr
    return result.stdout


def test_curl_needs_nothing_but_the_address(server):
    base = f"http://{server.http_address}/v2"
    assert json.loads(curl(server, base))["name"] == "reprise"
    assert json.loads(curl(server, f"{base}/health/ready")) == {"ready": True}
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A text."]}]}
    reply = json.loads(curl(server, f"{base}/models/minilm/infer", "--data", json.dumps(body)))
    (output,) = reply["outputs"]
    assert output["name"] == "sentence_embedding" and output["shape"] == [1, 384]
    assert abs(np.linalg.norm(output["data"]) - 1) < 1e-5


def test_curl_sends_chunks_compressed_and_after_100_continue(server, tmp_path):
    body = json.dumps({"inputs": [IDS | {"shape": [1, 40], "data": list(range(40))}]}).encode()
    url = f"http://{server.http_address}/v2/models/tiny/infer"
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(body)
    packed.write_bytes(gzip.compress(body))
    expected = curl(server, url, "--data-binary", f"@{plain}")
    assert json.loads(expected)["outputs"]
    for arguments in (
        ["-H", "Transfer-Encoding: chunked", "--data-binary", f"@{plain}"],
        ["-H", "Content-Encoding: gzip", "--data-binary", f"@{packed}", "--compressed"],
        ["-H", "Expect: 100-continue", "--data-binary", f"@{plain}"],
        ["--http1.0", "--data-binary", f"@{plain}"],
    ):
        assert curl(server, url, *arguments) == expected, arguments


def test_numbers_in_a_config_are_numbers(server):
    _, _, body = ask(server, "GET", "/v2/models/tiny/config")
    config = json.loads(body)
    assert isinstance(config["dynamic_batching"]["max_queue_delay_microseconds"], int)
    assert isinstance(config["version_policy"]["specific"]["versions"][0], int)
    assert config["model_transaction_policy"] == {"decoupled": False}
    assert config["response_cache"] == {"enable": False}


def test_errors_are_json_with_exactly_that_content_type(server):
    for method, path, status in (
        ("GET", "/v2/models/nobody", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v2", 405),
        ("POST", "/v2/models/tiny/infer", 400),
        ("GET", "/v2/trace/setting", 501),
    ):
        found, headers, body = ask(server, method, path)
        assert found == status
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body).keys() == {"error"}


def test_a_head_request_has_the_headers_of_the_answer_and_no_body(server):
    status, headers, body = ask(server, "HEAD", "/v2/health/live")
    assert (status, headers["Content-Length"], body) == (200, "13", b"")


def test_the_raw_body_of_a_model_with_one_input(server):
    ids = np.array([5, 17, 42], np.int64)
    status, headers, body = ask(
        server, "POST", "/v2/models/tiny/infer", ids.tobytes(),
        {"Inference-Header-Content-Length": "0"},
    )
    assert status == 200, body
    assert headers["Content-Type"] == "application/octet-stream"
    length = int(headers["Inference-Header-Content-Length"])
    outputs = json.loads(body[:length])["outputs"]
    assert sum(o["parameters"]["binary_data_size"] for o in outputs) == len(body) - length
    _, _, as_json = infer(server, "tiny", IDS)
    first = json.loads(as_json)["outputs"][0]
    found = np.frombuffer(body[length:][: outputs[0]["parameters"]["binary_data_size"]], "<f4")
    assert found.tolist() == np.array(first["data"], np.float32).tolist()


def test_pipelined_requests_are_answered_in_order(server):
    body = json.dumps({"id": "@", "inputs": [IDS]})
    with socket.create_connection(("127.0.0.1", server.http_port)) as connection:
        for number in range(20):
            text = body.replace("@", f"{number:02}")
            head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(text)}"
            connection.sendall(f"{head}\r\n\r\n{text}".encode())
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    positions = [received.index(f'"id":"{number:02}"'.encode()) for number in range(20)]
    assert positions == sorted(positions)
    assert received.endswith(b'{"live":true}')


def test_a_body_above_the_limit_is_refused_whatever_it_claims(start_server, tiny_repository):
    server = start_server(tiny_repository, "--max-receive-bytes", "100KiB").await_ready()
    for headers, body in (
        ({}, b" " * 200_000),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * 50_000_000)),
    ):
        status, _, answer = ask(server, "POST", "/v2/models/tiny/infer", body, headers)
        assert status == 413 and b"--max-receive-bytes" in answer
    assert infer(server, "tiny", IDS)[0] == 200
    server.stop()


def test_a_full_queue_is_429_with_a_hint(start_server, full_repository):
    checkpoint = full_repository / "minilm" / "1"
    flags = ("--model-name", "minilm", "--max-queue-requests", 1, "--threads", 1)
    server = start_server(checkpoint, *flags).await_ready()
    # Under a second of work on a slow processor, for the hint, and on a fast one long enough to be found busy.
    big = {"name": "input_ids", "datatype": "INT64", "shape": [3, 512], "data": [7] * 1536}
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: infer(server, "minilm", big), range(8)))
    refused = [headers for status, headers, _ in answers if status == 429]
    assert refused and all(headers["Retry-After"] == "1" for headers in refused)
    assert {status for status, _, _ in answers} == {200, 429}
    server.stop()


def test_a_drain_finishes_what_is_under_way_and_sends_the_rest_elsewhere(
    start_server, full_repository
):
    server = start_server(full_repository / "minilm" / "1", "--model-name", "minilm").await_ready()
    big = {"name": "input_ids", "datatype": "INT64", "shape": [8, 512], "data": [7] * 4096}
    kept = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    kept.request("GET", "/v2/health/live")
    assert kept.getresponse().read() == b'{"live":true}'
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(infer, server, "minilm", big) for _ in range(4)]
        scrape_when(
            server.metrics_port, lambda page: page.total("reprise_inflight_requests") == 4
        )
        server.signal(signal.SIGTERM)
        server.await_log("taking no new inferences")
        kept.request("GET", "/v2/health/ready")
        response = kept.getresponse()
        assert response.status == 503 and response.headers["Connection"] == "close"
        status, headers, _ = infer(server, "minilm", IDS)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert {call.result()[0] for call in calls} == {200}
    assert server.wait() == 0


def test_without_http_nothing_listens(start_server, tiny_repository):
    server = start_server(tiny_repository, "--no-http").await_ready()
    assert server.http_port is None
    server.stop()


def test_it_listens_on_the_address_of_the_other_ports(start_server, tiny_repository):
    host = "127.0.0.2"
    server = start_server(tiny_repository, "--host", host).await_ready()
    with socket.create_connection((host, server.http_port)) as connection:
        connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(4096).endswith(b'{"ready":true}')
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.http_port))
    server.stop()
