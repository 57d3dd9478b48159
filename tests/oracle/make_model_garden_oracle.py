"""Writes tests/data/model_garden_oracle/: small encoders of the paper's authors as TensorFlow saves them, with their answers.

The encoders are EncoderScaffold with ReuseTransformer layers, put together as tensorflow/models does for an encoder config of
type "reuse". Each folder holds the checkpoint of random weights, the same variables as a .npz, so that no test needs TensorFlow
to read them, and answers for padded rows. Nothing of this project is imported.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r tests/oracle/requirements-reuse.txt
    /tmp/oracle/bin/pip install --no-deps tf-models-official==2.15.0
    /tmp/oracle/bin/python tests/oracle/make_model_garden_oracle.py
"""

import importlib
import importlib.metadata
import importlib.util
import json
import pathlib
import shutil
import sys
import tempfile
import types

import numpy as np
import tensorflow as tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOCAB_SIZE, MAX_POSITIONS, INTERMEDIATE_SIZE, HIDDEN_SIZE, NUM_HEADS, SEQ_LEN = 20, 16, 20, 12, 4, 9

# What an encoder config of type "reuse" says; -1 reuses all heads.
CASES = {
    "partial": {"num_layers": 5, "reuse_attention": 3, "max_reuse_layer_idx": 3},
    "all_heads": {"num_layers": 4, "reuse_attention": -1, "max_reuse_layer_idx": 2},
    "exact": {"num_layers": 2, "reuse_attention": 0, "max_reuse_layer_idx": 1},
    "relative_pre_norm": {"num_layers": 4, "reuse_attention": 2, "max_reuse_layer_idx": 2, "use_relative_pe": True,
                          "pe_max_seq_length": 4, "norm_first": True},
}


def import_official():
    """(EncoderScaffold, ReuseTransformer) without the rest of the package and what that would import."""
    root = pathlib.Path(importlib.util.find_spec("official").submodule_search_locations[0])
    for name in ("official", "official.modeling", "official.nlp", "official.nlp.modeling", "official.nlp.modeling.layers",
                 "official.nlp.modeling.networks"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    gin = types.ModuleType("gin")
    gin.configurable = lambda thing: thing  # a decorator that lets files override arguments; there are none here
    sys.modules["gin"] = gin
    layers = sys.modules["official.nlp.modeling.layers"]
    for module, names in {"on_device_embedding": ["OnDeviceEmbedding"], "position_embedding": ["PositionEmbedding"],
                          "self_attention_mask": ["SelfAttentionMask"], "reuse_transformer": ["ReuseTransformer"]}.items():
        loaded = importlib.import_module(f"official.nlp.modeling.layers.{module}")
        for name in names:
            setattr(layers, name, getattr(loaded, name))
    layers.Transformer = None  # the default of an argument that is given here
    sys.modules["official.nlp.modeling"].layers = layers
    scaffold = importlib.import_module("official.nlp.modeling.networks.encoder_scaffold")
    return scaffold.EncoderScaffold, layers.ReuseTransformer


def build(case, scaffold, layer_class):
    initializer = tf.keras.initializers.TruncatedNormal(stddev=0.3)
    hidden_cfg = {
        "num_attention_heads": NUM_HEADS,
        "inner_dim": INTERMEDIATE_SIZE,
        "inner_activation": lambda x: tf.nn.gelu(x, approximate=True),
        "kernel_initializer": initializer,
        "norm_first": case.get("norm_first", False),
        "reuse_attention": case["reuse_attention"],
        "use_relative_pe": case.get("use_relative_pe", False),
        "pe_max_seq_length": case.get("pe_max_seq_length", 512),
        "max_reuse_layer_idx": case["max_reuse_layer_idx"],
    }
    embedding_cfg = {"vocab_size": VOCAB_SIZE, "type_vocab_size": 2, "hidden_size": HIDDEN_SIZE, "max_seq_length": MAX_POSITIONS,
                     "initializer": initializer, "dropout_rate": 0.0}
    return scaffold(embedding_cfg=embedding_cfg, hidden_cls=layer_class, hidden_cfg=hidden_cfg,
                    num_hidden_instances=case["num_layers"], pooled_output_dim=HIDDEN_SIZE, dict_outputs=True,
                    feed_layer_idx=True, recursive=True)


def randomize(encoder, rng):
    """Biases and norms start as zeros and ones: an importer could swap them unseen."""
    for variable in encoder.variables:
        center, deviation = (1.0, 0.1) if "gamma" in variable.name else (0.0, 0.3)
        variable.assign(rng.normal(center, deviation, variable.shape).astype(np.float32))


def digits(values):
    return [float(f"{value:.8g}") for value in values]


def main():
    scaffold, layer_class = import_official()
    for seed, (name, case) in enumerate(CASES.items()):
        rng = np.random.default_rng(seed)
        encoder = build(case, scaffold, layer_class)
        randomize(encoder, rng)
        mask = np.ones((3, SEQ_LEN), dtype=np.int32)
        mask[1, 5:] = 0
        mask[2, [3, 4, 8]] = 0
        ids, types_ = rng.integers(0, VOCAB_SIZE, mask.shape), rng.integers(0, 2, mask.shape)
        output = encoder([tf.constant(ids, tf.int32), tf.constant(mask), tf.constant(types_, tf.int32)])
        hidden = output["sequence_output"].numpy()

        directory = ROOT / "tests/data/model_garden_oracle" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            path = tf.train.Checkpoint(encoder=encoder).write(f"{scratch}/encoder")
            reader = tf.train.load_checkpoint(path)
            variables = {key: reader.get_tensor(key) for key in sorted(reader.get_variable_to_shape_map())
                         if key != "_CHECKPOINTABLE_OBJECT_GRAPH"}
            for file in pathlib.Path(scratch).iterdir():
                if file.name.startswith("encoder."):
                    shutil.copyfile(file, directory / file.name)
        np.savez_compressed(directory / "variables.npz", **{key.replace("/", "|"): value for key, value in variables.items()})
        expected = {
            "made_by": "tests/oracle/make_model_garden_oracle.py",
            "versions": {package: importlib.metadata.version(package)
                         for package in ("tensorflow-cpu", "tf-models-official", "numpy")},
            "encoder_config": case,
            "input_ids": ids.tolist(), "token_type_ids": types_.tolist(), "attention_mask": mask.tolist(),
            "last_hidden_state_of_real_tokens": [[digits(token) for token, keep in zip(row, kept) if keep]
                                                 for row, kept in zip(hidden.tolist(), mask.tolist())],
            "pooler_output": [digits(row) for row in output["pooled_output"].numpy().tolist()],
        }
        (directory / "expected.json").write_text(json.dumps(expected) + "\n")
        print(directory)


if __name__ == "__main__":
    main()
