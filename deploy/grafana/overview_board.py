"""Service overview: is it up, how fast, what fails."""

from panel import ERRORS, RATE, Dashboard, Panel, Row, buckets, gauge, mean, per, quantile, quantiles, rate

OVERVIEW = Dashboard(
    "reprise-overview",
    "reprise: overview",
    "Is it up, is it fast enough, what is refused.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Servers that answer",
                    "stat",
                    "short",
                    "Scraped without error, of all that Prometheus knows.",
                    [
                        ('sum(up{job=~"$job",instance=~"$instance"})', "answer"),
                        ('count(up{job=~"$job",instance=~"$instance"})', "known"),
                    ],
                    4,
                    4,
                ),
                Panel(
                    "Inferences",
                    "stat",
                    "reqps",
                    "Requests that ended, whatever became of them.",
                    [(rate("reprise_inferences_total"), "all"), (rate("reprise_inferences_total", "", 'code="OK"'), "OK")],
                    4,
                    4,
                ),
                Panel(
                    "Server errors",
                    "stat",
                    "percentunit",
                    "Share of inferences that ended in a code that is the server's to answer for: not what "
                    "callers did wrong or cancelled.",
                    [
                        (
                            per(
                                rate("reprise_inferences_total", "", f'code=~"{ERRORS}"'),
                                rate("reprise_inferences_total"),
                            ),
                            "errors",
                        )
                    ],
                    4,
                    4,
                ),
                Panel(
                    "Replies within 0.5 s",
                    "stat",
                    "percentunit",
                    "Share of OK replies. 0.5 s is the objective of the alert rules.",
                    [
                        (
                            per(
                                rate("reprise_request_duration_seconds_bucket", "", 'le="0.5"'),
                                rate("reprise_request_duration_seconds_count"),
                            ),
                            "within 0.5 s",
                        )
                    ],
                    4,
                    4,
                ),
                Panel(
                    "p99 of a request",
                    "stat",
                    "s",
                    "From decoding a call to handing over its OK reply; read off between bucket edges.",
                    [(quantile(0.99, "reprise_request_duration_seconds"), "p99")],
                    4,
                    4,
                ),
                Panel(
                    "Versions ready",
                    "stat",
                    "short",
                    "Versions of models that serve, of those that should, over all servers.",
                    [(gauge("reprise_model_ready"), "ready"), (gauge("reprise_model_ready", how="count"), "of")],
                    4,
                    4,
                ),
            ],
        ),
        Row(
            "Traffic",
            [
                Panel(
                    "Inferences by model",
                    "timeseries",
                    "reqps",
                    "All codes. `_unknown`: names that no model has.",
                    [(rate("reprise_inferences_total", "model"), "{{model}}")],
                ),
                Panel(
                    "Inferences by code",
                    "stacked",
                    "reqps",
                    "How they ended.",
                    [(rate("reprise_inferences_total", "code") + " > 0", "{{code}}")],
                ),
                Panel(
                    "Refused before they ran",
                    "stacked",
                    "reqps",
                    "By the first rule that turned them away. docs/metrics.md says what to do about each.",
                    [(rate("reprise_refused_total", "reason") + " > 0", "{{reason}}")],
                ),
                Panel(
                    "Calls by method",
                    "timeseries",
                    "reqps",
                    "Everything that reached the server, probes and metadata included.",
                    [
                        (
                            f'sum by (protocol, method) (rate(reprise_requests_total{{$P}}[{RATE}])) > 0',
                            "{{protocol}} {{method}}",
                        )
                    ],
                    12,
                ),
                Panel(
                    "In flight",
                    "timeseries",
                    "short",
                    "Requests admitted and not yet answered, waiting ones included.",
                    [
                        (gauge("reprise_inflight_requests", "instance"), "{{instance}} in flight"),
                        (gauge("reprise_queue_requests", "instance"), "{{instance}} of these waiting"),
                    ],
                    12,
                ),
            ],
        ),
        Row(
            "Time",
            [
                Panel(
                    "Request time",
                    "timeseries",
                    "s",
                    "Of OK replies.",
                    quantiles("reprise_request_duration_seconds", 0.5, 0.95, 0.99),
                ),
                Panel(
                    "Request time, spread",
                    "heatmap",
                    "s",
                    "OK replies per bucket of time.",
                    [(buckets("reprise_request_duration_seconds"), "{{le}}")],
                ),
                Panel(
                    "Mean time by phase",
                    "stacked",
                    "s",
                    "decode, tokenize, queue and encode are per request, form and compute per batch: "
                    "the height is that of a mean request only while batches hold one.",
                    [
                        (
                            per(
                                rate("reprise_phase_duration_seconds_sum", "phase"),
                                rate("reprise_phase_duration_seconds_count", "phase"),
                            ),
                            "{{phase}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "What serves",
            [
                Panel(
                    "Models",
                    "table",
                    "short",
                    "Versions that serve, and on how many servers.",
                    [(gauge("reprise_model_info", "model, version, reuse_plan, strategy, precision, device", how="count"), "")],
                    16,
                    5,
                ),
                Panel(
                    "Builds",
                    "table",
                    "short",
                    "Releases and commits that run, and on how many servers.",
                    [(gauge("reprise_build_info", "version, commit", how="count", scope="$P"), "")],
                    8,
                    5,
                ),
            ],
        ),
    ],
)
