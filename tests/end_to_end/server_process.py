"""A `reprise serve` of the test's own: started on free ports, watched through its log, stopped by its id."""

import json
import signal
import subprocess
import time

import grpc

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 90


class Server:
    """Owns one server process. Use as a context manager; leaving it kills a process that still runs."""

    def __init__(self, binary, repository, *flags, log_path, lame_duck_secs=0, env=None):
        self._log_path = log_path
        command = [str(binary), "serve", "--model-repository", str(repository)]
        command += ["--grpc-port", "0", "--metrics-port", "0"]
        if "--no-http" not in flags:
            command += ["--http-port", "0"]
        if lame_duck_secs is not None:
            command += ["--lame-duck-secs", str(lame_duck_secs)]
        command += [str(flag) for flag in flags]  # the last of two equal flags would be an error, so none repeats
        with open(log_path, "wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        self.grpc_port = None
        self.http_port = None
        self.metrics_port = None
        self.health_port = None  # where it has one

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def process_id(self):
        return self._process.pid

    @property
    def http_address(self):
        return f"127.0.0.1:{self.http_port}"

    def open_channel(self, credentials=None):
        """A channel of its own connection without limits on message size. Use as a context manager."""
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if credentials is not None:
            return grpc.secure_channel(self.address, credentials, options=options)
        return grpc.insecure_channel(self.address, options=options)

    def log_text(self):
        """Everything that the process has written, logged or not."""
        return self._log_path.read_text()

    def log(self):
        """The lines of the log so far; each must be a JSON object."""
        lines = self._log_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def await_log(self, message, timeout_s=START_TIMEOUT_S):
        """The first line of the log with this message."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self._process.poll() is not None  # before reading, so that nothing said is missed
            for line in self.log():
                if line["message"] == message:
                    return line
            assert not ended, f"the server ended before it said '{message}'; {self._story()}"
            assert time.monotonic() < deadline, f"no '{message}' in {timeout_s} s; {self._story()}"
            time.sleep(0.01)

    def await_listening(self):
        line = self.await_log("listening")
        self.grpc_port = line["grpc_port"]
        self.http_port = line.get("http_port")  # none with --no-http
        self.metrics_port = line.get("metrics_port")  # none with --no-metrics
        self.health_port = line.get("health_port")
        return self

    def await_ready(self):
        self.await_listening()
        self.await_log("ready")
        return self

    def is_running(self):
        return self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """The exit status; negative for a process that a signal ended."""
        return self._process.wait(timeout_s)

    def stop(self):
        """Asks the server to end as an orchestrator would, and checks that it does so cleanly."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"status {status} after SIGTERM, expected 0; {self._story()}"

    def _story(self):
        return f"status {self._process.poll()}, log:\n" + self._log_path.read_text()[-4000:]
