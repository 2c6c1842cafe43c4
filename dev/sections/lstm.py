# %% [markdown]
# ## 8 The published LSTM
#
# **What is trained?** First the published network, to the letter. It reads each token as
# one number between 0 and 1 (its place in the vocabulary, divided by its size) and ends
# in a probability for each token. Change the layers here to reshape it; everything
# behind goes on working.

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
from .encoding import Windows, encode
from .settings import (
    BATCH_SIZE,
    LEARNING_RATE,
    PATIENCE,
    SEQUENCE_LENGTH,
    TRAINING_MODE,
    NotebookError,
)

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
# network = build_published_lstm(len(vocabulary))
# network.summary()

# %% [markdown]
# There are two ways to train it. `last_step`, as published: 40 events are read to learn
# from one target. `every_step`: the same layers and weights learn the next event behind
# each of the 40, which gives 40 targets for the same arithmetic. The two kinds of network
# take each other's weights, and give the same prediction behind the last event.


# %%
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


def deal_windows(windows, stride, generator):
    """Return shuffled indices of windows, `stride` apart from a random first one."""
    count = max(windows // stride, min(windows, 1))
    room = min(stride, windows - (count - 1) * stride)
    return generator.permutation(generator.integers(room) + np.arange(count) * stride)


# %%
def train_published(learning, stopping, vocabulary, seed, epochs):
    """Return the trained published network as a predictor, and its losses by epoch.

    With stopping pieces the best weights are kept; without, those of the last epoch.
    """
    every_step, size = TRAINING_MODE == "every_step", len(vocabulary)
    stride = SEQUENCE_LENGTH if every_step else 1
    batch_size = max(1, BATCH_SIZE // 4) if every_step else BATCH_SIZE
    shape = (SEQUENCE_LENGTH, 0, SEQUENCE_LENGTH + 1)
    windows, known = (Windows([encode(piece, vocabulary) for piece in pieces], *shape)
                      for pieces in (learning, stopping))
    if not len(windows):
        raise NotebookError("No piece to learn from is longer than SEQUENCE_LENGTH.")

    def cut(windows, indices):
        tokens = windows.cut(indices)["token"]
        inputs = scale_tokens(tokens[:, :-1], size)
        return inputs, tokens[:, 1:] if every_step else tokens[:, -1]

    def deal_batches():
        while True:  # each epoch draws other windows
            order = deal_windows(len(windows), stride, generator)
            for start in range(0, len(order), batch_size):
                yield cut(windows, order[start : start + batch_size])

    network = rebuild(build_published_lstm(size), every_step, seed)
    optimizer = Adamax(LEARNING_RATE)
    optimizer.build(network.trainable_variables)  # or its first update is traced twice
    network.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    settings = {}
    if len(known):
        order = deal_windows(len(known), stride, np.random.default_rng(seed))
        stop = {"patience": PATIENCE, "restore_best_weights": True}
        settings = {"validation_data": cut(known, order),
                    "validation_batch_size": batch_size,
                    "callbacks": [keras.callbacks.EarlyStopping("val_loss", **stop)]}
    generator = np.random.default_rng(seed)
    updates = math.ceil(len(deal_windows(len(windows), stride, generator)) / batch_size)
    fitted = network.fit(deal_batches(), steps_per_epoch=updates, epochs=epochs,
                         shuffle=False, verbose=0, **settings)
    predictor = PublishedPredictor(network, size, SEQUENCE_LENGTH)
    return predictor, fitted.history["val_loss" if settings else "loss"]


# %% [markdown]
# A trained network is asked in two ways. `predict` gives the probabilities of each event
# of a known piece, each from the 40 events before it, or all that there are. `begin`
# opens a stream: it reads seeds, one for each of several pieces side by side, then gives
# one distribution after the other, keeping the LSTMs' state (which remembers more than
# 40 events) instead of reading 40 events again for each.


# %%
class PublishedPredictor:
    """The published network at work: it judges known tokens, or writes new ones."""

    def __init__(self, network, size, length):
        self.network, self.size, self.length = network, size, length
        self.networks, self.steps = {}, {}  # answering each step or the last; compiled

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        for every_step in (True, False):
            if every_step not in self.networks:
                self.networks[every_step] = rebuild(self.network, every_step)
        inputs = scale_tokens(tokens[:-1], self.size)
        rows = [self.networks[True].predict_on_batch(inputs[None, : self.length])[0]]
        if len(inputs) > self.length:
            cut = np.lib.stride_tricks.sliding_window_view
            windows = np.moveaxis(cut(inputs[1:], self.length, 0), 2, 1)
            for start in range(0, len(windows), BATCH_SIZE):
                places = start + np.arange(BATCH_SIZE)  # of one shape: traced once
                batch = windows[np.minimum(places, len(windows) - 1)]
                known = self.networks[False].predict_on_batch(batch)
                rows.append(known[: len(windows) - start])
        return np.concatenate(rows)

    def score(self, sequence):
        tokens = sequence["token"]
        return {"token": judge(self.predict(tokens), tokens[1:])}

    def begin(self, seeds, sampling, moods):
        """Return a function that draws what comes next, and where it starts from."""
        layers = [each for each in self.network.layers if not isinstance(each, Dropout)]

        def advance(values, states, uniforms, banned):
            new_states, old_states = [], iter(states)
            for layer in layers:
                if isinstance(layer, LSTM):
                    values, state = layer.cell(values, next(old_states), training=False)
                    new_states.append(state)
                else:
                    values = layer(values)
            logits = tf.math.log(values)
            return draw_classes(logits, uniforms, banned, *sampling), new_states

        if sampling not in self.steps:
            self.steps[sampling] = tf.function(advance, autograph=False)

        def step(place, uniforms, banned):
            tokens, states = place
            values = tf.constant(scale_tokens(tokens, self.size))
            inputs = (tf.constant(uniforms[:, 0]), tf.constant(banned, tf.int32))
            drawn, states = self.steps[sampling](values, states, *inputs)
            drawn = drawn.numpy()
            return drawn[:, None], (drawn, states)

        units = [layer.units for layer in layers if isinstance(layer, LSTM)]
        states = [[tf.zeros((len(seeds), width))] * 2 for width in units]
        tokens = np.array([seed["token"] for seed in seeds]).T
        nothing = (np.zeros((len(seeds), 1)), np.full((len(seeds), 1), -1))
        for row in tokens[:-1]:
            _, (_, states) = step((row, states), *nothing)
        return step, (tokens[-1], states)


# %% tags=["active-ipynb"]
# untrained = PublishedPredictor(network, len(vocabulary), SEQUENCE_LENGTH)
# untrained_score = score_streams(untrained, stopping[:1], vocabulary)["token"]
# print(f"Untrained: {untrained_score['nats_per_event']:.3f} nats an event; a uniform "
#       f"guess costs ln({len(vocabulary)}) = {math.log(len(vocabulary)):.3f}.")

# %% [markdown]
# Before it has learnt anything, the network spreads its probability evenly, as it
# should.
