"""Runs `reprise bench` on a checkpoint, one case a time."""

import json
import os
import pathlib
import subprocess
import tempfile

from turns import Turn


class BenchError(Exception):
    """Says why reprise measured nothing."""


class RepriseBench:
    """The exact plan, one case a run. Keeps what the runs tell beside their times.

    Create it before OpenVINO runs: the processors that this process may use then are the ones that
    every run may use, whatever a library does to its threads meanwhile.
    """

    def __init__(self, options):
        if not os.access(options.reprise, os.X_OK):
            raise BenchError(
                f"there is no program {options.reprise}: build it with 'scripts/build release', or "
                "name another with --reprise"
            )
        self._options = options
        self._processors = os.sched_getaffinity(0)
        self.machine = None  # as reprise describes it, after the first run
        self.others_cpu_share = 0.0  # the most that other programs used during a run, 0 to 1

    def turn(self, seq_len, precision):
        """Warms up and times one batch of one sequence."""
        document = self._run(seq_len, precision)
        self.machine = document["machine"]
        self.others_cpu_share = max(self.others_cpu_share, self.machine.pop("others_cpu_share"))
        row = document["rows"][0]
        return Turn(row["median_ms"], row["min_ms"])

    def _run(self, seq_len, precision):
        os.sched_setaffinity(0, self._processors)  # the program inherits it
        with tempfile.TemporaryDirectory() as folder:
            result = pathlib.Path(folder) / "bench.json"
            done = subprocess.run(
                self._command(seq_len, precision, result),
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                raise BenchError(f"{self._options.reprise} failed: {done.stderr.strip()}")
            return json.loads(result.read_text())

    def _command(self, seq_len, precision, result):
        options = self._options
        return [
            *(options.reprise, "bench", "--model", options.checkpoint, "--plan", "exact"),
            *("--batch-size", "1", "--seq-len", str(seq_len), "--precision", precision),
            *("--threads", str(options.threads), "--pin-threads"),
            *("--repetitions", str(options.repetitions), "--warmup", str(options.warmup)),
            *("--json", result),
        ]
