"""With a tokens file, every method asks for a token first, and no token or text shows up anywhere."""

import http.client
import json
import urllib.request

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, text_request
from scrape import Scrape

USAGE = 2
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED

SERVICES = (
    "inference.GRPCInferenceService",
    "reprise.v1.Reprise",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
HEALTH = {"ServerLive", "ServerReady", "ModelReady", "Check", "List", "Watch"}
INFERENCE = {"ModelInfer", "ModelStreamInfer", "Embed", "EmbedStream"}
METADATA = {
    "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex",
    "DescribeModel", "ServerReflectionInfo",
}


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def make_token(run_reprise, name, *options):
    """A token and its line, as the command makes them."""
    result = run_reprise("token", name, *options)
    assert result.returncode == 0, result.stderr
    return result.stderr.strip(), result.stdout


@pytest.fixture(scope="module")
def guarded(binary, tiny_repository, run_reprise, tmp_path_factory):
    """A server with two tokens: .user may infer, read and ask, .operator may do everything."""
    from server_process import Server

    folder = tmp_path_factory.mktemp("tokens")
    user, user_line = make_token(run_reprise, "user")
    operator, operator_line = make_token(run_reprise, "operator", "--groups", "inference,metadata,control,health")
    file = folder / "tokens"
    file.write_text("# who may call\n" + user_line + operator_line)
    with Server(binary, tiny_repository, "--auth-tokens-file", file, log_path=folder / "server.log") as server:
        server.await_ready()
        server.user, server.operator, server.tokens_file = user, operator, file
        yield server
        server.stop()


@pytest.fixture(scope="module")
def guarded_channel(guarded):
    with guarded.open_channel() as channel:
        yield channel


def all_methods(wire):
    for service in SERVICES:
        for method in wire.pool.FindServiceByName(service).methods:
            yield f"{service}/{method.name}", method


def call(channel, path, method, metadata):
    """The status of a call with an empty message, whatever kind of method it is. A stream that goes on is OK."""
    client_streams, server_streams = method.client_streaming, method.server_streaming
    kind = f"{'stream' if client_streams else 'unary'}_{'stream' if server_streams else 'unary'}"
    multi = getattr(channel, kind)(f"/{path}")
    request = iter([b""]) if client_streams else b""
    try:
        reply = multi(request, metadata=metadata, timeout=20)
        if server_streams:
            next(iter(reply), None)
            reply.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def expected_group(name):
    if name in HEALTH:
        return "health"
    return "inference" if name in INFERENCE else "metadata" if name in METADATA else "control"


def test_every_method_of_every_service_asks_for_a_token(guarded_channel, wire):
    refused, answered = set(), set()
    for path, method in all_methods(wire):
        status = call(guarded_channel, path, method, metadata=None)
        (refused if status == UNAUTHENTICATED else answered).add(method.name)
    assert answered == HEALTH
    assert len(refused) >= 20


def test_a_wrong_token_is_no_token(guarded_channel, wire):
    for path, method in all_methods(wire):
        for wrong in ("x" * 43, ""):
            status = call(guarded_channel, path, method, bearer(wrong))
            assert (status == UNAUTHENTICATED) == (method.name not in HEALTH), path


def test_a_token_opens_its_groups_only(guarded, guarded_channel, wire):
    for path, method in all_methods(wire):
        status = call(guarded_channel, path, method, bearer(guarded.user))
        denied = expected_group(method.name) == "control"
        assert (status == PERMISSION_DENIED) == denied, path
        assert status != UNAUTHENTICATED, path


def test_a_token_with_all_groups_opens_everything(guarded, guarded_channel, wire):
    for path, method in all_methods(wire):
        status = call(guarded_channel, path, method, bearer(guarded.operator))
        assert status not in (UNAUTHENTICATED, PERMISSION_DENIED), path


def test_unknown_methods_ask_for_a_token_too(guarded, guarded_channel):
    unknown = guarded_channel.unary_unary("/no.Such/Method")
    with pytest.raises(grpc.RpcError) as caught:
        unknown(b"")
    assert caught.value.code() == UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        unknown(b"", metadata=bearer(guarded.user))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_tritonclient_sends_a_token(guarded):
    import numpy as np

    client = triton.InferenceServerClient(guarded.address)
    ids = triton.InferInput("input_ids", [1, 2], "INT64")
    ids.set_data_from_numpy(np.array([[1, 2]]))
    headers = {"authorization": f"Bearer {guarded.user}"}
    assert client.infer("tiny", [ids], headers=headers).as_numpy("last_hidden_state") is not None
    with pytest.raises(triton.InferenceServerException) as caught:
        client.infer("tiny", [ids])
    assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
    client.close()


def test_refusals_are_counted_by_their_code(guarded, guarded_channel):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(guarded_channel)
    series = dict(protocol="grpc", method="ModelInfer", code="UNAUTHENTICATED")
    before = Scrape(guarded.metrics_port).total("reprise_requests_total", **series)
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(ids_request("tiny", [[1]]))
    assert Scrape(guarded.metrics_port).total("reprise_requests_total", **series) == before + 1


def infer_status(stub, token):
    try:
        stub.ModelInfer(ids_request("tiny", [[1]]), metadata=bearer(token))
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_file_is_read_again_and_kept_when_it_has_a_mistake(
    start_server, tiny_repository, run_reprise, tmp_path
):
    old, old_line = make_token(run_reprise, "caller")
    new, new_line = make_token(run_reprise, "caller")
    file = tmp_path / "tokens"
    file.write_text(old_line)
    server = start_server(tiny_repository, "--auth-tokens-file", file).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert infer_status(stub, old) == grpc.StatusCode.OK
        file.write_text(f"caller:{new}\n")  # the token itself instead of its digest
        line = server.await_log("changed files cannot be used, going on with those before")
        assert line["what"] == "tokens" and "line 1" in line["reason"]
        assert new not in server.log_text()
        assert infer_status(stub, old) == grpc.StatusCode.OK
        file.write_text(new_line)
        server.await_log("read again")
        assert infer_status(stub, old) == UNAUTHENTICATED
        assert infer_status(stub, new) == grpc.StatusCode.OK
    server.stop()


def test_rules_can_open_and_close_groups(start_server, tiny_repository):
    server = start_server(tiny_repository, "--auth-rules", "metadata=closed,control=closed").await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ModelInfer(ids_request("tiny", [[1]])).model_name == "tiny"
        for refused in (
            lambda: stub.ServerMetadata(service_pb2.ServerMetadataRequest()),
            lambda: stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(model_name="tiny")),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                refused()
            assert caught.value.code() == PERMISSION_DENIED
    server.stop()


@pytest.mark.parametrize(
    "flags,fragment",
    [
        (["--auth-tokens-file", "TOKENS", "--host", "0.0.0.0"], "--auth-without-tls"),
        (["--auth-tokens-file", "/nowhere/tokens"], "/nowhere/tokens"),
        (["--auth-rules", "everything=open"], "everything"),
        (["--auth-rules", "inference=token"], "--auth-tokens-file"),
        (["--client-key-metadata", "authorization"], "secrets"),
    ],
)
def test_what_cannot_be_meant_ends_the_start(run_reprise, tiny_repository, tmp_path, flags, fragment):
    file = tmp_path / "tokens"
    file.write_text(make_token(run_reprise, "caller")[1])
    flags = [file if flag == "TOKENS" else flag for flag in flags]
    result = run_reprise(
        "serve", "--model-repository", tiny_repository, "--grpc-port", 0, "--metrics-port", 0, *flags
    )
    assert result.returncode == USAGE, result.stderr
    assert fragment in json.loads(result.stderr.splitlines()[-1])["reason"]


def test_the_token_command_refuses_what_is_not_safe(run_reprise):
    assert run_reprise("token").returncode == USAGE
    assert run_reprise("token", "a:b").returncode == USAGE
    assert run_reprise("token", "caller", "--groups", "admin").returncode == USAGE


def test_neither_log_nor_metrics_hold_a_token_or_a_text(start_server, full_repository, run_reprise, tmp_path):
    token, line = make_token(run_reprise, "caller")
    wrong = "wrong-" + token
    text = "quicksilver marmalade"
    file = tmp_path / "tokens"
    file.write_text(line)
    server = start_server(
        full_repository / "minilm" / "1", "--model-name", "minilm", "--log-level", "debug",
        "--auth-tokens-file", file,
    ).await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stub.ModelInfer(text_request("minilm", [text]), metadata=bearer(token))
        for request, metadata in (
            (text_request("minilm", [text]), bearer(wrong)),
            (text_request(text, [text]), bearer(token)),
            (text_request("minilm", [text], model_version=text), bearer(token)),
            (text_request("minilm", [text + "\xff"], outputs=[text]), bearer(token)),
            (text_request("minilm", [text.encode() + b"\xff"]), bearer(token)),
        ):
            with pytest.raises(grpc.RpcError):
                stub.ModelInfer(request, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary(f"/{text.replace(' ', '')}/{wrong}")(b"", metadata=bearer(token))
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as page:
        metrics = page.read().decode()
    server.stop()
    digest = line.split(":")[1]
    for secret in (token, wrong, digest, text, text.replace(" ", ""), text.split()[0]):
        assert secret not in server.log_text()
        assert secret not in metrics


HTTP_PATHS = [
    ("GET", "/v2/health/live", "health"),
    ("GET", "/v2/health/ready", "health"),
    ("GET", "/v2/models/tiny/ready", "health"),
    ("GET", "/v2", "metadata"),
    ("GET", "/v2/models/tiny", "metadata"),
    ("GET", "/v2/models/tiny/versions/1/config", "metadata"),
    ("GET", "/v2/models/stats", "metadata"),
    ("POST", "/v2/repository/index", "metadata"),
    ("GET", "/nowhere", "metadata"),
    ("DELETE", "/v2", "metadata"),
    ("POST", "/v2/models/tiny/infer", "inference"),
    ("GET", "/v2/logging", "control"),
    ("POST", "/v2/repository/models/none/load", "control"),
    ("POST", "/v2/repository/models/none/unload", "control"),
    ("GET", "/v2/trace/setting", "control"),
]


def http_status(server, method, path, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        assert (response.status == 401) == (response.headers["WWW-Authenticate"] == "Bearer")
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("method, path, group", HTTP_PATHS)
def test_http_asks_for_the_same_tokens(guarded, method, path, group):
    is_open = group == "health"
    assert (http_status(guarded, method, path) == 401) == (not is_open)
    assert (http_status(guarded, method, path, "x" * 43) == 401) == (not is_open)
    assert (http_status(guarded, method, path, guarded.user) == 403) == (group == "control")
    assert http_status(guarded, method, path, guarded.operator) not in (401, 403)


def test_http_refusals_are_counted_by_their_code(guarded):
    series = dict(protocol="http", method="ModelInfer", code="UNAUTHENTICATED")
    before = Scrape(guarded.metrics_port).total("reprise_requests_total", **series)
    assert http_status(guarded, "POST", "/v2/models/tiny/infer") == 401
    assert Scrape(guarded.metrics_port).total("reprise_requests_total", **series) == before + 1
