"""Models come and go at run time: loads, swaps, unloads, what goes wrong with them, and who notices."""

import concurrent.futures
import json
import os
import shutil
import signal
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from infer_messages import ids_request, outputs_of
from model_repository import convert, make_random_checkpoint, set_policy
from scrape import Scrape
from test_health import Response, check, watch

EXPLICIT = ["--model-control", "explicit"]


@pytest.fixture
def repository(tiny_repository, tmp_path):
    """A repository of the test's own, with one model `tiny` of version 1, in fp32."""
    root = tmp_path / "models"
    shutil.copytree(tiny_repository / "tiny", root / "tiny")
    return root


@pytest.fixture
def serve(start_server):
    """serve(repository, flag, ...): a ready server that takes loads, and tritonclient for it."""
    clients = []

    def start(repository, *flags):
        server = start_server(repository, *EXPLICIT, *flags).await_ready()
        clients.append(tritonclient.grpc.InferenceServerClient(server.address))
        return server, clients[-1]

    yield start
    for client in clients:
        client.close()


def add_version(binary, repository, version, seed, model="tiny"):
    return make_random_checkpoint(binary, repository / model / str(version), seed=seed)


def replace(folder, new):
    """Puts the files of checkpoint `new` into `folder`, each at once."""
    for file in new.iterdir():
        os.replace(file, folder / file.name)


def index(client):
    """{(name, version): (state, reason)}"""
    reply = client.get_model_repository_index()
    return {(m.name, m.version): (m.state, m.reason) for m in reply.models}


def embed(client, model="tiny", version=""):
    inputs = tritonclient.grpc.InferInput("input_ids", [1, 3], "INT64")
    inputs.set_data_from_numpy(np.array([[5, 6, 7]], np.int64))
    return client.infer(model, [inputs], model_version=version)


def refusal(call, *arguments, **named):
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def test_models_are_loaded_listed_and_unloaded(serve, repository, tiny_repository):
    shutil.copytree(tiny_repository / "tiny-reuse", repository / "tiny-reuse")
    server, client = serve(repository, "--load-model", "tiny")
    extensions = client.get_server_metadata().extensions
    assert {"model_repository", "model_repository(unload_dependents)"} <= set(extensions)
    assert index(client) == {
        ("tiny", "1"): ("READY", ""),
        ("tiny-reuse", ""): ("UNAVAILABLE", "not loaded"),
    }
    assert [m.name for m in client._client_stub.RepositoryIndex(
        service_pb2.RepositoryIndexRequest(ready=True)).models] == ["tiny"]
    client.load_model("tiny-reuse")
    assert client.is_model_ready("tiny-reuse")
    assert embed(client, "tiny-reuse").get_response().model_version == "1"
    client.unload_model("tiny-reuse", unload_dependents=True)
    assert not client.is_model_ready("tiny-reuse")
    assert index(client)[("tiny-reuse", "1")] == ("UNAVAILABLE", "unloaded")
    assert client.is_server_ready()
    page = Scrape(server.metrics_port)
    assert not page.matching("reprise_model_ready", model="tiny-reuse")
    assert page.value("reprise_model_ready", model="tiny") == 1
    # Loads the named models only because it was told to; "*" loads all.
    assert refusal(embed, client, "tiny-reuse")[0] == "NOT_FOUND"


def test_a_star_loads_every_model_and_no_name_none(start_server, serve, tiny_repository):
    _, client = serve(tiny_repository, "--load-model", "*")
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny-reuse")
    _, client = serve(tiny_repository)
    assert client.is_server_ready()
    assert {state for state, _ in index(client).values()} == {"UNAVAILABLE"}
    for flags, message in (
        ([*EXPLICIT, "--load-model", "nobody"], "nobody"),
        (["--load-model", "tiny"], "--model-control explicit"),
    ):
        server = start_server(tiny_repository, *flags)
        assert server.wait() == 2
        assert message in server.log()[-1]["reason"]


def test_without_control_loads_are_refused_by_the_name_of_the_flag(server):
    with tritonclient.grpc.InferenceServerClient(server.address) as client:
        for call in (client.load_model, client.unload_model):
            code, message = refusal(call, "tiny")
            assert code == "UNAVAILABLE" and "--model-control" in message


def test_bad_names_and_parameters_are_refused(serve, repository, tmp_path):
    (tmp_path / "outside" / "1").mkdir(parents=True)
    (repository / "link").symlink_to(tmp_path / "outside")
    _, client = serve(repository)
    for name in ("..", "../outside", "a/b", "tiny ", " ", "/etc", "tiny\0", "liveness"):
        for call in (client.load_model, client.unload_model):
            assert refusal(call, name)[0] == "INVALID_ARGUMENT", name
    assert refusal(client.load_model, "nobody")[0] == "NOT_FOUND"
    assert refusal(client.unload_model, "tiny")[0] == "NOT_FOUND"
    code, message = refusal(client.load_model, "link")
    assert code == "FAILED_PRECONDITION" and "outside of the repository" in message
    code, message = refusal(
        client.load_model, "tiny", config="{}", files={"file:1/model.safetensors": b"x"}
    )
    assert code == "UNIMPLEMENTED" and "file:1/model.safetensors" in message
    code, message = refusal(client.load_model, "tiny", config='{"executers": 1}')
    assert code == "INVALID_ARGUMENT" and "executers" in message
    stub = client._client_stub
    both = service_pb2.RepositoryModelLoadRequest(repository_name="r", model_name="tiny")
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryModelLoad(both)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    # KServe's protos have the model's name where Triton's have the repository's.
    stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(repository_name="tiny"))
    assert client.is_model_ready("tiny")


def test_a_config_sent_along_stands_in_for_model_json(serve, repository):
    _, client = serve(repository, "--load-model", "tiny")
    client.load_model("tiny", config=json.dumps({"precision": "fp32", "max_batch_size": 3}))
    assert client.get_model_config("tiny").config.max_batch_size == 3
    client.load_model("tiny")
    assert client.get_model_config("tiny").config.max_batch_size == 256


def test_a_new_version_replaces_the_old_one_and_a_changed_one_itself(
    serve, repository, binary, tmp_path
):
    server, client = serve(repository, "--load-model", "tiny")
    first = outputs_of(embed(client).get_response())
    add_version(binary, repository, 2, seed=2)
    client.load_model("tiny")
    second = embed(client).get_response()
    assert second.model_version == "2"
    assert not np.array_equal(outputs_of(second)["last_hidden_state"], first["last_hidden_state"])
    client.load_model("tiny")  # nothing has changed; also waits until version 1 is gone
    assert index(client) == {
        ("tiny", "1"): ("UNAVAILABLE", "unloaded"),
        ("tiny", "2"): ("READY", ""),
    }
    other = make_random_checkpoint(binary, tmp_path / "other", seed=3)
    replace(repository / "tiny" / "2", other)
    client.load_model("tiny")
    third = embed(client).get_response()
    assert third.model_version == "2"
    assert not np.array_equal(
        outputs_of(third)["last_hidden_state"], outputs_of(second)["last_hidden_state"]
    )
    assert Scrape(server.metrics_port).value("reprise_model_ready", model="tiny") == 1


def test_a_broken_version_changes_nothing_but_the_reason(serve, repository, binary):
    server, client = serve(repository, "--load-model", "tiny")
    broken = add_version(binary, repository, 2, seed=2)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    code, message = refusal(client.load_model, "tiny")
    assert code == "FAILED_PRECONDITION" and "'tiny' version 2" in message
    state, reason = index(client)[("tiny", "2")]
    assert state == "UNAVAILABLE" and "reading the model" in reason
    # The version that serves is itself replaced by something broken.
    shutil.rmtree(broken)
    (repository / "tiny" / "1" / "config.json").write_text("{")
    assert refusal(client.load_model, "tiny")[0] == "FAILED_PRECONDITION"
    state, reason = index(client)[("tiny", "1")]
    assert state == "READY" and "config.json" in reason
    (repository / "tiny" / "model.json").write_text('{"precison": "fp32"}')
    assert refusal(client.load_model, "tiny")[0] == "FAILED_PRECONDITION"
    assert "precison" in index(client)[("tiny", "1")][1]
    assert embed(client).get_response().model_version == "1"
    assert client.is_model_ready("tiny")
    assert Scrape(server.metrics_port).value("reprise_model_ready", model="tiny", version="1") == 1
    errors = [line for line in server.log() if line["level"] == "error"]
    assert len(errors) == 3 and all("reason" in line for line in errors)


def test_a_version_goes_into_service_only_if_it_answers_its_golden_samples(
    serve, repository, binary, run_reprise
):
    server, client = serve(repository, "--load-model", "tiny")
    second = add_version(binary, repository, 2, seed=2)
    stored = run_reprise(
        "golden", repository / "tiny" / "1", "--ids", "5,6,7", "--ids", "9",
        "--min-cosine", 0.99, "--output", second / "golden.json",
    )
    assert stored.returncode == 0, stored.stderr
    assert "2 samples of" in stored.stdout
    code, message = refusal(client.load_model, "tiny")
    assert code == "FAILED_PRECONDITION"
    for part in ("golden.json sample 0", "output", "found cosine", "expected at least min_cosine 0.99"):
        assert part in message
    assert embed(client).get_response().model_version == "1"
    page = Scrape(server.metrics_port)
    assert page.value("reprise_golden_mismatch_total", model="tiny", version="2") == 1
    # A reuse version that is allowed to differ, and one that answers as stored.
    golden = json.loads((second / "golden.json").read_text())
    golden["tolerance"]["min_cosine"] = -1
    (second / "golden.json").write_text(json.dumps(golden))
    client.load_model("tiny")
    assert embed(client).get_response().model_version == "2"
    assert run_reprise("golden", second, "--ids", "5,6,7").returncode == 0
    client.load_model("tiny")
    assert index(client)[("tiny", "2")] == ("READY", "")


def test_golden_says_what_it_cannot_do(run_reprise, repository):
    model = repository / "tiny" / "1"
    for arguments, complaint in (
        ([model], "--text"),
        ([model, "--ids", "5,x"], "5,x"),
        ([model, "--ids", "5000"], "5000"),
        ([model, "--text", "a"], "tokenizer.json"),
        ([model, "--text-file", "/nowhere", "--ids", "5"], "/nowhere"),
        ([model, "--ids", "5", "--output-name", "logits"], "logits"),
        ([model, "--ids", "5", "--output", "/nowhere/golden.json"], "/nowhere/golden.json"),
        ([model.parent / "7", "--ids", "5"], "7"),
    ):
        result = run_reprise("golden", *arguments)
        assert result.returncode == 1 and complaint in result.stderr, arguments
    assert not (model / "golden.json").exists()


def await_status(statuses, wanted):
    """Passes over NOT_SERVING, which a watch shows while a model loads, if it looks in time."""
    while (status := statuses.get(timeout=10)) != wanted:
        assert status == Response.NOT_SERVING


def test_watch_sees_a_model_go_and_come_and_the_server_stay(serve, repository):
    server, client = serve(repository)
    with server.open_channel() as channel:
        model, model_stream = watch(channel, "tiny")
        whole, whole_stream = watch(channel)
        startup, startup_stream = watch(channel, "startup")
        assert model.get(timeout=10) == Response.SERVICE_UNKNOWN
        client.load_model("tiny")
        await_status(model, Response.SERVING)
        client.unload_model("tiny")
        assert model.get(timeout=10) == Response.NOT_SERVING
        client.load_model("tiny")
        await_status(model, Response.SERVING)
        assert check(channel, "liveness") == Response.SERVING
        for statuses in (whole, startup):
            assert statuses.get(timeout=10) == Response.SERVING
            assert statuses.empty()
        for stream in (model_stream, whole_stream, startup_stream):
            stream.cancel()


def test_two_reuse_plans_as_versions_show_their_savings_side_by_side(serve, repository, binary, run_reprise):
    convert(binary, repository / "tiny" / "1", repository / "tiny" / "2", 2, 2)
    set_policy(repository / "tiny", precision="fp32", versions="all")
    server, client = serve(repository, "--load-model", "tiny")
    for version in ("1", "2"):
        for _ in range(3):
            assert embed(client, version=version).get_response().model_version == version
    page = Scrape(server.metrics_port)
    tokens = 3 * 3 * 3  # three requests of a row of three, squared
    total = {
        version: {
            source: page.total("reprise_scores_total", model="tiny", version=version, source=source)
            for source in ("computed", "reused")
        }
        for version in ("1", "2")
    }
    assert total["1"] == {"computed": 16 * tokens, "reused": 0}
    assert total["2"] == {"computed": 12 * tokens, "reused": 4 * tokens}
    plans = {
        s.labels["version"]: s.labels["reuse_plan"]
        for s in page.matching("reprise_model_info", model="tiny")
    }
    assert plans["1"] == "exact" and plans["2"] == "2x2"
    assert client.get_model_metadata("tiny").versions == ["1", "2"]


def memory_of(server):
    return Scrape(server.metrics_port).value("process_resident_memory_bytes")


@pytest.mark.allocator
def test_unloading_gives_the_memory_back(serve, full_repository, tmp_path):
    root = tmp_path / "models"
    shutil.copytree(full_repository / "minilm", root / "minilm", copy_function=os.link)
    server, client = serve(root, "--warmup-runs", 0)
    client.load_model("minilm")
    client.unload_model("minilm")
    empty = memory_of(server)  # what the first load leaves behind for good
    client.load_model("minilm")
    loaded = memory_of(server)
    assert loaded - empty > 50e6
    for _ in range(3):
        client.unload_model("minilm")
        client.load_model("minilm")
    client.unload_model("minilm")
    assert memory_of(server) - empty < 0.1 * (loaded - empty)


class Traffic:
    """Callers that ask again and again until the end of the block; every answer is timed."""

    def __init__(self, server, model, callers=2, output="sentence_embedding"):
        self._server, self._callers = server, callers
        self._request = ids_request(model, [[7] * 16], outputs=[output])
        self.answers = []  # (time of the answer, seconds it took, version)
        self.failures = []

    def __enter__(self):
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self._callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_answers(self, count):
        target = len(self.answers) + count
        while len(self.answers) < target and not self.failures:
            time.sleep(0.001)

    def _ask(self):
        with self._server.open_channel() as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not self._stop.is_set():
                start = time.monotonic()
                try:
                    reply = stub.ModelInfer(self._request, timeout=60)
                except grpc.RpcError as error:
                    self.failures.append((error.code(), error.details()))
                else:
                    now = time.monotonic()
                    self.answers.append((now, now - start, reply.model_version))


def milliseconds(seconds, percentile):
    return float(np.percentile(seconds, percentile)) * 1e3


def test_a_swap_under_traffic_fails_no_request(serve, full_repository, tmp_path, capsys):
    root = tmp_path / "models"
    for version in ("1", "2"):
        shutil.copytree(
            full_repository / "minilm" / "1", root / "minilm" / version, copy_function=os.link
        )
    set_policy(root / "minilm", precision="fp32", threads=1, versions=[1])
    server, client = serve(root, "--load-model", "minilm")
    swaps = []
    with Traffic(server, "minilm") as traffic:
        traffic.await_answers(200)
        for version in (2, 1, 2):
            set_policy(root / "minilm", precision="fp32", threads=1, versions=[version])
            start = time.monotonic()
            client.load_model("minilm")
            swaps.append((start, time.monotonic()))
            traffic.await_answers(50)
    assert traffic.failures == []
    assert {version for _, _, version in traffic.answers} == {"1", "2"}

    def during_a_swap(moment):
        return any(start <= moment <= end for start, end in swaps)

    calm = [took for moment, took, _ in traffic.answers if not during_a_swap(moment)]
    swapping = [took for moment, took, _ in traffic.answers if during_a_swap(moment)]
    with capsys.disabled():
        print(
            f"\n{len(swaps)} swaps of minilm fp32 under 2 callers on {os.cpu_count()} cores: "
            f"{len(traffic.answers)} requests, {len(traffic.failures)} failed; "
            f"p50 / p99 {milliseconds(calm, 50):.1f} / {milliseconds(calm, 99):.1f} ms without, "
            f"{milliseconds(swapping, 50):.1f} / {milliseconds(swapping, 99):.1f} ms during a swap; "
            f"a swap took {np.mean([end - start for start, end in swaps]):.2f} s"
        )


def test_a_corrupt_model_swapped_in_under_traffic_fails_no_request(serve, repository, binary):
    server, client = serve(repository, "--load-model", "tiny")
    broken = add_version(binary, repository, 2, seed=2)
    weights = broken / "model.safetensors"
    whole = weights.read_bytes()
    with Traffic(server, "tiny", output="last_hidden_state") as traffic:
        for content in (b"", whole[:50], whole[: len(whole) // 2], whole[8:] + whole[:8]):
            weights.write_bytes(content)
            assert refusal(client.load_model, "tiny")[0] == "FAILED_PRECONDITION"
        weights.write_bytes(whole)
        client.load_model("tiny")
    assert traffic.failures == []
    assert embed(client).get_response().model_version == "2"


def test_loads_and_unloads_of_many_callers_all_end(serve, repository, tiny_repository):
    shutil.copytree(tiny_repository / "tiny-reuse", repository / "tiny-reuse")
    server, client = serve(repository, "--load-threads", 2)

    def cycle(model):
        codes = set()
        with tritonclient.grpc.InferenceServerClient(server.address) as mine:
            for call in [mine.load_model, mine.unload_model] * 10:
                try:
                    call(model)
                except InferenceServerException as error:
                    codes.add(error.status().removeprefix("StatusCode."))
        return codes

    with concurrent.futures.ThreadPoolExecutor() as pool:
        codes = set().union(*pool.map(cycle, ["tiny", "tiny-reuse"] * 2))
    assert codes <= {"NOT_FOUND"}  # unloaded by the other caller a moment before
    client.load_model("tiny")
    assert embed(client).get_response().model_version == "1"


SLOW_LOAD = json.dumps({"precision": "fp32", "warmup_runs": 1000})


@pytest.fixture
def loading_server(serve, full_repository, tmp_path):
    """A server with a load of the demo model under way that takes minutes; and the load's answer."""
    root = tmp_path / "models"
    shutil.copytree(full_repository / "minilm", root / "minilm", copy_function=os.link)
    server, client = serve(root)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(refusal, client.load_model, "minilm", config=SLOW_LOAD)
        server.await_log("model loading")
        yield server, answer


def test_a_server_asked_to_stop_ends_a_load_that_is_under_way(loading_server):
    server, answer = loading_server
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert time.monotonic() - start < 5
    assert answer.result(timeout=10)[0] == "UNAVAILABLE"


def test_a_second_signal_ends_a_loading_server_at_once(loading_server):
    server, answer = loading_server
    server.signal(signal.SIGTERM)
    server.await_log("stopping")
    server.signal(signal.SIGTERM)
    assert server.wait() in (128 + signal.SIGTERM, 0)
    answer.result(timeout=10)


def test_a_server_asked_to_stop_while_it_starts_does_not_wait(start_server, full_repository):
    server = start_server(
        full_repository / "minilm" / "1", "--warmup-runs", 1000, "--precision", "fp32",
        lame_duck_secs=60,
    )
    server.await_log("model loading")
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert time.monotonic() - start < 5
