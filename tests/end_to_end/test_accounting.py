"""After a storm of calls of every kind the counters of a live server add up to what the callers saw."""

import collections
import concurrent.futures
import random

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request
from scrape import Scrape, scrape_when

ROWS_OF_A_FULL_BATCH = 4
PLACES_IN_THE_QUEUE = 3
# A batch runs when it is full; what does not fill one waits for as long as a test wants it to.
FLAGS = ["--max-batch-size", ROWS_OF_A_FULL_BATCH, "--max-queue-delay-us", 10_000_000]
FLAGS += ["--max-queue-requests", PLACES_IN_THE_QUEUE, "--max-receive-bytes", 65536]
FLAGS += ["--no-prediction"]  # which would run a waiting request just before its deadline


@pytest.fixture
def server(start_server, tiny_repository):
    return start_server(tiny_repository, *FLAGS).await_ready()


class Callers:
    """Sends calls and keeps what became of them, by method and code."""

    def __init__(self, server):
        self.port = server.metrics_port
        self.channel = server.open_channel()
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self.seen = collections.Counter()

    def note(self, method, call):
        try:
            call.result(timeout=60) if isinstance(call, grpc.Future) else call()
            code = "OK"
        except grpc.FutureCancelledError:
            code = "CANCELLED"
        except grpc.RpcError as error:
            code = error.code().name
        self.seen[method, code] += 1

    def infer(self, model="tiny", rows=ROWS_OF_A_FULL_BATCH, version="", timeout_us=0, **options):
        request = ids_request(model, [[7, 8]] * rows, model_version=version)
        if timeout_us:
            request.parameters["timeout"].int64_param = timeout_us
        return self.stub.ModelInfer.future(request, **options)

    def send_bytes(self, method, content):
        return self.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(content)

    def inflight(self, page):
        return page.total("reprise_inflight_requests", model="tiny")

    def fill_the_queue(self):
        """Requests that wait, and will go on waiting."""
        waiting = [self.infer(rows=1) for _ in range(PLACES_IN_THE_QUEUE)]
        scrape_when(self.port, lambda page: self.inflight(page) == PLACES_IN_THE_QUEUE)
        return waiting

    def cancel(self, waiting):
        for call in waiting:
            call.cancel()
            self.note("ModelInfer", call)
        scrape_when(self.port, lambda page: self.inflight(page) == 0)


def storm(callers):
    wrong_datatype = ids_request("tiny", [[1]])
    wrong_datatype.inputs[0].datatype = "INT63"
    live = service_pb2.ServerLiveRequest()
    kinds = {
        "good": lambda: callers.note("ModelInfer", callers.infer()),
        "live": lambda: callers.note("ServerLive", lambda: callers.stub.ServerLive(live)),
        "malformed": lambda: callers.note(
            "ModelInfer", lambda: callers.send_bytes("ModelInfer", b"\xff\xff")
        ),
        "datatype": lambda: callers.note(
            "ModelInfer", lambda: callers.stub.ModelInfer(wrong_datatype)
        ),
        "model": lambda: callers.note("ModelInfer", callers.infer(model="nobody")),
        "version": lambda: callers.note("ModelInfer", callers.infer(version="77")),
        "large": lambda: callers.note(
            "ModelInfer", lambda: callers.send_bytes("ModelInfer", bytes(100_000))
        ),
        "method": lambda: callers.note("_unknown", lambda: callers.send_bytes("ModelGuess", b"")),
    }
    calls = [kinds[kind] for kind in kinds for _ in range(25)]
    random.Random(1).shuffle(calls)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for call in [pool.submit(call) for call in calls]:
            call.result()
    return len(calls)


def by_label(page, name, *labels, **where):
    counts = collections.Counter()
    for sample in page.matching(name, **where):
        if sample.value:
            key = tuple(sample.labels[label] for label in labels)
            counts[key if len(labels) > 1 else key[0]] += int(sample.value)
    return counts


def test_every_call_of_a_storm_ends_in_exactly_one_count(server):
    callers = Callers(server)
    sent = storm(callers)

    waiting = callers.fill_the_queue()
    for _ in range(5):  # no place is left
        callers.note("ModelInfer", callers.infer(rows=1))
    callers.cancel(waiting)

    # By the parameter: at its own deadline a caller hangs up, which may come first and look like a cancellation.
    late = [callers.infer(rows=1, timeout_us=1) for _ in range(2)]
    for call in late:
        callers.note("ModelInfer", call)

    answered = callers.infer()
    callers.note("ModelInfer", answered)
    answered.cancel()  # too late to change anything

    sent += 5 + len(waiting) + len(late) + 1
    assert sum(callers.seen.values()) == sent
    assert callers.seen["ModelInfer", "RESOURCE_EXHAUSTED"] >= 25 + 5
    assert callers.seen["ModelInfer", "CANCELLED"] == len(waiting)
    assert callers.seen["ModelInfer", "DEADLINE_EXCEEDED"] == len(late)

    # A caller knows of a deadline or of its own cancellation before the server does.
    page = scrape_when(
        server.metrics_port,
        lambda page: page.total("reprise_requests_total", protocol="grpc") >= sent,
    )
    assert by_label(page, "reprise_requests_total", "method", "code") == callers.seen

    inferences = collections.Counter()
    for (method, code), count in callers.seen.items():
        if method == "ModelInfer":
            inferences[code] += count
    assert by_label(page, "reprise_inferences_total", "code") == inferences

    queue_full = inferences["RESOURCE_EXHAUSTED"] - 25  # the others were too large
    assert by_label(page, "reprise_refused_total", "reason") == {
        "invalid": inferences["INVALID_ARGUMENT"],
        "too_large": 25,
        "queue_requests": queue_full,
        "deadline": len(late),
    }
    # Whose fault it was, as far as that is known.
    assert by_label(page, "reprise_inferences_total", "model", "version", code="NOT_FOUND") == {
        ("_unknown", ""): 25,
        ("tiny", ""): 25,
    }
    assert by_label(page, "reprise_refused_total", "model", "version", reason="queue_requests") == {
        ("tiny", "1"): queue_full
    }
    assert page.total("reprise_inflight_requests") == page.total("reprise_queue_requests") == 0


def test_failures_add_no_series(server):
    callers = Callers(server)
    before = Scrape(server.metrics_port)
    for model in ("tiny", "guess-1", "guess-2"):
        for version in ("", "77", "x"):
            callers.note("ModelInfer", callers.infer(model=model, version=version))
    after = Scrape(server.metrics_port)

    def ours(page):
        return {
            (sample.name, *sorted(sample.labels.items()))
            for sample in page.samples
            if sample.name.startswith("reprise_")
        }

    assert ours(after) == ours(before)


def test_a_model_has_fewer_than_2000_series(server):
    page = Scrape(server.metrics_port)
    of_model = collections.Counter(
        sample.labels["model"] for sample in page.samples if "model" in sample.labels
    )
    assert of_model["tiny"] > 100
    assert max(of_model.values()) < 2000, of_model
