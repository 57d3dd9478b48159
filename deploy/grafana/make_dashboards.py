#!/usr/bin/env python3
"""Makes Grafana's dashboards from panels.py and the catalogue of metrics; --check compares with the files that are there."""

import argparse
import json
import pathlib
import re
import sys

from panels import DASHBOARDS, EXEMPT

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "dashboards"
CATALOGUE = HERE.parents[1] / "server" / "metrics" / "metrics.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# From each board to the others, with the same time and choices.
LINKS = {
    "type": "dashboards",
    "title": "reprise",
    "tags": ["reprise"],
    "asDropdown": False,
    "keepTime": True,
    "includeVars": True,
}

# What $S and $P in a query stand for. A model that is chosen as "All" is .*, so that series without one match too.
SELECTORS = {
    "$S": 'job=~"$job",instance=~"$instance",model=~"$model"',
    "$P": 'job=~"$job",instance=~"$instance"',
}
# Not ours: what Prometheus adds to every target, and what NVIDIA's exporter has.
FOREIGN = re.compile(r"up|scrape_\w+|DCGM_\w+")
METRIC = re.compile(r"\b(?:reprise|nv|process|scrape|DCGM)_\w+|\bup\b")


def metrics_in(expression):
    """The names of the metrics of a query, without what histograms add to theirs."""
    names = METRIC.findall(re.sub(r'"[^"]*"', "", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def expand(expression):
    for short, selector in SELECTORS.items():
        expression = expression.replace(short, selector)
    return expression


def describe(panel):
    names = sorted(set().union(*(metrics_in(expression) for expression, _ in panel.queries)))
    return f"{panel.description} Metric: {', '.join(names)}."


def make_target(panel, index, expression, legend):
    target = {
        "datasource": DATASOURCE,
        "expr": expand(expression),
        "legendFormat": legend or "__auto",
        "refId": chr(ord("A") + index),
    }
    if panel.kind in ("stat", "bars", "table"):
        target |= {"instant": True, "range": False}
    if panel.kind in ("heatmap", "table"):
        target["format"] = panel.kind
    return target


def field_config(panel):
    custom = {}
    if panel.kind in ("timeseries", "stacked"):
        stacked = panel.kind == "stacked"
        custom = {
            "fillOpacity": 40 if stacked else 0,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": {"mode": "normal" if stacked else "none"},
        }
    defaults = {"unit": panel.unit, "custom": custom, "noValue": "no traffic"}
    if panel.kind in ("timeseries", "stacked", "bars") and panel.unit == "percentunit":
        defaults["min"] = 0
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    return {"defaults": defaults, "overrides": []}


def options(panel):
    if panel.kind in ("timeseries", "stacked"):
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        text = "value_and_name" if len(panel.queries) > 1 or "{{" in panel.queries[0][1] else "value"
        return {"colorMode": "none", "graphMode": "none", "reduceOptions": reduce, "textMode": text}
    if panel.kind == "bars":
        return {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": reduce}
    if panel.kind == "heatmap":
        return {"calculate": False, "color": {"mode": "scheme", "scheme": "Blues"}, "yAxis": {"unit": panel.unit}}
    return {"showHeader": True}


def make_panel(panel, number, position):
    grafana_type = {"stacked": "timeseries", "bars": "bargauge"}.get(panel.kind, panel.kind)
    result = {
        "id": number,
        "type": grafana_type,
        "title": panel.title,
        "description": describe(panel),
        "datasource": DATASOURCE,
        "gridPos": position,
        "fieldConfig": field_config(panel),
        "options": options(panel),
        "targets": [make_target(panel, i, *query) for i, query in enumerate(panel.queries)],
    }
    if panel.kind == "table":
        exclude = {"Time": True}
        result["transformations"] = [
            {"id": "organize", "options": {"excludeByName": exclude, "renameByName": {"Value": "servers"}}}
        ]
    return result


def make_panels(dashboard):
    result, y = [], 0
    for row in dashboard.rows:
        position = {"x": 0, "y": y, "w": 24, "h": 1}
        result.append(
            {"id": len(result) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": position, "panels": []}
        )
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > 24:
                x, y, height = 0, y + height, 0
            position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            result.append(make_panel(panel, len(result) + 1, position))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return result


def make_variable(name, label, query):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def make_variables():
    datasource = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return [
        datasource | {"current": {"text": "Prometheus", "value": "reprise-prometheus"}},
        make_variable("job", "Job", "label_values(reprise_build_info, job)"),
        make_variable("instance", "Server", 'label_values(reprise_build_info{job=~"$job"}, instance)'),
        make_variable("model", "Model", 'label_values(reprise_model_ready{job=~"$job",instance=~"$instance"}, model)'),
    ]


def make_annotation(name, expression, title, color):
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expression,
        "titleFormat": title,
        "iconColor": color,
        "step": "15s",
    }


def make_dashboard(dashboard):
    alerts = 'max by (alertname, severity) (ALERTS{alertname=~"Reprise.+",alertstate="firing"})'
    starts = 'changes(process_start_time_seconds{job=~"$job",instance=~"$instance"}[1m]) > 0'
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["reprise"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": [LINKS],
        "annotations": {
            "list": [
                make_annotation("alerts", alerts, "{{alertname}}", "red"),
                make_annotation("starts", starts, "{{instance}} started", "blue"),
            ]
        },
        "templating": {"list": make_variables()},
        "panels": make_panels(dashboard),
    }


def problems(catalogue):
    """What is wrong with panels.py: unknown metrics, metrics that are nowhere, exemptions that are none."""
    declared = {metric["name"] for metric in catalogue["metrics"]}
    used = set()
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            for panel in row.panels:
                for expression, _ in panel.queries:
                    used |= metrics_in(expression)
    result = [f"no metric of the catalogue: {name}" for name in sorted(used - declared) if not FOREIGN.fullmatch(name)]
    result += [f"on no dashboard, and not in EXEMPT: {name}" for name in sorted(declared - used - EXEMPT.keys())]
    result += [f"in EXEMPT, but unknown: {name}" for name in sorted(EXEMPT.keys() - declared)]
    result += [f"in EXEMPT, but on a dashboard: {name}" for name in sorted(EXEMPT.keys() & used)]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a file is not what would be written")
    arguments = parser.parse_args()
    found = problems(json.loads(CATALOGUE.read_text()))
    if found:
        sys.exit("panels.py and server/metrics/metrics.json do not fit:\n" + "\n".join(found))
    made = {OUTPUT / f"{d.uid.removeprefix('reprise-')}.json": json.dumps(make_dashboard(d), indent=2) + "\n" for d in DASHBOARDS}
    if arguments.check:
        found = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
        found += [path.name for path in OUTPUT.glob("*.json") if path not in made]
        if found:
            sys.exit(f"not as panels.py says: {', '.join(found)}; run deploy/grafana/make_dashboards.py")
        return
    OUTPUT.mkdir(exist_ok=True)
    for path, text in made.items():
        path.write_text(text)
        print(f"wrote {path.relative_to(HERE.parents[1])}")


if __name__ == "__main__":
    main()
