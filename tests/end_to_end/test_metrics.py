"""After known traffic a live server's metrics page shows every declared metric, and counts right."""

import json
import pathlib

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request
from model_repository import TINY_CONFIG, TINY_REUSE_HEADS, TINY_REUSE_LAYERS
from scrape import Scrape, scrape_when
from server_process import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = json.loads((ROOT / "server" / "metrics" / "metrics.json").read_text())

REQUESTS = [[5], [3, 7], [48]]  # the lengths of the rows of each request that is answered
ROWS = [length for request in REQUESTS for length in request]
TOKENS = sum(ROWS)
SQUARES = sum(length**2 for length in ROWS)
PADDING_ROWS = sum(-sum(lengths) % 16 for lengths in REQUESTS)  # each is a batch

LAYERS, HEADS = TINY_CONFIG["num_hidden_layers"], TINY_CONFIG["num_attention_heads"]
HIDDEN = TINY_CONFIG["hidden_size"]
HEAD_DIM = HIDDEN // HEADS
REUSED_HEADS = TINY_REUSE_HEADS * TINY_REUSE_LAYERS
MODELS = ["tiny", "tiny-reuse"]


def send_rows(stub, model, lengths, **options):
    columns = max(lengths)
    mask = [[1] * length + [0] * (columns - length) for length in lengths]
    ids = [[7] * columns for _ in lengths]
    return stub.ModelInfer(ids_request(model, ids, mask), **options)


def send_known_traffic(channel):
    """Calls one after the other, so each is a batch. Their number by method and code."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    for model in MODELS:
        send_rows(stub, model, REQUESTS[0], timeout=60)  # the only ones with a deadline
        for lengths in REQUESTS[1:]:
            send_rows(stub, model, lengths)
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(ids_request(model, [[-1]]))
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(ids_request("nobody", [[1]]))
    send_bytes = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError):
        send_bytes(b"not a message")
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/no.such.Service/Method")(b"")
    list(stub.ModelStreamInfer(iter([ids_request("nobody", [[1]])])))
    stub.ServerLive(service_pb2.ServerLiveRequest())
    stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="tiny"))
    stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
    for _ in range(2):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return {
        ("ModelInfer", "OK"): len(MODELS) * len(REQUESTS),
        ("ModelInfer", "INVALID_ARGUMENT"): len(MODELS) + 1,
        ("ModelInfer", "NOT_FOUND"): 1,
        ("ModelStreamInfer", "NOT_FOUND"): 1,
        ("ModelStreamInfer/stream", "OK"): 1,
        ("_unknown", "UNIMPLEMENTED"): 1,
        ("ServerLive", "OK"): 1,
        ("ModelMetadata", "OK"): 1,
        ("RepositoryIndex", "OK"): 1,
        ("Health/Check", "OK"): 2,
    }


@pytest.fixture(scope="module", params=["stored", "fused"])
def observed(request, binary, tiny_repository, tmp_path_factory):
    """A server that has seen nothing but the known traffic: its page, its calls and its strategy."""
    log = tmp_path_factory.mktemp("metrics") / "server.log"
    flags = ["--strategy", request.param]
    with Server(binary, tiny_repository, *flags, log_path=log) as server:
        server.await_ready()
        with server.open_channel() as channel:
            calls = send_known_traffic(channel)
        yield Scrape(server.metrics_port), calls, request.param
        server.stop()


@pytest.fixture
def page(observed):
    return observed[0]


@pytest.mark.parametrize("metric", CATALOGUE["metrics"], ids=lambda metric: metric["name"])
def test_a_declared_metric_appears_as_declared(page, metric):
    name = metric["name"]
    if name == "reprise_tls_certificate_expiry_timestamp_seconds":
        assert name not in page.types  # without TLS; test_tls.py looks at it
        return
    assert page.types.get(name) == metric["type"]
    suffixes = ["_bucket", "_sum", "_count"] if metric["type"] == "histogram" else [""]
    sets = [(CATALOGUE["label_sets"][label], label) for label in metric["labels"]]
    declared = {known.get("label", label): known.get("values") for known, label in sets}
    for suffix in suffixes:
        samples = page.matching(name + suffix)
        assert samples, f"no series of {name}{suffix}"
        for sample in samples:
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            assert labels.keys() == declared.keys(), sample
            for label, value in labels.items():
                assert declared[label] is None or value in declared[label], sample


def test_no_metric_of_ours_is_undeclared(page):
    declared = {metric["name"] for metric in CATALOGUE["metrics"]}
    ours = {name for name in page.types if not name.startswith("exposer_")}
    assert ours <= declared, ours - declared


def test_every_call_ends_in_exactly_one_count(observed):
    page, calls, _ = observed
    counted = {
        (s.labels["method"], s.labels["code"]): s.value
        for s in page.matching("reprise_requests_total")
        if s.value
    }
    assert counted == calls


def test_refusals_count_by_reason(page):
    for model in MODELS:
        assert page.total("reprise_refused_total", model=model) == 1
        assert page.total("reprise_refused_total", model=model, reason="invalid") == 1


@pytest.mark.parametrize("model", MODELS)
def test_durations_count_answered_requests_and_batches(page, model):
    per_request = len(REQUESTS)
    for name in ("request_duration", "queue_duration"):
        assert page.value(f"reprise_{name}_seconds_count", model=model, version="1") == per_request
    for phase in ("decode", "tokenize", "queue", "form", "compute", "encode"):
        count = page.value(
            "reprise_phase_duration_seconds_count", model=model, version="1", phase=phase
        )
        assert count == per_request, phase
    assert page.value("reprise_deadline_slack_seconds_count", model=model, version="1") == 1
    slack = page.value("reprise_deadline_slack_seconds_sum", model=model, version="1")
    assert 55 < slack < 61, "60 s, which gRPC rounds up on the way"


@pytest.mark.parametrize("model", MODELS)
def test_histogram_buckets_are_cumulative_and_end_at_the_count(page, model):
    for metric in CATALOGUE["metrics"]:
        if metric["type"] != "histogram" or metric["labels"] != ["model", "version"]:
            continue
        buckets = page.matching(metric["name"] + "_bucket", model=model, version="1")
        edges = CATALOGUE["bucket_sets"][metric["buckets"]]
        assert [float(b.labels["le"]) for b in buckets] == [*map(float, edges), float("inf")]
        values = [b.value for b in buckets]
        assert values == sorted(values)
        assert values[-1] == page.value(metric["name"] + "_count", model=model, version="1")


@pytest.mark.parametrize("model", MODELS)
def test_batches_count_real_rows_and_tokens(page, model):
    def value(name):
        return page.value(f"reprise_{name}", model=model, version="1")

    assert (value("batch_rows_count"), value("batch_rows_sum")) == (len(REQUESTS), len(ROWS))
    assert (value("batch_tokens_count"), value("batch_tokens_sum")) == (len(REQUESTS), TOKENS)
    assert (value("sequence_tokens_count"), value("sequence_tokens_sum")) == (len(ROWS), TOKENS)
    for kind, tokens in (("real", TOKENS), ("padding", PADDING_ROWS)):
        counted = page.value("reprise_tokens_total", model=model, version="1", kind=kind)
        assert counted == tokens, kind
    assert page.total("reprise_batch_closed_total", model=model) == len(REQUESTS)


def test_the_exact_model_computes_every_score(page):
    assert page.total("reprise_scores_total", model="tiny") == LAYERS * HEADS * SQUARES
    assert page.total("reprise_scores_total", model="tiny", source="computed") == (
        LAYERS * HEADS * SQUARES
    )


def test_the_reuse_models_scores_add_up_to_the_exact_ones(observed):
    page, _, strategy = observed
    kept = {"stored": "reused", "fused": "recomputed"}[strategy]
    other = {"stored": "recomputed", "fused": "reused"}[strategy]
    sources = {
        source: page.total("reprise_scores_total", model="tiny-reuse", source=source)
        for source in ("computed", "reused", "recomputed")
    }
    assert sum(sources.values()) == LAYERS * HEADS * SQUARES
    assert (sources[kept], sources[other]) == (REUSED_HEADS * SQUARES, 0)


def test_scores_are_told_by_layer(observed):
    page, _, strategy = observed
    kept = {"stored": "reused", "fused": "recomputed"}[strategy]
    for layer in range(LAYERS):
        reused = TINY_REUSE_HEADS if 1 <= layer <= TINY_REUSE_LAYERS else 0
        found = [
            page.value("reprise_scores_total", model="tiny-reuse", layer=str(layer), source=source)
            for source in ("computed", kept)
        ]
        assert found == [(HEADS - reused) * SQUARES, reused * SQUARES], layer


def test_strategies_count_sequences_and_groups(observed):
    page, _, strategy = observed
    groups = 1  # the first layer and its readers
    assert page.value("reprise_strategy_total", model="tiny-reuse", version="1", strategy=strategy) == (
        groups * len(ROWS)
    )
    assert page.total("reprise_strategy_total", model="tiny-reuse") == groups * len(ROWS)
    assert page.total("reprise_strategy_total", model="tiny") == 0


def test_multiply_adds_computed_and_avoided_add_up_to_the_exact_ones(observed):
    page, _, strategy = observed

    def total(model, kind):
        return page.value("reprise_multiply_adds_total", model=model, version="1", kind=kind)

    projections = 2 * HIDDEN * HEAD_DIM * REUSED_HEADS * TOKENS  # query and key
    products = HEAD_DIM * REUSED_HEADS * SQUARES  # query times key
    avoided = projections + (products if strategy == "stored" else 0)
    assert total("tiny", "avoided") == 0
    assert total("tiny-reuse", "avoided") == avoided
    assert total("tiny-reuse", "computed") + avoided == total("tiny", "computed")


def test_bytes_saved_are_those_of_the_weights_left_out(observed):
    page, _, strategy = observed

    def saved(model, kind):
        return page.value("reprise_memory_saved_bytes", model=model, version="1", kind=kind)

    weights_and_bias = 4 * (HEAD_DIM * HIDDEN + HEAD_DIM)
    assert saved("tiny-reuse", "parameters") == 2 * REUSED_HEADS * weights_and_bias
    assert saved("tiny-reuse", "activations") > 0
    peak = page.value("reprise_score_buffer_bytes", model="tiny-reuse", version="1", kind="peak")
    assert saved("tiny-reuse", "scores") == -peak
    assert (peak > 0) == (strategy == "stored")
    for kind in ("parameters", "activations", "scores"):
        assert saved("tiny", kind) == 0, kind


def test_the_stored_scores_fit_the_cache(observed):
    page, _, strategy = observed

    def buffer(kind):
        return page.value("reprise_score_buffer_bytes", model="tiny-reuse", version="1", kind=kind)

    if strategy == "stored":
        assert buffer("peak") >= 4 * TINY_REUSE_HEADS * max(ROWS) ** 2
    assert buffer("live") <= buffer("peak") <= buffer("capacity")


@pytest.mark.parametrize("model", MODELS)
def test_the_arena_never_outgrows_its_plan(page, model):
    used, capacity = (
        page.value("reprise_arena_bytes", model=model, version="1", device="cpu", state=state)
        for state in ("used", "capacity")
    )
    assert 0 < used <= capacity


def test_models_are_described(page):
    (info,) = page.matching("reprise_model_info", model="tiny-reuse")
    assert info.labels["reuse_plan"] == f"{TINY_REUSE_HEADS}x{TINY_REUSE_LAYERS}"
    assert (info.labels["precision"], info.labels["device"]) == ("fp32", "cpu")
    assert page.value("reprise_model_info", model="tiny", reuse_plan="exact") == 1
    ratio = page.value("reprise_reuse_planned_ratio", model="tiny-reuse")
    assert ratio == REUSED_HEADS / (LAYERS * HEADS)
    for model in MODELS:
        assert page.value("reprise_model_ready", model=model, version="1") == 1
        assert page.value("reprise_executors", model=model, version="1") == 1
        assert page.value("reprise_model_load_seconds", model=model, version="1") > 0
        assert page.value("reprise_executor_busy_seconds_total", model=model, version="1") > 0


def test_an_idle_server_has_nothing_queued_or_in_flight(page):
    for measure in ("requests", "rows", "tokens", "bytes", "score_bytes"):
        assert page.total(f"reprise_queue_{measure}") == 0
        for model in MODELS:
            assert page.value(f"reprise_queue_limit_{measure}", model=model, version="1") > 0
    assert page.total("reprise_inflight_requests") == 0
    assert page.value("reprise_draining") == 0


def test_queue_gauges_show_what_waits(server, stub):
    def gauge(page, name):
        return page.value(f"reprise_{name}", model="minilm", version="1")

    def inflight(count):
        return lambda page: gauge(page, "inflight_requests") == count

    blocker = stub.ModelInfer.future(ids_request("minilm", [[7] * 512] * 8))
    running = scrape_when(server.metrics_port, inflight(1))
    waiting = [stub.ModelInfer.future(ids_request("minilm", [[7] * 3] * 2)) for _ in range(5)]
    page = scrape_when(server.metrics_port, inflight(6))
    assert gauge(running, "queue_requests") <= 1, "the blocker at most"
    found = {m: gauge(page, f"queue_{m}") for m in ("requests", "rows", "tokens", "bytes")}
    assert found == {"requests": 5, "rows": 10, "tokens": 30, "bytes": 5 * 2 * 3 * 8}
    assert not blocker.done()
    for call in [blocker, *waiting]:
        call.result(timeout=60)
    page = scrape_when(server.metrics_port, inflight(0))
    assert gauge(page, "queue_requests") == 0


def test_unknown_models_share_one_series(server, stub):
    for number in range(20):
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(ids_request(f"nobody-{number}", [[1]]))
    page = Scrape(server.metrics_port)
    models = {s.labels["model"] for s in page.samples if "model" in s.labels}
    assert not any(model.startswith("nobody") for model in models)


def test_without_metrics_calls_are_answered_all_the_same(start_server, tiny_repository):
    server = start_server(tiny_repository, "--no-metrics").await_ready()
    assert server.metrics_port is None
    with server.open_channel() as channel:
        send_rows(service_pb2_grpc.GRPCInferenceServiceStub(channel), "tiny", [3])
    server.stop()
