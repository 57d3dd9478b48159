"""A reprise server of a measurement's own: on free ports of loopback, ended by its process id."""

import json
import os
import subprocess
import threading


class RunningServer:
    """Started when made; `grpc_port` and `metrics_port` (None with --no-metrics) are known and the models warm. A context manager."""

    def __init__(self, binary, repository, *flags, cores=None, env=None):
        command = [str(binary), "serve", "--model-repository", str(repository), "--lame-duck-secs", "0"]
        command += ["--grpc-port", "0", "--no-http", "--metrics-port", "0", *map(str, flags)]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=env, preexec_fn=lambda: bind(cores)
        )
        for line in self._process.stderr:
            event = json.loads(line)
            if event["message"] == "listening":
                self.grpc_port, self.metrics_port = event["grpc_port"], event.get("metrics_port")
            if event["message"] == "ready":
                break
        else:
            raise SystemExit(f"the server ended before it was ready: {' '.join(command)}")
        # Read on, or the pipe fills and the server waits.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._process.terminate()
        self._process.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.grpc_port}"

    def resident_bytes(self):
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise SystemExit("the server has ended")

    def cpu_seconds(self):
        fields = open(f"/proc/{self._process.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bind(cores):
    """Binds this process to some cores; to all if there are none named."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
