"""Each wrong request gets a code and a message that says what was found and expected, and the server serves on."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

from infer_messages import (
    add_raw,
    ids_request,
    outputs_of,
    raw_bytes,
    raw_int64,
    text_request,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

ONES = [[1, 1, 1]]


def raw(name, datatype, shape, content, model="tiny"):
    request = service_pb2.ModelInferRequest(model_name=model)
    add_raw(request, name, datatype, shape, content)
    return request


def with_parameter(request, key, **value):
    for kind, content in value.items():
        setattr(request.parameters[key], kind, content)
    return request


def with_input(request, name, datatype, shape, content):
    add_raw(request, name, datatype, shape, content)
    return request


def with_output_parameter(output, key, value):
    request = ids_request("tiny", ONES, outputs=[output])
    request.outputs[0].parameters[key].int64_param = value
    return request


def with_input_parameter(key, value):
    request = ids_request("tiny", ONES)
    request.inputs[0].parameters[key].string_param = value
    return request


def raw_and_contents():
    request = ids_request("tiny", ONES)
    request.inputs[0].contents.int64_contents.extend([1, 1, 1])
    return request


def raw_for_one_of_two():
    request = ids_request("tiny", ONES)
    request.inputs.add(name="attention_mask", datatype="INT64", shape=[1, 3])
    return request


def raw_left_over():
    request = ids_request("tiny", ONES)
    request.raw_input_contents.append(b"")
    return request


def typed(datatype, field, values, extra=None, shape=None):
    request = service_pb2.ModelInferRequest(model_name="tiny")
    shape = shape or [1, len(values)]
    tensor = request.inputs.add(name="input_ids", datatype=datatype, shape=shape)
    getattr(tensor.contents, field).extend(values)
    for other, more in (extra or {}).items():
        getattr(tensor.contents, other).extend(more)
    return request


BYTES_PAST_THE_END = (9).to_bytes(4, "little") + b"short"

# What is wrong: the request, the code, what the message must say.
SHAPES = {
    "fewer bytes than the shape": (
        raw("input_ids", "INT64", [1, 4], raw_int64([1, 2, 3])), INVALID, ["24 bytes", "[1,4]"]),
    "more bytes than the shape": (
        raw("input_ids", "INT64", [1, 2], raw_int64([1, 2, 3])), INVALID, ["24 bytes", "[1,2]"]),
    "fewer typed elements than the shape": (
        typed("INT64", "int64_contents", [1, 2], shape=[1, 3]), INVALID, ["2 elements", "expected 3"]),
    "one dimension": (
        raw("input_ids", "INT64", [3], raw_int64([1, 2, 3])), INVALID, ["[3]", "[rows, columns]"]),
    "three dimensions": (
        raw("input_ids", "INT64", [1, 1, 1], raw_int64([1])), INVALID, ["[1,1,1]"]),
    "no dimension": (raw("input_ids", "INT64", [], raw_int64([1])), INVALID, ["[]"]),
    "no row": (raw("input_ids", "INT64", [0, 3], b""), INVALID, ["0 rows", "expected 1 to"]),
    "no column": (raw("input_ids", "INT64", [1, 0], b""), INVALID, ["0 columns", "expected 1 to"]),
    "a negative dimension": (
        raw("input_ids", "INT64", [-1, 3], raw_int64([1, 2, 3])), INVALID, ["-1", "negative"]),
    "dimensions whose product overflows": (
        raw("input_ids", "INT64", [2**62, 2**62], b""), INVALID, ["64 bits"]),
    "dimensions whose product overflows to 0": (
        raw("input_ids", "INT64", [2**32, 2**32], b""), INVALID, ["64 bits"]),
    "dimensions whose bytes overflow": (
        raw("input_ids", "INT64", [2**31, 2**31], b""), INVALID, ["0 bytes"]),
    "huge dimensions behind a zero": (
        raw("input_ids", "INT64", [0, 2**62, 2**62], b""), INVALID, []),
    "more rows than a batch holds": (
        ids_request("tiny", [[1]] * 257), INVALID, ["257 rows", "1 to 256"]),
    "more columns than positions": (
        ids_request("tiny", [[1] * 49]), INVALID, ["49 columns", "1 to 48"]),
    "more tokens than a batch holds": (
        ids_request("tiny", [[1] * 48] * 100), INVALID, ["4096", "max_batch_tokens"]),
    "a mask of another shape": (
        ids_request("tiny", ONES, mask=[[1, 1]]), INVALID, ["attention_mask", "[1,2]", "[1,3]"]),
    "types of another shape": (
        ids_request("tiny", ONES, types=[[0], [0]]), INVALID, ["token_type_ids", "[2,1]"]),
    "text of two columns": (
        raw("text", "BYTES", [1, 2], raw_bytes([b"a", b"b"]), "minilm"), INVALID, ["[1,2]"]),
}
VALUES = {
    "an id below 0": (ids_request("tiny", [[1, -1]]), INVALID, ["-1", "row 0, column 1", "0 to 99"]),
    "an id beyond the vocabulary": (ids_request("tiny", [[1], [100]]), INVALID, ["100", "row 1"]),
    "an id beyond 32 bits": (ids_request("tiny", [[2**40 + 1]]), INVALID, ["1099511627777"]),
    "a type out of range": (
        ids_request("tiny", ONES, types=[[0, 2, 0]]), INVALID, ["token_type_ids", "0 to 1"]),
    "a mask of 2": (ids_request("tiny", ONES, mask=[[1, 2, 1]]), INVALID, ["attention_mask", "2"]),
    "a mask of -1": (ids_request("tiny", ONES, mask=[[1, -1, 1]]), INVALID, ["attention_mask"]),
    "a row without a real token": (
        ids_request("tiny", [[1, 1], [1, 1]], mask=[[1, 1], [0, 0]]), INVALID, ["row 1", "0 in all"]),
    "text that is not UTF-8": (text_request("minilm", ["fine", b"\xff\xfe"]), INVALID, ["row 1", "UTF-8"]),
    "text too long by a token": (
        text_request("minilm", ["word " * 255]), INVALID, ["257 tokens", "256", "truncate"]),
    "text of too many bytes": (
        text_request("minilm", ["x" * ((1 << 20) + 1)]), INVALID, ["1048577", "1048576"]),
}
DATATYPES = {
    "ids of 32 bits": (
        raw("input_ids", "INT32", [1, 1], b"\0\0\0\0"), INVALID, ["input_ids", "INT32", "INT64"]),
    "ids as floats": (typed("FP32", "fp32_contents", [1.0]), INVALID, ["FP32", "INT64"]),
    "a datatype that does not exist": (
        raw("input_ids", "INT65", [1, 1], raw_int64([1])), INVALID, ["INT65", "expected"]),
    "a datatype in lower case": (
        raw("input_ids", "int64", [1, 1], raw_int64([1])), INVALID, ["int64"]),
    "text as numbers": (raw("text", "INT64", [1], raw_int64([1]), "minilm"), INVALID, ["BYTES"]),
    "typed elements in the wrong field": (
        typed("INT64", "int_contents", [1]), INVALID, ["int_contents", "int64_contents"]),
    "typed elements in two fields": (
        typed("INT64", "int64_contents", [1], {"fp32_contents": [1.0]}), INVALID, ["fp32_contents"]),
    "half floats outside of raw bytes": (
        typed("FP16", "fp32_contents", [1.0]), INVALID, ["FP16", "raw_input_contents"]),
}
BYTES = {
    "a length past the end": (
        raw("text", "BYTES", [1], BYTES_PAST_THE_END, "minilm"), INVALID, ["9 bytes", "5 are left"]),
    "a length cut off": (raw("text", "BYTES", [1], b"\1\0", "minilm"), INVALID, ["length of element 0"]),
    "a length near 2^32": (
        raw("text", "BYTES", [1], b"\xff\xff\xff\xffab", "minilm"), INVALID, ["4294967295"]),
    "too few elements": (
        raw("text", "BYTES", [2], raw_bytes([b"one"]), "minilm"), INVALID, ["1 elements", "expected 2"]),
    "too many elements": (
        raw("text", "BYTES", [1], raw_bytes([b"a", b"b"]), "minilm"), INVALID, ["more than the 1"]),
    "a shape that promises far more": (
        raw("text", "BYTES", [2**40], raw_bytes([b"a"]), "minilm"), INVALID, ["expected 1099511627776"]),
}
NAMES = {
    "an unknown model": (
        ids_request("nobody", ONES), NOT_FOUND, ["Request for unknown model: 'nobody' is not found"]),
    "an empty model name": (ids_request("", ONES), NOT_FOUND, ["''"]),
    "a path as the model's name": (ids_request("../tiny", ONES), NOT_FOUND, ["../tiny"]),
    "an unknown version": (
        ids_request("tiny", ONES, model_version="7"), NOT_FOUND, ["'tiny' version 7 is not found"]),
    "a version that is no number": (
        ids_request("tiny", ONES, model_version="newest"), INVALID, ["newest", "integer"]),
    "a negative version": (ids_request("tiny", ONES, model_version="-1"), INVALID, ["-1"]),
    "an unknown input": (
        with_input(ids_request("tiny", ONES), "ids", "INT64", [1, 1], raw_int64([1])),
        INVALID, ["'ids'", "input_ids, attention_mask, token_type_ids"]),
    "an input given twice": (
        with_input(ids_request("tiny", ONES), "input_ids", "INT64", [1, 1], raw_int64([1])),
        INVALID, ["'input_ids'", "twice"]),
    "no input": (service_pb2.ModelInferRequest(model_name="tiny"), INVALID, ["'input_ids' is missing"]),
    "neither ids nor text": (
        service_pb2.ModelInferRequest(model_name="minilm"), INVALID, ["neither is given"]),
    "ids and text": (
        with_input(ids_request("minilm", ONES), "text", "BYTES", [1], raw_bytes([b"a"])),
        INVALID, ["both are given"]),
    "a mask for text": (
        with_input(text_request("minilm", ["a"]), "attention_mask", "INT64", [1, 1], raw_int64([1])),
        INVALID, ["attention_mask", "text"]),
    "a mask alone": (
        raw("attention_mask", "INT64", [1, 1], raw_int64([1])), INVALID, ["'input_ids' is missing"]),
    "text for a model without a tokenizer": (
        text_request("tiny", ["a"]), INVALID, ["tokenizer.json", "input_ids"]),
    "an unknown output": (
        ids_request("tiny", ONES, outputs=["embedding"]), INVALID, ["'embedding'", "last_hidden_state"]),
    "an output that this model has not": (
        ids_request("tiny", ONES, outputs=["logits"]), INVALID, ["'logits'"]),
    "an output asked for twice": (
        ids_request("tiny", ONES, outputs=["pooler_output"] * 2), INVALID, ["'pooler_output'", "twice"]),
}
PARAMETERS = {
    "an unknown triton_ parameter": (
        with_parameter(ids_request("tiny", ONES), "triton_magic", bool_param=True),
        INVALID, ["triton_magic"]),
    "truncate as text": (
        with_parameter(text_request("minilm", ["a"]), "truncate", string_param="true"),
        INVALID, ["truncate", "bool"]),
    "a negative timeout": (
        with_parameter(ids_request("tiny", ONES), "timeout", int64_param=-5), INVALID, ["timeout"]),
    "a priority as text": (
        with_parameter(ids_request("tiny", ONES), "priority", string_param="high"),
        INVALID, ["priority", "integer"]),
    "no class asked for": (
        with_output_parameter("pooler_output", "classification", 0), INVALID, ["classification"]),
    "classes of a sequence of vectors": (
        with_output_parameter("last_hidden_state", "classification", 2),
        INVALID, ["last_hidden_state", "3 dimensions"]),
    "an input in shared memory": (
        with_input_parameter("shared_memory_region", "r"), UNIMPLEMENTED, ["shared memory"]),
}
CONTENTS = {
    "raw bytes and contents": (raw_and_contents(), INVALID, ["contents", "raw_input_contents"]),
    "raw bytes for one of two inputs": (raw_for_one_of_two(), INVALID, ["1 entries", "2 inputs"]),
    "raw bytes left over": (raw_left_over(), INVALID, ["2 entries", "1 inputs"]),
}

CASES = SHAPES | VALUES | DATATYPES | BYTES | NAMES | PARAMETERS | CONTENTS


@pytest.fixture(scope="module")
def good_reply(stub):
    return outputs_of(stub.ModelInfer(ids_request("tiny", ONES)))


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_a_reason(server, stub, good_reply, case):
    request, code, fragments = CASES[case]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=30)
    message = caught.value.details()
    assert caught.value.code() == code, message
    assert all(fragment in message for fragment in fragments), message
    assert len(message) <= 1100, "no message repeats what it was sent at length"
    assert server.is_running()
    after = outputs_of(stub.ModelInfer(ids_request("tiny", ONES)))
    assert all((after[name] == good_reply[name]).all() for name in good_reply)


@pytest.mark.parametrize(
    "fields,code,fragment",
    [
        (dict(model="minilm"), INVALID, "text"),
        (dict(model="nobody", texts=["a"]), NOT_FOUND, "nobody"),
        (dict(model="tiny", texts=["a"]), INVALID, "tokenizer.json"),
        (dict(model="minilm", texts=["a"], version="9"), NOT_FOUND, "version 9"),
        (dict(model="minilm", texts=["a"], timeout_us=0), INVALID, "timeout_us"),
        (dict(model="minilm", texts=["word " * 300]), INVALID, "truncate"),
    ],
    ids=["no text", "unknown model", "no tokenizer", "unknown version", "timeout 0", "too long"],
)
def test_embed_refuses_what_model_infer_refuses(channel, wire, fields, code, fragment):
    embed, request_type = wire.method(channel, "reprise.v1.Reprise/Embed")
    with pytest.raises(grpc.RpcError) as caught:
        embed(request_type(**fields), timeout=30)
    assert caught.value.code() == code, caught.value.details()
    assert fragment in caught.value.details()


def test_a_refusal_carries_its_reason_for_programs(stub, wire):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(ids_request("tiny", [[-1]]))
    info = wire.error_details(caught.value)["ErrorInfo"]
    assert (info.reason, info.domain) == ("INVALID", "reprise")
