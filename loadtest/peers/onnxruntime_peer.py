"""ONNX Runtime's encoder, from the fused operators that its own BERT optimiser writes into a graph:
Attention, SkipLayerNormalization, BiasGelu. fp32, the only float arithmetic that it has on CPUs."""

import collections
import multiprocessing
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from peer import Peer, PeerError

FUSED = "com.microsoft"
PROVIDERS = ["CPUExecutionProvider"]


class Graph:
    """Collects nodes and weights; names are made up in order."""

    def __init__(self):
        self.nodes = []
        self.weights = []

    def weight(self, array):
        """A constant of the graph."""
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind, inputs, domain="", **attributes):
        """A node's output."""
        output = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output


def add_norm(graph, bert, x, skip, bias, parts):
    """The layer norm of x + skip + bias."""
    inputs = [x, skip, graph.weight(parts.weight), graph.weight(parts.bias), bias]
    return graph.add("SkipLayerNormalization", inputs, FUSED, epsilon=bert.layer_norm_eps)


def add_layers(graph, bert, x, mask):
    """The encoder's layers on x [batch, length, hidden]; `mask` names an int32 input [batch, length], None: no padding."""

    def product(x, linear):
        return graph.add("MatMul", [x, graph.weight(linear.weight.T)])

    for layer in bert.layers:
        parts = (layer.query, layer.key, layer.value)
        weight = graph.weight(np.concatenate([part.weight.T for part in parts], axis=1))
        bias = graph.weight(np.concatenate([part.bias for part in parts]))
        inputs = [x, weight, bias, *([mask] if mask else [])]
        context = graph.add("Attention", inputs, FUSED, num_heads=bert.num_heads)
        attended = product(context, layer.attention_output)
        x = add_norm(graph, bert, attended, x, graph.weight(layer.attention_output.bias), layer.attention_norm)
        inner = product(x, layer.intermediate)
        activated = graph.add("BiasGelu", [inner, graph.weight(layer.intermediate.bias)], FUSED)
        x = add_norm(graph, bert, product(activated, layer.output), x, graph.weight(layer.output.bias), layer.output_norm)
    return x


def build(bert, case):
    """input_ids [batch, length] (and mask [batch, length], int32) -> hidden [batch, length, hidden]."""
    graph = Graph()
    batch, length = case.input_ids.shape
    words = graph.add("Gather", [graph.weight(bert.word_embeddings), "input_ids"])
    places = np.broadcast_to(bert.place_embeddings(length), (batch, length, bert.word_embeddings.shape[1]))
    zero = graph.weight(np.zeros(bert.word_embeddings.shape[1], np.float32))
    x = add_norm(graph, bert, words, graph.weight(places), zero, bert.embedding_norm)
    x = add_layers(graph, bert, x, mask="mask" if case.ragged else None)
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [batch, length])]
    if case.ragged:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT32, [batch, length]))
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, [batch, length, bert.word_embeddings.shape[1]])
    return helper.make_model(
        helper.make_graph(graph.nodes, "bert", inputs, [output], graph.weights),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)],
        ir_version=10,
    )


class OnnxRuntime(Peer):
    """All optimisations, fixed shapes, inputs bound once."""

    def __init__(self, bert, case, precision, threads):
        if precision != "fp32":
            raise PeerError("ONNX Runtime has no bf16 arithmetic on CPUs: compare it in fp32")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        with tempfile.TemporaryDirectory() as folder:
            file, optimized = (str(pathlib.Path(folder) / name) for name in ("bert.onnx", "optimized.onnx"))
            kernels = in_child(write_and_count, bert, case, file, optimized)
            check_fused(kernels, len(bert.layers))
            self._session = onnxruntime.InferenceSession(file, options, providers=PROVIDERS)
        self._bind(bert, case)
        self.about = {
            "version": f"{onnxruntime.__version__}, onnx {onnx.__version__}",
            "isa": "MLAS, the best that it finds",
            "settings": {"threads": threads, "providers": self._session.get_providers(), "kernels": kernels},
        }

    def _bind(self, bert, case):
        """Inputs and the output stay where they are from run to run."""
        inputs = {"input_ids": case.input_ids}
        if case.ragged:
            inputs["mask"] = case.mask().astype(np.int32)
        self._output = np.empty((*case.input_ids.shape, bert.word_embeddings.shape[1]), np.float32)
        self._kept = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in inputs.values()]
        output = onnxruntime.OrtValue.ortvalue_from_numpy(self._output)
        self._binding = self._session.io_binding()
        for name, value in zip(inputs, self._kept):
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(self._session.get_outputs()[0].name, output)
        self._kept.append(output)

    def run(self):
        self._session.run_with_iobinding(self._binding)
        return self._kept[-1].numpy()


def write_and_count(bert, case, file, optimized):
    """Writes the model; {operator: how many} of the graph that ONNX Runtime makes of it."""
    onnx.save(build(bert, case), file, save_as_external_data=True, location="weights")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = optimized
    onnxruntime.InferenceSession(file, options, providers=PROVIDERS)
    kinds = (node.op_type for node in onnx.load(optimized, load_external_data=False).graph.node)
    return dict(collections.Counter(kinds))


def in_child(work, *arguments):
    """What work(*arguments) returns, with its memory counted in another process."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(work, arguments)


def check_fused(kernels, num_layers):
    """That what was meant to be one kernel still is, and no other work is left per layer."""
    expected = {"Attention": num_layers, "BiasGelu": num_layers, "SkipLayerNormalization": 2 * num_layers + 1}
    found = {kind: kernels.get(kind, 0) for kind in expected}
    if found != expected:
        raise PeerError(f"ONNX Runtime runs {found} after its optimisations, expected {expected}")
