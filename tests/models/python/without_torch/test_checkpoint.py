"""Checkpoint directories come back as they were, and what contradicts itself is refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from reprise_models import Checkpoint, CheckpointError
from reprise_models.checkpoint import _read_safetensors


def copy_of(source, folder, change_config=lambda config: None, change_tensors=lambda tensors: None):
    config, tensors = json.loads((source / "config.json").read_text()), safetensors.numpy.load_file(source / "model.safetensors")
    change_config(config)
    change_tensors(tensors)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["exact", "half", "chained", "full", "relative_pre_norm", "relative_full"])
def test_a_directory_comes_back_bit_by_bit(name, data, tmp_path):
    source = data / "reuse_oracle" / name
    Checkpoint.load(source).save(tmp_path / "copy")
    before = safetensors.numpy.load_file(source / "model.safetensors")
    after = safetensors.numpy.load_file(tmp_path / "copy" / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(after[key].dtype == np.float32 and after[key].tobytes() == before[key].tobytes() for key in before)
    assert json.loads((tmp_path / "copy/config.json").read_text()) == json.loads((source / "config.json").read_text())


def test_tokenizer_and_pooling_files_are_copied(demo_model, tmp_path):
    checkpoint = Checkpoint.load(demo_model)
    assert (checkpoint.pooling, checkpoint.normalize) == ("mean", True)
    checkpoint.save(tmp_path / "copy", {"conversion.json": {"a": 1}})
    for name in ("tokenizer.json", "vocab.txt", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (demo_model / name).read_bytes(), name
    assert json.loads((tmp_path / "copy/conversion.json").read_text()) == {"a": 1}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o755


def test_names_under_a_classifier_keep_their_prefix(data, tmp_path):
    def add_head(tensors):
        for name in list(tensors):
            tensors["bert." + name] = tensors.pop(name)
        tensors["bert.pooler.dense.weight"], tensors["bert.pooler.dense.bias"] = np.eye(12, dtype="f4"), np.ones(12, "f4")
        tensors["classifier.weight"], tensors["classifier.bias"] = np.ones((3, 12), "f4"), np.zeros(3, "f4")

    source = copy_of(data / "reuse_oracle" / "half", tmp_path / "source", change_tensors=add_head)
    Checkpoint.load(source).save(tmp_path / "copy")
    assert (safetensors.numpy.load_file(tmp_path / "copy/model.safetensors").keys()
            == safetensors.numpy.load_file(source / "model.safetensors").keys())


def test_half_precision_is_widened_exactly(tmp_path):
    values = np.array([0.0, -1.5, 3.140625, 65280.0], "f4")
    bits = (values.view("u4") >> 16).astype("<u2").tobytes()
    halves = values[:3].astype("<f2").tobytes()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
                         "b": {"dtype": "F16", "shape": [3], "data_offsets": [8, 14]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits + halves)
    tensors = _read_safetensors(tmp_path / "x.safetensors")
    assert tensors["a"].tolist() == [[0.0, -1.5], [3.140625, 65280.0]]
    assert tensors["b"].tolist() == [0.0, -1.5, 3.140625]


def test_nothing_is_left_when_writing_fails(data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint.load(data / "reuse_oracle" / "half").save(tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_not_written_over(data, tmp_path):
    with pytest.raises(CheckpointError, match="already there; expected the name of a new folder"):
        Checkpoint.load(data / "reuse_oracle" / "half").save(tmp_path)


def set_key(key, value):
    return lambda config: config.update({key: value})


@pytest.mark.parametrize("change, words", [
    (set_key("attention_reuse", {"heads": 1, "layers": 2}), "computes 3 of its 4 heads under attention_reuse"),
    (set_key("attention_reuse", {"heads": 4, "layers": 2}), "expected none. Layer 1 computes no attention scores"),
    (set_key("attention_reuse", {"heads": 9, "layers": 2}), "config.json: attention_reuse.heads is 9"),
    (set_key("hidden_act", "swish"), "hidden_act is 'swish'; expected one of gelu"),
    (set_key("model_type", "t5"), "model_type is 't5'; expected \"bert\""),
    (set_key("num_attention_heads", 5), "expected a multiple of num_attention_heads = 5"),
    (set_key("hidden_size", "12"), "hidden_size is '12'; expected a whole number"),
    (set_key("vocab_size", 21), "has shape [20, 12]; expected [21, 12]"),
    (set_key("final_layer_norm", True), "'encoder.final_layer_norm.weight' is not among the weights"),
    (set_key("relative_position", {"type": "rotary"}), "expected type \"clipped\" and max_seq_length"),
    (set_key("is_decoder", True), "is_decoder is true"),
])
def test_config_and_weights_that_contradict_are_refused(change, words, data, tmp_path):
    source = copy_of(data / "reuse_oracle" / "half", tmp_path / "source", change_config=change)
    with pytest.raises(CheckpointError) as error:
        Checkpoint.load(source)
    assert words in str(error.value)


def test_missing_and_broken_files_are_named(data, tmp_path):
    with pytest.raises(CheckpointError, match="config.json' is not there"):
        Checkpoint.load(tmp_path)
    (tmp_path / "config.json").write_text((data / "reuse_oracle/half/config.json").read_text())
    with pytest.raises(CheckpointError, match="has no weights; expected model.safetensors"):
        Checkpoint.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      junk")
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        Checkpoint.load(tmp_path)


def test_the_package_imports_neither_torch_nor_tensorflow():
    program = "import sys, reprise_models, reprise_models.model_garden; print(sorted({'torch', 'tensorflow'} & set(sys.modules)))"
    path = os.pathsep.join(sys.path)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                         env=os.environ | {"PYTHONPATH": path})
    assert run.stdout.strip() == "[]"
