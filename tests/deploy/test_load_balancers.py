"""haproxy, Envoy and clients that balance by themselves, as configured in deploy/ and docs/kubernetes.md."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest
import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2

# The messages that the configuration's "@type" names are known once their modules are.
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
    http_connection_manager_pb2,
)
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from google.protobuf import json_format
from tritonclient.grpc import service_pb2_grpc

from deployment_files import BINARY, DEPLOY, ROOT, of_kind
from infer_messages import ids_request
from model_repository import make_tiny_repository
from scrape import Scrape
from server_process import Server

LAME_DUCK_S = 5  # long enough for haproxy to see two failed checks, a second apart
CALLERS = 4


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return make_tiny_repository(BINARY, tmp_path_factory.mktemp("tiny") / "models")


@pytest.fixture
def servers(repository, tmp_path):
    with contextlib.ExitStack() as running:
        started = [
            running.enter_context(
                Server(BINARY, repository, log_path=tmp_path / f"server{i}.log", lame_duck_secs=LAME_DUCK_S)
            )
            for i in range(2)
        ]
        yield [server.await_ready() for server in started]


def inferences(server):
    return Scrape(server.metrics_port).total("reprise_inferences_total", model="tiny", code="OK")


class Load:
    """Calls one after the other in a few threads over one channel, until it is left."""

    def __init__(self, channel):
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        self.answered = 0
        self.failed = []

    def _call(self):
        while not self._stop.is_set():
            try:
                self._stub.ModelInfer(ids_request("tiny", [[1, 2, 3]]), timeout=20)
                self.answered += 1
            except grpc.RpcError as error:
                self.failed.append(f"{error.code()}: {error.details()}")
            time.sleep(0.002)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_answers(self, number):
        target, deadline = self.answered + number, time.monotonic() + 60
        while self.answered < target:
            assert time.monotonic() < deadline, f"{self.answered} answers, expected {target}; {self.failed[:3]}"
            time.sleep(0.01)


def check_spread_and_drain(channel, servers):
    """Both servers get calls; one of them ends under load, and no call fails over it."""
    with Load(channel) as load:
        load.await_answers(400)
        counts = [inferences(server) for server in servers]
        assert min(counts) > 0.25 * sum(counts), counts
        servers[0].signal(signal.SIGTERM)
        assert servers[0].wait() == 0
        load.await_answers(100)  # the other one alone
    assert not load.failed
    assert inferences(servers[1]) > counts[1] + 100


# --- haproxy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def haproxy_here(servers, port):
    """deploy/haproxy/haproxy.cfg with the names of a cluster replaced by servers of this machine."""
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    text, bound = re.subn(r"bind 127\.0\.0\.1:9001", f"bind 127.0.0.1:{port}", text)
    lines = [f"    server s{i} 127.0.0.1:{s.grpc_port} port {s.http_port}" for i, s in enumerate(servers)]
    text, named = re.subn(r"^ *server-template .*$", "\n".join(lines), text, flags=re.MULTILINE)
    assert (bound, named) == (1, 1)
    return text


def test_haproxy_takes_the_file_as_it_is():
    environment = {"REPRISE_SERVERS": "reprise-headless.reprise.svc.cluster.local", "PATH": "/usr/sbin:/usr/bin"}
    command = ["haproxy", "-c", "-f", str(DEPLOY / "haproxy" / "haproxy.cfg")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


def test_haproxy_spreads_calls_and_loses_none_when_a_server_ends(servers, tmp_path):
    port = free_port()
    (tmp_path / "haproxy.cfg").write_text(haproxy_here(servers, port))
    with open(tmp_path / "haproxy.log", "w") as log:
        # -db: in the foreground, one process.
        haproxy = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", tmp_path / "haproxy.cfg"], stdout=log, stderr=log
        )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=20)
            check_spread_and_drain(channel, servers)
    finally:
        haproxy.kill()
        haproxy.wait()


# --- Envoy: there is no Envoy here to run, but its own message definitions say what it would take.


def envoy_configuration():
    return yaml.safe_load((DEPLOY / "envoy" / "envoy.yaml").read_text())


def test_envoy_knows_every_field():
    bootstrap = json_format.ParseDict(envoy_configuration(), bootstrap_pb2.Bootstrap())
    (cluster,) = bootstrap.static_resources.clusters
    assert cluster.lb_policy == cluster.LEAST_REQUEST
    (check,) = cluster.health_checks
    assert check.grpc_health_check.service_name == "readiness"


@pytest.mark.parametrize("where", ["cluster", "filter"])
def test_a_field_that_envoy_does_not_know_is_refused(where):
    configuration = envoy_configuration()
    resources = configuration["static_resources"]
    place = resources["clusters"][0]
    if where == "filter":
        place = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    place["bogus"] = 1
    with pytest.raises(json_format.ParseError, match="bogus"):
        json_format.ParseDict(configuration, bootstrap_pb2.Bootstrap())


def test_envoy_and_haproxy_ask_for_the_headless_service():
    names = {
        f"{s['metadata']['name']}.{s['metadata']['namespace']}.svc.cluster.local": s["spec"]
        for s in of_kind("base", "Service")
    }
    (cluster,) = envoy_configuration()["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert names[address["address"]]["clusterIP"] == "None"
    assert address["port_value"] in [port["port"] for port in names[address["address"]]["ports"]]
    assert address["address"] in (DEPLOY / "haproxy" / "haproxy.cfg").read_text()


# --- Clients


def client_of_the_page():
    """The Python client that docs/kubernetes.md shows."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (block,) = re.findall(r"<!-- test: client -->\n```python\n(.*?)```", page, re.DOTALL)
    return block


def test_the_client_of_the_page_spreads_calls_and_loses_none_when_a_server_ends(servers):
    addresses = ",".join(server.address for server in servers)
    code, replaced = re.subn(r'"dns:///[^"]+"', f'"ipv4:{addresses}"', client_of_the_page())
    assert replaced == 1
    scope = {}
    exec(code, scope)  # noqa: S102  makes `channel`
    with scope["channel"] as channel:
        check_spread_and_drain(channel, servers)
