"""A folder of pieces: its table, its refusals."""

import contextlib
import io
import logging
import os
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers import rows, small_file


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two pieces, one in a folder of its own, and a bad file."""
    (tmp_path / "music" / "deep").mkdir(parents=True)
    (tmp_path / "music" / "one.mid").write_bytes(small_file((60, 62)))
    (tmp_path / "music" / "deep" / "two.MIDI").write_bytes(small_file((64, 65, 67)))
    (tmp_path / "music" / "bad.mid").write_bytes(b"this is a text")
    (tmp_path / "music" / "notes.txt").write_text("no music")
    return tmp_path / "music"


@pytest.fixture
def load(notebook, folder):
    """Return a function that reads the folder."""
    return lambda: notebook.load_corpus(folder, "training", {})


def test_each_file_has_a_row(load):
    pieces, table = load()
    assert [piece.name for piece in pieces] == ["two", "one"]
    table = table.set_index("file")
    assert list(table.index) == ["bad.mid", "deep/two.MIDI", "one.mid"]
    assert table["status"].to_dict() == {
        "bad.mid": "refused",
        "deep/two.MIDI": "used",
        "one.mid": "used",
    }
    assert "not a MIDI file" in table.loc["bad.mid", "reason"]
    row = table.loc["deep/two.MIDI"]
    assert (row["notes"], row["events"], row["seconds"]) == (3, 3, 1.5)
    assert row["tempo_bpm"] == 120 and (table["split"] == "training").all()


def test_columns_of_the_table(load):
    assert set(load()[1].columns) == {
        "split", "file", "status", "reason", "notes", "events", "seconds", "tempo_bpm",
    }  # fmt: skip


def test_the_same_music_is_taken_once(notebook, folder, tmp_path):
    (folder / "copy.mid").write_bytes(small_file((60, 62)))
    pieces, table = notebook.load_corpus(folder, "training", {})
    refused = table[table["status"] == "refused"].set_index("file")["reason"]
    assert (
        len(pieces) == 2
        and "the same music as training: copy.mid, or nearly" == (refused["one.mid"])
    )


def test_music_of_the_other_folder_is_refused(notebook, folder, tmp_path):
    known = {}
    notebook.load_corpus(folder, "training", known)
    (folder / "new.mid").write_bytes(small_file((50, 55)))
    pieces, table = notebook.load_corpus(folder, "validation", known)
    reasons = table.set_index("file")["reason"]
    assert [piece.name for piece in pieces] == ["new"]
    assert reasons["one.mid"] == "the same music as training: one.mid, or nearly"


def test_a_folder_of_refused_files_is_one_sentence(notebook, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.mid").write_bytes(b"this is a text")
    with pytest.raises(notebook.NotebookError, match="not a MIDI file"):
        notebook.load_corpus(tmp_path / "bad", "training", {})


def test_missing_folder_is_one_sentence(notebook, tmp_path):
    with pytest.raises(notebook.NotebookError, match="no folder .*nowhere: make it"):
        notebook.load_corpus(tmp_path / "nowhere", "training", {})


def test_empty_folder_is_one_sentence(notebook, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "read.me").write_text("put music here")
    with pytest.raises(notebook.NotebookError, match="no MIDI files .*put some"):
        notebook.load_corpus(tmp_path / "empty", "training", {})


def test_a_file_that_cannot_be_opened_is_refused(notebook, load, monkeypatch):
    original = type(notebook.Path()).read_bytes

    def deny(path):
        if path.name == "one.mid":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(type(notebook.Path()), "read_bytes", deny)
    pieces, table = load()
    reasons = table.set_index("file")["reason"]
    assert len(pieces) == 1 and "cannot be opened" in reasons["one.mid"]


def test_a_file_name_of_another_system_is_taken(notebook, folder, load, outputs):
    name = os.fsencode(folder) + b"/caf\xe9.mid"
    try:
        with open(name, "wb") as file:
            file.write(small_file((70, 71)))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    pieces, table = load()
    notebook.save_table(table, "corpus")
    assert len(pieces) == 3
    assert len(pd.read_csv(outputs / "tables" / "corpus.csv")) == 4


def test_a_single_event_is_refused(notebook, folder, load):
    (folder / "one.mid").write_bytes(small_file((60,)))
    pieces, table = load()
    assert [piece.name for piece in pieces] == ["two"]
    assert "a single event" in table.set_index("file")["reason"]["one.mid"]


def test_parallel_reading_gives_the_same(notebook, load, monkeypatch):
    serial, table = load()
    monkeypatch.setattr(notebook, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(notebook, "WORKERS", 2)
    parallel, other_table = load()
    pd.testing.assert_frame_equal(table, other_table)
    for a, b in zip(serial, parallel, strict=True):
        assert (a.name, a.tempo, a.metre, a.remarks) == (b.name, b.tempo, b.metre,
                                                         b.remarks)  # fmt: skip
        assert rows(a) == rows(b) and a.notes.dtype == b.notes.dtype


def test_processes_end_each_job_with_its_number(notebook, monkeypatch):
    monkeypatch.setattr(notebook, "WORKERS", 2)
    assert sorted(notebook.run_parallel(divmod, [(7, 2), (9, 4)], "dividing")) == [
        (0, (3, 1)), (1, (2, 1))]  # fmt: skip


def log_twice():
    """Let TensorFlow log a warning and an error; return what was logged."""
    import tensorflow

    with contextlib.redirect_stderr(io.StringIO()) as shown:
        handler = logging.StreamHandler(shown)
        tensorflow.get_logger().addHandler(handler)
        tensorflow.get_logger().warning("retracing")
        tensorflow.get_logger().error("broken")
        tensorflow.get_logger().removeHandler(handler)
    return "retracing" in shown.getvalue(), "broken" in shown.getvalue()


def test_processes_keep_the_warnings_of_tensorflow_to_themselves(notebook, monkeypatch):
    monkeypatch.setattr(notebook, "WORKERS", 2)
    results = dict(notebook.run_parallel(log_twice, [(), ()], ""))
    assert results == {0: (False, True), 1: (False, True)}


@pytest.mark.parametrize(
    ("requested", "cores", "gibibytes", "gpus", "jobs", "workers"),
    [(1, 4, 99, [], 9, 1), (8, 4, 99, [], 1, 1), (0, 4, 99, [], 9, 4),
     (0, 4, 99, [], 0, 1), (8, 4, 3.5, [], 9, 3), (2, 4, 0.1, [], 9, 1),
     (8, 4, 99, ["GPU"], 9, 1)],
)  # fmt: skip
def test_workers_follow_the_request_and_the_machine(
    notebook, monkeypatch, requested, cores, gibibytes, gpus, jobs, workers
):
    memory = SimpleNamespace(available=int(gibibytes * 2**30))
    chosen = []
    monkeypatch.setattr(notebook, "WORKERS", requested)
    monkeypatch.setattr(notebook.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(notebook.joblib, "cpu_count", lambda: cores)
    monkeypatch.setattr(notebook.tf.config, "list_physical_devices", lambda _: gpus)

    def spy(workers, **_):
        chosen.append(workers)
        return lambda calls: [function(*rest) for function, rest, _ in calls]

    monkeypatch.setattr(notebook.joblib, "Parallel", spy)
    results = notebook.run_parallel(divmod, [(7, 2)] * jobs, "")
    assert list(results) == [(number, (3, 1)) for number in range(jobs)]
    assert chosen == [workers]
