"""analyze --resume: whatever ends a long run, the same command goes on to the same table."""

import json
import shutil
import signal
import subprocess
import time

import pytest

USAGE = 2
COUNT = 400


@pytest.fixture(scope="module")
def minilm(full_repository):
    return full_repository / "minilm" / "1"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Enough for a second or two."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"Text {i} is about {i * i} small things and one large.\n" for i in range(COUNT)))
    return path


def flags(texts, folder, *more, count=COUNT):
    outputs = ["--json", folder / "table.json", "--html", folder / "page.html", "--resume", folder / "state"]
    return ["--text", texts, "--max-texts", count, "--pair", "2.1:1.1", *outputs, *more]


def measured(folder):
    """By weights, how many texts the state has; nothing while there is none."""
    if not (folder / "state").exists():
        return {}
    state = json.loads((folder / "state").read_text())
    return {weights: table["texts"] for weights, table in state["tables"].items()}


@pytest.fixture(scope="module")
def uninterrupted(run_reprise, minilm, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = run_reprise("analyze", minilm, *flags(texts, folder))
    assert result.returncode == 0, result.stderr
    assert measured(folder) == {"trained": COUNT, "random weights 1": COUNT}
    return folder


def start_and_end(binary, minilm, texts, folder, number, once):
    """Starts a run and sends it a signal `once` its state is so far."""
    command = [binary, "analyze", minilm, *flags(texts, folder, "--save-every-secs", 0)]
    run = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not once(measured(folder)):
        assert run.poll() is None and time.monotonic() < deadline, "it ended before it could be stopped"
        time.sleep(0.01)
    run.send_signal(number)
    _, stderr = run.communicate(timeout=60)
    return run.returncode, stderr


@pytest.mark.parametrize(
    "number,status,weights",
    [(signal.SIGTERM, 143, "trained"), (signal.SIGINT, 130, "random weights 1"), (signal.SIGKILL, -9, "trained")],
)
def test_a_run_that_was_ended_goes_on_to_the_same_table(
    binary, run_reprise, minilm, texts, uninterrupted, tmp_path, number, status, weights
):
    ended, stderr = start_and_end(
        binary, minilm, texts, tmp_path, number, lambda state: state.get(weights, 0) > 0
    )
    assert ended == status, stderr
    done = measured(tmp_path)
    assert 0 < done[weights] < COUNT
    if number != signal.SIGKILL:
        assert f"after {done[weights]} of {COUNT} texts" in stderr and "goes on" in stderr
    assert not (tmp_path / "table.json").exists()
    result = run_reprise("analyze", minilm, *flags(texts, tmp_path))
    assert result.returncode == 0, result.stderr
    assert f"has {sum(done.values())} of {2 * COUNT} texts already" in result.stdout
    for file in ("table.json", "page.html", "state"):
        assert (tmp_path / file).read_bytes() == (uninterrupted / file).read_bytes(), file


def test_a_whole_state_gives_other_pictures_at_once(run_reprise, minilm, texts, uninterrupted, tmp_path):
    state = (uninterrupted / "state").read_bytes()
    (tmp_path / "state").write_bytes(state)
    result = run_reprise("analyze", minilm, *flags(texts, tmp_path, "--pair", "5.5:4.4", "--budget", 0.1))
    assert result.returncode == 0, result.stderr
    assert "about" not in result.stdout  # nothing left to take time
    table = json.loads((tmp_path / "table.json").read_text())
    before = json.loads((uninterrupted / "table.json").read_text())
    assert table["similarity"] == before["similarity"]
    assert table["pairs"][-1]["first"] == [4, 4] and table["reuse"]["budget"] == 0.1
    assert (tmp_path / "state").read_bytes() == state


def test_other_threads_give_the_same_table(run_reprise, minilm, texts, uninterrupted, tmp_path):
    more = ["--threads", 3, "--random-baseline", "off"]
    result = run_reprise("analyze", minilm, *flags(texts, tmp_path, *more))
    assert result.returncode == 0, result.stderr
    table = json.loads((tmp_path / "table.json").read_text())
    expected = json.loads((uninterrupted / "table.json").read_text())
    del expected["random_weights"]
    assert table == expected


def damage(text):
    return text[: len(text) // 2]


def refuse(run_reprise, model, arguments, folder, text, fragment):
    """The state with that text is refused, and left as it was."""
    (folder / "state").write_text(text)
    result = run_reprise("analyze", model, *arguments)
    assert result.returncode == USAGE, result.stdout
    assert fragment in result.stderr and "--resume" in result.stderr, result.stderr
    assert (folder / "state").read_text() == text
    assert not (folder / "table.json").exists()


@pytest.mark.parametrize(
    "more,count,fragment",
    [([], 100, "texts, not of 100"), (["--max-tokens", 8], COUNT, "other texts")],
)
def test_a_state_of_other_texts_is_refused(
    run_reprise, minilm, texts, uninterrupted, tmp_path, more, count, fragment
):
    state = (uninterrupted / "state").read_text()
    refuse(run_reprise, minilm, flags(texts, tmp_path, *more, count=count), tmp_path, state, fragment)


@pytest.mark.parametrize(
    "change,fragment",
    [
        (damage, "not JSON"),
        (lambda text: "{}", "names no format"),
        (lambda text: text.replace("state 1", "state 9"), "state 9"),
    ],
)
def test_a_damaged_state_is_refused(run_reprise, minilm, texts, uninterrupted, tmp_path, change, fragment):
    state = change((uninterrupted / "state").read_text())
    refuse(run_reprise, minilm, flags(texts, tmp_path), tmp_path, state, fragment)


def with_fewer_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))


def with_one_bit_changed(folder):
    with open(folder / "model.safetensors", "r+b") as weights:
        weights.seek(-4, 2)
        bits = weights.read(1)[0]
        weights.seek(-4, 2)
        weights.write(bytes([bits ^ 1]))


@pytest.mark.parametrize(
    "change,fragment",
    [(with_fewer_layers, "6 layers with 12 heads, not of 5"), (with_one_bit_changed, "other weights")],
)
def test_a_state_of_another_model_is_refused(
    run_reprise, minilm, texts, uninterrupted, tmp_path, change, fragment
):
    model = tmp_path / "model"
    shutil.copytree(minilm, model)
    change(model)
    state = (uninterrupted / "state").read_text()
    refuse(run_reprise, model, flags(texts, tmp_path), tmp_path, state, fragment)


def test_a_reuse_model_leaves_no_state(run_reprise, full_repository, texts, tmp_path):
    result = run_reprise("analyze", full_repository / "minilm-reuse" / "1", *flags(texts, tmp_path))
    assert result.returncode == USAGE and "their own scores" in result.stderr
    assert not (tmp_path / "state").exists()
