"""A folder of pieces: its table, its refusals, its cache."""

import os

import pandas as pd
import pytest
from helpers import midi, one_note, rows, small_file, track


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
def load(notebook, folder, tmp_path):
    """Return a function that reads the folder, with its cache beside it."""
    return lambda: notebook.load_corpus(folder, "training", tmp_path / "cache", {})


@pytest.fixture
def parsed(notebook, monkeypatch):
    """Return the list of the names of the files that are parsed from now on."""
    names = []

    def parse(data, name, original=notebook.parse_or_refuse):
        names.append(name)
        return original(data, name)

    monkeypatch.setattr(notebook, "parse_or_refuse", parse)
    return names


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
    pieces, table = notebook.load_corpus(folder, "training", tmp_path / "cache", {})
    refused = table[table["status"] == "refused"].set_index("file")["reason"]
    assert (
        len(pieces) == 2
        and "the same music as training: copy.mid" == (refused["one.mid"])
    )


def test_music_of_the_other_folder_is_refused(notebook, folder, tmp_path):
    known = {}
    notebook.load_corpus(folder, "training", tmp_path / "cache", known)
    (folder / "new.mid").write_bytes(small_file((50, 55)))
    pieces, table = notebook.load_corpus(
        folder, "validation", tmp_path / "cache", known
    )
    reasons = table.set_index("file")["reason"]
    assert [piece.name for piece in pieces] == ["new"]
    assert reasons["one.mid"] == "the same music as training: one.mid"


def test_a_folder_of_refused_files_is_one_sentence(notebook, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.mid").write_bytes(b"this is a text")
    with pytest.raises(notebook.NotebookError, match="not a MIDI file"):
        notebook.load_corpus(tmp_path / "bad", "training", tmp_path / "c", {})


def test_missing_folder_is_one_sentence(notebook, tmp_path):
    with pytest.raises(notebook.NotebookError, match="no folder .*nowhere: make it"):
        notebook.load_corpus(tmp_path / "nowhere", "training", tmp_path / "c", {})


def test_empty_folder_is_one_sentence(notebook, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "read.me").write_text("put music here")
    with pytest.raises(notebook.NotebookError, match="no MIDI files .*put some"):
        notebook.load_corpus(tmp_path / "empty", "training", tmp_path / "c", {})


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
            file.write(midi(track(*one_note(70))))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    pieces, table = load()
    notebook.save_table(table, "corpus")
    assert len(pieces) == 3
    assert len(pd.read_csv(outputs / "tables" / "corpus.csv")) == 4


def test_second_load_reads_the_cache(load, parsed):
    first, first_table = load()
    assert sorted(parsed) == ["bad", "one", "two"]
    parsed.clear()
    second, second_table = load()
    assert parsed == ["bad"]  # refused files have nothing to keep
    pd.testing.assert_frame_equal(first_table, second_table)
    for a, b in zip(first, second, strict=True):
        assert (a.name, a.tempo, a.metre, a.remarks) == (b.name, b.tempo, b.metre,
                                                         b.remarks)  # fmt: skip
        assert rows(a) == rows(b) and a.notes.dtype == b.notes.dtype


def test_a_changed_file_is_read_again(folder, load, parsed):
    load()
    parsed.clear()
    (folder / "one.mid").write_bytes(small_file((60, 63)))
    pieces, _ = load()
    assert "one" in parsed and "two" not in parsed
    assert any(63 in piece.notes["pitch"] for piece in pieces)


def change_source(notebook, monkeypatch, owner, name):
    """Put another function of the same name in the place of one of the notebook's."""
    original = getattr(owner, name)

    def changed(*arguments, **named):
        return original(*arguments, **named)

    changed.__module__, changed.__qualname__ = (
        notebook.__name__,
        original.__qualname__,
    )
    monkeypatch.setattr(owner, name, changed)


@pytest.mark.parametrize(
    "owner, name",
    [(None, "read_tempo"), ("Keyboard", "release"), ("Keys", "strike")],
)
def test_a_changed_parser_reads_again(notebook, load, parsed, monkeypatch, owner, name):
    load()
    parsed.clear()
    place = getattr(notebook, owner) if owner else notebook
    change_source(notebook, monkeypatch, place, name)
    load()
    assert sorted(parsed) == ["bad", "one", "two"]


def test_a_changed_constant_reads_again(notebook, load, parsed, monkeypatch):
    load()
    parsed.clear()
    monkeypatch.setattr(notebook, "LOWEST_PITCH", 62)
    pieces, _ = load()
    assert len(parsed) == 3 and min(p.notes["pitch"].min() for p in pieces) == 62


def test_a_damaged_cache_is_named_and_made_again(load, parsed, tmp_path, capsys):
    load()
    kept = sorted((tmp_path / "cache" / "pieces").iterdir())
    content = bytearray(kept[0].read_bytes())
    content[-1] ^= 1
    kept[0].write_bytes(content)
    parsed.clear()
    pieces, _ = load()
    assert len(pieces) == 2 and len(parsed) == 2
    assert str(kept[0]) in capsys.readouterr().out
    parsed.clear()
    load()
    assert parsed == ["bad"]


def test_parallel_reading_gives_the_same(notebook, load, monkeypatch, tmp_path):
    serial, table = load()
    for path in (tmp_path / "cache" / "pieces").iterdir():
        path.unlink()
    monkeypatch.setattr(notebook, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(notebook, "WORKERS", 2)
    parallel, other_table = load()
    pd.testing.assert_frame_equal(table, other_table)
    assert [rows(piece) for piece in serial] == [rows(piece) for piece in parallel]


def test_processes_are_awake_before_their_jobs_come(notebook, monkeypatch):
    notebook.wake_workers(2)
    notebook.wake_workers(2)  # as when a cell is run again
    assert sorted(notebook.run_here(divmod, [(7, 2), (9, 4)], 2)) == [
        (0, (3, 1)), (1, (2, 1))]  # fmt: skip
    monkeypatch.setenv("DASK_SCHEDULER", "tcp://elsewhere")
    monkeypatch.delattr(notebook, "start_calls")
    notebook.wake_workers(2)


def test_workers_follow_the_request_and_the_jobs(notebook):
    assert notebook.choose_workers(1, 9) == 1
    assert notebook.choose_workers(8, 1) == 1
    assert notebook.choose_workers(0, 0) == 1
    assert notebook.choose_workers(2, 9, gibibytes=10**6) == 1
