"""The messages that a run sends in turn: a file of ModelInfer requests, each behind its length as a varint.

ghz drops a message that is cut short without a word, and takes a file that it cannot split for one message; so what
was written is read back and compared.
"""

import random
import struct

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from problems import CouldNotRun


def ids_requests(model, lengths, count, seed, ids_below, outputs):
    """`count` requests of one row of random ids; lengths in turn."""
    draw = random.Random(seed)
    rows = ([draw.randrange(1, ids_below) for _ in range(lengths[index % len(lengths)])] for index in range(count))
    return [
        _request(model, outputs, "input_ids", "INT64", [1, len(row)], struct.pack(f"<{len(row)}q", *row))
        for row in rows
    ]


def text_requests(model, texts, outputs):
    """One request for each text."""
    encoded = (text.encode() for text in texts)
    return [_request(model, outputs, "text", "BYTES", [1], struct.pack("<I", len(each)) + each) for each in encoded]


def _request(model, outputs, name, datatype, shape, content):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.append(content)
    for output in outputs:
        request.outputs.add(name=output)
    return request


def write(path, requests):
    """Writes them, and checks that they are all there."""
    messages = [request.SerializeToString() for request in requests]
    path.write_bytes(b"".join(_varint(len(message)) + message for message in messages))
    check(path, requests)


def check(path, requests):
    """Reads the file as ghz does; CouldNotRun if it holds anything but these requests."""
    found = read(path)
    if found != requests:
        raise CouldNotRun(f"{path} holds {len(found)} messages, not the {len(requests)} written: is the disk full?")


def read(path):
    """The requests in a file; CouldNotRun for one that ghz would cut or misread."""
    content, offset, requests = path.read_bytes(), 0, []
    while offset < len(content):
        begin, size = _read_varint(path, content, offset)
        offset = begin + size
        if offset > len(content):
            raise CouldNotRun(f"{path}: message {len(requests) + 1} is cut short; ghz would drop it: write it again")
        try:
            requests.append(service_pb2.ModelInferRequest.FromString(content[begin:offset]))
        except DecodeError as error:
            raise CouldNotRun(f"{path}: message {len(requests) + 1} is no ModelInfer request: {error}") from error
    return requests


def _varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded + bytes([number]))


def _read_varint(path, content, offset):
    """The offset behind it, and its value."""
    value = 0
    for position in range(offset, min(offset + 10, len(content))):
        value |= (content[position] & 0x7F) << 7 * (position - offset)
        if content[position] < 0x80:
            return position + 1, value
    raise CouldNotRun(f"{path}: the length at byte {offset} is cut short, and ghz would drop it: write it again")
