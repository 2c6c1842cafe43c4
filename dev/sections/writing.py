# %% [markdown]
# ## 12 One event after the other
#
# **How does it learn and write?** And can it be asked for something?
#
# ### Mood
#
# The files carry no labels, so a *mood* is what can be measured. *Energy* adds up how
# many notes a quarter has (its logarithm) and how hard they are struck; *brightness* how
# much more major than minor the pitches are (their correlation with Krumhansl and
# Kessler's key profiles) and how high they lie; each of the two parts of a sum counts in
# its standard deviations over the corpus. A
# stretch of 100 events is low, middle or high by the *terciles* of the corpus. While
# the network learns, most stretches are given without their mood, so it works with or
# without a request.

# %% tags=["active-py"]
from collections import namedtuple
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from .baselines import SEMITONES, draw_classes, encode_all_keys, score_streams
from .corpus import LOWEST_PITCH, PITCHES
from .encoding import (
    DURATIONS,
    STREAM_SIZES,
    VELOCITY_WIDTH,
    bar_cells,
)
from .expressive import (
    EVENT_ORDER,
    EXPRESSIVE,
    MEMORY_CELLS,
    POSITIONS,
    TRANSFORMER,
    WIDEST,
    build_expressive,
    describe_events,
    hold_keys,
    multi_hot,
    tabulate,
)
from .harmony import find_changes, tell_chords
from .settings import GRID

# %% tags=["hide-input"]
MOOD_EVENTS = 100  # events that are given one mood
MOOD_SHARE, MOOD_LEFT_OUT = 0.3, 0.25  # stretches told; then each of the two left out
CHANGES_SHARE = 0.4  # stretches that are told their chords
KEY_PROFILES = np.array([
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],  # major
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],  # minor
])
# What is usual in a corpus: means and spreads (4,) of the measures below, and terciles
# (2, 2), the lower and the upper bound of energy and brightness.
MoodScale = namedtuple("MoodScale", "means spreads terciles")


def measure_events(events, notes):
    """Return log notes a quarter, mean velocity, mode and mean pitch of events.

    The mode is how much better the pitch classes fit a major than a minor key.
    """
    struck = notes[events[:, 0]]
    each, pitches = struck.sum(axis=1), struck.sum(axis=0)
    keys, mode = np.arange(PITCHES) + LOWEST_PITCH, 0.0
    classes = np.bincount(keys % 12, pitches)
    quarters = max(events[1:, 1].sum() / GRID, 1)
    touch = events[:, 3] + (each - 1) * events[:, 4] + each / 2
    velocity = touch.sum() * VELOCITY_WIDTH / each.sum()
    if np.std(classes):
        turned = [np.roll(row, key) for row in KEY_PROFILES for key in range(12)]
        major, minor = np.corrcoef([classes, *turned])[0, 1:].reshape(2, 12).max(axis=1)
        mode = major - minor
    height = pitches @ keys / pitches.sum()
    return np.array([np.log(each.sum() / quarters), velocity, mode, height])


def score_mood(measures, scale):
    usual = (measures - scale.means) / scale.spreads
    return np.stack([usual[..., :2].sum(-1), usual[..., 2:].sum(-1)], axis=-1)


def classify_mood(scores, scale):
    """Return 1, 2 or 3 (low, middle, high) for energy and brightness (..., 2)."""
    return 1 + (scores[..., None, :] > scale.terciles).sum(axis=-2)


def find_scale(rows, notes):
    """Return the mood scale of a corpus: rows of integers (events, 5)."""
    measures = np.array([
        measure_events(events[start : start + MOOD_EVENTS], notes) for events in rows
        for start in range(0, max(1, len(events) - MOOD_EVENTS // 2), MOOD_EVENTS)])
    spreads = np.maximum(measures.std(axis=0), 1e-6)
    scale = MoodScale(measures.mean(axis=0), spreads, np.zeros((2, 2)))
    terciles = np.quantile(score_mood(measures, scale), [1 / 3, 2 / 3], axis=0)
    return scale._replace(terciles=terciles)


def label_moods(events, notes, scale):
    """Return the moods (events, 2) of the stretch that each event stands in."""
    labels = np.zeros((len(events), 2), dtype=np.int8)
    for start in range(0, len(events), MOOD_EVENTS):
        end = start + MOOD_EVENTS
        measures = measure_events(events[:end][-MOOD_EVENTS:], notes)
        labels[start:end] = classify_mood(score_mood(measures, scale), scale)
    return labels


# %% [markdown]
# ### How it learns
#
# Each epoch plays every piece once, in its own key or one drawn at random. The pieces
# are joined in a random order and cut into 16 streams; windows of 32 events follow one
# another in each stream, and the states are handed on. A stream begins anywhere in a
# piece, and of twenty pieces it is about as long as one; so in learning the memory does
# not always reach back to a piece's beginning. When the network judges, or writes, it
# reaches back to the first event that it was given. Pieces are held as integers; what
# the network sees of one is laid out when it is read. The learning rate fades on a
# fixed schedule, the final model's longer than that of the folds; nothing is stopped
# early. Twelve keys make twelve times the music: what is learnt about a chord in C need
# not be learnt again in D♭.

# %% tags=["hide-input"]
SCHEDULE = {
    "own_key": 0.35,  # how often a piece is played in its own key
    "streams": 16,  # side by side
    "window": 32,  # events an update
    "rate": 0.004,  # of AdamW
    "weight_decay": 0.02,
}
STREAM_COLUMNS = (1, 0, 2, 3, 4)  # of EVENT_ORDER, where tokens stand before steps


class KeyedPieces:
    """Pieces in twelve keys, described when they are asked for."""

    def __init__(self, pieces, vocabulary):
        keyed = []
        for piece in pieces:
            rows, sequences = find_changes(piece), encode_all_keys([piece], vocabulary)
            told = [tell_chords(rows, np.cumsum(sequence["step"]), key)
                    for key, sequence in zip(SEMITONES, sequences)]
            keyed.append([np.hstack([tabulate(sequence), chords]).astype(np.int16)
                          for sequence, chords in zip(sequences, told)])
        home, notes = SEMITONES.index(0), multi_hot(vocabulary)
        scale = self.scale = find_scale([keys[home] for keys in keyed], notes)
        self.pieces, self.events = keyed, sum(len(keys[home]) for keys in keyed)
        self.describe = lru_cache(128)(  # pieces in a key that are laid out at once
            lambda number, key: describe_events(keyed[number][key], vocabulary))
        self.label = lru_cache(None)(
            lambda number, key: label_moods(keyed[number][key], notes, scale))

    def draw(self, generator):
        """Return (piece, key, told) of all pieces, in random order and keys.

        `told`, by event: energy, brightness, and whether it hears its chord.
        """
        parts = []
        for number in generator.permutation(len(self.pieces)).tolist():
            own = generator.random() < SCHEDULE["own_key"]
            key = SEMITONES.index(0 if own else generator.choice(SEMITONES))
            moods = self.label(number, key).astype(np.int32)
            told = np.pad(moods, ((0, 0), (0, 1)), constant_values=1)
            for start in range(0, len(told), MOOD_EVENTS):  # 0 is any mood
                stretch = told[start : start + MOOD_EVENTS]
                mooded, kept = generator.random() < MOOD_SHARE, generator.random(2)
                stretch[:, :2] *= mooded & (kept >= MOOD_LEFT_OUT)
                stretch[:, 2] *= generator.random() < CHANGES_SHARE
            parts.append((number, key, told))
        return parts

    def read(self, parts, streams, width, generator):
        """Yield arrays (streams, width, ...) of drawn pieces, joined and cut."""
        ends = np.cumsum([len(told) for _, _, told in parts])
        length = int(ends[-1] // streams)
        first = np.arange(streams)[:, None] * length - generator.integers(ends[-1])
        for start in range(0, length - width + 1, width):
            places, rows = (first + start + np.arange(width)) % ends[-1], {}
            numbers = np.searchsorted(ends, places, "right")
            for number in np.unique(numbers):
                piece, key, told = parts[number]
                here = numbers == number
                own = places[here] - ends[number] + len(told)
                before, current, heard = (row[own] for row in self.describe(piece, key))
                before = np.concatenate([before, told[own, :2]], axis=1)
                current[:, 6:] *= told[own, 2:]
                for which, part in enumerate((before, current, heard)):
                    empty = np.empty((*places.shape, part.shape[1]), part.dtype)
                    rows.setdefault(which, empty)[here] = part
            yield [*rows.values()]


# %% [markdown]
# One window, one update: the losses of the five streams add up.


# %%
def zero_states(network, streams):
    return [tf.zeros((streams, *state.shape[1:])) for state in network.inputs[3:]]


def stream_losses(outputs, current):
    """Return the nats (batch, time) of the streams in EVENT_ORDER."""
    return [tf.nn.sparse_softmax_cross_entropy_with_logits(current[..., column], logits)
            for column, logits in zip(STREAM_COLUMNS, outputs)]


def make_update(network, updates):
    """Return a function that learns from one window and hands the states on."""
    rate = keras.optimizers.schedules.CosineDecay(SCHEDULE["rate"], updates, 0.01)
    optimizer = keras.optimizers.AdamW(rate, SCHEDULE["weight_decay"], beta_2=0.99,
                                       global_clipnorm=1.0)
    # There is one device: sums over devices would keep each fold's graph in memory.
    optimizer._all_reduce_sum_gradients = lambda gradients: gradients
    optimizer.build(network.trainable_variables)

    @tf.function(autograph=False)
    def learn(before, current, heard, *states):
        inputs = [before, current, tf.cast(heard, tf.float32), *states]
        with tf.GradientTape() as tape:
            outputs = network(inputs, training=True)
            loss = tf.reduce_mean(tf.add_n(stream_losses(outputs, current)))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return loss, outputs[len(STREAM_COLUMNS) :]

    return learn


def train_expressive(learning, stopping, vocabulary, seed, epochs, shape=None):
    """Return a trained predictor and its losses by epoch, five streams together."""
    network = build_expressive(vocabulary, shape or EXPRESSIVE, seed)
    pieces = KeyedPieces(learning, vocabulary)
    predictor = ExpressivePredictor(network, vocabulary, pieces.scale)
    window = min(SCHEDULE["window"], pieces.events)
    streams = max(1, min(SCHEDULE["streams"], pieces.events // window))
    generator, update = np.random.default_rng(seed), None
    curves = {"learning": [], "stopping": []}
    for _ in range(epochs):
        parts = pieces.draw(generator)
        windows = sum(len(told) for _, _, told in parts) // streams // window
        update = update or make_update(network, max(1, epochs * windows))
        states, losses = zero_states(network, streams), []
        for part in pieces.read(parts, streams, window, generator):
            loss, states = update(*map(tf.constant, part), *states)
            losses.append(float(loss))
        curves["learning"].append(float(np.mean(losses)))
        if stopping:
            scores = score_streams(predictor, stopping, vocabulary).values()
            curves["stopping"].append(sum(score["nats_per_event"] for score in scores))
    return predictor, curves


def train_transformer(*arguments):
    return train_expressive(*arguments, shape=TRANSFORMER)


# %% [markdown]
# ### How it writes
#
# To write, the network reads the seed, then takes one event after the other: each head
# gives its distribution, a class is drawn, the next head is told. All five draws of all
# pieces side by side are one compiled step. Left alone, the network strays a little
# more than real pieces do, so that step, token and duration are drawn slightly cooler
# than temperature 1; `temperature` multiplies that. To make a request stick, the
# network is *guided*: asked twice, with the mood and without it, and pushed beyond its
# answer (the *logits*, from which shares are made) in the direction of the difference;
# over changes the token is guided too, more gently.

# %% tags=["hide-input"]
STREAM_TEMPERATURES = (0.96, 0.94, 0.97, 1.0, 1.0)  # in EVENT_ORDER, at temperature 1
GUIDANCE, CHORD_GUIDANCE = 3.0, 1.25  # how far beyond; 1 is no guidance
LONGEST_JUDGED = 256  # events judged at a time
# Where streams stand: the last event (streams, 7), for how many cells each key sounds
# on (streams, 88), past onsets (streams, 96), cells of a bar, of its part that is over,
# cells since the changes began, and the reader's states.
Stage = namedtuple("Stage", "last left onsets bars place cells states")


class ExpressivePredictor:
    """The expressive network at work: it judges known events, or writes new ones."""

    streams = 1 + len(STREAM_SIZES)  # that it writes

    def __init__(self, network, vocabulary, scale):
        self.network, self.vocabulary, self.scale = network, vocabulary, scale
        self.reader = network.get_layer("reader")
        self.heads = [network.get_layer(f"{stream}_head") for stream in EVENT_ORDER]
        self.notes = tf.constant(multi_hot(vocabulary))
        self.tops = tf.constant([chord[-1] for chord in vocabulary.chords], tf.int32)
        signature = [tf.TensorSpec((None, None, 9), tf.int32),
                     tf.TensorSpec((None, None, MEMORY_CELLS), tf.float32),
                     [tf.TensorSpec(state.shape) for state in network.inputs[3:]]]

        def listen(before, onsets, states):
            return self.reader([before, onsets, *states], training=False)[2:]

        def judge(before, current, heard, states):
            heard = tf.cast(heard, tf.float32)
            outputs = network([before, current, heard, *states], training=False)
            nats = tf.stack([row[0] for row in stream_losses(outputs, current)])
            best = tf.stack([tf.argmax(row[0], 1, tf.int32)
                             for row in outputs[: self.streams]])
            hits = best == tf.gather(tf.transpose(current[0]), STREAM_COLUMNS)
            return nats, hits, outputs[self.streams :]

        self.listen = tf.function(listen, signature, autograph=False)
        self.judge = tf.function(judge, autograph=False)
        self.writers = {}  # compiled, by settings

    def score(self, sequence, changes=()):
        """Return, by stream, the nats and the hits of each event but the first.

        `changes`: (onset, symbol) rows that it is told.
        """
        chords = tell_chords(changes, np.cumsum(sequence["step"]))
        events = np.hstack([tabulate(sequence), chords])
        before, *others = describe_events(events, self.vocabulary)
        states, rows = zero_states(self.network, 1), []
        before = np.pad(before, ((0, 0), (0, 2)))  # of no mood
        room = ((0, -len(events) % LONGEST_JUDGED), (0, 0))
        arrays = [np.pad(row, room).reshape(-1, 1, LONGEST_JUDGED, row.shape[1])
                  for row in (before, *others)]
        for part in zip(*arrays):
            *row, states = self.judge(*map(tf.constant, part), states)
            rows.append(row)
        both = [np.concatenate(part, 1)[:, 1 : len(events)] for part in zip(*rows)]
        return dict(zip(EVENT_ORDER, zip(*both)))

    def draw_event(self, stage, told, uniforms, banned, temperatures, cut, guided):
        """Return the stage behind one new event of every stream.

        `told`: moods (streams, 2), the chords of a chorus by cell (streams, cells, 2),
        and its cells, or None for no changes; `uniforms`: (pieces, 5) below 1;
        `banned`: tokens that may not come, −1: none; `cut`: top_p, top_k. If guided,
        the second half has not heard the mood.
        """
        last, (moods, chorus, length) = stage.last, told
        event = dict.fromkeys(("token", *STREAM_SIZES), tf.zeros_like(last[:, 0]))
        before = tf.concat([last, moods], 1)[:, None]
        inputs = [before, stage.onsets[:, None], *stage.states]
        read, roll, *states = self.reader(inputs)
        for number, (stream, head) in enumerate(zip(EVENT_ORDER, self.heads)):
            place = (stage.place + event["step"]) % stage.bars
            position = tf.minimum(place, POSITIONS - 1)
            time = stage.cells + event["step"]
            current = tf.stack([*event.values(), position], 1)
            known, shut = [], tf.constant([[-1]])
            chords = [tf.zeros_like(last[:, :2])]
            left = stage.left - tf.cast(event["step"], tf.float32)[:, None]
            if stream == "token":
                known = [roll, tf.cast(left > 0, tf.float32)[:, None]]
                shut = banned
                if chorus is not None:  # from its first cell on
                    here = tf.gather(chorus, (time + 1) % length, batch_dims=1)
                    chords.append(here * tf.cast(time >= -1, tf.int32)[:, None])
            inputs = [tf.concat([current, chord], 1)[:, None] for chord in chords]
            logits, *over = (head([read, before, row, *known])[:, 0] for row in inputs)
            for asked in over:
                logits += CHORD_GUIDANCE * (asked - logits)
            if guided:
                asked, free = tf.split(logits, 2)
                logits = free + GUIDANCE * (asked - free)
            settings = (shut, temperatures[number], *cut)
            drawn = draw_classes(logits, uniforms[:, number], *settings)
            event[stream] = tf.tile(drawn, [2]) if guided else drawn
        token, step, duration, *_ = event.values()
        move = tf.gather(self.tops, token) - tf.gather(self.tops, last[:, 0])
        interval = tf.clip_by_value(move, -WIDEST, WIDEST) + WIDEST
        cells = tf.gather(tf.constant(DURATIONS, tf.float32), duration)
        left = tf.where(tf.gather(self.notes, token) > 0, cells[:, None], left)
        ahead = tf.range(MEMORY_CELLS)[None] - step[:, None]
        onsets = tf.gather(stage.onsets, tf.maximum(ahead, 0), batch_dims=1)
        onsets *= tf.cast(ahead >= 0, tf.float32)
        onsets = tf.maximum(onsets, tf.one_hot(tf.zeros_like(step), MEMORY_CELLS))
        last = tf.stack([*event.values(), position, interval], 1)
        return Stage(last, left, onsets, stage.bars, place, time, tuple(states))

    def compile(self, inputs, cut, guided):
        """Return `draw_event`, compiled for any number of streams."""
        draw = tf.function(lambda *x: self.draw_event(*x, cut, guided), autograph=False)
        kinds = tf.nest.map_structure(lambda x: x if x is None else tf.TensorSpec(
            (None, *x.shape[1:]), x.dtype), inputs)
        lstms = [each for each in self.reader.layers if hasattr(each, "unroll")]
        for lstm in lstms:
            lstm.unroll = True  # one event needs no loop
        try:
            return draw.get_concrete_function(*kinds)
        finally:
            for lstm in lstms:
                lstm.unroll = False

    def begin(self, seeds, sampling, moods, forms):
        """Return a function that draws what comes next, and where it starts from.

        `forms`: for each seed its `Changes`, and how far from its beginning they begin.
        """
        temperature, *cut = sampling
        guided, pieces = bool(np.any(moods)), len(seeds)
        if guided:  # each stream once more, without its mood
            seeds, forms = [*seeds, *seeds], forms and [*forms, *forms]
            moods = np.concatenate([moods, np.zeros_like(moods)])
        begun, chorus, length = 0, None, None
        if forms:
            begun = np.array([round(start * GRID) for _, start in forms])
            length = np.array([round(form.length * GRID) for form, _ in forms])
            size = -(-length.max() // 4096) * 4096  # few sizes: each is compiled anew
            chorus = np.stack([tell_chords(form.rows, np.arange(size) - 1)
                               for form, _ in forms])
            chorus, length = (tf.constant(x, tf.int32) for x in (chorus, length))
        warmth = tf.constant(np.multiply(STREAM_TEMPERATURES, temperature), tf.float32)
        told = (tf.constant(moods, tf.int32), chorus, length)
        key = (*cut, guided, chorus is not None and chorus.shape[1])

        def step(stage, uniforms, banned):
            banned = tf.constant(banned, tf.int32)
            inputs = (stage, told, tf.constant(uniforms), banned, warmth)
            if key not in self.writers:
                self.writers[key] = self.compile(inputs, cut, guided)
            stage = self.writers[key](*inputs)
            return stage.last.numpy()[:pieces, : self.streams], stage

        return step, self.read(seeds, moods, begun)

    def read(self, seeds, moods, begun):
        """Return the stage behind seeds, EVENT windows that are equally long.

        `begun`: cells from their beginning to that of the changes.
        """
        parts, left = [], []
        for seed in seeds:
            events = tabulate(seed)
            rows = np.concatenate([events, events[-1:]])  # and what comes behind it
            parts.append(describe_events(rows, self.vocabulary))
            left.append(hold_keys(events, self.notes.numpy())[-1])
        before, _, heard = (np.stack(arrays) for arrays in zip(*parts))
        told = np.repeat(np.asarray(moods, np.int32)[:, None], before.shape[1], axis=1)
        told = np.concatenate([before, told], 2)
        states, last = zero_states(self.network, len(left)), before.shape[1] - 1
        onsets = heard[..., PITCHES:].astype(np.float32)
        for start in range(0, last, LONGEST_JUDGED):
            part = slice(start, min(start + LONGEST_JUDGED, last))
            states = self.listen(told[:, part], onsets[:, part], states)
        bars = np.array([bar_cells(seed[-1]) for seed in seeds], np.int32)
        places = np.array([seed["position"][-1] for seed in seeds], np.int32) % bars
        cells = [seed["step"].sum() for seed in seeds] - np.array(begun)
        arrays = (before[:, -1], np.array(left, np.float32), onsets[:, -1], bars,
                  places, cells.astype(np.int32))
        return Stage(*map(tf.constant, arrays), tuple(states))
