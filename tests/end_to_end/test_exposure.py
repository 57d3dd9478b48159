"""Nobody outside of the machine can reach a server that was not told to let them."""

from listening import listening_sockets

WARNING = "other machines can reach this server without TLS"


def addresses(server):
    return {str(address) for address, _ in listening_sockets(server.process_id)}


def messages(server):
    return [line["message"] for line in server.log()]


def test_every_port_is_on_loopback_unless_asked(start_server, tiny_repository):
    server = start_server(tiny_repository, "--health-port", 0).await_ready()
    assert addresses(server) == {"127.0.0.1"}
    assert WARNING not in messages(server)
    server.stop()


def test_a_server_that_others_can_reach_says_so_in_its_log(start_server, tiny_repository):
    server = start_server(tiny_repository, "--host", "0.0.0.0").await_ready()
    assert addresses(server) != {"127.0.0.1"}
    line = server.await_log(WARNING)
    assert line["level"] == "warning" and line["host"] == "0.0.0.0"
    server.stop()


def test_with_tls_there_is_nothing_to_warn_of(start_server, tiny_repository, certificates):
    server = start_server(
        tiny_repository, "--host", "0.0.0.0", "--health-port", 0,
        "--tls-cert", certificates / "server.crt", "--tls-key", certificates / "server.key",
    ).await_ready()
    assert WARNING not in messages(server)
    server.stop()
