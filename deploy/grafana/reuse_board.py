"""Reuse savings: what attention reuse did not compute, and what it keeps for it."""

from panel import BY_VERSION, RATE, Dashboard, Panel, Row, gauge, per, quantile, rate, share

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
