"""Music as integers: what goes in comes out, and windows know their piece."""

import numpy as np
import pytest
from helpers import SHIPPED, make_piece, melody, random_piece
from hypothesis import given, settings
from hypothesis import strategies as st

CELL_NOTE = st.tuples(
    st.integers(0, 200), st.integers(1, 200), st.integers(21, 108), st.integers(1, 127)
)
MUSIC = st.lists(CELL_NOTE, min_size=1, max_size=40)


def make_music(notebook, drawn):
    """Return a piece of drawn notes on the grid, cut where a key is struck again."""
    notes = [(cell / 12, length / 12, *rest) for cell, length, *rest in drawn]
    notes = notebook.release_keys(np.array(notes, dtype=notebook.NOTE))
    return make_piece("drawn", notes)


@settings(max_examples=150)
@given(MUSIC, MUSIC, st.integers(88, 120))
def test_every_onset_and_pitch_survives(notebook, drawn, others, size):
    piece, other = make_music(notebook, drawn), make_music(notebook, others)
    vocabulary = notebook.build_vocabulary([other], size)
    back = notebook.decode(notebook.encode(piece, vocabulary), vocabulary)
    cells = np.rint(back["onset"] * 12) / 12
    assert np.array_equal(back["onset"], cells)
    assert np.allclose(back["onset"], piece.notes["onset"])
    assert np.array_equal(back["pitch"], piece.notes["pitch"])


@settings(max_examples=100)
@given(MUSIC, st.integers(88, 120))
def test_encoding_what_was_decoded_is_stable(notebook, drawn, size):
    piece = make_music(notebook, drawn)
    vocabulary = notebook.build_vocabulary([piece], size)
    once = notebook.encode(piece, vocabulary)
    back = make_piece("back", notebook.decode(once, vocabulary))
    twice = notebook.encode(back, vocabulary)
    for field in ("token", "step"):
        assert np.array_equal(once[field], twice[field])
    for field in ("velocity", "lower_velocity"):
        assert np.array_equal(once[field], twice[field])
    assert (twice["duration"] <= once["duration"]).all()  # cut at the next stroke


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 9), st.integers(21, 108)),
                min_size=1, max_size=30))  # fmt: skip
def test_notes_off_the_grid_move_by_half_a_cell_at_most(notebook, drawn):
    piece = make_piece("free", [(*note, 64) for note in drawn])
    vocabulary = notebook.build_vocabulary([piece], 100)
    cells = np.rint(piece.notes["onset"] * 12).tolist()
    strokes = list(zip(cells, piece.notes["pitch"].tolist(), strict=True))
    merged = len(strokes) - len(set(strokes))
    assert notebook.count_lost_notes(piece, vocabulary) == merged
    back = notebook.decode(notebook.encode(piece, vocabulary), vocabulary)
    for onset, pitch in zip(piece.notes["onset"], piece.notes["pitch"], strict=True):
        near = back["onset"][back["pitch"] == pitch]
        assert np.abs(near - onset).min() <= 1 / 24 + 1e-9


@pytest.mark.skipif(not SHIPPED, reason="no MIDI files stand beside the notebook")
@pytest.mark.parametrize("size", [88, 200, 548])
def test_shipped_pieces_survive(notebook, size):
    pieces = [notebook.parse_midi(path) for path in SHIPPED[::7]]
    vocabulary = notebook.build_vocabulary(pieces[:3], size)
    assert len(vocabulary) == size
    assert [notebook.count_lost_notes(piece, vocabulary) for piece in pieces] == (
        [0] * len(pieces)
    )


def test_lost_notes_would_be_counted(notebook, monkeypatch):
    piece = melody((60, 64))
    vocabulary = notebook.build_vocabulary([piece], 88)
    changed = melody((60, 70)).notes
    monkeypatch.setattr(notebook, "decode", lambda sequence, vocabulary: changed)
    assert notebook.count_lost_notes(piece, vocabulary) == 2  # 64 gone, 70 new


# The vocabulary.


def chord_piece(notebook, *chords):
    """Return a piece of chords, one every quarter note."""
    notes = [
        (cell, 1, pitch, 64) for cell, chord in enumerate(chords) for pitch in chord
    ]
    return make_piece("chords", notes)


def test_vocabulary_begins_with_the_88_notes(notebook):
    vocabulary = notebook.build_vocabulary([random_piece(1)], 100)
    assert vocabulary.chords[:88] == tuple((pitch,) for pitch in range(21, 109))
    assert len(vocabulary) == 100 and all(len(c) > 1 for c in vocabulary.chords[88:])
    assert len(set(vocabulary.chords)) == 100
    assert all(list(chord) == sorted(set(chord)) for chord in vocabulary.chords)


def test_the_most_frequent_chords_come_first(notebook):
    common, rare, middle = (60, 64, 67), (50, 57), (55, 59)
    piece = chord_piece(notebook, common, rare, middle, common, middle, common)
    assert notebook.build_vocabulary([piece], 90).chords[88:] == (common, middle)
    assert notebook.build_vocabulary([piece], 548).chords[88:] == (common, middle, rare)


def test_vocabulary_does_not_depend_on_the_order_of_pieces(notebook):
    pieces = [random_piece(seed) for seed in range(4)]
    one, other = (notebook.build_vocabulary(p, 95) for p in (pieces, pieces[::-1]))
    assert one.chords == other.chords


@pytest.mark.parametrize("size", [87, 1, 0, -3])
def test_too_small_a_vocabulary_is_one_sentence(notebook, size):
    with pytest.raises(notebook.NotebookError, match="VOCABULARY_SIZE"):
        notebook.build_vocabulary([random_piece(1)], size)


def test_unknown_chord_is_spelled_largest_known_chord_first(notebook):
    known = chord_piece(notebook, (60, 64, 67), (60, 64), (60, 64), (67, 71))
    vocabulary = notebook.build_vocabulary([known], 548)
    sequence = notebook.encode(chord_piece(notebook, (60, 64, 67, 71, 72)), vocabulary)
    spelled = [vocabulary.chords[token] for token in sequence["token"]]
    assert spelled == [(60, 64, 67), (71,), (72,)]
    assert sequence["step"].tolist() == [0, 0, 0]


def test_a_known_chord_is_one_event(notebook):
    piece = chord_piece(notebook, (60, 64, 67), (60, 64, 67))
    vocabulary = notebook.build_vocabulary([piece], 89)
    sequence = notebook.encode(piece, vocabulary)
    assert sequence["token"].tolist() == [88, 88]
    assert sequence["step"].tolist() == [0, 12]


def test_first_step_counts_from_the_beginning(notebook):
    piece = make_piece("late", [(2, 1, 60, 64), (2.5, 1, 62, 64)])
    vocabulary = notebook.build_vocabulary([piece], 88)
    assert notebook.encode(piece, vocabulary)["step"].tolist() == [24, 6]


@pytest.mark.parametrize("index", range(27))
def test_each_duration_of_the_table_is_kept(notebook, index):
    quarters = notebook.DURATIONS[index] / notebook.GRID
    piece = make_piece("one", [(0, quarters, 60, 64)])
    vocabulary = notebook.build_vocabulary([piece], 88)
    (note,) = notebook.decode(notebook.encode(piece, vocabulary), vocabulary)
    assert note["duration"] == pytest.approx(quarters)


@pytest.mark.parametrize("velocity", [1, 7, 8, 64, 120, 127])
def test_velocity_moves_by_half_a_bin_at_most(notebook, velocity):
    piece = melody((60,), velocity=velocity)
    vocabulary = notebook.build_vocabulary([piece], 88)
    (note,) = notebook.decode(notebook.encode(piece, vocabulary), vocabulary)
    assert abs(int(note["velocity"]) - velocity) <= 4 and 1 <= note["velocity"] <= 127


def test_a_melody_stands_out_from_its_chord(notebook):
    """The top note keeps its velocity, the others the mean of theirs."""
    notes = [(0, 1, 48, 40), (0, 1, 52, 60), (0, 1, 72, 100), (1, 1, 74, 90)]
    piece = make_piece("melody", notes)
    vocabulary = notebook.build_vocabulary([piece], 96)
    events = notebook.encode(piece, vocabulary)
    assert events[["velocity", "lower_velocity"]].tolist() == [(12, 6), (11, 11)]
    back = notebook.decode(events, vocabulary)["velocity"].tolist()
    assert back == [52, 52, 100, 92]


# Windows.


def number_sequences(notebook, *lengths):
    """Return sequences whose tokens count on, so that each event is known."""
    sequences, first = [], 0
    for length in lengths:
        sequence = np.zeros(length, dtype=notebook.EVENT)
        sequence["token"] = np.arange(first, first + length)
        sequences.append(sequence)
        first += length
    return sequences


def test_features_and_targets_by_hand(notebook):
    features, targets = notebook.make_windows(number_sequences(notebook, 4, 5), 3)
    windows = [window["token"].tolist() for window in features]
    assert windows == [[0, 1, 2], [4, 5, 6], [5, 6, 7]]
    assert [int(target["token"]) for target in targets] == [3, 7, 8]
    assert len(features) == len(targets) == 3


def test_windows_never_cross_pieces(notebook):
    lengths = (7, 2, 3, 12, 4)
    sequences = number_sequences(notebook, *lengths)
    piece_of = np.repeat(np.arange(5), lengths)
    features, targets = notebook.make_windows(sequences, 3)
    assert len(features) == sum(max(length - 3, 0) for length in lengths)
    for window, target in zip(features, targets, strict=True):
        tokens = [*window["token"].tolist(), int(target["token"])]
        assert tokens == list(range(tokens[0], tokens[0] + 4))
        assert len(set(piece_of[tokens])) == 1


def test_cut_gives_the_same_windows(notebook):
    features, _ = notebook.make_windows(number_sequences(notebook, 6, 9), 4)
    chosen = np.array([5, 0, 2])
    cut = features.cut(chosen)
    assert cut.shape == (3, 4)
    assert all(np.array_equal(a, features[i]) for a, i in zip(cut, chosen, strict=True))


def test_too_short_pieces_are_one_sentence(notebook):
    with pytest.raises(notebook.NotebookError, match="No piece has more than 5"):
        notebook.make_windows(number_sequences(notebook, 5, 2), 5)


# Keys.


@pytest.mark.parametrize("semitones", range(-5, 7))
def test_transposition_moves_each_note(notebook, semitones):
    piece = random_piece(2)
    moved = notebook.transpose(piece, semitones)
    assert (moved.notes["pitch"] - piece.notes["pitch"] == semitones).all()
    assert np.array_equal(moved.notes["onset"], piece.notes["onset"])
    assert moved.tempo == piece.tempo and moved.metre == piece.metre


def test_transposition_keeps_to_the_keyboard(notebook):
    piece = melody((21, 108))
    assert notebook.transpose(piece, 5).notes["pitch"].tolist() == [26, 101]
    assert notebook.transpose(piece, -5).notes["pitch"].tolist() == [28, 103]


def test_transposition_leaves_the_piece_alone(notebook):
    piece = random_piece(2)
    before = piece.notes.copy()
    notebook.transpose(piece, 3)
    assert np.array_equal(piece.notes, before)


def test_struck_keys_are_released(notebook):
    notes = [(0, 4, 60, 64), (1, 1, 60, 70), (1, 1, 60, 80), (1, 2, 62, 64)]
    kept = notebook.release_keys(np.array(notes, dtype=notebook.NOTE))
    assert kept["onset"].tolist() == [0, 1, 1]
    assert kept["duration"].tolist() == [1, 1, 2]
