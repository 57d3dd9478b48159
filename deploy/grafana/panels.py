"""What the dashboards show: titles, units, words and queries. make_dashboards.py makes Grafana's JSON of it."""

from typing import NamedTuple


class Panel(NamedTuple):
    title: str
    kind: str  # timeseries, stacked, stat, bars, heatmap, table
    unit: str  # Grafana's id of the unit
    description: str
    queries: list  # (PromQL, legend); $S and $P stand for the choices at the top of the board, see make_dashboards.py
    width: int = 8  # of 24
    height: int = 8
    maximum: float | None = None
    needs_gpu: bool = False  # asks for series that only a machine with a GPU has


class Row(NamedTuple):
    title: str
    panels: list


class Dashboard(NamedTuple):
    uid: str
    title: str
    description: str
    rows: list


RATE = "$__rate_interval"
# The codes that are the server's to answer for; the recording rules have the same.
ERRORS = "UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|ABORTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
BY_VERSION = "{{model}} v{{version}}"


def rate(metric, by="", where=""):
    """Per second, added up over everything but the labels of `by`."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{$S{',' + where if where else ''}}}[{RATE}]))"


def gauge(metric, by="", where="", how="sum", scope="$S"):
    grouping = f" by ({by})" if by else ""
    return f"{how}{grouping} ({metric}{{{scope}{',' + where if where else ''}}})"


def per(part, whole):
    """A ratio that is absent, rather than NaN, while there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def share(metric, label, value, by=""):
    return per(rate(metric, by, f'{label}="{value}"'), rate(metric, by))


def mean(histogram, by=""):
    return per(rate(histogram + "_sum", by), rate(histogram + "_count", by))


def quantile(q, histogram, by=""):
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', f'{by}, le' if by else 'le')} > 0)"


def quantiles(histogram, *levels):
    return [(quantile(q, histogram), f"p{100 * q:g}") for q in levels]


def buckets(histogram, where=""):
    inside = "$S" + ("," + where if where else "")
    return f"sum by (le) (increase({histogram}_bucket{{{inside}}}[{RATE}]))"


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

QUEUE_BOUNDS = ["requests", "rows", "tokens", "bytes", "score_bytes"]

BATCHING = Dashboard(
    "reprise-batching",
    "reprise: batching",
    "How requests wait, what batches are made of them, what the blocks of the kernels waste.",
    [
        Row(
            "Queue",
            [
                Panel(
                    "How full the queue is",
                    "timeseries",
                    "percentunit",
                    "By bound, at the fullest queue. The one that reaches 100 % refuses requests. A bound of 0 "
                    "means none and is left out.",
                    [
                        (
                            f"max(reprise_queue_{of}{{$S}} / (reprise_queue_limit_{of}{{$S}} > 0))",
                            of.replace("_", " "),
                        )
                        for of in QUEUE_BOUNDS
                    ],
                    maximum=1,
                ),
                Panel(
                    "Wait in the queue",
                    "timeseries",
                    "s",
                    "From admission to the start of the batch, of OK replies.",
                    quantiles("reprise_queue_duration_seconds", 0.5, 0.95, 0.99),
                ),
                Panel(
                    "Predicted wait",
                    "timeseries",
                    "s",
                    "What a request would wait that everything queued is served before, as of the last batch. "
                    "Requests with less time than that are refused at once.",
                    [(gauge("reprise_predicted_wait_seconds", "model, version", how="max"), BY_VERSION)],
                ),
                Panel(
                    "Time left at the deadline",
                    "timeseries",
                    "s",
                    "Of requests that had a deadline; p1 near 0: one in a hundred is about to be late.",
                    quantiles("reprise_deadline_slack_seconds", 0.01, 0.05, 0.5),
                    12,
                ),
                Panel(
                    "Executors busy",
                    "timeseries",
                    "percentunit",
                    "Share of their time in which the executors of a version ran batches. They share the cores, "
                    "so several at 100 % take longer.",
                    [
                        (
                            per(
                                rate("reprise_executor_busy_seconds_total", "model, version"),
                                gauge("reprise_executors", "model, version"),
                            ),
                            BY_VERSION,
                        )
                    ],
                    12,
                    maximum=1,
                ),
            ],
        ),
        Row(
            "Batches",
            [
                Panel(
                    "Sequences per batch",
                    "timeseries",
                    "short",
                    "Mean.",
                    [(mean("reprise_batch_rows", "model, version"), BY_VERSION)],
                ),
                Panel(
                    "Sequences per batch, spread",
                    "heatmap",
                    "short",
                    "Batches per number of sequences.",
                    [(buckets("reprise_batch_rows"), "{{le}}")],
                ),
                Panel(
                    "Why batches closed",
                    "stacked",
                    "ops",
                    "idle: the executor was free; tokens, rows, scores: full; delay: waited as long as it may; "
                    "deadline, cost: more would make a member late, or much slower.",
                    [(rate("reprise_batch_closed_total", "reason") + " > 0", "{{reason}}")],
                ),
                Panel(
                    "Tokens per batch",
                    "timeseries",
                    "short",
                    "Mean of real tokens.",
                    [(mean("reprise_batch_tokens", "model, version"), BY_VERSION)],
                ),
                Panel(
                    "Length of sequences",
                    "heatmap",
                    "short",
                    "Sequences admitted, per number of tokens.",
                    [(buckets("reprise_sequence_tokens"), "{{le}}")],
                ),
                Panel(
                    "Score entries per batch",
                    "heatmap",
                    "short",
                    "Over all layers and heads, reused ones included; grows with the square of the length.",
                    [(buckets("reprise_batch_score_entries"), "{{le}}")],
                ),
            ],
        ),
        Row(
            "Padding",
            [
                Panel(
                    "Padding",
                    "timeseries",
                    "percentunit",
                    "Share of the rows that matrix products run, and of the score entries that kernels "
                    "calculate. Sequences are packed, so this is what the blocks of kernels add.",
                    [
                        (share("reprise_tokens_total", "kind", "padding"), "rows"),
                        (share("reprise_score_cells_total", "kind", "padding"), "score entries"),
                    ],
                ),
                Panel(
                    "Padding of rows per batch, spread",
                    "heatmap",
                    "percentunit",
                    "Batches per share of their rows that was padding.",
                    [(buckets("reprise_batch_padding_ratio", 'of="tokens"'), "{{le}}")],
                ),
                Panel(
                    "How batches were started",
                    "stacked",
                    "ops",
                    "On a GPU from a graph made before (replayed) or made then (captured), or piece by piece "
                    "(direct), as always on a processor.",
                    [(rate("reprise_batch_start_total", "start"), "{{start}}")],
                ),
            ],
        ),
    ],
)

WITH_PLAN = "* on (job, instance, model, version) group_left (reuse_plan) reprise_model_info{$S}"


def beside_plans(metric, where=""):
    """A rate by model, version and the name of its reuse plan."""
    inside = "$S" + ("," + where if where else "")
    return (
        f"sum by (model, version, reuse_plan) (sum by (job, instance, model, version) "
        f"(rate({metric}{{{inside}}}[{RATE}])) {WITH_PLAN})"
    )


BY_PLAN = "{{model}} v{{version}} ({{reuse_plan}})"

REUSE = Dashboard(
    "reprise-reuse",
    "reprise: what reuse saves",
    "Attention scores that were not computed again, and what that saved in products, memory and time.",
    [
        Row(
            "Savings by model",
            [
                Panel(
                    "Scores reused",
                    "stat",
                    "percentunit",
                    "Share of attention scores that were read from the score cache instead of computed.",
                    [(share("reprise_scores_total", "source", "reused", "model"), "{{model}}")],
                    6,
                    4,
                ),
                Panel(
                    "Multiply-adds avoided",
                    "stat",
                    "percentunit",
                    "Share of all matrix products of the model, feed-forward layers included. Not the share of "
                    "time: see below.",
                    [(share("reprise_multiply_adds_total", "kind", "avoided", "model"), "{{model}}")],
                    6,
                    4,
                ),
                Panel(
                    "Attention products avoided",
                    "stat",
                    "percentunit",
                    "Share of the two products of attention alone.",
                    [(share("reprise_attention_flops_total", "kind", "avoided", "model"), "{{model}}")],
                    6,
                    4,
                ),
                Panel(
                    "Bytes saved, net",
                    "stat",
                    "bytes",
                    "Parameters and activations left out, less what stored scores take. Added over servers; "
                    "negative where storing costs more than it saves.",
                    [(gauge("reprise_memory_saved_bytes", "model"), "{{model}}")],
                    6,
                    4,
                ),
            ],
        ),
        Row(
            "Scores",
            [
                Panel(
                    "Where scores came from",
                    "stacked",
                    "short",
                    "Entries per second. reused: read from the score cache; recomputed: rebuilt from the source "
                    "layer's queries and keys, which saves projections but no score.",
                    [(rate("reprise_scores_total", "source"), "{{source}}")],
                ),
                Panel(
                    "By layer",
                    "bars",
                    "percentunit",
                    "Share of each layer's scores that were reused.",
                    [
                        (
                            per(
                                rate("reprise_scores_total", "model, layer", 'source="reused"'),
                                rate("reprise_scores_total", "model, layer"),
                            ),
                            "{{model}} layer {{layer}}",
                        )
                    ],
                ),
                Panel(
                    "Planned and reached",
                    "timeseries",
                    "percentunit",
                    "Share of scores that the plan reuses, and that were. Reached is less where rebuilding was "
                    "faster, or the cache too small.",
                    [
                        (gauge("reprise_reuse_planned_ratio", "model, version", how="max"), BY_VERSION + " planned"),
                        (share("reprise_scores_total", "source", "reused", "model, version"), BY_VERSION + " reached"),
                    ],
                    maximum=1,
                ),
                Panel(
                    "Strategy in use",
                    "stacked",
                    "ops",
                    "Per sequence and reuse group: stored scores are read back, recompute and fused rebuild them.",
                    [(rate("reprise_strategy_total", "strategy"), "{{strategy}}")],
                ),
                Panel(
                    "Score cache",
                    "timeseries",
                    "bytes",
                    "Of one executor, of the fullest server: most used in the last batch, in any batch, and planned.",
                    [(gauge("reprise_score_buffer_bytes", "model, version, kind", how="max") + " > 0", BY_VERSION + " {{kind}}")],
                ),
                Panel(
                    "Head-room of the score cache",
                    "timeseries",
                    "percentunit",
                    "What batches of late left free; the peak is no guide, since warming up fills the cache "
                    "once. Near 0, larger batches have scores rebuilt: raise --score-cache-bytes.",
                    [
                        (
                            '1 - max by (model, version) (max_over_time(reprise_score_buffer_bytes{$S,kind="live"}[5m]) '
                            '/ ignoring (kind) '
                            '(reprise_score_buffer_bytes{$S,kind="capacity"} > 0))',
                            BY_VERSION,
                        )
                    ],
                    maximum=1,
                ),
            ],
        ),
        Row(
            "Work and memory",
            [
                Panel(
                    "Multiply-adds",
                    "stacked",
                    "short",
                    "Per second, of matrix products over real tokens; avoided: against the same batches with "
                    "every head computed.",
                    [(rate("reprise_multiply_adds_total", "kind"), "{{kind}}")],
                ),
                Panel(
                    "FLOPs of attention products",
                    "stacked",
                    "flops",
                    "Query by key and probabilities by value.",
                    [(rate("reprise_attention_flops_total", "kind"), "{{kind}}")],
                ),
                Panel(
                    "Memory saved",
                    "timeseries",
                    "bytes",
                    "Against the same model with every head computed. scores is what storing costs: zero or less.",
                    [(gauge("reprise_memory_saved_bytes", "model, kind") + " != 0", "{{model}} {{kind}}")],
                ),
            ],
        ),
        Row(
            "Exact and reuse side by side",
            [
                Panel(
                    "Executor time per 1000 tokens",
                    "timeseries",
                    "s",
                    "The fairest figure of cost where two plans serve different callers, as long as lengths are "
                    "alike and the executors have their cores to themselves.",
                    [
                        (
                            "1000 * "
                            + per(
                                beside_plans("reprise_executor_busy_seconds_total"),
                                beside_plans("reprise_tokens_total", 'kind="real"'),
                            ),
                            BY_PLAN,
                        )
                    ],
                ),
                Panel(
                    "Median request",
                    "timeseries",
                    "s",
                    "Waiting included, so it depends on the load of each.",
                    [(quantile(0.5, "reprise_request_duration_seconds", "model, version"), BY_VERSION)],
                ),
                Panel(
                    "Where the model's time goes",
                    "bars",
                    "percentunit",
                    "Share of executor time in each part of the model. Reuse shortens input_projection and "
                    "attention only.",
                    [
                        (
                            rate("reprise_engine_phase_seconds_total", "model, version, phase")
                            + " / on (model, version) group_left () ("
                            + rate("reprise_engine_phase_seconds_total", "model, version")
                            + " > 0)",
                            "{{model}} v{{version}} {{phase}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)

GPU_DESCRIPTION = "From NVIDIA's DCGM exporter, which runs beside the server and is not part of it."

RESOURCES = Dashboard(
    "reprise-resources",
    "reprise: resources",
    "Processors, memory, files, and GPUs.",
    [
        Row(
            "Processors and memory",
            [
                Panel(
                    "Processor time",
                    "timeseries",
                    "short",
                    "Cores in use by the server process.",
                    [(f"rate(process_cpu_seconds_total{{$P}}[{RATE}])", "{{instance}}")],
                ),
                Panel(
                    "Processors of the machine",
                    "timeseries",
                    "percentunit",
                    "Busy share, whoever uses them.",
                    [("nv_cpu_utilization{$P}", "{{instance}}")],
                    maximum=1,
                ),
                Panel(
                    "Memory of the process",
                    "timeseries",
                    "bytes",
                    "Resident, and what it may use: the control group's limit, or the machine's memory.",
                    [
                        ("process_resident_memory_bytes{$P}", "{{instance}} resident"),
                        ("reprise_memory_limit_bytes{$P}", "{{instance}} limit"),
                    ],
                ),
                Panel(
                    "Memory that the engine holds",
                    "stacked",
                    "bytes",
                    "For all models, by purpose, in the host and in GPUs.",
                    [("sum by (of, purpose) (reprise_engine_memory_bytes{$P}) > 0", "{{of}} {{purpose}}")],
                ),
                Panel(
                    "Working memory of an executor",
                    "timeseries",
                    "percentunit",
                    "Most used so far, of what was planned at load. It never passes 100 %.",
                    [
                        (
                            'max by (model, version) (reprise_arena_bytes{$S,state="used"} / ignoring (state) '
                            '(reprise_arena_bytes{$S,state="capacity"} > 0))',
                            BY_VERSION,
                        )
                    ],
                    maximum=1,
                ),
                Panel(
                    "Memory of the machine",
                    "timeseries",
                    "bytes",
                    "Not available to programs, and all.",
                    [
                        ("nv_cpu_memory_used_bytes{$P}", "{{instance}} used"),
                        ("nv_cpu_memory_total_bytes{$P}", "{{instance}} total"),
                    ],
                ),
            ],
        ),
        Row(
            "Process",
            [
                Panel(
                    "File descriptors",
                    "timeseries",
                    "percentunit",
                    "Open, of the limit. Each connection takes one.",
                    [("process_open_fds{$P} / process_max_fds{$P}", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Time since the start",
                    "stat",
                    "s",
                    "Of each server.",
                    [("time() - process_start_time_seconds{$P}", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Stopping",
                    "stat",
                    "short",
                    "Servers that were asked to stop and still run.",
                    [("sum(reprise_draining{$P})", "draining")],
                    6,
                    7,
                ),
                Panel(
                    "Certificate's end",
                    "stat",
                    "s",
                    "Time left; servers without TLS have none.",
                    [("reprise_tls_certificate_expiry_timestamp_seconds{$P} - time()", "{{instance}}")],
                    6,
                    7,
                ),
                Panel(
                    "Time to load a version",
                    "bars",
                    "s",
                    "The last load, warm-up included.",
                    [(gauge("reprise_model_load_seconds", "model, version", how="max"), BY_VERSION)],
                    8,
                    7,
                ),
                Panel(
                    "Loads given up by their samples",
                    "timeseries",
                    "short",
                    "Versions whose stored samples were not answered as stored, in the last ten minutes.",
                    [("sum by (model) (increase(reprise_golden_mismatch_total{$S}[10m]))", "{{model}}")],
                    8,
                    7,
                ),
                Panel(
                    "Trace spans",
                    "stacked",
                    "ops",
                    "Written, dropped because the queue to the writer was full, or lost because the file could "
                    "not be written.",
                    [(f"sum by (fate) (rate(reprise_trace_spans_total{{$P}}[{RATE}]))", "{{fate}}")],
                    8,
                    7,
                ),
                Panel(
                    "Time of a scrape",
                    "timeseries",
                    "s",
                    "What reading the metrics page takes.",
                    [('scrape_duration_seconds{job=~"$job",instance=~"$instance"}', "{{instance}}")],
                    12,
                    7,
                ),
                Panel(
                    "Series",
                    "timeseries",
                    "short",
                    "Samples on the metrics page.",
                    [('scrape_samples_scraped{job=~"$job",instance=~"$instance"}', "{{instance}}")],
                    12,
                    7,
                ),
            ],
        ),
        Row(
            "GPUs",
            [
                Panel(
                    "GPU busy",
                    "timeseries",
                    "percentunit",
                    "Share of time in which the graphics or compute engine worked. " + GPU_DESCRIPTION,
                    [("avg by (Hostname, gpu) (DCGM_FI_PROF_GR_ENGINE_ACTIVE)", "{{Hostname}} {{gpu}}")],
                    6,
                    maximum=1,
                    needs_gpu=True,
                ),
                Panel(
                    "Tensor cores busy",
                    "timeseries",
                    "percentunit",
                    "Share of cycles in which the tensor pipe worked. " + GPU_DESCRIPTION,
                    [("avg by (Hostname, gpu) (DCGM_FI_PROF_PIPE_TENSOR_ACTIVE)", "{{Hostname}} {{gpu}}")],
                    6,
                    maximum=1,
                    needs_gpu=True,
                ),
                Panel(
                    "GPU memory interface busy",
                    "timeseries",
                    "percentunit",
                    "Share of cycles in which data moved from or to GPU memory. " + GPU_DESCRIPTION,
                    [("avg by (Hostname, gpu) (DCGM_FI_PROF_DRAM_ACTIVE)", "{{Hostname}} {{gpu}}")],
                    6,
                    maximum=1,
                    needs_gpu=True,
                ),
                Panel(
                    "GPU memory used",
                    "timeseries",
                    "mbytes",
                    "Frame buffer in use by all programs, in MiB. " + GPU_DESCRIPTION,
                    [("sum by (Hostname, gpu) (DCGM_FI_DEV_FB_USED)", "{{Hostname}} {{gpu}}")],
                    6,
                    needs_gpu=True,
                ),
            ],
        ),
    ],
)

DASHBOARDS = [OVERVIEW, BATCHING, REUSE, RESOURCES]

# Metrics of the catalogue that no panel shows, and why.
TRITON = "Triton's name, for boards made for Triton; "
EXEMPT = {
    "nv_inference_request_success": TRITON + "reprise_inferences_total says the same",
    "nv_inference_request_failure": TRITON + "reprise_inferences_total says the same, by code",
    "nv_inference_count": TRITON + "reprise_batch_rows_sum says nearly the same",
    "nv_inference_exec_count": TRITON + "reprise_batch_rows_count says the same",
    "nv_inference_request_duration_us": TRITON + "reprise_request_duration_seconds says the same",
    "nv_inference_queue_duration_us": TRITON + "reprise_queue_duration_seconds says the same",
    "nv_inference_compute_input_duration_us": TRITON + "reprise_phase_duration_seconds says it once per batch",
    "nv_inference_compute_infer_duration_us": TRITON + "reprise_phase_duration_seconds says it once per batch",
    "nv_inference_compute_output_duration_us": TRITON + "reprise_phase_duration_seconds says it",
    "nv_inference_pending_request_count": TRITON + "reprise_queue_requests says the same",
    "nv_model_load_duration_secs": TRITON + "reprise_model_load_seconds says the same",
    "process_virtual_memory_bytes": "address space says nothing about use",
}
