"""Encoders of the paper's authors, imported from their variables, answer in the server as they do in TensorFlow."""

import json

import numpy as np
import pytest

from engine_answers import real_tokens, serving
from reprise_models import CheckpointError, model_garden

CASES = ["partial", "all_heads", "exact", "relative_pre_norm"]
LAYER = "encoder/layer_with_weights-{}/_attention_layer/"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def variables_of(data, case):
    return model_garden.read_variables(data / "model_garden_oracle" / case / "variables.npz")


def imported(data, case):
    return model_garden.import_encoder(variables_of(data, case), norm_first=case == "relative_pre_norm")


@pytest.fixture(scope="module")
def ask(binary, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    for case in CASES:
        imported(data, case).save(folder / case)
    with serving(binary, folder, {case: folder / case for case in CASES}) as ask:
        yield ask


@pytest.mark.parametrize("case", CASES)
def test_the_server_answers_as_tensorflow_does(case, ask, data):
    expected = json.loads((data / "model_garden_oracle" / case / "expected.json").read_text())
    found = ask(case, expected)
    hidden = np.concatenate([np.array(row) for row in expected["last_hidden_state_of_real_tokens"]])
    # fp32 on both sides, values up to 3 and up to 5 layers of sums of at most 20 products: rounding stays below 1e-5.
    np.testing.assert_allclose(real_tokens(found["last_hidden_state"], expected["attention_mask"]), hidden, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(found["pooler_output"], expected["pooler_output"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("case, plan", [
    ("partial", {"heads": 3, "layers": 3}), ("all_heads", {"heads": 4, "layers": 2}), ("exact", None),
    ("relative_pre_norm", {"heads": 2, "layers": 2}),
])
def test_the_plan_is_the_encoder_configs(case, plan, data):
    assert imported(data, case).config.get("attention_reuse") == plan


def test_layers_that_reuse_different_numbers_of_heads_become_a_table():
    layers = [{"new": 3, "reused": 0}, {"new": 1, "reused": 2}, {"new": 2, "reused": 1}]
    assert model_garden._plan(layers, 3) == {
        "source": [[[0, 0], [0, 1], [0, 2]], [[1, 0], [0, 0], [0, 1]], [[2, 0], [2, 1], [1, 0]]]}


def test_optimizer_slots_are_left_out(data):
    variables = variables_of(data, "partial")
    kernel = LAYER.format(4) + "_query_dense/kernel"
    variables[kernel + "/.OPTIMIZER_SLOT/optimizer/m" + VALUE] = np.zeros((12, 4, 3))
    variables["save_counter" + VALUE] = np.int64(3)
    assert model_garden.import_encoder(variables).plan.num_reused_heads() == 9


def remove(name):
    return lambda variables: variables.pop(name + VALUE)


def reshape(name, shape):
    return lambda variables: variables.update({name + VALUE: np.zeros(shape, "f4")})


@pytest.mark.parametrize("change, words", [
    (lambda variables: variables.clear(), "names begin with none; expected the checkpoint of one reuse encoder"),
    (lambda variables: variables.update({"twin/" + name: value for name, value in list(variables.items())}),
     "begin with 'encoder/' and 'twin/encoder/'"),
    (remove("encoder/layer_with_weights-3/gamma"), "layer_with_weights-3/gamma/.ATTRIBUTES/VARIABLE_VALUE' is not there"),
    (remove(LAYER.format(5) + "_key_dense/bias"), "_key_dense/bias/.ATTRIBUTES/VARIABLE_VALUE' is not there"),
    (remove(LAYER.format(5) + "_output_dense/0/bias"), "layer 1 has 0 output biases; expected one"),
    (remove("encoder/layer_with_weights-5/_intermediate_dense/kernel"), "belongs to no part of a reuse encoder"),
    (reshape("encoder/layer_with_weights-10/kernel", (12, 7)), "layer_with_weights-10/kernel' belongs to no part"),
    (reshape("encoder/layer_with_weights-9/kernel", (12, 7)), "the pooler's output has width 7; expected hidden_size = 12"),
    (reshape("encoder/layer_with_weights-0/embeddings", (20,)), "has shape [20]; expected 2 dimensions"),
    (reshape(LAYER.format(4) + "_value_dense/0/kernel", (12, 4, 5)), "value vectors of width 5 in 4 heads"),
])
def test_what_cannot_be_expressed_is_named(change, words, data):
    variables = variables_of(data, "partial")
    change(variables)
    with pytest.raises(CheckpointError) as error:
        model_garden.import_encoder(variables)
    assert words in str(error.value)


def test_the_command_writes_a_directory_and_says_what_it_holds(data, tmp_path, capsys):
    source = str(data / "model_garden_oracle" / "all_heads" / "variables.npz")
    assert model_garden.main([source, "--output", str(tmp_path / "out")]) == 0
    assert "4 layers, 8 of 16 heads reuse scores" in capsys.readouterr().out
    assert model_garden.main([source, "--output", str(tmp_path / "out")]) == 1
    assert "already there" in capsys.readouterr().err
