"""The project's own .proto files as messages and calls, in a pool of their own.

tritonclient registers its copy of the inference protocol in Python's default pool, where a second
definition of the same names is an error; a pool of our own holds ours beside it.
"""

import pathlib
import subprocess
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO_ROOT = pathlib.Path(__file__).resolve().parents[2] / "proto"


class Wire:
    def __init__(self, scratch):
        compiled = scratch / "protocols.binpb"
        files = [path for path in PROTO_ROOT.rglob("*.proto") if "third_party" not in path.parts]
        files += (PROTO_ROOT / "third_party").rglob("*.proto")
        subprocess.run(
            # third_party first: files below it are named from there, as others import them.
            [sys.executable, "-m", "grpc_tools.protoc"]
            + [f"--proto_path={PROTO_ROOT / 'third_party'}", f"--proto_path={PROTO_ROOT}"]
            + ["--include_imports", f"--descriptor_set_out={compiled}"]
            + [str(path) for path in files],
            check=True,
        )
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file:
            self.pool.Add(file)

    def message(self, name):
        """The class of a message, for example "reprise.v1.EmbedRequest"."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def method(self, channel, path):
        """A unary method as a callable, and the class of its request; path is "package.Service/Method"."""
        service, name = path.split("/")
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(method.input_type)
        reply = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(
            f"/{path}",
            request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString,
        )
        return call, request

    def error_details(self, error: grpc.RpcError):
        """The google.rpc details of a failed call, by message name: ErrorInfo, RetryInfo."""
        for key, value in error.trailing_metadata():
            if key == "grpc-status-details-bin":
                status = self.message("google.rpc.Status").FromString(value)
                details = {}
                for packed in status.details:
                    name = packed.type_url.rsplit("/", 1)[-1]
                    details[name.rsplit(".", 1)[-1]] = self.message(name).FromString(packed.value)
                return details
        return {}
