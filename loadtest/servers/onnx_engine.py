"""ONNX Runtime's encoder for batches of any shape: the peers' fused operators with their shapes left open. fp32, the only
float arithmetic that it has on CPUs."""

import pathlib
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from bert_checkpoint import read_bert  # noqa: E402
from onnxruntime_peer import FUSED, PROVIDERS, Graph, add_layers, add_norm  # noqa: E402

SHAPE = ["batch", "length"]


def open_graph(bert):
    """input_ids and mask [batch, length] -> last hidden state."""
    graph = Graph()
    hidden = bert.word_embeddings.shape[1]
    words = graph.add("Gather", [graph.weight(bert.word_embeddings), "input_ids"])
    shape = graph.add("Shape", ["input_ids"])
    length = graph.add("Gather", [shape, graph.weight(np.array([1]))])
    places = graph.weight(bert.place_embeddings(len(bert.position_embeddings))[np.newaxis])
    near = graph.add("Slice", [places, graph.weight(np.array([0])), length, graph.weight(np.array([1]))])
    zero = graph.weight(np.zeros(hidden, np.float32))
    spread = graph.add("Expand", [near, graph.add("Concat", [shape, graph.weight(np.array([hidden]))], axis=0)])
    first = add_norm(graph, bert, words, spread, zero, bert.embedding_norm)
    last = add_layers(graph, bert, first, mask="mask")
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, SHAPE),
        helper.make_tensor_value_info("mask", TensorProto.INT32, SHAPE),
    ]
    output = helper.make_tensor_value_info(last, TensorProto.FLOAT, [*SHAPE, hidden])
    return helper.make_model(
        helper.make_graph(graph.nodes, "bert", inputs, [output], graph.weights),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)],
        ir_version=10,
    )


class OnnxEngine:
    """Callable: (input_ids, mask) -> last hidden state."""

    def __init__(self, folder, threads):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        model = open_graph(read_bert(folder)).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=PROVIDERS)

    def __call__(self, input_ids, mask):
        return self._session.run(None, {"input_ids": input_ids, "mask": mask.astype(np.int32)})[0]
