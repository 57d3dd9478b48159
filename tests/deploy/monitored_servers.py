"""Real servers under mixed load, and a real Prometheus that scrapes them every second and evaluates the rules."""

import contextlib
import json
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import grpc
import yaml
from tritonclient.grpc import service_pb2, service_pb2_grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMETHEUS_FILES = ROOT / "deploy" / "prometheus"
sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))  # servers, models, certificates: as the end-to-end tests make them

from certificates import make_certificates  # noqa: E402
from infer_messages import ids_request, text_request  # noqa: E402
from model_repository import convert, make_random_checkpoint  # noqa: E402
from server_process import Server  # noqa: E402

MODELS = ["minilm", "minilm-reuse"]  # the same weights, exact and with scores reused
TEXTS = ["The river rose after the rain.", "Water levels climbed.", "A cat sleeps on the warm stone wall all afternoon."]
QUEUE_LIMIT = 40


def make_repositories(binary, demo_model, root):
    """The demo model and its reuse version for one server, a tiny random model for the other."""
    shutil.copytree(demo_model, root / "models" / "minilm" / "1")
    convert(binary, demo_model, root / "models" / "minilm-reuse" / "1", heads=6, layers=4)
    make_random_checkpoint(binary, root / "tiny" / "tiny" / "1")
    return root / "models", root / "tiny"


class Load:
    """Sends a bit of everything until stopped: ids and text of all lengths, bursts beyond the queue's limit, calls with
    deadlines that cannot be met, calls that are wrong, HTTP. Owns a thread."""

    def __init__(self, server, rate=30, burst_every_s=4, seed=7):
        self._server, self._rate, self._burst_every_s = server, rate, burst_every_s
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stopping.set()
        self._thread.join()
        if self._failure:
            raise self._failure

    def _run(self):
        try:
            with self._server.open_channel() as channel:
                self._send(service_pb2_grpc.GRPCInferenceServiceStub(channel))
        except Exception as error:  # told to the test when it ends the load
            self._failure = error

    def _ids(self, model, longest=120):
        return ids_request(model, [[self._random.randrange(1000, 9000) for _ in range(self._random.randint(4, longest))]])

    def _send(self, stub):
        calls, next_burst, tick = [], time.monotonic() + 1, 0
        while not self._stopping.wait(self._random.expovariate(self._rate)):
            tick += 1
            model = MODELS[tick % 2]
            calls.append(stub.ModelInfer.future(self._ids(model), timeout=5))
            if tick % 5 == 0:
                calls.append(stub.ModelInfer.future(text_request(model, TEXTS), timeout=5))
            if tick % 20 == 0:
                calls.append(stub.ModelInfer.future(ids_request(model, [[-1]])))
                calls.append(stub.ModelInfer.future(ids_request("nobody", [[1]])))
                calls.append(stub.ServerReady.future(service_pb2.ServerReadyRequest()))
                self._send_http()
            if time.monotonic() >= next_burst:
                next_burst = time.monotonic() + self._burst_every_s
                for model in MODELS:
                    calls += [stub.ModelInfer.future(self._ids(model)) for _ in range(2 * QUEUE_LIMIT)]
                    calls += [stub.ModelInfer.future(self._ids(model), timeout=0.004) for _ in range(4)]
            calls = [call for call in calls if not call.done()]
        for call in calls:
            with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
                call.result(timeout=60)

    def _send_http(self):
        with urllib.request.urlopen(f"http://{self._server.http_address}/v2/health/ready", timeout=10) as reply:
            assert reply.status == 200


@contextlib.contextmanager
def loaded_servers(binary, demo_model, folder, **load):
    """A server under load and a tiny one over TLS beside it, as a list."""
    models, tiny = make_repositories(binary, demo_model, folder)
    certificates = make_certificates(folder / "certificates")
    flags = ["--threads", 1, "--max-queue-requests", QUEUE_LIMIT]
    flags += ["--trace-file", folder / "spans.jsonl", "--trace-sample-rate", 1]
    tls = ["--threads", 1, "--health-port", 0]
    tls += ["--tls-cert", certificates / "server.crt", "--tls-key", certificates / "server.key"]
    with (
        Server(binary, models, *flags, log_path=folder / "server.log") as server,
        Server(binary, tiny, *tls, log_path=folder / "tls_server.log") as other,
    ):
        server.await_ready()
        other.await_ready()
        with Load(server, **load):
            yield [server, other]
        server.stop()
        other.stop()


def configuration(servers, interval="1s"):
    """deploy/prometheus/prometheus.yml with other targets and a faster clock, and nobody to tell of alerts."""
    config = yaml.safe_load((PROMETHEUS_FILES / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
    config["rule_files"] = [str(PROMETHEUS_FILES / name) for name in config["rule_files"]]
    del config["alerting"]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{server.metrics_port}" for server in servers]}]
    return config


class Prometheus:
    """Owns one Prometheus process. Use as a context manager."""

    def __init__(self, deps, servers, folder):
        self.program = deps / "bin" / "prometheus"
        assert self.program.exists(), f"{self.program} is not there: run scripts/install --tests"
        self._folder = folder
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration(servers)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [self.program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with open(folder / "prometheus.log", "wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _await_ready(self, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self._process.poll()
            assert ended is None, f"Prometheus ended with {ended}: {(self._folder / 'prometheus.log').read_text()}"
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
                return
            assert time.monotonic() < deadline, f"Prometheus is not ready after {timeout_s} s"
            time.sleep(0.1)

    def __exit__(self, *unused):
        self._process.terminate()
        self._process.wait(timeout=30)

    def ask(self, path, **parameters):
        """The `data` of a reply of the HTTP API."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {json.load(error)['error']}") from None

    def query(self, expression):
        """The samples that an expression has now: [({label: value}, number)]."""
        result = self.ask("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def await_true(self, expression, timeout_s=60):
        """Until an expression has samples."""
        deadline = time.monotonic() + timeout_s
        while not self.query(expression):
            assert time.monotonic() < deadline, f"'{expression}' has no data after {timeout_s} s"
            time.sleep(0.2)
