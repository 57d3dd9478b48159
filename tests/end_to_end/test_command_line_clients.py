"""grpcurl and ghz, unmodified, with nothing but the address."""

import base64
import json
import subprocess

import numpy as np
import pytest

from infer_messages import outputs_of, typed_ids_request

IDS = [[5, 17, 42, 9]]
INFER = {
    "model_name": "tiny",
    "inputs": [
        {
            "name": "input_ids",
            "datatype": "INT64",
            "shape": [1, 4],
            "contents": {"int64_contents": IDS[0]},
        }
    ],
}


@pytest.fixture(scope="module")
def grpcurl(deps, server):
    def run(*arguments, data=None):
        command = [deps / "bin" / "grpcurl", "-plaintext", "-max-time", "30"]
        command += ["-d", json.dumps(data)] if data is not None else []
        return subprocess.run(
            [*command, server.address, *arguments], capture_output=True, text=True, timeout=60
        )

    return run


def test_grpcurl_lists_the_services(grpcurl):
    result = grpcurl("list")
    assert result.returncode == 0, result.stderr
    services = result.stdout.split()
    assert "inference.GRPCInferenceService" in services and "reprise.v1.Reprise" in services


def test_grpcurl_describes_methods_and_messages(grpcurl):
    described = grpcurl("describe", "reprise.v1.Reprise.Embed")
    assert "rpc Embed ( .reprise.v1.EmbedRequest )" in described.stdout
    described = grpcurl("describe", "inference.ModelInferRequest")
    assert "repeated bytes raw_input_contents = 7" in described.stdout


def test_grpcurl_checks_health(grpcurl):
    assert json.loads(grpcurl("grpc.health.v1.Health/Check").stdout) == {"status": "SERVING"}
    result = grpcurl("grpc.health.v1.Health/Check", data={"service": "nobody"})
    assert result.returncode != 0 and "NotFound" in result.stderr


def test_grpcurl_infers(grpcurl, stub):
    result = grpcurl("inference.GRPCInferenceService/ModelInfer", data=INFER)
    assert result.returncode == 0, result.stderr
    reply = json.loads(result.stdout)
    expected = outputs_of(stub.ModelInfer(typed_ids_request("tiny", IDS)))
    assert [output["name"] for output in reply["outputs"]] == list(expected)
    for content, array in zip(reply["raw_output_contents"], expected.values()):
        assert base64.b64decode(content) == array.tobytes()


def test_grpcurl_embeds(grpcurl):
    result = grpcurl("reprise.v1.Reprise/Embed", data={"model": "minilm", "texts": ["Hello"]})
    values = json.loads(result.stdout)["embeddings"][0]["values"]
    assert len(values) == 384 and abs(np.linalg.norm(values) - 1) < 1e-4


def test_grpcurl_infers_over_a_stream(deps, server):
    requests = [INFER | {"id": str(number)} for number in range(3)]
    requests[1]["model_name"] = "nobody"
    result = subprocess.run(
        [deps / "bin" / "grpcurl", "-plaintext", "-max-time", "30", "-d", "@", server.address]
        + ["inference.GRPCInferenceService/ModelStreamInfer"],
        input="\n".join(json.dumps(request) for request in requests),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    decoder, rest, replies = json.JSONDecoder(), result.stdout.strip(), []
    while rest:
        reply, end = decoder.raw_decode(rest)
        replies.append(reply)
        rest = rest[end:].strip()
    assert [reply["infer_response"]["id"] for reply in replies] == ["0", "1", "2"]
    assert ["error_message" in reply for reply in replies] == [False, True, False]


def test_grpcurl_shows_a_refusal(grpcurl):
    data = INFER | {"model_name": "nobody"}
    result = grpcurl("inference.GRPCInferenceService/ModelInfer", data=data)
    assert result.returncode != 0
    assert "NotFound" in result.stderr and "unknown model: 'nobody'" in result.stderr


def run_ghz(deps, server, call, data, total, *flags):
    """ghz exits with 0 whatever came back, so its report is what counts."""
    command = [deps / "bin" / "ghz", "--insecure", "--format", "json", "--call", call]
    command += ["--total", str(total), "--concurrency", "8", "--timeout", "30s", *flags]
    result = subprocess.run(
        [*command, "--data", json.dumps(data), server.address],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_ghz_gets_an_answer_to_every_call(deps, server):
    report = run_ghz(deps, server, "inference.GRPCInferenceService/ModelInfer", INFER, 2000)
    assert report["statusCodeDistribution"] == {"OK": 2000}
    assert not report["errorDistribution"]


def test_ghz_streams(deps, server):
    call = "inference.GRPCInferenceService/ModelStreamInfer"
    report = run_ghz(deps, server, call, [INFER] * 5, 100)
    assert report["statusCodeDistribution"] == {"OK": 100}


@pytest.mark.slow
def test_ghz_gets_an_embedding_for_every_text(deps, server):
    data = {"model": "minilm-reuse", "texts": ["Request number {{.RequestNumber}}."]}
    report = run_ghz(deps, server, "reprise.v1.Reprise/Embed", data, 400, "--connections", "4")
    assert report["statusCodeDistribution"] == {"OK": 400}


def test_ghz_sees_refusals_as_what_they_are(deps, server):
    data = INFER | {"model_name": "nobody"}
    report = run_ghz(deps, server, "inference.GRPCInferenceService/ModelInfer", data, 50)
    assert report["statusCodeDistribution"] == {"NotFound": 50}
