"""The thin server around other engines (loadtest/servers): its protocol, its batches, its errors."""

import argparse
import asyncio
import os
import pathlib
import struct
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

SERVERS = pathlib.Path(__file__).resolve().parents[2] / "loadtest" / "servers"
sys.path.append(str(SERVERS))

import grpc_front  # noqa: E402
import options  # noqa: E402


def request_for(data, shape=(1,), name="text", length=None):
    request = service_pb2.ModelInferRequest(model_name="model", id="7")
    request.inputs.add(name=name, datatype="BYTES", shape=shape)
    request.raw_input_contents.append(struct.pack("<I", len(data) if length is None else length) + data)
    return request


def test_a_text_is_read_from_raw_and_from_typed_contents():
    assert grpc_front.text_of(request_for("Käse".encode())) == "Käse"
    typed = service_pb2.ModelInferRequest()
    typed.inputs.add(name="text", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(b"ab")
    assert grpc_front.text_of(typed) == "ab"


@pytest.mark.parametrize(
    "request_, says",
    [
        (request_for(b"a", name="ids"), "expected one input"),
        (request_for(b"a", shape=(2,)), "expected \\[1\\]"),
        (request_for(b"a", length=9), "four bytes of length"),
        (request_for(b"\xff"), "not UTF-8"),
        (service_pb2.ModelInferRequest(), "expected one input"),
    ],
)
def test_a_request_that_is_not_one_text_is_refused(request_, says):
    with pytest.raises(grpc_front.BadRequest, match=says):
        grpc_front.text_of(request_)


def test_an_answer_is_a_row_of_fp32():
    response = grpc_front.answer(request_for(b"a"), np.array([1.5, 2], np.float64))
    assert list(response.outputs[0].shape) == [1, 2]
    assert np.frombuffer(response.raw_output_contents[0], "<f4").tolist() == [1.5, 2]
    assert response.id == "7"


def test_a_batch_has_the_oldest_text_and_those_of_about_its_length():
    waiting = ["x" * length for length in (10, 100, 11, 95, 9, 10)]
    assert grpc_front.alike(waiting, 8) == [0, 2, 4, 5]
    assert grpc_front.alike(waiting, 2) == [0, 5]
    assert grpc_front.alike(waiting[1:], 8) == [0, 2]
    assert grpc_front.alike(["", ""], 8) == [0, 1]


def embed_all(embed, texts, max_batch_size):
    async def ask():
        async with grpc_front.Batcher(embed, max_batch_size, 0) as batcher:
            return await asyncio.gather(*map(batcher.embed, texts), return_exceptions=True)

    return asyncio.run(ask())


def test_batches_keep_to_their_size_and_answers_to_their_texts():
    sizes, lock = [], threading.Lock()

    def embed(texts):
        with lock:
            sizes.append(len(texts))
        return [int(text) for text in texts]

    assert embed_all(embed, [str(i) for i in range(20)], max_batch_size=8) == list(range(20))
    assert max(sizes) <= 8
    assert sum(sizes) == 20


def test_a_batch_that_fails_does_not_end_the_server():
    def embed(texts):
        if "bad" in texts:
            raise ValueError("cannot")
        return [1 for _ in texts]

    answers = embed_all(embed, ["a", "bad", "b"], max_batch_size=1)
    assert answers[0] == answers[2] == 1
    assert isinstance(answers[1], RuntimeError)


def infer_all(embed, requests, max_batch_size=8):
    """What a client gets over a connection for requests that are sent at once: replies, or errors."""

    async def ask():
        async with grpc_front.Batcher(embed, max_batch_size, 0) as batcher:
            server, port = await grpc_front.start(batcher.embed, 0)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
                replies = await asyncio.gather(*map(infer, requests), return_exceptions=True)
            await server.stop(None)
            return replies

    return asyncio.run(ask())


def row_of_length(texts):
    return [np.array([len(text)], np.float32) for text in texts]


def test_each_caller_gets_the_answer_to_its_own_text():
    replies = infer_all(row_of_length, [request_for(b"x" * n) for n in range(40)])
    assert [np.frombuffer(reply.raw_output_contents[0], "<f4")[0] for reply in replies] == list(range(40))


def test_a_bad_request_is_an_invalid_argument_and_the_others_are_answered():
    requests = [request_for(b"a"), request_for(b"\xff"), request_for(b"bc"), request_for(b"a", shape=(2,))]
    good, not_utf8, also_good, two = infer_all(row_of_length, requests)
    assert not_utf8.code() == two.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "not UTF-8" in not_utf8.details()
    assert np.frombuffer(good.raw_output_contents[0], "<f4") == 1
    assert np.frombuffer(also_good.raw_output_contents[0], "<f4") == 2


def test_an_engine_that_fails_is_an_internal_error():
    def embed(texts):
        raise ValueError("out of order")

    (error,) = infer_all(embed, [request_for(b"a")])
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "out of order" in error.details()


def test_a_server_says_where_it_listens_and_ends_on_sigterm():
    program = "import asyncio, grpc_front; asyncio.run(grpc_front.serve(None, 0))"
    with subprocess.Popen([sys.executable, "-c", program], cwd=SERVERS, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline().startswith("listening 127.0.0.1:")
        server.terminate()
        assert server.wait(30) == 0


def test_a_list_of_cores_is_read():
    core = min(os.sched_getaffinity(0))
    assert options.cores(f"{core}") == options.cores(f"{core}-{core},{core}") == {core}
    for wrong in ("", "a", "3-", "2-1", "100000"):
        with pytest.raises(argparse.ArgumentTypeError):
            options.cores(wrong)
