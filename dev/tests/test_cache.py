"""Whatever is kept: whole or absent, and used only where it fits."""

import hashlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, random_piece, walking_piece

TWIN = ROOT / "dev" / "Music_Generation_LSTM.py"


def test_what_is_stored_is_fetched(notebook, tmp_path):
    payload = bytes(range(256)) * 3
    notebook.store(tmp_path / "deep" / "file", payload)
    assert notebook.fetch(tmp_path / "deep" / "file") == payload
    assert notebook.fetch(tmp_path / "nothing") is None


@pytest.mark.parametrize("place", [0, 40, 64, 70, -1])
def test_a_flipped_bit_is_noticed_and_named(notebook, tmp_path, place, capsys):
    path = tmp_path / "file"
    notebook.store(path, b"finished work")
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    assert notebook.fetch(path) is None
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize("length", [0, 1, 63, 64, 70])
def test_a_truncated_file_is_noticed(notebook, tmp_path, length):
    path = tmp_path / "file"
    notebook.store(path, b"finished work")
    path.write_bytes(path.read_bytes()[:length])
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

    changed.__module__ = original.__module__
    changed.__qualname__ = original.__qualname__
    return changed


USED_BY = [
    ("parse_midi", "Keys.strike"), ("parse_midi", "Keyboard.release"),
    ("parse_midi", "read_metre"), ("run_fold", "divergence"), ("run_fold", "cosine"),
    ("run_fold", "count_steps"), ("run_fold", "top_voice"),
    ("train_published", "draw_tokens"), ("train_ngram", "Ngram.predict"),
    ("train_ngram", "NgramTable.probabilities"),
    ("train_published", "TokenStreams.begin"), ("train_published", "make_lstm"),
    ("train_expressive", "write_events"), ("train_expressive", "EventDraws.pick"),
    ("train_published", "PublishedPredictor.predict"), ("run_fold", "Vocabulary.spell"),
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
        ("parse_midi", "HIGHEST_PITCH", 100), ("parse_midi", "SUSTAIN_PEDAL", 65),
        ("parse_midi", "VERSIONS", {"music21": "10.0"}),
        ("run_fold", "EPOCHS", 3), ("run_fold", "GRID", 24), ("run_fold", "TOP_P", 0.5),
        ("train_published", "LEARNING_RATE", 0.02), ("train_published", "PATIENCE", 3),
        ("train_published", "TRAINING_MODE", "last_step"),
        ("train_published", "PUBLISHED", {"units": (9,)}),
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
    monkeypatch.setattr(notebook, "draw", replacement(notebook.draw))
    assert notebook.fingerprint(notebook.parse_midi) == before


def test_fingerprints_tell_values_apart(notebook):
    piece = random_piece(1)
    other = notebook.make_piece(piece.name, piece.notes[:-1], piece.tempo)
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
        f"import sys; sys.path.insert(0, {str(TWIN.parent)!r})\n"
        "import Music_Generation_LSTM as n\n"
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
    network = tiny.build_published_lstm(
        88, None, (8, 6), 5, 0.1, every_step=True, seed=1
    )
    vocabulary = tiny.build_vocabulary(pieces, 88)
    predictor = tiny.PublishedPredictor(network, 88, 8)
    settings = {"seed": 1, "sequence_length": 8}
    rhythm, sources = tiny.encode(pieces[0], vocabulary), tiny.Sources(pieces[:1])
    return tiny.Model(
        "published", predictor, vocabulary, rhythm, 99.5, settings, sources
    )


@pytest.fixture
def bundle(notebook, model, tmp_path):
    """Return the folder of a bundle."""
    notebook.save_model(model, tmp_path / "bundle")
    return tmp_path / "bundle"


def refusal(notebook, bundle):
    """Return the sentence with which a bundle is refused."""
    with pytest.raises(notebook.NotebookError) as caught:
        notebook.load_model(bundle)
    return str(caught.value)


def seal(bundle, **parts):
    """Write parts of a bundle, and their checksums as if they belonged there."""
    manifest = json.loads((bundle / "settings.json").read_text())
    for name, data in parts.items():
        name = {"weights": "weights.keras"}.get(name, f"{name}.json")
        (bundle / name).write_bytes(data)
        manifest["parts"][name] = hashlib.sha256(data).hexdigest()
    (bundle / "settings.json").write_text(json.dumps(manifest))


def test_a_model_comes_back_as_it_was(notebook, model, bundle):
    again = notebook.load_model(bundle)
    tokens = np.random.default_rng(0).integers(88, size=20)
    assert np.array_equal(
        again.predictor.predict(tokens), model.predictor.predict(tokens)
    )
    assert again.vocabulary.chords == model.vocabulary.chords
    assert np.array_equal(again.rhythm, model.rhythm) and again.tempo == 99.5
    (source,), (known,) = again.sources.pieces, model.sources.pieces
    assert source.name == known.name and source.metre == known.metre
    assert notebook.find_shared_run(known, again.sources).events > 20
    assert (again.name, again.settings) == (model.name, model.settings)
    assert sorted(path.name for path in bundle.iterdir()) == [
        "settings.json", "sources.json", "vocabulary.json", "weights.keras",
    ]  # fmt: skip


PARTS = ("weights.keras", "vocabulary.json", "sources.json")


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_part_is_refused_by_name(notebook, bundle, part):
    data = bytearray((bundle / part).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / part).write_bytes(data)
    assert part in refusal(notebook, bundle)


@pytest.mark.parametrize("part", PARTS)
def test_a_truncated_part_is_refused_by_name(notebook, bundle, part):
    data = (bundle / part).read_bytes()
    (bundle / part).write_bytes(data[: len(data) // 2])
    assert part in refusal(notebook, bundle)


@pytest.mark.parametrize("part", [*PARTS, "settings.json"])
def test_a_missing_part_is_refused_by_name(notebook, bundle, part):
    (bundle / part).unlink()
    assert part in refusal(notebook, bundle)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_the_manifest_leaves_out_is_refused(notebook, bundle, part):
    manifest = json.loads((bundle / "settings.json").read_text())
    manifest["parts"]["other.json"] = manifest["parts"].pop(part)
    (bundle / part).rename(bundle / "other.json")
    (bundle / "settings.json").write_text(json.dumps(manifest))
    assert part in refusal(notebook, bundle)


@pytest.mark.parametrize(
    "name", ["../weights.keras", "/weights.keras", "a/weights.keras"]
)
def test_a_part_named_like_a_path_is_refused(notebook, bundle, name):
    manifest = json.loads((bundle / "settings.json").read_text())
    manifest["parts"][name] = manifest["parts"].pop("weights.keras")
    (bundle / "settings.json").write_text(json.dumps(manifest))
    assert "weights.keras" in refusal(notebook, bundle)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"parts": 3}', "\x00"])
def test_a_senseless_manifest_is_refused(notebook, bundle, content):
    (bundle / "settings.json").write_text(content)
    assert "Train it again" in refusal(notebook, bundle)


@pytest.mark.parametrize("key", ["name", "tempo", "settings"])
def test_a_manifest_without_an_entry_is_refused(notebook, bundle, key):
    manifest = json.loads((bundle / "settings.json").read_text())
    del manifest[key]
    (bundle / "settings.json").write_text(json.dumps(manifest))
    assert "Train it again" in refusal(notebook, bundle)


def test_a_vocabulary_of_another_size_is_refused(notebook, model, bundle):
    chords = [*model.vocabulary.chords, (60, 64)]
    seal(bundle, vocabulary=json.dumps(chords).encode())
    reason = refusal(notebook, bundle)
    assert "vocabulary" in reason and "88" in reason and "89" in reason


def test_weights_that_are_none_are_refused(notebook, bundle):
    seal(bundle, weights=b"no weights at all")
    assert "weights.keras" in refusal(notebook, bundle)


def test_a_bundle_with_code_inside_is_refused_and_not_run(notebook, bundle, tmp_path):
    mark = str(tmp_path / "mark")
    code = keras.Sequential([keras.Input((1,))])
    code.add(keras.layers.Lambda(lambda x, mark=mark: (open(mark, "w"), x)[1]))
    code.save(tmp_path / "code.keras")
    (tmp_path / "mark").unlink(missing_ok=True)
    seal(bundle, weights=(tmp_path / "code.keras").read_bytes())
    reason = refusal(notebook, bundle)
    assert "weights.keras" in reason and not (tmp_path / "mark").exists()


def test_the_final_model_is_trained_once(tiny, tmp_path, capsys):
    pieces = [walking_piece(seed, 40) for seed in range(3)]
    first = tiny.final_model("published", pieces, 1, 5, tmp_path / "m")
    again = tiny.final_model("published", pieces, 1, 5, tmp_path / "m")
    assert "there already" in capsys.readouterr().out
    tokens = list(range(12))
    assert np.array_equal(
        first.predictor.predict(tokens), again.predictor.predict(tokens)
    )
    tiny.final_model("published", pieces[:2], 1, 5, tmp_path / "m")
    assert "there already" not in capsys.readouterr().out
    (tmp_path / "m" / "vocabulary.json").write_text("[]")
    tiny.final_model("published", pieces[:2], 1, 5, tmp_path / "m")
    assert "vocabulary.json" in capsys.readouterr().out


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
    assert len(trained) == 4 and "4 of 4" in capsys.readouterr().out
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
