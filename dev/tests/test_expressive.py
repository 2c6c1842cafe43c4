"""The expressive network: time, touch, mood, primers, where its music comes from."""

import gc
import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import make_piece, melody, random_piece, small_file, walking_piece

SMALL = {
    "units": 12, "reading": 10, "rhythm": 4, "head": 12, "small_head": 10,
    "mood": 3, "filters": 3, "kernel": 9, "dropout": 0.1,
    "roll_decays": (1.5, 25.0), "slow_decays": (16.0, 100.0),
}  # fmt: skip
SHAPES = {
    "expressive": SMALL,
    "transformer": {**SMALL, "blocks": 2, "attention": 3, "context": 12},
}


@pytest.fixture
def small(notebook, monkeypatch):
    """Make the expressive network and its training small enough for a test."""
    for name, shape in SHAPES.items():
        monkeypatch.setattr(notebook, name.upper(), shape)
    schedule = {**notebook.SCHEDULE, "streams": 4, "window": 16, "rate": 0.01}
    monkeypatch.setattr(notebook, "SCHEDULE", schedule)
    for name, value in {"VOCABULARY_SIZE": 96, "SEQUENCE_LENGTH": 8}.items():
        monkeypatch.setattr(notebook, name, value)
    return notebook


@pytest.fixture
def pieces():
    """Return three random pieces, chords and all."""
    return [random_piece(seed, 60) for seed in range(3)]


def make_model(notebook, pieces, seed=1, name="expressive"):
    """Return a model that was not trained, with weights that matter."""
    vocabulary = notebook.build_vocabulary(pieces, 96)
    network = notebook.build_expressive(vocabulary, SHAPES[name], seed)
    generator = np.random.default_rng(seed)
    for weights in network.trainable_weights:
        weights.assign(weights + generator.normal(0, 0.2, weights.shape))
    rows = [notebook.tabulate(notebook.encode(piece, vocabulary)) for piece in pieces]
    scale = notebook.find_scale(rows, notebook.multi_hot(vocabulary))
    predictor = notebook.ExpressivePredictor(network, vocabulary, scale)
    rhythm = np.concatenate([notebook.encode(piece, vocabulary) for piece in pieces])
    settings = {"pieces_with_changes": 0,
                "mood_scale": [part.tolist() for part in scale]}  # fmt: skip
    sources = notebook.Sources(pieces)
    return notebook.Model(name, predictor, vocabulary, rhythm, 99.0, settings, sources)


@pytest.fixture
def model(small, pieces):
    """Return a small expressive model."""
    return make_model(small, pieces)


@pytest.fixture(params=list(SHAPES))
def either(request, small, pieces):
    """Return a small model that listens with an LSTM, or with a transformer."""
    return make_model(small, pieces, name=request.param)


@pytest.fixture
def seed(notebook, model, pieces):
    """Return a window of events."""
    return notebook.encode(pieces[1], model.vocabulary)[5:25]


# What the network is told.


def test_shapes_of_what_is_described(notebook, pieces):
    vocabulary = notebook.build_vocabulary(pieces, 96)
    events = notebook.tabulate(notebook.encode(pieces[0], vocabulary))
    before, current, heard = notebook.describe_events(events, vocabulary)
    count = len(events)
    assert before.shape == (count, 7) and current.shape == (count, 8)
    assert heard.shape == (count, 88 + 96) and heard.dtype == bool
    assert np.array_equal(before[1:, :6], events[:-1])
    assert before[0].tolist() == [0, 0, 0, 0, 0, 0, notebook.START]


def test_keys_sound_until_they_are_released(notebook):
    notes = [(0, 1, 60, 64), (0.5, 0.25, 64, 64), (1.0, 0.5, 67, 64)]
    piece = make_piece("overlap", notes)
    vocabulary = notebook.build_vocabulary([piece], 88)
    events = notebook.tabulate(notebook.encode(piece, vocabulary))
    _, _, heard = notebook.describe_events(events, vocabulary)
    sounding = [(np.flatnonzero(row[:88]) + 21).tolist() for row in heard]
    assert sounding == [[], [60], []]
    onsets = [np.flatnonzero(row[88:]).tolist() for row in heard]
    assert onsets == [[], [0], [0, 6]]


def test_rests_are_cut_and_streams_stay_in_range(notebook):
    piece = melody((60, 62, 64), step=30)
    vocabulary = notebook.build_vocabulary([piece], 88)
    events = notebook.tabulate(notebook.encode(piece, vocabulary))
    assert events[:, 1].tolist() == [0, 48, 48]
    for column, size in enumerate(notebook.STREAM_SIZES.values(), 1):
        assert events[:, column].max() < size


def read_epoch(keyed, streams, width, seed):
    """Return what an epoch reads, window behind window, and how many they are."""
    generator = np.random.default_rng(seed)
    parts = keyed.draw(generator)
    windows = list(keyed.read(parts, streams, width, generator))
    both = [np.concatenate(part, axis=1) for part in zip(*windows, strict=True)]
    return both, len(windows)


@pytest.mark.parametrize("seed", range(3))
def test_an_epoch_reads_each_piece_once_in_one_key(notebook, pieces, seed):
    """Event by event: the pieces joined in some order, turned by a random place."""
    vocabulary = notebook.build_vocabulary(pieces, 120)
    keyed, notes = (
        notebook.KeyedPieces(pieces, vocabulary),
        notebook.multi_hot(vocabulary),
    )
    whole = [rows[0] for rows in read_epoch(keyed, 1, 1, seed)[0]]
    starts = np.flatnonzero(whole[0][:, 6] == notebook.START)
    turned = [np.roll(rows, -starts[0], axis=0) for rows in whole]
    parts = [np.split(rows, starts[1:] - starts[0]) for rows in turned]
    found = []
    for *part, heard in zip(*parts, strict=True):
        moods, before, current = part[0][:, 7:], part[0][:, :7], part[1]
        for number in range(len(pieces)):
            for key in range(-5, 7):
                moved = notebook.transpose(pieces[number], key)
                events = notebook.tabulate(notebook.encode(moved, vocabulary))
                expected = notebook.describe_events(events, vocabulary)
                if np.array_equal(current, expected[1]):
                    assert np.array_equal(before, expected[0])
                    assert np.array_equal(heard, expected[2])
                    labels = notebook.label_moods(events, notes, keyed.scale)
                    assert np.isin(moods, [0, 1, 2, 3]).all()
                    assert (labels[moods > 0] == moods[moods > 0]).all()
                    found.append(number)
    assert sorted(found) == [0, 1, 2]


def test_streams_are_cut_from_the_whole(notebook, pieces):
    vocabulary, streams, width = notebook.build_vocabulary(pieces, 120), 3, 7
    keyed = notebook.KeyedPieces(pieces, vocabulary)
    whole, total = read_epoch(keyed, 1, 1, 3)
    read, count = read_epoch(keyed, streams, width, 3)
    length = total // streams
    assert count == length // width > 2
    for rows, part in zip(whole, read, strict=True):
        for stream in range(streams):
            cut = rows[0, stream * length :][: count * width]
            assert np.array_equal(cut, part[stream])


def test_what_is_described_never_looks_ahead(notebook, pieces):
    vocabulary = notebook.build_vocabulary(pieces, 96)
    events = notebook.tabulate(notebook.encode(pieces[0], vocabulary))
    whole = notebook.describe_events(events, vocabulary)
    part = notebook.describe_events(events[:20], vocabulary)
    for one, other in zip(whole, part, strict=True):
        assert np.array_equal(one[:20], other)


def test_impossible_successors(notebook):
    """A head that has learnt nothing prefers none but for what cannot follow."""
    vocabulary = notebook.Vocabulary([(60,), (64,), (60, 64), (67,)])
    head = notebook.build_token_head(vocabulary, 3, SMALL, itertools.count())
    for weights in head.trainable_weights:
        weights.assign(np.zeros(weights.shape))
    shapes = [(2, 2, *part.shape[2:]) for part in head.inputs]
    read, before, current, roll, sounding = map(np.zeros, shapes)
    before[:, :, 0] = [0, 1]  # the event before is 60, then 64
    current[1, :, 1] = 1  # and the next one comes with it, or later
    logits = np.array(head([read, before, current, roll, sounding]))
    assert logits[0, 0].tolist() == [-20, 0, -20, 0]  # 60 again, and its chord
    assert logits[0, 1].tolist() == [-20, -20, -20, 0]  # nothing below
    assert not logits[1].any()


# The network.


def windows_of(notebook, model, count=40):
    """Return the described first events of a piece as a batch of one."""
    piece = random_piece(7, 60)
    events = notebook.tabulate(notebook.encode(piece, model.vocabulary))[:count]
    before, current, heard = notebook.describe_events(events, model.vocabulary)
    before = np.pad(before, ((0, 0), (0, 2)))
    arrays = (before, current, heard.astype(np.float32))
    return [tf.constant(array[None]) for array in arrays]


def test_single_steps_with_states_equal_a_window(notebook, either):
    network, parts = either.predictor.network, windows_of(notebook, either)
    whole = network([*parts, *notebook.zero_states(network, 1)], training=False)
    states = notebook.zero_states(network, 1)
    for place in range(40):
        part = [tf.constant(array[:, place : place + 1]) for array in parts]
        outputs = network([*part, *states], training=False)
        states = outputs[5:]
        for one, other in zip(whole[:5], outputs[:5], strict=True):
            assert np.allclose(one[:, place], other[:, 0], atol=1e-4)
    for one, other in zip(whole[5:], states, strict=True):
        assert np.allclose(one, other, atol=1e-4)


def listen(notebook, model, parts):
    """Return what a network gives for some windows behind silence."""
    network = model.predictor.network
    return network([*parts, *notebook.zero_states(network, 1)], training=False)


def test_a_new_piece_is_not_told_of_the_one_before(notebook, model):
    parts = windows_of(notebook, model, 20)
    twice = [tf.concat([array, array], axis=1) for array in parts]
    outputs, alone = (listen(notebook, model, each) for each in (twice, parts))
    for sums, expected in zip(outputs[5:7], alone[5:7], strict=True):
        assert np.allclose(sums, expected, atol=1e-5)  # the averages begin anew


def test_the_transformer_forgets_the_piece_before(small, pieces):
    model = make_model(small, pieces, name="transformer")
    parts = windows_of(small, model, 20)
    twice = [tf.concat([array, array], axis=1) for array in parts]
    outputs, alone = (listen(small, model, each) for each in (twice, parts))
    for logits, expected in zip(outputs[:5], alone[:5], strict=True):
        assert np.allclose(logits[:, 20:], expected, atol=1e-5)


def test_attention_reaches_as_far_as_its_context(notebook):
    """No event hears a later one, nor one that is more than 12 events back."""
    attention = notebook.CachedAttention(3)
    inputs = np.random.default_rng(0).normal(size=(1, 30, 36)).astype(np.float32)
    cache, start = np.zeros((1, 12, 25), np.float32), np.zeros((1, 30, 1), np.float32)
    other = inputs.copy()
    other[0, 10] += 1
    mixed, changed = (
        attention(each[..., :12], each[..., 12:], cache, start)[0].numpy()
        for each in (inputs, other)
    )
    moved = np.flatnonzero(np.abs(mixed - changed).max(axis=(0, 2)) > 1e-6)
    assert moved.tolist() == list(range(10, 23))


def test_attention_by_hand(notebook):
    """Equal keys share attention equally among the events heard so far."""
    pair = np.zeros((1, 4, 4), np.float32)
    pair[0, :, 2:] = [[1, 10], [2, 20], [3, 30], [4, 40]]
    start = np.array([0, 0, 1, 0], np.float32).reshape(1, 4, 1)
    cache = np.zeros((1, 3, 5), np.float32)
    cache[0, 2] = [0, 0, 7, 70, 1]  # one event before, of the piece that goes on
    attention = notebook.CachedAttention(2)
    mixed, kept = attention(np.ones((1, 4, 2), np.float32), pair, cache, start)
    assert mixed[0, :, 0].numpy().tolist() == pytest.approx([4, 10 / 3, 3, 3.5])
    assert mixed[0, :, 1].numpy().tolist() == pytest.approx([40, 100 / 3, 30, 35])
    assert kept[0, :, -1].numpy().tolist() == [0, 1, 1]  # the new piece's events


def test_shapes_of_the_network(notebook, model):
    network = model.predictor.network
    classes = [output.shape[-1] for output in network.outputs[:5]]
    assert classes == [49, 96, len(notebook.DURATIONS), 16, 16]
    assert all(output.dtype == "float32" for output in network.outputs)


def test_the_same_seed_gives_the_same_network(small, pieces):
    vocabulary = small.build_vocabulary(pieces, 96)
    one, again, other = (
        small.build_expressive(vocabulary, SMALL, seed).get_weights()
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# Judging.


def test_scores_hold_all_streams_of_all_events_but_the_first(notebook, model, pieces):
    sequence = notebook.encode(pieces[2], model.vocabulary)
    scores = model.predictor.score(sequence)
    assert set(scores) == {"token", *notebook.STREAM_SIZES}
    for nats, hits in scores.values():
        assert nats.shape == hits.shape == (len(sequence) - 1,)
        assert (nats > 0).all() and np.isfinite(nats).all()


def test_scores_are_those_of_the_network(notebook, model, monkeypatch):
    sequence = notebook.encode(random_piece(7, 60), model.vocabulary)[:41]
    network, parts = model.predictor.network, windows_of(notebook, model, 41)
    outputs = network([*parts, *notebook.zero_states(network, 1)], training=False)
    for width in (256, 7):
        monkeypatch.setattr(notebook, "LONGEST_JUDGED", width)
        scores = model.predictor.score(sequence)
        for place, stream in enumerate(notebook.EVENT_ORDER):
            shares = keras.ops.softmax(outputs[place])[0].numpy()
            values = notebook.stream_values(sequence, stream)
            expected = -np.log(shares[np.arange(41), values])[1:]
            assert np.allclose(scores[stream][0], expected, atol=1e-4)
            assert (scores[stream][1] == (shares.argmax(1) == values)[1:]).all()


def test_tables_score_every_stream(notebook, pieces):
    vocabulary = notebook.build_vocabulary(pieces, 96)
    uniform, _ = notebook.train_uniform(pieces, [], vocabulary, 0, 0)
    table = notebook.score_streams(uniform, pieces, vocabulary)
    known = (notebook.encode(piece, vocabulary)["token"][1:] for piece in pieces)
    tokens = np.concatenate([*known])
    several = np.mean([len(vocabulary.chords[token]) > 1 for token in tokens])
    for stream, size in {"token": 96, **notebook.STREAM_SIZES}.items():
        share = several if stream == "lower_velocity" else 1  # a single note's is known
        nats = pytest.approx(share * math.log(size))
        assert table[stream]["nats_per_event"] == nats and several < 1
    ngram, _ = notebook.train_ngram(pieces[:2], pieces[2:], vocabulary, 0, 0)
    assert set(ngram.others) == set(notebook.STREAM_SIZES)
    score = notebook.score_streams(ngram, pieces[:2], vocabulary)
    assert score["step"]["nats_per_event"] < table["step"]["nats_per_event"]


# Training.


def train(notebook, epochs, stopping=(), seed=3):
    """Return what training on three scales gives: a predictor and its losses."""
    learning = [walking_piece(number, 80) for number in range(3)]
    vocabulary = notebook.build_vocabulary(learning, 96)
    return notebook.train_expressive(learning, stopping, vocabulary, seed, epochs)


def test_training_lowers_the_loss(small):
    predictor, losses = train(small, 8, [walking_piece(9, 80)])
    curve = losses["stopping"]
    assert len(curve) == 8 and curve[-1] < 0.6 * curve[0]


def test_the_loss_adds_up_all_streams_of_the_stopping_pieces(small):
    stopping = [walking_piece(9, 80), random_piece(7, 30)]
    predictor, losses = train(small, 2, stopping)
    curve = losses["stopping"]
    table = small.score_streams(predictor, stopping, predictor.vocabulary)
    assert list(table) == list(small.EVENT_ORDER) and len(table) == 5
    total = sum(row["nats_per_event"] for row in table.values())
    assert curve[-1] == pytest.approx(total)


def test_training_repeats_to_the_last_bit(small):
    keras.utils.set_random_seed(1)
    one, first = train(small, 2)
    keras.utils.set_random_seed(2)
    other, second = train(small, 2)
    assert first == second
    both = one.network.get_weights(), other.network.get_weights()
    for a, b in zip(*both, strict=True):
        assert np.array_equal(a, b)


def test_training_leaves_the_users_random_numbers_alone(small):
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    train(small, 1)
    assert np.array_equal(before, np.random.get_state()[1])


def test_training_leaves_no_graph_behind(small, pieces):
    """A process trains fold after fold: a graph kept by each would fill the memory."""

    def count_graphs():
        gc.collect()
        return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())

    vocabulary = small.build_vocabulary(pieces, 96)
    before = count_graphs()
    small.train_expressive(pieces, [], vocabulary, 0, 1)
    keras.utils.clear_session()
    assert count_graphs() <= before


def test_a_short_piece_is_enough_to_learn_from(small):
    piece = melody((60, 62, 64, 65))
    vocabulary = small.build_vocabulary([piece], 88)
    _, losses = small.train_expressive([piece], [], vocabulary, 0, 1)
    assert np.isfinite(losses["learning"]).all() and losses["stopping"] == []


# Writing.


def take(notebook, model, seeds, number=6, length=20, **settings):
    """Return pieces written from seeds with a generator of a number."""
    generator = np.random.default_rng(number)
    return notebook.generate_pieces(
        model, seeds, length, generator=generator, **settings
    )


def test_the_same_seed_writes_the_same_music(notebook, either, seed):
    model = either
    one, again, other = (take(notebook, model, [seed], number) for number in (1, 1, 2))
    assert np.array_equal(one[0].notes, again[0].notes)
    assert not np.array_equal(one[0].notes, other[0].notes)


def test_a_stream_does_not_depend_on_its_neighbours(notebook, model, seed):
    (alone,) = take(notebook, model, [seed])
    among = take(notebook, model, [seed, seed[::-1].copy(), np.roll(seed, 3)])
    assert np.array_equal(alone.notes, among[0].notes)
    assert not np.array_equal(among[0].notes, among[1].notes)


def test_the_published_call_works(notebook, model, seed):
    piece = notebook.generate_music(model, seed, length=30)
    assert piece.tempo == 99.0 and 0 <= piece.notes["onset"][0] < 4
    assert len(set(piece.notes["velocity"].tolist())) > 1
    assert len(set(np.diff(notebook.group_notes(piece)[0]).tolist())) > 1


def test_a_piece_carries_its_settings(notebook, model, seed):
    piece = notebook.generate_music(model, seed, 5, temperature=0.9, generator=1)
    assert piece.settings == "temperature 0.9, top_p 1.0, top_k 0, seed 1"
    piece = notebook.generate_music(model, seed, 5, generator=1, brightness="low")
    assert piece.settings.endswith("seed 1, brightness low")
    generator = np.random.default_rng(1)
    takes = [notebook.generate_music(model, seed, 5, generator=generator)
             for _ in range(2)]  # fmt: skip
    assert takes[0].settings.endswith("seed 1")
    assert takes[1].settings.endswith("seed 1, takes before: 1")


def test_the_seed_that_a_piece_tells_gives_it_again(notebook, model, seed):
    one = notebook.generate_music(model, seed, 5)
    told = int(one.settings.rpartition("seed ")[2])
    again = notebook.generate_music(model, seed, 5, generator=told)
    assert np.array_equal(one.notes, again.notes)


def test_what_is_written_follows_the_network(notebook, model, seed):
    """With top_k = 1 each event is the likeliest one behind those before it."""
    generators = [np.random.default_rng(0)]
    rows, left = notebook.write_events(
        model.predictor, [seed], 10, (1.0, 1.0, 1), generators, None
    )
    scores = model.predictor.score(np.concatenate([seed, rows[0]]))
    assert not left.any()
    for stream in notebook.EVENT_ORDER:
        assert scores[stream][1][len(seed) - 1 :].all(), stream


def test_the_guard_leaves_loops(notebook, model, seed):
    """The weights say: the note 61 alone, and nothing else."""
    head = model.predictor.network.get_layer("token_head")
    width = notebook.describe_tokens(model.vocabulary).shape[1]
    (said,) = (each for each in head.layers if getattr(each, "units", None) == width)
    values = np.zeros(width)
    values[[40, 3 * 88 + 12]] = 1e3  # the note, and that it is one
    said.bias.assign(values)
    (piece,) = take(notebook, model, [seed], length=60)
    assert "loops left" in piece.remarks


# Bundles.


def test_a_bundle_comes_back_as_it_was(notebook, either, seed, tmp_path):
    """But for the weights' half precision, which a second bundle does not change."""
    model = notebook.load_model(notebook.save_model(either, tmp_path / "m.zip"))
    again = notebook.load_model(notebook.save_model(model, tmp_path / "n.zip"))
    whole, one, other = (
        each.predictor.score(notebook.encode(random_piece(5), each.vocabulary))
        for each in (either, model, again)
    )
    for stream in one:
        assert np.array_equal(one[stream][0], other[stream][0])
        assert np.allclose(one[stream][0], whole[stream][0], rtol=0.02, atol=0.02)
    first, second = (take(notebook, each, [seed])[0].notes for each in (model, again))
    assert np.array_equal(first, second)
    for one, other in zip(model.predictor.scale, again.predictor.scale, strict=True):
        assert np.allclose(one, other)


def test_a_bundle_of_four_streams_is_told_from_a_damaged_one(
    notebook, model, tmp_path, monkeypatch
):
    bundle = notebook.save_model(model, tmp_path / "m.zip")
    monkeypatch.setattr(notebook, "EVENT_ORDER", (*notebook.EVENT_ORDER, "newer"))
    with pytest.raises(notebook.NotebookError, match="an older notebook made it"):
        notebook.load_model(bundle)


@pytest.mark.parametrize("moods", [{}, {"mood_scale": None}, {"mood_scale": [1]}])
def test_a_bundle_without_its_moods_is_refused(notebook, model, tmp_path, moods):
    bundle = notebook.save_model(model._replace(settings=moods), tmp_path / "m.zip")
    with pytest.raises(notebook.NotebookError, match="is refused.*Train it again"):
        notebook.load_model(bundle)


# Mood.


def test_energy_and_brightness_by_hand(notebook):
    def measure(pitches, step, velocity):
        piece = melody(pitches, step=step, velocity=velocity)
        vocabulary = notebook.build_vocabulary([piece], 88)
        events = notebook.tabulate(notebook.encode(piece, vocabulary))
        return notebook.measure_events(events, notebook.multi_hot(vocabulary))

    major, minor = [60, 64, 67, 72, 62, 65, 71], [60, 63, 67, 72, 62, 65, 68]
    soft, hard = measure(major, 1, 40), measure(major, 0.25, 100)
    assert hard[0] > soft[0] and hard[1] > soft[1]
    assert soft[2] > measure(minor, 1, 40)[2]
    assert measure([pitch + 12 for pitch in major], 1, 40)[3] == soft[3] + 12


def test_energy_counts_each_note_at_its_own_velocity(notebook):
    """Bins 12 and, for two notes, 6: their middles are 100 and 52."""
    notes = [(0, 1, 48, 40), (0, 1, 52, 60), (0, 1, 72, 100)]
    piece = make_piece("chord", notes)
    vocabulary = notebook.build_vocabulary([piece], 89)
    events = notebook.tabulate(notebook.encode(piece, vocabulary))
    measured = notebook.measure_events(events, notebook.multi_hot(vocabulary))
    assert measured[1] == pytest.approx((100 + 2 * 52) / 3)


def test_the_lower_velocity_knows_the_top_one_and_its_own_past(notebook, pieces):
    vocabulary = notebook.build_vocabulary(pieces, 96)
    name, seeds = "lower_velocity", itertools.count()
    head = notebook.build_small_head(vocabulary, 3, name, SMALL, seeds)
    read, before, current = np.ones((1, 1, 3)), np.ones((1, 1, 9)), np.ones((1, 1, 8))
    plain = head.predict_on_batch([read, before, current])
    for array, heard in ((before, [4]), (current, [0, 1, 2, 3, 5])):
        for column in range(array.shape[-1]):
            array[..., column] += 1
            moved = head.predict_on_batch([read, before, current])
            array[..., column] -= 1
            assert np.array_equal(moved, plain) == (column not in heard), column


def test_terciles_hold_a_third_each(notebook):
    pieces = [random_piece(seed, 400) for seed in range(6)]
    vocabulary = notebook.build_vocabulary(pieces, 88)
    rows = [notebook.tabulate(notebook.encode(piece, vocabulary)) for piece in pieces]
    notes = notebook.multi_hot(vocabulary)
    scale = notebook.find_scale(rows, notes)
    labels = np.concatenate([notebook.label_moods(row, notes, scale) for row in rows])
    for column in labels.T:
        shares = np.bincount(column, minlength=4)[1:] / len(column)
        assert np.allclose(shares, 1 / 3, atol=0.08)


def test_most_moods_are_left_out(notebook, pieces):
    keyed = notebook.KeyedPieces(pieces[:1], notebook.build_vocabulary(pieces, 88))
    labels = np.full((100_000, 2), 2, dtype=np.int8)
    keyed.label = lambda number, key: labels
    ((_, _, left),) = keyed.draw(np.random.default_rng(0))
    told = (left > 0).mean(axis=0)
    expected = notebook.MOOD_SHARE * (1 - notebook.MOOD_LEFT_OUT)
    expected = [expected, expected, notebook.CHANGES_SHARE]
    assert np.allclose(told, expected, atol=0.05) and (labels == 2).all()


@pytest.mark.parametrize(
    "mood",
    [{"energy": "high"}, {"brightness": "low"},
     {"energy": "low", "brightness": "middle"}],
)  # fmt: skip
def test_a_mood_may_be_asked(notebook, model, seed, mood):
    piece = notebook.generate_music(model, seed, 20, generator=3, **mood)
    assert len(piece.notes) and piece.name == "expressive 1"


def test_a_request_reaches_the_network(notebook, model, seed):
    def written(*moods):
        return take(notebook, model, [seed], moods=[moods])[0].notes

    assert not np.array_equal(written(3, 0), written(1, 0))
    assert not np.array_equal(written(0, 3), written(0, 1))
    (free,) = take(notebook, model, [seed])
    assert np.array_equal(written(0, 0), free.notes)


def test_a_mood_is_sought_behind_the_primer(notebook, model):
    loud = [(i / 12, 1 / 12, 60 + i % 5, 127) for i in range(60)]
    calm = make_piece("calm", [*loud, (6, 2, 60, 10), (9, 2, 64, 10)])
    wild = [(6 + onset, *rest) for onset, *rest in loud]
    wild = make_piece("wild", [*loud, *wild])
    for onset, found in ((0.0, calm), (5.5, wild)):
        piece = notebook.nearest_mood(model, [calm, wild], (3, 0), onset)
        assert np.array_equal(piece.notes, found.notes)


@pytest.mark.parametrize(
    "mood", [{"energy": "wild"}, {"brightness": 2}, {"energy": ""}]
)
def test_an_unknown_mood_is_one_sentence(notebook, model, seed, mood):
    with pytest.raises(
        notebook.NotebookError, match="'low', 'middle' or 'high'"
    ) as caught:
        notebook.generate_music(model, seed, 5, **mood)
    assert str(caught.value).endswith(".")


def test_a_model_of_tokens_knows_no_mood(notebook, model, seed):
    table, _ = notebook.train_uniform([], [], model.vocabulary, 0, 0)
    plain = model._replace(name="uniform", predictor=table)
    with pytest.raises(notebook.NotebookError, match="no mood"):
        notebook.generate_music(plain, seed, 5, energy="low")


# Primers, and novelty.


def test_a_primer_is_read_from_a_file(notebook, model, tmp_path):
    path = tmp_path / "mine.mid"
    path.write_bytes(small_file((60, 62, 64)))
    primer, tempo = notebook.read_primer(path, model.vocabulary)
    assert primer["token"].tolist() == [39, 41, 43] and tempo == 120.0
    piece = notebook.generate_music(model, primer, 10, tempo=tempo, joined=True)
    assert piece.notes["pitch"][:3].tolist() == [60, 62, 64] and piece.tempo == tempo


def test_a_joined_piece_goes_on_behind_the_primer(notebook, model, seed):
    (alone,) = take(notebook, model, [seed])
    (joined,) = take(notebook, model, [seed], joined=True)
    first = notebook.decode(seed, model.vocabulary)
    assert len(joined.notes) >= len(first)
    tail = joined.notes[-len(alone.notes) // 2 :]
    assert tail["pitch"].tolist() == alone.notes["pitch"][-len(tail) :].tolist()


def test_a_primer_that_is_no_midi_is_one_sentence(notebook, model, tmp_path):
    path = tmp_path / "text.mid"
    path.write_text("no music")
    for source in (path, tmp_path / "nothing.mid", None, 7.5):
        with pytest.raises(notebook.NotebookError, match="primer cannot be used"):
            notebook.read_primer(source, model.vocabulary)
    with pytest.raises(notebook.NotebookError, match="vocabulary is .*Vocabulary"):
        notebook.read_primer(path, model)


def test_bars_stay_bars(notebook, model, seed):
    """What is written behind a seed stands where the seed's bar goes on."""
    seed = seed.copy()
    seed["position"] = (seed["position"] - seed["position"][0] + 17) % 48
    (alone,) = take(notebook, model, [seed])
    (joined,) = take(notebook, model, [seed], joined=True)
    cells = notebook.group_notes(joined)[0]
    assert cells[0] == 17
    both = (each.notes["onset"][-1] * 12 % 48 for each in (alone, joined))
    assert len({round(place) for place in both}) == 1


def test_in_a_long_bar_the_place_is_told_as_in_learning(notebook, model, seed):
    """A bar of 12/4 has 144 cells; from the 95th on the network is told 95."""
    seed, place = seed.copy(), 130
    seed["beats"], seed["unit"], seed["position"][-1] = 12, 4, place
    moods, nothing = np.zeros((1, 2), int), np.full((1, 8), -1)
    step, stage = model.predictor.begin([seed], (1.0, 1.0, 0), moods, None)
    uniforms, told = np.random.default_rng(1).random((60, 1, 5)), []
    for row in uniforms:
        (event,), stage = step(stage, row, nothing)
        place = (place + event[1]) % 144
        told.append((stage.last.numpy()[0, 5], min(place, 95)))
    assert {here for here, _ in told} > {95} and all(a == b for a, b in told)


def test_a_piece_carries_its_longest_shared_run(notebook, model, seed):
    piece = notebook.generate_music(model, seed, 30, generator=2)
    best = max(
        notebook.find_shared_run(piece, notebook.Sources([source])).events
        for source in model.sources.pieces
    )
    assert piece.shared.events == best
    assert piece.shared.piece in {source.name for source in model.sources.pieces}


def test_the_longest_shared_run_is_named(notebook):
    sources = [random_piece(1, 60, "first"), random_piece(2, 60, "second")]
    cells = notebook.group_notes(sources[1])[0]
    notes = sources[1].notes
    part = notes[(notes["onset"] * 12 >= cells[30]) & (notes["onset"] * 12 < cells[45])]
    copy = notebook.transpose(make_piece("copy", part), 2)
    found = notebook.find_shared_run(copy, notebook.Sources(sources))
    assert found[:3] == (15, "second", 1 + cells[30] // 48)


class Copier:
    """A predictor that goes on with its source unless the dice say otherwise."""

    streams = 1

    def __init__(self, source):
        self.source = source["token"]

    def begin(self, seeds, sampling, moods, forms):
        """Return a function to the next tokens, wrong ones now and then."""

        def step(place, uniforms, banned):
            dice = uniforms[:, 0]
            copied = self.source[np.minimum(place, len(self.source) - 1)]
            return np.where(dice < 0.2, dice * 440, copied)[:, None].astype(
                int
            ), place + 1

        return step, np.array([len(seed) for seed in seeds])


def test_a_limit_on_shared_runs_is_kept(notebook):
    source = melody(np.random.default_rng(0).integers(40, 80, 90).tolist())
    vocabulary = notebook.build_vocabulary([source], 88)
    events = notebook.encode(source, vocabulary)
    sources = notebook.Sources([source])
    model = notebook.Model(
        "copier", Copier(events), vocabulary, events[1:], 99.0, {}, sources
    )
    free = notebook.generate_music(model, events[:5], 60, generator=1)
    assert free.shared.events > 8
    kept = notebook.generate_music(model, events[:5], 60, generator=1, longest_copy=8)
    assert 4 <= kept.shared.events <= 8 and len(kept.notes) == 60
    again = notebook.generate_music(model, events[:5], 60, generator=1, longest_copy=8)
    assert np.array_equal(kept.notes, again.notes)
    joined = notebook.generate_music(
        model, events[:5], 60, generator=1, longest_copy=8, joined=True
    )
    assert 4 <= joined.shared.events <= 8 and len(joined.notes) == 65
    with pytest.raises(notebook.NotebookError, match="longest_copy=1"):
        notebook.generate_music(model, events[:5], 60, generator=1, longest_copy=1)


@pytest.mark.parametrize("limit", [-1, 2.5, "8"])
def test_a_limit_that_is_none_is_one_sentence(notebook, model, seed, limit):
    with pytest.raises(notebook.NotebookError, match="longest_copy is"):
        notebook.generate_music(model, seed, 5, longest_copy=limit)


# The staircase between the published network and this one.


@pytest.mark.parametrize("count", [2, 4, 6])
def test_no_step_of_the_staircase_looks_ahead(notebook, pieces, count):
    """Only the one that is told when hears the next step, and only the next."""
    vocabulary = notebook.build_vocabulary(pieces, 96)
    network = notebook.build_step(vocabulary, notebook.STEPS[:count], 1)
    sequence = notebook.encode(pieces[0], vocabulary)[:31]
    rows = notebook.tell_next(notebook.tabulate(sequence))
    assert rows.shape == (30, 7) and (rows[:-1, 6] == rows[1:, 1]).all()
    later, told = rows.copy(), rows.copy()
    later[20:] = rows[19:9:-1]
    told[20, 6] = (rows[20, 6] + 3) % notebook.STREAM_SIZES["step"]
    first, second, third = (
        network.predict_on_batch(each[None])[0] for each in (rows, later, told)
    )
    assert np.allclose(first.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(first[:20], second[:20])
    assert not np.allclose(first[20:], second[20:], atol=1e-7)
    assert np.array_equal(first[:20], third[:20])
    assert np.allclose(first[20], third[20], atol=1e-7) == (count < 6)


@pytest.mark.parametrize("idea", ["last step", "all keys", "short memory"])
def test_a_step_is_judged_on_unseen_and_on_learnt_pieces(small, idea, monkeypatch):
    monkeypatch.setattr(small, "EPOCHS", 1)
    monkeypatch.setattr(small, "EXPRESSIVE_FOLD_EPOCHS", 1)
    short = {**small.EXPRESSIVE, "roll_decays": (1.5,), "slow_decays": (4.0,)}
    monkeypatch.setattr(small, "SHORT_MEMORY", short)
    learning = [walking_piece(number, 60) for number in range(3)]
    stopping, held_out = [walking_piece(4, 60)], [random_piece(5, 40)]
    unseen, learnt = small.run_step(idea, learning, stopping, held_out, 1)
    assert np.isfinite(unseen) and learnt < unseen
