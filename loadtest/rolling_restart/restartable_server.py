"""A `reprise serve` that comes back on the ports that it had."""

import json
import pathlib
import socket
import subprocess
import time
import urllib.request

START_TIMEOUT_S = 120


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class RestartableServer:
    def __init__(self, binary, repository, log_path, flags):
        self.grpc_port, self.http_port, self.metrics_port = free_ports(3)
        self._log_path = pathlib.Path(log_path)
        self._command = [str(binary), "serve", "--model-repository", str(repository), "--host", "127.0.0.1"]
        ports = {"grpc": self.grpc_port, "http": self.http_port, "metrics": self.metrics_port}
        for name, port in ports.items():
            self._command += [f"--{name}-port", str(port)]
        self._command += [str(flag) for flag in flags]
        self._process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.grpc_port}"

    def start(self):
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._said("ready"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.address} is not ready in {START_TIMEOUT_S} s, or has ended:\n{self._tail()}")
            time.sleep(0.02)

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self):
        """The exit status; negative for a process that a signal ended."""
        return self._process.wait()

    def kill(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def answered(self):
        """Inferences that this process has answered so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("reprise_requests_total{")]
        return sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in counts
            if 'method="ModelInfer"' in line and 'code="OK"' in line
        )

    def _said(self, message):
        lines = self._log_path.read_text().splitlines(keepends=True)
        return any(json.loads(line)["message"] == message for line in lines if line.endswith("\n"))

    def _tail(self):
        return self._log_path.read_text()[-2000:]
