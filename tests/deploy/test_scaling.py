"""What autoscalers ask Prometheus: names that a real server exports, queries that Prometheus takes, sums that are right."""

import re
import subprocess

import pytest
import yaml

from deployment_files import BINARY, DEPS, KUBERNETES, of_kind
from model_repository import make_tiny_repository
from scrape import Scrape
from server_process import Server

RULE = yaml.safe_load((KUBERNETES / "components" / "hpa" / "prometheus_adapter_rule.yaml").read_text())[0]


def keda_trigger():
    (scaler,) = of_kind("cpu+keda", "ScaledObject")
    (trigger,) = scaler["spec"]["triggers"]
    return trigger


def adapter_query():
    """The adapter's query as it fills it in for the pods of a Deployment."""
    filled = RULE["metricsQuery"].replace("<<.GroupBy>>", "pod")
    return filled.replace("<<.LabelMatchers>>", 'namespace="reprise",pod=~"a|b"')


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scaling")
    repository = make_tiny_repository(BINARY, folder / "models")
    with Server(BINARY, repository, log_path=folder / "server.log") as server:
        server.await_ready()
        scrape = Scrape(server.metrics_port)
        server.stop()
    return scrape


@pytest.mark.parametrize("query", [keda_trigger()["metadata"]["query"], RULE["metricsQuery"], RULE["seriesQuery"]])
def test_series_exist_before_the_first_request(query, page):
    names = re.findall(r"\breprise_\w+", query)
    assert names
    exported = {sample.name for sample in page.samples}
    assert set(names) <= exported


def test_the_autoscaler_asks_for_the_metric_that_the_rule_makes():
    (scaler,) = of_kind("cpu+hpa+init", "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == RULE["name"]["as"]
    assert metric["pods"]["target"]["type"] == "AverageValue"


def test_keda_never_takes_silence_for_idleness():
    (scaler,) = of_kind("cpu+keda", "ScaledObject")
    assert keda_trigger()["metadata"]["ignoreNullValues"] == "false"
    assert scaler["spec"]["fallback"]["replicas"] >= scaler["spec"]["minReplicaCount"] >= 1
    assert float(keda_trigger()["metadata"]["threshold"]) > 0


@pytest.mark.parametrize("name", ["cpu+keda", "cpu+hpa+init"])
def test_pods_are_taken_away_slowly(name):
    behaviors = [scaler["spec"]["behavior"] for scaler in of_kind(name, "HorizontalPodAutoscaler")]
    for scaler in of_kind(name, "ScaledObject"):
        behaviors.append(scaler["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"])
    (behavior,) = behaviors
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0


def series(name, pod, values, job="reprise", namespace="reprise"):
    labels = f'job="{job}",namespace="{namespace}",pod="{pod}",model="m",version="1"'
    return {"series": f"{name}{{{labels}}}", "values": values}


def evaluate(tmp_path, query, input_series, expected):
    """Prometheus's own evaluation of a query after ten minutes of samples."""
    tests = {
        "rule_files": [],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": input_series,
                "promql_expr_test": [{"expr": query, "eval_time": "10m", "exp_samples": expected}],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(tests))
    promtool = [str(DEPS / "bin" / "promtool"), "test", "rules", str(file)]
    result = subprocess.run(promtool, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


def test_keda_counts_the_requests_of_all_our_pods_and_of_no_other(tmp_path):
    inflight = [
        series("reprise_inflight_requests", "a", "12x40"),
        series("reprise_inflight_requests", "b", "5x40"),
        series("reprise_inflight_requests", "c", "100x40", namespace="elsewhere"),
    ]
    evaluate(tmp_path, keda_trigger()["metadata"]["query"], inflight, [{"labels": "{}", "value": 17}])


def test_the_adapter_gets_the_mean_wait_of_busy_pods_and_zero_of_idle_ones(tmp_path):
    # Pod a: 15 requests in 15 s that waited 0.25 s each. Pod b: none since the start.
    waits = [
        series("reprise_queue_duration_seconds_sum", "a", "0+3.75x40"),
        series("reprise_queue_duration_seconds_count", "a", "0+15x40"),
        series("reprise_queue_duration_seconds_sum", "b", "0x40"),
        series("reprise_queue_duration_seconds_count", "b", "0x40"),
    ]
    expected = [{"labels": '{pod="a"}', "value": 0.25}, {"labels": '{pod="b"}', "value": 0}]
    evaluate(tmp_path, adapter_query(), waits, expected)
