"""What TensorFlow's own reader finds in a checkpoint is what the committed variables say."""

import numpy as np
import pytest

from reprise_models import CheckpointError, model_garden


@pytest.mark.parametrize("case", ["partial", "all_heads", "exact", "relative_pre_norm"])
def test_a_tensorflow_checkpoint_is_imported_like_its_variables(case, data):
    folder = data / "model_garden_oracle" / case
    variables = model_garden.read_variables(folder / "encoder")
    committed = model_garden.read_variables(folder / "variables.npz")
    assert variables.keys() == {name for name in committed if name.endswith("VARIABLE_VALUE")}
    ours, theirs = model_garden.import_encoder(variables), model_garden.import_encoder(committed)
    assert ours.config == theirs.config
    assert all(np.array_equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="is not a TensorFlow checkpoint"):
        model_garden.read_variables(tmp_path / "ckpt-1")
