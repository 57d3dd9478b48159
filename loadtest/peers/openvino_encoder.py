"""Compares reprise with the same BERT encoder built in OpenVINO's own operations."""

import collections
import json
import math
import platform
import statistics
import sys
import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops

import numpy_bert
from bert_checkpoint import CheckpointError, read_bert
from options import parse_options
from report import draw_report
from reprise_bench import BenchError, RepriseBench
from turns import Progress, Turn, summarize, take_turns

OPENVINO_PRECISIONS = {"bf16": "bf16", "fp32": "f32"}
OPENVINO_TYPES = {"bf16": ov.Type.bf16, "fp32": ov.Type.f32}
# Far above what rounding does to a token's vector, far below what a mistake in the graph does.
LOWEST_COSINES = {"bf16": 0.999, "fp32": 0.99999}
SEED = 1


class PeerError(Exception):
    """Says why OpenVINO cannot be compared."""


class EncoderGraph:
    """Builds an encoder for batches of one sequence of a fixed length: static shapes run fastest.

    Written as exporters write it, in the patterns that OpenVINO fuses: bias and GELU into the matrix
    product before them, the attention core into one kernel, layer norm as mvn, scale and shift.
    Nodes are [1, seq_len, width] unless said.
    """

    def __init__(self, bert, seq_len, attention):
        self._bert = bert
        self._seq_len = seq_len
        self._attention_core = {"sdpa": ops.scaled_dot_product_attention, "plain": self._plain}[attention]

    def model(self):
        """input_ids [1, seq_len] -> last hidden state [1, seq_len, hidden_size]."""
        bert = self._bert
        input_ids = ops.parameter([1, self._seq_len], np.int32, name="input_ids")
        words = ops.gather(weights(bert.word_embeddings), input_ids, indices(0))
        x = ops.add(words, weights(bert.place_embeddings(self._seq_len)))
        x = self._layer_norm(x, bert.embedding_norm)
        for layer in bert.layers:
            attended = linear(self._attention(x, layer), layer.attention_output)
            x = self._layer_norm(ops.add(x, attended), layer.attention_norm)
            activated = ops.gelu(linear(x, layer.intermediate), "erf")
            x = self._layer_norm(ops.add(x, linear(activated, layer.output)), layer.output_norm)
        return ov.Model([x], [input_ids], "bert")

    def _layer_norm(self, x, norm):
        normalised = ops.mvn(x, indices([-1]), True, self._bert.layer_norm_eps, "inside_sqrt")
        return ops.add(ops.multiply(normalised, weights(norm.weight)), weights(norm.bias))

    def _attention(self, x, layer):
        query, key, value = (
            self._split_heads(linear(x, part)) for part in (layer.query, layer.key, layer.value)
        )
        context = ops.transpose(self._attention_core(query, key, value), indices([0, 2, 1, 3]))
        return ops.reshape(context, indices([1, self._seq_len, -1]), False)

    def _split_heads(self, x):
        """-> [1, num_heads, seq_len, head_dim]"""
        shape = [1, self._seq_len, self._bert.num_heads, self._bert.head_dim]
        return ops.transpose(ops.reshape(x, indices(shape), False), indices([0, 2, 1, 3]))

    def _plain(self, query, key, value):
        """All [1, num_heads, seq_len, head_dim]."""
        scale = ops.constant(1 / math.sqrt(self._bert.head_dim), np.float32)
        attention_scores = ops.multiply(ops.matmul(query, key, False, True), scale)
        return ops.matmul(ops.softmax(attention_scores, -1), value, False, False)


def weights(array):
    """A constant that shares the array's memory."""
    return ops.constant(array, shared_memory=True)


def indices(values):
    """A constant of shapes or axes."""
    return ops.constant(values, np.int64)


def linear(x, layer):
    """[..., inputs] -> [..., outputs]"""
    return ops.add(ops.matmul(x, weights(layer.weight), False, True), weights(layer.bias))


class OpenVinoEncoder:
    """A compiled encoder for one length and precision, set up for the lowest latency."""

    def __init__(self, bert, input_ids, precision, options):
        model = EncoderGraph(bert, len(input_ids), options.attention).model()
        self._options = options
        self._compiled = ov.Core().compile_model(model, "CPU", settings(precision, options.threads))
        self._check_settings(precision)
        self._request = self._compiled.create_infer_request()
        self._request.set_input_tensor(ov.Tensor(input_ids[np.newaxis]))

    def _check_settings(self, precision):
        """OpenVINO takes its settings as hints; what it made of them must be what is compared."""
        for name, expected in (
            ("INFERENCE_PRECISION_HINT", OPENVINO_TYPES[precision]),
            ("INFERENCE_NUM_THREADS", self._options.threads),
            ("NUM_STREAMS", 1),
        ):
            found = self._compiled.get_property(name)
            if found != expected:
                raise PeerError(f"OpenVINO runs with {name} {found} here, expected {expected}")

    def answer(self):
        """The last hidden state, [seq_len, hidden_size]."""
        self._request.infer()
        return self._request.get_output_tensor().data[0].copy()

    def turn(self):
        """Warms up and times."""
        for _ in range(self._options.warmup):
            self._request.infer()
        times = [self._timed_run_ms() for _ in range(self._options.repetitions)]
        return Turn(statistics.median(times), min(times))

    def _timed_run_ms(self):
        begin = time.perf_counter_ns()
        self._request.infer()
        return (time.perf_counter_ns() - begin) / 1e6

    def kernels(self):
        """{kind of node: {kernel: how many}} of what was compiled; a kernel's name has its ISA."""
        kinds = collections.defaultdict(collections.Counter)
        for node in self._compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            kinds[info["layerType"].astype(str)][info["primitiveType"].astype(str)] += 1
        return {kind: dict(kernels) for kind, kernels in kinds.items()}


def settings(precision, threads):
    """What OpenVINO's documentation advises for latency, with reprise's threads and precision."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": True,
        "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
    }


def check_answer(encoder, reference, precision):
    """The worst cosine against the reference. PeerError if the answers differ."""
    cosine = numpy_bert.worst_cosine(encoder.answer(), reference)
    if not cosine >= LOWEST_COSINES[precision]:  # also for NaN
        raise PeerError(
            f"OpenVINO's answer in {precision} is wrong: a token's cosine with the reference is {cosine}, "
            f"expected at least {LOWEST_COSINES[precision]}"
        )
    return cosine


def compare_case(encoder, reprise, reference, precision, options, progress):
    """One length and precision as a dict for JSON: first the check, then the times."""
    seq_len = len(reference)
    progress.show("checking")
    cosine = check_answer(encoder, reference, precision)
    contenders = {"reprise": lambda: reprise.turn(seq_len, precision), "openvino": encoder.turn}
    turns = take_turns(contenders, options.rounds, progress)
    times = {name: summarize(taken) for name, taken in turns.items()}
    return {
        "seq_len": seq_len,
        "precision": precision,
        **times,
        "ratio_of_medians": times["reprise"]["median_ms"] / times["openvino"]["median_ms"],
        "ratio_of_mins": times["reprise"]["min_ms"] / times["openvino"]["min_ms"],
        "openvino_worst_cosine": cosine,
        "openvino_kernels": encoder.kernels(),
    }


def compare_cases(bert, reprise, options):
    """All lengths and precisions."""
    cases = []
    progress = Progress(2 * options.rounds * len(options.seq_len) * len(options.precision))
    generator = np.random.default_rng(SEED)
    for seq_len in options.seq_len:
        progress.start(f"{seq_len} tokens")
        progress.show("computing the reference")
        input_ids = generator.integers(len(bert.word_embeddings), size=seq_len, dtype=np.int32)
        reference = numpy_bert.encode(bert, input_ids)
        for precision in options.precision:
            progress.start(f"{seq_len} tokens, {precision}")
            progress.show("compiling")
            encoder = OpenVinoEncoder(bert, input_ids, precision, options)
            cases.append(compare_case(encoder, reprise, reference, precision, options, progress))
    progress.clear()
    return cases


def check_lengths(bert, options):
    """PeerError for a length that the model has no positions for."""
    most = len(bert.position_embeddings)
    for seq_len in options.seq_len:
        if seq_len > most:
            raise PeerError(f"{options.checkpoint} has {most} positions, so no {seq_len} tokens fit")


def compare(options):
    """Everything measured and what it was measured on, as a dict for JSON."""
    reprise = RepriseBench(options)
    bert = read_bert(options.checkpoint)
    check_lengths(bert, options)
    cases = compare_cases(bert, reprise, options)
    return {
        "machine": reprise.machine,
        "others_cpu_share": reprise.others_cpu_share,
        "openvino": ov.get_version(),
        "python": platform.python_version(),
        "checkpoint": str(options.checkpoint),
        "attention": options.attention,
        "threads": options.threads,
        "rounds": options.rounds,
        "repetitions": options.repetitions,
        "warmup": options.warmup,
        "cases": cases,
    }


def main():
    """0 when everything was measured, 1 when something failed."""
    options = parse_options()
    try:
        comparison = compare(options)
        if options.json:
            options.json.write_text(json.dumps(comparison, indent=2) + "\n")
    except (CheckpointError, PeerError, BenchError, OSError) as error:
        print(f"\nloadtest/peers/run: {error}", file=sys.stderr)
        return 1
    print(draw_report(comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
