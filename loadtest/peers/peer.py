"""What every peer offers, and how its process is told what to do.

A peer runs in a process of its own, so that its threads, its memory and the environment variables that
it reads are its own. The leader (compare.py) writes one JSON object per line to its standard input and
reads one per line back.
"""

import importlib
import json
import pathlib
import statistics
import sys
import time

import numpy as np

from bert_checkpoint import read_bert

# The module and class of each peer, by the name that --peers knows.
PEERS = {
    "openvino": ("openvino_peer", "OpenVino"),
    "torch-eager": ("torch_peer", "TorchEager"),
    "torch-compile": ("torch_peer", "TorchCompile"),
    "onnxruntime": ("onnxruntime_peer", "OnnxRuntime"),
}


class PeerError(Exception):
    """Says why a peer cannot be compared."""


class Case:
    """One padded batch: input_ids [batch, longest] int64 and the real length of each row."""

    def __init__(self, input_ids, lengths):
        self.input_ids = input_ids
        self.lengths = lengths

    @property
    def ragged(self):
        """Whether some row is padded, so that attention needs a mask."""
        return min(self.lengths) < self.input_ids.shape[1]

    def mask(self):
        """True for real tokens, [batch, longest]."""
        return np.arange(self.input_ids.shape[1]) < np.array(self.lengths)[:, np.newaxis]


class Peer:
    """A compiled encoder for one case. Subclasses set `about` and implement run()."""

    about = {}  # "version", "isa" (instruction set or kernels, as it tells), "settings"

    def run(self):
        """Computes one batch; the last hidden state, [batch, longest, hidden_size], fp32."""
        raise NotImplementedError

    def turn(self, warmup, repetitions):
        """Milliseconds of each timed run."""
        for _ in range(warmup):
            self.run()
        return [self._timed_run_ms() for _ in range(repetitions)]

    def _timed_run_ms(self):
        begin = time.perf_counter_ns()
        self.run()
        return (time.perf_counter_ns() - begin) / 1e6


def peak_rss_bytes():
    """The most memory that this process has had resident."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0


class Worker:
    """Serves the leader's commands until its input ends."""

    def __init__(self, name):
        module, kind = PEERS[name]
        self._kind = getattr(importlib.import_module(module), kind)
        self._peer = None

    def load(self, command):
        """{"do": "load", "checkpoint", "ids": npy file, "lengths", "precision", "threads"}"""
        case = Case(np.load(command["ids"]), command["lengths"])
        bert = read_bert(pathlib.Path(command["checkpoint"]))
        self._peer = self._kind(bert, case, command["precision"], command["threads"])
        return self._peer.about

    def answer(self, command):
        """{"do": "answer", "file": npy file to write}"""
        np.save(command["file"], np.asarray(self._peer.run(), dtype=np.float32))
        return {}

    def turn(self, command):
        """{"do": "turn", "warmup", "repetitions"}"""
        times = self._peer.turn(command["warmup"], command["repetitions"])
        return {"median_ms": statistics.median(times), "min_ms": min(times)}

    def memory(self, _command):
        """{"do": "memory"}"""
        return {"peak_rss_bytes": peak_rss_bytes()}

    def serve(self):
        """One answer per command; an error is one too."""
        for line in sys.stdin:
            command = json.loads(line)
            try:
                reply = getattr(self, command["do"])(command)
            except Exception as error:  # whatever a library throws, the leader should print it
                reply = {"error": f"{type(error).__name__}: {error}"}
            answer_to_leader(reply)


def answer_to_leader(reply):
    """Libraries print what they like to stdout, so answers have a mark."""
    print("\n@" + json.dumps(reply), flush=True)


if __name__ == "__main__":
    try:
        worker = Worker(sys.argv[1])
    except Exception as error:
        answer_to_leader({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    answer_to_leader({})
    worker.serve()
