"""analyze: a table and a page about how alike a real model's heads attend."""

import json
import os
import re
import subprocess
import time
import xml.dom.minidom

import pytest

from made_up_texts import many_texts

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
    for row in best:
        for value in row:
            assert f"{value:.2f}" in result.stdout
    # What is drawn, test_analyze_page.py looks at; here: that all is well-formed and escaped.
    pictures = re.findall("<svg.*?</svg>", page_file.read_text(), re.DOTALL)
    assert len(pictures) == 14
    for picture in pictures:
        xml.dom.minidom.parseString(picture)


def test_more_texts_make_narrower_intervals(run_reprise, minilm, tmp_path):
    def interval(count):
        file = tmp_path / "table.json"
        flags = ["--text", many_texts(tmp_path, count), "--json", file, "--random-baseline", "off"]
        result = run_reprise("analyze", minilm, *flags)
        assert result.returncode == 0, result.stderr
        table = json.loads(file.read_text())
        assert table["texts"] == count and "random_weights" not in table
        factor = table["standard_errors_of_95_percent"]
        errors = [error for row in table["standard_error"] for error in row]
        return factor, factor * sum(errors) / len(errors)

    (few_factor, few), (many_factor, many) = interval(10), interval(160)
    assert few_factor == pytest.approx(2.262, abs=0.002)  # Student's with 9 degrees of freedom
    assert many_factor == pytest.approx(1.975, abs=0.002)
    assert many == pytest.approx(few / 4, rel=0.4)  # a sixteenth of the variance


@pytest.mark.allocator
def test_what_it_will_take_is_said_before_and_holds(binary, minilm, tmp_path):
    arguments = [binary, "analyze", minilm, "--text", many_texts(tmp_path, 150), "--json", tmp_path / "table.json"]
    command = subprocess.Popen([*map(str, arguments)], stdout=subprocess.PIPE, text=True)
    first = command.stdout.readline()
    begin = time.monotonic()
    command.stdout.read()
    took = time.monotonic() - begin
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    assert command.returncode == 0
    said = re.fullmatch(
        r"150 texts, .* tokens, also with random weights, \d+ threads: about (\d+) s and ([\d.]+) MiB of memory\n", first
    )
    assert said, first
    # Other work may share the cores, so the time is only bounded.
    assert took <= 10 * (int(said[1]) + 1)
    assert usage.ru_maxrss / 1024 == pytest.approx(float(said[2]), rel=0.25)


def test_the_text_of_the_pairs_can_be_chosen(run_reprise, minilm, texts, tmp_path):
    file = tmp_path / "table.json"
    flags = ["--pair-text", "Rain & <rain>", "--pair", "6.12:1.1", "--pair", "2.1:2.2", "--json", file]
    result = run_reprise("analyze", minilm, "--text", texts, *flags)
    assert result.returncode == 0, result.stderr
    table = json.loads(file.read_text())
    assert table["pair_text"] == ["[CLS]", "rain", "&", "<", "rain", ">", "[SEP]"]
    heads = [(pair["first"], pair["second"]) for pair in table["pairs"]]
    assert heads == [([5, 11], [0, 0]), ([1, 0], [1, 1])]


@pytest.mark.parametrize(
    "flags,fragment",
    [
        (["--pair", "7.1:1.1"], "no head 7.1"),
        (["--pair", "1.1:1.13"], "1.1 to 6.12"),
        (["--pair", "1.1"], "LAYER.HEAD:LAYER.HEAD"),
        (["--pair", "2.2:2.2"], "one head twice"),
        (["--budget", "0.9"], "expected 0 to 60"),
        (["--budget", "1.5"], "--budget"),
        (["--random-baseline", "some"], "neither a seed"),
        (["--random-baseline", "-1"], "neither a seed"),
        (["--pair-text", b"caf\xe9"], "UTF-8"),
        (["--json", "no/such/folder/table.json"], "no folder"),
        (["--html", "no/such/folder/page.html"], "no folder"),
        (["--resume", "no/such/folder/state"], "no folder"),
        (["--save-every-secs", "1"], "--resume"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_measured(binary, minilm, texts, tmp_path, flags, fragment):
    arguments = [binary, "analyze", minilm, "--text", texts, "--html", tmp_path / "page.html", *flags]
    if flags[0] == "--html":
        arguments = [binary, "analyze", minilm, "--text", texts, *flags]
    command = [part if isinstance(part, bytes) else str(part) for part in arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == USAGE and fragment in result.stderr, result.stderr
    assert not list(tmp_path.glob("*.html"))


def test_texts_are_drawn_by_the_seed(run_reprise, minilm, texts, tmp_path):
    def mean(seed):
        file = tmp_path / "table.json"
        flags = ["--max-texts", 2, "--seed", seed, "--json", file, "--random-baseline", "off"]
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
        (lambda path: path.write_text(""), USAGE, "no text"),
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
