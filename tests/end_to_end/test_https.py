"""HTTP under the same certificates as gRPC."""

import http.client
import json
import shutil
import socket
import ssl

import numpy as np
import pytest
import tritonclient.http as triton

from certificates import subject_and_serial
from server_process import Server

INFER = "/v2/models/tiny/infer"
BODY = json.dumps({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}]})


def client_context(certificates, ca="ca.crt", client=None, key=None):
    context = ssl.create_default_context(cafile=certificates / ca)
    if client is not None:
        context.load_cert_chain(certificates / f"{client}.crt", certificates / f"{key or client}.key")
    return context


def connect(server, context=None):
    if context is None:
        return http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    return http.client.HTTPSConnection("127.0.0.1", server.http_port, context=context, timeout=30)


def ask(connection, verb, path, body=None, **headers):
    """Status, headers and body of one request."""
    connection.request(verb, path, body, headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, reply.read()


def infer_status(server, context):
    """The status of one inference over a connection of its own; the kind of failure where there is none."""
    connection = connect(server, context)
    try:
        return ask(connection, "POST", INFER, BODY)[0]
    except ssl.SSLCertVerificationError:
        return "not trusted"
    except (OSError, http.client.HTTPException):
        return "no conversation"
    finally:
        connection.close()


def tls_flags(folder, name="server", client_ca=None):
    flags = ["--tls-cert", folder / f"{name}.crt", "--tls-key", folder / f"{name}.key", "--health-port", 0]
    return flags + (["--tls-client-ca", client_ca] if client_ca else [])


@pytest.fixture(scope="module")
def module_server(binary, tiny_repository, tmp_path_factory):
    started = []

    def start(*flags):
        log = tmp_path_factory.mktemp("http") / "server.log"
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


def test_tritonclient_infers_over_https(tls_server, certificates):
    with triton.InferenceServerClient(
        f"localhost:{tls_server.http_port}", ssl=True, ssl_context_factory=lambda: client_context(certificates)
    ) as client:
        ids = triton.InferInput("input_ids", [1, 3], "INT64")
        ids.set_data_from_numpy(np.array([[1, 2, 3]]))
        assert client.is_server_ready()
        assert client.infer("tiny", [ids]).as_numpy("last_hidden_state").shape == (1, 3, 32)


def test_only_clients_that_speak_tls_and_trust_the_server_get_through(tls_server, certificates):
    assert infer_status(tls_server, client_context(certificates)) == 200
    assert infer_status(tls_server, None) == "no conversation"
    assert infer_status(tls_server, client_context(certificates, ca="other/ca.crt")) == "not trusted"


def test_clients_without_a_good_certificate_are_refused(mutual_server, certificates):
    assert infer_status(mutual_server, client_context(certificates, client="client")) == 200
    for bad in (
        client_context(certificates),
        client_context(certificates, client="other/client"),
        client_context(certificates, client="client-expired", key="client"),
        None,
    ):
        assert infer_status(mutual_server, bad) == "no conversation"


@pytest.mark.parametrize("version,spoken", [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_1_2_is_the_oldest_that_is_spoken(tls_server, certificates, version, spoken):
    context = client_context(certificates)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the server that refuses
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    assert infer_status(tls_server, context) == (200 if spoken else "no conversation")


def test_http_1_1_is_chosen_where_the_client_offers_more(tls_server, certificates):
    context = client_context(certificates)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", tls_server.http_port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            assert secured.selected_alpn_protocol() == "http/1.1"


def test_large_bodies_go_both_ways_and_the_end_of_a_connection_is_announced(tls_server, certificates):
    body = json.dumps(
        {"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [8, 48], "data": [1] * 8 * 48}],
         "id": "x" * 1_000_000}
    )
    connection = connect(tls_server, client_context(certificates))
    for _ in range(3):
        status, _, reply = ask(connection, "POST", INFER, body)
        assert status == 200 and len(reply) > 1_000_000
    connection.request("POST", INFER, BODY, {"Connection": "close"})
    reply = connection.getresponse()
    assert reply.status == 200 and reply.read()
    connection.close()


def test_a_connection_that_never_speaks_tls_holds_up_nobody(tls_server, certificates):
    silent = [socket.create_connection(("127.0.0.1", tls_server.http_port)) for _ in range(20)]
    for junk, connection in zip((b"", b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\x16\x03\x01\xff\xff"), silent):
        connection.sendall(junk)
    assert infer_status(tls_server, client_context(certificates)) == 200
    for connection in silent:
        connection.close()


def certificate_shown(server, certificates):
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as plain:
        with client_context(certificates).wrap_socket(plain, server_hostname="localhost") as secured:
            return subject_and_serial(ssl.DER_cert_to_PEM_cert(secured.getpeercert(True)))


def test_certificates_are_replaced_and_open_connections_go_on(module_server, certificates, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mounted")
    for kind in ("crt", "key"):
        shutil.copy(certificates / f"server.{kind}", folder / f"tls.{kind}")
    server = module_server(*tls_flags(folder, name="tls"))
    connection = connect(server, client_context(certificates))
    assert ask(connection, "POST", INFER, BODY)[0] == 200
    before = certificate_shown(server, certificates)
    # The other CA's certificate for the same names: only its own clients trust it.
    for kind in ("crt", "key"):
        copy = folder / f"next.{kind}"
        shutil.copy(certificates / "other" / f"server.{kind}", copy)
        copy.rename(folder / f"tls.{kind}")
    server.await_log("read again")
    assert ask(connection, "POST", INFER, BODY)[0] == 200
    assert infer_status(server, client_context(certificates)) == "not trusted"
    assert certificate_shown(server, certificates / "other") != before
    connection.close()
