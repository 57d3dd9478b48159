"""The rules of deploy/prometheus by Prometheus's own tools; each alert fires and ends in a test, and has a page."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps"))
FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = [FOLDER / "alerts.yml", FOLDER / "recording_rules.yml"]
TESTS = sorted((FOLDER / "tests").glob("*_test.yml"))
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
NAMES = [alert["alert"] for alert in ALERTS]
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def run_tool(program, *arguments):
    command = [DEPS / "bin" / program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def seconds(duration):
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", duration))


def expectations(alert):
    """(time, how many alerts are expected then), in order, of the one test that is about this alert."""
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    about = [[case for case in test["alert_rule_test"] if case["alertname"] == alert] for test in tests]
    (cases,) = [found for found in about if found]
    return sorted((seconds(case["eval_time"]), len(case["exp_alerts"])) for case in cases)


def test_the_rules_pass_promtools_linter():
    code, output = run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert code == 0, output


def test_the_configuration_is_valid():
    code, output = run_tool("promtool", "check", "config", FOLDER / "prometheus.yml")
    assert code == 0, output


def test_the_alertmanager_sample_is_valid():
    code, output = run_tool("amtool", "check-config", FOLDER / "alertmanager.yml")
    assert code == 0, output


@pytest.mark.parametrize("severity, receiver", [("page", "pages"), ("ticket", "tickets"), ("info", "notes")])
def test_each_severity_reaches_its_receiver(severity, receiver):
    config = f"--config.file={FOLDER / 'alertmanager.yml'}"
    wanted = f"--verify.receivers={receiver}"
    code, output = run_tool("amtool", "config", "routes", "test", config, wanted, "job=reprise", f"severity={severity}")
    assert code == 0, output
    assert severity in {alert["labels"]["severity"] for alert in ALERTS}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_alerts_do_what_their_tests_say(path):
    code, output = run_tool("promtool", "test", "rules", path)
    assert code == 0, output


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_order_of_evaluation_names_every_group(path):
    groups = {group["name"] for rules in RULE_FILES for group in yaml.safe_load(rules.read_text())["groups"]}
    order = yaml.safe_load(path.read_text())["group_eval_order"]
    assert order[:2] == ["reprise_traffic", "reprise_work"] and set(order) == groups


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_fires_and_ends_in_a_test(alert):
    counts = [count for _, count in expectations(alert)]
    assert 0 in counts[counts.index(max(counts)) :] and max(counts) > 0, counts


@pytest.mark.parametrize("alert", [a["alert"] for a in ALERTS if "for" in a])
def test_an_alert_that_waits_is_seen_waiting(alert):
    assert expectations(alert)[0][1] == 0


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_a_page(alert):
    page = ROOT / alert["annotations"]["runbook_url"]
    assert page == ROOT / "deploy" / "runbooks" / f"{alert['alert']}.md"
    text = page.read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "First look", "What to do"]


def test_no_page_is_without_its_alert():
    pages = {path.stem for path in (ROOT / "deploy" / "runbooks").glob("Reprise*.md")}
    assert pages == set(NAMES)


def test_a_promtool_test_can_fail(tmp_path):
    broken = TESTS[0].read_text().replace("- ../", f"- {FOLDER}/").replace("0 1x30", "0 0x30").replace("0x3 1x30", "0x33")
    path = tmp_path / "broken_test.yml"
    path.write_text(broken.replace("exp_alerts: []", 'exp_alerts: [{exp_labels: {a: "b"}}]', 1))
    code, _ = run_tool("promtool", "test", "rules", path)
    assert code != 0
