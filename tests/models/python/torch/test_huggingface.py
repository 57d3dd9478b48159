"""Hugging Face's classes find, run, train and save the module; its own BERT answers as ours does without reuse."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

from reprise_models import Checkpoint
from reprise_models.huggingface import ReuseBertConfig, ReuseBertModel
from reprise_models.model import ReuseBert

IDS = torch.tensor([[101, 2000, 2001, 102]])


def test_hugging_faces_own_bert_answers_the_same(demo_model):
    with torch.no_grad():
        theirs = transformers.BertModel.from_pretrained(demo_model).eval()(IDS)
        ours = ReuseBert.from_pretrained(demo_model)(IDS)
    np.testing.assert_allclose(ours.last_hidden_state, theirs.last_hidden_state, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.pooler_output, theirs.pooler_output, rtol=1e-4, atol=1e-5)


def test_a_saved_model_is_the_same_checkpoint(data, tmp_path):
    model = ReuseBertModel.from_pretrained(data / "reuse_oracle" / "half")
    assert isinstance(model.config, ReuseBertConfig) and model.config.attention_reuse == {"heads": 2, "layers": 2}
    model.save_pretrained(tmp_path / "saved")
    before, after = Checkpoint.load(data / "reuse_oracle" / "half"), Checkpoint.load(tmp_path / "saved")
    assert before.config == after.config
    assert all(before.tensors[name].tobytes() == after.tensors[name].tobytes() for name in before.tensors)


def test_auto_model_takes_it_once_registered(data, tmp_path):
    # In a process of its own: registering changes what AutoModel does with every BERT.
    program = (
        "import sys, torch, transformers, reprise_models.huggingface as ours; ours.register()\n"
        f"model = transformers.AutoModel.from_pretrained({str(data / 'reuse_oracle' / 'full')!r})\n"
        "print(type(model).__name__, tuple(model(torch.tensor([[1, 2, 3]])).last_hidden_state.shape))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                         env={"PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    assert run.stdout.strip() == "ReuseBertModel (1, 3, 12)", run.stderr


def test_options_that_would_be_ignored_are_refused(data):
    with pytest.raises(ValueError, match="does not take"):
        ReuseBertModel.from_pretrained(data / "reuse_oracle" / "half", load_in_8bit=True)
