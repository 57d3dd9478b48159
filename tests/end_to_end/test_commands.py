"""bench, inspect and convert: what they write, what they print, how they refuse."""

import json

import pytest

from model_repository import LABELS, TINY_CONFIG, read_safetensors

USAGE, FAILED = 2, 1
EXACT_TINY = 16  # heads of 4 layers


def tensors(checkpoint):
    """{name: (shape, bytes)}"""
    header, data = read_safetensors(checkpoint / "model.safetensors")
    header.pop("__metadata__", None)
    return {
        name: (entry["shape"], data[slice(*entry["data_offsets"])]) for name, entry in header.items()
    }


def tensor_shapes(checkpoint):
    return {name: shape for name, (shape, _) in tensors(checkpoint).items()}


@pytest.fixture
def tiny_config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TINY_CONFIG))
    return path


def test_bench_writes_one_row_for_each_combination(run_reprise, tiny_config, tmp_path):
    report = tmp_path / "bench.json"
    flags = ["--batch-size", "1,2", "--seq-len", "8,16", "--plan", "exact,2x2", "--precision"]
    flags += ["fp32,bf16", "--threads", 1, "--repetitions", 3, "--json", report]
    result = run_reprise("bench", "--config", tiny_config, "--random-weights", *flags)
    assert result.returncode == 0, result.stderr
    document = json.loads(report.read_text())
    assert document["machine"]["cores"] >= 1 and document["machine"]["cpu"]
    rows = document["rows"]
    keys = ("plan", "batch_size", "seq_len", "precision")
    found = {tuple(row[key] for key in keys) for row in rows}
    assert len(rows) == len(found) == 16
    for row in rows:
        assert_sound_row(row, exact=row["plan"] == "exact")


def assert_sound_row(row, exact):
    squares = row["batch_size"] * row["seq_len"] ** 2
    scores = [row[f"scores_{source}"] for source in ("computed", "reused", "recomputed")]
    assert sum(scores) == EXACT_TINY * squares
    assert scores[0] == (EXACT_TINY if exact else EXACT_TINY - 4) * squares
    assert 0 < row["min_ms"] <= row["median_ms"]
    assert row["ratio_to_exact"] == 1 if exact else row["ratio_to_exact"] > 0
    tokens = row["batch_size"] * row["seq_len"]
    assert row["tokens_per_second"] == pytest.approx(1000 * tokens / row["median_ms"], rel=1e-3)
    assert (row["multiply_adds"] == row["multiply_adds_exact"]) == exact
    assert row["threads"] == 1 and row["repetitions"] == 3
    assert row["parameter_bytes"] > 0
    assert 0 < row["arena_peak_bytes"] <= row["arena_bytes"]
    assert row["score_cache_peak_bytes"] <= row["score_cache_capacity_bytes"]


def test_bench_runs_a_reuse_checkpoint_as_it_is_and_exact_for_speed(
    run_reprise, tiny_repository, tmp_path
):
    report = tmp_path / "bench.json"
    flags = ["--plan", "own,exact", "--seq-len", 8, "--repetitions", 1, "--json", report]
    result = run_reprise("bench", "--model", tiny_repository / "tiny-reuse" / "1", *flags)
    assert result.returncode == 0, result.stderr
    own, exact = json.loads(report.read_text())["rows"]
    assert own["weights"] == "checkpoint" and "random" in exact["weights"]
    assert own["multiply_adds"] < exact["multiply_adds"] == own["multiply_adds_exact"]
    assert "its answers are not" in result.stdout


@pytest.mark.parametrize(
    "arguments,status,fragment",
    [
        ([], USAGE, "--model"),
        (["--model", "nowhere"], FAILED, "nowhere"),
        (["--model", "TINY", "--plan", "5x2"], USAGE, "5"),
        (["--model", "TINY", "--plan", "fast"], USAGE, "fast"),
        (["--model", "TINY", "--seq-len", "49"], USAGE, "49"),
        (["--model", "TINY", "--precision", "fp8"], USAGE, "fp8"),
        (["--model", "REUSE", "--plan", "1x1"], USAGE, "own or exact"),
        (["--model", "TINY", "--random-weights"], USAGE, "--config"),
    ],
)
def test_bench_refuses(run_reprise, tiny_repository, arguments, status, fragment):
    known = {"TINY": tiny_repository / "tiny" / "1", "REUSE": tiny_repository / "tiny-reuse" / "1"}
    result = run_reprise("bench", *(known.get(argument, argument) for argument in arguments))
    assert result.returncode == status, result.stderr
    assert fragment in result.stderr


def test_saved_random_weights_are_a_checkpoint_and_depend_on_the_seed(
    run_reprise, tiny_config, tmp_path
):
    def save(name, seed):
        folder = tmp_path / name
        flags = ["--seed", seed, "--seq-len", 4, "--repetitions", 1, "--save-weights", folder]
        result = run_reprise("bench", "--config", tiny_config, "--random-weights", *flags)
        assert result.returncode == 0, result.stderr
        return (folder / "model.safetensors").read_bytes()

    assert save("a", 1) == save("b", 1) != save("c", 2)


def test_bench_times_kernels_beside_the_machine(run_reprise, tiny_config, tmp_path):
    report = tmp_path / "ops.json"
    flags = ["--ops", "--seq-len", 16, "--repetitions", 2, "--precision", "fp32", "--json", report]
    result = run_reprise("bench", "--config", tiny_config, "--random-weights", *flags)
    assert result.returncode == 0, result.stderr
    assert "TFLOP/s" in result.stdout and "attention, scores read" in result.stdout
    document = json.loads(report.read_text())
    assert document["limits"]["fp32_flops"] > 0
    assert all(read["bytes_per_second"] > 0 for read in document["limits"]["reads"])
    assert {"feed-forward up", "attention", "addition and norm"} <= {
        op["op"] for op in document["ops"]
    }
    assert all(op["median_ms"] > 0 for op in document["ops"])


def test_bench_runs_the_ids_of_a_file_and_keeps_the_answer(run_reprise, tiny_config, tmp_path):
    ids, hidden, report = (tmp_path / name for name in ("ids.json", "hidden.f32", "bench.json"))
    ids.write_text("[[1, 2, 3], [4, 5, 6, 7]]")
    flags = ["--input-ids", ids, "--save-outputs", hidden, "--repetitions", 1, "--json", report]
    result = run_reprise("bench", "--config", tiny_config, "--random-weights", *flags)
    assert result.returncode == 0, result.stderr
    assert hidden.stat().st_size == 7 * TINY_CONFIG["hidden_size"] * 4
    document = json.loads(report.read_text())
    row = document["rows"][0]
    assert (row["batch_size"], row["seq_len"], row["tokens"]) == (2, 4, 7)
    assert document["peak_rss_bytes"] > 1 << 20
    ids.write_text("[[1, 100000]]")
    result = run_reprise("bench", "--config", tiny_config, "--random-weights", *flags)
    assert result.returncode == USAGE and "100000" in result.stderr


def test_a_calibration_serves_many_loads(run_reprise, start_server, tiny_repository, tmp_path):
    checkpoint = tiny_repository / "tiny-reuse" / "1"
    file = tmp_path / "heads.json"
    result = run_reprise("bench", "--model", checkpoint, "--threads", 1, "--calibrate", file)
    assert result.returncode == 0, result.stderr
    known = json.loads(file.read_text())
    # What the file says is what is predicted: reading made dear, nothing is stored.
    for kind in known["kinds"]:
        for length in kind["lengths"]:
            length.update(compute_ns=100, compute_kept_ns=100, compute_stored_ns=100, read_ns=999)
            length.update(recompute_ns=50)
    file.write_text(json.dumps(known))
    flags = ["--threads", 1, "--calibration", file, "--seq-len", 16, "--json"]
    result = run_reprise("inspect", checkpoint, *flags)
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout)["strategies"][0]["chosen"]) == {"recompute"}
    server = start_server(tiny_repository, "--threads", 1, "--calibration", file).await_ready()
    server.stop()
    file.write_text("{}")
    for command in (("serve", "--model-repository", tiny_repository), ("inspect", checkpoint)):
        result = run_reprise(*command, "--calibration", file)
        assert result.returncode != 0 and "kinds is null" in result.stderr


def test_bench_calibrates_only_what_reuses(run_reprise, tiny_config, tmp_path):
    file = tmp_path / "heads.json"
    result = run_reprise("bench", "--config", tiny_config, "--random-weights", "--calibrate", file)
    assert result.returncode == USAGE and "none of the plans reuses a head" in result.stderr
    assert not file.exists()


def test_inspect_draws_the_reuse_map(run_reprise, full_repository):
    result = run_reprise("inspect", full_repository / "minilm-reuse" / "1")
    assert result.returncode == 0, result.stderr
    assert "3x4" in result.stdout


def test_inspect_prints_json(run_reprise, full_repository):
    result = run_reprise(
        "inspect", full_repository / "minilm-reuse" / "1", "--json", "--seq-len", "128"
    )
    assert result.returncode == 0, result.stderr
    assert isinstance(json.loads(result.stdout), dict)


def test_inspect_refuses_what_is_no_checkpoint(run_reprise, tmp_path):
    result = run_reprise("inspect", tmp_path)
    assert result.returncode == FAILED and "config.json" in result.stderr


def test_convert_leaves_out_the_query_and_key_rows_and_nothing_else(tiny_repository):
    before = tensor_shapes(tiny_repository / "tiny" / "1")
    after = tensor_shapes(tiny_repository / "tiny-reuse" / "1")
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        f"encoder.layer.{layer}.attention.self.{part}.{kind}"
        for layer in (1, 2)
        for part in ("query", "key")
        for kind in ("weight", "bias")
    }
    assert all(after[name][0] * 2 == before[name][0] for name in changed)
    config = json.loads((tiny_repository / "tiny-reuse" / "1" / "config.json").read_text())
    assert "attention_reuse" in config


def test_convert_says_that_it_did_not_calibrate(run_reprise, tiny_repository, tmp_path):
    result = run_reprise(
        "convert", tiny_repository / "tiny" / "1", "--plan", "skip-1", "--output", tmp_path / "out"
    )
    assert result.returncode == 0, result.stderr
    assert "Not calibrated" in result.stdout


def test_convert_keeps_what_surrounds_the_weights(full_repository):
    before = full_repository / "minilm" / "1"
    after = full_repository / "minilm-reuse" / "1"
    for name in ("tokenizer.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        assert (after / name).read_bytes() == (before / name).read_bytes()


def test_converting_no_head_changes_no_tensor(run_reprise, tiny_repository, tmp_path):
    copy = tmp_path / "copy"
    result = run_reprise(
        "convert", tiny_repository / "tiny" / "1", "--heads", 0, "--layers", 0, "--output", copy
    )
    assert result.returncode == 0, result.stderr
    assert tensors(copy) == tensors(tiny_repository / "tiny" / "1")


@pytest.mark.parametrize(
    "arguments,status,fragment",
    [
        (["TINY", "--output", "OUT"], USAGE, "--heads"),
        (["TINY", "--heads", "2", "--output", "OUT"], USAGE, "--layers"),
        (["TINY", "--heads", "5", "--layers", "2", "--output", "OUT"], USAGE, "5"),
        (["TINY", "--heads", "2", "--layers", "4", "--output", "OUT"], USAGE, "4"),
        (["TINY", "--plan", "all_end-3", "--output", "OUT"], USAGE, "all_end"),
        (["REUSE", "--heads", "2", "--layers", "2", "--output", "OUT"], USAGE, "reuse"),
        (["TINY", "--heads", "2", "--layers", "2", "--output", "TINY"], None, "1"),
        (["nowhere", "--heads", "2", "--layers", "2", "--output", "OUT"], FAILED, "nowhere"),
    ],
)
def test_convert_refuses(run_reprise, tiny_repository, tmp_path, arguments, status, fragment):
    known = {
        "TINY": tiny_repository / "tiny" / "1",
        "REUSE": tiny_repository / "tiny-reuse" / "1",
        "OUT": tmp_path / "out",
    }
    result = run_reprise("convert", *(known.get(argument, argument) for argument in arguments))
    assert result.returncode == status if status else result.returncode in (USAGE, FAILED)
    assert fragment in result.stderr, result.stderr
    assert not (tmp_path / "out").exists(), "nothing half-made stays behind"


def test_describe_model_shows_the_reuse_map(channel, wire):
    describe, request_type = wire.method(channel, "reprise.v1.Reprise/DescribeModel")
    reply = describe(request_type(model="minilm-reuse", sequence_lengths=[16, 128]))
    assert (reply.shape.num_layers, reply.shape.num_heads, reply.shape.hidden_size) == (6, 12, 384)
    assert (reply.shape.pooling, reply.shape.normalize) == ("mean", True)
    assert (reply.reuse.plan, reply.reuse.reused_heads) == ("3x4", 12)
    reused = [
        sum((head.layer, head.head) != (number, slot) for slot, head in enumerate(layer.heads))
        for number, layer in enumerate(reply.reuse.layers)
    ]
    assert reused == [0, 3, 3, 3, 3, 0]
    for length, savings in zip((16, 128), reply.savings):
        assert savings.sequence_length == length
        assert savings.scores_exact == 72 * length**2
        assert savings.scores_computed == 60 * length**2
        assert savings.multiply_adds < savings.multiply_adds_exact
        assert savings.parameter_bytes_saved > 0


def test_describe_model_names_the_labels_of_a_classifier(channel, wire):
    describe, request_type = wire.method(channel, "reprise.v1.Reprise/DescribeModel")
    assert list(describe(request_type(model="tiny-classifier")).shape.labels) == list(LABELS.values())


def test_simulate_tells_what_the_policy_does_with_a_traffic(run_reprise, tmp_path):
    trace, report = tmp_path / "trace.jsonl", tmp_path / "simulation.json"
    batch = ["--batch-us", 2000, "--token-us", 100]
    made = run_reprise(
        "simulate", "--poisson", 60, "--seconds", 20, "--timeout-ms", 200, *batch, "--save-trace", trace
    )
    assert made.returncode == 0, made.stderr
    arrivals = [json.loads(line) for line in trace.read_text().splitlines()]
    assert 1000 < len(arrivals) < 1400
    replayed = run_reprise("simulate", "--trace", trace, *batch, "--json", report)
    assert replayed.stdout == made.stdout
    found = json.loads(report.read_text())
    fates = [found["all"][fate] for fate in ("in_time", "late", "expired", "refused")]
    assert sum(fates) == found["all"]["requests"] == len(arrivals)
    assert fates[0] > 0.9 * len(arrivals)
    assert sum(found["batches"]["closed_by_reason"].values()) == found["batches"]["count"]


def test_simulate_fits_its_batch_times_to_a_bench_report(run_reprise, tiny_config, tmp_path):
    report = tmp_path / "bench.json"
    flags = ["--batch-size", "1,4,16", "--seq-len", "8,48", "--repetitions", 3, "--json", report]
    assert run_reprise("bench", "--config", tiny_config, "--random-weights", *flags).returncode == 0
    result = run_reprise("simulate", "--poisson", 100, "--seconds", 2, "--bench", report)
    assert result.returncode == 0, result.stderr
    assert "us x tokens" in result.stdout


def test_simulate_names_what_is_wrong_with_a_trace(run_reprise, tmp_path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"at_ms": 1, "tokens": 5}\n{"at_ms": 2, "tokens": 0}\n')
    result = run_reprise("simulate", "--trace", trace, "--token-us", 1)
    assert result.returncode == USAGE
    assert "line 2: 'tokens' is 0" in result.stderr
    assert run_reprise("simulate", "--trace", tmp_path / "none", "--token-us", 1).returncode == FAILED
