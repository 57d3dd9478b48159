"""Where the tests find the program, the clients and the models, and the one server that most of them share."""

import json
import os
import pathlib

import pytest
from tritonclient.grpc import service_pb2_grpc

import model_repository
from certificates import make_certificates
from server_process import Server
from wire import Wire

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    group = parser.getgroup("reprise")
    group.addoption(
        "--reprise-binary",
        default=os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise"),
        help="the program to test; default: $REPRISE_BINARY, else that of the preset dev",
    )
    group.addoption(
        "--reprise-deps",
        default=os.environ.get("REPRISE_DEPS", ROOT / ".deps"),
        help="what scripts/install --tests fetched; default: $REPRISE_DEPS, else .deps",
    )


@pytest.fixture(scope="session")
def binary(request):
    path = pathlib.Path(request.config.getoption("--reprise-binary")).resolve()
    assert path.is_file(), f"{path} is not there: build it, or pass --reprise-binary"
    return path


@pytest.fixture(scope="session")
def deps(request):
    return pathlib.Path(request.config.getoption("--reprise-deps")).resolve()


@pytest.fixture(scope="session")
def run_reprise(binary):
    """Runs a subcommand to its end, whatever its status: .returncode, .stdout, .stderr."""
    return lambda *arguments: model_repository.run_program(binary, *arguments, check=False)


@pytest.fixture(scope="session")
def tiny_repository(binary, tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny") / "models"
    return model_repository.make_tiny_repository(binary, root)


@pytest.fixture(scope="session")
def full_repository(binary, deps, tmp_path_factory):
    demo_model = deps / "models" / "all-MiniLM-L6-v2"
    root = tmp_path_factory.mktemp("full") / "models"
    return model_repository.make_full_repository(binary, demo_model, root)


@pytest.fixture(scope="session")
def server(binary, full_repository, tmp_path_factory):
    """The shared server. Tests may send it anything, and must leave it serving."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    with Server(binary, full_repository, "--threads", 2, log_path=log) as running:
        running.await_ready()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def channel(server):
    with server.open_channel() as channel:
        yield channel


@pytest.fixture(scope="session")
def stub(channel):
    """The shared server through the stub that tritonclient brings."""
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture
def start_server(binary, tmp_path):
    """Starts servers of the test's own: start_server(repository, flag, ...). Not yet listening when it returns."""
    started = []

    def start(repository, *flags, **options):
        log = tmp_path / f"server{len(started)}.log"
        server = Server(binary, repository, *flags, log_path=log, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with ca, server, client and their counterparts that must be refused; see certificates.py."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def wire(tmp_path_factory):
    return Wire(tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="session")
def oracle():
    """Sentences with the ids and the embedding that the published model gives them."""
    return json.loads((ROOT / "tests" / "data" / "minilm_oracle.json").read_text())["sentences"]
