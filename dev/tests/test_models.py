"""Tables and networks: their probabilities, their shapes, what they write."""

import math

import keras
import numpy as np
import pytest
from helpers import melody, random_piece, walking_piece

from Music_Generation_LSTM import TokenPredictor

VOCABULARY = 548


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


def test_table_streams_equal_predictions(notebook):
    tokens = np.random.default_rng(0).integers(9, size=30)
    ngram = notebook.Ngram([tokens], 4, 12)
    check_streams(ngram, tokens, ngram.predict(tokens), 5, 1e-12)


def check_streams(predictor, tokens, predicted, start, tolerance):
    """Check that a stream's distributions equal those of `predict`."""
    shares, advance = predictor.begin([tokens[:start], tokens[:start]])
    for place in range(start, len(tokens)):
        assert np.allclose(shares[0], predicted[place - 1], atol=tolerance)
        assert np.allclose(shares[0], shares[1], atol=tolerance)
        shares = advance([tokens[place]] * 2)


def test_score_by_hand(notebook):
    predictions = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    nats, accuracy = notebook.score_tokens(predictions, np.array([0, 1]))
    assert nats == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    assert accuracy == 0.5


def test_uniform_costs_the_logarithm_of_the_vocabulary(notebook):
    pieces = [random_piece(1), random_piece(2, 30)]
    vocabulary = notebook.build_vocabulary(pieces, 88)
    table, _ = notebook.train_uniform([], [], vocabulary, 0, 0)
    score = notebook.score_pieces(table, pieces, vocabulary)
    assert score["nats_per_event"] == pytest.approx(math.log(88))
    assert score["nats_per_note"] == pytest.approx(math.log(88))  # single notes alone


def test_nats_per_note_divide_by_the_notes_that_sound(notebook):
    chords = [(i, 1, pitch, 64) for i in range(5) for pitch in (60, 64, 67)]
    piece = notebook.make_piece("chords", chords)
    vocabulary = notebook.build_vocabulary([piece], 89)
    table, _ = notebook.train_uniform([], [], vocabulary, 0, 0)
    score = notebook.score_pieces(table, [piece], vocabulary)
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
    alone = tiny.score_pieces(predictor, pieces[:1], vocabulary)
    both = tiny.score_pieces(predictor, [pieces[0], melody((60,))], vocabulary)
    assert both["nats_per_event"] == pytest.approx(alone["nats_per_event"])


def test_tables_learn_in_all_twelve_keys(notebook):
    learning, stopping = [walking_piece(1)], [notebook.transpose(walking_piece(1), 3)]
    vocabulary = notebook.build_vocabulary(learning, 88)
    ngram, curve = notebook.train_ngram(learning, stopping, vocabulary, 0, 0)
    assert len(curve) == 5 and curve[ngram.order - 1] == min(curve)
    assert notebook.score_pieces(ngram, stopping, vocabulary)["accuracy"] > 0.7


def test_final_table_has_the_order_that_the_folds_chose(notebook, monkeypatch):
    monkeypatch.setattr(notebook, "VOCABULARY_SIZE", 88)
    pieces = [random_piece(seed, 60) for seed in range(4)]
    trainer = notebook.train_ngram
    chosen, _ = notebook.train_fold("ngram", trainer, pieces[:3], pieces[3:], 0, 60)
    assert chosen.predictor.order < 5  # noise: long contexts do not help
    epochs = chosen.settings["epochs"]
    final, _ = notebook.train_fold("ngram", trainer, pieces, [], 0, epochs)
    assert final.predictor.order == chosen.predictor.order


# The published stack.


def build(notebook, every_step=False, size=VOCABULARY, **changes):
    """Return the published network, or a changed one."""
    shape = {**notebook.PUBLISHED, **changes}
    return notebook.build_published_lstm(
        size, 40, **shape, every_step=every_step, seed=1
    )


def test_layers_of_the_published_stack(notebook):
    network = build(notebook)
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


@pytest.mark.parametrize("every_step", [False, True])
def test_parameters_of_the_published_stack(notebook, every_step):
    def lstm(inputs, units):
        return 4 * units * (inputs + units + 1)

    def dense(inputs, units):
        return units * (inputs + 1)

    expected = lstm(1, 256) + lstm(256, 128) + dense(128, 128) + dense(128, VOCABULARY)
    assert build(notebook, every_step).count_params() == expected == 548_516


def test_training_uses_the_published_optimizer(tiny):
    network = tiny.build_published_lstm(
        92, None, **tiny.PUBLISHED, every_step=True, seed=1
    )
    batches = token_batches(tiny, walking_piece(1, 40))
    tiny.fit_network(network, batches, [], 1)
    assert type(network.optimizer).__name__ == "Adamax"
    assert float(network.optimizer.learning_rate) == pytest.approx(0.01)
    assert network.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize("units", [(8,), (8, 6), (8, 7, 6)])
def test_depth_and_width_are_parameters(notebook, units):
    network = build(notebook, units=units, dense_units=5)
    lstms = [layer for layer in network.layers if isinstance(layer, keras.layers.LSTM)]
    assert [layer.units for layer in lstms] == list(units)
    assert network.output_shape == (None, VOCABULARY)


def test_same_seed_gives_the_same_network(notebook):
    one, other = (build(notebook, units=(8, 6)).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def make_predictor(notebook, length=8, every_step=True, size=96):
    """Return an untrained small network as a predictor, with weights that matter."""
    network = notebook.build_published_lstm(
        size, None, (8, 6), 5, 0.1, every_step=every_step, seed=3
    )
    generator = np.random.default_rng(0)
    network.set_weights(
        [generator.normal(0, 0.5, w.shape) for w in network.get_weights()]
    )
    return notebook.PublishedPredictor(network, size, length)


def test_every_step_and_last_step_predict_the_same(notebook):
    tokens = np.random.default_rng(1).integers(96, size=(5, 8))
    predictor = make_predictor(notebook)
    inputs = notebook.scale_tokens(tokens, 96)
    every = predictor.answering(True).predict(inputs, verbose=0)
    last = predictor.answering(False).predict(inputs, verbose=0)
    assert every.shape == (5, 8, 96) and last.shape == (5, 96)
    assert np.allclose(every[:, -1], last, atol=1e-6)


@pytest.mark.parametrize("every_step", [True, False])
def test_prediction_sees_the_window_and_no_more(notebook, every_step):
    tokens = np.random.default_rng(1).integers(96, size=30)
    predictor = make_predictor(notebook, every_step=every_step)
    rows = predictor.predict(tokens)
    assert rows.shape == (29, 96) and np.allclose(rows.sum(axis=1), 1, atol=1e-5)
    network = predictor.answering(False)
    for place in (1, 5, 8, 9, 20, 29):
        window = notebook.scale_tokens(tokens[max(0, place - 8) : place], 96)
        expected = network.predict(window[None], verbose=0)[0]
        assert np.allclose(rows[place - 1], expected, atol=1e-6)


def test_streams_equal_predictions(notebook):
    tokens = np.random.default_rng(2).integers(96, size=20)
    predictor = make_predictor(notebook, length=40)
    check_streams(predictor, tokens, predictor.predict(tokens), 5, 1e-5)


def token_batches(notebook, *pieces, every_step=True):
    """Return the batches of some pieces, in windows of eight events."""
    vocabulary = notebook.build_vocabulary(pieces, 92)
    sequences = [notebook.encode(piece, vocabulary) for piece in pieces]
    return notebook.TokenBatches(sequences, 92, 8, 16, every_step, 0)


@pytest.mark.parametrize("every_step", [True, False])
def test_targets_are_the_events_behind(tiny, every_step):
    batches = token_batches(tiny, walking_piece(1, 60), every_step=every_step)
    assert len(batches) == math.ceil((6 if every_step else 52) / 16)
    for inputs, targets in (batches[i] for i in range(len(batches))):
        tokens = np.rint(inputs[..., 0] * 92).astype(int)
        if every_step:
            assert np.array_equal(tokens[:, 1:], targets[:, :-1])
        assert inputs.shape[1:] == (8, 1) and (inputs < 1).all()
        assert targets.shape == tokens.shape if every_step else targets.ndim == 1


@pytest.mark.parametrize("mode", ["every_step", "last_step"])
def test_training_lowers_the_loss(tiny, monkeypatch, mode):
    monkeypatch.setattr(tiny, "TRAINING_MODE", mode)
    pieces = [walking_piece(seed, 120) for seed in range(3)]
    vocabulary = tiny.build_vocabulary(pieces, 92)
    predictor, curve = tiny.train_published(pieces, [], vocabulary, 1, 12)
    assert len(curve) == 12 and curve[-1] < 0.85 * curve[0]
    assert predictor.predict(list(range(12))).shape == (11, len(vocabulary))


def test_training_stops_early_with_the_best_weights(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "PATIENCE", 2)
    learning = [walking_piece(seed, 60) for seed in range(3)]
    stopping = [random_piece(7, 120, low=86, high=108)]
    vocabulary = tiny.build_vocabulary(learning + stopping, 92)
    _, curve = tiny.train_published(learning, stopping, vocabulary, 1, 40)
    assert len(curve) < 40 and len(curve) - 1 - int(np.argmin(curve)) == 2


@pytest.mark.parametrize("events", [2, 9, 15, 17])
def test_short_stopping_pieces_do_not_stop_the_training(tiny, events):
    learning = [walking_piece(seed, 60) for seed in range(3)]
    vocabulary = tiny.build_vocabulary(learning, 92)
    stopping = [walking_piece(9, events)]
    _, curve = tiny.train_published(learning, stopping, vocabulary, 1, 2)
    assert curve and np.isfinite(curve).all()


# Drawing.


def test_temperature_sharpens_and_flattens(notebook):
    shares = np.array([[0.5, 0.3, 0.2]])
    same = notebook.reshape_distribution(shares, 1.0, 1.0, 0)
    assert np.allclose(same, shares)
    cold = notebook.reshape_distribution(shares, 0.5, 1.0, 0)
    assert np.allclose(cold, shares**2 / (shares**2).sum())
    hot = notebook.reshape_distribution(shares, 100.0, 1.0, 0)
    assert np.allclose(hot, 1 / 3, atol=0.01)
    assert notebook.reshape_distribution(shares, 0.01, 1.0, 0)[0, 0] > 0.999


def test_top_k_of_one_is_the_likeliest(notebook):
    shares = np.random.default_rng(0).dirichlet(np.ones(20), 50)
    cut = notebook.reshape_distribution(shares, 1.0, 1.0, 1)
    for uniform in (0.0, 0.5, 0.999999):
        tokens = notebook.draw(cut, np.full(50, uniform))
        assert np.array_equal(tokens, shares.argmax(axis=1))


def test_top_k_and_top_p_by_hand(notebook):
    shares = np.array([[0.1, 0.4, 0.3, 0.2]])

    def kept(*sampling):
        return np.flatnonzero(notebook.reshape_distribution(shares, *sampling)).tolist()

    assert kept(1.0, 1.0, 2) == [1, 2]
    assert kept(1.0, 0.65, 0) == [1, 2]
    assert kept(1.0, 0.75, 0) == [1, 2, 3]
    assert kept(1.0, 0.01, 0) == [1]
    assert kept(1.0, 0.95, 1) == [1]
    assert kept(1.0, 0.5, 2) == [1]  # 4/7 of what top_k leaves
    assert kept(1.0, 1.0, 9) == [0, 1, 2, 3]


def test_frequencies_follow_the_distribution(notebook):
    shares = np.array([0.5, 0.25, 0.0, 0.25])
    uniforms = np.random.default_rng(0).random(20_000)
    tokens = notebook.draw(np.tile(shares, (20_000, 1)), uniforms)
    counts = np.bincount(tokens, minlength=4) / 20_000
    assert np.allclose(counts, shares, atol=0.015) and counts[2] == 0


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval_draw_a_possible_token(notebook, uniform):
    shares = np.random.default_rng(1).dirichlet(np.ones(30), 200)
    shares[:, [0, -1]] = 0
    tokens = notebook.draw(shares, np.full(200, uniform))
    assert ((tokens > 0) & (tokens < 29)).all()


# The guard against loops.


class Looper(TokenPredictor):
    """A model that all but surely repeats a pattern."""

    def __init__(self, pattern, size=20):
        self.pattern, self.size = pattern, size

    def shares(self):
        """Return the distribution of the token at the present place."""
        rows = np.full((1, self.size), 1e-6)
        rows[0, self.pattern[self.place % len(self.pattern)]] = 1
        self.place += 1
        return rows / rows.sum()

    def begin(self, seeds):
        """Return the first distribution and a function to the next ones."""
        self.place = 0
        return self.shares(), lambda tokens: self.shares()


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
    model = Looper(list(range(period)))
    drawn, resampled = notebook.draw_tokens(
        model, [[15, 16, 17]], 100, (1.0, 1.0, top_k), [np.random.default_rng(0)]
    )
    assert longest_loop(drawn[0].tolist(), period) < max(4 * period, 12)
    assert resampled[0] > 0


def test_the_guard_leaves_other_music_alone(notebook):
    pattern = np.random.default_rng(3).integers(19, size=100).tolist()
    drawn, resampled = notebook.draw_tokens(
        Looper(pattern), [[19]], 100, (1.0, 1.0, 1), [np.random.default_rng(0)]
    )
    assert drawn[0].tolist() == pattern and resampled[0] == 0


def test_a_pattern_of_nine_events_is_no_loop(notebook):
    drawn, resampled = notebook.draw_tokens(
        Looper(list(range(9))), [[19]], 90, (1.0, 1.0, 1), [np.random.default_rng(0)]
    )
    assert drawn[0].tolist() == list(range(9)) * 10 and resampled[0] == 0


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
    settings = {"sequence_length": 8}
    predictor = make_predictor(tiny)
    return tiny.Model("small", predictor, vocabulary, rhythm, 111.0, settings)


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


def test_settings_of_section_2_are_used_when_nothing_is_said(
    notebook, model, seed, monkeypatch
):
    asked = []
    original = notebook.reshape_distribution
    monkeypatch.setattr(
        notebook,
        "reshape_distribution",
        lambda *given: (asked.append(given[1:]), original(*given))[1],
    )
    for name, value in (("TEMPERATURE", 0.7), ("TOP_P", 0.8), ("TOP_K", 3)):
        monkeypatch.setattr(notebook, name, value)
    notebook.generate_music(model, seed, 1)
    notebook.generate_music(model, seed, 1, temperature=2, top_p=0.5, top_k=0)
    assert asked == [(0.7, 0.8, 3), (2, 0.5, 0)]


def test_left_loops_are_told(notebook, model, seed, capsys):
    looper = notebook.Model(
        "looper", Looper([40], 96), model.vocabulary, model.rhythm, 100.0, {}
    )
    piece = notebook.generate_music(looper, seed, 60)
    assert "loops left" in piece.remarks and piece.remarks in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0}, {"length": -4}, {"length": 2.5}, {"length": "100"},
        {"length": 10**9}, {"length": None}, {"temperature": 0}, {"temperature": -1},
        {"temperature": math.nan}, {"temperature": math.inf}, {"temperature": "hot"},
        {"top_p": 0}, {"top_p": 1.5}, {"top_p": -0.1}, {"top_p": math.nan},
        {"top_p": "most"}, {"top_k": -1}, {"top_k": 2.5}, {"top_k": "few"},
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
    assert str(caught.value).endswith(".")


def test_numbers_of_numpy_are_taken(notebook, model, seed):
    piece = notebook.generate_music(
        model, seed, np.int64(4), temperature=np.float32(0.5), top_k=np.int32(2)
    )
    assert len(piece.notes)
