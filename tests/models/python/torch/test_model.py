"""The PyTorch module gives the answers of the server, of the paper's authors, and of published models."""

import json

import numpy as np
import pytest
import torch

from engine_answers import real_tokens, serving
from reprise_models import Checkpoint
from reprise_models.model import ReuseBert

ORACLES = ["exact", "half", "chained", "full", "relative_pre_norm", "relative_full"]
PLANS = [{"variant": "alternate", "layers": 2}, {"variant": "all_end", "layers": 1}, {"variant": "skip", "layers": 1},
         {"source": [[[0, 0], [0, 1], [0, 2]], [[0, 2], [1, 1], [0, 0]], [[2, 0], [1, 0], [1, 1]], [[3, 0], [2, 0], [0, 1]]]}]


def random_checkpoint(seed, plan, **config):
    """Every kind of tensor a checkpoint can have, at random."""
    config = {"model_type": "bert", "num_hidden_layers": 4, "num_attention_heads": 3, "hidden_size": 12, "intermediate_size": 20,
              "vocab_size": 30, "max_position_embeddings": 16, "type_vocab_size": 2, "attention_reuse": plan, **config}
    rng = np.random.default_rng(seed)

    class Anything(dict):
        """Takes the place of the tensors until their shapes are known."""

        def __contains__(self, name):
            return not name.endswith(("query.weight", "query.bias", "key.weight", "key.bias", "position_bias")) and (
                "classifier" not in name)

        def __missing__(self, name):
            return np.empty(shapes[name], "f4")

    checkpoint = Checkpoint.__new__(Checkpoint)
    checkpoint.config, checkpoint.tensors = config, Anything()
    from reprise_models import ReusePlan  # pylint: disable=import-outside-toplevel

    checkpoint.plan = ReusePlan.from_json(plan, 4, 3)
    shapes = checkpoint.shapes()
    tensors = {name: rng.normal("Norm.weight" in name, 0.3, shape).astype("f4") for name, shape in shapes.items()}
    return Checkpoint(config, tensors, pooling="mean", normalize=True)


def batch_of(rng, vocab_size):
    mask = np.ones((3, 9), dtype=int)
    mask[1, 5:] = 0
    mask[2, [0, 4, 8]] = 0
    return {"input_ids": rng.integers(0, vocab_size, mask.shape).tolist(), "attention_mask": mask.tolist(),
            "token_type_ids": rng.integers(0, 2, mask.shape).tolist()}


def run(model, batch):
    with torch.no_grad():
        return model(*(torch.tensor(batch[name]) for name in ("input_ids", "attention_mask", "token_type_ids")))


@pytest.mark.parametrize("name", ORACLES)
def test_the_authors_code_answers_the_same(name, data):
    expected = json.loads((data / "reuse_oracle" / name / "expected.json").read_text())
    found = run(ReuseBert.from_pretrained(data / "reuse_oracle" / name), expected)
    hidden = np.concatenate([np.array(row) for row in expected["last_hidden_state_of_real_tokens"]])
    # fp32 on both sides and sums of at most 20 products in up to 6 layers: rounding stays below 1e-5.
    np.testing.assert_allclose(real_tokens(found.last_hidden_state, expected["attention_mask"]), hidden, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("plan", PLANS, ids=["alternate", "all_end", "skip", "table"])
@pytest.mark.parametrize("config", [{}, {"norm_first": True, "final_layer_norm": True, "hidden_act": "relu",
                                         "relative_position": {"type": "clipped", "max_seq_length": 4}}], ids=["post", "pre"])
def test_the_server_answers_the_same(plan, config, binary, tmp_path):
    model = ReuseBert(random_checkpoint(3, plan, **config)).eval()
    directory = tmp_path / "model"
    model.save_pretrained(directory)
    batch = batch_of(np.random.default_rng(1), 30)
    with serving(binary, tmp_path, {"model": directory}) as ask:
        served = ask("model", batch)
    found = run(model, batch)
    np.testing.assert_allclose(real_tokens(found.last_hidden_state, batch["attention_mask"]),
                               real_tokens(served["last_hidden_state"], batch["attention_mask"]), rtol=1e-5, atol=1e-5)
    # The server's sequences have no padding: its first token is the first real one.
    first_is_real = np.array(batch["attention_mask"])[:, 0] == 1
    np.testing.assert_allclose(found.pooler_output[first_is_real], served["pooler_output"][first_is_real], rtol=1e-5, atol=1e-5)


def test_a_converted_demo_model_answers_as_in_the_server(binary, demo_model, tmp_path):
    import subprocess  # pylint: disable=import-outside-toplevel

    subprocess.run([binary, "convert", demo_model, "--plan", "6x4", "--output", tmp_path / "reuse"], check=True,
                   capture_output=True)
    model = ReuseBert.from_pretrained(tmp_path / "reuse")
    assert model.encoder.layer[1].attention.get_submodule("self").query.weight.shape == (192, 384)
    model.save_pretrained(tmp_path / "saved")
    batch = batch_of(np.random.default_rng(2), 30000)
    with serving(binary, tmp_path, {"before": tmp_path / "reuse", "after": tmp_path / "saved"}) as ask:
        before, after = ask("before", batch), ask("after", batch)
    found = run(model, batch)
    assert before.keys() >= {"last_hidden_state", "sentence_embedding", "pooler_output"}
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
        mine = np.asarray(getattr(found, name))
        if name == "last_hidden_state":
            mine, value = real_tokens(mine, batch["attention_mask"]), real_tokens(value, batch["attention_mask"])
        if name == "pooler_output":
            mine, value = mine[:2], value[:2]  # row 2 begins with padding
        # 6 layers of fp32 sums of up to 1536 products: a few 1e-6 of values up to about 3.
        np.testing.assert_allclose(mine, value, rtol=1e-4, atol=2e-5)


def test_the_published_model_answers_the_same(demo_model, data):
    oracle = json.loads((data / "minilm_oracle.json").read_text())
    model = ReuseBert.from_pretrained(demo_model)
    for row in oracle["sentences"]:
        with torch.no_grad():
            found = model(torch.tensor([row["input_ids"]]))
        np.testing.assert_allclose(found.sentence_embedding[0], row["sentence_embedding"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.pooler_output[0, :16], row["pooler_output"], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ORACLES)
def test_weights_come_back_bit_by_bit(name, data, tmp_path):
    ReuseBert.from_pretrained(data / "reuse_oracle" / name).save_pretrained(tmp_path / "copy")
    before, after = Checkpoint.load(data / "reuse_oracle" / name), Checkpoint.load(tmp_path / "copy")
    assert before.config == after.config and before.tensors.keys() == after.tensors.keys()
    assert all(before.tensors[key].tobytes() == after.tensors[key].tobytes() for key in before.tensors)


def test_a_reused_head_has_no_query_and_the_source_gets_its_gradient(data):
    model = ReuseBert.from_pretrained(data / "reuse_oracle" / "full")
    names = {name for name, _ in model.named_parameters()}
    assert "encoder.layer.0.attention.self.query.weight" in names
    assert not {name for name in names if name.startswith("encoder.layer.1.attention.self.") and "value" not in name}
    model(torch.tensor([[1, 2, 3]])).last_hidden_state.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_dropout_is_for_training_only(data):
    checkpoint = Checkpoint.load(data / "reuse_oracle" / "half")
    checkpoint.config.update(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    model, ids = ReuseBert(checkpoint), torch.tensor([[1, 2, 3]])
    torch.manual_seed(0)
    assert not torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)
    model.eval()
    assert torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)


def test_a_row_of_padding_only_is_finite(data):
    model = ReuseBert.from_pretrained(data / "reuse_oracle" / "half")
    output = model(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 1], [0, 0]]))
    assert torch.isfinite(output.last_hidden_state).all()
