"""The page of `reprise analyze` as a browser shows it: every figure is there and shows the numbers of the JSON."""

import json

import numpy
import pytest

from chromium_page import chromium_page

LAYERS, HEADS = 6, 12
TEXTS = [
    "The river rose after the rain.",
    "Water levels climbed, and the lower road was closed until Monday.",
    "A compiler turns a program into instructions that a processor can follow.",
    "She put the kettle on and read the letter again, <b>slowly</b> & twice.",
    "Nobody had told the new clerk where the stamps were kept.",
    "Two engines failed within a minute of each other.",
]
FIGURES = [
    "scale", "best-pairs", "ranked-matches", "trained-pairs", "random-pairs", "baseline",
    "attention-scale", "pair-1", "pair-2", "reuse-grid", "table",
]  # fmt: skip


@pytest.fixture(scope="module")
def analysis(run_reprise, full_repository, tmp_path_factory):
    """The folder with the page, and the JSON written with it."""
    folder = tmp_path_factory.mktemp("analysis")
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    flags = ["--text", folder / "texts.txt", "--pair", "5.3:4.5,2.1:1.12", "--budget", 0.2]
    flags += ["--json", folder / "table.json", "--html", folder / "page.html"]
    result = run_reprise("analyze", full_repository / "minilm" / "1", *flags)
    assert result.returncode == 0, result.stderr
    return folder, json.loads((folder / "table.json").read_text())


@pytest.fixture(scope="module")
def table(analysis):
    return analysis[1]


@pytest.fixture(scope="module")
def page(analysis, tmp_path_factory):
    with chromium_page(analysis[0] / "page.html", tmp_path_factory.mktemp("chromium")) as page:
        yield page


def box(page, figure, selector=""):
    """Where an element of a figure is on the page."""
    return page.evaluate(
        f"""(() => {{ const r = document.querySelector('#{figure} {selector}').getBoundingClientRect();
        return {{x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height}} }})()"""
    )


def cells(page, figure):
    """The cells of a map in the order of reading: [{fill, tip, x, y, width, height}], frames left out."""
    return page.evaluate(
        f"""[...document.querySelectorAll('#{figure} rect[fill]')].map(r => {{
        const b = r.getBoundingClientRect();
        return {{fill: r.getAttribute('fill'), tip: r.textContent,
                 x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height}} }})"""
    )


def lines(page, figure):
    """What the lines of a chart show, by its own axis: [[value of each layer]]."""
    return page.evaluate(
        f"""(() => {{ const svg = document.querySelector('#{figure}');
        const grid = [...svg.querySelectorAll('path.grid')].map(p => p.getBBox().y);
        const zero = Math.max(...grid), one = Math.min(...grid);
        return [...svg.querySelectorAll('polyline')].map(
          l => [...l.points].map(p => (zero - p.y) / (zero - one))) }})()"""
    )


def rgb(fill):
    return numpy.array([int(fill[i : i + 2], 16) for i in (1, 3, 5)])


def brightness(color):
    return numpy.dot(color, [0.299, 0.587, 0.114])


def assert_shown(page, cell):
    """The cell's colour is what one sees near its upper left corner, where no number is."""
    seen, _ = page.screenshot(cell["x"] + 2, cell["y"] + 2, 3, 3)
    assert numpy.abs(seen[1, 1].astype(int) - rgb(cell["fill"])).max() <= 1, (seen[1, 1], cell)


def test_the_browser_has_nothing_to_complain_of_and_fetches_nothing(page):
    assert page.complaints == []
    assert page.fetched[0].endswith("/page.html")
    assert all(address.startswith("data:image/bmp") for address in page.fetched[1:]), page.fetched
    assert page.evaluate("document.querySelectorAll('script, a, link, iframe, b b').length") == 0


def test_every_figure_is_visible_within_the_page_and_has_a_name(page):
    assert page.evaluate("[...document.querySelectorAll('svg')].map(s => s.id)") == FIGURES
    width = page.evaluate("document.body.getBoundingClientRect().right")
    bottom = 0
    for figure in FIGURES:
        where = box(page, figure)
        assert where["width"] > 100 and where["height"] > 25, figure
        assert where["x"] >= 0 and where["x"] + where["width"] <= width, figure
        if figure != "random-pairs":  # beside the one before
            assert where["y"] >= bottom, f"{figure} lies upon the figure before"
        bottom = where["y"] + where["height"]
        name = page.evaluate(
            f"""(() => {{ const svg = document.querySelector('#{figure}');
            return document.getElementById(svg.getAttribute('aria-labelledby')).textContent }})()"""
        )
        assert svg_text(page, figure) and len(name) > 10, figure


def svg_text(page, figure, selector="text"):
    return page.evaluate(f"[...document.querySelectorAll('#{figure} {selector}')].map(t => t.textContent)")


def test_text_lies_within_its_figure(page):
    for figure in FIGURES:
        outside = page.evaluate(
            f"""(() => {{ const s = document.querySelector('#{figure}').getBoundingClientRect();
            return [...document.querySelectorAll('#{figure} text')].filter(t => {{
              const b = t.getBoundingClientRect();
              return b.left < s.left - 1 || b.right > s.right + 1 || b.top < s.top - 1 || b.bottom > s.bottom + 1
            }}).map(t => t.textContent) }})()"""
        )
        assert outside == [], figure


@pytest.mark.parametrize("figure", ["best-pairs", "trained-pairs", "random-pairs"])
def test_the_brightest_cell_is_the_most_similar_pair(page, table, figure):
    best = (table["random_weights"] if figure == "random-pairs" else table)["best_pairs"]
    shown = cells(page, figure)
    assert len(shown) == LAYERS * LAYERS
    pairs = [(row, column) for row in range(LAYERS) for column in range(LAYERS) if row < column]
    most = max(pairs, key=lambda pair: best[pair[0]][pair[1]])
    brightest = max(pairs, key=lambda pair: brightness(rgb(shown[pair[0] * LAYERS + pair[1]]["fill"])))
    assert best[brightest[0]][brightest[1]] == pytest.approx(best[most[0]][most[1]], abs=0.004)
    by_similarity = sorted(range(LAYERS * LAYERS), key=lambda i: best[i // LAYERS][i % LAYERS])
    light = [brightness(rgb(shown[i]["fill"])) for i in by_similarity]
    assert all(after >= before - 0.5 for before, after in zip(light, light[1:]))
    numbers = svg_text(page, figure, "text.dark, #" + figure + " text.light")
    assert numbers == [f"{value:.2f}" for row in best for value in row]
    for cell in (shown[0], shown[brightest[0] * LAYERS + brightest[1]], shown[-2]):
        assert_shown(page, cell)


def test_tips_name_the_heads_and_the_interval(page, table):
    shown = cells(page, "best-pairs")
    for row, column in [(0, 1), (2, 1), (5, 3)]:
        head, other = table["best_pair_heads"][row][column]
        similarity = table["similarity"][HEADS * row + head][HEADS * column + other]
        assert similarity == table["best_pairs"][row][column]
        tip = shown[row * LAYERS + column]["tip"]
        assert tip.startswith(f"heads {row + 1}.{head + 1} and {column + 1}.{other + 1}: {similarity:.2f} ±")
        error = table["standard_error"][HEADS * row + head][HEADS * column + other]
        interval = float(tip.split("±")[1])
        assert interval == pytest.approx(table["standard_errors_of_95_percent"] * error, abs=0.006)


def test_rank_curves_are_the_ranked_matches(page, table):
    shown = numpy.array(lines(page, "ranked-matches"))
    assert shown.shape == (HEADS, LAYERS - 1)
    numpy.testing.assert_allclose(shown.T, table["ranked_matches"], atol=0.003)


def test_trained_stands_against_random_weights(page, table):
    trained, random = numpy.array(table["ranked_matches"]), numpy.array(table["random_weights"]["ranked_matches"])
    expected = [trained[:, -1], trained.mean(axis=1), random[:, -1], random.mean(axis=1)]
    numpy.testing.assert_allclose(lines(page, "baseline"), expected, atol=0.003)
    # Heads without training attend almost evenly: alike, whatever the pair.
    assert random.min() > trained.max() and numpy.ptp(random) < 0.1
    assert "seed 1" in page.evaluate("document.body.textContent")


def matrix(page, figure, name):
    """A matrix as drawn: an array [tokens, tokens, 3]."""
    paths = page.evaluate(
        f"""[...document.querySelectorAll('#{figure} g.{name} path')].map(
        p => [p.getAttribute('fill'), p.getAttribute('d')])"""
    )
    drawn = {}
    for fill, path in paths:
        for cell in path.split("M")[1:]:
            key, rest = cell.split(" ")
            query = rest.removesuffix("h1v1h-1z")
            assert (int(query), int(key)) not in drawn
            drawn[int(query), int(key)] = rgb(fill)
    tokens = max(drawn)[0] + 1
    assert len(drawn) == tokens * tokens
    return numpy.array([[drawn[query, key] for key in range(tokens)] for query in range(tokens)])


@pytest.mark.parametrize("number", [0, 1])
def test_pairs_show_both_heads_and_what_differs(page, table, number):
    pair, figure = table["pairs"][number], f"pair-{number + 1}"
    assert [pair["first"], pair["second"]] == [[[4, 2], [3, 4]], [[1, 0], [0, 11]]][number]
    first, second = numpy.array(pair["attention_first"]), numpy.array(pair["attention_second"])
    tokens = len(table["pair_text"])
    assert first.shape == second.shape == (tokens, tokens)
    numpy.testing.assert_allclose(first.sum(axis=1), 1, atol=2e-3)
    assert 1 - numpy.abs(first - second).sum(axis=1).mean() / 2 == pytest.approx(
        pair["similarity_on_text"], abs=2e-3
    )
    for name, attention in (("first", first), ("second", second)):
        light = brightness(matrix(page, figure, name))
        order = numpy.argsort(attention, axis=None)
        # More attention is never lighter; the JSON rounds to 0.0001.
        lighter = numpy.diff(light.flat[order]) > 0
        assert (numpy.diff(attention.flat[order])[lighter] <= 1.01e-4).all()
        assert light.min() < light.max() - 50
        # The darkest cell is also seen where it should be.
        query, key = numpy.unravel_index(order[-1], attention.shape)
        panel = box(page, figure, f"g.{name}")
        size = panel["width"] / tokens
        x, y = panel["x"] + (key + 0.5) * size, panel["y"] + (query + 0.5) * size
        seen, _ = page.screenshot(x - 1, y - 1, 3, 3)
        expected = matrix(page, figure, name)[query, key]
        assert numpy.abs(seen[1, 1].astype(int) - expected).max() <= 1
    difference, drawn = first - second, matrix(page, figure, "difference")
    clear = numpy.abs(difference) > 0.02
    redder = drawn[..., 0] > drawn[..., 2]
    assert clear.any() and (redder == (difference > 0))[clear].all()
    names = [text for text in svg_text(page, figure, "g.tokens text") if text in table["pair_text"]]
    assert len(names) == 4 * tokens  # beside the first, above all three


def test_the_reuse_grid_names_the_sources(page, table):
    reuse = table["reuse"]
    assert reuse["budget"] == 0.2 and len(reuse["reused_heads"]) == 14  # of 72
    shown = cells(page, "reuse-grid")
    assert len(shown) == LAYERS * HEADS
    assert_shown(page, shown[0])
    readers, light = {}, []
    for head in sorted(reuse["reused_heads"], key=lambda head: head["similarity"]):
        source = f"{head['source_layer'] + 1}.{head['source_head'] + 1}"
        readers[source] = readers.get(source, 0) + 1
        cell = shown[head["layer"] * HEADS + head["head"]]
        assert f"head {head['layer'] + 1}.{head['head'] + 1} takes the scores of {source}: " in cell["tip"]
        assert f"{head['similarity']:.2f}" in cell["tip"]
        assert_shown(page, cell)
        light.append(brightness(rgb(cell["fill"])))
        text = page.evaluate(
            f"""document.elementsFromPoint({cell['x']} - scrollX + {cell['width'] / 2},
            (scrollTo(0, {cell['y']} - 100), {cell['y']} - scrollY + {cell['height'] / 2}))
            .find(e => e.tagName == 'text')?.textContent"""
        )
        assert text == source
    assert all(after >= before - 0.5 for before, after in zip(light, light[1:]))
    for source, count in readers.items():
        layer, head = (int(part) - 1 for part in source.split("."))
        assert f"read by {count} later" in shown[layer * HEADS + head]["tip"]
    own = [cell for cell in shown if cell["tip"].endswith("computes its own scores")]
    assert len(own) == LAYERS * HEADS - 14 - len(readers)


@pytest.mark.parametrize("head", [0, 29, 71])
def test_the_whole_table_is_seen_row_by_row(page, table, head):
    image = box(page, "table", "image")
    size = image["width"] / (LAYERS * HEADS)
    row, _ = page.screenshot(image["x"], image["y"] + (head + 0.5) * size - 1, image["width"], 2)
    seen = [brightness(row[0, int((other + 0.4) * size)]) for other in range(LAYERS * HEADS)]
    # White lines between layers cover one pixel at a block's edge, not the cells' insides.
    order = numpy.argsort(table["similarity"][head])
    assert (numpy.diff(numpy.array(seen)[order]) >= -0.7).all()
    assert numpy.corrcoef(seen, table["similarity"][head])[0, 1] > 0.9  # not of one colour
    assert order[-1] == head and seen[head] > 210


def test_the_page_is_light_whatever_the_browser_prefers(page):
    corner, _ = page.screenshot(1, 1, 4, 4)
    assert (corner == 255).all()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
