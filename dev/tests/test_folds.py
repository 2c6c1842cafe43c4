"""Which pieces are unseen: no piece stands on both sides."""

import numpy as np
import pytest
from helpers import melody, walking_piece
from hypothesis import given
from hypothesis import strategies as st

SIZES = (
    st.integers(3, 40)
    .flatmap(lambda count: st.tuples(st.just(count), st.integers(2, count)))
    .filter(lambda sizes: sizes != (3, 2))  # one piece would be left to learn from
)


@given(SIZES, st.integers(0, 2**31))
def test_each_piece_is_held_out_exactly_once(notebook, sizes, seed):
    count, parts = sizes
    folds = notebook.make_folds(list(range(count)), parts, seed)
    assert len(folds) == parts
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(count))
    for train, test in folds:
        assert set(train).isdisjoint(test) and len(train) + len(test) == count
        assert abs(len(test) - count / parts) < 1


@given(SIZES, st.integers(0, 2**31))
def test_stopping_pieces_lie_inside_the_training_part(notebook, sizes, seed):
    for train, test in notebook.make_folds(list(range(sizes[0])), sizes[1], seed):
        learning, stopping = notebook.hold_back(train, seed)
        assert set(learning).isdisjoint(stopping)
        assert set(learning) | set(stopping) == set(train)
        assert set(stopping).isdisjoint(test)
        assert len(learning) and len(stopping)


def test_a_tenth_is_held_back(notebook):
    assert [len(notebook.hold_back(np.arange(n), 1)[1]) for n in (5, 18, 40)] == (
        [1, 2, 4]
    )


def test_folds_depend_on_the_seed_alone(notebook):
    first, again, other = (
        [test.tolist() for _, test in notebook.make_folds(list(range(20)), 10, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


TOO_FEW = [(0, 2), (1, 2), (2, 2), (3, 2), (9, 10), (5, 1), (5, 0)]


@pytest.mark.parametrize("count, parts", TOO_FEW)
def test_too_few_pieces_are_one_sentence(notebook, count, parts):
    with pytest.raises(notebook.NotebookError) as caught:
        notebook.make_folds(list(range(count)), parts, 0)
    assert f"{count} training pieces" in str(caught.value)
    assert "put at least 3 pieces" in str(caught.value)


def test_fold_jobs_hold_no_piece_on_two_sides(notebook):
    pieces = [walking_piece(seed, 20) for seed in range(6)]
    folds = notebook.make_folds(pieces, 3, 5)
    jobs = notebook.list_fold_jobs(("uniform", "unigram"), pieces, folds, 5)
    assert [(job[0], job[-1]) for job in jobs] == [
        (name, 5 + fold) for name in ("uniform", "unigram") for fold in range(3)
    ]
    for _, _, *parts, _ in jobs:
        names = [piece.name for part in parts for piece in part]
        assert sorted(names) == sorted(piece.name for piece in pieces)


def test_folds_of_the_same_music_are_alike(notebook):
    pieces = [walking_piece(3, 60)] * 4 + [walking_piece(9, 60)] * 2
    vocabulary = notebook.build_vocabulary(pieces, 548)
    generator = np.random.default_rng(0)
    excerpts = notebook.cut_excerpts(pieces, vocabulary, 40, generator)
    one, other, third = (excerpts[i : i + 2] for i in (0, 2, 4))
    assert notebook.compare("kl_divergence", one, other) == pytest.approx(0, abs=0.02)
    assert notebook.compare("kl_divergence", one, third) > 0.1


def test_as_much_is_written_as_excerpts_hold(notebook, monkeypatch):
    monkeypatch.setattr(notebook, "GENERATED_EVENTS", 50)
    pieces = [melody([60] * 80), melody([60, 62] * 10)]
    vocabulary = notebook.build_vocabulary(pieces, 548)
    assert notebook.usual_length(pieces, vocabulary) == 35


def test_a_leaky_split_claims_far_more(notebook):
    generator = np.random.default_rng(4)
    sequences = []
    for _ in range(4):
        sequence = np.zeros(300, dtype=notebook.EVENT)
        sequence["token"] = generator.integers(60, size=300)
        sequences.append(sequence)
    table = notebook.compare_splits(sequences, 40, 60, 1)
    leaky, honest = table.loc["windows at random"], table.loc["a whole piece"]
    assert leaky["accuracy"] > 0.9 and honest["accuracy"] < 0.15
    assert leaky["nats_per_event"] < 1 < honest["nats_per_event"]
    short = notebook.compare_splits([row[:20] for row in sequences], 40, 60, 1)
    assert short.isna().all(axis=1).tolist() == [True, False]  # no window is so short
