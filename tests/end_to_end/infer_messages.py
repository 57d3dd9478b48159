"""ModelInfer messages as tritonclient's protocol classes, and the arrays in their replies."""

import struct

import numpy as np
from tritonclient.grpc import service_pb2


def raw_int64(values):
    return np.asarray(values, dtype="<i8").tobytes()


def raw_bytes(elements):
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def add_raw(request, name, datatype, shape, content):
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.append(content)


def ids_request(model, ids, mask=None, types=None, outputs=(), **fields):
    """Raw inputs; `ids` and the like are nested lists or arrays of equal rows."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for name, values in (("input_ids", ids), ("attention_mask", mask), ("token_type_ids", types)):
        if values is not None:
            add_raw(request, name, "INT64", np.shape(values), raw_int64(values))
    for output in outputs:
        request.outputs.add(name=output)
    return request


def text_request(model, texts, truncate=None, outputs=(), **fields):
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    elements = [text if isinstance(text, bytes) else text.encode() for text in texts]
    add_raw(request, "text", "BYTES", [len(elements)], raw_bytes(elements))
    if truncate is not None:
        request.parameters["truncate"].bool_param = truncate
    for output in outputs:
        request.outputs.add(name=output)
    return request


def typed_ids_request(model, ids, **fields):
    """The same ids in `contents` instead of raw bytes."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    tensor = request.inputs.add(name="input_ids", datatype="INT64", shape=np.shape(ids))
    tensor.contents.int64_contents.extend(np.ravel(ids).tolist())
    return request


def outputs_of(reply):
    """FP32 arrays by output name."""
    assert len(reply.outputs) == len(reply.raw_output_contents)
    arrays = {}
    for tensor, content in zip(reply.outputs, reply.raw_output_contents):
        assert tensor.datatype == "FP32" and not tensor.HasField("contents")
        arrays[tensor.name] = np.frombuffer(content, "<f4").reshape(tuple(tensor.shape))
    return arrays


def cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
