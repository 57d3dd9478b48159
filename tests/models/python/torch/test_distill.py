"""Distillation brings answers nearer, repeats with its seed, and writes nothing by halves."""

import json
import random
import shutil

import pytest
import safetensors.numpy
import torch

from reprise_models import Checkpoint, distill
from reprise_models.model import ReuseBert
from reprise_models.training_texts import Batches, PARAGRAPH_TOKENS, split_held_out

WORDS = "river rain water rose level climbed bridge quiet morning engine turned cold letter book page market seven".split()


@pytest.fixture(scope="module")
def pair(demo_model, tmp_path_factory):
    """(teacher, student): the demo model cut down to two layers, and the same with a shrunken head's attention taken away."""
    folder = tmp_path_factory.mktemp("pair")
    checkpoint = Checkpoint.load(demo_model)
    checkpoint.config["num_hidden_layers"] = 2
    teacher = Checkpoint(checkpoint.config, checkpoint.tensors, directory=demo_model, pooling="mean", normalize=True)
    teacher.save(folder / "teacher")
    config = dict(checkpoint.config, attention_reuse={"heads": 6, "layers": 1})
    kept = {name: value[:192] if name.startswith(("encoder.layer.1.attention.self.q", "encoder.layer.1.attention.self.k"))
            else value for name, value in teacher.tensors.items()}
    student = Checkpoint(config, kept, directory=demo_model, pooling="mean", normalize=True)
    student.save(folder / "student", {"conversion.json": {"budget": 0.25}})
    return folder / "teacher", folder / "student"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    generator = random.Random(1)
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(" ".join(generator.choices(WORDS, k=generator.choice([6, 9, 12, 90]))) for _ in range(120)))
    return path


def run(pair, texts, output, *more):
    return distill.main([str(pair[0]), str(pair[1]), "--output", str(output), "--text", str(texts), "--threads", "1",
                         "--tokens-per-step", "200", *more])


def test_training_brings_the_answers_nearer(pair, texts, tmp_path, capsys):
    assert run(pair, texts, tmp_path / "out", "--steps", "40") == 0
    said = capsys.readouterr().out
    assert "before: " in said and "after:  " in said and "40 steps" in said
    record = json.loads((tmp_path / "out/conversion.json").read_text())
    assert record["budget"] == 0.25
    before, after = record["distillation"]["quality_before"], record["distillation"]["quality_after"]
    assert before.keys() == after.keys() == {"sentences", "paragraphs"}
    for kind in before:
        assert 1 - after[kind]["mean_cosine"] < 0.7 * (1 - before[kind]["mean_cosine"]), (before, after)
    for name in ("tokenizer.json", "modules.json", "1_Pooling/config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (pair[1] / name).read_bytes()


def test_embeddings_stay_and_the_plan_too(pair, texts, tmp_path):
    assert run(pair, texts, tmp_path / "out", "--steps", "3", "--force") == 0
    before, after = Checkpoint.load(pair[1]), Checkpoint.load(tmp_path / "out")
    assert after.plan == before.plan
    changed = {name for name in before.tensors if before.tensors[name].tobytes() != after.tensors[name].tobytes()}
    assert not {name for name in changed if name.startswith("embeddings.")}
    assert "encoder.layer.1.attention.self.query.weight" in changed


def test_the_same_seed_gives_the_same_weights(pair, texts, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(pair, texts, tmp_path / name, "--steps", "4", "--seed", seed, "--force") == 0
    weights = {name: safetensors.numpy.load_file(tmp_path / name / "model.safetensors") for name in "abc"}
    assert all((weights["a"][key] == weights["b"][key]).all() for key in weights["a"])
    assert any((weights["a"][key] != weights["c"][key]).any() for key in weights["a"])


def test_a_worse_model_is_not_written(pair, texts, tmp_path, capsys):
    assert run(pair, texts, tmp_path / "out", "--steps", "5", "--learning-rate", "1") == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_time_ends_training(pair, texts, tmp_path, capsys):
    assert run(pair, texts, tmp_path / "out", "--minutes", "0.02", "--force") == 0
    assert "out: " in capsys.readouterr().out


def test_a_student_of_another_model_is_refused(pair, texts, tmp_path, demo_model, capsys):
    assert run((demo_model, pair[1]), texts, tmp_path / "out", "--steps", "1") == 1
    assert "num_hidden_layers is 6 in the teacher and 2 in the student" in capsys.readouterr().err


def test_too_few_texts_are_refused(pair, tmp_path, capsys):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    assert run(pair, tmp_path / "few.txt", tmp_path / "out", "--steps", "1") == 1
    assert "expected at least 50" in capsys.readouterr().err


def test_an_earlier_distillation_is_remembered(tmp_path):
    (tmp_path / "conversion.json").write_text('{"budget": 0.5, "distillation": {"steps": 3}}')
    assert distill.conversion_record(tmp_path, {"steps": 4}) == {
        "budget": 0.5, "distillation": {"steps": 4, "previous": {"steps": 3}}}


def test_the_loss_is_zero_for_equal_models_and_counts_real_tokens_only(pair):
    teacher = ReuseBert.from_pretrained(pair[0])
    ids, mask = torch.tensor([[101, 2000, 102], [101, 102, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.no_grad():
        one, two = teacher(ids, mask, output_hidden_states=True), teacher(ids, mask, output_hidden_states=True)
        assert abs(distill.distillation_loss(one, two, mask).item()) < 1e-6
        for states in two.hidden_states:
            states[1, 2] = 100.0
        assert abs(distill.distillation_loss(two, one, mask).item()) < 1e-6


def test_a_quarter_of_the_tokens_is_in_paragraphs():
    generator = random.Random(3)
    texts = [[1] * generator.randint(10, 30) for _ in range(200)] + [[1] * generator.randint(100, 200) for _ in range(50)]
    batches, tokens = Batches(texts, 700, 0.25, seed=1), {True: 0, False: 0}
    for _ in range(400):
        rows = next(batches)
        kinds = {len(row) > PARAGRAPH_TOKENS for row in rows}
        assert len(kinds) == 1 and 700 <= sum(map(len, rows)) < 900
        tokens[kinds.pop()] += sum(map(len, rows))
    assert tokens[True] / sum(tokens.values()) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("length", [5, 100])
def test_one_kind_of_text_alone_is_enough(length):
    assert len(next(Batches([[1] * length] * 3, 50, 0.25, seed=1))[0]) == length


def test_held_out_texts_are_not_trained_on():
    texts = [[place] for place in range(100)]
    training, held_out = split_held_out(texts, seed=1)
    assert len(held_out) == 10 and sorted(training + held_out) == texts


def test_no_folder_of_a_failed_run_is_left(pair, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "copytree", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    assert run(pair, texts, tmp_path / "out", "--steps", "2", "--force") == 1
    assert list(tmp_path.iterdir()) == []
