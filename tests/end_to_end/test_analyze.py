"""analyze: a table and a page about how alike a real model's heads attend."""

import json
import re
import xml.dom.minidom

import pytest

USAGE, FAILED = 2, 1

TEXTS = [
    "The river rose after the rain.",
    "Water levels climbed, and the lower road was closed until Monday.",
    "A compiler turns a program into instructions that a processor can follow.",
    "She put the kettle on and read the letter again.",
]


@pytest.fixture
def minilm(full_repository):
    return full_repository / "minilm" / "1"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


def test_the_table_and_the_page_say_the_same(run_reprise, minilm, texts, tmp_path):
    table_file, page_file = tmp_path / "table.json", tmp_path / "page.html"
    result = run_reprise(
        "analyze", minilm, "--text", texts, "--threads", 2, "--json", table_file, "--html", page_file
    )
    assert result.returncode == 0, result.stderr
    table = json.loads(table_file.read_text())
    assert (table["texts"], table["layers"], table["heads"]) == (4, 6, 12)
    similarity = table["similarity"]
    assert len(similarity) == len(similarity[0]) == 72
    for i in range(72):
        assert similarity[i][i] == 1
        for j in range(72):
            assert 0 <= similarity[i][j] <= 1 and similarity[i][j] == similarity[j][i]
    best = table["best_pairs"]
    for row in range(6):
        for column in range(6):
            block = [similarity[12 * row + i][12 * column + j] for i in range(12) for j in range(12)]
            assert best[row][column] == max(block)
    # What is printed, what is drawn and what is stored.
    page = page_file.read_text()
    pictures = {
        re.search('id="([^"]*)"', svg)[1]: xml.dom.minidom.parseString(svg)
        for svg in re.findall("<svg.*?</svg>", page, re.DOTALL)
    }
    assert set(pictures) == {"scale", "best-pairs", "ranked-matches"}
    drawn = [text.firstChild.data for text in pictures["best-pairs"].getElementsByTagName("text")]
    for row in best:
        for value in row:
            assert f"{value:.2f}" in drawn
            assert f"{value:.2f}" in result.stdout
    assert len(pictures["ranked-matches"].getElementsByTagName("polyline")) == 12
    assert "about" in result.stdout and "of memory" in result.stdout


def test_texts_are_drawn_by_the_seed(run_reprise, minilm, texts, tmp_path):
    def mean(seed):
        file = tmp_path / "table.json"
        flags = ["--max-texts", 2, "--seed", seed, "--json", file]
        result = run_reprise("analyze", minilm, "--text", texts, *flags)
        assert result.returncode == 0, result.stderr
        table = json.loads(file.read_text())
        assert table["texts"] == 2
        return table["similarity"][0][1]

    assert mean(1) == mean(1)
    assert len({mean(seed) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    "make,status,fragment",
    [
        (lambda path: path.write_bytes(b"caf\xe9\n"), USAGE, "UTF-8"),
        (lambda path: path.write_text("\n\n"), USAGE, "no text"),
        (lambda path: path.unlink(), FAILED, "cannot read"),
    ],
)
def test_bad_texts_are_named(run_reprise, minilm, texts, make, status, fragment):
    make(texts)
    result = run_reprise("analyze", minilm, "--text", texts)
    assert result.returncode == status and fragment in result.stderr, result.stderr


def test_a_reuse_model_is_refused(run_reprise, full_repository, texts):
    result = run_reprise("analyze", full_repository / "minilm-reuse" / "1", "--text", texts)
    assert result.returncode == USAGE and "their own scores" in result.stderr
