"""Lays out the demo's answers and figures on a terminal, exact and reuse side by side."""

import os
import shutil
import sys
import textwrap

import numpy as np

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WIDTH = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)


def styled(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def bold(text):
    return styled(text, "1")


def dim(text):
    return styled(text, "2")


def cell(score, sentence, in_both, width):
    """One answer as lines of equal width: a bar for the cosine, the cosine, the sentence."""
    filled = round(8 * max(0.0, min(1.0, score)))
    bar = styled("█" * filled, "36" if in_both else "33") + dim("░" * (8 - filled))
    mark = " " if in_both else "*"
    first, *rest = (line.ljust(width - 15) for line in textwrap.wrap(sentence, width - 15))
    return [f"{bar} {score:.2f} {mark}{first}"] + [" " * 15 + line for line in rest]


def side_by_side(left, right, width):
    height = max(len(left), len(right))
    left, right = (lines + [" " * width] * (height - len(lines)) for lines in (left, right))
    for pair in zip(left, right):
        print("  " + "  ".join(pair).rstrip())


def show_answers(sentences, answers):
    """`answers`: per question, the question and each model's nearest sentences as (index, cosine)."""
    width = (WIDTH - 4) // 2
    for question, exact, reuse in answers:
        print("\n" + bold(f"“{question}”"))
        print("  " + dim("exact".ljust(width)) + "  " + dim("reuse"))
        in_both = {i for i, _ in exact} & {i for i, _ in reuse}
        for (i, i_score), (j, j_score) in zip(exact, reuse):
            side_by_side(
                cell(i_score, sentences[i], i in in_both, width),
                cell(j_score, sentences[j], j in in_both, width),
                width,
            )
    print("\n" + dim("  Bars and numbers are cosines; * marks a sentence that only one of the two found."))


def amount(value):
    for unit in ("", " k", " M", " G"):
        if abs(value) < 1000 or unit == " G":
            return f"{value:.3g}{unit}" if unit else f"{value:.0f}"
        value /= 1000


def size(value):
    if value == 0:
        return "0"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024


def show_table(title, rows):
    """Rows of a name and two values."""
    print("\n" + bold(title))
    print("  " + dim(f"{'':48}{'exact':>14}{'reuse':>14}"))
    for name, *values in rows:
        print(f"  {name:48}" + "".join(f"{value:>14}" for value in values))


def show_times(exact_ms, reuse_ms):
    """Milliseconds of each request."""

    def of_both(quantile):
        return [f"{np.quantile(values, quantile):.2f} ms" for values in (exact_ms, reuse_ms)]

    show_table(
        f"Latency of one sentence, round trip, {len(exact_ms)} requests in turn",
        [("half of them within", *of_both(0.5)), ("nine in ten within", *of_both(0.9))],
    )


def show_savings(metrics, models):
    def row(name, metric, kind, text):
        return (name, *(text(metrics.get((model, metric, kind), 0)) for model in models))

    show_table(
        "What the server counted for all of this",
        [
            row("attention scores computed", "scores_total", "computed", amount),
            row("attention scores reused", "scores_total", "reused", amount),
            row("attention scores rebuilt", "scores_total", "recomputed", amount),
            row("multiply-adds done", "multiply_adds_total", "computed", amount),
            row("multiply-adds avoided", "multiply_adds_total", "avoided", amount),
            row("bytes saved: query and key weights", "memory_saved_bytes", "parameters", size),
            row("bytes saved: queries and keys in flight", "memory_saved_bytes", "activations", size),
            row("bytes saved: scores (negative: kept for reuse)", "memory_saved_bytes", "scores", size),
        ],
    )
    exact, reuse = (metrics.get((model, "scores_total", "computed"), 0) for model in models)
    if exact > 0:
        print(f"\n  The reuse model computed {100 * reuse / exact:.0f} % of the exact one's scores.")
