"""PyTorch's encoder: plain functions on fused weights, eager or compiled."""

import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from peer import Peer

TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Encoder(torch.nn.Module):
    """BERT as its users write it when they care: one packed projection, SDPA, erf GELU."""

    def __init__(self, bert, dtype):
        super().__init__()
        self._bert = bert
        self._dtype = dtype
        self._layers = []
        self._words = self._buffer("words", bert.word_embeddings)
        self._places = self._buffer("places", bert.place_embeddings(len(bert.position_embeddings)))
        self._embedding_norm = self._pair("embedding_norm", bert.embedding_norm)
        for index, layer in enumerate(bert.layers):
            parts = (layer.query, layer.key, layer.value)
            packed = (
                self._buffer(f"qkv_weight{index}", np.concatenate([part.weight for part in parts])),
                self._buffer(f"qkv_bias{index}", np.concatenate([part.bias for part in parts])),
            )
            rest = [
                self._pair(f"{name}{index}", getattr(layer, name))
                for name in ("attention_output", "attention_norm", "intermediate", "output", "output_norm")
            ]
            self._layers.append((packed, *rest))

    def _buffer(self, name, array):
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).to(self._dtype))
        return name

    def _pair(self, name, pair):
        return self._buffer(f"{name}_weight", pair.weight), self._buffer(f"{name}_bias", pair.bias)

    def _get(self, names):
        return tuple(getattr(self, name) for name in names)

    def _norm(self, x, names):
        weight, bias = self._get(names)
        return F.layer_norm(x, x.shape[-1:], weight, bias, self._bert.layer_norm_eps)

    def forward(self, input_ids, mask):
        """input_ids [batch, length]; mask [batch, 1, 1, length], True for real tokens, or None."""
        batch, length = input_ids.shape
        heads, width = self._bert.num_heads, self._bert.head_dim
        x = F.embedding(input_ids, getattr(self, self._words)) + getattr(self, self._places)[:length]
        x = self._norm(x, self._embedding_norm)
        for packed, attention_output, attention_norm, intermediate, output, output_norm in self._layers:
            projected = F.linear(x, *self._get(packed)).view(batch, length, 3, heads, width)
            query, key, value = projected.permute(2, 0, 3, 1, 4)
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            context = context.transpose(1, 2).reshape(batch, length, heads * width)
            x = self._norm(x + F.linear(context, *self._get(attention_output)), attention_norm)
            activated = F.gelu(F.linear(x, *self._get(intermediate)))
            x = self._norm(x + F.linear(activated, *self._get(output)), output_norm)
        return x


class TorchEager(Peer):
    """Operator by operator."""

    def __init__(self, bert, case, precision, threads):
        torch.set_num_threads(threads)
        self._model = self._prepared(Encoder(bert, TYPES[precision]).eval())
        self._input_ids = torch.from_numpy(case.input_ids)
        self._mask = torch.from_numpy(case.mask())[:, None, None, :] if case.ragged else None
        self.about = {
            "version": torch.__version__,
            "isa": f"ATen {torch.backends.cpu.get_cpu_capability()}, "
            f"oneDNN up to {os.environ.get('ONEDNN_MAX_CPU_ISA', 'the best')}, "
            f"MKL up to {os.environ.get('MKL_ENABLE_INSTRUCTIONS', 'the best')} on any vendor's processor",
            "settings": {"threads": torch.get_num_threads()},
        }

    def _prepared(self, model):
        return model

    def run(self):
        with torch.inference_mode():
            return self._model(self._input_ids, self._mask).float().numpy()


class TorchCompile(TorchEager):
    """Compiled for this shape, with weights frozen into the graph (TORCHINDUCTOR_FREEZING=1)."""

    def _prepared(self, model):
        return torch.compile(model, mode="max-autotune", dynamic=False)
