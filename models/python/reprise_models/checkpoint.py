"""Checkpoint directories: what config.json and its neighbours say, the weights as arrays, and writing both in one step."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import safetensors
import safetensors.numpy

from reprise_models.reuse_plan import ReusePlan, ReusePlanError

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
_INTEGERS = ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size", "vocab_size",
             "max_position_embeddings")
_WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")


class CheckpointError(ValueError):
    """A directory that cannot be read as a reuse BERT, or not be written: what was found and what was expected."""


@dataclasses.dataclass
class Checkpoint:
    """A checkpoint directory in memory. `tensors` holds float32 arrays under BERT's names, without the prefix `bert.`;
    `prefix` is what the file's names have before them. `directory` is where the other files are copied from; may be None."""

    config: dict
    tensors: dict
    prefix: str = ""
    directory: pathlib.Path = None
    pooling: str = None  # "mean", "cls" or None
    normalize: bool = False

    def __post_init__(self):
        _check_config(self.config)
        try:
            self.plan = ReusePlan.from_json(
                self.config.get("attention_reuse"), self.config["num_hidden_layers"], self.config["num_attention_heads"]
            )
        except ReusePlanError as error:
            raise CheckpointError(f"config.json: {error}") from error
        self.tensors = self._model_tensors()

    @staticmethod
    def load(directory):
        """Reads a directory that Hugging Face tools, `reprise convert` or `save` wrote."""
        directory = pathlib.Path(directory)
        config = _read_json(directory / "config.json")
        tensors = _read_tensors(directory)
        prefix = "bert." if "bert.embeddings.word_embeddings.weight" in tensors else ""
        tensors = {name[len(prefix):] if name.startswith(prefix) else name: value for name, value in tensors.items()}
        pooling, normalize = _read_pooling(directory)
        return Checkpoint(config, tensors, prefix, directory, pooling, normalize)

    def save(self, directory, extra_files=None):
        """Writes a new directory: config, weights, every other file of the one it was read from (tokenizer, pooling), and
        `extra_files`, {name: JSON value}. It appears complete or not at all."""
        directory = pathlib.Path(directory)
        if directory.exists():
            raise CheckpointError(f"'{directory}' is already there; expected the name of a new folder")
        directory.parent.mkdir(parents=True, exist_ok=True)
        staged = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            self._write_into(staged, extra_files or {})
            for path in [*staged.rglob("*"), staged]:
                _flush(path)
            staged.chmod(0o755)  # mkdtemp's is 0700: a server of another user could not read it
            os.rename(staged, directory)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        _flush(directory.parent)

    def _write_into(self, staged, extra_files):
        if self.directory is not None:
            shutil.copytree(self.directory, staged, dirs_exist_ok=True, symlinks=False,
                            ignore=lambda folder, names: _not_copied(names, pathlib.Path(folder) == self.directory))
        _write_json(staged / "config.json", self.config)
        stored = {name if name.startswith("classifier.") else self.prefix + name: np.ascontiguousarray(value)
                  for name, value in self.tensors.items()}
        safetensors.numpy.save_file(stored, staged / "model.safetensors", metadata={"format": "pt"})
        for name, value in extra_files.items():
            _write_json(staged / name, value)

    def _model_tensors(self):
        """The model's own tensors, shapes checked against config.json; others are left behind, as the engine does."""
        for layer in range(self.plan.num_layers):
            if self.plan.computed_heads(layer):
                continue
            for part in ("query.weight", "query.bias", "key.weight", "key.bias", "relative_position_bias"):
                name = f"encoder.layer.{layer}.attention.self.{part}"
                if name in self.tensors:
                    raise CheckpointError(
                        f"tensor '{name}' is among the weights; expected none. Layer {layer} computes no attention scores "
                        "under attention_reuse: config.json and weights contradict each other"
                    )
        wanted = {}
        for name, shape in self.shapes().items():
            if name not in self.tensors:
                raise CheckpointError(f"tensor '{name}' is not among the weights; expected shape {list(shape)}")
            value = self.tensors[name]
            if tuple(value.shape) != shape:
                hint = ""
                if ".attention.self." in name:
                    layer = int(name.split(".")[2])
                    hint = (f". Layer {layer} computes {len(self.plan.computed_heads(layer))} of its {self.plan.num_heads} "
                            "heads under attention_reuse: config.json and weights contradict each other")
                raise CheckpointError(f"tensor '{name}' has shape {list(value.shape)}; expected {list(shape)}{hint}")
            wanted[name] = value
        return wanted

    def shapes(self):
        """{name: shape} of the tensors this model has, in the engine's order."""
        config, plan = self.config, self.plan
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        head_dim = hidden // config["num_attention_heads"]
        relative = (config.get("relative_position") or {}).get("max_seq_length", 0)
        shapes = {}

        def dense(stem, rows, columns):
            shapes[stem + ".weight"], shapes[stem + ".bias"] = (rows, columns), (rows,)

        def norm(stem):
            shapes[stem + ".weight"] = shapes[stem + ".bias"] = (hidden,)

        shapes["embeddings.word_embeddings.weight"] = (config["vocab_size"], hidden)
        shapes["embeddings.position_embeddings.weight"] = (config["max_position_embeddings"], hidden)
        shapes["embeddings.token_type_embeddings.weight"] = (config.get("type_vocab_size", 2), hidden)
        norm("embeddings.LayerNorm")
        for layer in range(plan.num_layers):
            stem, computed = f"encoder.layer.{layer}.", len(plan.computed_heads(layer))
            if computed:
                dense(stem + "attention.self.query", computed * head_dim, hidden)
                dense(stem + "attention.self.key", computed * head_dim, hidden)
                if relative:
                    shapes[stem + "attention.self.relative_position_bias"] = (computed, 2 * relative - 1)
            if plan.has_attention[layer]:
                dense(stem + "attention.self.value", hidden, hidden)
                dense(stem + "attention.output.dense", hidden, hidden)
                norm(stem + "attention.output.LayerNorm")
            dense(stem + "intermediate.dense", inner, hidden)
            dense(stem + "output.dense", hidden, inner)
            norm(stem + "output.LayerNorm")
        if config.get("final_layer_norm", False):
            norm("encoder.final_layer_norm")
        if "pooler.dense.weight" in self.tensors:
            dense("pooler.dense", hidden, hidden)
            if "classifier.weight" in self.tensors:
                dense("classifier", self.tensors["classifier.weight"].shape[0], hidden)
        return shapes


def _not_copied(names, at_the_top):
    """What `save` writes itself, what belongs to the weights it replaces (golden answers, other formats), hidden files."""
    replaced = ("config.json", "golden.json", *_WEIGHT_FILES) if at_the_top else ()
    return [name for name in names
            if name in replaced or name.startswith(".")
            or name.endswith((".bin", ".safetensors", ".onnx", ".h5", ".msgpack", ".ot", ".pt"))]


def _check_config(config):
    if not isinstance(config, dict):
        raise CheckpointError("config.json does not hold an object; expected the config of a BERT")
    if config.get("model_type", "bert") != "bert":
        raise CheckpointError(
            f"config.json: model_type is {config['model_type']!r}; expected \"bert\", the only architecture supported")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise CheckpointError(
            f"config.json: position_embedding_type is {config['position_embedding_type']!r}; expected \"absolute\"")
    for key in ("is_decoder", "add_cross_attention", "is_encoder_decoder"):
        if config.get(key):
            raise CheckpointError(f"config.json: {key} is true; expected false: only encoders are supported")
    for key in _INTEGERS:
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(f"config.json: {key} is {value!r}; expected a whole number of at least 1")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise CheckpointError(
            f"config.json: hidden_size is {config['hidden_size']}; expected a multiple of num_attention_heads = "
            f"{config['num_attention_heads']}")
    if config.get("hidden_act", "gelu") not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: hidden_act is {config['hidden_act']!r}; expected one of {', '.join(ACTIVATIONS)}")
    relative = config.get("relative_position")
    if relative is not None and not (isinstance(relative, dict) and relative.get("type") == "clipped"
                                     and isinstance(relative.get("max_seq_length"), int)
                                     and relative["max_seq_length"] >= 1):
        raise CheckpointError(
            f"config.json: relative_position is {relative!r}; expected type \"clipped\" and max_seq_length")


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"'{path}' is not there; expected a checkpoint directory with {path.name}") from None
    except ValueError as error:
        raise CheckpointError(f"'{path}' is not JSON: {error}") from error


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _flush(path):
    """To the disk, so that after a crash a folder of this name is whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_tensors(directory):
    whole, index = (directory / name for name in _WEIGHT_FILES)
    if whole.is_file():
        return _read_safetensors(whole)
    if not index.is_file():
        raise CheckpointError(f"'{directory}' has no weights; expected model.safetensors or model.safetensors.index.json")
    tensors = {}
    shards = sorted(set(_read_json(index)["weight_map"].values()))
    for shard in shards:
        if pathlib.PurePath(shard).name != shard:
            raise CheckpointError(f"'{index}' names the shard {shard!r}; expected the name of a file beside it")
        tensors.update(_read_safetensors(directory / shard))
    return tensors


def _read_safetensors(path):
    """{name: float32 array}. numpy has no BF16, so the bytes are widened here; integers, which are no weights, are left out."""
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"'{path}' is not a safetensors file: {error}") from error
    tensors = {}
    for name, entry in entries:
        data, dtype, shape = bytes(entry["data"]), entry["dtype"], entry["shape"]
        if dtype == "F32":
            value = np.frombuffer(data, "<f4")
        elif dtype == "F16":
            value = np.frombuffer(data, "<f2").astype(np.float32)
        elif dtype == "BF16":
            value = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            continue
        tensors[name] = value.reshape(shape)
    return tensors


def _read_pooling(directory):
    """(pooling, normalize) as sentence-transformers' files say."""
    if not (directory / "modules.json").is_file():
        return None, False
    modules = _read_json(directory / "modules.json")
    classes = [module.get("type", "").rsplit(".", 1)[-1] for module in modules]
    if not classes or classes != ["Transformer", "Pooling", "Normalize"][: len(classes)]:
        raise CheckpointError(
            f"'{directory}/modules.json': the modules are {', '.join(classes)}; expected Transformer, Pooling and optionally "
            "Normalize, in this order")
    if len(classes) == 1:
        return None, False
    path = directory / modules[1]["path"] / "config.json"
    modes = [key for key, value in _read_json(path).items() if key.startswith("pooling_mode_") and value is True]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(modes) != 1 or modes[0] not in known:
        raise CheckpointError(
            f"'{path}': the pooling modes that are true are {modes}; expected exactly one of pooling_mode_mean_tokens and "
            "pooling_mode_cls_token")
    return known[modes[0]], len(classes) == 3
