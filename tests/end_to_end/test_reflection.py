"""Reflection in both versions, so that clients without .proto files find their way."""

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

SERVICES = {
    "inference.GRPCInferenceService",
    "reprise.v1.Reprise",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture(params=["v1", "v1alpha"])
def ask(request, channel):
    """Sends questions over one stream; the messages of both versions are the same on the wire."""
    call = channel.stream_stream(
        f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return lambda *questions: list(
        call(iter([reflection_pb2.ServerReflectionRequest(**q) for q in questions]), timeout=10)
    )


def files_in(answer):
    files = answer.file_descriptor_response.file_descriptor_proto
    return {f.name: f for f in map(descriptor_pb2.FileDescriptorProto.FromString, files)}


def test_it_lists_the_services(ask):
    (answer,) = ask({"list_services": ""})
    assert {service.name for service in answer.list_services_response.service} == SERVICES


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_it_shows_the_file_of_a_service(ask, service):
    (answer,) = ask({"file_containing_symbol": service})
    package, name = service.rsplit(".", 1)
    assert any(
        file.package == package and name in [s.name for s in file.service]
        for file in files_in(answer).values()
    )


def test_it_shows_a_method_and_a_message(ask):
    for symbol in ("reprise.v1.Reprise.Embed", "inference.ModelInferRequest"):
        (answer,) = ask({"file_containing_symbol": symbol})
        assert files_in(answer), symbol


def test_it_shows_a_file_by_its_name_with_what_it_imports(ask):
    (answer,) = ask({"file_by_filename": "inference/grpc_service.proto"})
    assert "inference/grpc_service.proto" in files_in(answer)


def test_an_unknown_name_is_an_answer_and_the_stream_goes_on(ask):
    unknown, known = ask({"file_containing_symbol": "no.such.Thing"}, {"list_services": ""})
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert known.list_services_response.service
