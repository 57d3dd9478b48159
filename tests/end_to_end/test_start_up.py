"""A server that cannot start says why and ends: 2 for what it was asked, 1 for what it found."""

import json
import shutil
import socket
import struct

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from infer_messages import ids_request, text_request
from model_repository import read_safetensors
from scrape import Scrape

USAGE, FAILED = 2, 1


def serve(run_reprise, repository, *flags):
    """Runs a server that is expected to end by itself."""
    return run_reprise(
        "serve", "--model-repository", repository, *("--grpc-port", 0, "--http-port", 0),
        *("--metrics-port", 0), *flags,
    )


@pytest.fixture
def repository(tiny_repository, tmp_path):
    """A copy of `tiny` and `tiny-reuse` to be broken."""
    return shutil.copytree(tiny_repository, tmp_path / "models")


def edit_config(model, **changes):
    path = model / "1" / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def edit_header(model, edit):
    """Rewrites the header of a safetensors file, leaving its data as it is."""
    path = model / "1" / "model.safetensors"
    header, data = read_safetensors(path)
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def first_tensor(header):
    return header[next(name for name in header if name != "__metadata__")]


@pytest.mark.parametrize(
    "flags,fragment",
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--grpc-port", "70000"], "70000"),
        (["--threads", "-1"], "-1"),
        (["--precision", "fp64"], "fp64"),
        (["--strategy", "magic"], "magic"),
        (["--device", "tpu"], "tpu"),
        (["--device", "cuda:x"], "cuda:x"),
        (["--max-batch-size", "0"], "0"),
        (["--max-receive-bytes", "many"], "many"),
        (["--log-level", "chatty"], "chatty"),
        (["--lame-duck-secs", "x"], "x"),
        (["--model-name", "readiness"], "readiness"),
    ],
)
def test_a_bad_flag_is_a_usage_error(run_reprise, tiny_repository, flags, fragment):
    checkpoint = tiny_repository / "tiny" / "1"
    result = run_reprise("serve", "--model-repository", checkpoint, *flags)
    assert result.returncode == USAGE, result.stderr
    assert fragment in result.stderr


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_missed_in_one_line(run_reprise, tiny_repository):
    result = serve(run_reprise, tiny_repository / "tiny" / "1", "--device", "cuda:0")
    assert result.returncode == FAILED, result.stderr
    errors = [json.loads(line) for line in result.stderr.splitlines() if '"level":"error"' in line]
    assert len(errors) == 1
    # The driver or the GPU is missing, or the program was built without CUDA; each says what to do.
    assert "--device cpu" in errors[0]["reason"]


def test_no_subcommand_is_a_usage_error(run_reprise):
    assert run_reprise().returncode == USAGE
    assert run_reprise("dance").returncode == USAGE


def test_the_repository_must_be_named(run_reprise):
    result = run_reprise("serve")
    assert result.returncode == USAGE and "--model-repository" in result.stderr


def test_help_lists_the_flags_and_the_version_has_a_number(run_reprise):
    result = run_reprise("serve", "--help")
    assert result.returncode == 0
    for flag in ("model-repository", "grpc-port", "http-port", "metrics-port", "host", "device", "precision", "threads"):
        assert f"--{flag}" in result.stdout
    version = run_reprise("--version")
    assert version.returncode == 0 and version.stdout.startswith("reprise ")


def test_a_flag_may_be_an_environment_variable(start_server, tiny_repository):
    env = {"REPRISE_PRECISION": "fp32", "REPRISE_MAX_BATCH_SIZE": "3"}
    server = start_server(tiny_repository / "tiny" / "1", "--model-name", "named", env=env)
    server.await_ready()
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        config = stub.ModelConfig(service_pb2.ModelConfigRequest(name="named")).config
        assert config.max_batch_size == 3
    server.stop()


def test_a_repository_that_is_not_there_is_a_usage_error(run_reprise, tmp_path):
    result = serve(run_reprise, tmp_path / "nowhere")
    assert result.returncode == USAGE and "nowhere" in result.stderr


def test_an_empty_repository_is_a_usage_error(run_reprise, tmp_path):
    result = serve(run_reprise, tmp_path)
    assert result.returncode == USAGE and "<model>/<version>/config.json" in result.stderr


@pytest.mark.parametrize(
    "policy,fragment",
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"max_batch_sise": 4}', "max_batch_sise"),
        ('{"precision": "fp64"}', "fp64"),
        ('{"executors": 0}', "executors"),
        ('{"max_batch_tokens": 4e3}', "an integer"),
        ('{"versions": [9]}', "9"),
    ],
)
def test_a_bad_model_json_is_a_usage_error(run_reprise, repository, policy, fragment):
    (repository / "tiny" / "model.json").write_text(policy)
    result = serve(run_reprise, repository)
    assert result.returncode == USAGE, result.stderr
    assert "model.json" in result.stderr and fragment in result.stderr


def test_a_model_may_not_lie_outside_of_its_repository(run_reprise, repository, tmp_path):
    outside = tmp_path / "outside"
    (repository / "tiny" / "1").rename(outside)
    (repository / "tiny" / "1").symlink_to(outside)
    result = serve(run_reprise, repository)
    assert result.returncode == USAGE and "outside of the repository" in result.stderr


def truncate(model, keep):
    path = model / "1" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])


def rewrite(model, content):
    (model / "1" / "model.safetensors").write_bytes(content)


BROKEN = {
    "no weights": (lambda m: (m / "1" / "model.safetensors").unlink(), ["model.safetensors"]),
    "empty weights": (lambda m: truncate(m, 0), ["model.safetensors"]),
    "weights cut within the header": (lambda m: truncate(m, 100), ["model.safetensors"]),
    "weights cut within the data": (lambda m: truncate(m, -1), ["model.safetensors"]),
    "a header that claims 2^63 bytes": (
        lambda m: rewrite(m, struct.pack("<Q", 1 << 63) + b"{}"), ["model.safetensors"]),
    "a header that is not JSON": (
        lambda m: rewrite(m, struct.pack("<Q", 5) + b"{oops"), ["model.safetensors", "JSON"]),
    "offsets past the end": (
        lambda m: edit_header(m, lambda h: first_tensor(h).update(data_offsets=[0, 1 << 60])),
        ["model.safetensors"]),
    "offsets that run backwards": (
        lambda m: edit_header(m, lambda h: first_tensor(h).update(data_offsets=[64, 0])),
        ["model.safetensors"]),
    "a shape that disagrees with its bytes": (
        lambda m: edit_header(m, lambda h: first_tensor(h).update(shape=[1 << 40, 1 << 40])),
        ["model.safetensors"]),
    "a needed tensor left out": (
        lambda m: edit_header(m, lambda h: h.update(nothing=h.pop("embeddings.word_embeddings.weight"))),
        ["embeddings.word_embeddings.weight"]),
    "a config that is not JSON": (
        lambda m: (m / "1" / "config.json").write_text("{"), ["config.json"]),
    "a config without a size": (lambda m: edit_config(m, hidden_size=None), ["hidden_size"]),
    "heads that do not divide the width": (
        lambda m: edit_config(m, num_attention_heads=5), ["hidden_size", "5"]),
    "a width that the tensors have not": (
        lambda m: edit_config(m, hidden_size=64), ["64", "32"]),
    "more layers than there are tensors": (
        lambda m: edit_config(m, num_hidden_layers=5), ["layer.4"]),
    "another architecture": (lambda m: edit_config(m, model_type="gpt2"), ["model_type", "gpt2"]),
    "a reuse plan that the tensors contradict": (
        lambda m: edit_config(m, attention_reuse={"heads": 2, "layers": 2}), ["query"]),
    "more reuse heads than heads": (
        lambda m: edit_config(m, attention_reuse={"heads": 5, "layers": 2}), ["5", "4"]),
    "two kinds of reuse plan": (
        lambda m: edit_config(m, attention_reuse={"heads": 1, "layers": 1, "variant": "skip"}),
        ["attention_reuse"]),
    "a tokenizer that is none": (
        lambda m: (m / "1" / "tokenizer.json").write_text("{}"), ["tokenizer"]),
    "pooling of an unknown kind": (
        lambda m: (m / "1" / "modules.json").write_text('[{"type": "Dense", "path": ""}]'), ["Dense"]),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_model_that_does_not_load_ends_the_server_with_its_reason(run_reprise, repository, damage):
    spoil, fragments = BROKEN[damage]
    spoil(repository / "tiny")
    result = serve(run_reprise, repository)
    assert result.returncode == FAILED, result.stderr
    log = map(json.loads, result.stderr.splitlines())
    (end,) = [line for line in log if line["message"] == "stopped because a model did not load"]
    assert end["level"] == "error" and "model 'tiny' version 1" in end["reason"], end
    assert all(fragment in end["reason"] for fragment in fragments), end


def test_with_keep_going_the_other_models_serve(start_server, repository):
    truncate(repository / "tiny", 100)
    server = start_server(repository, "--keep-going").await_listening()
    server.await_log("serving without the models that did not load")
    with server.open_channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ModelInfer(ids_request("tiny-reuse", [[1, 2]])).model_name == "tiny-reuse"
        assert not stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="tiny")).ready
        assert stub.ModelReady(service_pb2.ModelReadyRequest(name="tiny-reuse")).ready
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(ids_request("tiny", [[1]]))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert "has no available versions" in caught.value.details()
    page = Scrape(server.metrics_port)
    assert page.value("reprise_model_ready", model="tiny", version="1") == 0
    assert page.value("reprise_model_ready", model="tiny-reuse", version="1") == 1
    server.stop()


PORT_FLAGS = ["--grpc-port", "--http-port", "--metrics-port"]


@pytest.mark.parametrize("flag", PORT_FLAGS)
def test_a_port_that_is_taken_ends_the_server(run_reprise, tiny_repository, flag):
    others = [text for other in PORT_FLAGS if other != flag for text in (other, 0)]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_reprise(
            "serve", "--model-repository", tiny_repository, flag, port, *others
        )
    assert result.returncode == FAILED, result.stderr
    assert str(port) in json.loads(result.stderr.splitlines()[-1])["reason"]


def test_the_log_is_json_and_holds_no_text_of_requests(server, stub):
    secret = "quicksilver marmalade"
    stub.ModelInfer(text_request("minilm", [secret]))
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(text_request("tiny", [secret]))
    for line in server.log():
        assert {"time", "level", "message"} <= line.keys()
        assert "quicksilver" not in json.dumps(line)
