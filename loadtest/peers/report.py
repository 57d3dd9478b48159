"""A comparison as text for a terminal."""

HEADINGS = ("precision", "batch", "length", "program", "median ms", "min ms", "reprise exact /", "/ reprise exact")
LEFT_ALIGNED = {0, 3}
BUSY_SHARE = 0.05  # of the processors used by others, from which times are too long to be quoted


def draw_report(comparison):
    """Where it ran, the table, how to read it."""
    lines = [*describe(comparison), "", *draw_table(comparison["cases"]), ""]
    if any("memory" in case for case in comparison["cases"]):
        lines += [*draw_memory(comparison), ""]
    return "\n".join([*lines, *explain(comparison)])


def describe(comparison):
    """Machine, versions and instruction sets."""
    machine = comparison["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}",
        f"{machine['program']}: {machine['isa']}",
    ]
    seen = {}  # kept in order
    for case in comparison["cases"]:
        for name, about in case["about"].items():
            seen[f"{name} {about['version']} in {case['precision']}: {about['isa']}"] = True
    return lines + list(seen)


def length_text(case):
    """"128", or "<=483" for rows of many lengths."""
    return f"<={max(case['lengths'])}" if case["ragged"] else str(max(case["lengths"]))


def draw_table(cases):
    """A row for each program of each case."""
    rows = []
    for case in cases:
        for program, times in case["programs"].items():
            ratio = case["exact_over"].get(program)
            rows.append(
                (
                    *(case["precision"], str(case["batch_size"]), length_text(case), program),
                    *(f"{times[key]:.2f}" for key in ("median_ms", "min_ms")),
                    f"{ratio:.3f}" if ratio else "",
                    f"{case['over_exact'][program]:.3f}",
                )
            )
    return lay_out([HEADINGS, *rows])


def draw_memory(comparison):
    """Peak resident memory beyond one copy of the weights, and beyond the libraries' own too."""
    headings = ("peak MiB", "beyond weights", "reprise /", "and beyond libraries", "reprise /")
    rows = [("precision", "batch", "length", "program", *headings)]
    for case in comparison["cases"]:
        weights = comparison["weight_bytes"][case["precision"]]
        beyond = {
            program: (peak["peak_rss_bytes"] - weights, peak["peak_rss_bytes"] - weights - peak["start_rss_bytes"])
            for program, peak in case["memory"].items()
        }
        for program, memory in case["memory"].items():
            cells = [f"{memory['peak_rss_bytes'] / 2**20:.0f}"]
            for own, its in zip(beyond["reprise exact"], beyond[program]):
                cells += [f"{its / 2**20:.0f}", "" if program == "reprise exact" else f"{own / its:.2f}"]
            rows.append((case["precision"], str(case["batch_size"]), length_text(case), program, *cells))
    return lay_out(rows)


def lay_out(rows):
    """Lines of columns; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, tuple("-" * width for width in widths))
    return [
        "  ".join(
            f"{cell:<{width}}" if column in LEFT_ALIGNED else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def explain(comparison):
    """What the numbers are, and a warning if they should not be trusted."""
    lines = [
        "Milliseconds for one batch. 'reprise exact /': its median over the program's, below 1 reprise is faster.",
        f"Threads: {comparison['threads']} each. Median of the medians of {comparison['rounds']} turns of "
        f"{comparison['repetitions']} runs, taken in alternation; smallest of all runs.",
    ]
    worst = min(cosine for case in comparison["cases"] for cosine in case["worst_cosines"].values())
    lines.append(f"All answers were checked first: cosine with an fp32 reference at least {worst:.6f}.")
    if any(case["ragged"] for case in comparison["cases"]):
        lines.append("Rows of many lengths: peers run them padded to the longest, reprise packed.")
    if comparison["isa"]:
        lines.append(f"reprise and PyTorch were held to {comparison['isa']}; the others choose for themselves.")
    share = comparison["others_cpu_share"]
    if share >= BUSY_SHARE:
        lines.append(
            f"Other programs used up to {share:.0%} of the processors meanwhile: these times are too long, "
            "measure again when the machine is quiet."
        )
    return lines
