# %% [markdown]
# ## 6 Guessing the next note
#
# **How far does one get without a network?** Predictions are judged in *nats*: the mean
# negative natural logarithm of the probability that the true event had been given. A
# uniform guess costs ln(vocabulary). The *unigram* knows how often each token occurs, the
# *n-gram* also which tokens follow which. Music may be played in any key, so the n-grams
# learn from every piece in all twelve; the unigram and the published network, which are
# told where a token stands and not what it sounds, learn from the pieces as they are. The
# *streams* beside the token, step, duration and velocity, get tables of their own: what a
# model of time and touch has to beat.

# %% tags=["active-py"]
import copy
import math

import numpy as np
import tensorflow as tf

from .encoding import LONGEST_STEP, STREAM_SIZES, encode, transpose

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
    """Return nats and hits of distributions (events, size) of as many values."""
    given = shares[np.arange(len(values)), values]
    return -np.log(np.maximum(given, 1e-30)), shares.argmax(axis=1) == values


# %%
class Ngram:
    """An interpolated n-gram after Witten and Bell (1991); order 0 is uniform."""

    def __init__(self, sequences, order, size):
        self.order, self.size, self.tables = order, size, []
        self.others = {}  # tables of other streams, by name, to judge whole events
        for width in range(order):
            keys = [ngram_keys(tokens, width, size) for tokens in sequences]
            self.tables.append(np.unique(np.concatenate(keys), return_counts=True))

    def shorten(self, order):
        shorter = copy.copy(self)
        shorter.order = order
        return shorter

    def probabilities(self, context):
        """Return the distribution of the token that follows a list of tokens."""
        share = np.full(self.size, 1 / self.size)
        for width, (keys, counts) in enumerate(self.tables[: self.order]):
            if width > len(context):
                break
            recent = context[len(context) - width :]
            first = self.size * int(ngram_keys(recent, width - 1, self.size)[0])
            found = slice(*np.searchsorted(keys, [first, first + self.size]))
            total = counts[found].sum() + (found.stop - found.start)
            if not total:
                break
            share *= (found.stop - found.start) / total
            share[keys[found] - first] += counts[found] / total
        return share

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        tokens, rows = list(map(int, tokens)), []
        for place in range(1, len(tokens)):
            rows.append(self.probabilities(tokens[max(0, place - self.order) : place]))
        return np.array(rows)

    def score(self, sequence):
        """Return, by stream, the nats and the hits of each event but the first."""
        scores = {}
        for stream, table in {"token": self, **self.others}.items():
            values = stream_values(sequence, stream)
            scores[stream] = judge(table.predict(values), values[1:])
        return scores

    def begin(self, seeds, sampling, moods):
        """Return a function that draws what comes next, and where it starts from."""
        draw = tf.function(lambda *row: draw_classes(*row, *sampling), autograph=False)

        def step(contexts, uniforms, banned):
            shares = [self.probabilities(row[-self.order or 1 :]) for row in contexts]
            logits = np.log(np.maximum(shares, 1e-30))
            drawn = draw(logits.astype(np.float32), uniforms[:, 0], banned).numpy()
            longer = [[*row, t] for row, t in zip(contexts, drawn.tolist())]
            return drawn[:, None], longer

        return step, [seed["token"].tolist() for seed in seeds]


# %% [markdown]
# To write, a token is drawn from the distribution. A *temperature* below 1 sharpens it;
# `top_k` cuts its tail off, then `top_p` that of what is left.


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
    return tf.reduce_sum(tf.cast(cumulative <= wanted, tf.int32), axis=1)


# %%
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
    return make_tables([], 0, len(vocabulary)), []


def train_unigram(learning, stopping, vocabulary, seed, epochs):
    """Return the baseline that knows how often each token occurs."""
    sequences = [encode(piece, vocabulary) for piece in learning]
    return make_tables(sequences, 1, len(vocabulary)), []


def train_ngram(learning, stopping, vocabulary, seed, epochs):
    """Return the n-gram whose order, up to 5, predicts the stopping pieces best.

    Without stopping pieces its order is `epochs`, the order that the folds chose.
    """
    ngram = make_tables(encode_all_keys(learning, vocabulary), 5, len(vocabulary))
    known = [encode(piece, vocabulary) for piece in stopping]
    others, curve = {}, []
    for stream, table in {**ngram.others, "token": ngram}.items():
        rows = [stream_values(sequence, stream) for sequence in known]
        rows, order = [row for row in rows if len(row) > 1], min(epochs, 5)
        if rows:
            curve = []
            for shorter in map(table.shorten, range(1, 6)):
                nats = [judge(shorter.predict(row), row[1:])[0] for row in rows]
                curve.append(float(np.concatenate(nats).mean()))
            order = 1 + int(np.argmin(curve))
        elif stopping:
            curve, order = [math.nan] * 5, 1
        others[stream] = table.shorten(order)
    ngram = others.pop("token")
    ngram.others = others
    return ngram, curve


# %%
def score_streams(predictor, pieces, vocabulary):
    """Return nats an event, nats a note and accuracy of pieces, by stream.

    The first event of a piece is given; NaN where no piece has two.
    """
    sequences = [encode(piece, vocabulary) for piece in pieces]
    sequences = [sequence for sequence in sequences if len(sequence) > 1]
    names = ("nats_per_event", "nats_per_note", "accuracy")
    if not sequences:
        return {"token": dict.fromkeys(names, math.nan)}
    scores = [predictor.score(sequence) for sequence in sequences]
    tokens = np.concatenate([sequence["token"][1:] for sequence in sequences])
    notes = sum(len(vocabulary.chords[token]) for token in tokens)
    table = {}
    for stream in scores[0]:
        nats, hits = np.hstack([score[stream] for score in scores])
        row = (nats.mean(), nats.sum() / notes, hits.mean())
        table[stream] = dict(zip(names, map(float, row)))
    return table


def hold_back(indices, seed):
    """Return (learning, stopping) indices: about a tenth tells when to stop."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    count = max(1, round(len(indices) / 10))
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


# %% tags=["active-ipynb"]
# learning, stopping = ([training_pieces[i] for i in part]
#                       for part in hold_back(np.arange(len(training_pieces)), SEED))
# known = build_vocabulary(learning, VOCABULARY_SIZE)
# _, ngram_curve = train_ngram(learning, stopping, known, SEED, EPOCHS)
# figure, ax = plt.subplots(figsize=WIDE)
# ax.plot(range(1, 6), ngram_curve, "o-", color=BASELINE)
# ax.axhline(math.log(len(vocabulary)), color="black", linestyle=":")
# ax.text(5, math.log(len(vocabulary)), "a uniform guess", va="top", ha="right")
# ax.set(title="How much context helps a table", xlabel="order of the n-gram",
#        ylabel="nats an event, unseen pieces", xticks=range(1, 6))
# save_figure(figure, "ngram_orders")

# %% [markdown]
# Order 1 counts single tokens, as the unigram does, but in all twelve keys. One token
# of context helps; with more the table has seen too few cases. This is the mark for a
# network to beat. The order is chosen on pieces that were held back from the learning,
# never on those that the results are reported for.
