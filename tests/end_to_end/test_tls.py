"""With TLS on, nobody gets in without it, certificates can be replaced under load, and probes still work."""

import concurrent.futures
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from certificates import subject_and_serial
from infer_messages import ids_request
from listening import listening_sockets
from scrape import Scrape

USAGE = 2
REQUEST = ids_request("tiny", [[1, 2, 3]])


def tls_flags(certificates, name="server", client_ca=None):
    flags = ["--tls-cert", certificates / f"{name}.crt", "--tls-key", certificates / f"{name}.key"]
    flags += ["--health-port", 0]
    return flags + (["--tls-client-ca", client_ca] if client_ca else [])


def credentials(certificates, ca="ca.crt", client=None):
    pair = {}
    if client is not None:
        pair["certificate_chain"] = (certificates / f"{client}.crt").read_bytes()
        pair["private_key"] = (certificates / f"{client.replace('-expired', '')}.key").read_bytes()
    return grpc.ssl_channel_credentials((certificates / ca).read_bytes(), **pair)


def infer(server, channel_credentials):
    """The status of one inference over a connection of its own."""
    with server.open_channel(channel_credentials) as channel:
        try:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(REQUEST, timeout=30)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def module_server(binary, tiny_repository, certificates, tmp_path_factory):
    """Starts servers that the tests of this file share."""
    from server_process import Server

    started = []

    def start(*flags):
        log = tmp_path_factory.mktemp("tls") / "server.log"
        started.append(Server(binary, tiny_repository, *flags, log_path=log))
        return started[-1].await_ready()

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture(scope="module")
def tls_server(module_server, certificates):
    return module_server(*tls_flags(certificates))


@pytest.fixture(scope="module")
def mutual_server(module_server, certificates):
    return module_server(*tls_flags(certificates, client_ca=certificates / "ca.crt"))


def test_tritonclient_infers_over_tls(tls_server, certificates):
    client = triton.InferenceServerClient(
        tls_server.address, ssl=True, root_certificates=str(certificates / "ca.crt")
    )
    ids = triton.InferInput("input_ids", [1, 3], "INT64")
    import numpy as np

    ids.set_data_from_numpy(np.array([[1, 2, 3]]))
    assert client.is_server_ready()
    assert client.infer("tiny", [ids]).as_numpy("last_hidden_state").shape == (1, 3, 32)
    client.close()


def test_grpcurl_asks_over_tls(mutual_server, certificates, deps):
    def services(*options):
        done = subprocess.run(
            [deps / "bin" / "grpcurl", *options, f"localhost:{mutual_server.grpc_port}", "list"],
            cwd=certificates, capture_output=True, text=True, timeout=60,
        )
        return done.stdout.split()

    assert "reprise.v1.Reprise" in services("-cacert", "ca.crt", "-cert", "client.crt", "-key", "client.key")
    assert services("-connect-timeout", "2", "-cacert", "ca.crt") == []
    assert services("-connect-timeout", "2", "-plaintext") == []


def test_a_client_in_the_clear_gets_nothing(tls_server):
    assert infer(tls_server, None) == grpc.StatusCode.UNAVAILABLE


def test_a_client_that_trusts_another_ca_does_not_connect(tls_server, certificates):
    wrong = credentials(certificates, ca="other/ca.crt")
    assert infer(tls_server, wrong) == grpc.StatusCode.UNAVAILABLE


def test_clients_without_a_good_certificate_are_refused(mutual_server, certificates):
    status = {
        "none": infer(mutual_server, credentials(certificates)),
        "expired": infer(mutual_server, credentials(certificates, client="client-expired")),
        "in the clear": infer(mutual_server, None),
        "good": infer(mutual_server, credentials(certificates, client="client")),
    }
    other = grpc.ssl_channel_credentials(
        (certificates / "ca.crt").read_bytes(),
        certificate_chain=(certificates / "other" / "client.crt").read_bytes(),
        private_key=(certificates / "other" / "client.key").read_bytes(),
    )
    status["of another CA"] = infer(mutual_server, other)
    refused = grpc.StatusCode.UNAVAILABLE
    assert status == {
        "none": refused, "expired": refused, "in the clear": refused, "of another CA": refused,
        "good": grpc.StatusCode.OK,
    }


def s_client(port, certificates, *options):
    """What openssl says about a connection with these options, and whether it came about."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
         str(certificates / "ca.crt"), "-verify_return_error", "-alpn", "h2", *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30,
    )
    return done.stdout + done.stderr, done.returncode == 0


@pytest.mark.parametrize("version,spoken", [("1", False), ("1_1", False), ("1_2", True), ("1_3", True)])
def test_tls_1_2_is_the_oldest_that_is_spoken(tls_server, certificates, version, spoken):
    # The lowest security level, so that it is the server that refuses and not the client.
    said, connected = s_client(
        tls_server.grpc_port, certificates, f"-tls{version}", "-cipher", "DEFAULT@SECLEVEL=0"
    )
    assert connected == spoken, said
    if spoken:
        assert "ALPN protocol: h2" in said and "Verify return code: 0 (ok)" in said
    else:
        assert "no peer certificate available" in said  # it never came to that


def plain_attempts(port):
    """Who answers ModelInfer on this port in the clear, by gRPC or by HTTP."""
    answered = []
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = {
            "ModelInfer": lambda: stub.ModelInfer(REQUEST, timeout=20),
            "ServerMetadata": lambda: stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=20),
            "ModelConfig": lambda: stub.ModelConfig(service_pb2.ModelConfigRequest(name="tiny"), timeout=20),
            "RepositoryIndex": lambda: stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=20),
            "RepositoryModelLoad": lambda: stub.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name="tiny"), timeout=20),
        }
        for name, call in calls.items():
            try:
                call()
                answered.append(name)
            except grpc.RpcError as error:
                # Anything else would come from a handler.
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED), name
    body = json.dumps({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "data": [1]}]})
    for path, data in (
        ("v2/models/tiny/infer", body.encode()),
        ("v2", None),
        ("v2/models/tiny/config", None),
        ("v2/repository/index", b"{}"),
        ("v2/repository/models/tiny/load", b"{}"),
    ):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", data=data, timeout=20)
            answered.append(path)
        except urllib.error.HTTPError as error:
            assert error.code in (400, 404), path
        except (OSError, ValueError, urllib.request.http.client.HTTPException):
            pass  # not a conversation
    return answered


def test_no_port_answers_inference_metadata_or_control_in_the_clear(tls_server):
    ports = {port for _, port in listening_sockets(tls_server.process_id)}
    expected = {
        tls_server.grpc_port, tls_server.http_port, tls_server.metrics_port, tls_server.health_port
    }
    assert ports == expected
    assert {port: plain_attempts(port) for port in ports} == {port: [] for port in ports}


def test_the_health_port_tells_probes_of_the_server_and_nothing_else(mutual_server):
    with grpc.insecure_channel(f"127.0.0.1:{mutual_server.health_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "readiness", "startup", "liveness"):
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="tiny"), timeout=10)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_without_tls_there_is_a_health_port_only_when_asked_for(start_server, tiny_repository):
    plain = start_server(tiny_repository).await_listening()
    asked = start_server(tiny_repository, "--health-port", 0).await_listening()
    assert plain.health_port is None
    ports = {port for _, port in listening_sockets(plain.process_id)}
    assert ports == {plain.grpc_port, plain.http_port, plain.metrics_port}
    assert ("127.0.0.1", asked.health_port) in {
        (str(address), port) for address, port in listening_sockets(asked.process_id)
    }


def test_the_health_port_can_be_off_with_tls(start_server, tiny_repository, certificates):
    flags = tls_flags(certificates)
    flags[flags.index("--health-port") + 1] = "off"
    server = start_server(tiny_repository, *flags).await_listening()
    assert server.health_port is None


def test_the_health_command_speaks_tls(run_reprise, tls_server, mutual_server, certificates):
    def ask(server, *options):
        result = run_reprise(
            "health", "--port", server.grpc_port, "--timeout-ms", 20_000, *options
        )
        return result.returncode

    ca = ["--tls-ca", certificates / "ca.crt"]
    pair = ["--tls-cert", certificates / "client.crt", "--tls-key", certificates / "client.key"]
    assert ask(tls_server, *ca) == 0
    assert ask(tls_server, *ca, "--tls-server-name", "localhost") == 0
    assert ask(tls_server, *ca, "--tls-server-name", "elsewhere") == 1
    assert ask(tls_server, "--tls-ca", certificates / "other" / "ca.crt") == 1
    assert ask(tls_server, "--tls-ca", certificates / "nothing.crt") == USAGE
    assert ask(tls_server) == 1
    assert ask(mutual_server, *ca) == 1
    assert ask(mutual_server, *ca, *pair) == 0
    assert ask(mutual_server, *ca, *pair[:2]) == USAGE
    assert run_reprise("health", "--port", tls_server.health_port).returncode == 0


@pytest.mark.parametrize(
    "flags,fragment",
    [
        (["--tls-cert", "server.crt"], "--tls-key"),
        (["--tls-key", "server.key"], "--tls-cert"),
        (["--tls-client-ca", "ca.crt"], "--tls-cert"),
        (["--tls-cert", "nothing.crt", "--tls-key", "server.key"], "nothing.crt"),
        (["--tls-cert", "server.crt", "--tls-key", "client.key"], "does not belong"),
        (["--tls-cert", "server.key", "--tls-key", "server.key"], "BEGIN CERTIFICATE"),
        (["--tls-cert", "server.crt", "--tls-key", "server.crt"], "private key"),
        (["--tls-cert", "server-expired.crt", "--tls-key", "server.key"], "has expired at"),
        (["--tls-cert", "server.crt", "--tls-key", "server.key", "--tls-client-ca", "."], "not a file"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(run_reprise, tiny_repository, certificates, flags, fragment):
    paths = [flag if flag.startswith("--") else certificates / flag for flag in flags]
    ports = ["--grpc-port", 0, "--metrics-port", 0, "--health-port", 0]
    result = run_reprise("serve", "--model-repository", tiny_repository, *ports, *paths)
    assert result.returncode == USAGE, result.stderr
    assert fragment in json.loads(result.stderr.splitlines()[-1])["reason"]


def certificate_shown(port, certificates):
    """Subject and serial number of what a new connection is shown."""
    context = ssl.create_default_context(cafile=certificates / "ca.crt")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            return subject_and_serial(ssl.DER_cert_to_PEM_cert(secured.getpeercert(True)))


def replace(file, new):
    """Puts a copy of `new` in the place of `file`, at once as a whole."""
    copy = file.with_suffix(".next")
    shutil.copy(new, copy)
    copy.rename(file)


def test_certificates_are_replaced_under_load_without_a_failed_request(
    start_server, tiny_repository, certificates, tmp_path
):
    folder = tmp_path / "mounted"
    folder.mkdir()
    for kind in ("crt", "key"):
        replace(folder / f"tls.{kind}", certificates / f"server.{kind}")
    server = start_server(tiny_repository, *tls_flags(folder, name="tls")).await_ready()
    stop = threading.Event()
    trusted = credentials(certificates)

    def call_on_one_connection():
        done = 0
        with server.open_channel(trusted) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not stop.is_set():
                stub.ModelInfer(REQUEST, timeout=30)
                done += 1
        return done

    def connect_for_each_call():
        done = 0
        while not stop.is_set():
            assert infer(server, trusted) == grpc.StatusCode.OK
            done += 1
        return done

    with concurrent.futures.ThreadPoolExecutor() as pool:
        callers = [pool.submit(call_on_one_connection), pool.submit(connect_for_each_call)]
        try:
            seen = [certificate_shown(server.grpc_port, certificates)]
            # `client` is a certificate of the same CA, and so good enough to be shown.
            replace(folder / "tls.crt", certificates / "client.crt")  # half of the pair
            kept = server.await_log("changed files cannot be used, going on with those before")
            seen.append(certificate_shown(server.grpc_port, certificates))
            replace(folder / "tls.crt", certificates / "server.crt")
            write_anew(folder, certificates, "server2")
            server.await_log("read again")
            seen.append(certificate_shown(server.grpc_port, certificates))
        finally:
            stop.set()
        counts = [caller.result(timeout=60) for caller in callers]
    assert all(count > 0 for count in counts)
    assert "does not belong" in kept["reason"] and kept["what"] == "certificates"
    expiry = Scrape(server.metrics_port).total("reprise_tls_certificate_expiry_timestamp_seconds")
    assert 0 < expiry - time.time() < 2 * 86400  # of the new one; the first is valid for longer
    assert seen[0] == seen[1] != seen[2]
    server.stop()


def write_anew(folder, certificates, name):
    """A second certificate for the same names and of the same CA, put in place."""
    for command in (
        ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
         f"{name}.key", "-out", f"{name}.csr"],
        ["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", str(certificates / "ca.crt"), "-CAkey",
         str(certificates / "ca.key"), "-days", "2", "-copy_extensions", "copy", "-out", f"{name}.crt"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for kind in ("crt", "key"):
        (folder / f"{name}.{kind}").rename(folder / f"tls.{kind}")


def test_a_new_client_ca_shuts_out_those_of_the_old_one(start_server, tiny_repository, certificates, tmp_path):
    ca = tmp_path / "clients.crt"
    shutil.copy(certificates / "ca.crt", ca)
    server = start_server(tiny_repository, *tls_flags(certificates, client_ca=ca)).await_ready()
    client = credentials(certificates, client="client")
    assert infer(server, client) == grpc.StatusCode.OK
    replace(ca, certificates / "other" / "ca.crt")
    server.await_log("read again")
    assert infer(server, client) == grpc.StatusCode.UNAVAILABLE
    server.stop()


def test_a_tls_port_survives_bytes_that_are_not_tls(tls_server, certificates):
    for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(1000),
                 b"\x16\x03\x01\xff\xff" + bytes(100)):
        with socket.create_connection(("127.0.0.1", tls_server.grpc_port), timeout=20) as plain:
            plain.sendall(junk)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(4096):
                pass
    assert infer(tls_server, credentials(certificates)) == grpc.StatusCode.OK
