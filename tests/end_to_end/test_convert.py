"""convert by what texts say: choice, refit, quality, sweep, and how it refuses."""

import hashlib
import json

import numpy as np
import pytest

from made_up_texts import long_texts, many_texts

USAGE, FAILED = 2, 1


@pytest.fixture
def minilm(full_repository):
    return full_repository / "minilm" / "1"


def convert(run_reprise, minilm, texts, output, *flags):
    return run_reprise("convert", minilm, "--text", texts, "--output", output, *flags)


def description_of(output):
    return json.loads((output / "conversion.json").read_text())


def mean_cosine(output):
    (quality,) = description_of(output)["quality"].values()
    return quality["mean_cosine"]


@pytest.mark.parametrize("criterion", ["sensitivity", "output-error", "similarity"])
def test_a_budget_is_met_and_the_result_is_described(run_reprise, minilm, tmp_path, criterion):
    output, texts = tmp_path / "converted", long_texts(tmp_path, 100)
    result = convert(run_reprise, minilm, texts, output, "--budget", 0.1, "--by", criterion)
    assert result.returncode == 0, result.stderr
    description = description_of(output)
    settings = description["settings"]
    assert settings["chosen_by"] == criterion and settings["refit"] == "output"
    (file,) = description["texts"]["files"]
    assert file == {"name": "long.txt", "sha256": hashlib.sha256(texts.read_bytes()).hexdigest()}
    assert description["texts"]["calibration_texts"] == 80
    (quality,) = description["quality"].values()
    assert quality["texts"] == 20 and 0.95 <= quality["mean_cosine"] < 1
    assert 0 <= quality["ten_neighbours_agreement"] <= 1
    assert f"{quality['mean_cosine']:.4f}" in result.stdout
    reused = description["reused_heads"]
    assert len(reused) == 7  # of 72
    table = json.loads((output / "config.json").read_text())["attention_reuse"]["source"]
    for head in reused:
        assert head["source_layer"] < head["layer"]
        assert 0 < head["value_scale"] < 3 and 0 < head["similarity"] < 1
        assert ("sensitivity" in head) == (criterion == "sensitivity")
        assert table[head["layer"]][head["head"]] == [head["source_layer"], head["source_head"]]
    inspected = run_reprise("inspect", output)
    assert inspected.returncode == 0, inspected.stderr


def test_the_refit_answers_more_like_the_original(run_reprise, minilm, tmp_path):
    texts, held_out = long_texts(tmp_path, 300), many_texts(tmp_path, 60, "held_out.txt", skip=1)

    def quality(refit):
        output = tmp_path / refit
        flags = ["--held-out", held_out, "--budget", 0.4, "--by", "output-error", "--refit", refit, "--force"]
        result = convert(run_reprise, minilm, texts, output, *flags)
        assert result.returncode == 0, result.stderr
        assert list(description_of(output)["quality"]) == ["held_out.txt"]
        return mean_cosine(output)

    assert quality("output") > quality("none")


@pytest.mark.parametrize("plan", [["--plan", "6x3"], ["--heads", 6, "--layers", 3], ["--plan", "FILE"]])
def test_a_layout_is_adjusted_to_texts_too(run_reprise, minilm, tmp_path, plan):
    texts = long_texts(tmp_path, 100)
    if plan == ["--plan", "FILE"]:
        plan = ["--plan", tmp_path / "plan.json"]
        plan[1].write_text(json.dumps({"attention_reuse": {"heads": 6, "layers": 3}}))
    adjusted, bare = tmp_path / "adjusted", tmp_path / "bare"
    result = convert(run_reprise, minilm, texts, adjusted, *plan, "--force")
    assert result.returncode == 0, result.stderr
    unadjusted = convert(run_reprise, minilm, texts, bare, *plan, "--force", "--refit", "none")
    assert unadjusted.returncode == 0, unadjusted.stderr
    assert json.loads((adjusted / "config.json").read_text())["attention_reuse"] == {"heads": 6, "layers": 3}
    assert mean_cosine(adjusted) > mean_cosine(bare)


def test_a_budget_of_multiply_adds_takes_more_heads_than_one_of_scores(run_reprise, minilm, tmp_path):
    texts = long_texts(tmp_path, 60)

    def reused(kind):
        output = tmp_path / kind
        flags = ["--budget", 0.05, "--budget-kind", kind, "--by", "similarity", "--refit", "none", "--force"]
        result = convert(run_reprise, minilm, texts, output, *flags)
        assert result.returncode == 0, result.stderr
        assert description_of(output)["settings"]["budget_kind"] == kind
        return len(description_of(output)["reused_heads"])

    scores, macs, latency = reused("scores"), reused("macs"), reused("latency")
    # d = 384, n = 128: a head saves (2 d + n) of (12 d + 2 n) per layer.
    assert scores == 4 and macs == int(np.ceil(0.05 * 72 * (12 * 384 + 256) / (2 * 384 + 128)))
    assert 0 < latency <= 60


def test_a_sweep_shows_the_curve(run_reprise, minilm, tmp_path):
    output = tmp_path / "sweep"
    flags = ["--sweep", "0.1,0.4", "--by", "output-error", "--budget-length", 32]
    result = convert(run_reprise, minilm, long_texts(tmp_path, 100), output, *flags)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in output.iterdir()) == ["sweep.html", "sweep.json"]
    first, second = json.loads((output / "sweep.json").read_text())["points"]
    assert (first["reused_heads"], second["reused_heads"]) == (7, 29)
    cosines = [next(iter(point["quality"].values()))["mean_cosine"] for point in (first, second)]
    assert 1 > cosines[0] > cosines[1]
    assert first["weight_bytes"] > second["weight_bytes"]
    for point in (first, second):
        assert 0.5 < point["predicted_time_ratio"] < 1.1 and 0 < point["measured_time_ratio"]
    page = (output / "sweep.html").read_text()
    for cosine in cosines:
        assert f"{cosine:.4f}" in page and f"{cosine:.4f}" in result.stdout
    assert 'id="quality"' in page and 'id="time"' in page and "<script" not in page


def test_nothing_is_written_that_is_not_good_enough(run_reprise, minilm, tmp_path):
    output = tmp_path / "converted"
    texts = many_texts(tmp_path, 60)
    flags = ["--budget", 0.8, "--refit", "none"]
    result = convert(run_reprise, minilm, texts, output, *flags)
    assert result.returncode == FAILED
    assert "--min-quality" in result.stderr and "--force" in result.stderr
    assert list(tmp_path.iterdir()) == [texts]
    forced = convert(run_reprise, minilm, texts, output, *flags, "--force")
    assert forced.returncode == 0 and (output / "conversion.json").exists()


@pytest.mark.parametrize(
    "count,flags,fragment",
    [
        (20, ["--budget", "0.1"], "20 texts"),
        (60, ["--budget", "0.1"], "expected at least 1536"),  # tokens, for the refit
        (60, ["--budget", "0.99"], "expected 0 to 60"),
        (60, ["--budget", "0.9", "--budget-kind", "macs"], "saves no more than"),
        (60, ["--budget", "1.5"], "--budget"),
        (60, ["--plan", "skip-2"], "attention"),
        (60, [], "--budget"),
    ],
)
def test_what_cannot_be_done_is_refused(run_reprise, minilm, tmp_path, count, flags, fragment):
    result = convert(run_reprise, minilm, many_texts(tmp_path, count), tmp_path / "out", *flags)
    assert result.returncode == USAGE and fragment in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_that_names_a_later_layer_is_refused(run_reprise, minilm, tmp_path):
    source = [[[layer, head] for head in range(12)] for layer in range(6)]
    source[1][3] = [4, 0]
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"source": source}))
    result = run_reprise("convert", minilm, "--plan", plan, "--output", tmp_path / "out")
    assert result.returncode == USAGE and "plan.json" in result.stderr and "earlier" in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()


def test_a_reuse_model_is_refused(run_reprise, full_repository, tmp_path):
    model = full_repository / "minilm-reuse" / "1"
    result = convert(run_reprise, model, many_texts(tmp_path, 60), tmp_path / "out", "--budget", 0.1)
    assert result.returncode == USAGE and "reuse model already" in result.stderr
