"""A comparison as a picture: one group of bars for each case, each bar a program's median over that of
reprise's exact plan, so that cases of any size share one scale."""

from xml.sax.saxutils import escape

from report import length_text

BAR, GAP, GROUP_GAP = 16, 4, 26
LEFT, RIGHT, TOP = 300, 120, 64
WIDTH = 900
COLOURS = {
    "reprise": "#1b6ca8",
    "openvino": "#7a7a7a",
    "torch-eager": "#c77f3b",
    "torch-compile": "#e0a96d",
    "onnxruntime": "#9c6aa8",
}


def draw_chart(comparison):
    """SVG text."""
    cases = comparison["cases"]
    largest = max(ratio for case in cases for ratio in case["over_exact"].values())
    scale = (WIDTH - LEFT - RIGHT) / largest
    parts, y = [], TOP
    for case in cases:
        parts.append(text(LEFT - 12, y - 6, f"{case['precision']}, {case['batch_size']} x {length_text(case)}", "end", 600))
        for program, ratio in case["over_exact"].items():
            parts += bar(program, ratio, case["programs"][program]["median_ms"], y, scale)
            y += BAR + GAP
        y += GROUP_GAP
    line_x = LEFT + scale
    guide = f'<line x1="{line_x:.1f}" y1="{TOP - 18}" x2="{line_x:.1f}" y2="{y - GROUP_GAP}" stroke="#999" stroke-dasharray="3 3"/>'
    machine = comparison["machine"]
    title = text(16, 24, "Time of a batch over reprise's exact plan (shorter is faster)", "start", 600, 15)
    subtitle = text(16, 42, f"{machine['cpu']}, {machine['isa'].split(',')[0]}, {comparison['threads']} threads", "start")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
            'font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>',
            *(title, subtitle, guide, *parts),
            "</svg>\n",
        ]
    )


def bar(program, ratio, milliseconds, y, scale):
    """A bar with its name on the left, its ratio and time on the right."""
    colour = COLOURS.get(program.split(" ")[0], "#555")
    opacity = 1 if program in ("reprise exact", *COLOURS) else 0.6
    width = ratio * scale
    middle = y + BAR - 4
    return [
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}" fill-opacity="{opacity}"/>',
        text(LEFT - 12, middle, program, "end"),
        text(LEFT + width + 6, middle, f"{ratio:.2f}  ({milliseconds:.1f} ms)", "start"),
    ]


def text(x, y, words, anchor, weight=400, size=12):
    """One line of text, readable across the guide."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" '
        f'fill="#222" stroke="#fff" stroke-width="3" paint-order="stroke">{escape(words)}</text>'
    )
