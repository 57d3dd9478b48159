"""Servers under load: reprise with one model, or any other program that says where it listens."""

import pathlib
import shlex
import shutil
import subprocess
import tempfile
import threading

import tools
from running_server import RunningServer, bind

MODEL = "model"
STOP_TIMEOUT_S = 30


class Reprise:
    """reprise with one checkpoint directory. A context manager; `address` and `model` say whom to ask."""

    model = MODEL

    def __init__(self, options, directory):
        if not (directory / "config.json").is_file():
            raise SystemExit(f"{directory} is no checkpoint directory: it has no config.json")
        self._repository = tempfile.TemporaryDirectory()
        root = pathlib.Path(self._repository.name)
        shutil.copytree(directory, root / MODEL / "1")  # no link: the server follows none out of its repository
        flags = ["--threads", 1, *shlex.split(options.flags)]
        self._server = RunningServer(tools.reprise(options.build), root, *flags, cores={options.server_core})
        self.address = self._server.address

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._server.__exit__()
        self._repository.cleanup()


class Other:
    """A command that prints 'listening HOST:PORT' when it is ready, and ends on SIGTERM."""

    def __init__(self, name, command, options):
        self.model = options.served_model
        words = [word.replace("{cores}", str(options.server_core)) for word in shlex.split(command)]
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: bind({options.server_core})
        )
        for line in self._process.stdout:
            if line.startswith("listening "):
                self.address = line.split()[1]
                break
        else:
            raise SystemExit(f"{name} ended with status {self._process.wait()} before it was listening: {command}")
        # Read on, or the pipe fills and the server waits.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
