"""Bytes that are no message, methods that do not exist, messages that are too large: answered, counted, survived."""

import re
import socket

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, outputs_of, text_request
from scrape import Scrape

MEBIBYTE = 1 << 20


def send_bytes(channel, method, content):
    call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
    return call(content, timeout=30)


@pytest.fixture
def small_server(start_server, full_repository):
    """Takes and gives no message over 1 MiB."""
    flags = ["--max-receive-bytes", "1MiB", "--max-send-bytes", "1MiB"]
    return start_server(full_repository / "minilm" / "1", "--model-name", "minilm", *flags).await_ready()


@pytest.mark.parametrize("content", [b"\xff", b"\x0a\xff\xff\xff\xff\x0fx", b"\x2a\x05ab", b"\0" * 100])
@pytest.mark.parametrize(
    "method",
    [
        "inference.GRPCInferenceService/ModelInfer",
        "inference.GRPCInferenceService/ModelMetadata",
        "reprise.v1.Reprise/Embed",
        "grpc.health.v1.Health/Check",
    ],
)
def test_malformed_bytes_are_an_invalid_argument(channel, method, content):
    with pytest.raises(grpc.RpcError) as caught:
        send_bytes(channel, f"/{method}", content)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not a valid" in caught.value.details()


@pytest.mark.parametrize(
    "method",
    [
        "/inference.GRPCInferenceService/ModelInferr",
        "/inference.NoSuchService/ModelInfer",
        "/",
    ],
)
def test_an_unknown_method_is_unimplemented_and_counted(server, channel, method):
    def count():
        scrape = Scrape(server.metrics_port)
        labels = {"protocol": "grpc", "method": "_unknown", "code": "UNIMPLEMENTED"}
        return scrape.value("reprise_requests_total", **labels)

    before = count()
    with pytest.raises(grpc.RpcError) as caught:
        send_bytes(channel, method, b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert method in caught.value.details()
    assert count() == before + 1


@pytest.mark.parametrize(
    "method,request_type",
    [
        ("SystemSharedMemoryStatus", service_pb2.SystemSharedMemoryStatusRequest),
        ("TraceSetting", service_pb2.TraceSettingRequest),
    ],
)
def test_a_method_that_is_not_built_says_so(stub, method, request_type):
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(request_type())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert method in caught.value.details()


def assert_names_a_flag(run_reprise, message):
    flags = re.findall(r"--[a-z-]+", message)
    known = run_reprise("serve", "--help").stdout
    assert flags and all(flag in known for flag in flags), message


def test_a_message_over_the_limit_is_refused_by_us(small_server, run_reprise):
    with small_server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = ids_request("minilm", [[7, 7]])
        request.id = "x" * MEBIBYTE
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(MEBIBYTE) in caught.value.details()
        assert_names_a_flag(run_reprise, caught.value.details())
        request.id = "x" * (MEBIBYTE // 2)
        assert stub.ModelInfer(request).id == request.id
    scrape = Scrape(small_server.metrics_port)
    assert scrape.total("reprise_refused_total", reason="too_large") == 1
    small_server.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the start of a TLS handshake
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        b"",
    ],
    ids=["HTTP/1.1", "TLS", "broken frames", "nothing"],
)
def test_a_caller_that_speaks_something_else_harms_nobody(server, stub, content):
    with socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10) as connection:
        connection.sendall(content)
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
    assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready
    assert server.is_running()


def test_a_message_far_over_the_limit_never_reaches_us(small_server):
    with small_server.open_channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            send_bytes(channel, "/inference.GRPCInferenceService/ModelInfer", b"\0" * (8 * MEBIBYTE))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
    small_server.stop()


def test_a_reply_over_the_limit_is_refused_by_us(small_server, run_reprise):
    ids = [[7] * 500, [7] * 500]
    with small_server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(ids_request("minilm", ids, outputs=["last_hidden_state"]))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert_names_a_flag(run_reprise, caught.value.details())
        reply = stub.ModelInfer(ids_request("minilm", ids, outputs=["sentence_embedding"]))
        assert outputs_of(reply)["sentence_embedding"].shape == (2, 384)
    small_server.stop()


def test_a_large_request_within_the_limit_is_answered(stub):
    texts = ["w" * 100_000] * 100  # one long word each, which the tokenizer gives up on
    reply = stub.ModelInfer(text_request("minilm", texts, truncate=True))
    assert outputs_of(reply)["sentence_embedding"].shape == (100, 384)
