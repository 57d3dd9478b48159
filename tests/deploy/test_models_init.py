"""The init container of components/models-init, its very script, run by BusyBox: nothing but what the sums say gets through."""

import hashlib
import re
import subprocess

import pytest

from deployment_files import DEPLOY, pods_of

PLACES = ("source", "sums", "models")


@pytest.fixture
def copy_models(tmp_path):
    """Runs the script on folders of the test; what busybox:1.37.0 has as commands, Debian's busybox has too."""
    ((_, pod),) = pods_of("cpu+hpa+init")
    (container,) = pod["spec"]["initContainers"]
    (script,) = container["args"]
    assert container["command"] == ["/bin/sh", "-euc"]
    commands = tmp_path / "commands"
    commands.mkdir()
    subprocess.run(["busybox", "--install", "-s", commands], check=True)
    for place in PLACES:
        (tmp_path / place).mkdir()
    script = re.sub(rf"(?<![\w}}])/({'|'.join(PLACES)})(?=[/ \n])", rf"{tmp_path}/\1", script)

    def run():
        return subprocess.run(
            [commands / "sh", "-euc", script], env={"PATH": str(commands)}, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def models(tmp_path, copy_models):
    """Files in /source, and their sums, made by the command that deploy/kubernetes/README.md gives."""
    source = tmp_path / "source"
    for name, content in {"minilm/1/config.json": b"{}", "minilm/1/a b.bin": bytes(5000), "minilm/model.json": b"{ }"}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    page = (DEPLOY / "kubernetes" / "README.md").read_text()
    (command,) = [line for line in page.splitlines() if "sha256sum" in line and "> models.sha256" in line]
    work = tmp_path / "work"
    work.mkdir()
    (work / "models").symlink_to(source)
    subprocess.run(["bash", "-euc", command], cwd=work, check=True)
    sums = (work / "models.sha256").read_text()
    assert f"{hashlib.sha256(b'{}').hexdigest()}  minilm/1/config.json\n" in sums
    (tmp_path / "sums" / "models.sha256").write_text(sums)
    return source


def test_models_that_are_as_listed_are_copied(copy_models, models, tmp_path):
    result = copy_models()
    assert result.returncode == 0, result.stderr
    assert "3 files copied and compared" in result.stdout
    for file in models.rglob("*"):
        if file.is_file():
            assert (tmp_path / "models" / file.relative_to(models)).read_bytes() == file.read_bytes()


def damage(models):
    (models / "minilm/1/a b.bin").write_bytes(bytes(4999) + b"1")


def remove(models):
    (models / "minilm/1/config.json").unlink()


def add(models):
    (models / "minilm/1/tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "named"), [(damage, "minilm/1/a b.bin"), (remove, "config.json"), (add, "tokenizer.json")]
)
def test_anything_else_ends_the_start_and_is_named(change, named, copy_models, models, tmp_path):
    change(models)
    result = copy_models()
    assert result.returncode != 0
    assert named in result.stderr
    assert not list((tmp_path / "models").iterdir())
