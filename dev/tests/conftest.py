"""What all tests share: the notebook's definitions, and outputs out of the way."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

DEV = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(DEV), str(DEV / "tools")]
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the notebook does

settings.register_profile("fixed", deadline=None, derandomize=True, database=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def notebook():
    """Return the notebook's definitions as a module."""
    import definitions

    return definitions


@pytest.fixture(autouse=True)
def outputs(request, monkeypatch, tmp_path):
    """Send what a test writes into a folder of its own."""
    if "notebook" in request.fixturenames:
        module = request.getfixturevalue("notebook")
        monkeypatch.setattr(module, "OUTPUT_FOLDER", str(tmp_path / "outputs"))
    return tmp_path / "outputs"


@pytest.fixture
def tiny(notebook, monkeypatch):
    """Make the published network and its training small enough for a test."""
    from helpers import small_lstm

    small = {
        "build_published_lstm": small_lstm,
        "SEQUENCE_LENGTH": 8,
        "VOCABULARY_SIZE": 92,
        "BATCH_SIZE": 16,
        "EPOCHS": 1,
        "PATIENCE": 1,
        "GENERATED_EVENTS": 30,
        "WORKERS": 1,
    }
    for name, value in small.items():
        monkeypatch.setattr(notebook, name, value)
    return notebook


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory):
    """Return the folder and the notebook of a quick run, outputs and all.

    Among the training pieces stands a file that cannot be read.
    """
    from helpers import BAD_FILE, FOLDERS, ROOT, run_notebook

    folder = tmp_path_factory.mktemp("fresh machine")
    for name in FOLDERS:
        if not any((ROOT / name).glob("*.mid")):
            pytest.skip(f"{name} has no MIDI files")
        shutil.copytree(ROOT / name, folder / name)
    (folder / FOLDERS[0] / "broken.mid").write_bytes(BAD_FILE)
    return folder, run_notebook(folder)
