"""Calls as OpenTelemetry spans in a file, in the trace that their traceparent names, and in the log."""

import http.client
import json
import re

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, text_request
from scrape import scrape_when

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def traceparent(trace=TRACE, sampled=True):
    return (("traceparent", f"00-{trace}-{PARENT}-0{int(sampled)}"), ("tracestate", "vendor=1"))


class Spans:
    """The spans of a trace file; every line must be OTLP JSON."""

    def __init__(self, path):
        self.all = []
        for line in path.read_text().splitlines():
            (resource,) = json.loads(line)["resourceSpans"]
            (scope,) = resource["scopeSpans"]
            self.all += scope["spans"]

    def of(self, trace):
        return {span["name"]: span for span in self.all if span["traceId"] == trace}


def attributes(span):
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def interval(span):
    return int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])


@pytest.fixture
def traced(start_server, tiny_repository, tmp_path):
    def start(*flags, path=tmp_path / "spans.jsonl"):
        server = start_server(tiny_repository, "--trace-file", path, *flags).await_ready()
        return server, service_pb2_grpc.GRPCInferenceServiceStub(server.open_channel())

    return start


def test_a_traced_call_is_a_span_with_its_steps(traced, tmp_path):
    server, stub = traced("--trace-sample-rate", 0)
    stub.ModelInfer(ids_request("tiny", [[1, 2, 3]], id="mine"), metadata=traceparent())
    server.stop()
    spans = Spans(tmp_path / "spans.jsonl").of(TRACE)
    assert set(spans) == {"grpc ModelInfer", "decode", "queue", "compute", "encode"}
    call = spans["grpc ModelInfer"]
    assert call["parentSpanId"] == PARENT
    assert call["traceState"] == "vendor=1"
    assert call["kind"] == 2
    assert attributes(call)["reprise.request.id"] == "mine"
    assert attributes(call)["reprise.model.version"] == "1"
    assert attributes(call)["rpc.grpc.status_code"] == "0"
    assert attributes(call)["reprise.tokens"] == "3"
    start, end = interval(call)
    ends = start
    for step in ("decode", "queue", "compute", "encode"):
        span = spans[step]
        assert span["parentSpanId"] == call["spanId"]
        assert ends <= interval(span)[0] <= interval(span)[1] <= end, step
        ends = interval(span)[1]
    assert attributes(spans["compute"])["reprise.batch.id"] == "1"


def test_the_flag_of_a_traceparent_decides_and_else_the_rate(traced, tmp_path):
    server, stub = traced()  # rate 1
    live = service_pb2.ServerLiveRequest()
    stub.ServerLive(live, metadata=traceparent("1" * 32, sampled=True))
    stub.ServerLive(live, metadata=traceparent("2" * 32, sampled=False))
    stub.ServerLive(live)
    stub.ServerLive(live, metadata=(("traceparent", "00-zz"),))
    server.stop()
    spans = Spans(tmp_path / "spans.jsonl")
    assert len(spans.all) == 3
    assert set(spans.of("1" * 32)) == {"grpc ServerLive"}
    assert not spans.of("2" * 32)
    roots = [span for span in spans.all if not span["parentSpanId"]]
    assert len({span["traceId"] for span in roots}) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", span["traceId"]) for span in roots)


def test_a_request_over_http_is_a_span_too(traced, tmp_path):
    server, _ = traced("--trace-sample-rate", 0)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    for path, status in (("/v2/health/live", 200), ("/v2/models/none", 404)):
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().status == status
        connection.close()
    server.stop()
    spans = Spans(tmp_path / "spans.jsonl").of(TRACE)
    assert set(spans) == {"http ServerLive", "http ModelMetadata"}
    for span in spans.values():
        assert span["parentSpanId"] == PARENT
        assert interval(span)[0] <= interval(span)[1]


def test_a_cancelled_call_ends_in_the_step_it_was_in(traced, tmp_path):
    server, stub = traced("--max-queue-delay-us", 10_000_000)
    call = stub.ModelInfer.future(ids_request("tiny", [[1]]), metadata=traceparent())
    scrape_when(
        server.metrics_port, lambda page: page.total("reprise_queue_requests", model="tiny") == 1
    )
    call.cancel()
    scrape_when(
        server.metrics_port,
        lambda page: page.total("reprise_inferences_total", code="CANCELLED") == 1,
    )
    server.stop()
    spans = Spans(tmp_path / "spans.jsonl").of(TRACE)
    assert set(spans) == {"grpc ModelInfer", "decode", "queue"}
    assert attributes(spans["grpc ModelInfer"])["rpc.grpc.status_code"] == "1"
    assert spans["grpc ModelInfer"]["status"] == {}
    assert interval(spans["queue"])[1] == interval(spans["grpc ModelInfer"])[1]


def test_requests_that_share_a_batch_name_the_same_one(traced, tmp_path):
    server, stub = traced("--max-batch-size", 2, "--max-queue-delay-us", 10_000_000)
    calls = [
        stub.ModelInfer.future(ids_request("tiny", [[1]]), metadata=traceparent(str(n) * 32))
        for n in (1, 2)
    ]
    for call in calls:
        call.result()
    server.stop()
    spans = Spans(tmp_path / "spans.jsonl")
    for n in (1, 2):
        assert attributes(spans.of(str(n) * 32)["compute"])["reprise.batch.id"] == "1"
        assert attributes(spans.of(str(n) * 32)["grpc ModelInfer"])["reprise.batch.rows"] == "2"


def test_log_lines_of_a_call_carry_its_trace(start_server, tiny_repository):
    server = start_server(tiny_repository, "--log-level", "debug").await_ready()
    stub = service_pb2_grpc.GRPCInferenceServiceStub(server.open_channel())
    stub.ModelInfer(ids_request("tiny", [[1]], id="mine"), metadata=traceparent())
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(text_request("tiny", ["a secret text"]), metadata=traceparent("3" * 32))
    line = server.await_log("inference finished")
    assert (line["trace_id"], line["request_id"], line["code"]) == (TRACE, "mine", "OK")
    assert re.fullmatch("[0-9a-f]{16}", line["span_id"])
    server.stop()
    codes = {line["trace_id"]: line["code"] for line in server.log() if "trace_id" in line}
    assert codes["3" * 32] == "INVALID_ARGUMENT"
    assert not any("secret" in json.dumps(line) for line in server.log())


def test_a_full_disk_costs_spans_and_nothing_else(traced):
    server, stub = traced(path="/dev/full")
    for _ in range(3):
        stub.ModelInfer(ids_request("tiny", [[1]]), metadata=traceparent())
        scrape_when(
            server.metrics_port,
            lambda page: page.value("reprise_trace_spans_total", fate="write_failed") > 0,
        )
    server.stop()
    lost = [line for line in server.log() if line["level"] == "error"]
    assert len(lost) == 1
    assert "No space left on device" in lost[0]["reason"]


def test_spans_written_are_counted(traced, tmp_path):
    server, stub = traced("--trace-sample-rate", 0)
    stub.ModelInfer(ids_request("tiny", [[1]]), metadata=traceparent())
    page = scrape_when(
        server.metrics_port,
        lambda page: page.value("reprise_trace_spans_total", fate="written") > 0,
    )
    server.stop()
    assert page.value("reprise_trace_spans_total", fate="written") == len(
        Spans(tmp_path / "spans.jsonl").all
    )


def test_a_file_that_cannot_be_written_is_an_error_at_start(start_server, tiny_repository, tmp_path):
    server = start_server(tiny_repository, "--trace-file", tmp_path / "missing" / "spans.jsonl")
    assert server.wait() == 2
    (line,) = [line for line in server.log() if line["level"] == "error"]
    assert "missing/spans.jsonl" in line["reason"] and "--trace-file" in line["reason"]


def test_a_rate_out_of_range_is_an_error_at_start(run_reprise, tiny_repository):
    result = run_reprise("serve", "--model-repository", tiny_repository, "--trace-sample-rate", 1.5)
    assert result.returncode == 2
    assert "--trace-sample-rate" in result.stderr
