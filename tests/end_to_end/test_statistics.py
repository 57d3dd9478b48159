"""What ModelStatistics and the metrics under Triton's names say after known traffic, and that they agree."""

import time

import grpc
import pytest
import tritonclient.grpc
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from infer_messages import ids_request
from scrape import Scrape, scrape_when
from server_process import Server

DURATIONS = ("queue", "compute_input", "compute_infer", "compute_output")


@pytest.fixture(scope="module")
def own_server(binary, full_repository, tmp_path_factory):
    """A server that only the tests of this file talk to."""
    log = tmp_path_factory.mktemp("statistics") / "server.log"
    with Server(binary, full_repository, log_path=log) as server:
        server.await_ready()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def client(own_server):
    with tritonclient.grpc.InferenceServerClient(own_server.address) as client:
        yield client


@pytest.fixture(scope="module")
def stub(own_server):
    with own_server.open_channel() as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def statistics(client, model, version="1"):
    (found,) = client.get_inference_statistics(model, version).model_stats
    return found


def triton(server, name, **labels):
    return Scrape(server.metrics_port).value(f"nv_{name}", **labels)


def test_a_batch_of_one_and_a_batch_of_eight_are_two_requests_of_nine_sequences(
    own_server, client, stub
):
    stub.ModelInfer(ids_request("tiny", [[5, 6, 7]]))
    stub.ModelInfer(ids_request("tiny", [[5, 6, 7]] * 8))
    stats = statistics(client, "tiny")
    assert (stats.name, stats.version) == ("tiny", "1")
    assert stats.inference_stats.success.count == 2
    assert (stats.inference_count, stats.execution_count) == (9, 2)
    assert [batch.batch_size for batch in stats.batch_stats] == [1, 8]
    for batch in stats.batch_stats:
        assert batch.compute_infer.count == batch.compute_output.count == 1
        assert batch.compute_infer.ns > 0 and batch.compute_output.ns > 0
    total = sum(getattr(stats.inference_stats, part).ns for part in DURATIONS)
    assert 0 < total <= stats.inference_stats.success.ns
    assert all(getattr(stats.inference_stats, part).count == 2 for part in DURATIONS)
    assert abs(stats.last_inference / 1000 - time.time()) < 60
    (memory,) = stats.memory_usage
    assert memory.type == "CPU" and memory.byte_size > 0
    assert stats.response_stats["0"].success.count == 2


def test_tritons_metrics_are_the_statistics(own_server, client, stub):
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(ids_request("tiny", [[-1]]))
    stats = statistics(client, "tiny")
    page = Scrape(own_server.metrics_port)

    def value(name, **labels):
        return page.value(f"nv_{name}", model="tiny", version="1", **labels)

    requests = stats.inference_stats
    assert value("inference_request_success") == requests.success.count
    assert page.total("nv_inference_request_failure", model="tiny") == requests.fail.count > 0
    assert value("inference_request_failure", reason="OTHER") == requests.fail.count
    assert value("inference_count") == stats.inference_count
    assert value("inference_exec_count") == stats.execution_count
    assert value("inference_request_duration_us") == requests.success.ns // 1000
    for part in DURATIONS:
        expected = getattr(requests, part).ns // 1000
        assert value(f"inference_{part}_duration_us") == expected, part
    assert value("model_load_duration_secs") > 0
    assert 0 <= page.value("nv_cpu_utilization") <= 1
    used, total = (page.value(f"nv_cpu_memory_{what}_bytes") for what in ("used", "total"))
    assert 0 < used < total


def test_requests_of_a_shared_batch_count_one_execution(own_server, client, stub):
    before = statistics(client, "minilm")
    blocker = stub.ModelInfer.future(ids_request("minilm", [[7] * 512] * 8))
    scrape_when(
        own_server.metrics_port,
        lambda page: page.total("reprise_inflight_requests", model="minilm") == 1,
    )
    waiting = [stub.ModelInfer.future(ids_request("minilm", [[7] * 3])) for _ in range(4)]
    scrape_when(
        own_server.metrics_port,
        lambda page: page.total("nv_inference_pending_request_count", model="minilm") == 4,
    )
    assert not blocker.done()
    for call in [blocker, *waiting]:
        call.result(timeout=60)
    after = statistics(client, "minilm")
    assert after.inference_stats.success.count - before.inference_stats.success.count == 5
    assert after.inference_count - before.inference_count == 12
    assert after.execution_count - before.execution_count == 2
    assert triton(own_server, "inference_pending_request_count", model="minilm") == 0


def test_a_cancelled_request_is_a_failure_by_its_caller(own_server, client, stub):
    call = stub.ModelInfer.future(ids_request("minilm", [[7] * 512] * 8))
    scrape_when(
        own_server.metrics_port,
        lambda page: page.total("reprise_inflight_requests", model="minilm") == 1,
    )
    call.cancel()
    scrape_when(
        own_server.metrics_port,
        lambda page: page.total("nv_inference_request_failure", model="minilm", reason="CANCELED")
        == 1,
    )
    assert statistics(client, "minilm").response_stats["0"].cancel.count == 1


def test_one_model_or_version_or_all_may_be_asked_for(client):
    def versions(model="", version=""):
        found = client.get_inference_statistics(model, version).model_stats
        return [(stats.name, stats.version) for stats in found]

    assert versions("tiny-versions") == [("tiny-versions", "1"), ("tiny-versions", "2")]
    assert versions("tiny-versions", "2") == [("tiny-versions", "2")]
    everything = versions()
    assert ("minilm", "1") in everything and ("tiny-versions", "2") in everything
    assert everything == sorted(everything)


@pytest.mark.parametrize(
    "model,version,status",
    [
        ("nobody", "", "NOT_FOUND"),
        ("tiny", "7", "NOT_FOUND"),
        ("tiny", "seven", "INVALID_ARGUMENT"),
    ],
)
def test_what_is_not_there_has_no_statistics(client, model, version, status):
    with pytest.raises(InferenceServerException) as caught:
        client.get_inference_statistics(model, version)
    assert caught.value.status() == f"StatusCode.{status}"


def test_every_field_is_there_before_the_first_request(client):
    stats = statistics(client, "tiny-reuse")
    assert stats.inference_stats.HasField("cache_hit")
    assert stats.inference_stats.HasField("cache_miss")
    assert stats.inference_stats.HasField("success")
    assert stats.inference_count == 0 and not stats.batch_stats


def test_extensions_name_what_works(client):
    assert {"statistics", "logging"} <= set(client.get_server_metadata().extensions)


def log_settings(client, **changes):
    reply = client.update_log_settings(changes) if changes else client.get_log_settings()
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in reply.settings.items()
    }


def test_log_settings_change_what_is_logged_at_once(own_server, client):
    before = log_settings(client)
    assert before == {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "json",
    }
    assert log_settings(client, log_verbose_level=1) == before | {"log_verbose_level": 1}
    assert own_server.await_log("log settings changed")["log_verbose_level"] == 1
    lines = len(own_server.log())
    assert not log_settings(client, log_info=False, log_verbose_level=0)["log_info"]
    assert len(own_server.log()) == lines, "the line about the change is itself for information"
    assert log_settings(client, log_info=True) == before


@pytest.mark.parametrize(
    "change,status",
    [
        ({"log_file": "/tmp/somewhere"}, "UNIMPLEMENTED"),
        ({"log_format": "default"}, "INVALID_ARGUMENT"),
        ({"log_colour": True}, "INVALID_ARGUMENT"),
        ({"log_warning": False, "log_format": "ISO8601"}, "INVALID_ARGUMENT"),
    ],
)
def test_log_settings_that_cannot_be_are_refused_as_a_whole(client, change, status):
    before = log_settings(client)
    with pytest.raises(InferenceServerException) as caught:
        log_settings(client, **change)
    assert caught.value.status() == f"StatusCode.{status}"
    assert log_settings(client) == before
