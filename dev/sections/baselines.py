# %% [markdown]
# ## 7 Guessing the next note
#
# **How far does one get without a network?** Predictions are judged in *nats*: the mean
# negative natural logarithm of the probability that the true event had been given. A
# uniform guess costs ln(vocabulary), certainty costs nothing, and one nat less means
# that the truth was given 2.7 times the probability. Chords make an event worth more
# than a note, so nats are also divided by the notes that sound: *nats a note* can be
# compared between encodings. The *unigram* knows how often each token occurs, the
# *n-gram* also which tokens follow which. Music may be played in any key, so the
# n-grams learn from every piece in all twelve; the unigram and the published network,
# which know a token's number and not its notes, learn from the pieces as they are. The
# *streams* beside the token, step, duration and two velocities, get tables of their
# own: what a model of time and touch has to beat.

# %% tags=["active-py"]
import copy
import math

import numpy as np
import tensorflow as tf

from .encoding import (
    EVENT,
    LONGEST_STEP,
    STREAM_SIZES,
    bar_cells,
    encode,
    transpose,
)
from .settings import NotebookError

# %%
SEMITONES = range(-5, 7)  # the twelve keys


def ngram_keys(tokens, width, size):
    """Return each run of `width` + 1 tokens as one number in base `size`."""
    tokens = np.asarray(tokens, dtype=np.int64)
    keys = np.zeros(max(len(tokens) - width, 0), dtype=np.int64)
    for shift in range(width + 1):
        keys = keys * size + tokens[shift : shift + len(keys)]
    return keys


def stream_values(sequence, stream):
    """Return a stream of some events as integers; longer rests count as the longest."""
    values = np.asarray(sequence[stream], dtype=np.int64)
    return np.minimum(values, LONGEST_STEP) if stream == "step" else values


def judge(shares, values):
    """Return nats and hits of distributions (events, size) of as many values.

    A hit counts as a half where two values are likeliest, and so on.
    """
    given, best = shares[np.arange(len(values)), values], shares.max(axis=1)
    hits = (given == best) / (shares == best[:, None]).sum(axis=1)
    return -np.log(np.maximum(given, 1e-30)), hits


class Ngram:
    """An interpolated n-gram after Witten and Bell (1991); order 0 is uniform.

    `memory`: the share that a bigram of the piece so far has in what it says; `others`:
    tables of the other streams by name, each of which goes by its own past.
    """

    streams = 1 + len(STREAM_SIZES)  # that it writes

    def __init__(self, sequences, order, size):
        self.order, self.size, self.tables = order, size, []
        self.memory, self.others = 0.0, {}
        for width in range(order):
            keys = [ngram_keys(tokens, width, size) for tokens in [[], *sequences]]
            self.tables.append(np.unique(np.concatenate(keys), return_counts=True))

    def shorten(self, order, memory=0.0):
        shorter = copy.copy(self)
        shorter.order, shorter.memory = order, memory
        return shorter

    def probabilities(self, history):
        """Return the distribution of the token that follows a list of tokens."""
        share = np.full(self.size, 1 / self.size)
        for width, (keys, counts) in enumerate(self.tables[: self.order]):
            if width > len(history):
                break
            recent = history[len(history) - width :]
            first = self.size * int(ngram_keys(recent, width - 1, self.size)[0])
            found = slice(*np.searchsorted(keys, [first, first + self.size]))
            total = counts[found].sum() + (found.stop - found.start)
            if not total:
                break
            share *= (found.stop - found.start) / total
            share[keys[found] - first] += counts[found] / total
        if self.memory:
            heard = Ngram([history], 2, self.size).probabilities(history)
            share = (1 - self.memory) * share + self.memory * heard
        return share

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        return np.array([self.probabilities(tokens[:i]) for i in range(1, len(tokens))])

    def score(self, sequence):
        """Return, by stream, the nats and the hits of each event but the first."""
        scores = {}
        for stream, table in {"token": self, **self.others}.items():
            values = stream_values(sequence, stream)
            scores[stream] = judge(table.predict(values), values[1:])
        return scores

    def begin(self, seeds, sampling, moods, forms):
        """Return a function that draws what comes next, and where it starts from."""
        draw = tf.function(lambda *row: draw_classes(*row, *sampling), autograph=False)
        tables, nothing = {"token": self, **self.others}, np.full((len(seeds), 1), -1)

        def step(histories, uniforms, banned):
            columns = []
            for number, (past, table) in enumerate(zip(histories, tables.values())):
                logits = np.log(np.maximum([*map(table.probabilities, past)], 1e-30))
                shut = nothing if number else banned
                drawn = draw(logits.astype(np.float32), uniforms[:, number], shut)
                columns.append(drawn.numpy())
            return np.stack(columns, axis=1), np.dstack([histories, columns])

        return step, np.array([[stream_values(seed, stream) for seed in seeds]
                               for stream in tables])


# %% [markdown]
# To write, a token is drawn from the distribution. A *temperature* below 1 sharpens it;
# `top_k` keeps the k likeliest tokens, `top_p` the likeliest ones that together reach the
# probability p.


# %%
def draw_classes(logits, uniforms, banned, temperature, top_p, top_k):
    """Return a class for each row of logits (streams, classes) and number below 1.

    `banned`: classes (streams, any) that may not come, −1 for none.
    """
    shut = tf.reduce_max(tf.one_hot(banned, logits.shape[-1]), axis=1)
    shares = tf.nn.softmax((logits - 1e9 * shut) / temperature)
    if 0 < top_k < shares.shape[-1]:
        least = tf.math.top_k(shares, top_k).values[:, -1:]
        shares = tf.where(shares < least, 0.0, shares)
    if top_p < 1:
        ordered = tf.sort(shares, direction="DESCENDING")
        total = tf.reduce_sum(ordered, axis=1, keepdims=True)
        before = tf.cumsum(ordered, axis=1, exclusive=True) / total
        least = tf.reduce_min(tf.where(before < top_p, ordered, 2.0), 1, keepdims=True)
        shares = tf.where(shares < least, 0.0, shares)
    cumulative = tf.cumsum(tf.cast(shares, tf.float64), axis=1)
    wanted = tf.minimum(uniforms, 1 - 1e-9)[:, None] * cumulative[:, -1:]
    return tf.searchsorted(cumulative, wanted, side="right")[:, 0]


# %% tags=["active-ipynb"]
# some_shares, uniforms = np.array([0.6, 0.3, 0.1]), (np.arange(1000) + 0.5) / 1000
# logits = tf.constant(np.log(np.tile(some_shares, (1000, 1))), tf.float32)
# nothing = np.full((1000, 1), -1)
# pd.DataFrame({f"temperature {heat}": np.bincount(draw_classes(
#     logits, uniforms, nothing, heat, 1.0, 0)) / 1000
#     for heat in (0.5, 1.0, 2.0)}, ["likeliest", "second", "third"])

# %% [markdown]
# A cold draw makes the likely likelier, a hot one levels all. Each stream gets a table
# of its own.


# %% tags=["hide-input"]
def make_tables(sequences, order, size):
    """Return the n-gram of the tokens, with one for each other stream beside it."""
    ngram = Ngram([sequence["token"] for sequence in sequences], order, size)
    for stream, width in STREAM_SIZES.items():
        values = [stream_values(sequence, stream) for sequence in sequences]
        ngram.others[stream] = Ngram(values, order, width)
    return ngram


def encode_all_keys(pieces, vocabulary):
    return [encode(transpose(piece, semitones), vocabulary) for piece in pieces
            for semitones in SEMITONES]


def train_uniform(learning, stopping, vocabulary, seed, epochs):
    """Return the baseline that gives every token the same probability."""
    return make_tables([], 0, len(vocabulary)), {"learning": [], "stopping": []}


def train_unigram(learning, stopping, vocabulary, seed, epochs):
    """Return the baseline that knows how often each token occurs."""
    sequences = [encode(piece, vocabulary) for piece in learning]
    tables = make_tables(sequences, 1, len(vocabulary))
    return tables, {"learning": [], "stopping": []}


def choose_table(tables, sequences, epochs):
    """Return the table that predicts sequences best, and the nats an event of each.

    Without sequences it is number `epochs`, which the folds chose.
    """
    if not sequences:
        return tables[min(epochs, len(tables)) - 1], []
    known = [row for row in sequences if len(row) > 1]
    nats = [[judge(table.predict(row), row[1:])[0] for row in known]
            for table in tables]
    curve = [float(np.concatenate(rows).mean()) if rows else math.nan for rows in nats]
    return tables[int(np.argmin(curve))], curve


def train_ngram(learning, stopping, vocabulary, seed, epochs):
    """Return the n-gram whose order, up to 5, predicts the stopping pieces best.

    Without stopping pieces its order is `epochs`, the order that the folds chose. The
    losses are those of the orders.
    """
    ngram = make_tables(encode_all_keys(learning, vocabulary), 5, len(vocabulary))
    known = [encode(piece, vocabulary) for piece in stopping]
    others = {}
    for stream, table in {**ngram.others, "token": ngram}.items():
        values = [stream_values(sequence, stream) for sequence in known]
        tables = [table.shorten(order) for order in range(1, 6)]
        others[stream], curve = choose_table(tables, values, epochs)
    ngram = others.pop("token")
    ngram.others = others
    return ngram, {"learning": [], "stopping": curve}


MEMORY_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)


def train_memory(learning, stopping, vocabulary, seed, epochs):
    """Return a bigram with a memory of the piece so far; losses by `MEMORY_SHARES`.

    Its share is chosen as the order in `train_ngram`, and passed on as `epochs`.
    """
    bigram, _ = train_ngram(learning, [], vocabulary, seed, 2)
    tables = [bigram.shorten(2, share) for share in MEMORY_SHARES]
    known = [encode(piece, vocabulary)["token"] for piece in stopping]
    memory, curve = choose_table(tables, known, epochs)
    return memory, {"learning": [], "stopping": curve}


# %% [markdown]
# A tenth of the pieces is held back from the learning: on them the n-gram's order is
# chosen, and later the moment to stop.


# %% tags=["hide-input"]
def score_streams(predictor, pieces, vocabulary):
    """Return nats an event, nats a note and accuracy of pieces, by stream.

    The first event of a piece is given, and so is the lower velocity of a single note,
    which is its own; NaN where no piece has two events.
    """
    sequences = [encode(piece, vocabulary) for piece in pieces]
    sequences = [sequence for sequence in sequences if len(sequence) > 1]
    names = ("nats_per_event", "nats_per_note", "accuracy")
    if not sequences:
        return {"token": dict.fromkeys(names, math.nan)}
    scores = [predictor.score(sequence) for sequence in sequences]
    tokens = np.concatenate([sequence["token"][1:] for sequence in sequences])
    sizes = np.array([len(vocabulary.chords[token]) for token in tokens])
    table = {}
    for stream in scores[0]:
        nats, hits = np.hstack([score[stream] for score in scores])
        if stream == "lower_velocity":
            nats, hits = nats * (sizes > 1), np.maximum(hits, sizes == 1)
        row = (nats.mean(), nats.sum() / sizes.sum(), hits.mean())
        table[stream] = dict(zip(names, map(float, row)))
    return table


def hold_back(indices, seed):
    """Return (learning, stopping) indices: about a tenth tells when to stop."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    count = max(1, round(len(indices) / 10))
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


# %% tags=["active-ipynb", "hide-input"]
# learning, stopping = ([training_pieces[i] for i in part]
#                       for part in hold_back(np.arange(len(training_pieces)), SEED))
# known = build_vocabulary(learning, VOCABULARY_SIZE)
# _, losses = train_ngram(learning, stopping, known, SEED, EPOCHS)
# ngram_curve = losses["stopping"]
# figure, ax = plt.subplots(figsize=WIDE)
# ax.plot(range(1, 6), ngram_curve, "o-", color=BASELINE)
# ax.axhline(math.log(len(vocabulary)), color="black", linestyle=":")
# ax.text(5, math.log(len(vocabulary)), "a uniform guess", va="top", ha="right")
# ax.set(title="How much context helps a table, on held-back pieces", xticks=range(1, 6),
#        xlabel="order of the n-gram", ylabel="nats an event")
# save_figure(figure, "ngram_orders")

# %% [markdown]
# Order 1 counts single tokens, as the unigram does, but in all twelve keys. One token
# of context helps; with more the table has seen too few cases. This is the mark for a
# network to beat. The order is chosen on pieces that were held back from the learning,
# never on those that the results are reported for.

# %% [markdown]
# One model writes many pieces side by side, each with its own random numbers, so that a
# piece does not depend on its neighbours. A model that keeps to what it trusts most can
# fall into a loop: a bar, a note even, for ever. A guard knows a loop when it hears the
# same one to eight events four times in a row (and for a dozen events at least), draws
# again without the token that would prolong it, and counts how often.
#
# The published model knows tokens and no time: the published project put every note an
# eighth after the last. Here its steps, durations and velocities are drawn from events
# of the learning pieces, whatever the token. Its rhythm is *borrowed*, then.

# %% tags=["hide-input"]
LONGEST_LOOP, LOOP_TURNS, LOOP_EVENTS = 8, 4, 12


def closes_loop(history, tokens):
    """Return which streams (streams, events) would loop if their next tokens came."""
    looping, heard = np.zeros(len(tokens), bool), np.column_stack([history, tokens])
    if not (history[:, -LONGEST_LOOP:] == tokens[:, None]).any():
        return looping
    for period in range(1, LONGEST_LOOP + 1):
        width = max(LOOP_TURNS * period, LOOP_EVENTS)
        if heard.shape[1] >= width:
            recent = heard[:, -width:]
            looping |= (recent[:, period:] == recent[:, :-period]).all(axis=1)
    return looping


def write_events(predictor, seeds, length, sampling, generators, rhythm, moods=None,
                 watch=None, forms=None):
    """Return new events (streams, length), and how often each stream left a loop.

    `rhythm`: real events to borrow time and touch from; the rest: `generate_pieces`.
    """
    streams = len(seeds)
    moods = np.zeros((streams, 2), np.int32) if moods is None else np.array(moods)
    width = predictor.streams  # that it writes: all five, or tokens alone
    if (moods.any() or forms) and not hasattr(predictor, "scale"):
        raise NotebookError("Nothing was generated: this model knows no mood and no "
                            "changes; ask `expressive`.")
    step, place = predictor.begin(seeds, tuple(sampling), moods, forms)
    history = np.array([seed["token"] for seed in seeds])
    rows, loops = [], np.zeros(streams, dtype=int)
    drawn = np.stack([each.random((length, width)) for each in generators], axis=1)
    for number, uniforms in enumerate(drawn):
        if watch:
            watch(number / length)
        banned = np.full((streams, LONGEST_LOOP), -1)
        for turn in range(LONGEST_LOOP + 1):
            row, after = step(place, uniforms, banned)
            looping = np.flatnonzero(closes_loop(history, row[:, 0]))
            if not len(looping) or turn == LONGEST_LOOP:
                break
            banned[looping, turn] = row[looping, 0]
            for stream in looping:
                uniforms[stream] = generators[stream].random(width)
            loops[looping] += 1
        place = after
        rows.append(row)
        history = np.column_stack([history, row[:, 0]])[:, -LONGEST_LOOP * LOOP_TURNS :]
    written = []
    for seed, columns, generator in zip(seeds, np.stack(rows, axis=1), generators):
        events = np.zeros(length, EVENT)
        if width == 1:
            events = generator.choice(rhythm, length)
        events["step"] = np.minimum(events["step"], LONGEST_STEP)
        for name, column in zip(EVENT.names, columns.T):
            events[name] = column
        events["beats"], events["unit"] = seed["beats"][-1], seed["unit"][-1]
        places = seed["position"][-1] + np.cumsum(events["step"])
        events["position"] = places % bar_cells(seed[-1])
        written.append(events)
    return written, loops


# %% tags=["active-ipynb"]
# ngram, _ = train_ngram(learning, [], known, SEED, 2)
# seed = encode(stopping[0], known)[:SEQUENCE_LENGTH]
# generators = [np.random.default_rng(SEED)]
# (events,), _ = write_events(ngram, [seed], 80, (1.0, 1.0, 0), generators, None)
# show(Piece("Written by the bigram", decode(events, known), stopping[0].tempo,
#            settings="temperature 1"))

# %% [markdown]
# **What to hear.** Each note follows from the last, and no further. The harmony wanders
# off within a second, and the rhythm, drawn from a table of its own, does not care for
# the notes.
