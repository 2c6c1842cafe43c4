"""Measures against cases worked out by hand, and against what they must obey."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import make_piece, melody, random_piece
from hypothesis import given
from hypothesis import strategies as st

COUNTS = st.lists(st.integers(0, 50), min_size=6, max_size=6).map(np.array)


def test_divergence_by_hand(notebook):
    real, generated = np.array([1, 0]), np.array([0, 1])
    # p = (1.5, 0.5) / 2, q = (0.5, 1.5) / 2
    expected = 0.75 * math.log(3) + 0.25 * math.log(1 / 3)
    assert notebook.divergence(real, generated) == pytest.approx(expected)
    assert notebook.reverse_divergence(real, generated) == pytest.approx(expected)


def test_divergence_takes_the_real_side_first(notebook):
    real, generated = np.array([8, 0]), np.array([3, 3])
    forth = 8.5 / 9 * math.log(8.5 / 9 * 2) + 0.5 / 9 * math.log(0.5 / 9 * 2)
    back = 0.5 * math.log(0.5 * 9 / 8.5) + 0.5 * math.log(0.5 * 9 / 0.5)
    assert notebook.divergence(real, generated) == pytest.approx(forth)
    assert notebook.reverse_divergence(real, generated) == pytest.approx(back)


def test_cosine_by_hand(notebook):
    assert notebook.cosine(np.array([3, 4]), np.array([4, 3])) == pytest.approx(24 / 25)


def test_jensen_shannon_by_hand(notebook):
    value = notebook.jensen_shannon(np.array([1, 0]), np.array([0, 1]))
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert value == pytest.approx(expected)


@given(COUNTS, COUNTS)
def test_measures_keep_to_their_ranges(notebook, real, generated):
    if not (real.any() and generated.any()):
        return
    assert notebook.divergence(real, generated) >= -1e-12
    assert 0 <= notebook.cosine(real, generated) <= 1 + 1e-12
    shannon = notebook.jensen_shannon(real, generated)
    assert -1e-12 <= shannon <= math.log(2)
    assert shannon == pytest.approx(notebook.jensen_shannon(generated, real))


@given(COUNTS)
def test_identity_gives_zero_or_one(notebook, counts):
    if counts.any():
        assert notebook.divergence(counts, counts) == pytest.approx(0, abs=1e-12)
        assert notebook.jensen_shannon(counts, counts) == pytest.approx(0, abs=1e-12)
        assert notebook.cosine(counts, counts) == pytest.approx(1)
        assert notebook.cosine(counts, 7 * counts) == pytest.approx(1)


def test_disjoint_counts_give_the_extreme(notebook):
    real, generated = np.array([10**6, 0]), np.array([0, 10**6])
    assert notebook.cosine(real, generated) == 0
    assert notebook.jensen_shannon(real, generated) == pytest.approx(
        math.log(2), abs=1e-4
    )
    assert notebook.divergence(real, generated) == pytest.approx(
        math.log(2e6), rel=1e-4
    )


@pytest.mark.parametrize(
    "measure", ["divergence", "reverse_divergence", "jensen_shannon", "cosine"]
)
def test_a_side_without_counts_is_undefined(notebook, measure):
    some, none = np.array([1, 2]), np.array([0, 0])
    for sides in ((some, none), (none, some), (none, none)):
        assert np.isnan(getattr(notebook, measure)(*sides))


def test_measures_work_row_by_row(notebook):
    real = np.array([[1, 2, 3], [4, 0, 0], [0, 0, 0]])
    generated = np.array([[3, 2, 1], [0, 4, 0], [1, 1, 1]])
    for measure in (notebook.divergence, notebook.cosine):
        together = measure(real, generated)
        alone = [measure(a, b) for a, b in zip(real, generated, strict=True)]
        assert np.allclose(together, alone, equal_nan=True)


# Between groups of pieces.

HEADLINES = ("kl_divergence", "interval_similarity", "rhythm_similarity")


def test_headlines_are_perfect_for_the_same_music(notebook):
    pieces = [random_piece(seed) for seed in range(3)]
    values = [notebook.compare(name, pieces, pieces) for name in HEADLINES]
    assert np.allclose(values, [0, 1, 1])


def test_headlines_by_hand(notebook):
    real, generated = melody((60, 62, 64)), melody((60, 62, 61))
    p, q = np.full(88, 0.5), np.full(88, 0.5)
    p[[39, 41, 43]] += 1
    q[[39, 40, 41]] += 1
    p, q = p / p.sum(), q / q.sum()
    expected = float((p * np.log(p / q)).sum())
    # intervals: {+2: 2} against {+2: 1, -1: 1}
    for name, value in zip(HEADLINES, (expected, 0.5**0.5, 1), strict=True):
        assert notebook.compare(name, [real], [generated]) == pytest.approx(value)


def test_disjoint_music_gives_zero_similarity(notebook):
    up, down = melody((60, 62, 64), step=0.5), melody((64, 62, 60), step=1)
    for name in HEADLINES[1:]:
        assert notebook.compare(name, [up], [down]) == 0


@pytest.mark.parametrize("name", HEADLINES)
def test_empty_sides_give_nan_with_a_warning(notebook, name):
    for sides in (([], [melody((60, 62))]), ([melody((60, 62))], []), ([], [])):
        with pytest.warns(UserWarning, match=name):
            assert np.isnan(notebook.compare(name, *sides))


@pytest.mark.parametrize("name", HEADLINES[1:])
def test_a_single_event_has_no_interval_and_no_step(notebook, name):
    with pytest.warns(UserWarning, match=name):
        value = notebook.compare(name, [melody((60,))], [melody((60, 62))])
    assert np.isnan(value)


def test_nothing_is_counted_across_a_pieces_border(notebook):
    low, high = melody((40, 41)), melody((90, 91))
    other = [melody((60, 61)), melody((60, 61))]
    value = notebook.compare("interval_similarity", [low, high], other)
    assert value == pytest.approx(1)
    assert (
        notebook.count_intervals(low).sum() + notebook.count_intervals(high).sum() == 2
    )


def test_chords_add_no_zeros(notebook):
    chords = [(i / 2, 0.5, pitch, 64) for i in range(5) for pitch in (60, 64, 67 + i)]
    piece = make_piece("chords", chords)
    steps = notebook.count_steps(piece)
    assert steps[0] == 0 and steps[6] == 4 and steps.sum() == 4
    assert notebook.count_intervals(piece)[24 + 1] == 4  # the top voice alone
    assert notebook.count_pitches(piece).sum() == 15  # chords expanded


def test_large_intervals_and_long_steps_are_clipped(notebook):
    piece = melody((21, 108, 21), step=20)
    intervals, steps = notebook.count_intervals(piece), notebook.count_steps(piece)
    assert intervals[0] == intervals[48] == 1 and steps[48] == 2
    assert len(intervals) == len(steps) == 49


def test_divergence_falls_with_the_size_of_the_sample(notebook):
    def mean_value(events):
        pairs = [(random_piece(i, events), random_piece(i + 1, events))
                 for i in range(0, 16, 2)]  # fmt: skip
        return np.mean([notebook.compare("kl_divergence", [a], [b]) for a, b in pairs])

    small, middle, large = (mean_value(events) for events in (100, 400, 1600))
    assert small > 1.5 * middle > 2.25 * large


def test_other_histograms_by_hand(notebook):
    piece = make_piece("p", [(0, 0.25, 60, 64), (0.5, 0.5, 72, 64), (1.25, 9, 61, 64)])
    assert np.flatnonzero(notebook.count_beat_places(piece)).tolist() == [0, 3, 6]
    assert notebook.count_pitch_classes(piece)[:2].tolist() == [2, 1]
    assert np.flatnonzero(notebook.count_durations(piece)).tolist() == [3, 6, 48]


# One number a piece.


def test_polyphony_by_hand(notebook):
    notes = [(0, 2, 60, 64), (0, 1, 64, 64), (4, 1, 67, 64)]
    # 4 quarters of sound in 3 quarters that are not silent
    assert notebook.polyphony(make_piece("p", notes)) == pytest.approx(4 / 3)
    assert notebook.polyphony(melody((60, 62, 64))) == pytest.approx(1)


def test_groove_consistency_by_hand(notebook):
    same = melody((60,) * 8, step=1)
    assert notebook.groove_consistency(same) == pytest.approx(1)
    # two bars of 48 cells; the second lacks three of the four onsets
    other = melody((60,) * 5, step=1)
    assert notebook.groove_consistency(other) == pytest.approx(1 - 3 / 48)
    assert np.isnan(notebook.groove_consistency(melody((60, 62), step=1)))


@pytest.mark.parametrize("place, ratio", [(6, 1), (8, 2), (9, 3)])
def test_swing_ratio_by_hand(notebook, place, ratio):
    notes = [
        (beat + part / 12, 0.1, 60, 64) for beat in range(4) for part in (0, place)
    ]
    piece = make_piece("swung", notes)
    assert notebook.swing_ratio(piece) == pytest.approx(ratio)


def test_swing_ratio_is_undefined_without_off_beats(notebook):
    assert np.isnan(notebook.swing_ratio(melody((60, 62, 64), step=1)))


def test_repetition_by_hand(notebook):
    different = melody(range(40, 60))
    assert notebook.repetition(different) == 0
    assert notebook.repetition(melody((60, 62, 64, 65) * 6)) == 1
    # ten windows of 3 among 12 events; the first and the last are alike
    piece = melody((60, 61, 62, *range(70, 76), 60, 61, 62))
    assert notebook.repetition(piece, width=3) == pytest.approx(2 / 10)
    assert np.isnan(notebook.repetition(melody((60, 62))))


def test_one_number_properties_by_hand(notebook):
    piece = melody((60, 64, 72, 76), step=1, velocity=50)
    numbers = notebook.describe_music(piece)
    assert numbers["pitch_class_entropy"] == pytest.approx(1)
    assert numbers["pitch_range"] == 16
    assert numbers["note_density"] == pytest.approx(4 / (3 + 1 / 12))
    assert numbers["velocity_spread"] == 0 and np.isnan(numbers["melody_lift"])


def test_melody_lift_by_hand(notebook):
    """The top note less the mean of the others, over events that have others."""
    notes = [(0, 1, 48, 40), (0, 1, 52, 60), (0, 1, 72, 100), (1, 1, 74, 90)]
    notes += [(2, 1, 50, 64), (2, 1, 70, 60)]
    piece = make_piece("melody", notes)
    assert notebook.describe_music(piece)["melody_lift"] == pytest.approx((50 - 4) / 2)


# Is it new?


def longest(notebook, piece, corpus):
    """Return the longest run that a piece shares with a corpus."""
    return notebook.find_shared_run(piece, notebook.Sources(corpus))


def test_longest_run_by_hand(notebook):
    corpus = [melody((50, 55, 51, 59, 52, 60, 61))]
    piece = melody((90, 40, 50, 55, 51, 59, 90, 89))
    run = longest(notebook, piece, corpus)
    assert run.events == 4 and run.bar == 1  # three moves, from the first event on


def test_longest_run_ignores_the_key(notebook):
    piece = random_piece(5, 30)
    for semitones in (-5, 0, 6):
        moved = notebook.transpose(piece, semitones)
        assert longest(notebook, moved, [random_piece(6), piece])[0] == 30


def test_longest_run_never_crosses_pieces(notebook):
    piece = melody((60, 62, 67, 61, 70, 64))
    parts = [melody((60, 62, 67)), melody((61, 70, 64))]
    assert longest(notebook, piece, parts)[0] == 3


def test_nothing_shared_is_zero(notebook):
    assert longest(notebook, melody((60, 67)), [melody((60, 61, 62))])[0] == 0


def test_novelty_by_hand(notebook):
    corpus = [melody(range(50, 60))]
    piece = melody((*range(70, 79), 60))  # nine steps up, then a leap
    first, second = notebook.measure_novelty([piece, melody(range(80, 60, -1))], corpus)
    assert first == {"longest_run": 9, "longest_top_run": 9}
    assert second == {"longest_run": 0, "longest_top_run": 0}


def test_a_copied_melody_is_found_over_another_left_hand(notebook):
    tune = [72, 74, 71, 76, 69, 77, 79, 74]
    basses = [40, 43, 45, 41, 47, 48, 40, 45], [50, 50, 47, 52, 45, 53, 50, 48]
    own, other = (
        make_piece("", [(i, 1, pitch, 64) for hand in (tune, bass)
                        for i, pitch in enumerate(hand)]) for bass in basses
    )  # fmt: skip
    (row,) = notebook.measure_novelty([own], [other])
    assert row == {"longest_run": 0, "longest_top_run": 8}


# Has it form?


def blocks(letters, bars=4, seed=0):
    """Return a piece of random bars that come back as the letters say."""
    generator = np.random.default_rng(seed)
    parts = {each: generator.integers(48, 84, (4 * bars, 2)) for each in letters}
    rows = [parts[each] for each in letters]
    notes = [(i, 1, pitch, 64) for i, row in enumerate(np.concatenate(rows).tolist())
             for pitch in set(row)]  # fmt: skip
    return make_piece(letters, notes)


def test_what_comes_back_has_structure(notebook):
    repeated = notebook.structureness(blocks("ABAB"))
    through = notebook.structureness(blocks("ABCD"))
    assert repeated["structureness_8_16"] > 0.3 > 2 * through["structureness_8_16"]


def test_fitness_by_hand(notebook):
    """Two of three bars are alike: a path over one bar scores 1, both cover two."""
    alike = np.array([[1, -2, 1], [-2, 1, -2], [1, -2, 1]], float)
    fitness = notebook.find_fitness(alike, 1)
    # score (2 - 1) / 2 cells, coverage (2 - 1) / 3 bars: their harmonic mean
    assert fitness == pytest.approx([0.4, 0, 0.4], abs=1e-6)
    # the identity explains nothing but itself
    assert notebook.find_fitness(3 * np.eye(4) - 2, 2) == pytest.approx([0, 0, 0])


def test_recurrence_of_the_left_hand_by_hand(notebook):
    bar = [(0, 1, 40, 64), (1, 1, 43, 64), (2, 1, 45, 64)]
    other = [(0, 1, 40, 64), (1, 1, 44, 64), (3, 1, 45, 64)]
    high = [(i, 1, 80, 64) for i in range(12)]
    notes = [(onset + 4 * i, *rest) for i, each in enumerate((bar, other, bar))
             for onset, *rest in each]  # fmt: skip
    piece = make_piece("", notes + high)
    # the second bar shares one of five, the third is the first
    assert notebook.left_hand_recurrence(piece) == pytest.approx((1 / 5 + 1) / 2)
    assert np.isnan(notebook.left_hand_recurrence(melody((60, 62))))


def test_rests_by_hand(notebook):
    notes = [(0, 1, 72, 64), (3, 1, 74, 64), (5, 1, 71, 64), (14, 2, 72, 64)]
    piece = make_piece("", notes + [(i, 1, 40, 64) for i in range(16)])
    assert notebook.count_rests(piece) == pytest.approx(8 * 2 / 4)  # of 2 and 8


# Can a machine tell?


def test_equal_music_cannot_be_told_apart(notebook):
    real = [random_piece(seed, 120) for seed in range(8)]
    generated = [random_piece(seed, 120) for seed in range(8, 16)]
    value, low, high = notebook.two_sample_auc(real, generated, range(3))
    assert abs(value - 0.5) < 0.2
    assert 0 <= low <= value <= high <= 1


def test_different_music_is_told_apart(notebook):
    real = [random_piece(seed, 120) for seed in range(6)]
    generated = [random_piece(seed, 120, low=70, high=100) for seed in range(6)]
    value, low, high = notebook.two_sample_auc(real, generated, range(2))
    assert value > 0.95 and low > 0.9 and high <= 1


@pytest.fixture
def splits(notebook, monkeypatch):
    """Return the list of the splits that the forest makes from now on."""
    seen = []

    class Spy(notebook.model_selection.StratifiedGroupKFold):
        def split(self, features, labels, groups):
            for train, test in super().split(features, labels, groups):
                sides = (set(groups[train]), set(groups[test]), set(labels[test]))
                seen.append((features, groups, sides))
                yield train, test

    monkeypatch.setattr(notebook.model_selection, "StratifiedGroupKFold", Spy)
    return seen


def test_a_pieces_excerpts_are_never_split(notebook, splits):
    real, generated = (
        [random_piece(s, 90) for s in p] for p in (range(4), range(4, 8))
    )
    notebook.two_sample_auc(real, generated, [0])
    assert len(splits) == 4
    for _, _, (train, test, labels) in splits:
        assert train.isdisjoint(test) and labels == {0, 1}


def test_excerpts_follow_each_other(notebook, splits):
    pieces = [melody([50] * 10 + [60] * 10), melody([70] * 10 + [80] * 10 + [90] * 5)]
    notebook.two_sample_auc(pieces, pieces, [0])
    features, groups, _ = splits[0]
    assert groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert features[:, 0].tolist() == [50, 60, 70, 80] * 2  # their mean pitches


def test_the_forest_needs_two_pieces_on_each_side(notebook):
    with pytest.warns(UserWarning, match="two pieces"):
        result = notebook.two_sample_auc(
            [melody((60, 62))], [melody((60, 62))] * 2, [0]
        )
    assert np.isnan(result).all()


def test_the_forest_takes_a_piece_of_one_event(notebook):
    pieces = [random_piece(seed, 40) for seed in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, _, _ = notebook.two_sample_auc([*pieces, melody((60,))], pieces, [0])
    assert np.isnan(value) or 0 <= value <= 1


def test_cut_excerpts_have_the_length_asked_for(notebook):
    pieces = [random_piece(1, 90), random_piece(2, 10)]
    vocabulary = notebook.build_vocabulary(pieces, 548)
    cut = notebook.cut_excerpts(pieces, vocabulary, 20, np.random.default_rng(0))
    assert [len(notebook.group_notes(piece)[0]) for piece in cut] == [20, 10]
    for piece, excerpt in zip(pieces, cut, strict=True):
        places, kept = (notebook.group_notes(each)[0] % 48 for each in (piece, excerpt))
        at = [i for i in range(len(places)) if places[i] == kept[0]]
        assert any(np.array_equal(places[i : i + len(kept)], kept) for i in at)
    tops = notebook.top_voice(pieces[0]).tolist()
    assert any(
        tops[i : i + 20] == notebook.top_voice(cut[0]).tolist() for i in range(71)
    )


# All together.


def evaluated(notebook, real, generated, pool):
    """Return the histogram metrics' rows, by name."""
    rows = notebook.evaluate_histograms(
        real, generated, pool, notebook.HISTOGRAM_METRICS, 60, np.random.default_rng(0)
    )
    return {row["metric"]: row for row in rows}


def test_bounds_contain_the_value(notebook):
    real = [random_piece(seed) for seed in range(6)]
    generated = [random_piece(seed, low=55) for seed in range(6, 12)]
    for row in evaluated(notebook, real, generated, real + generated).values():
        assert row["low"] <= row["value"] <= row["high"]
        assert row["floor_low"] <= row["floor_median"] <= row["floor_high"]
        assert row["direction"] in ("lower", "higher")


def test_values_and_floors_of_the_same_kind_of_music_meet(notebook):
    pieces = [random_piece(seed) for seed in range(12)]
    rows = evaluated(notebook, pieces[:6], pieces[6:], pieces)
    other = evaluated(notebook, pieces[:6], [random_piece(9, low=70)] * 6, pieces)
    kl = rows["kl_divergence"]
    assert 0.3 * kl["floor_low"] < kl["value"] < 3 * kl["floor_high"]
    assert other["kl_divergence"]["value"] > 3 * kl["floor_high"]


@pytest.mark.filterwarnings("ignore")
def test_an_undefined_metric_has_no_bounds(notebook):
    real = [random_piece(seed) for seed in range(4)]
    rows = evaluated(notebook, real, [melody((60,))] * 4, real)
    row = rows["interval_similarity"]
    assert np.isnan([row["value"], row["low"], row["high"]]).all()


def test_bounds_are_moved_to_lie_about_the_value(notebook):
    low, high = notebook.bounds_of(5.0, np.linspace(6, 8, 201))
    assert low == pytest.approx(5 - 0.95) and high == pytest.approx(5 + 0.95)
    low, _ = notebook.bounds_of(0.5, np.linspace(0, 8, 201))
    assert low == 0  # of what is never negative
    low, _ = notebook.bounds_of(0.5, np.linspace(0, 8, 201), -np.inf)
    assert low == pytest.approx(0.5 - 3.8)


def test_a_row_by_hand(notebook):
    row = notebook.make_row("m", 0.5, (0.4, 0.7), np.arange(101.0), "lower")
    assert row == {
        "metric": "m", "value": 0.5, "low": 0.4, "high": 0.7, "floor_low": 5,
        "floor_median": 50, "floor_high": 95, "direction": "lower",
    }  # fmt: skip


def test_a_measure_that_no_music_has_is_left_out(notebook):
    """Such as the lift of a melody where no two notes come together."""
    rows = [{"model": "m", **notebook.make_row(name, 0.5, (0.4, 0.7), [1.0, 2.0], "")}
            for name in ("two_sample_auc", "polyphony")]  # fmt: skip
    table = notebook.summarise(pd.DataFrame(rows), ["polyphony", "melody_lift"])
    assert list(table) == ["polyphony"] and list(table.index)[1:] == ["m"]


def test_properties_by_hand(notebook):
    ours = [{"a": 1.0, "b": np.nan}, {"a": 3.0, "b": np.nan}]
    theirs = [{"a": 2.0, "b": 1.0}] * 3
    with pytest.warns(UserWarning, match="b is not defined"):
        (row,) = notebook.evaluate_properties(
            ours, theirs, 50, np.random.default_rng(1)
        )
    assert row["metric"] == "a" and row["value"] == 2 and row["floor_median"] == 2
    assert row["low"] <= 2 <= row["high"]


@pytest.mark.filterwarnings("ignore")
def test_a_copy_of_the_training_pieces_is_found_out_by_novelty_alone(notebook):
    training = [random_piece(seed) for seed in range(4)]
    real = [random_piece(seed) for seed in range(4, 8)]
    rows = notebook.evaluate(
        training, real, training + real, training,
        notebook.build_vocabulary(training, 548).chords, [0.5], 20, [3],
    )  # fmt: skip
    table = pd.DataFrame(rows).set_index("metric")
    assert table.loc["longest_run", "value"] == 80
    assert table.loc["longest_top_run", "value"] == 80
    assert table.loc["longest_run", "floor_high"] < 10
    assert (table["n_pieces"] == 4).all() and (table["n_events"] == 320).all()


def test_altered_pieces_keep_what_they_should(notebook):
    piece = random_piece(1)
    vocabulary = notebook.build_vocabulary([piece], 548)
    generator = np.random.default_rng(0)
    (even,) = notebook.alter_pieces([piece], vocabulary, "constant_rhythm", generator)
    assert set(np.flatnonzero(notebook.count_steps(even))) == {6}
    (mixed,) = notebook.alter_pieces([piece], vocabulary, "shuffled", generator)
    assert not np.array_equal(notebook.top_voice(mixed), notebook.top_voice(piece))
    assert np.array_equal(notebook.count_pitches(even), notebook.count_pitches(piece))
