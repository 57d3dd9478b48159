"""A comparison as text for a terminal."""

HEADINGS = (
    "precision",
    "length",
    "reprise median",
    "min",
    "OpenVINO median",
    "min",
    "ratio of medians",
    "of minimums",
)
BUSY_SHARE = 0.05  # of the processors used by others, from which times are too long to be quoted


def draw_report(comparison):
    """Where it ran, the table, how to read it."""
    lines = [*describe(comparison), "", *draw_table(comparison["cases"]), "", *explain(comparison)]
    return "\n".join(lines)


def describe(comparison):
    """Machine, versions and instruction sets."""
    machine = comparison["machine"]
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}",
        f"{machine['program']}: {machine['isa']}",
        f"OpenVINO {comparison['openvino']}: {', '.join(product_kernels(comparison['cases']))}",
    ]


def product_kernels(cases):
    """Names of the kernels that OpenVINO multiplies by weights with, in any case."""
    kernels = {}  # kept in order
    for case in cases:
        kernels.update(case["openvino_kernels"].get("FullyConnected", {}))
    return kernels


def draw_table(cases):
    """Lines of right-aligned columns."""
    rows = [HEADINGS, *map(draw_row, cases)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, tuple("-" * width for width in widths))
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths)) for row in rows]


def draw_row(case):
    """The cells of one case."""
    reprise, openvino = case["reprise"], case["openvino"]
    times = (reprise["median_ms"], reprise["min_ms"], openvino["median_ms"], openvino["min_ms"])
    ratios = (case["ratio_of_medians"], case["ratio_of_mins"])
    return (
        case["precision"],
        str(case["seq_len"]),
        *(f"{time:.2f}" for time in times),
        *(f"{ratio:.3f}" for ratio in ratios),
    )


def explain(comparison):
    """What the numbers are, and a warning if they should not be trusted."""
    lines = [
        "Milliseconds for one sequence. Ratio: reprise over OpenVINO, below 1 reprise is faster.",
        f"Threads: {comparison['threads']} each. Median of the medians of {comparison['rounds']} turns of "
        f"{comparison['repetitions']} runs, taken in alternation; smallest of all runs.",
    ]
    worst = min(case["openvino_worst_cosine"] for case in comparison["cases"])
    lines.append(f"OpenVINO's answers were checked first: cosine with the fp32 reference at least {worst:.7f}.")
    share = comparison["others_cpu_share"]
    if share >= BUSY_SHARE:
        lines.append(
            f"Other programs used up to {share:.0%} of the processors meanwhile: these times are too long, "
            "measure again when the machine is quiet."
        )
    return lines
