"""Clients that send typed `contents`: plain stubs, the project's own proto, and what KServe's client sends."""

import uuid

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from infer_messages import ids_request, outputs_of, text_request, typed_ids_request

IDS = [[5, 17, 42, 9], [3, 8, 11, 2]]
# What the Open Inference Protocol's own definition has and Triton's lacks.
ONLY_IN_THE_OPEN_PROTOCOL = {"inference.ModelMetadataResponse.properties"}


def test_typed_ids_get_the_answer_of_raw_ids(stub):
    raw = outputs_of(stub.ModelInfer(ids_request("tiny", IDS)))
    typed = outputs_of(stub.ModelInfer(typed_ids_request("tiny", IDS)))
    assert typed.keys() == raw.keys()
    assert all((typed[name] == raw[name]).all() for name in raw)


def test_typed_text_gets_the_answer_of_raw_text(stub):
    texts = ["one", "and two"]
    request = service_pb2.ModelInferRequest(model_name="minilm")
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    typed = outputs_of(stub.ModelInfer(request))["sentence_embedding"]
    raw = outputs_of(stub.ModelInfer(text_request("minilm", texts)))["sentence_embedding"]
    assert (typed == raw).all()


@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids"])
def test_the_optional_inputs_may_be_typed(stub, name):
    values = [[1, 1, 1, 0], [1, 0, 0, 0]]
    request = typed_ids_request("tiny", IDS)
    tensor = request.inputs.add(name=name, datatype="INT64", shape=[2, 4])
    tensor.contents.int64_contents.extend(np.ravel(values).tolist())
    keyword = {"attention_mask": "mask", "token_type_ids": "types"}[name]
    raw = outputs_of(stub.ModelInfer(ids_request("tiny", IDS, **{keyword: values})))
    typed = outputs_of(stub.ModelInfer(request))
    assert all((typed[name] == raw[name]).all() for name in raw)


def test_what_kserves_client_sends_is_answered(stub):
    request = typed_ids_request("tiny", IDS, id=str(uuid.uuid4()))
    request.inputs[0].parameters["binary_data_size"].int64_param = 64  # leaks in from its REST side
    reply = stub.ModelInfer(request)
    assert reply.id == request.id
    assert outputs_of(reply)["last_hidden_state"].shape == (2, 4, 32)


def test_stubs_of_the_projects_own_proto_get_the_same_answer(channel, stub, wire):
    call, request_type = wire.method(channel, "inference.GRPCInferenceService/ModelInfer")
    request = request_type.FromString(typed_ids_request("tiny", IDS, id="own").SerializeToString())
    reply = call(request)
    assert reply.id == "own"
    expected = stub.ModelInfer(typed_ids_request("tiny", IDS, id="own"))
    assert list(reply.raw_output_contents) == list(expected.raw_output_contents)


def test_the_projects_proto_agrees_with_tritonclients_field_by_field(wire):
    ours = wire.pool.FindFileByName("inference/grpc_service.proto").message_types_by_name
    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    shared = set(ours.keys()) & set(theirs.keys())
    assert {"ModelInferRequest", "ModelInferResponse", "ModelConfigResponse"} <= shared
    for name in shared:
        assert_agrees(ours[name], theirs[name])


def assert_agrees(ours, theirs):
    """Whatever we declare has their number, name and type; we may leave fields out."""
    for field in ours.fields:
        if field.full_name in ONLY_IN_THE_OPEN_PROTOCOL:
            continue
        twin = theirs.fields_by_number.get(field.number)
        assert twin is not None, f"{field.full_name} = {field.number} is not theirs"
        found = (field.name, field.type, field.is_repeated)
        assert found == (twin.name, twin.type, twin.is_repeated), field.full_name
    for nested in ours.nested_types:
        if nested.name in theirs.nested_types_by_name:
            assert_agrees(nested, theirs.nested_types_by_name[nested.name])
