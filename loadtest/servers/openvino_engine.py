"""OpenVINO's encoder for batches of any shape: the peers' graph with its shapes left open."""

import pathlib
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as ops

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from bert_checkpoint import read_bert  # noqa: E402
from openvino_peer import OPENVINO_PRECISIONS, EncoderGraph, indices, weights  # noqa: E402


class OpenGraph(EncoderGraph):
    """input_ids and mask [?, ?] -> last hidden state [?, ?, hidden]."""

    def __init__(self, bert):  # pylint: disable=super-init-not-called
        self._bert = bert
        self._ids = ops.parameter([-1, -1], np.int64, name="input_ids")
        self._keys = ops.parameter([-1, -1], np.float32, name="mask")
        # 0 where a key is one, a large negative score where it is padding; [batch, 1, 1, length].
        places = ops.multiply(ops.subtract(self._keys, ops.constant(np.float32(1))), ops.constant(np.float32(1e9)))
        self._mask = ops.unsqueeze(places, indices([1, 2]))

    def model(self):
        bert = self._bert
        length = ops.gather(ops.shape_of(self._ids), indices([1]), indices(0))
        places = weights(bert.place_embeddings(len(bert.position_embeddings)))
        near = ops.slice(places, indices([0]), length, indices([1]), indices([0]))
        words = ops.gather(weights(bert.word_embeddings), self._ids, indices(0))
        last = self._layers(self._layer_norm(ops.add(words, near), bert.embedding_norm))
        return ov.Model([last], [self._ids, self._keys], "bert")

    def _split_heads(self, x):
        shape = [0, 0, self._bert.num_heads, self._bert.head_dim]  # 0: as it was
        return ops.transpose(ops.reshape(x, indices(shape), True), indices([0, 2, 1, 3]))

    def _join_heads(self, context):
        return ops.reshape(context, indices([0, 0, -1]), True)


class OpenVinoEngine:
    """Callable: (input_ids, mask) -> last hidden state."""

    def __init__(self, folder, precision, threads):
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
        }
        compiled = ov.Core().compile_model(OpenGraph(read_bert(folder)).model(), "CPU", settings)
        self._request = compiled.create_infer_request()

    def __call__(self, input_ids, mask):
        self._request.infer({"input_ids": input_ids, "mask": mask.astype(np.float32)})
        return self._request.get_output_tensor().data
