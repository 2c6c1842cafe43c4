"""The whole notebook in a real kernel, as a user runs it."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from helpers import BAD_FILE, FOLDERS, run_notebook

pytestmark = pytest.mark.xdist_group("quick run")
TABLES = {
    "corpus": "split file status reason notes events seconds tempo_bpm",
    "cross_validation": "model fold pieces_held_out epochs seconds nats_per_event "
    "nats_per_note accuracy kl_divergence interval_similarity rhythm_similarity",
    "evaluation": "model metric value low high floor_low floor_median floor_high "
    "direction n_pieces n_events",
    "streams": "model fold stream nats_per_event nats_per_note accuracy",
    "novelty": "model take events piece bar",
    "moods": "kept energy brightness",
}
FIGURES = ("corpus", "learning_curves", "staircase", "evaluation", "histograms")


def errors(notebook):
    """Return the error outputs of a notebook."""
    return [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]


def printed(notebook):
    """Return all that a notebook's cells print."""
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


def read_tables(folder):
    """Return the tables that a run has left, by name."""
    return {
        path.stem: pd.read_csv(path)
        for path in sorted((folder / "outputs" / "tables").glob("*.csv"))
    }


@pytest.fixture(scope="module")
def first(quick_run):
    """Return the folder, the notebook and the tables of a first run."""
    return *quick_run, read_tables(quick_run[0])


def test_the_notebook_runs_to_its_end(first):
    _, notebook, _ = first
    assert [error.evalue for error in errors(notebook)] == []
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert "quick run in" in printed(notebook)


def test_a_broken_file_is_listed_as_refused(first):
    corpus = first[2]["corpus"].set_index("file")
    assert corpus.loc["broken.mid", "status"] == "refused"
    assert "truncated" in corpus.loc["broken.mid", "reason"]
    assert (corpus["status"] == "used").sum() == 40


def test_tables_are_there_with_their_columns(first):
    _, _, tables = first
    for name, columns in TABLES.items():
        missing = set(columns.split()) - set(tables[name].columns)
        assert len(tables[name]) and not missing, name


def test_tables_hold_each_model_and_baseline(first):
    _, _, tables = first
    folds, evaluation = tables["cross_validation"], tables["evaluation"]
    models = {"uniform", "unigram", "ngram", "ngram_memory", "published", "expressive"}
    assert set(folds["model"]) == models
    numbers = folds.groupby("model")["fold"].apply(list)
    assert numbers.map(lambda x: x == [1, 2]).all()
    assert {"published", "expressive", "unigram", "ngram", "training_copy"} <= set(
        evaluation["model"]
    )
    metrics = {"kl_divergence", "interval_similarity", "rhythm_similarity", "rests",
               "two_sample_auc", "longest_run", "structureness_16"}  # fmt: skip
    assert metrics <= set(evaluation["metric"])
    assert (folds["run"] == "quick").all() and (evaluation["run"] == "quick").all()


def test_held_out_pieces_of_the_folds_are_disjoint(first):
    folds = first[2]["cross_validation"]
    for _, rows in folds.groupby("model"):
        names = "; ".join(rows["pieces_held_out"]).split("; ")
        assert len(names) == len(set(names)) == 4


def test_figures_and_model_are_there(first):
    outputs = first[0] / "outputs"
    for name in FIGURES:
        content = (outputs / "figures" / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 5000
    for name in ("published", "expressive"):
        with zipfile.ZipFile(outputs / "models" / f"quick_{name}.zip") as bundle:
            parts = {"weights.npz", "network.json", "model.json"}
            assert parts == set(bundle.namelist())
            assert bundle.testzip() is None
    assert not list(outputs.rglob(".writing-*"))


def test_midi_files_are_read_back(first, notebook):
    paths = sorted((first[0] / "outputs" / "midi").glob("*.mid"))
    assert "my_music" in [path.stem for path in paths] and len(paths) > 3
    for path in paths:
        piece = notebook.parse_midi(path)
        assert len(piece.notes) and np.isfinite(piece.tempo)
        assert b"model " in path.read_bytes()


@pytest.fixture(scope="module")
def second(first):
    """Return the notebook and the tables of a second run in the same folder."""
    folder, _, _ = first
    return run_notebook(folder), read_tables(folder)


def test_a_second_run_takes_what_is_there(second):
    notebook, _ = second
    assert errors(notebook) == []
    text = printed(notebook)
    for what in (
        "folds: 12 of 12",
        "steps: 2 of 2",
        "The published model is that of",
        "The expressive model is that of",
    ):
        assert what in text
    assert "evaluations: " in text and "ranges: " in text


def test_a_second_run_gives_the_same_tables(first, second):
    assert first[2].keys() == second[1].keys() and len(first[2]) >= 3
    for name, table in first[2].items():
        drop = ["seconds"] if name == "cross_validation" else []
        pd.testing.assert_frame_equal(
            table.drop(columns=drop), second[1][name].drop(columns=drop)
        )


@pytest.mark.parametrize("content", [None, BAD_FILE], ids=["empty", "all refused"])
def test_a_folder_without_music_stops_with_one_sentence(tmp_path, content):
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / "broken.mid").write_bytes(content)
    (error,) = errors(run_notebook(tmp_path))
    assert error.ename == "NotebookError" and FOLDERS[0] in error.evalue
    assert error.traceback == [f"NotebookError: {error.evalue}"]
