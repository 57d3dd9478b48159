"""Writes tests/data/reuse_oracle/: small reuse models in our checkpoint format with the answers of the paper's own code.

The layers are ReuseTransformer of tensorflow/models, the implementation by the authors of arXiv 2110.06821. Only the weights'
layout is translated here: our checkpoints keep slots in the order of the scores (new heads first), theirs list the projections
of the reused heads first. Nothing of this project is imported.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r tests/oracle/requirements-reuse.txt
    /tmp/oracle/bin/pip install --no-deps tf-models-official==2.15.0
    /tmp/oracle/bin/python tests/oracle/make_reuse_oracle.py
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import pathlib
import sys
import types

import numpy as np
import safetensors.numpy
import tensorflow as tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOCAB_SIZE, MAX_POSITIONS, INTERMEDIATE_SIZE, HEAD_DIM, SEQ_LEN = 20, 16, 10, 3, 9
LAYER_NORM_EPS = 1e-12
ACTIVATIONS = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "relu": tf.nn.relu,
}


@dataclasses.dataclass
class Case:
    name: str
    num_layers: int
    num_heads: int
    reused_heads: int  # K
    reuse_layers: int  # P
    norm_first: bool = False
    activation: str = "gelu_new"
    relative_position_max: int = 0  # M; below SEQ_LEN the ends of the table are clipped

    @property
    def hidden_size(self):
        return self.num_heads * HEAD_DIM

    def reused(self, layer):
        return self.reused_heads if 1 <= layer <= self.reuse_layers else 0


CASES = [
    Case("exact", 3, 4, 0, 0),
    Case("half", 4, 4, 2, 2),
    Case("chained", 6, 5, 4, 4, activation="gelu"),
    Case("full", 4, 4, 4, 2, activation="relu"),
    Case("relative_pre_norm", 5, 4, 3, 3, norm_first=True, relative_position_max=4),
    Case("relative_full", 4, 3, 3, 2, relative_position_max=32),
]


def reuse_transformer():
    """The authors' layer class, without the rest of their package and what that would import."""
    root = pathlib.Path(importlib.util.find_spec("official").submodule_search_locations[0])
    for name in ("official", "official.nlp", "official.nlp.modeling", "official.nlp.modeling.layers", "official.modeling"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    from official.nlp.modeling.layers import reuse_transformer as module  # pylint: disable=import-outside-toplevel

    return module.ReuseTransformer


def random_tensors(case, rng):
    """The model's tensors under their Hugging Face names, [out, in]."""
    tensors = {}
    hidden = case.hidden_size

    def table(name, rows, cols, deviation):
        tensors[name] = rng.normal(0, deviation, (rows, cols)).astype(np.float32)

    def dense(name, rows, cols, gain=1.0):
        table(name + ".weight", rows, cols, gain / np.sqrt(cols))
        tensors[name + ".bias"] = rng.normal(0, 0.1, rows).astype(np.float32)

    def norm(name):
        tensors[name + ".weight"] = rng.normal(1, 0.1, hidden).astype(np.float32)
        tensors[name + ".bias"] = rng.normal(0, 0.1, hidden).astype(np.float32)

    table("embeddings.word_embeddings.weight", VOCAB_SIZE, hidden, 0.5)
    table("embeddings.position_embeddings.weight", MAX_POSITIONS, hidden, 0.3)
    table("embeddings.token_type_embeddings.weight", 2, hidden, 0.3)
    norm("embeddings.LayerNorm")
    for layer in range(case.num_layers):
        prefix = f"encoder.layer.{layer}."
        computed = case.num_heads - case.reused(layer)
        if computed > 0:
            dense(prefix + "attention.self.query", computed * HEAD_DIM, hidden, 1.2)
            dense(prefix + "attention.self.key", computed * HEAD_DIM, hidden, 1.2)
            if case.relative_position_max:
                table(prefix + "attention.self.relative_position_bias", computed, 2 * case.relative_position_max - 1, 1.0)
        dense(prefix + "attention.self.value", hidden, hidden)
        dense(prefix + "attention.output.dense", hidden, hidden)
        norm(prefix + "attention.output.LayerNorm")
        dense(prefix + "intermediate.dense", INTERMEDIATE_SIZE, hidden)
        dense(prefix + "output.dense", hidden, INTERMEDIATE_SIZE)
        norm(prefix + "output.LayerNorm")
    return tensors


def config_json(case):
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "num_hidden_layers": case.num_layers,
        "num_attention_heads": case.num_heads,
        "hidden_size": case.hidden_size,
        "intermediate_size": INTERMEDIATE_SIZE,
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": MAX_POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": LAYER_NORM_EPS,
        "hidden_act": case.activation,
    }
    if case.reuse_layers:
        config["attention_reuse"] = {"heads": case.reused_heads, "layers": case.reuse_layers}
    if case.norm_first:
        config["norm_first"] = True
    if case.relative_position_max:
        config["relative_position"] = {"type": "clipped", "max_seq_length": case.relative_position_max}
    return config


def projection(tensors, name, first_head, last_head):
    """Row blocks [first_head, last_head) of a query, key or value projection as kernel [in, heads, head_dim] and bias."""
    rows = slice(first_head * HEAD_DIM, last_head * HEAD_DIM)
    weight, bias = tensors[name + ".weight"][rows], tensors[name + ".bias"][rows]
    return [weight.T.reshape(-1, last_head - first_head, HEAD_DIM), bias.reshape(-1, HEAD_DIM)]


def output_kernel(tensors, name, first_head, last_head):
    """Column blocks of the output projection as kernel [heads, head_dim, out]."""
    columns = tensors[name + ".weight"][:, first_head * HEAD_DIM : last_head * HEAD_DIM]
    return columns.T.reshape(last_head - first_head, HEAD_DIM, -1)


def set_layer_weights(layer, case, index, tensors):
    prefix = f"encoder.layer.{index}."
    attention = layer._attention_layer
    reused, heads = case.reused(index), case.num_heads
    new = heads - reused
    if new:
        attention._query_dense.set_weights(projection(tensors, prefix + "attention.self.query", 0, new))
        attention._key_dense.set_weights(projection(tensors, prefix + "attention.self.key", 0, new))
        if case.relative_position_max:
            attention._position_embeddings.assign(tensors[prefix + "attention.self.relative_position_bias"][np.newaxis])

    # Their lists: reused heads first, then new ones, and the one output bias stands on the first.
    blocks = ([(new, heads)] if reused else []) + ([(0, new)] if new else [])
    for place, (first, last) in enumerate(blocks):
        attention._value_dense[place].set_weights(projection(tensors, prefix + "attention.self.value", first, last))
        kernel = output_kernel(tensors, prefix + "attention.output.dense", first, last)
        bias = [tensors[prefix + "attention.output.dense.bias"]] if place == 0 else []
        attention._output_dense[place].set_weights([kernel] + bias)

    for ours, theirs in (("attention.output.LayerNorm", layer._attention_layer_norm), ("output.LayerNorm", layer._output_layer_norm)):
        theirs.set_weights([tensors[prefix + ours + ".weight"], tensors[prefix + ours + ".bias"]])
    for ours, theirs in (("intermediate.dense", layer._intermediate_dense), ("output.dense", layer._output_dense)):
        theirs.set_weights([tensors[prefix + ours + ".weight"].T, tensors[prefix + ours + ".bias"]])


def run(case, layer_class, tensors, batch):
    """last_hidden_state [batch, seq_len, hidden] of the authors' layers over our embeddings."""
    embeddings = (
        tensors["embeddings.word_embeddings.weight"][batch["input_ids"]]
        + tensors["embeddings.token_type_embeddings.weight"][batch["token_type_ids"]]
        + tensors["embeddings.position_embeddings.weight"][np.arange(SEQ_LEN)]
    )
    norm = tf.keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPS)
    norm.build(embeddings.shape)
    norm.set_weights([tensors["embeddings.LayerNorm.weight"], tensors["embeddings.LayerNorm.bias"]])
    data, scores = norm(embeddings), None
    mask = np.repeat(np.array(batch["attention_mask"], dtype=bool)[:, np.newaxis, :], SEQ_LEN, axis=1)
    for index in range(case.num_layers):
        layer = layer_class(
            num_attention_heads=case.num_heads,
            inner_dim=INTERMEDIATE_SIZE,
            inner_activation=ACTIVATIONS[case.activation],
            norm_first=case.norm_first,
            norm_epsilon=LAYER_NORM_EPS,
            reuse_attention=case.reused(index),
            use_relative_pe=case.relative_position_max > 0,
            pe_max_seq_length=max(case.relative_position_max, 1),
        )
        layer([data, mask, scores])  # builds the variables
        set_layer_weights(layer, case, index, tensors)
        data, scores = layer([data, mask, scores])
    return data.numpy()


def random_batch(rng):
    """Four padded rows: full, right padding, left padding, holes."""
    mask = np.ones((4, SEQ_LEN), dtype=int)
    mask[1, 5:] = 0
    mask[2, :3] = 0
    mask[3, [1, 4, 5, 8]] = 0
    return {
        "input_ids": rng.integers(0, VOCAB_SIZE, mask.shape).tolist(),
        "token_type_ids": rng.integers(0, 2, mask.shape).tolist(),
        "attention_mask": mask.tolist(),
    }


def main():
    layer_class = reuse_transformer()
    for seed, case in enumerate(CASES):
        rng = np.random.default_rng(seed)
        tensors = random_tensors(case, rng)
        batch = random_batch(rng)
        hidden = run(case, layer_class, tensors, batch)
        answers = [[[float(f"{v:.8g}") for v in token] for token in row] for row in hidden.tolist()]
        real = [[token for token, keep in zip(row, mask) if keep] for row, mask in zip(answers, batch["attention_mask"])]
        directory = ROOT / "tests/data/reuse_oracle" / case.name
        directory.mkdir(parents=True, exist_ok=True)
        safetensors.numpy.save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        (directory / "config.json").write_text(json.dumps(config_json(case), indent=2) + "\n")
        versions = {name: importlib.metadata.version(name) for name in ("tensorflow-cpu", "tf-models-official", "numpy")}
        expected = {"made_by": "tests/oracle/make_reuse_oracle.py", "versions": versions, **batch,
                    "last_hidden_state_of_real_tokens": real}
        (directory / "expected.json").write_text(json.dumps(expected) + "\n")
        print(directory)


if __name__ == "__main__":
    main()
