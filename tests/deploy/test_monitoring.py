"""Every query of the dashboards and every rule, asked of a real Prometheus that scrapes real servers under load, has data."""

import importlib
import json
import math
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from monitored_servers import MODELS, PROMETHEUS_FILES, ROOT, Prometheus, loaded_servers

BINARY = pathlib.Path(os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise"))
DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps"))
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
# What Grafana would put in place of the variables, with everything chosen.
VARIABLES = {"$job": ".*", "$instance": ".*", "$model": ".*", "$__rate_interval": "20s", "$__range": "60s"}
# Panels that need NVIDIA's exporter and a GPU: their queries are only parsed.
GPU_PANELS = {"GPU busy", "Tensor cores busy", "GPU memory interface busy", "GPU memory used"}
# What PromQL is made of, as far as finding selectors goes: a string, a list of labels, a range, a name with or without
# labels, or a call.
TOKEN = re.compile(
    r'("[^"]*"|\[\w+\])|(\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\))'
    r'|([a-zA-Z_:][\w:]*)(\{[^{}]*\})?\s*(\()?'
)
KEYWORDS = {"and", "or", "unless", "sum", "max", "avg", "count"}


def substitute(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable that the test does not know: {expression}"
    return expression


def panel_queries():
    for board, content in DASHBOARDS.items():
        for panel in content["panels"]:
            for target in panel.get("targets", []):
                yield pytest.param(
                    panel["title"], substitute(target["expr"]), id=f"{board}: {panel['title']} {target['refId']}"
                )


def rules(kind):
    for path in sorted(PROMETHEUS_FILES.glob("*.yml")):
        for group in (yaml.safe_load(path.read_text()) or {}).get("groups", []):
            yield from (rule for rule in group["rules"] if kind in rule)


RECORDING_RULES = list(rules("record"))
ALERTS = list(rules("alert"))


def selectors(expression):
    """The vector selectors of an expression: what it reads, without what it makes of it."""
    found = []
    for strings, grouping, name, labels, call in TOKEN.findall(expression):
        if name and not strings and not grouping and not call and name not in KEYWORDS:
            found.append(name + labels)
    return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitoring")
    with (
        loaded_servers(BINARY, DEPS / "models" / "all-MiniLM-L6-v2", folder) as servers,
        Prometheus(DEPS, servers, folder) as running,
    ):
        # Rates need a few scrapes after the first events, rules a few evaluations more.
        running.await_true('rate(reprise_refused_total{reason="queue_requests"}[20s]) > 0')
        running.await_true('rate(reprise_inferences_total{code="DEADLINE_EXCEEDED"}[20s]) > 0')
        running.await_true("job_model:reprise_reuse:ratio_rate5m > 0")
        running.await_true("job_model:reprise_slow_requests:ratio_rate6h")
        yield running


def numbers_of(samples):
    return [value for _, value in samples if math.isfinite(value)]


@pytest.mark.parametrize("title, expression", list(panel_queries()))
def test_a_panels_query_has_data(prometheus, title, expression):
    samples = prometheus.query(expression)
    if title in GPU_PANELS:
        assert "DCGM_" in expression
        return
    assert samples, f"no data: {expression}"
    assert len(numbers_of(samples)) == len(samples), f"not numbers: {samples}"


@pytest.mark.parametrize("rule", RECORDING_RULES, ids=lambda rule: rule["record"])
def test_a_recording_rule_records_numbers(prometheus, rule):
    prometheus.await_true(rule["record"])
    samples = prometheus.query(rule["record"])
    assert len(numbers_of(samples)) == len(samples)
    assert {labels["model"] for labels, _ in samples} >= set(MODELS)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_reads_series_that_exist(prometheus, rule):
    prometheus.query(rule["expr"])  # it may have none: most of the alerts must not fire
    assert selectors(rule["expr"])
    for selector in selectors(rule["expr"]):
        assert prometheus.query(selector), f"{rule['alert']} compares {selector}, which no server shows"


def test_every_rule_is_evaluated_without_error(prometheus):
    groups = prometheus.ask("rules")["groups"]
    found = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert found.keys() == {rule.get("record") or rule["alert"] for rule in RECORDING_RULES + ALERTS}
    assert set(found.values()) == {"ok"}, found


def test_overload_is_seen(prometheus):
    """The alert's condition, not yet for long enough to fire."""
    expression = next(rule["expr"] for rule in ALERTS if rule["alert"] == "RepriseRefusing")
    assert prometheus.query(expression)


def test_the_exact_model_reuses_nothing_and_the_other_a_third(prometheus):
    reuse = {labels["model"]: value for labels, value in prometheus.query("job_model:reprise_reuse:ratio_rate5m")}
    assert reuse["minilm"] == 0
    planned = dict((labels["model"], value) for labels, value in prometheus.query("reprise_reuse_planned_ratio"))
    assert planned["minilm-reuse"] == pytest.approx(4 * 6 / (6 * 12))
    assert 0 < reuse["minilm-reuse"] <= planned["minilm-reuse"] + 1e-9


def test_the_selectors_of_an_expression_are_found():
    expression = 'sum by (a) (rate(x_total{b="c d"}[5m])) / on (job) (y > 0) > 1 and label_replace(z, "of", "w", "", "")'
    assert selectors(expression) == ['x_total{b="c d"}', "y", "z"]


def test_the_dashboards_are_as_the_generator_makes_them():
    done = subprocess.run(
        [sys.executable, "-B", GRAFANA / "make_dashboards.py", "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_generator_says_which_metrics_are_nowhere(monkeypatch):
    monkeypatch.syspath_prepend(str(GRAFANA))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    generator = importlib.import_module("make_dashboards")
    catalogue = json.loads(generator.CATALOGUE.read_text())
    assert generator.problems(catalogue) == []
    removed = catalogue["metrics"].pop()["name"]
    catalogue["metrics"].append({"name": "reprise_new"})
    assert generator.problems(catalogue) == [
        f"no metric of the catalogue: {removed}",
        "on no dashboard, and not in EXEMPT: reprise_new",
    ]


def test_gpu_panels_are_those_that_ask_for_dcgm():
    assert {p.values[0] for p in panel_queries() if "DCGM_" in p.values[1]} == GPU_PANELS


def test_provisioning_names_the_datasource_of_the_dashboards():
    provisioning = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "reprise.yml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    for board in DASHBOARDS.values():
        assert board["editable"] is False
        (variable,) = [v for v in board["templating"]["list"] if v["name"] == "datasource"]
        assert variable["current"]["value"] == source["uid"]
