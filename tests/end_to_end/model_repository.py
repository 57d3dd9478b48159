"""The models of the tests, made by the program itself: the demo model, its reuse version, tiny random ones."""

import json
import shutil
import struct
import subprocess

# One architecture for all tiny models; small enough to load in milliseconds.
TINY_CONFIG = {
    "model_type": "bert",
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 48,
    "type_vocab_size": 2,
}
TINY_REUSE_HEADS = 2
TINY_REUSE_LAYERS = 2
LABELS = {"0": "calm", "1": "lively", "2": "stormy"}

DEMO_REUSE_HEADS = 3
DEMO_REUSE_LAYERS = 4


def run_program(binary, *arguments, check=True):
    result = subprocess.run(
        [str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert not check or result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}"
    return result


def make_random_checkpoint(binary, folder, config=None, seed=1):
    """A checkpoint with random weights, as `reprise bench` writes it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    config_file = folder.parent / f"{folder.name}.config.json"
    config_file.write_text(json.dumps(TINY_CONFIG | (config or {})))
    bench = ["bench", "--config", config_file, "--random-weights", "--save-weights", folder]
    bench += ["--seed", seed, "--seq-len", 4, "--repetitions", 1, "--warmup", 0]
    run_program(binary, *bench)
    config_file.unlink()
    return folder


def convert(binary, source, folder, heads, layers):
    folder.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["convert", source, "--heads", heads, "--layers", layers, "--output", folder]
    return run_program(binary, *arguments)


def set_policy(model, **policy):
    (model / "model.json").write_text(json.dumps(policy))


def read_safetensors(path):
    """What the header of a safetensors file says, and the data behind it."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def make_tiny_repository(binary, root):
    """`tiny` and `tiny-reuse`, in fp32."""
    make_random_checkpoint(binary, root / "tiny" / "1")
    convert(
        binary, root / "tiny" / "1", root / "tiny-reuse" / "1", TINY_REUSE_HEADS, TINY_REUSE_LAYERS
    )
    for model in ("tiny", "tiny-reuse"):
        set_policy(root / model, precision="fp32")
    return root


def make_full_repository(binary, demo_model, root):
    """The tiny models, a classifier, one of two versions, and the demo model four times: exact and reuse, fp32 and bf16."""
    make_tiny_repository(binary, root)
    make_random_checkpoint(binary, root / "tiny-classifier" / "1", {"id2label": LABELS})
    for version in (1, 2):
        make_random_checkpoint(binary, root / "tiny-versions" / str(version), seed=version)
    set_policy(root / "tiny-versions", versions="all")

    shutil.copytree(demo_model, root / "minilm" / "1")
    convert(
        binary, demo_model, root / "minilm-reuse" / "1", DEMO_REUSE_HEADS, DEMO_REUSE_LAYERS
    )
    for name in ("minilm", "minilm-reuse"):
        set_policy(root / name, precision="fp32")
        half = root / f"{name}-bf16"
        half.mkdir()
        (half / "1").symlink_to(f"../{name}/1")
        set_policy(half, precision="bf16")
    return root
