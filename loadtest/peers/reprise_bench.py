"""Runs `reprise bench` on a checkpoint, one case a time."""

import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np


# A model of less than a mebibyte: what a process takes that runs it is the program and its libraries.
SMALL = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 64, "vocab_size": 100}


class BenchError(Exception):
    """Says why reprise measured nothing."""


class RepriseBench:
    """Keeps what the runs tell beside their times."""

    def __init__(self, options):
        if not os.access(options.reprise, os.X_OK):
            raise BenchError(
                f"there is no program {options.reprise}: build it with 'scripts/build release', or "
                "name another with --reprise"
            )
        self._options = options
        self.machine = None  # as reprise describes it, after the first run
        self.others_cpu_share = 0.0  # the most that other programs used during a run, 0 to 1

    def answer(self, case, precision):
        """The last hidden state of the exact plan, [batch, longest, hidden_size], zero where padded."""
        with tempfile.TemporaryDirectory() as folder:
            ids, hidden = pathlib.Path(folder) / "ids.json", pathlib.Path(folder) / "hidden.f32"
            rows = [row[:length].tolist() for row, length in zip(case.input_ids, case.lengths)]
            ids.write_text(json.dumps(rows))
            flags = ("--plan", "exact", "--input-ids", ids, "--save-outputs", hidden)
            self._run(precision, *flags, "--repetitions", "1", "--warmup", "0")
            packed = np.fromfile(hidden, dtype="<f4").reshape(sum(case.lengths), -1)
        answer = np.zeros((*case.input_ids.shape, packed.shape[1]), np.float32)
        answer[case.mask()] = packed
        return answer

    def turn(self, case, precision):
        """{plan: {"median_ms", "min_ms"}}: all plans in one run, in turns among themselves."""
        options = self._options
        document = self._run(
            precision,
            *("--plan", ",".join(options.plan), "--lengths", ",".join(map(str, case.lengths))),
            *("--repetitions", str(options.repetitions), "--warmup", str(options.warmup)),
        )
        self.machine = document["machine"]
        self.others_cpu_share = max(self.others_cpu_share, self.machine.pop("others_cpu_share"))
        return {row["plan"]: {key: row[key] for key in ("median_ms", "min_ms")} for row in document["rows"]}

    def memory(self, case, precision):
        """{"peak_rss_bytes", "start_rss_bytes"}: of a process that runs the exact plan, and of one with hardly a model."""
        flags = ("--plan", "exact", "--lengths", ",".join(map(str, case.lengths)))
        peak = self._run(precision, *flags, "--repetitions", "2", "--warmup", "1")["peak_rss_bytes"]
        return {"peak_rss_bytes": peak, "start_rss_bytes": self._start_rss_bytes()}

    def _start_rss_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            small = pathlib.Path(folder) / "config.json"
            small.write_text(json.dumps(json.loads((self._options.checkpoint / "config.json").read_text()) | SMALL))
            flags = ("--plan", "exact", "--seq-len", "16", "--repetitions", "1", "--warmup", "0")
            return self._bench("--config", small, "--random-weights", *flags)["peak_rss_bytes"]

    def _run(self, precision, *flags):
        return self._bench("--model", self._options.checkpoint, "--precision", precision, *flags)

    def _bench(self, *flags):
        options = self._options
        with tempfile.TemporaryDirectory() as folder:
            result = pathlib.Path(folder) / "bench.json"
            command = [options.reprise, "bench", *flags]
            command += ["--threads", str(options.threads), "--pin-threads", "--json", result]
            if options.isa:
                command += ["--cpu-isa", options.isa]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchError(f"{options.reprise} failed: {done.stderr.strip()}")
            return json.loads(result.read_text())
