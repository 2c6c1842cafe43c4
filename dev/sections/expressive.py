# %% [markdown]
# ## 11 A network that hears
#
# **What do time and touch take?** The published network reads one number and forgets
# the rest. The *expressive* network reads and writes all five streams. It has two halves.
# The *reader* listens: it takes in each event as it comes and keeps, in an LSTM and in a
# few running averages, what it has heard. Five *heads* then choose the next event, each
# knowing what the heads before it chose: first the step (when?), then the token (what?),
# the duration and the velocities (how?). The probability of an event is the product of
# the five, so that the nats of the streams add up.
#
# What the reader is told about an event goes beyond the five streams, all of it worked
# out from the events before: the *position* in the bar, the *interval* of the top note,
# and which of the last 96 cells had an *onset*. The head that chooses notes also sees
# the keys that still *sound*. What each of these was worth stands in
# `dev/benchmarks/expressive_tried.md`.

# %% tags=["active-py"]
import itertools

import keras
import numpy as np
from keras import layers, ops

from .baselines import stream_values
from .corpus import LOWEST_PITCH, PITCHES
from .encoding import DURATIONS, EVENT, LONGEST_STEP, STREAM_SIZES
from .settings import GRID

# %% tags=["hide-input"]
EVENT_ORDER = ("step", "token", "duration", "velocity",  # in which heads choose
               "lower_velocity")
POSITIONS = 2 * LONGEST_STEP  # cells of a bar that are told apart
MEMORY_CELLS = 8 * GRID  # cells of past onsets that the reader sees
WIDEST, START = 30, 61  # semitones of an interval, clipped; the first event's class


def multi_hot(vocabulary):
    """Return an array (tokens, 88) with a one for each pitch of each token."""
    table = np.zeros((len(vocabulary), PITCHES), dtype=np.float32)
    for token, chord in enumerate(vocabulary.chords):
        table[token, np.array(chord) - LOWEST_PITCH] = 1
    return table


def tabulate(sequence):
    """Return EVENT rows as integers: their streams and position (events, 6)."""
    streams = [stream_values(sequence, name) for name in ("token", *STREAM_SIZES)]
    position = np.minimum(sequence["position"], POSITIONS - 1)
    return np.stack([*streams, position], axis=-1)


def hold_keys(events, notes):
    """Return for how many cells each key sounds on, (events, 88), behind each event."""
    times, numbers = np.cumsum(events[:, 1]), np.arange(len(events))[:, None]
    struck = np.where(notes[events[:, 0]] > 0, numbers, -1)
    last = np.maximum.accumulate(struck, axis=0)
    left = DURATIONS[events[:, 2]][last] - (times[:, None] - times[last])
    return np.where(last >= 0, left, 0)


def describe_events(events, vocabulary):
    """Return what is known before events, the events, and what is heard.

    `events`: from `tabulate` (events, 6), and the chords that they are told, if any.
    That is: the event before with position and interval (7), the event itself with its
    position and chord (8), keys that sound and past onsets (88 + 96).
    """
    top = np.array([chord[-1] for chord in vocabulary.chords])[events[:, 0]]
    times = np.cumsum(events[:, 1])
    interval = np.clip(np.diff(top, prepend=top[0]), -WIDEST, WIDEST) + WIDEST
    known = np.column_stack([events[:, :6], interval]).astype(np.int32)
    current = np.pad(events.astype(np.int32), ((0, 0), (0, 8 - events.shape[1])))
    before = np.concatenate([[(*[0] * 6, START)], known[:-1]], dtype=np.int32)
    played = np.zeros(times[-1] + MEMORY_CELLS, dtype=bool)
    played[times + MEMORY_CELLS - 1] = True
    windows = np.lib.stride_tricks.sliding_window_view(played, MEMORY_CELLS)
    heard = np.zeros((len(events), PITCHES + MEMORY_CELLS), dtype=bool)
    held = hold_keys(events, multi_hot(vocabulary))
    heard[1:, :PITCHES] = held[:-1] > events[1:, 1:2]
    heard[1:, PITCHES:] = windows[times[:-1], ::-1]
    return before, current, heard


# %% [markdown]
# ### Memory
#
# An LSTM alone loses the key of a piece in the course of 400 events. *Running averages*
# do not: each averages what was heard since the piece began, the past fading at its own
# pace, from one and a half events to 800. The layer below computes them for a whole
# window at once, and hands its sums on to the next window. (Averages over a window and
# averages event by event are the same, as a test checks.)


# %%
@keras.saving.register_keras_serializable("expressive")
class Memory(layers.Layer):
    """Running averages of a sequence since its piece began, at several paces."""

    def __init__(self, decays, **settings):
        super().__init__(**settings)
        self.decays = [float(decay) for decay in decays]

    def call(self, sequence, state, start):
        """Return averages (..., decays) and sums; `start`: 1 where a piece begins."""
        counted = ops.concatenate([sequence, ops.ones_like(sequence[..., :1])], -1)
        keep = ops.exp(-1 / ops.convert_to_tensor(self.decays, "float32"))
        time = ops.cast(ops.arange(ops.shape(sequence)[1]), "float32")
        lag = (time[:, None] - time[None, :])[..., None]
        weight = ops.where(lag >= 0, ops.power(keep, ops.maximum(lag, 0)), 0.0)
        piece = ops.cumsum(start[..., 0], 1)
        same = ops.cast(ops.equal(piece[:, :, None], piece[:, None, :]), "float32")
        weight = same[..., None] * (weight * (1 - keep))[None]
        fresh = ops.einsum("btsk,bsf->btfk", weight, counted)
        old = ops.power(keep, time[:, None] + 1)[None, :, None, :] * state[:, None]
        total = fresh + old * ops.cast(ops.equal(piece, 0), "float32")[..., None, None]
        sums, counts = ops.split(total, [sequence.shape[-1]], 2)
        return sums / (counts + 1e-3), total[:, -1]


# %% [markdown]
# ### What a token is made of
#
# The published network could not know that two chords share notes. Here each token is
# described by its *content*: its notes, its lowest and its highest note, its pitch
# classes, its size and its shape. Below it, layers are made so that their first
# weights and their dropout depend on the given seeds and nothing else.


# %%
def describe_tokens(vocabulary):
    """Return the content of each token, zeros and ones (tokens, features).

    The features: notes, bass and top (88 each), pitch classes (12), size (8), shape.
    """
    chords, notes = vocabulary.chords, multi_hot(vocabulary)
    shapes = [tuple(pitch - chord[0] for pitch in chord) for chord in chords]
    numbers = {shape: i for i, shape in enumerate(dict.fromkeys(shapes))}
    bass, top = np.transpose([(chord[0], chord[-1]) for chord in chords]) - LOWEST_PITCH
    classes = np.eye(12)[(np.arange(PITCHES) + LOWEST_PITCH) % 12]
    keys, sizes = np.eye(PITCHES), np.eye(8)[[min(len(c), 8) - 1 for c in chords]]
    shapes = np.eye(len(numbers))[[numbers[shape] for shape in shapes]]
    parts = [notes, keys[bass], keys[top], notes @ classes > 0, sizes, shapes]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def make_dense(units, activation, seeds):
    """Return a dense layer."""
    first = keras.initializers.GlorotUniform(next(seeds))
    return layers.Dense(units, activation, kernel_initializer=first)


def make_embedding(size, width, seeds):
    """Return a layer that learns `width` numbers for each of `size` integers."""
    first = keras.initializers.RandomUniform(seed=next(seeds))
    return layers.Embedding(size, width, first)


def make_lstm(units, seeds, **settings):
    """Return an LSTM that answers each step."""
    first = keras.initializers.GlorotUniform(next(seeds))
    again = keras.initializers.Orthogonal(seed=next(seeds))
    return layers.LSTM(units, return_sequences=True, kernel_initializer=first,
                       recurrent_initializer=again, **settings)


def fixed_table(table):
    """Return a layer that reads rows of a constant table (integers, width)."""
    return layers.Embedding(*table.shape, weights=[table], trainable=False)


def hide(inputs, units, dropout, seeds):
    """Return a hidden layer (batch, time, units) over joined inputs."""
    hidden = make_dense(units, "relu", seeds)(layers.Concatenate()(inputs))
    return layers.Dropout(dropout, seed=next(seeds))(hidden)


# %% [markdown]
# ### The reader
#
# What was just played, seen from all sides, is squeezed into a few numbers and goes
# through one LSTM, and also around it. The settings were found by experiment on real
# performances and on folds of the shipped pieces.

# %%
EXPRESSIVE = {
    "units": 256,  # of the LSTM
    "reading": 160,  # numbers that sum up an event for the LSTM
    "rhythm": 32,  # numbers that sum up past onsets
    "head": 256,  # hidden units of the token's head
    "small_head": 128,  # of the other heads
    "mood": 12,  # numbers for each mood
    "filters": 16,  # patterns of intervals that the token's head looks for
    "kernel": 49,  # semitones that a pattern spans
    "dropout": 0.3,
    "roll_decays": (1.5, 6.0, 25.0, 120.0, 800.0),  # events, of the notes' memory
    "slow_decays": (4.0, 16.0, 100.0, 800.0),  # events, of the memory of time and touch
}
EMBEDDED = {"step": 24, "duration": 16,  # numbers for each
            "velocity": 16, "lower_velocity": 16}
MOODS = ("low", "middle", "high")  # of energy and of brightness; 0 stands for any


def build_reader(vocabulary, shape, seeds):
    """Return the network from last events (batch, time, 9), past onsets and states.

    Gives what it made of them (batch, time, width), the notes' memory, new states.
    """
    dropout, width = shape["dropout"], 12 + sum(EMBEDDED.values())
    before = keras.Input((None, 9), dtype="int32", name="before")
    past = keras.Input((None, MEMORY_CELLS), name="onsets")
    sizes = ((PITCHES, shape["roll_decays"]), (width, shape["slow_decays"]))
    kept = [(size + 1, len(decays)) for size, decays in sizes]
    if "blocks" in shape:  # keys, values, and whether an event counts
        kept += [(shape["context"], 2 * shape["units"] + 1)] * shape["blocks"]
    else:
        kept += [(shape["units"],)] * 2
    states = list(map(keras.Input, kept))
    columns = (before[..., i] for i in range(9))
    token, *streams, position, interval, energy, brightness = columns
    touch = [make_embedding(STREAM_SIZES[name], EMBEDDED[name], seeds)(stream)
             for name, stream in zip(EMBEDDED, streams)]
    moods = [make_embedding(1 + len(MOODS), shape["mood"], seeds)(mood)
             for mood in (energy, brightness)]
    tables = describe_tokens(vocabulary)
    start = fixed_table(np.eye(START + 1, dtype=np.float32)[:, START:])(interval)
    notes = fixed_table(tables[:, :PITCHES])(token)
    classes = fixed_table(tables[:, 3 * PITCHES : 3 * PITCHES + 12])(token)
    roll, roll_sums = Memory(shape["roll_decays"])(notes, states[0], start)
    slow = layers.Concatenate()([classes, *touch])
    slow, slow_sums = Memory(shape["slow_decays"])(slow, states[1], start)
    slow = layers.Reshape((-1, width * len(shape["slow_decays"])))(slow)
    seen = [*touch, make_embedding(POSITIONS, 16, seeds)(position),
            make_embedding(START + 1, 16, seeds)(interval),
            make_embedding(len(vocabulary), 32, seeds)(token),
            make_dense(128, None, seeds)(fixed_table(tables)(token)),
            hide([past], shape["rhythm"], dropout, seeds),
            make_dense(48, "relu", seeds)(slow), *moods]
    seen = hide(seen, shape["reading"], dropout * 2 / 3, seeds)
    if "blocks" in shape:
        heard, kept = listen_transformer(seen, start, states[2:], shape, seeds)
    else:
        lstm = make_lstm(shape["units"], seeds, return_state=True)
        heard, *kept = lstm(seen, initial_state=states[2:])
    heard = layers.Dropout(dropout, seed=next(seeds))(heard)
    outputs = [layers.Concatenate()([seen, heard, *moods]), roll, roll_sums, slow_sums]
    return keras.Model([before, past, *states], [*outputs, *kept], name="reader")


# %% [markdown]
# ### A transformer in its place
#
# With "transformer" in `MODELS` a small causal transformer listens in place of the
# LSTM; all else is the same. Each event attends to itself and to the events before it,
# as far as `context` reaches. What it worked out for them is kept from window to
# window, and from event to event when it writes.

# %% tags=["hide-input"]
TRANSFORMER = {
    **EXPRESSIVE,
    "units": 128,  # of each block, in and out
    "blocks": 3,
    "attention": 4,  # heads of attention a block
    "context": 128  # events before that a block attends to
}


@keras.saving.register_keras_serializable("expressive")
class CachedAttention(layers.Layer):
    """Causal attention that keeps the keys and values of the last events."""

    def __init__(self, heads, **settings):
        super().__init__(**settings)
        self.heads = heads

    def build(self, query_shape, pair_shape, cache_shape, start_shape):
        """Make a weight for each head and each distance."""
        self.near = self.add_weight((self.heads, cache_shape[1] + 1), "zeros")

    def call(self, query, pair, cache, start):
        """Return what each event attends to (batch, time, width), and the new cache.

        `pair`: keys and values; `cache`: the last ones, and whether they still count.
        """
        context, time = cache.shape[1], ops.shape(query)[1]
        piece = ops.cumsum(start[..., 0], 1)
        pieces = ops.concatenate([cache[..., -1] - 1, piece], 1)
        pairs = ops.concatenate([cache[..., :-1], pair], 1)
        alive = ops.cast(ops.equal(pieces, piece[:, -1:]), "float32")[..., None]
        kept = ops.concatenate([pairs, alive], -1)[:, -context:]
        lag = context + ops.arange(time)[:, None] - ops.arange(context + time)[None]
        far = ops.cast(ops.logical_or(lag < 0, lag > context), "float32")
        near = ops.take(self.near, ops.clip(lag, 0, context), axis=1)
        other = ops.cast(ops.not_equal(piece[:, :, None], pieces[:, None]), "float32")
        bias = (near - 1e9 * far)[None] - 1e9 * other[:, None]

        def part(values):
            width = values.shape[-1] // self.heads
            values = ops.reshape(values, (-1, ops.shape(values)[1], self.heads, width))
            return ops.transpose(values, (0, 2, 1, 3))

        query, key, value = map(part, (query, *ops.split(pairs, 2, -1)))
        logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.softmax(logits / query.shape[-1] ** 0.5 + bias)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, time, pair.shape[-1] // 2)), kept


def listen_transformer(seen, start, states, shape, seeds):
    """Return what a transformer heard (batch, time, units) and its new caches."""
    units, kept = shape["units"], []
    heard = make_dense(units, None, seeds)(seen)
    for cache in states:
        normal = layers.LayerNormalization()(heard)
        query = make_dense(units, None, seeds)(normal)
        pair = make_dense(2 * units, None, seeds)(normal)
        mixed, cache = CachedAttention(shape["attention"])(query, pair, cache, start)
        mixed = make_dense(units, None, seeds)(mixed)
        heard = heard + layers.Dropout(shape["dropout"] / 3, seed=next(seeds))(mixed)
        normal = layers.LayerNormalization()(heard)
        hidden = make_dense(4 * units, "gelu", seeds)(normal)
        hidden = make_dense(units, None, seeds)(hidden)
        heard = heard + layers.Dropout(shape["dropout"] / 3, seed=next(seeds))(hidden)
        kept.append(cache)
    return layers.LayerNormalization()(heard), kept

# %% [markdown]
# ### The heads
#
# The heads of the step, the duration and the velocities are small. The token's head
# looks at piano rolls: the last notes, what sounds, the notes' memory, and the bass and
# the tones of the chord that it is told, in all octaves. A *convolution* along the
# pitch axis looks for patterns of intervals in them, wherever on the keyboard they lie,
# so that what is learnt in one key holds in all. The head weighs the patterns and so
# gives each pitch a score; a token's score (its *logit*) adds up those of its content.
# At step 0 some tokens cannot follow: a chord outside the vocabulary is spelled from
# the bass up, and no key is struck twice at once.


# %%
def build_small_head(vocabulary, width, stream, shape, seeds):
    """Return the head to logits of step, duration or a velocity, each knowing more."""
    read = keras.Input((None, width))
    before = keras.Input((None, 9), dtype="int32")
    current = keras.Input((None, 8), dtype="int32")
    inputs = [read]
    if stream != "step":
        token, step, duration, top, _, position = (current[..., i] for i in range(6))
        last = before[..., EVENT.names.index(stream)]
        known = [("step", step), ("bar", position), (stream, last)]
        if "velocity" in stream:
            known.append(("duration", duration))
        if stream == "lower_velocity":
            known.append(("velocity", top))
        content = fixed_table(describe_tokens(vocabulary))(token)
        sizes = {**STREAM_SIZES, "bar": POSITIONS}
        inputs = [read, make_dense(64, None, seeds)(content)]
        inputs += [make_embedding(sizes[name], 16, seeds)(row) for name, row in known]
    hidden = hide(inputs, shape["small_head"], shape["dropout"], seeds)
    logits = make_dense(STREAM_SIZES[stream], None, seeds)(hidden)
    return keras.Model([read, before, current], logits, name=f"{stream}_head")


def build_token_head(vocabulary, width, shape, seeds):
    """Return the head from what was read, rolls and the step to logits of the token."""
    content, filters = describe_tokens(vocabulary), shape["filters"]
    read = keras.Input((None, width))
    before = keras.Input((None, 9), dtype="int32")
    current = keras.Input((None, 8), dtype="int32")
    roll = keras.Input((None, PITCHES, len(shape["roll_decays"])))
    sounding = keras.Input((None, PITCHES))
    token, step, position = before[..., 0], current[..., 1], current[..., 5]
    bass, tones, classes = current[..., 6:7], current[..., 7:8], np.arange(9, 97) % 12
    chord = [ops.equal(bass, classes + 1), tones // 2**classes % 2]
    known = [read, make_embedding(STREAM_SIZES["step"], 32, seeds)(step),
             make_embedding(POSITIONS, 16, seeds)(position),
             ops.cast(bass > 0, "float32")]
    hidden = hide(known, shape["head"], shape["dropout"], seeds)
    last = fixed_table(content[:, : 3 * PITCHES])(token)
    last = layers.Permute((1, 3, 2))(layers.Reshape((-1, 3, PITCHES))(last))
    rolls = [last, 8 * roll] + [ops.cast(each, "float32")[..., None]
                                for each in (sounding, *chord)]
    first = keras.initializers.GlorotUniform(next(seeds))
    find = layers.Conv2D(filters, (1, shape["kernel"]), padding="same",
                         activation="relu", kernel_initializer=first)
    weights = make_dense(filters * 3, None, seeds)(hidden)
    weights = layers.Reshape((-1, filters, 3))(weights)
    found = find(layers.Concatenate()(rolls))  # (batch, time, 88, filters)
    energies = ops.einsum("btpf,btfo->btop", found, weights)
    energies = layers.Reshape((-1, 3 * PITCHES))(energies)
    rest = ((0, 0), (0, 0), (0, content.shape[1] - 3 * PITCHES))
    said = make_dense(content.shape[1], None, seeds)(hidden) + ops.pad(energies, rest)
    spell = layers.Dense(len(content), use_bias=False, trainable=False)
    logits = spell(said)
    spell.set_weights([content.T])
    notes, bass = content[:, :PITCHES], content[:, PITCHES : 2 * PITCHES].argmax(1)
    impossible = (notes @ notes.T > 0) | (bass <= bass[:, None])
    together = fixed_table(np.eye(STREAM_SIZES["step"], dtype=np.float32)[:, :1])(step)
    logits -= 20 * fixed_table(impossible.astype(np.float32))(token) * together
    inputs = [read, before, current, roll, sounding]
    return keras.Model(inputs, logits, name="token_head")


# %% [markdown]
# The reader and the heads are put together as one network. The table says how many
# numbers each of them learns.

# %%
def build_expressive(vocabulary, shape, seed):
    """Return the network from what `describe_events` gives, and moods, to logits."""
    seeds = itertools.count(1000 * seed)
    reader = build_reader(vocabulary, shape, seeds)
    width = reader.outputs[0].shape[-1]
    step, *touch = [build_small_head(vocabulary, width, stream, shape, seeds)
                    for stream in STREAM_SIZES]
    token = build_token_head(vocabulary, width, shape, seeds)
    before = keras.Input((None, 9), dtype="int32", name="before")
    current = keras.Input((None, 8), dtype="int32", name="current")
    heard = keras.Input((None, PITCHES + MEMORY_CELLS), name="heard")
    states = [keras.Input(state.shape[1:]) for state in reader.inputs[2:]]
    read, roll, *kept = reader([before, heard[..., PITCHES:], *states])
    known = [read, before, current]
    logits = [step(known), token([*known, roll, heard[..., :PITCHES]]),
              *(head(known) for head in touch)]
    return keras.Model([before, current, heard, *states], [*logits, *kept],
                       name="transformer" if "blocks" in shape else "expressive")


# %% tags=["active-ipynb"]
# expressive_network = build_expressive(vocabulary, EXPRESSIVE, SEED)
# learnt = {part.name: sum(math.prod(weight.shape) for weight in part.trainable_weights)
#           for part in expressive_network.layers if part.trainable_weights}
# pd.DataFrame({"numbers learnt": learnt})
