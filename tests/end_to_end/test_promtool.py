"""Prometheus's own checker of metrics pages has nothing to say about ours."""

import json
import pathlib
import subprocess
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = json.loads((ROOT / "server" / "metrics" / "metrics.json").read_text())

# nv_*: names that Triton gave its metrics, kept for its dashboards. exposer_*: the exporter library's.
EXEMPT_PREFIXES = ("nv_", "exposer_")


@pytest.fixture(scope="module")
def complaints(deps):
    """What promtool says about a page, line by line."""

    def check(page):
        result = subprocess.run(
            [deps / "bin" / "promtool", "check", "metrics"],
            input=page,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = (result.stdout + result.stderr).splitlines()
        assert result.returncode in (0, 3), lines  # 3: it read the page and has complaints
        assert (result.returncode == 3) == bool(lines)
        return lines

    return check


def test_a_live_page_is_clean(server, stub, complaints):
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as reply:
        page = reply.read().decode()
    assert "reprise_requests_total" in page
    ours = [line for line in complaints(page) if not line.startswith(EXEMPT_PREFIXES)]
    assert not ours


def test_every_name_of_the_catalogue_is_clean(complaints):
    ours = [m for m in CATALOGUE["metrics"] if not m["name"].startswith(EXEMPT_PREFIXES)]
    assert len(ours) > 40
    lines = []
    for metric in ours:
        lines += [f"# HELP {metric['name']} {metric['help']}"]
        lines += [f"# TYPE {metric['name']} {metric['type']}"]
        if metric["type"] == "histogram":
            lines += [f'{metric["name"]}_bucket{{le="+Inf"}} 1']
            lines += [f"{metric['name']}_sum 1", f"{metric['name']}_count 1"]
        else:
            lines += [f"{metric['name']} 1"]
    assert complaints("\n".join(lines) + "\n") == []


def test_the_checker_complains_about_bad_names(complaints):
    page = "# HELP requests_ms Calls.\n# TYPE requests_ms counter\nrequests_ms 1\n"
    assert any(line.startswith("requests_ms") for line in complaints(page))
