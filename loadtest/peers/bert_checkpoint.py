"""Reads a BERT checkpoint with Hugging Face names: config.json and model.safetensors."""

import dataclasses
import json

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file


class CheckpointError(Exception):
    """Says what is wrong with a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Linear:
    """y = x weight^T + bias; weight [outputs, inputs], bias [outputs]."""

    weight: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class LayerNorm:
    """Scale and shift after normalising the last axis; weight and bias [hidden_size]."""

    weight: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class Layer:
    """One encoder layer: attention, then the feed forward network."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: LayerNorm
    intermediate: Linear
    output: Linear
    output_norm: LayerNorm


@dataclasses.dataclass(frozen=True)
class Bert:
    """Weights in fp32, and the few settings that shape the computation."""

    num_heads: int
    layer_norm_eps: float
    word_embeddings: np.ndarray  # [vocab_size, hidden_size]
    position_embeddings: np.ndarray  # [max_position_embeddings, hidden_size]
    token_type_embeddings: np.ndarray  # [type_vocab_size, hidden_size]
    embedding_norm: LayerNorm
    layers: list[Layer]

    @property
    def head_dim(self):
        """Width of one head's queries, keys and values."""
        return self.word_embeddings.shape[1] // self.num_heads

    def place_embeddings(self, seq_len):
        """What is added to the word vectors of a sequence of token type 0, [seq_len, hidden_size]."""
        return self.position_embeddings[:seq_len] + self.token_type_embeddings[0]


class Weights:
    """Tensors by the name they have in a BertModel, whatever they are prefixed with in the file."""

    def __init__(self, path):
        self._path = path
        try:
            self._tensors = load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None
        self._prefix = "" if "embeddings.word_embeddings.weight" in self._tensors else "bert."

    def tensor(self, name):
        """The tensor in fp32."""
        try:
            return self._tensors[self._prefix + name].astype(np.float32, copy=False)
        except KeyError:
            raise CheckpointError(
                f"{self._path} has no {self._prefix}{name}; expected an ordinary BERT, not a reuse model"
            ) from None

    def pair(self, kind, name):
        """Weight and bias of a Linear or a LayerNorm."""
        return kind(self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))


    def projection(self, name):
        """The Linear that makes queries or keys, which a reuse model has for some heads only."""
        result = self.pair(Linear, name)
        outputs, inputs = result.weight.shape
        if outputs != inputs:
            raise CheckpointError(
                f"{self._path} has {outputs} of {inputs} rows in {self._prefix}{name}.weight; expected "
                "an ordinary BERT, not a reuse model"
            )
        return result


def read_layer(weights, index):
    """The encoder layer of that index."""
    name = f"encoder.layer.{index}"
    return Layer(
        query=weights.projection(f"{name}.attention.self.query"),
        key=weights.projection(f"{name}.attention.self.key"),
        value=weights.pair(Linear, f"{name}.attention.self.value"),
        attention_output=weights.pair(Linear, f"{name}.attention.output.dense"),
        attention_norm=weights.pair(LayerNorm, f"{name}.attention.output.LayerNorm"),
        intermediate=weights.pair(Linear, f"{name}.intermediate.dense"),
        output=weights.pair(Linear, f"{name}.output.dense"),
        output_norm=weights.pair(LayerNorm, f"{name}.output.LayerNorm"),
    )


def read_config(path):
    """config.json as a dict, of a model that this comparison can build."""
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    for key, expected in (("model_type", "bert"), ("hidden_act", "gelu")):
        if config.get(key) != expected:
            raise CheckpointError(f"{path} has {key} {config.get(key)!r}, expected {expected!r}")
    return config


def read_bert(folder):
    """The encoder in a checkpoint folder. CheckpointError or OSError if it has none."""
    path = folder / "config.json"
    config = read_config(path)
    weights = Weights(folder / "model.safetensors")
    try:
        num_layers, num_heads = config["num_hidden_layers"], config["num_attention_heads"]
        layer_norm_eps = config["layer_norm_eps"]
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error}") from None
    return Bert(
        num_heads=num_heads,
        layer_norm_eps=layer_norm_eps,
        word_embeddings=weights.tensor("embeddings.word_embeddings.weight"),
        position_embeddings=weights.tensor("embeddings.position_embeddings.weight"),
        token_type_embeddings=weights.tensor("embeddings.token_type_embeddings.weight"),
        embedding_norm=weights.pair(LayerNorm, "embeddings.LayerNorm"),
        layers=[read_layer(weights, index) for index in range(num_layers)],
    )
