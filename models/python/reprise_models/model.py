"""The reuse BERT as a PyTorch module: the same tensors under the same names, and so the same answers, as the server's."""

from __future__ import annotations

import dataclasses
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional

from reprise_models.checkpoint import Checkpoint

_ACTIVATIONS = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}


@dataclasses.dataclass
class ReuseBertOutput:
    """last_hidden_state [batch_size, seq_len, hidden_size], the others one vector per text; None is what the checkpoint has
    no weights or files for. hidden_states: after the embeddings and after each layer, where they were asked for."""

    last_hidden_state: torch.Tensor
    pooler_output: torch.Tensor = None
    sentence_embedding: torch.Tensor = None
    logits: torch.Tensor = None
    hidden_states: tuple = None


class ReuseBert(nn.Module):
    """A BERT-style encoder in which heads may take the attention probabilities of an earlier layer's head; such a head has no
    query and key weights. `checkpoint` gives the shape and the first values; parameters have its tensor names."""

    def __init__(self, checkpoint):
        super().__init__()
        config = checkpoint.config
        self.config, self.plan = config, checkpoint.plan
        self.pooling, self.normalize = checkpoint.pooling, checkpoint.normalize
        self._prefix, self._directory = checkpoint.prefix, checkpoint.directory
        eps = config.get("layer_norm_eps", 1e-12)
        self.embeddings = _Embeddings(config, eps)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(_Layer(config, self.plan, layer, eps) for layer in range(self.plan.num_layers))
        if config.get("final_layer_norm", False):
            self.encoder.final_layer_norm = nn.LayerNorm(config["hidden_size"], eps)
        for head in ("pooler.dense", "classifier"):
            if head + ".weight" in checkpoint.tensors:
                rows, columns = checkpoint.tensors[head + ".weight"].shape
                owner, name = (self, head) if "." not in head else (self._child("pooler"), "dense")
                owner.add_module(name, nn.Linear(columns, rows))
        # .copy(): arrays read from a file are not writable.
        self.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in checkpoint.tensors.items()})

    def _child(self, name):
        self.add_module(name, nn.Module())
        return getattr(self, name)

    @staticmethod
    def from_pretrained(directory):
        """The model of a checkpoint directory, in evaluation mode."""
        return ReuseBert(Checkpoint.load(directory)).eval()

    def to_checkpoint(self):
        tensors = {name: value.detach().float().cpu().numpy() for name, value in self.state_dict().items()}
        return Checkpoint(self.config, tensors, self._prefix, self._directory, self.pooling, self.normalize)

    def save_pretrained(self, directory, extra_files=None):
        """Writes a new checkpoint directory that `reprise serve` takes, with the files beside the weights it was read from."""
        self.to_checkpoint().save(pathlib.Path(directory), extra_files)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, position_ids=None, output_hidden_states=False):
        """All inputs [batch_size, seq_len]; in the mask 1 is a real token, 0 is padding."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        x = self.embeddings(input_ids, token_type_ids, position_ids)
        # A large finite number: a row of padding only would be NaN with -inf.
        key_bias = torch.zeros(attention_mask.shape, dtype=x.dtype, device=x.device)
        key_bias = key_bias.masked_fill(attention_mask == 0, torch.finfo(x.dtype).min)[:, None, None, :]
        hidden_states, probs = [x], {}
        for layer in self.encoder.layer:
            x = layer(x, key_bias, position_ids, probs)
            hidden_states.append(x)
        if hasattr(self.encoder, "final_layer_norm"):
            x = self.encoder.final_layer_norm(x)
        output = ReuseBertOutput(x, hidden_states=tuple(hidden_states) if output_hidden_states else None)
        if hasattr(self, "pooler"):
            output.pooler_output = torch.tanh(self.pooler.dense(x[:, 0]))
            if hasattr(self, "classifier"):
                output.logits = self.classifier(output.pooler_output)
        if self.pooling is not None:
            output.sentence_embedding = self._sentence_embedding(x, attention_mask)
        return output

    def _sentence_embedding(self, x, attention_mask):
        if self.pooling == "cls":
            embedding = x[:, 0]
        else:
            weight = attention_mask.to(x.dtype).unsqueeze(-1)
            embedding = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        return functional.normalize(embedding, dim=-1) if self.normalize else embedding


class _Embeddings(nn.Module):
    def __init__(self, config, eps):
        super().__init__()
        hidden = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], hidden)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], hidden)
        self.token_type_embeddings = nn.Embedding(config.get("type_vocab_size", 2), hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps)
        self._dropout = config.get("hidden_dropout_prob", 0.0)

    def forward(self, input_ids, token_type_ids, position_ids):
        x = (self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
             + self.position_embeddings(position_ids))
        return functional.dropout(self.LayerNorm(x), self._dropout, self.training)


class _SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(head_dim) + bias) V, where only some heads have a Q and a K."""

    def __init__(self, config, plan, layer):
        super().__init__()
        hidden, self._heads = config["hidden_size"], config["num_attention_heads"]
        self._head_dim = hidden // self._heads
        self._layer, self._computed = layer, plan.computed_heads(layer)
        # Place of each head's probabilities among those its source layer computes.
        self._sources = [(source[0], plan.computed_heads(source[0]).index(source[1])) for source in plan.source[layer]]
        self._max_relative = (config.get("relative_position") or {}).get("max_seq_length", 0)
        self._dropout = config.get("attention_probs_dropout_prob", 0.0)
        if self._computed:
            self.query = nn.Linear(hidden, len(self._computed) * self._head_dim)
            self.key = nn.Linear(hidden, len(self._computed) * self._head_dim)
            if self._max_relative:
                table = torch.zeros(len(self._computed), 2 * self._max_relative - 1)
                self.relative_position_bias = nn.Parameter(table)
        self.value = nn.Linear(hidden, hidden)

    def _by_head(self, x, heads):
        return x.unflatten(-1, (heads, self._head_dim)).transpose(1, 2)

    def forward(self, x, key_bias, position_ids, probs):
        """`probs[layer]` gets what this layer computes, [batch_size, computed heads, seq_len, seq_len]."""
        if self._computed:
            count = len(self._computed)
            scores = self._by_head(self.query(x), count) @ self._by_head(self.key(x), count).transpose(-1, -2)
            scores = scores / math.sqrt(self._head_dim)
            if self._max_relative:
                distance = position_ids[:, None, :] - position_ids[:, :, None] + self._max_relative - 1
                distance = distance.clamp(0, 2 * self._max_relative - 2)
                scores = scores + self.relative_position_bias[:, distance].transpose(0, 1)
            probs[self._layer] = torch.softmax(scores + key_bias, dim=-1)
        if len(self._computed) == self._heads:
            used = probs[self._layer]
        else:
            used = torch.stack([probs[layer][:, place] for layer, place in self._sources], dim=1)
        # Each reader draws its own dropout; what is stored has none.
        used = functional.dropout(used, self._dropout, self.training)
        return (used @ self._by_head(self.value(x), self._heads)).transpose(1, 2).flatten(2)


class _Layer(nn.Module):
    """Attention where the plan has it, then the feed-forward block, each with its residual and norm."""

    def __init__(self, config, plan, layer, eps):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self._norm_first = config.get("norm_first", False)
        self._activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._dropout = config.get("hidden_dropout_prob", 0.0)
        if plan.has_attention[layer]:
            self.attention = nn.Module()
            self.attention.add_module("self", _SelfAttention(config, plan, layer))
            self.attention.output = nn.Module()
            self.attention.output.dense = nn.Linear(hidden, hidden)
            self.attention.output.LayerNorm = nn.LayerNorm(hidden, eps)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(hidden, inner)
        self.output = nn.Module()
        self.output.dense = nn.Linear(inner, hidden)
        self.output.LayerNorm = nn.LayerNorm(hidden, eps)

    def forward(self, x, key_bias, position_ids, probs):
        if hasattr(self, "attention"):
            attention = self.attention
            x = self._block(x, attention.output, lambda y: getattr(attention, "self")(y, key_bias, position_ids, probs))
        return self._block(x, self.output, lambda y: self._activation(self.intermediate.dense(y)))

    def _block(self, x, output, inner):
        """LN(x + W inner(x)), or x + W inner(LN(x)) with norm_first."""
        change = output.dense(inner(output.LayerNorm(x) if self._norm_first else x))
        x = x + functional.dropout(change, self._dropout, self.training)
        return x if self._norm_first else output.LayerNorm(x)
