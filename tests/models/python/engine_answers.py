"""What `reprise serve` answers, asked over HTTP, so that no test environment needs more than Python."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np

START_TIMEOUT_S = 60


@contextlib.contextmanager
def serving(binary, folder, checkpoints):
    """Serves {name: checkpoint directory} in fp32; yields ask(name, batch) -> {output: array}."""
    repository, log = pathlib.Path(folder) / "repository", pathlib.Path(folder) / "server.log"
    for name, checkpoint in checkpoints.items():
        shutil.copytree(checkpoint, repository / name / "1")
    command = [binary, "serve", "--model-repository", repository, "--grpc-port", "0", "--http-port", "0", "--metrics-port", "0",
               "--lame-duck-secs", "0", "--threads", "1", "--precision", "fp32"]
    with open(log, "wb") as output:
        server = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        port = _await_ready(server, log)
        yield lambda name, batch: _ask(port, name, batch)
    finally:
        server.kill()
        server.wait()


def _await_ready(server, log):
    deadline, port = time.monotonic() + START_TIMEOUT_S, None
    while time.monotonic() < deadline and server.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            said = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            port = said.get("http_port", port)
            if said.get("message") == "ready":
                return port
        time.sleep(0.02)
    raise AssertionError(f"the server is not ready; its log: {log.read_text()[-3000:]}")


def _ask(port, name, batch):
    inputs = [{"name": key, "datatype": "INT64", "shape": list(np.shape(batch[key])), "data": batch[key]}
              for key in ("input_ids", "attention_mask", "token_type_ids")]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/{name}/infer", json.dumps({"inputs": inputs}).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            outputs = json.load(reply)["outputs"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{name}: {error.read().decode()}") from error
    return {output["name"]: np.array(output["data"], dtype=np.float64).reshape(output["shape"]) for output in outputs}


def real_tokens(hidden, attention_mask):
    """[real tokens of the batch, hidden_size]"""
    return np.asarray(hidden)[np.asarray(attention_mask, dtype=bool)]
