"""The containers' own command lines, run on this machine: they start, answer their probes, and end in the grace period.

Only what a pod has and this machine lacks is replaced: folders that are mounted there, the address and the ports, so
that tests can run beside other servers.
"""

import os
import signal
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

from deployment_files import BINARY, OF_KUBERNETES, environment_of, flag, of_kind, pods_of, server_container
from certificates import make_certificates
from infer_messages import ids_request
from model_repository import make_tiny_repository
from server_process import Server

SERVING = health_pb2.HealthCheckResponse.SERVING
ON_CPU = [name for name in OF_KUBERNETES if not name.startswith("gpu")]


class PodServer(Server):
    """A server started by a rendered container's command line."""

    def __init__(self, arguments, environment, log_path):
        self._log_path = log_path
        self.grpc_port = self.http_port = self.metrics_port = self.health_port = None
        with open(log_path, "wb") as log:
            self._process = subprocess.Popen(
                [BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def ask(self, probe):
        """The status that the kubelet would get from a probe of the container."""
        port = {8001: self.grpc_port, 8003: self.health_port}[probe["grpc"]["port"]]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = health_pb2.HealthCheckRequest(service=probe["grpc"]["service"])
            return health_pb2_grpc.HealthStub(channel).Check(request, timeout=probe["timeoutSeconds"]).status


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return make_tiny_repository(BINARY, tmp_path_factory.mktemp("tiny") / "models")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = make_certificates(tmp_path_factory.mktemp("certificates"))
    (folder / "tls.crt").symlink_to("server.crt")
    (folder / "tls.key").symlink_to("server.key")
    return folder


def arguments_here(container, models, certificates):
    """A container's arguments with what is mounted there taken from here."""
    mounted = {"/tls": str(certificates), "{{.Name}}": "minilm"}
    mounted[flag(container, "--model-repository")] = str(models)
    replaced = []
    for argument in container["args"]:
        for there, here in mounted.items():
            argument = here + argument[len(there) :] if argument.startswith(there) else argument
        replaced.append(argument)
    replaced[replaced.index("--host") + 1] = "127.0.0.1"
    if "--health-port" in replaced:
        replaced[replaced.index("--health-port") + 1] = "0"
    ports = ["--grpc-port", "0", "--metrics-port", "0"]
    return replaced + ports + ([] if "--no-http" in replaced else ["--http-port", "0"])


def environment_here(container, scratch):
    scratch.mkdir(exist_ok=True)
    return environment_of(container) | {"TMPDIR": str(scratch)}


def start(container, models, certificates, folder):
    return PodServer(
        arguments_here(container, models, certificates),
        environment_here(container, folder / "scratch"),
        folder / "server.log",
    )


@pytest.mark.parametrize("name", ON_CPU)
def test_the_server_starts_and_answers_every_probe(name, repository, certificates, tmp_path):
    ((_, pod),) = pods_of(name)
    container = server_container(pod)
    with start(container, repository, certificates, tmp_path) as server:
        server.await_ready()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert server.ask(container[probe]) == SERVING
        assert not list((tmp_path / "scratch").iterdir())
        server.signal(signal.SIGINT)  # the quick end; the next test looks at the slow one
        assert server.wait() == 0


def test_an_ending_server_says_so_and_serves_on_within_the_grace_period(repository, certificates, tmp_path):
    ((_, pod),) = pods_of("base")
    container = server_container(pod)
    with start(container, repository, certificates, tmp_path) as server:
        server.await_ready()
        with server.open_channel() as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            told = time.monotonic()
            server.signal(signal.SIGTERM)
            while server.ask(container["readinessProbe"]) == SERVING:
                assert time.monotonic() - told < 1, "still ready one second after SIGTERM"
            # Time enough for the kubelet to see it twice, and for proxies to hear of it.
            readiness = container["readinessProbe"]
            until = told + 2 * readiness["periodSeconds"] * readiness["failureThreshold"]
            while time.monotonic() < until:
                assert stub.ModelInfer(ids_request("tiny", [[1, 2, 3]])).model_name == "tiny"
                assert server.ask(container["livenessProbe"]) == SERVING
                time.sleep(0.2)
        assert server.wait(pod["spec"]["terminationGracePeriodSeconds"]) == 0


def test_kserve_runs_one_checkpoint_folder_under_the_name_of_its_service(repository, certificates, tmp_path):
    pods = dict(pods_of("kserve"))
    container = server_container(pods["minilm"])
    with start(container, repository / "tiny" / "1", certificates, tmp_path) as server:
        server.await_ready()
        with server.open_channel() as channel:
            reply = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(ids_request("minilm", [[1, 2]]))
        assert reply.model_name == "minilm"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert server.ask(container[probe]) == SERVING
        assert server.http_port is None
        server.signal(signal.SIGINT)
        assert server.wait() == 0


@pytest.mark.parametrize("name", [name for name in OF_KUBERNETES if name.startswith("gpu")] + ["kserve"])
def test_a_gpu_pods_flags_are_right_though_there_may_be_no_gpu(name, repository, certificates, tmp_path):
    container = server_container(dict(pods_of(name))["minilm-gpu" if name == "kserve" else "reprise"])
    models = repository / "tiny" / "1" if name == "kserve" else repository
    with start(container, models, certificates, tmp_path) as server:
        if os.path.exists("/dev/nvidiactl"):
            server.await_ready()
            server.signal(signal.SIGINT)
            assert server.wait() == 0
        else:
            assert server.wait() == 1, server.log_text()  # 2 would be a wrong flag
            assert server.log()[-1]["message"] == "cannot start"


def test_service_links_would_break_a_server_and_are_off(repository, certificates, tmp_path):
    """Why enableServiceLinks is false: with a Service named reprise-grpc the kubelet would set this variable."""
    container = server_container(pods_of("base")[0][1])
    arguments = arguments_here(container, repository, certificates)
    del arguments[arguments.index("--grpc-port") : arguments.index("--grpc-port") + 2]
    links = {"REPRISE_GRPC_PORT": "tcp://10.0.0.1:8001"}
    result = subprocess.run(
        [BINARY, *arguments], env=environment_of(container) | links, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2
    assert "grpc-port" in result.stdout + result.stderr


def test_wrong_flags_are_found_by_these_tests(repository, certificates, tmp_path):
    container = {**server_container(of_kind("base", "Deployment")[0]["spec"]["template"])}
    container["args"] = [*container["args"], "--lame-duck-seconds", "3"]
    with start(container, repository, certificates, tmp_path) as server:
        assert server.wait() == 2
