"""Whether the server is there, is ready and has the model: asked first, since ghz would only count errors."""

import json

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from problems import CouldNotRun

TIMEOUT_S = 10


def check(options):
    """The outputs that the model has; CouldNotRun, with what to do about it, if the server cannot be put under load."""
    metadata = read_metadata(options.metadata_file)
    with open_channel(options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            if not stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=TIMEOUT_S, metadata=metadata).ready:
                raise CouldNotRun(f"the server at {options.address} is not ready: wait until its log says so")
            check_model(stub, options.model, metadata)
            request = service_pb2.ModelMetadataRequest(name=options.model)
            return [each.name for each in stub.ModelMetadata(request, timeout=TIMEOUT_S, metadata=metadata).outputs]
        except grpc.RpcError as error:
            raise CouldNotRun(explanation(error, options.address)) from error


def check_model(stub, model, metadata):
    """CouldNotRun if the model is not there or not ready; names those that are."""
    try:
        if stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=TIMEOUT_S, metadata=metadata).ready:
            return
        problem = f"the model '{model}' is not ready"
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        problem = f"the server has no model '{model}'"
    index = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), timeout=TIMEOUT_S, metadata=metadata)
    ready = ", ".join(sorted({each.name for each in index.models})) or "none"
    raise CouldNotRun(f"{problem}: name another with --model; ready: {ready}")


def explanation(error, address):
    """One line: what is wrong, and what to do."""
    said = f"{error.code().name}: {error.details()}"
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return f"no server answers at {address}: start one, or name another with --address, a CA with --cacert ({said})"
    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return f"the server at {address} lets nobody in without a token: --metadata-file, or --no-preflight ({said})"
    return f"the server at {address} does not say whether it is ready: --no-preflight goes on without asking ({said})"


def open_channel(options):
    """As ghz will connect."""
    if not options.cacert:
        return grpc.insecure_channel(options.address)
    key, certificate = (path.read_bytes() if path else None for path in (options.key, options.cert))
    credentials = grpc.ssl_channel_credentials(options.cacert.read_bytes(), key, certificate)
    return grpc.secure_channel(options.address, credentials)


def read_metadata(path):
    """Of a JSON object, as ghz's metadata-file is one."""
    if path is None:
        return None
    try:
        return [(key.lower(), value) for key, value in json.loads(path.read_text()).items()]
    except (OSError, ValueError, AttributeError) as error:
        raise CouldNotRun(f"{path} is no JSON object of metadata: {error}") from error
