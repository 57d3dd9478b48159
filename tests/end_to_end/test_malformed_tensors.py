"""Every input tensor with every defect that a tensor can have on the wire: each is refused with its code, and the server
serves on. With the cases of test_bad_input.py these are the kinds of malformed request."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

from infer_messages import add_raw, ids_request, outputs_of, raw_bytes, raw_int64, text_request

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

# A good content of each input, two rows: what the defects below spoil.
GOOD = {
    "input_ids": ("INT64", [2, 3], raw_int64([1, 2, 3, 4, 5, 6])),
    "attention_mask": ("INT64", [2, 3], raw_int64([1, 1, 1, 1, 1, 0])),
    "token_type_ids": ("INT64", [2, 3], raw_int64([0, 0, 0, 0, 1, 1])),
    "text": ("BYTES", [2], raw_bytes([b"one", b"two"])),
}
OTHER_DATATYPES = ["BOOL", "INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BF16"]
SIZES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FP16": 2, "BF16": 2}
SIZES |= {"INT32": 4, "UINT32": 4, "FP32": 4, "UINT64": 8, "FP64": 8, "INT64": 8}


def elements(shape):
    count = 1
    for dimension in shape:
        count *= dimension
    return count


# Each defect: from a good tensor to a spoilt one.
DEFECTS = {
    "no bytes": lambda kind, shape, content: (kind, shape, b""),
    "a byte missing": lambda kind, shape, content: (kind, shape, content[:-1]),
    "a byte too many": lambda kind, shape, content: (kind, shape, content + b"\0"),
    "half the bytes": lambda kind, shape, content: (kind, shape, content[: len(content) // 2]),
    "no dimension": lambda kind, shape, content: (kind, [], content),
    "five dimensions": lambda kind, shape, content: (kind, [2, 1, 1, 1, 3], content),
    "a dimension of -1": lambda kind, shape, content: (kind, [-1, *shape[1:]], content),
    "the least dimension": lambda kind, shape, content: (kind, [-(2**63), *shape[1:]], content),
    "the largest dimension": lambda kind, shape, content: (kind, [2**63 - 1, *shape[1:]], content),
    "a product beyond 64 bits": lambda kind, shape, content: (kind, [2**62, 2**62], content),
    "no rows": lambda kind, shape, content: (kind, [0, *shape[1:]], b""),
    "an empty datatype": lambda kind, shape, content: ("", shape, content),
    "an unknown datatype": lambda kind, shape, content: ("INT128", shape, content),
    "a datatype in lower case": lambda kind, shape, content: (kind.lower(), shape, content),
}
DEFECTS |= {
    f"datatype {other}": lambda kind, shape, content, other=other: (other, shape, bytes(elements(shape) * SIZES[other]))
    for other in OTHER_DATATYPES
}


def request_with(spoilt_name, spoilt):
    model = "minilm" if spoilt_name == "text" else "tiny"
    request = service_pb2.ModelInferRequest(model_name=model)
    names = ["text"] if spoilt_name == "text" else ["input_ids", "attention_mask", "token_type_ids"]
    for name in names:
        add_raw(request, name, *(spoilt if name == spoilt_name else GOOD[name]))
    return request


def refused(stub, request, code):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=30)
    assert caught.value.code() == code, caught.value.details()
    return caught.value.details()


@pytest.fixture(scope="module")
def expected(stub):
    return {
        "tiny": outputs_of(stub.ModelInfer(ids_request("tiny", [[1, 2, 3]]))),
        "minilm": outputs_of(stub.ModelInfer(text_request("minilm", ["good"]))),
    }


def serves_on(server, stub, expected, model):
    assert server.is_running()
    good = ids_request("tiny", [[1, 2, 3]]) if model == "tiny" else text_request("minilm", ["good"])
    answer = outputs_of(stub.ModelInfer(good))
    return all((answer[name] == expected[model][name]).all() for name in expected[model])


def test_what_is_spoilt_below_is_good(stub):
    for name in GOOD:
        stub.ModelInfer(request_with(name, GOOD[name]))


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("name", GOOD)
def test_a_spoilt_tensor_is_refused_by_name(server, stub, expected, name, defect):
    request = request_with(name, DEFECTS[defect](*GOOD[name]))
    message = refused(stub, request, INVALID)
    assert name in message, message
    assert len(message) <= 1100
    assert serves_on(server, stub, expected, request.model_name)


# What the tensors say is good, how they are sent is not.
def contents_beside_raw(request):
    request.inputs[0].contents.int64_contents.append(1)


def one_raw_entry_less(request):
    del request.raw_input_contents[-1]


def one_raw_entry_more(request):
    request.raw_input_contents.append(b"\0")


def named_twice(request):
    add_raw(request, request.inputs[0].name, *GOOD[request.inputs[0].name])


def without_name(request):
    request.inputs[0].name = ""


def name_with_a_nul(request):
    request.inputs[0].name += "\0"


def name_of_64_kib(request):
    request.inputs[0].name = "x" * 65536


def shared_memory(request):
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"


SENT_WRONG = {
    contents_beside_raw: INVALID,
    one_raw_entry_less: INVALID,
    one_raw_entry_more: INVALID,
    named_twice: INVALID,
    without_name: INVALID,
    name_with_a_nul: INVALID,
    name_of_64_kib: INVALID,
    shared_memory: UNIMPLEMENTED,
}


@pytest.mark.parametrize("spoil", SENT_WRONG, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("name", ["input_ids", "text"])
def test_good_tensors_sent_wrong_are_refused(server, stub, expected, name, spoil):
    request = request_with(name, GOOD[name])
    spoil(request)
    message = refused(stub, request, SENT_WRONG[spoil])
    assert len(message) <= 1100
    assert serves_on(server, stub, expected, request.model_name)
