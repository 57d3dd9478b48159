"""OpenVINO's encoder: the same BERT in its own operations."""

import collections

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from peer import Peer, PeerError

OPENVINO_PRECISIONS = {"bf16": "bf16", "fp32": "f32"}
OPENVINO_TYPES = {"bf16": ov.Type.bf16, "fp32": ov.Type.f32}


class EncoderGraph:
    """Builds an encoder for one padded batch: static shapes run fastest.

    Written as exporters write it, in the patterns that OpenVINO fuses: bias and GELU into the matrix
    product before them, the attention core into one kernel, layer norm as mvn, scale and shift.
    Nodes are [batch, length, width] unless said.
    """

    def __init__(self, bert, case):
        self._bert = bert
        self._batch, self._length = case.input_ids.shape
        self._mask = None
        if case.ragged:  # masked keys get a large negative score
            places = np.where(case.mask(), 0.0, -1e9).astype(np.float32)
            self._mask = weights(places[:, np.newaxis, np.newaxis, :])

    def model(self):
        """input_ids [batch, length] -> last hidden state."""
        bert = self._bert
        input_ids = ops.parameter([self._batch, self._length], np.int64, name="input_ids")
        words = ops.gather(weights(bert.word_embeddings), input_ids, indices(0))
        x = ops.add(words, weights(bert.place_embeddings(self._length)))
        x = self._layers(self._layer_norm(x, bert.embedding_norm))
        return ov.Model([x], [input_ids], "bert")

    def _layers(self, x):
        for layer in self._bert.layers:
            attended = linear(self._attention(x, layer), layer.attention_output)
            x = self._layer_norm(ops.add(x, attended), layer.attention_norm)
            activated = ops.gelu(linear(x, layer.intermediate), "erf")
            x = self._layer_norm(ops.add(x, linear(activated, layer.output)), layer.output_norm)
        return x

    def _layer_norm(self, x, norm):
        normalised = ops.mvn(x, indices([-1]), True, self._bert.layer_norm_eps, "inside_sqrt")
        return ops.add(ops.multiply(normalised, weights(norm.weight)), weights(norm.bias))

    def _attention(self, x, layer):
        query, key, value = (
            self._split_heads(linear(x, part)) for part in (layer.query, layer.key, layer.value)
        )
        if self._mask is None:
            context = ops.scaled_dot_product_attention(query, key, value)
        else:
            context = ops.scaled_dot_product_attention(query, key, value, self._mask)
        return self._join_heads(ops.transpose(context, indices([0, 2, 1, 3])))

    def _join_heads(self, context):
        """[batch, length, num_heads, head_dim] -> [batch, length, hidden]"""
        return ops.reshape(context, indices([self._batch, self._length, -1]), False)

    def _split_heads(self, x):
        """-> [batch, num_heads, length, head_dim]"""
        shape = [self._batch, self._length, self._bert.num_heads, self._bert.head_dim]
        return ops.transpose(ops.reshape(x, indices(shape), False), indices([0, 2, 1, 3]))


def weights(array):
    """A constant that shares the array's memory."""
    return ops.constant(array, shared_memory=True)


def indices(values):
    """A constant of shapes or axes."""
    return ops.constant(values, np.int64)


def linear(x, layer):
    """[..., inputs] -> [..., outputs]"""
    return ops.add(ops.matmul(x, weights(layer.weight), False, True), weights(layer.bias))


def settings(precision, threads):
    """What OpenVINO's documentation advises for latency, with reprise's threads and precision."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": True,
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
    }


class OpenVino(Peer):
    """A compiled encoder, set up for the lowest latency."""

    def __init__(self, bert, case, precision, threads):
        model = EncoderGraph(bert, case).model()
        self._compiled = ov.Core().compile_model(model, "CPU", settings(precision, threads))
        self._check_settings(precision, threads)
        self._request = self._compiled.create_infer_request()
        self._request.set_input_tensor(ov.Tensor(case.input_ids))
        kernels = self._kernels()
        self.about = {
            "version": ov.get_version(),
            "isa": ", ".join(kernels.get("FullyConnected", {})),
            "settings": {"threads": threads, "kernels": kernels},
        }

    def _check_settings(self, precision, threads):
        """OpenVINO takes its settings as hints; what it made of them must be what is compared."""
        for name, expected in (
            ("INFERENCE_PRECISION_HINT", OPENVINO_TYPES[precision]),
            ("INFERENCE_NUM_THREADS", threads),
            ("NUM_STREAMS", 1),
        ):
            found = self._compiled.get_property(name)
            if found != expected:
                raise PeerError(f"OpenVINO runs with {name} {found} here, expected {expected}")

    def run(self):
        self._request.infer()
        return self._request.get_output_tensor().data

    def _kernels(self):
        """{kind of node: {kernel: how many}} of what was compiled; a kernel's name has its ISA."""
        kinds = collections.defaultdict(collections.Counter)
        for node in self._compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            kinds[info["layerType"].astype(str)][info["primitiveType"].astype(str)] += 1
        return {kind: dict(kernels) for kind, kernels in kinds.items()}
