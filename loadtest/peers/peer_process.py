"""Starts a peer in its own process and environment, and talks to it."""

import json
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What lowers the instruction set of PyTorch's own kernels, oneDNN's and MKL's, by reprise's name of it.
ISA_SWITCHES = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "avx512_bf16": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}
# How much of what a peer said on standard error goes into the message when it ends.
TAIL_BYTES = 2000


class PeerFailed(Exception):
    """Says which peer failed and how."""


def environment(name, options):
    """The variables that the peer's libraries read when they are loaded."""
    variables = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "OMP_PROC_BIND": "close"}
    variables["TORCHINDUCTOR_FREEZING"] = "1"
    variables["TORCHINDUCTOR_CACHE_DIR"] = str(options.environments / "inductor")
    if name.startswith("torch"):  # see mkl_any_vendor.c
        variables["LD_PRELOAD"] = str(options.environments / "libmkl_any_vendor.so")
    if options.isa:
        variables.update(ISA_SWITCHES[options.isa])
    return variables


class PeerProcess:
    """One peer with one case. Use as a context; it ends the process."""

    def __init__(self, name, options):
        self.name = name
        python = options.environments / name.split("-")[0] / "bin/python"
        # A file, not a pipe: nobody would empty that while the peer works.
        self._complaints = None if options.verbose else tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [python, HERE / "peer.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=environment(name, options),
            cwd=HERE,
        )
        self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        if self._complaints:
            self._complaints.close()

    def tell(self, do, **arguments):
        """Sends a command; its answer. PeerFailed when it is an error."""
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        for line in self._process.stdout:
            if line.startswith("@"):
                reply = json.loads(line[1:])
                if "error" in reply:
                    raise PeerFailed(f"{self.name}: {reply['error']}")
                return reply
        raise PeerFailed(f"{self.name} ended with {self._process.wait()}{self._last_words()}")

    def _last_words(self):
        if not self._complaints:
            return ""
        length = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, length - TAIL_BYTES))
        return ", saying:\n" + self._complaints.read().decode(errors="replace")
