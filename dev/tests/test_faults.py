"""Faults: kills, disks that are full or read-only, shared outputs, a clock set back."""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from helpers import walking_piece

from assembly import definitions

DRIVER = """
import select, signal, sys
folder, WORKERS, results = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
SEQUENCE_LENGTH, VOCABULARY_SIZE, BATCH_SIZE = 8, 92, 16
EPOCHS, PATIENCE, GENERATED_EVENTS, OUTPUT_FOLDER = 2, 1, 30, results
shape = [0, 2, 4, 5, 7, 9, 11, 12]
test_pieces = [
    Piece(f"p{i}", np.array([(j / 2, 0.5, 50 + i + shape[j * (i + 1) % 8], 64)
                             for j in range(50)], NOTE), 120.0)
    for i in range(6)
]

def build_published_lstm(size):
    return Sequential([
        LSTM(8, return_sequences=True, input_shape=(40, 1)), Dropout(0.1), LSTM(6),
        Dense(5), Dropout(0.1), Dense(size, activation="softmax")])

def run(folder):
    folds = make_folds(test_pieces, 2, 3)
    names = ("unigram", "published")
    table, *_ = cross_validate(names, test_pieces, folds, 3, folder / "cache")
    save_table(table.drop(columns="seconds"), "table")
    model = final_model("published", test_pieces, 1, 3, folder / "model.zip")
    generator = np.random.default_rng(3)
    seeds = choose_seeds(test_pieces, model.vocabulary, 2, generator)
    pieces = generate_pieces(model, seeds, 30, generator=generator)
    for number, piece in enumerate(pieces):
        write_midi(piece.notes, results / f"{number}.mid", tempo=100, title="take")

def run_for(seconds):
    'Run in a child, killed after so many seconds; return whether it was.'
    sys.stdout.flush()
    child = os.fork()
    if not child:
        run(folder)
        sys.stdout.flush()
        os._exit(0)
    ended, _, _ = select.select([os.pidfd_open(child)], [], [], seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return not ended

def put_aside():
    folder.rename(folder.with_name(f"ended {len([*folder.parent.iterdir()])}"))

moments, started = random.Random(6), time.perf_counter()
if kills := int(sys.argv[4]):
    run_for(1000)
    put_aside()
seconds = time.perf_counter() - started
for kill in range(kills):
    while not run_for(moments.uniform(0, seconds / 2)):  # once more, from nothing
        put_aside()
run(folder)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return a program: what the notebook defines, folds, a model and its music."""
    path = tmp_path_factory.mktemp("script") / "folds.py"
    path.write_text(definitions() + DRIVER, encoding="utf-8")
    return path


def start(script, folder, workers, results, kills=0):
    """Start the program, to be killed so often at random moments."""
    command = [sys.executable, script, folder, workers, results, kills]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=script.parent,
    )  # fmt: skip


def finish(process, results):
    """Wait for the program; return its words, and its table and music."""
    words, _ = process.communicate(timeout=400)
    assert process.returncode == 0, words
    return words, read_results(results)


def read_results(folder):
    """Return the bytes of the table and of the music."""
    names = ("tables/table.csv", "0.mid", "1.mid")
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def undisturbed(script, tmp_path_factory):
    """Return what an undisturbed run gives, one fold after the other, and its files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return finish(start(script, folder, 1, folder), folder)[1], folder


def test_one_process_and_many_give_the_same_files(script, undisturbed, tmp_path):
    _, results = finish(start(script, tmp_path, 2, tmp_path), tmp_path)
    assert results == undisturbed[0] and results[0].count(b"\n") == 5
    assert results[1] != results[2]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_twenty_kills_at_random_moments_change_nothing(script, undisturbed, tmp_path):
    folder = tmp_path / "outputs"
    words, results = finish(start(script, folder, 1, folder, kills=20), folder)
    assert results == undisturbed[0] and "Traceback" not in words
    for ended in tmp_path.glob("ended *"):
        assert read_results(ended) == results
    assert re.search("[1-4] of 4 from the cache", words)
    assert not [path for path in tmp_path.rglob("*-2*")]  # no music twice


def test_two_runs_share_their_outputs(script, undisturbed, tmp_path):
    both = [start(script, tmp_path, 1, tmp_path / name) for name in "ab"]
    for process, name in zip(both, "ab", strict=True):
        assert finish(process, tmp_path / name)[1] == undisturbed[0]


def test_a_clock_set_back_changes_nothing(script, undisturbed, tmp_path):
    results, folder = undisturbed
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for number, path in enumerate(sorted(tmp_path.rglob("*"))):
        os.utime(path, [(0, 0), (2**32, 2**32)][number % 2])
    words, again = finish(start(script, tmp_path, 1, tmp_path), tmp_path)
    assert again == results
    assert "4 of 4 from the cache" in words and "model is that of" in words


@contextlib.contextmanager
def small_disk(limit):
    """Let no file grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(folder):
    """Forbid to write into a folder, to the superuser too."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    superuser = hasattr(os, "geteuid") and os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o755)


def random_bytes():
    """Return bytes that compress badly, as text."""
    return random.Random(5).randbytes(2000).hex()


def list_writers(tiny, folder):
    """Return functions that each write a file of some kilobytes into a folder."""
    pieces, figure = [walking_piece(seed, 400) for seed in range(3)], plt.figure()
    model, _ = tiny.train_fold("published", tiny.train_published, pieces, [], 5, 1)
    table = pd.DataFrame({"numbers": range(2000)})
    notes = pieces[0].notes
    return [
        lambda: tiny.save_table(table, "numbers"),
        lambda: tiny.save_figure(figure, "figure"),
        lambda: tiny.save_model(model, folder / "model.zip"),
        lambda: tiny.write_midi(notes, folder / "a.mid", tempo=90, title="a"),
        lambda: tiny.run_cached(random_bytes, [()], folder / "cache", "x"),
    ]


@pytest.fixture
def open_folder(tiny, monkeypatch):
    """Return an outputs folder that any user can reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name) / "outputs"
        monkeypatch.setattr(tiny, "OUTPUT_FOLDER", str(folder))
        yield folder


@pytest.mark.parametrize("fault", [lambda _: small_disk(500), read_only])
def test_what_cannot_be_written_is_told_and_left_out(tiny, open_folder, fault):
    for write in list_writers(tiny, open_folder):
        with fault(open_folder), pytest.raises(tiny.NotebookError) as caught:
            write()
        assert "free some space or make the folder writable" in str(caught.value)
        assert [path for path in open_folder.rglob("*") if path.is_file()] == []
        write()
        shutil.rmtree(open_folder)
