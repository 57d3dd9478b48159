"""The calls that ghz sends: ModelInferRequest messages, each with its length before it."""

import argparse
import random

import numpy as np
from google.protobuf.internal.decoder import _DecodeVarint32
from google.protobuf.internal.encoder import _VarintBytes
from tritonclient.grpc import service_pb2

SEED = 1


def lengths(text):
    values = [int(part) for part in text.split(",") if part.isdigit()]
    if len(values) != len(text.split(",")) or min(values, default=0) < 1:
        raise argparse.ArgumentTypeError(f"'{text}'; expected numbers of tokens, like 16,128")
    return values


def requests(model, output, tokens, vocab_size):
    """One request of random ids for each length; ghz sends them in turn."""
    rng = random.Random(SEED)
    made = []
    for count in tokens:
        request = service_pb2.ModelInferRequest(model_name=model)
        request.inputs.add(name="input_ids", datatype="INT64", shape=[1, count])
        ids = [rng.randrange(vocab_size) for _ in range(count)]
        request.raw_input_contents.append(np.array(ids, "<i8").tobytes())
        request.outputs.add(name=output)
        made.append(request)
    return made


def write(path, messages):
    """Writes and reads back: ghz drops a message that is cut off without a word."""
    texts = [message.SerializeToString() for message in messages]
    path.write_bytes(b"".join(_VarintBytes(len(text)) + text for text in texts))
    if read(path.read_bytes()) != messages:
        raise AssertionError(f"{path} does not have the {len(messages)} calls that were written; is the disk full?")


def read(data):
    """The messages in a file. ValueError if the last one is cut off."""
    messages, at = [], 0
    while at < len(data):
        size, at = _DecodeVarint32(data, at)
        if at + size > len(data):
            raise ValueError(f"call {len(messages) + 1} has {len(data) - at} of its {size} bytes")
        messages.append(service_pb2.ModelInferRequest.FromString(data[at : at + size]))
        at += size
    return messages
