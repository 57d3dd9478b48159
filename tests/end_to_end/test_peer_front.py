"""The thin server around other engines (loadtest/servers): its protocol, its batches, its errors."""

import asyncio
import pathlib
import struct
import sys
import threading

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "loadtest" / "servers"))

import grpc_front  # noqa: E402


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


def embed_all(embed, texts, max_batch_size):
    async def ask():
        batcher = grpc_front.Batcher(embed, max_batch_size, 0)
        running = asyncio.create_task(batcher.run())
        try:
            return await asyncio.gather(*map(batcher.embed, texts), return_exceptions=True)
        finally:
            running.cancel()

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
