"""Imports reuse encoders of TensorFlow's Model Garden, the implementation by the authors of arXiv 2110.06821.

Reads the variables of EncoderScaffold with ReuseTransformer layers (an encoder config of type "reuse") as tf.train.Checkpoint
names them, and makes a checkpoint that `reprise serve` takes. What is translated: Dense kernels [in, out] become [out, in] and
lose their split by heads; the value and output projections, there in two lists with the reused heads first, become one each
with the new heads first, the order of the scores.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

import numpy as np

from reprise_models.checkpoint import ACTIVATIONS, Checkpoint, CheckpointError

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_FIRST_LAYER = 4  # after the word, position and type embeddings and their norm


class ModelGardenError(CheckpointError):
    """Variables that are not a reuse encoder, or one that our checkpoints cannot express."""


def read_variables(checkpoint):
    """{name: array} of a checkpoint prefix (`.../ckpt-100`), a directory with its latest, or a .npz whose names have | for /."""
    path = pathlib.Path(checkpoint)
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {name.replace("|", "/"): stored[name] for name in stored.files}
    try:
        import tensorflow as tf  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise ModelGardenError("TensorFlow is not installed; expected it to read a checkpoint: "
                           "pip install 'models/python[tensorflow]', or give a .npz of the variables") from error
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
    except (tf.errors.OpError, ValueError) as error:
        raise ModelGardenError(f"'{checkpoint}' is not a TensorFlow checkpoint: {error}") from error
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
            if name.endswith(_SUFFIX) and ".OPTIMIZER_SLOT" not in name}


def import_encoder(variables, activation="gelu_new", norm_first=False):
    """The Checkpoint of an encoder's variables, {name: array}. Activation and place of the norms are in no variable, so they are
    arguments; the defaults are those of the encoder config."""
    if activation not in ACTIVATIONS:
        raise ModelGardenError(f"the activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    return _Importer(variables).checkpoint(activation, norm_first)


class _Importer:
    def __init__(self, variables):
        names = [name for name in variables if name.endswith(_SUFFIX) and ".OPTIMIZER_SLOT" not in name]
        found = {match[1] for match in (re.match(r"(.*?)layer_with_weights-\d+/_attention_layer/", name) for name in names)
                 if match}
        if len(found) != 1:
            what = "none" if not found else " and ".join(repr(prefix) for prefix in sorted(found))
            raise ModelGardenError(
                f"of {len(names)} variables, the encoders' names begin with {what}; expected the checkpoint of one reuse "
                "encoder, with names like 'encoder/layer_with_weights-4/_attention_layer/_value_dense/0/kernel'")
        self._prefix = found.pop()
        self._left = {name[len(self._prefix):-len(_SUFFIX)]: variables[name] for name in names
                      if name.startswith(self._prefix + "layer_with_weights-")}
        self._tensors = {}

    def checkpoint(self, activation, norm_first):
        self._embeddings()
        hidden = self._tensors["embeddings.LayerNorm.weight"].shape[0]
        layers = []
        while f"layer_with_weights-{_FIRST_LAYER + len(layers)}/_intermediate_dense/kernel" in self._left:
            layers.append(self._layer(len(layers), hidden))
        num_layers, num_heads = len(layers), layers[0]["reused"] + layers[0]["new"]
        self._after_layers(num_layers, hidden)
        if self._left:
            raise ModelGardenError(
                f"the variable '{self._prefix}{min(self._left)}' belongs to no part of a reuse encoder with default embeddings; "
                "expected embeddings, ReuseTransformer layers, a norm before pooling, a pooler")
        config = {
            "architectures": ["BertModel"], "model_type": "bert", "num_hidden_layers": num_layers,
            "num_attention_heads": num_heads, "hidden_size": hidden,
            "intermediate_size": self._tensors["encoder.layer.0.intermediate.dense.weight"].shape[0],
            "vocab_size": self._tensors["embeddings.word_embeddings.weight"].shape[0],
            "max_position_embeddings": self._tensors["embeddings.position_embeddings.weight"].shape[0],
            "type_vocab_size": self._tensors["embeddings.token_type_embeddings.weight"].shape[0],
            "layer_norm_eps": 1e-12, "hidden_act": activation, "position_embedding_type": "absolute",
        }
        if norm_first:
            config["norm_first"] = True
        if "encoder.final_layer_norm.weight" in self._tensors:
            config["final_layer_norm"] = True
        self._relative_position(layers, config)
        plan = _plan(layers, num_heads)
        if plan is not None:
            config["attention_reuse"] = plan
        return Checkpoint(config, self._tensors)

    def _take(self, name, dimensions):
        if name not in self._left:
            raise ModelGardenError(f"the variable '{self._prefix}{name}{_SUFFIX}' is not there; expected it in every reuse "
                                   "encoder with default embeddings")
        value = np.asarray(self._left.pop(name), dtype=np.float32)
        if value.ndim != dimensions:
            raise ModelGardenError(f"'{self._prefix}{name}' has shape {list(value.shape)}; expected {dimensions} dimensions")
        return value

    def _take_norm(self, theirs, ours):
        self._tensors[ours + ".weight"] = self._take(theirs + "/gamma", 1)
        self._tensors[ours + ".bias"] = self._take(theirs + "/beta", 1)

    def _take_dense(self, theirs, ours):
        self._tensors[ours + ".weight"] = self._take(theirs + "/kernel", 2).T
        self._tensors[ours + ".bias"] = self._take(theirs + "/bias", 1)

    def _embeddings(self):
        for place, kind in enumerate(("word", "position", "token_type")):
            table = self._take(f"layer_with_weights-{place}/embeddings", 2)
            self._tensors[f"embeddings.{kind}_embeddings.weight"] = table
        self._take_norm("layer_with_weights-3", "embeddings.LayerNorm")

    def _layer(self, layer, hidden):
        theirs, ours = f"layer_with_weights-{_FIRST_LAYER + layer}/", f"encoder.layer.{layer}."
        attention = theirs + "_attention_layer/"
        values = self._take_list(attention + "_value_dense", 3)
        outputs = self._take_list(attention + "_output_dense", 3)
        # Index 0 holds the reused heads where there are any; no query then means that there are no others.
        new = 0
        if attention + "_query_dense/kernel" in self._left:
            new = self._take_projections(attention, ours + "attention.self.", hidden)
        if new:
            if len(values) not in (1, 2) or values[-1][0].shape[1] != new:
                raise ModelGardenError(f"layer {layer} has queries for {new} heads but no values for them; expected the last "
                                       "entry of _value_dense to have as many heads")
        elif len(values) != 1:
            raise ModelGardenError(f"layer {layer} has no queries but {len(values)} value projections; expected one")
        reused = sum(kernel.shape[1] for kernel, _ in values) - new
        heads = new + reused
        if any(kernel.shape[2] * heads != hidden for kernel, _ in values):
            raise ModelGardenError(
                f"layer {layer} has value vectors of width {values[0][0].shape[2]} in {heads} heads; expected hidden_size / "
                f"heads = {hidden}/{heads}: value widths of their own cannot be expressed")
        if [kernel.shape[1] for kernel, _ in values] != [kernel.shape[0] for kernel, _ in outputs]:
            raise ModelGardenError(f"layer {layer} has values and output projections of different heads")
        # Theirs: reused heads, then new ones. Ours, as in the stack of scores: new ones, then reused ones.
        values.reverse()
        kernel = np.concatenate([kernel for kernel, _ in values], axis=1)
        self._tensors[ours + "attention.self.value.weight"] = kernel.reshape(hidden, hidden).T
        self._tensors[ours + "attention.self.value.bias"] = np.concatenate([bias.reshape(-1) for _, bias in values])
        biases = [bias for _, bias in outputs if bias is not None]
        if len(biases) != 1:
            raise ModelGardenError(f"layer {layer} has {len(biases)} output biases; expected one")
        kernel = np.concatenate([kernel for kernel, _ in reversed(outputs)], axis=0)
        self._tensors[ours + "attention.output.dense.weight"] = kernel.reshape(hidden, hidden).T
        self._tensors[ours + "attention.output.dense.bias"] = biases[0]
        self._take_norm(theirs + "_attention_layer_norm", ours + "attention.output.LayerNorm")
        self._take_dense(theirs + "_intermediate_dense", ours + "intermediate.dense")
        self._take_dense(theirs + "_output_dense", ours + "output.dense")
        self._take_norm(theirs + "_output_layer_norm", ours + "output.LayerNorm")
        return {"new": new, "reused": reused}

    def _take_list(self, stem, dimensions):
        """(kernel, bias) of stem/0, stem/1; the bias may be None. The attention's own list, not the feed-forward layer of the
        same name beside it."""
        entries = []
        while f"{stem}/{len(entries)}/kernel" in self._left:
            place = f"{stem}/{len(entries)}"
            kernel = self._take(place + "/kernel", dimensions)
            entries.append((kernel, self._take(place + "/bias", self._left[place + "/bias"].ndim)
                            if place + "/bias" in self._left else None))
        if not entries:
            raise ModelGardenError(f"the variable '{self._prefix}{stem}/0/kernel' is not there; expected ReuseTransformer layers")
        return entries

    def _take_projections(self, attention, ours, hidden):
        """Query, key and relative position table of a layer's new heads; how many these are."""
        new = 0
        for theirs, name in (("_query_dense", "query"), ("_key_dense", "key")):
            kernel = self._take(f"{attention}{theirs}/kernel", 3)
            new = kernel.shape[1]
            self._tensors[f"{ours}{name}.weight"] = kernel.reshape(hidden, -1).T
            self._tensors[f"{ours}{name}.bias"] = self._take(f"{attention}{theirs}/bias", 2).reshape(-1)
        if attention + "_position_embeddings" in self._left:
            self._tensors[ours + "relative_position_bias"] = self._take(attention + "_position_embeddings", 3)[0]
        return new

    def _after_layers(self, num_layers, hidden):
        """An optional norm before pooling, then the pooler."""
        place = _FIRST_LAYER + num_layers
        if f"layer_with_weights-{place}/gamma" in self._left:
            self._take_norm(f"layer_with_weights-{place}", "encoder.final_layer_norm")
            place += 1
        if f"layer_with_weights-{place}/kernel" in self._left:
            width = self._left[f"layer_with_weights-{place}/kernel"].shape[-1]
            if width != hidden:
                raise ModelGardenError(f"the pooler's output has width {width}; expected hidden_size = {hidden}")
            self._take_dense(f"layer_with_weights-{place}", "pooler.dense")

    def _relative_position(self, layers, config):
        tables = [self._tensors.get(f"encoder.layer.{layer}.attention.self.relative_position_bias")
                  for layer, heads in enumerate(layers) if heads["new"]]
        with_table = [table for table in tables if table is not None]
        if not with_table:
            return
        widths = {table.shape[1] for table in with_table}
        if len(with_table) != len(tables) or len(widths) != 1:
            raise ModelGardenError("the layers' relative position tables differ in width or are missing in some; expected one of "
                                   "the same width in every layer that computes scores")
        config["relative_position"] = {"type": "clipped", "max_seq_length": (widths.pop() + 1) // 2}


def _plan(layers, num_heads):
    """The value of attention_reuse: {heads, layers} where layers 2 to P+1 reuse K heads each, else the table; None if exact."""
    if layers[0]["reused"]:
        raise ModelGardenError(f"layer 0 reuses {layers[0]['reused']} heads; expected none: there is no layer before it")
    for layer, heads in enumerate(layers):
        if heads["new"] + heads["reused"] != num_heads:
            raise ModelGardenError(
                f"layer {layer} has {heads['new'] + heads['reused']} heads; expected {num_heads} as in layer 0")
    reused = [heads["reused"] for heads in layers]
    count = len([heads for heads in reused if heads])
    if count == 0:
        return None
    if len(set(reused[1:count + 1])) == 1 and reused[1]:
        return {"heads": reused[1], "layers": count}
    # Every layer passes on its new heads' scores, then the first of those it was given.
    source = [[[0, head] for head in range(num_heads)]]
    for layer, heads in list(enumerate(layers))[1:]:
        source.append([[layer, head] for head in range(heads["new"])] + source[-1][:heads["reused"]])
    return {"source": source}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="reprise-import-model-garden",
        description="Makes a reprise checkpoint of a reuse encoder trained with TensorFlow's Model Garden.",
        epilog="The folder has config.json and weights. Put the tokenizer.json of the vocabulary it was trained with, and for "
               "sentence embeddings the pooling files of sentence-transformers, beside them.")
    parser.add_argument("checkpoint", help="prefix of a TensorFlow checkpoint (.../ckpt-100), a folder with the latest one, or a "
                                           ".npz of its variables with | for / in their names")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="new folder to write")
    parser.add_argument("--activation", default="gelu_new", choices=ACTIVATIONS,
                        help="hidden_activation of the encoder config; its gelu, the default, is the tanh form (gelu_new)")
    parser.add_argument("--norm-first", action="store_true", help="norm_first of the encoder config")
    options = parser.parse_args(arguments)
    try:
        checkpoint = import_encoder(read_variables(options.checkpoint), options.activation, options.norm_first)
        checkpoint.save(options.output)
    except (CheckpointError, OSError) as error:
        print(f"reprise-import-model-garden: {error}", file=sys.stderr)
        return 1
    plan = checkpoint.plan
    print(f"{options.output}: {plan.num_layers} layers, {plan.num_reused_heads()} of {plan.num_layers * plan.num_heads} heads "
          "reuse scores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
