"""Whatever is kept: whole or absent, and used only where it fits."""

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, make_piece, random_piece, small_lstm, walking_piece


def store(notebook, path, payload):
    """Write a file as results are kept."""
    notebook.write_whole(path, gzip.compress(payload, mtime=0))


def test_what_is_stored_is_fetched(notebook, tmp_path):
    payload = bytes(range(256)) * 3
    store(notebook, tmp_path / "deep" / "file", payload)
    assert notebook.fetch(tmp_path / "deep" / "file") == payload
    assert notebook.fetch(tmp_path / "nothing") is None


def test_a_flipped_bit_is_harmless_or_noticed_and_named(notebook, tmp_path, capsys):
    path, payload = tmp_path / "file", b"finished work"
    store(notebook, path, payload)
    whole, noticed = path.read_bytes(), []
    for place in range(8 * len(whole)):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        found = notebook.fetch(path)
        noticed.append(found is None)
        assert found is None or found == payload
        assert (str(path) in capsys.readouterr().out) == noticed[-1]
    # Nothing lies in gzip's header, and in the bits that fill up a last byte.
    assert noticed[8 * 10 :].count(False) < 8


def test_a_truncated_file_is_noticed(notebook, tmp_path):
    path = tmp_path / "file"
    store(notebook, path, b"finished work")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert notebook.fetch(path) is None


@pytest.mark.parametrize("step", ["replace", "fsync", "chmod"])
def test_writing_that_fails_leaves_the_old_file_and_no_half_one(
    notebook, tmp_path, monkeypatch, step
):
    path = notebook.write_whole(tmp_path / "file", b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(notebook.os, step, fail)
    with pytest.raises(notebook.NotebookError, match="No space left.*free some space"):
        notebook.write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_one_sentence(notebook, tmp_path):
    (tmp_path / "outputs").write_text("not a folder")
    with pytest.raises(notebook.NotebookError, match="OUTPUT_FOLDER"):
        notebook.write_whole(tmp_path / "outputs" / "a.csv", b"x")


# Fingerprints.


def replacement(original):
    """Return a function with another source that says it is the original."""

    def changed(*arguments, **named):
        return original(*arguments, **named)

    if isinstance(original, property):
        return property(replacement(original.fget))
    changed.__module__ = original.__module__
    changed.__qualname__ = original.__qualname__
    return changed


USED_BY = [
    ("parse_midi", "play_events"), ("parse_midi", "Voice.strike"),
    ("parse_midi", "read_maps"), ("parse_midi", "Piece.end"),
    ("run_fold", "divergence"),
    ("run_fold", "cosine"), ("run_fold", "count_steps"), ("run_fold", "top_voice"),
    ("run_fold", "write_events"), ("run_fold", "Vocabulary.spell"),
    ("train_ngram", "Ngram.predict"), ("train_ngram", "Ngram.probabilities"),
    ("train_ngram", "draw_classes"), ("train_published", "build_published_lstm"),
    ("train_published", "draw_classes"),
    ("train_published", "PublishedPredictor.begin"),
    ("train_published", "PublishedPredictor.predict"),
    ("train_expressive", "KeyedPieces.read"),
    ("train_expressive", "ExpressivePredictor.begin"),
    ("train_expressive", "draw_classes"),
    ("evaluate", "jensen_shannon"), ("evaluate", "count_beat_places"),
]  # fmt: skip


@pytest.mark.parametrize("function, used", USED_BY, ids="-".join)
def test_fingerprints_follow_the_code_that_runs(notebook, monkeypatch, function, used):
    before = notebook.fingerprint(getattr(notebook, function))
    *owner, name = used.split(".")
    place = getattr(notebook, owner[0]) if owner else notebook
    original = getattr(place, name)
    monkeypatch.setattr(place, name, replacement(original))
    for table in (notebook.HEADLINE_METRICS, notebook.HISTOGRAM_METRICS):
        for metric, row in list(table.items()):
            new = tuple(getattr(notebook, name) if x is original else x for x in row)
            monkeypatch.setitem(table, metric, new)
    assert notebook.fingerprint(getattr(notebook, function)) != before


@pytest.mark.parametrize(
    "function, name, value",
    [
        ("parse_midi", "HIGHEST_PITCH", 100), ("parse_midi", "SUSTAIN", 65),
        ("parse_midi", "VERSIONS", {"music21": "10.0"}),
        ("run_fold", "EPOCHS", 3), ("run_fold", "GRID", 24), ("run_fold", "TOP_P", 0.5),
        ("train_published", "LEARNING_RATE", 0.02), ("train_published", "PATIENCE", 3),
        ("train_published", "TRAINING_MODE", "last_step"),
        ("train_expressive", "EXPRESSIVE", {"units": 9}), ("run_fold", "EPOCHS", 2),
        ("run_fold", "EXPRESSIVE_FOLD_EPOCHS", 2), ("train_expressive", "GUIDANCE", 2),
    ],
)  # fmt: skip
def test_fingerprints_follow_the_settings(notebook, monkeypatch, function, name, value):
    before = notebook.fingerprint(getattr(notebook, function))
    monkeypatch.setattr(notebook, name, value)
    assert notebook.fingerprint(getattr(notebook, function)) != before


def test_fingerprints_leave_out_what_does_not_matter(notebook, monkeypatch):
    before = notebook.fingerprint(notebook.parse_midi)
    monkeypatch.setattr(notebook, "EPOCHS", 1)
    changed = replacement(notebook.draw_classes)
    monkeypatch.setattr(notebook, "draw_classes", changed)
    assert notebook.fingerprint(notebook.parse_midi) == before


def test_fingerprints_tell_values_apart(notebook):
    piece = random_piece(1)
    other = make_piece(piece.name, piece.notes[:-1], piece.tempo)
    values = [
        (), (1,), (1.0,), ("1",), (1, 2), ([1, 2],), (b"ab",), (b"a", b"b"), (b"a,b",),
        (np.zeros(3),), (np.zeros(3, int),), (np.zeros((3, 1)),), (np.ones(3),),
        (piece,), (other,), (notebook.transpose(piece, 1),),
    ]  # fmt: skip
    assert len({notebook.fingerprint(*value) for value in values}) == len(values)
    assert notebook.fingerprint(piece) == notebook.fingerprint(random_piece(1))


def test_fingerprints_are_equal_in_every_process(notebook):
    names = ("parse_midi", "run_fold", "train_published", "evaluate", "safe_file_name")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'dev' / 'tools')!r})\n"
        "import definitions as n\n"
        f"print(*(n.fingerprint(getattr(n, name)) for name in {names}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, check=True,
                            capture_output=True, text=True)  # fmt: skip
    mine = [notebook.fingerprint(getattr(notebook, name)) for name in names]
    assert dict(zip(names, result.stdout.split(), strict=True)) == dict(
        zip(names, mine, strict=True)
    )


# Bundles.


@pytest.fixture
def model(tiny):
    """Return a small published model."""
    pieces = [walking_piece(seed, 40) for seed in range(3)]
    network = tiny.rebuild(small_lstm(88), True, 1)
    vocabulary = tiny.build_vocabulary(pieces, 88)
    predictor = tiny.PublishedPredictor(network, 88, 8)
    settings = {"seed": 1, "sequence_length": 8}
    rhythm, sources = tiny.encode(pieces[0], vocabulary), tiny.Sources(pieces[:1])
    return tiny.Model(
        "published", predictor, vocabulary, rhythm, 99.5, settings, sources
    )


@pytest.fixture
def bundle(notebook, model, tmp_path):
    """Return the path of a bundle."""
    return notebook.save_model(model, tmp_path / "bundle.zip")


def refusal(notebook, bundle):
    """Return the sentence with which a bundle is refused."""
    with pytest.raises(notebook.NotebookError) as caught:
        notebook.load_model(bundle)
    reason = str(caught.value)
    assert reason.startswith(f"The model {bundle} is refused: ")
    assert reason.endswith(". Train it again.")
    return reason


def change(bundle, parts):
    """Put other parts, by name, into a bundle, whole; None takes one out."""
    with zipfile.ZipFile(bundle) as file:
        parts = {**{name: file.read(name) for name in file.namelist()}, **parts}
    with zipfile.ZipFile(bundle, "w") as file:
        for name, data in parts.items():
            if data is not None:
                file.writestr(name, data)


def test_a_bundle_of_another_grid_is_refused(notebook, bundle, monkeypatch):
    monkeypatch.setattr(notebook, "GRID", 24)
    assert "its GRID is 12, not 24" in refusal(notebook, bundle)


def known(bundle):
    """Return what a bundle's text says."""
    with zipfile.ZipFile(bundle) as file:
        return json.loads(file.read("model.json"))


def assert_same(notebook, again, model):
    """Check that a model is another one in all that it knows and does."""
    tokens = np.random.default_rng(0).integers(88, size=20)
    assert np.allclose(
        again.predictor.predict(tokens), model.predictor.predict(tokens), atol=1e-3
    )
    assert again.vocabulary.chords == model.vocabulary.chords
    assert np.array_equal(again.rhythm, model.rhythm) and again.tempo == model.tempo
    (source,), (original,) = again.sources.pieces, model.sources.pieces
    assert source.name == original.name and source.metre == original.metre
    assert notebook.find_shared_run(original, again.sources).events > 20
    assert (again.name, again.settings) == (model.name, model.settings)


def test_objects_among_the_weights_are_refused(notebook, bundle):
    """Reading them would run what they say."""
    weights = io.BytesIO()
    np.savez(weights, np.array([print], dtype=object))
    change(bundle, {"weights.npz": weights.getvalue()})
    assert "safe" in refusal(notebook, bundle)


def test_weights_are_kept_in_half_precision(notebook, model, bundle):
    with zipfile.ZipFile(bundle) as file, file.open("weights.npz") as weights:
        arrays = list(np.load(io.BytesIO(weights.read())).values())
    assert all(array.dtype == np.float16 for array in arrays)
    tokens = np.random.default_rng(0).integers(88, size=20)
    again, exact = (m.predictor.predict(tokens)
                    for m in (notebook.load_model(bundle), model))  # fmt: skip
    assert np.abs(again - exact).max() < 1e-3


def test_a_model_comes_back_as_it_was(notebook, model, bundle):
    assert_same(notebook, notebook.load_model(bundle), model)
    with zipfile.ZipFile(bundle) as file:
        assert sorted(file.namelist()) == [
            "model.json",
            "network.json",
            "weights.npz",
        ]


def test_a_flipped_bit_is_refused_or_harmless(notebook, model, bundle):
    whole, refused = bundle.read_bytes(), 0
    places = np.linspace(0, 8 * len(whole) - 1, 60).astype(int)
    ends = np.random.default_rng(1).integers(8 * 120, size=20)  # zip's own tables
    for place in [*places, *ends, *(8 * len(whole) - 1 - ends)]:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        bundle.write_bytes(content)
        try:
            again = notebook.load_model(bundle)
        except notebook.NotebookError:
            refusal(notebook, bundle)
            refused += 1
        else:
            assert_same(notebook, again, model)
    assert refused > 50


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(notebook, bundle, share):
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * share)])
    assert "it is damaged" in refusal(notebook, bundle)


@pytest.mark.parametrize("part", ["weights.npz", "network.json", "model.json"])
@pytest.mark.parametrize("place", [None, "other", "../{}", "/{}", "a/{}"])
def test_a_part_that_is_not_in_its_place_is_refused(notebook, bundle, part, place):
    with zipfile.ZipFile(bundle) as file:
        data = file.read(part)
    other = {place.format(part): data} if place else {}
    change(bundle, {part: None, **other})
    before = sorted(bundle.parent.iterdir())
    refusal(notebook, bundle)
    assert sorted(bundle.parent.iterdir()) == before


def test_a_bundle_that_is_not_there_is_one_sentence(notebook, tmp_path):
    with pytest.raises(notebook.NotebookError, match="no model .*run the notebook"):
        notebook.load_model(tmp_path / "nothing.zip")


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"name": 3}', "\x00"])
def test_a_senseless_text_is_refused(notebook, bundle, content):
    change(bundle, {"model.json": content})
    refusal(notebook, bundle)


@pytest.mark.parametrize("key", ["name", "tempo", "settings", "vocabulary", "sources"])
def test_a_text_without_an_entry_is_refused(notebook, bundle, key):
    kept = known(bundle)
    del kept[key]
    change(bundle, {"model.json": json.dumps(kept)})
    refusal(notebook, bundle)


def test_a_vocabulary_of_another_size_is_refused(notebook, bundle):
    kept = known(bundle)
    kept["vocabulary"].append((60, 64))
    change(bundle, {"model.json": json.dumps(kept)})
    reason = refusal(notebook, bundle)
    assert "88" in reason and "89" in reason


def test_weights_that_are_none_are_refused(notebook, bundle):
    change(bundle, {"weights.npz": b"no weights at all"})
    assert "no network" in refusal(notebook, bundle)


def test_a_bundle_with_code_inside_is_refused_and_not_run(notebook, bundle, tmp_path):
    mark = str(tmp_path / "mark")
    code = keras.Sequential([keras.Input((1,))])
    code.add(keras.layers.Lambda(lambda x, mark=mark: (open(mark, "w"), x)[1]))
    change(bundle, {"network.json": code.to_json()})
    (tmp_path / "mark").unlink(missing_ok=True)
    assert "safe" in refusal(notebook, bundle) and not (tmp_path / "mark").exists()


def test_the_final_model_is_trained_once(tiny, tmp_path, capsys):
    pieces = [walking_piece(seed, 40) for seed in range(3)]
    path = tmp_path / "m.zip"
    first = tiny.final_model("published", pieces, 1, 5, path)
    again = tiny.final_model("published", pieces, 1, 5, path)
    assert "model is that of" in capsys.readouterr().out
    tokens = list(range(12))
    assert np.array_equal(
        first.predictor.predict(tokens), again.predictor.predict(tokens)
    )
    tiny.final_model("published", pieces[:2], 1, 5, path)
    assert "model is that of" not in capsys.readouterr().out
    change(path, {"model.json": "[]"})
    tiny.final_model("published", pieces[:2], 1, 5, path)
    assert "is refused" in capsys.readouterr().out
    tiny.final_model("published", pieces[:2], 1, 5, path)
    assert "model is that of" in capsys.readouterr().out


# Folds.


def quick_folds(notebook, folder, names=("uniform", "unigram")):
    """Return the table of a cross-validation of small pieces."""
    pieces = [walking_piece(seed, 40) for seed in range(4)]
    folds = notebook.make_folds(pieces, 2, 3)
    return notebook.cross_validate(names, pieces, folds, 3, folder)[0]


@pytest.fixture
def trained(notebook, monkeypatch):
    """Return the list of the model names whose folds are trained from now on."""
    names = []
    original = notebook.train_fold

    def spy(name, *rest):
        names.append(name)
        return original(name, *rest)

    spy.__module__, spy.__qualname__ = original.__module__, original.__qualname__
    monkeypatch.setattr(notebook, "train_fold", spy)
    return names


def test_columns_of_the_cross_validation(tiny, tmp_path):
    table = quick_folds(tiny, tmp_path)
    assert set(table.columns) >= {
        "model", "fold", "pieces_held_out", "epochs", "seconds", "nats_per_event",
        "nats_per_note", "accuracy", "kl_divergence", "interval_similarity",
        "rhythm_similarity",
    }  # fmt: skip
    assert table["fold"].tolist() == [1, 2, 1, 2]
    assert np.allclose(table["nats_per_event"][:2], np.log(88))


def test_finished_folds_are_used_again(tiny, tmp_path, trained, capsys):
    first = quick_folds(tiny, tmp_path)
    assert sorted(trained) == ["uniform"] * 2 + ["unigram"] * 2
    again = quick_folds(tiny, tmp_path)
    assert len(trained) == 4 and "4 of 4 from the cache" in capsys.readouterr().out
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(
    "name, value", [("EPOCHS", 7), ("GRID", 6), ("TEMPERATURE", 2)]
)
def test_a_changed_setting_trains_again(
    tiny, tmp_path, trained, monkeypatch, name, value
):
    quick_folds(tiny, tmp_path)
    monkeypatch.setattr(tiny, name, value)
    quick_folds(tiny, tmp_path)
    assert len(trained) == 8


def test_a_damaged_fold_is_named_and_trained_again(tiny, tmp_path, trained, capsys):
    first = quick_folds(tiny, tmp_path)
    kept = sorted((tmp_path / "folds").iterdir())
    kept[1].write_bytes(kept[1].read_bytes()[:-5])
    again = quick_folds(tiny, tmp_path)
    assert len(trained) == 5 and str(kept[1]) in capsys.readouterr().out
    pd.testing.assert_frame_equal(first.drop(columns="seconds"),
                                  again.drop(columns="seconds"))  # fmt: skip
