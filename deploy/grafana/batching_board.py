"""Batching: queues, how batches close, how full they are."""

from panel import BY_VERSION, Dashboard, Panel, Row, buckets, gauge, mean, per, quantiles, rate, share

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
