"""Tables and networks: their probabilities, their shapes, what they write."""

import math
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers import make_piece, melody, random_piece, small_lstm, walking_piece

import definitions

VOCABULARY = 548
PLAIN = (1.0, 1.0, 0)  # sampling that leaves a distribution as it is


# Tables.


def test_witten_bell_by_hand(notebook):
    ngram = notebook.Ngram([[0, 1, 0, 0]], 2, 4)
    # order 1: four tokens, two kinds: (0: 3, 1: 1), total 4 + 2
    unigram = np.full(4, 2 / 6 / 4) + np.array([3, 1, 0, 0]) / 6
    assert np.allclose(ngram.shorten(1).probabilities([]), unigram)
    # behind 0 stand 1 and 0, once each: total 2 + 2
    behind = unigram * 2 / 4 + np.array([1, 1, 0, 0]) / 4
    assert np.allclose(ngram.probabilities([1, 0]), behind)
    # behind 3 stands nothing: the unigram
    assert np.allclose(ngram.probabilities([3]), unigram)


def test_uniform_table_knows_nothing(notebook):
    table, _ = notebook.train_uniform([], [], list(range(7)), 0, 0)
    assert np.allclose(table.predict([0, 1, 2]), np.full((2, 7), 1 / 7))


@pytest.mark.parametrize("order", range(6))
def test_tables_sum_to_one_and_rule_nothing_out(notebook, order):
    tokens = np.random.default_rng(0).integers(9, size=60)
    rows = notebook.Ngram([tokens], order, 12).predict(tokens)
    assert rows.shape == (59, 12)
    assert np.allclose(rows.sum(axis=1), 1) and (rows > 0).all()


def as_events(notebook, tokens):
    """Return tokens as a sequence of events."""
    sequence = np.zeros(len(tokens), notebook.EVENT)
    sequence["token"] = tokens
    return sequence


@pytest.fixture
def shares(notebook, monkeypatch):
    """Return the list of the distributions that are drawn from from now on."""
    seen, original = [], notebook.draw_classes

    def spy(logits, *rest, **settings):
        tf.py_function(lambda x: seen.append(tf.nn.softmax(x).numpy()), [logits], [])
        return original(logits, *rest, **settings)

    monkeypatch.setattr(notebook, "draw_classes", spy)
    return seen


def check_drawing(notebook, predictor, tokens, start, shares, tolerance):
    """Check that what is drawn from is what `score` and `predict` say."""
    seeds, generators = [tokens[:start]] * 2, np.random.default_rng(4).spawn(2)
    seeds = [as_events(notebook, seed) for seed in seeds]
    rows, _ = notebook.write_events(predictor, seeds, 12, PLAIN, generators, seeds[0])
    drawn = shares[-12:]
    for stream, row in enumerate(rows):
        whole = np.concatenate([tokens[:start], row["token"]])
        predicted = predictor.predict(whole)[start - 1 :]
        assert np.allclose([each[stream] for each in drawn], predicted, atol=tolerance)
    assert np.allclose(drawn[0][0], drawn[0][1], atol=tolerance)
    assert rows[0]["token"].tolist() != rows[1]["token"].tolist()


def test_tables_draw_from_what_they_predict(notebook, shares):
    tokens = np.random.default_rng(0).integers(9, size=30)
    ngram = notebook.Ngram([tokens], 4, 12)
    check_drawing(notebook, ngram, tokens, 5, shares, 1e-6)


def test_score_by_hand(notebook):
    ngram = notebook.Ngram([[0, 1, 0, 0]], 1, 4)
    nats, hits = ngram.score(as_events(notebook, [3, 0, 1]))["token"]
    # as above, 0: 1 / 12 + 3 / 6 and 1: 1 / 12 + 1 / 6, of which 0 is likelier
    assert np.allclose(nats, [-math.log(7 / 12), -math.log(3 / 12)])
    assert hits.tolist() == [True, False]


def score_pieces(notebook, predictor, pieces, vocabulary):
    """Return the scores of the tokens of some pieces."""
    return notebook.score_streams(predictor, pieces, vocabulary)["token"]


def test_uniform_costs_the_logarithm_of_the_vocabulary(notebook):
    pieces = [random_piece(1), random_piece(2, 30)]
    vocabulary = notebook.build_vocabulary(pieces, 88)
    table, _ = notebook.train_uniform([], [], vocabulary, 0, 0)
    score = score_pieces(notebook, table, pieces, vocabulary)
    assert score["nats_per_event"] == pytest.approx(math.log(88))
    assert score["nats_per_note"] == pytest.approx(math.log(88))  # single notes alone


def test_hits_are_shared_where_several_values_are_likeliest(notebook):
    shares = np.array([[0.25] * 4, [0.4, 0.4, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])
    for values, hits in (([0, 0, 0], [0.25, 0.5, 0]), ([3, 2, 3], [0.25, 0, 1])):
        assert notebook.judge(shares, np.array(values))[1].tolist() == hits


def test_nats_per_note_divide_by_the_notes_that_sound(notebook):
    chords = [(i, 1, pitch, 64) for i in range(5) for pitch in (60, 64, 67)]
    piece = make_piece("chords", chords)
    vocabulary = notebook.build_vocabulary([piece], 89)
    table, _ = notebook.train_uniform([], [], vocabulary, 0, 0)
    score = score_pieces(notebook, table, [piece], vocabulary)
    assert score["nats_per_event"] == pytest.approx(math.log(89))
    assert score["nats_per_note"] == pytest.approx(math.log(89) / 3)


@pytest.mark.parametrize("kind", ["ngram", "published"])
@pytest.mark.filterwarnings("ignore")
def test_a_piece_of_one_event_does_not_stop_the_scoring(tiny, kind):
    pieces = [walking_piece(seed, 40) for seed in range(3)]
    vocabulary = tiny.build_vocabulary(pieces, 92)
    predictor = make_predictor(tiny, size=len(vocabulary))
    if kind == "ngram":
        predictor, _ = tiny.train_ngram(pieces, [], vocabulary, 0, 2)
    alone = score_pieces(tiny, predictor, pieces[:1], vocabulary)
    both = score_pieces(tiny, predictor, [pieces[0], melody((60,))], vocabulary)
    assert both["nats_per_event"] == pytest.approx(alone["nats_per_event"])


def test_tables_learn_in_all_twelve_keys(notebook):
    learning, stopping = [walking_piece(1)], [notebook.transpose(walking_piece(1), 3)]
    vocabulary = notebook.build_vocabulary(learning, 88)
    ngram, losses = notebook.train_ngram(learning, stopping, vocabulary, 0, 0)
    curve = losses["stopping"]
    assert len(curve) == 5 and curve[ngram.order - 1] == min(curve)
    assert score_pieces(notebook, ngram, stopping, vocabulary)["accuracy"] > 0.7


def test_final_table_has_the_order_that_the_folds_chose(notebook, monkeypatch):
    monkeypatch.setattr(notebook, "VOCABULARY_SIZE", 88)
    pieces = [random_piece(seed, 60) for seed in range(4)]
    trainer = notebook.train_ngram
    chosen, _ = notebook.train_fold("ngram", trainer, pieces[:3], pieces[3:], 0, 60)
    assert chosen.predictor.order < 5  # noise: long contexts do not help
    epochs = chosen.settings["epochs"]
    final, _ = notebook.train_fold("ngram", trainer, pieces, [], 0, epochs)
    assert final.predictor.order == chosen.predictor.order


def test_a_memory_of_the_piece_helps_where_a_piece_repeats_itself(notebook):
    """What a table has not seen, a table of the piece so far has."""
    learning = [random_piece(seed, 60) for seed in range(3)]
    vocabulary = notebook.build_vocabulary(learning, 200)
    tokens = np.tile(np.random.default_rng(3).integers(len(vocabulary), size=12), 6)
    ngram, _ = notebook.train_ngram(learning, [], vocabulary, 0, 2)
    memory, _ = notebook.train_memory(learning, [], vocabulary, 0, 4)
    assert memory.memory == notebook.MEMORY_SHARES[3] and not ngram.memory
    shares = memory.predict(tokens)
    assert np.allclose(shares.sum(axis=1), 1)
    without, with_memory = (
        notebook.judge(table.predict(tokens), tokens[1:])[0][24:].mean()
        for table in (ngram, memory)
    )
    assert with_memory < without - 1
    # what it remembers is what came before: the end changes nothing at the beginning
    assert np.array_equal(memory.predict(tokens[:20]), shares[:19])


def test_tables_write_all_streams_each_after_its_own_past(notebook):
    """A stream that alternates goes on so, whatever the tokens do."""
    notes = [(i * 0.5 + (i % 2) * 0.25, 0.25, 60 + i % 7, 100 if i % 2 else 40)
             for i in range(60)]  # fmt: skip
    piece = make_piece("alternating", notes)
    vocabulary = notebook.build_vocabulary([piece], 88)
    ngram, _ = notebook.train_ngram([piece], [], vocabulary, 0, 2)
    seed = notebook.encode(piece, vocabulary)[:10]
    generators = [np.random.default_rng(1)]
    (events,), _ = notebook.write_events(
        ngram, [seed], 20, (0.05, 1.0, 0), generators, None
    )
    assert len(set(events["velocity"][::2])) == len(set(events["velocity"][1::2])) == 1
    assert set(events["velocity"]) == {5, 12} and set(events["step"]) == {3, 9}


# The published stack.


def test_layers_of_the_published_stack(notebook):
    network = notebook.build_published_lstm(VOCABULARY)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["LSTM", "Dropout", "LSTM", "Dense", "Dropout", "Dense"]
    shapes = [layer.output.shape for layer in network.layers]
    assert shapes == [
        (None, 40, 256), (None, 40, 256), (None, 128), (None, 128), (None, 128),
        (None, VOCABULARY),
    ]  # fmt: skip
    assert network.input_shape == (None, 40, 1)
    assert [network.layers[i].rate for i in (1, 4)] == [0.1, 0.1]
    activations = [network.layers[i].activation.__name__ for i in (3, 5)]
    assert activations == ["linear", "softmax"]
    assert type(network.optimizer).__name__ == "Adamax"
    assert float(network.optimizer.learning_rate) == pytest.approx(0.01)
    assert network.loss == "categorical_crossentropy"


@pytest.mark.parametrize("every_step", [False, True])
def test_parameters_of_the_published_stack(notebook, every_step):
    def lstm(inputs, units):
        return 4 * units * (inputs + units + 1)

    def dense(inputs, units):
        return units * (inputs + 1)

    expected = lstm(1, 256) + lstm(256, 128) + dense(128, 128) + dense(128, VOCABULARY)
    network = notebook.build_published_lstm(VOCABULARY)
    assert network.count_params() == expected == 548_516
    rebuilt = notebook.rebuild(network, every_step)
    assert rebuilt.count_params() == expected
    assert rebuilt.input_shape == (None, None, 1)
    assert [layer.rate for layer in rebuilt.layers if hasattr(layer, "rate")] == (
        [0.1, 0.1]
    )


def test_training_uses_the_published_optimizer(tiny):
    piece = walking_piece(1, 40)
    vocabulary = tiny.build_vocabulary([piece], 92)
    predictor, _ = tiny.train_published([piece], [], vocabulary, 1, 1)
    network = predictor.network
    assert type(network.optimizer).__name__ == "Adamax"
    assert float(network.optimizer.learning_rate) == pytest.approx(0.01)
    assert network.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize("units", [(8,), (8, 6), (8, 7, 6)])
def test_depth_and_width_may_be_changed(tiny, monkeypatch, units):
    """Change the layers, and everything behind goes on working."""

    def build(size):
        last = len(units) - 1
        layers = [tiny.LSTM(n, return_sequences=i < last) for i, n in enumerate(units)]
        return tiny.Sequential(
            [tiny.keras.Input((8, 1)), *layers, tiny.Dense(size, activation="softmax")]
        )

    monkeypatch.setattr(tiny, "build_published_lstm", build)
    pieces = [walking_piece(seed, 40) for seed in range(2)]
    model, _ = tiny.train_fold("published", tiny.train_published, pieces, [], 1, 1)
    lstms = [each for each in model.predictor.network.layers if type(each) is tiny.LSTM]
    assert [layer.units for layer in lstms] == list(units)
    seed = tiny.encode(pieces[0], model.vocabulary)[:8]
    assert len(tiny.generate_music(model, seed, 12, generator=1).notes) >= 12


def test_the_seed_alone_decides_over_the_network(notebook):
    one, again, other = (
        notebook.rebuild(small_lstm(92), True, seed).get_weights() for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def make_predictor(notebook, length=8, every_step=True, size=96):
    """Return an untrained small network as a predictor, with weights that matter."""
    network = notebook.rebuild(small_lstm(size), every_step, 3)
    generator = np.random.default_rng(0)
    network.set_weights(
        [generator.normal(0, 0.5, w.shape) for w in network.get_weights()]
    )
    return notebook.PublishedPredictor(network, size, length)


def test_every_step_and_last_step_predict_the_same(notebook):
    tokens = np.random.default_rng(1).integers(96, size=(5, 8))
    network = make_predictor(notebook).network
    inputs = notebook.scale_tokens(tokens, 96)
    every, last = (
        notebook.rebuild(network, each).predict(inputs, verbose=0)
        for each in (True, False)
    )
    assert every.shape == (5, 8, 96) and last.shape == (5, 96)
    assert np.allclose(every[:, -1], last, atol=1e-6)


@pytest.mark.parametrize("every_step", [True, False])
def test_prediction_sees_the_window_and_no_more(notebook, every_step):
    tokens = np.random.default_rng(1).integers(96, size=30)
    predictor = make_predictor(notebook, every_step=every_step)
    rows = predictor.predict(tokens)
    assert rows.shape == (29, 96) and np.allclose(rows.sum(axis=1), 1, atol=1e-5)
    network = notebook.rebuild(predictor.network, False)
    for place in (1, 5, 8, 9, 20, 29):
        window = notebook.scale_tokens(tokens[max(0, place - 8) : place], 96)
        expected = network.predict(window[None], verbose=0)[0]
        assert np.allclose(rows[place - 1], expected, atol=1e-6)


def test_the_network_draws_from_what_it_predicts(notebook, shares):
    tokens = np.random.default_rng(2).integers(96, size=20)
    predictor = make_predictor(notebook, length=40)
    check_drawing(notebook, predictor, tokens, 5, shares, 1e-5)


@pytest.mark.parametrize("every_step", [True, False])
def test_targets_are_the_events_behind(tiny, monkeypatch, every_step):
    mode = "every_step" if every_step else "last_step"
    monkeypatch.setattr(tiny, "TRAINING_MODE", mode)
    piece, seen = walking_piece(1, 60), []
    vocabulary = tiny.build_vocabulary([piece], 92)
    size, known = len(vocabulary), tiny.encode(piece, vocabulary)["token"].tolist()

    def fit(network, batches, *, steps_per_epoch, **_):
        seen.extend(next(batches) for _ in range(steps_per_epoch))
        return SimpleNamespace(history={"loss": [1.0]})

    monkeypatch.setattr(tiny.Sequential, "fit", fit)
    tiny.train_published([piece], [], vocabulary, 1, 1)
    assert len(seen) == math.ceil(6 / 4 if every_step else 52 / 16)
    count = 0
    for inputs, targets in seen:
        tokens = np.rint(inputs[..., 0] * size).astype(int)
        assert inputs.shape[1:] == (8, 1) and (inputs < 1).all()
        assert targets.shape == tokens.shape if every_step else targets.ndim == 1
        for row, target in zip(tokens.tolist(), targets, strict=True):
            window = [*row, int(target[-1] if every_step else target)]
            assert any(known[i : i + 9] == window for i in range(52))
            assert not every_step or target.tolist() == window[1:]
            count += 1
    assert count == (6 if every_step else 52)


@pytest.mark.parametrize("mode", ["every_step", "last_step"])
def test_training_lowers_the_loss(tiny, monkeypatch, mode):
    monkeypatch.setattr(tiny, "TRAINING_MODE", mode)
    pieces = [walking_piece(seed, 120) for seed in range(3)]
    vocabulary = tiny.build_vocabulary(pieces, 92)
    predictor, losses = tiny.train_published(pieces, [], vocabulary, 1, 12)
    curve = losses["learning"]
    assert losses["stopping"] == []
    assert len(curve) == 12 and curve[-1] < 0.85 * curve[0]
    assert predictor.predict(list(range(12))).shape == (11, len(vocabulary))


def test_training_stops_early_with_the_best_weights(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "PATIENCE", 2)
    learning = [walking_piece(seed, 60) for seed in range(3)]
    stopping = [random_piece(7, 120, low=86, high=108)]
    vocabulary = tiny.build_vocabulary(learning + stopping, 92)
    _, losses = tiny.train_published(learning, stopping, vocabulary, 1, 40)
    curve = losses["stopping"]
    assert len(losses["learning"]) == len(curve)
    assert len(curve) < 40 and len(curve) - 1 - int(np.argmin(curve)) == 2


@pytest.mark.parametrize("events", [2, 9, 15, 17])
def test_short_stopping_pieces_do_not_stop_the_training(tiny, events):
    learning = [walking_piece(seed, 60) for seed in range(3)]
    vocabulary = tiny.build_vocabulary(learning, 92)
    stopping = [walking_piece(9, events)]
    _, losses = tiny.train_published(learning, stopping, vocabulary, 1, 2)
    assert len(losses["learning"]) == 2 and np.isfinite(losses["learning"]).all()


# Drawing.


def draw(notebook, shares, uniforms, sampling=PLAIN, banned=((-1,),)):
    """Return classes drawn from rows of shares."""
    logits = tf.math.log(tf.constant(shares, tf.float32))
    banned = tf.constant(banned, tf.int32)
    return notebook.draw_classes(logits, uniforms, banned, *sampling).numpy()


def frequencies(notebook, shares, *settings):
    """Return how often each class is drawn from some shares."""
    uniforms = (np.arange(20_000) + 0.5) / 20_000
    drawn = draw(notebook, np.tile(shares, (20_000, 1)), uniforms, *settings)
    return np.bincount(drawn, minlength=len(shares)) / 20_000


def test_frequencies_follow_the_distribution(notebook):
    shares = np.array([0.5, 0.25, 0.0, 0.25])
    counts = frequencies(notebook, shares)
    assert np.allclose(counts, shares, atol=1e-3) and counts[2] == 0


def test_temperature_sharpens_and_flattens(notebook):
    shares = np.array([0.5, 0.3, 0.2])
    for temperature in (0.5, 1.0, 2.0):
        expected = shares ** (1 / temperature)
        counts = frequencies(notebook, shares, (temperature, 1.0, 0))
        assert np.allclose(counts, expected / expected.sum(), atol=1e-3)
    assert np.allclose(frequencies(notebook, shares, (100.0, 1.0, 0)), 1 / 3, atol=0.01)
    assert frequencies(notebook, shares, (0.01, 1.0, 0))[0] > 0.999


def test_top_k_of_one_is_the_likeliest(notebook):
    shares = np.random.default_rng(0).dirichlet(np.ones(20), 50)
    for uniform in (0.0, 0.5, 0.999999):
        tokens = draw(notebook, shares, np.full(50, uniform), (1.0, 1.0, 1))
        assert np.array_equal(tokens, shares.argmax(axis=1))


def test_top_k_and_top_p_by_hand(notebook):
    shares = np.array([0.1, 0.4, 0.3, 0.2])

    def kept(*sampling):
        return np.flatnonzero(frequencies(notebook, shares, sampling)).tolist()

    assert kept(1.0, 1.0, 2) == [1, 2]
    assert kept(1.0, 0.65, 0) == [1, 2]
    assert kept(1.0, 0.75, 0) == [1, 2, 3]
    assert kept(1.0, 0.01, 0) == [1]
    assert kept(1.0, 0.95, 1) == [1]
    assert kept(1.0, 0.5, 2) == [1]  # 4/7 of what top_k leaves
    assert kept(1.0, 1.0, 9) == [0, 1, 2, 3]


def test_what_is_banned_never_comes(notebook):
    shares = np.array([0.1, 0.4, 0.3, 0.2])
    counts = frequencies(notebook, shares, PLAIN, ((1, -1, 3),))
    assert np.allclose(counts, [0.25, 0, 0.75, 0], atol=1e-3)
    counts = frequencies(notebook, shares, (1.0, 1.0, 1), ((1, -1, -1),))
    assert counts.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval_draw_a_possible_token(notebook, uniform):
    shares = np.random.default_rng(1).dirichlet(np.ones(30), 200)
    shares[:, [0, -1]] = 0
    tokens = draw(notebook, shares, np.full(200, uniform))
    assert ((tokens > 0) & (tokens < 29)).all()


# The guard against loops.


class Looper:
    """A model that all but surely repeats a pattern."""

    streams = 1

    def __init__(self, pattern, size=20):
        self.pattern, self.size = pattern, size

    def begin(self, seeds, sampling, moods, forms):
        """Return a function that draws the next tokens, and where it starts from."""

        def step(place, uniforms, banned):
            shares = np.full((len(seeds), self.size), 1e-6)
            shares[:, self.pattern[place % len(self.pattern)]] = 1
            drawn = draw(definitions, shares, uniforms[:, 0], sampling, banned)
            return drawn[:, None], place + 1

        return step, 0


def loop(notebook, pattern, seed, length, top_k=1):
    """Return the tokens that a looper writes, and how often it left a loop."""
    seed = as_events(notebook, seed)
    rows, left = notebook.write_events(
        Looper(pattern), [seed], length, (1.0, 1.0, top_k),
        [np.random.default_rng(0)], seed,
    )  # fmt: skip
    return rows[0]["token"].tolist(), left[0]


def longest_loop(tokens, period):
    """Return how many tokens in a row stand in a loop of a period."""
    longest, run = 0, period
    for place in range(period, len(tokens)):
        run = run + 1 if tokens[place] == tokens[place - period] else period
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("period", range(1, 9))
@pytest.mark.parametrize("top_k", [0, 1])
def test_the_guard_leaves_loops_of_every_period(notebook, period, top_k):
    pattern = list(range(period))
    drawn, left = loop(notebook, pattern, [15, 16, 17], 100, top_k)
    assert longest_loop(drawn, period) < max(4 * period, 12)
    assert left > 0


def test_the_guard_leaves_other_music_alone(notebook):
    pattern = np.random.default_rng(3).integers(19, size=100).tolist()
    assert loop(notebook, pattern, [19], 100) == (pattern, 0)


def test_a_pattern_of_nine_events_is_no_loop(notebook):
    pattern = list(range(9))
    assert loop(notebook, pattern, [19], 90) == (pattern * 10, 0)


def test_a_loop_is_known_at_its_fourth_turn(notebook):
    history = np.array([[1, 2, 3, 4] * 3 + [1, 2, 3]])
    assert notebook.closes_loop(history, np.array([4])).tolist() == [True]
    assert notebook.closes_loop(history, np.array([5])).tolist() == [False]
    assert notebook.closes_loop(history[:, 1:], np.array([4])).tolist() == [False]
    assert notebook.closes_loop(np.full((1, 10), 7), np.array([7])).tolist() == [False]
    assert notebook.closes_loop(np.full((1, 11), 7), np.array([7])).tolist() == [True]


# Music.


@pytest.fixture
def model(tiny):
    """Return a small model that was not trained."""
    vocabulary = tiny.Vocabulary([*[(p,) for p in range(21, 109)],
                                  *[(p, p + 4) for p in range(60, 68)]])  # fmt: skip
    rhythm = tiny.encode(random_piece(4), vocabulary)
    settings, sources = {"sequence_length": 8}, tiny.Sources([])
    predictor = make_predictor(tiny)
    return tiny.Model("small", predictor, vocabulary, rhythm, 111.0, settings, sources)


@pytest.fixture
def seed(tiny, model):
    """Return a window of events."""
    features, _ = tiny.make_windows([tiny.encode(random_piece(5), model.vocabulary)], 8)
    return features[3]


def test_the_published_call_works_to_the_letter(notebook, model, seed):
    piece = notebook.generate_music(model, seed, length=100)
    assert isinstance(piece, notebook.Piece) and piece.tempo == 111.0
    assert 1 <= len(notebook.group_notes(piece)[0]) <= 100
    assert len(piece.notes) >= 60 and set(piece.notes["pitch"]) <= set(range(21, 109))


def test_length_counts_events(notebook, model, seed, monkeypatch):
    lengths = []
    original = notebook.decode
    monkeypatch.setattr(
        notebook, "decode", lambda s, v: (lengths.append(len(s)), original(s, v))[1]
    )
    for length in (1, 7, 100):
        notebook.generate_music(model, seed, length=length)
    assert lengths == [1, 7, 100]


def test_an_explicit_generator_makes_music_reproducible(notebook, model, seed):
    def take(number):
        generator = np.random.default_rng(number)
        return notebook.generate_music(model, seed, 50, generator=generator).notes

    assert np.array_equal(take(1), take(1))
    assert not np.array_equal(take(1), take(2))


def test_two_takes_of_one_generator_differ(notebook, model, seed):
    generator = np.random.default_rng(1)
    one, other = (
        notebook.generate_music(model, seed, 50, generator=generator).notes
        for _ in range(2)
    )
    assert not np.array_equal(one, other)


def test_a_piece_does_not_depend_on_its_neighbours(notebook, model, seed):
    def pieces(*seeds):
        generator = np.random.default_rng(6)
        return notebook.generate_pieces(model, seeds, 40, generator=generator)

    (alone,) = pieces(seed)
    among = pieces(seed, seed[::-1].copy(), np.roll(seed, 3))
    assert np.array_equal(alone.notes, among[0].notes)
    assert not np.array_equal(among[0].notes, among[1].notes)


def test_the_tempo_may_be_chosen(notebook, model, seed):
    assert notebook.generate_music(model, seed, 9, tempo=77.0).tempo == 77.0


def test_settings_of_section_1_are_used_when_nothing_is_said(
    notebook, model, seed, monkeypatch
):
    asked = []
    begin = model.predictor.begin

    def spy(seeds, sampling, *others):
        asked.append(sampling)
        return begin(seeds, sampling, *others)

    monkeypatch.setattr(model.predictor, "begin", spy)
    for name, value in (("TEMPERATURE", 0.7), ("TOP_P", 0.8), ("TOP_K", 3)):
        monkeypatch.setattr(notebook, name, value)
    notebook.generate_music(model, seed, 1)
    notebook.generate_music(model, seed, 1, temperature=2, top_p=0.5, top_k=0)
    assert asked == [(0.7, 0.8, 3), (2, 0.5, 0)]


def test_left_loops_are_told(notebook, model, seed, capsys):
    looper = model._replace(name="looper", predictor=Looper([40], 96))
    piece = notebook.generate_music(looper, seed, 60)
    assert "loops left" in piece.remarks and piece.remarks in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0}, {"length": -4}, {"length": 2.5}, {"length": "100"},
        {"length": 10**9}, {"length": None}, {"temperature": 0}, {"temperature": -1},
        {"temperature": math.nan}, {"temperature": math.inf}, {"temperature": "hot"},
        {"top_p": 0}, {"top_p": 1.5}, {"top_p": -0.1}, {"top_p": math.nan},
        {"top_p": "most"}, {"top_p": 1e-38}, {"top_k": -1}, {"top_k": 2.5},
        {"top_k": "few"},
        {"tempo": -10}, {"tempo": math.nan}, {"tempo": "fast"}, {"generator": "seven"},
        {"seed": None}, {"seed": []}, {"seed": 5}, {"seed": np.arange(8)},
        {"seed": "flat"}, {"seed": "single"}, {"seed": "many"}, {"seed": "foreign"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_arguments_are_one_sentence(notebook, model, seed, change):
    shapes = {"flat": seed[:0], "single": seed[0], "many": np.stack([seed, seed])}
    shapes["foreign"] = seed.copy()
    shapes["foreign"]["token"][3] = len(model.vocabulary)
    arguments = {"seed": seed, "length": 5, **change}
    if isinstance(arguments["seed"], str):
        arguments["seed"] = shapes[arguments["seed"]]
    with pytest.raises(notebook.NotebookError) as caught:
        notebook.generate_music(model, **arguments)
    (name,) = change
    words = "seed" if name == "seed" else rf"^generate_music: {name} is "
    assert re.search(rf"{words}.*\.$", str(caught.value))


def test_an_argument_without_its_name_is_named(notebook, model, seed):
    with pytest.raises(notebook.NotebookError, match="^generate_music: length is 2.5"):
        notebook.generate_music(model, seed, 2.5)


def test_numbers_of_numpy_are_taken(notebook, model, seed):
    piece = notebook.generate_music(
        model, seed, np.int64(4), temperature=np.float32(0.5), top_k=np.int32(2)
    )
    assert len(piece.notes)


def test_the_error_stream_is_given_back_after_a_failure(notebook, capfd):
    with pytest.raises(ImportError), notebook.quiet():
        os.write(2, b"hushed")
        raise ImportError
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
