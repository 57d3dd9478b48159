"""The package of this tree, the committed models, and the server that its checkpoints are for."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "models" / "python"), str(pathlib.Path(__file__).parent)]


@pytest.fixture(scope="session")
def data():
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def demo_model():
    path = pathlib.Path(os.environ.get("REPRISE_DEPS", ROOT / ".deps")) / "models" / "all-MiniLM-L6-v2"
    assert path.is_dir(), f"{path} is not there: run scripts/install --demo"
    return path


@pytest.fixture(scope="session")
def binary():
    path = pathlib.Path(os.environ.get("REPRISE_BINARY", ROOT / "build" / "dev" / "server" / "reprise"))
    assert path.is_file(), f"{path} is not there: build it, or set REPRISE_BINARY"
    return path
