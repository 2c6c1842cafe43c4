# %% [markdown]
# ## 9 The published LSTM, slowly
#
# **What is an LSTM, and what does this one learn?** An LSTM (long short-term memory)
# reads a sequence one item at a time. It keeps two lists of numbers: a memory $c$, and
# $h$, what it says about what it has read. At each step it works out three *gates*,
# numbers between 0 and 1, from the new item $x$ and its own last words $h$:
#
# * the *forget gate* $f$: how much of each memory stays,
# * the *input gate* $i$: how much of the news $g$, what $x$ and $h$ suggest keeping, is
#   written down,
# * the *output gate* $o$: how much of the memory is said.
#
# So $c \leftarrow f c + i g$ and $h \leftarrow o \tanh(c)$. Training finds the numbers
# that turn $x$ and $h$ into gates.

# %% tags=["active-py"]
import itertools
import math
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import Sequential
from keras.layers import LSTM, Dense, Dropout
from keras.optimizers import Adamax

from .baselines import draw_classes, judge
from .encoding import Windows, build_vocabulary, encode
from .settings import (
    BATCH_SIZE,
    LEARNING_RATE,
    PATIENCE,
    SEQUENCE_LENGTH,
    TRAINING_MODE,
    VOCABULARY_SIZE,
    NotebookError,
)

# %% tags=["active-ipynb", "hide-input"]
# gates = (("f", "forget", SECOND), ("i", "input", SECOND), ("g", "news", BASELINE),
#          ("o", "output", SECOND))
# figure, ax = plt.subplots(figsize=WIDE)
# ax.set(xlim=(0, 10), ylim=(0, 5), title="One step of an LSTM")
# ax.axis("off")
# arrow = {"arrowstyle": "-|>", "color": "black", "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
# ax.plot((0.9, 7.2), (0.8, 0.8), color="black", lw=1.2)
# ways = [((0.9, 4.2), (9, 4.2)), ((1.6, 0.3), (1.6, 0.8)), ((8.1, 4.2), (8.1, 0.8)),
#         ((8.1, 0.8), (9, 0.8)), ((7.6, 2), (7.92, 2))]
# for (letter, word, colour), x in zip(gates, (2.4, 4, 5.6, 7.2)):
#     ax.text(x, 2, f"{letter}\n{word}", ha="center", va="center", color="white",
#             bbox={"boxstyle": "round,pad=0.35", "facecolor": colour, "lw": 0})
#     ways.append(((x, 0.8), (x, 1.45)))
# ways += [((2.4, 2.6), (2.4, 4.05)), ((4, 2.6), (4.65, 3.1)),
#          ((5.6, 2.6), (4.95, 3.1)), ((4.8, 3.4), (4.8, 4.05))]
# for start, end in ways:
#     ax.annotate("", end, start, arrowprops=arrow)
# marks = ((2.4, 4.2, "×"), (4.8, 3.25, "×"), (4.8, 4.2, "+"), (8.1, 2, "×"))
# for x, y, sign in marks:
#     ax.text(x, y, sign, ha="center", va="center", size=13,
#             bbox={"boxstyle": "circle,pad=0.1", "facecolor": "white"})
# ax.text(8.25, 3.1, "tanh", va="center")
# words = ((0.8, 4.2, "memory $c$", "right"), (0.8, 0.8, "output $h$", "right"),
#          (1.6, 0.1, "new item $x$", "center"), (9.1, 4.2, "new $c$", "left"),
#          (9.1, 0.8, "new $h$", "left"))
# for x, y, text, side in words:
#     ax.text(x, y, text, ha=side, va="center")
# save_figure(figure, "lstm")

# %% [markdown]
# The line on top is the idea: a memory that nothing but gates touches can last for many
# steps. Now the published network, to the letter. It reads each token as one number
# between 0 and 1 (its place in the vocabulary, divided by its size), passes 40 of them
# through two LSTMs, and ends in a probability for each token.

# %%

def build_published_lstm(vocabulary_size):
    """Return the published stack: tokens as numbers (batch, 40, 1) in, shares out."""
    with warnings.catch_warnings():  # Keras 3 would rather have an Input
        warnings.filterwarnings("ignore", "Do not pass an `input_shape`")
        network = Sequential([
            LSTM(256, input_shape=(40, 1), return_sequences=True),
            Dropout(0.1),
            LSTM(128),
            Dense(128),
            Dropout(0.1),
            Dense(vocabulary_size, activation="softmax"),
        ])
    network.compile(Adamax(0.01), "categorical_crossentropy")
    return network


# %% tags=["active-ipynb"]
# network = build_published_lstm(len(known))
# network.summary()

# %% [markdown]
# **Try it:** change the layers here, to another width or a third LSTM; everything below
# goes on working.
#
# There are two ways to train it. `last_step`, as published: 40 events are read to learn
# from one target. `every_step`: the same layers and weights learn the next event behind
# each of the 40, which gives 40 targets for the same arithmetic. Training stops when
# pieces that are held back from the learning are no longer predicted better.


# %% tags=["hide-input"]
def rebuild(network, every_step, seed=None):
    """Return the stack for windows of any length, answering each step or the last.

    With a seed, its initial weights and its dropout depend on that alone; without, it
    takes the weights of the given network.
    """
    config = network.get_config()
    config["layers"][0]["config"]["batch_shape"] = (None, None, 1)
    seeds = itertools.count(1000 * (seed or 0))
    lstms = [layer for layer in config["layers"] if layer["class_name"] == "LSTM"]
    lstms[-1]["config"]["return_sequences"] = every_step
    for layer in config["layers"]:
        settings = layer["config"]
        for name in ("kernel_initializer", "recurrent_initializer"):
            if name in settings:
                settings[name]["config"]["seed"] = next(seeds)
        if layer["class_name"] == "Dropout":
            settings["seed"] = next(seeds)
    rebuilt = Sequential.from_config(config)
    if seed is None:
        rebuilt.set_weights(network.get_weights())
    return rebuilt


def scale_tokens(tokens, size):
    return np.asarray(tokens, dtype=np.float32)[..., None] / size


# %%
def deal_windows(windows, stride, generator):
    """Return shuffled indices of windows, `stride` apart from a random first one."""
    count, room = max(windows // stride, 1), min(windows, stride)
    return generator.permutation(generator.integers(room) + np.arange(count) * stride)


def fit_windows(network, read, sequences, seed, *, stride, batch_size, epochs,
                patience):
    """Train a network on windows of (learning, stopping) sequences; return its losses.

    `read` makes inputs and targets of EVENT windows (batch, 41), `stride` apart. After
    `patience` epochs without improvement training stops, and the best weights are kept;
    without stopping sequences, those of the last epoch.
    """
    windows, known = (Windows(part, SEQUENCE_LENGTH + 1) for part in sequences)
    if not len(windows):
        raise NotebookError("No piece to learn from is longer than SEQUENCE_LENGTH.")
    generator, settings = np.random.default_rng(seed), {}

    def deal_batches():
        while True:  # each epoch draws other windows
            order = deal_windows(len(windows), stride, generator)
            for start in range(0, len(order), batch_size):
                yield read(windows.cut(order[start : start + batch_size]))

    optimizer = Adamax(LEARNING_RATE)
    optimizer.build(network.trainable_variables)  # or its first update is traced twice
    network.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    if len(known):
        every = min(stride, SEQUENCE_LENGTH)
        order = deal_windows(len(known), every, np.random.default_rng(seed))
        stop = {"patience": patience, "restore_best_weights": True}
        settings = {"validation_data": read(known.cut(order)),
                    "validation_batch_size": batch_size,
                    "callbacks": [keras.callbacks.EarlyStopping("val_loss", **stop)]}
    count = len(deal_windows(len(windows), stride, np.random.default_rng(seed)))
    losses = network.fit(deal_batches(), steps_per_epoch=math.ceil(count / batch_size),
                         epochs=epochs, shuffle=False, verbose=0, **settings).history
    return {"learning": losses.get("loss", []), "stopping": losses.get("val_loss", [])}


def train_published(learning, stopping, vocabulary, seed, epochs):
    """Return the trained published network as a predictor, and its losses by epoch."""
    every_step, size = TRAINING_MODE == "every_step", len(vocabulary)

    def read(events):
        tokens = events["token"]
        inputs = scale_tokens(tokens[:, :-1], size)
        return inputs, tokens[:, 1:] if every_step else tokens[:, -1]

    network = rebuild(build_published_lstm(size), every_step, seed)
    sequences = [[encode(piece, vocabulary) for piece in part]
                 for part in (learning, stopping)]
    way = ({"stride": SEQUENCE_LENGTH, "batch_size": max(1, BATCH_SIZE // 4)}
           if every_step else {"stride": 1, "batch_size": BATCH_SIZE})
    losses = fit_windows(network, read, sequences, seed, epochs=epochs,
                         patience=PATIENCE, **way)
    return PublishedPredictor(network, size, SEQUENCE_LENGTH), losses


# %% [markdown]
# A trained network is asked in two ways. `predict` gives the probabilities of each
# event of a known piece, each from the 40 events before it, or as many as there are.
# `begin` opens a stream: it reads seeds, one for each of several pieces side by side,
# then gives one distribution after the other, keeping the LSTMs' state (which remembers
# more than 40 events) instead of reading 40 events again for each.


# %% tags=["hide-input"]
def predict_windows(network, inputs, length):
    """Return a network's answers (events, size) to inputs, each in a window of its own.

    A window holds `length` inputs, or all that there are before; the network answers
    each step.
    """
    rows = [network.predict_on_batch(inputs[None, :length])[0]]
    last = len(inputs) - length  # where the last window begins
    for start in range(1, last + 1, BATCH_SIZE):
        starts = np.minimum(start + np.arange(BATCH_SIZE), last)  # of one shape
        batch = inputs[starts[:, None] + np.arange(length)]
        rows.append(network.predict_on_batch(batch)[: last + 1 - start, -1])
    return np.concatenate(rows)


class PublishedPredictor:
    """The published network at work: it judges known tokens, or writes new ones."""

    streams = 1  # that it writes

    def __init__(self, network, size, length):
        self.network, self.size, self.length = network, size, length
        self.listener, self.steps = None, {}  # answers each step; compiled

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        self.listener = self.listener or rebuild(self.network, True)
        inputs = scale_tokens(tokens[:-1], self.size)
        return predict_windows(self.listener, inputs, self.length)

    def score(self, sequence):
        tokens = sequence["token"]
        return {"token": judge(self.predict(tokens), tokens[1:])}

    def begin(self, seeds, sampling, moods, forms):
        """Return a function that draws what comes next, and where it starts from."""
        def advance(values, states, uniforms, banned):
            new_states, old_states = [], iter(states)
            for layer in self.network.layers:
                if isinstance(layer, LSTM):
                    values, state = layer.cell(values, next(old_states), training=False)
                    new_states.append(state)
                else:
                    values = layer(values)
            logits = tf.math.log(values)
            return draw_classes(logits, uniforms, banned, *sampling), new_states

        advance = self.steps.setdefault(sampling, tf.function(advance, autograph=False))

        def step(place, uniforms, banned):
            tokens, states = place
            values = tf.constant(scale_tokens(tokens, self.size))
            inputs = (tf.constant(uniforms[:, 0]), tf.constant(banned, tf.int32))
            drawn, states = advance(values, states, *inputs)
            drawn = drawn.numpy()
            return drawn[:, None], (drawn, states)

        units = [each.units for each in self.network.layers if isinstance(each, LSTM)]
        states = [[tf.zeros((len(seeds), width))] * 2 for width in units]
        tokens = np.array([seed["token"] for seed in seeds]).T
        nothing = (np.zeros((len(seeds), 1)), np.full((len(seeds), 1), -1))
        for row in tokens[:-1]:
            _, (_, states) = step((row, states), *nothing)
        return step, (tokens[-1], states)


def show_training(learning, stopping, seed, epochs):
    """Return the losses and the weights of a published network, as plain data."""
    known = build_vocabulary(learning, VOCABULARY_SIZE)
    predictor, losses = train_published(learning, stopping, known, seed, epochs)
    weights = [weight.tolist() for weight in predictor.network.get_weights()]
    return {"losses": losses, "weights": weights}


# %% tags=["active-ipynb"]
# untrained = PublishedPredictor(network, len(known), SEQUENCE_LENGTH)
# untrained_score = score_streams(untrained, stopping[:1], known)["token"]
# print(f"Untrained: {untrained_score['nats_per_event']:.3f} nats an event; a uniform "
#       f"guess costs ln({len(known)}) = {math.log(len(known)):.3f}.")

# %% [markdown]
# Before it has learnt anything, the network spreads its probability evenly, as it
# should. Now watch it learn, from nine tenths of the training pieces. A cell that has
# been run once keeps its result.


# %% tags=["active-ipynb", "hide-input"]
# job = (learning, stopping, SEED, EPOCHS)
# (watched,) = run_cached(show_training, [job], CACHE_FOLDER, "training")
# figure, ax = plt.subplots(figsize=WIDE)
# for name, colour, mark, label in (
#         ("learning", BASELINE, "o--", "pieces it learns from"),
#         ("stopping", REAL, "s-", "held-back pieces")):
#     losses = watched["losses"][name]
#     ax.plot(range(1, len(losses) + 1), losses, mark, ms=4, color=colour, label=label)
# counted, _ = train_unigram(learning, stopping, known, SEED, 0)
# unigram_nats = score_streams(counted, stopping, known)["token"]["nats_per_event"]
# for nats, word in ((unigram_nats, "unigram"), (min(ngram_curve), "n-gram")):
#     ax.axhline(nats, color="black", lw=1, linestyle=":")
#     ax.text(1.01, nats, word, va="center", transform=ax.get_yaxis_transform())
# ax.set(title="The published LSTM learns", xlabel="epoch", ylabel="nats an event")
# ax.xaxis.get_major_locator().set_params(integer=True)
# ax.legend()
# save_figure(figure, "training")

# %% [markdown]
# The loss falls for an epoch or two, to what counting single tokens gives, and stays
# there. (The grey line is the higher one: these pieces are harder, and *dropout*, which
# silences some units at random, is on.) What has it learnt? Here are two windows that
# have nothing in common, and for each the five tokens that the network thinks
# likeliest.

# %% tags=["active-ipynb", "hide-input"]
# network.set_weights([np.array(weight) for weight in watched["weights"]])
# lstm = PublishedPredictor(network, len(known), SEQUENCE_LENGTH)
# figure, axes = plt.subplots(1, 2, figsize=WIDE, sharex=True)
# for ax, piece in zip(axes, (stopping[0], stopping[-1])):
#     tokens = encode(piece, known)["token"][: SEQUENCE_LENGTH + 1]
#     shares = lstm.predict(tokens)[-1]
#     best = np.argsort(shares)[-5:]
#     names = [name_chord(known.chords[token]) for token in best]
#     ax.barh(names, shares[best], color=GENERATED)
#     ax.set(title=f"{plain(piece.name)}: {name_chord(known.chords[tokens[-1]])} follows",
#            xlabel="probability")
# save_figure(figure, "likeliest")

# %% [markdown]
# The answers are nearly the same, whatever went before: the notes that are frequent
# everywhere, each with a probability of a few hundredths. And so it sounds. Here it
# writes at three temperatures:

# %% tags=["active-ipynb"]
# seed = encode(stopping[0], known)[:SEQUENCE_LENGTH]
# rhythm = np.concatenate([encode(piece, known) for piece in learning])
# for temperature in (0.5, 1.0, 1.5):
#     generators = [np.random.default_rng(SEED)]
#     rows, _ = write_events(lstm, [seed], 60, (temperature, 1.0, 0), generators, rhythm)
#     show(Piece(f"published LSTM, temperature {temperature}", decode(rows[0], known),
#                stopping[0].tempo, settings=f"temperature {temperature}"))

# %% [markdown]
# No melody at any temperature. Is it the way it is trained? Does it read too little?
# Section 15 takes the network apart, one idea at a time; the next sections build one
# that hears.
