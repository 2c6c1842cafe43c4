"""Train what people would use instead, and judge it by the notebook's own evaluation.

Usage: pip install miditok==3.1.0 && python dev/benchmarks/peers.py [--minutes 10]
Trains on the twenty shipped training pieces, on one thread, for as many minutes of
processor time each: the network of TensorFlow's tutorial "Generate music with an RNN",
and REMI tokens (MidiTok) with a small causal transformer. Each writes twenty pieces of
400 events. Writes peers.md.
"""

import argparse
import math
import os
import tempfile
import time
from pathlib import Path

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"

import keras  # noqa: E402
import miditok  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import report  # noqa: E402
import symusic  # noqa: E402
import tensorflow as tf  # noqa: E402

import definitions as notebook  # noqa: E402
from results import markdown_table  # noqa: E402

SEED, PIECES, EVENTS = 7, 20, 400
layers, ops = keras.layers, keras.ops


def train(update, minutes):
    """Call `update` until the minutes of processor time are over; return seconds."""
    started = time.process_time()
    while (spent := time.process_time() - started) < 60 * minutes:
        update()
    return spent


# TensorFlow's tutorial: single notes, as pitch, step and duration in seconds.

NOTES = 25  # that its network sees


def read_notes(piece):
    """Return a piece's notes as pitch, step and duration, (notes, 3), in seconds."""
    beat = 60 / piece.tempo
    steps = np.diff(piece.notes["onset"], prepend=piece.notes["onset"][0]) * beat
    columns = piece.notes["pitch"], steps, piece.notes["duration"] * beat
    return np.stack(columns, axis=1).astype(np.float32)


class Tutorial:
    """The tutorial's network: LSTM(128), a pitch's class, two numbers for its time."""

    def __init__(self, pieces):
        cut = np.lib.stride_tricks.sliding_window_view
        rows = [cut(read_notes(piece), NOTES + 1, axis=0) for piece in pieces]
        self.windows = np.moveaxis(np.concatenate(rows), 2, 1)
        inputs = keras.Input((NOTES, 3))
        heard = layers.LSTM(128)(inputs)
        outputs = [
            layers.Dense(128)(heard),
            layers.Dense(1)(heard),
            layers.Dense(1)(heard),
        ]
        self.network = keras.Model(inputs, outputs)
        self.optimizer = keras.optimizers.Adam(0.005)
        self.generator = np.random.default_rng(SEED)
        self.learn = tf.function(self.learn, reduce_retracing=True)

    def update(self):
        """Learn from a batch of 64 windows."""
        rows = self.windows[self.generator.integers(len(self.windows), size=64)]
        self.learn(tf.constant(rows))

    def learn(self, rows):
        """Lower the tutorial's loss on windows (64, 26, 3)."""
        with tf.GradientTape() as tape:
            logits, *times = self.network(rows[:, :-1] / [128, 1, 1])
            pitch = tf.cast(rows[:, -1, 0], tf.int32)
            loss = 0.05 * tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(pitch, logits)
            )
            for column, guess in enumerate(times, 1):
                miss = (rows[:, -1, column : column + 1] - guess) ** 2
                loss += tf.reduce_mean(miss + 10 * tf.maximum(-guess, 0))
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    def score(self, pieces):
        """Return the nats a note of the pitch on pieces."""
        nats = []
        for piece in pieces:
            rows = read_notes(piece)
            windows = np.lib.stride_tricks.sliding_window_view(rows, NOTES, axis=0)[:-1]
            logits, *_ = self.network(np.moveaxis(windows, 2, 1) / [128, 1, 1])
            shares = tf.nn.log_softmax(logits).numpy()
            nats.append(-shares[np.arange(len(shares)), rows[NOTES:, 0].astype(int)])
        return float(np.concatenate(nats).mean())

    def write(self, starts, published):
        """Return pieces that go on from the first notes of others.

        If `published`, as the tutorial does: at temperature 2, and with pitches that
        are fed back undivided.
        """
        rows = np.stack([read_notes(piece)[:NOTES] / [128, 1, 1] for piece in starts])
        ask, written = tf.function(self.network), []
        for _ in range(2 * EVENTS):
            logits, step, duration = (each.numpy() for each in ask(rows.astype("f4")))
            logits /= 2.0 if published else 1.0
            pitch = (logits + self.generator.gumbel(size=logits.shape)).argmax(1)
            new = np.stack([pitch, *np.maximum([step[:, 0], duration[:, 0]], 0)], 1)
            written.append(new)
            fed = new if published else new / [128, 1, 1]
            rows = np.concatenate([rows[:, 1:], fed[:, None]], axis=1)
        pieces = []
        for each, start in zip(np.stack(written, 1), starts, strict=True):
            beat = 60 / start.tempo
            notes = np.zeros(len(each), notebook.NOTE)
            notes["onset"] = np.cumsum(each[:, 1]) / beat
            notes["duration"] = np.maximum(each[:, 2] / beat, 1 / 12)
            notes["pitch"], notes["velocity"] = np.clip(each[:, 0], 21, 108), 64
            notes = notebook.release_keys(notes)
            pieces.append(notebook.Piece("tutorial", notes, start.tempo))
        return pieces


# REMI tokens and a small transformer.

CONTEXT, WIDTH, HEADS, BLOCKS, BATCH = 256, 128, 4, 4, 16


def build_transformer(size):
    """Return a causal transformer from tokens (batch, time) to logits."""
    tokens = keras.Input((None,), dtype="int32")
    order = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
    places = layers.Embedding(CONTEXT, WIDTH)(order)
    heard = layers.Embedding(size, WIDTH)(tokens) + places
    for _ in range(BLOCKS):
        normal = layers.LayerNormalization()(heard)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        mixed = attention(normal, normal, use_causal_mask=True)
        heard = heard + layers.Dropout(0.1)(mixed)
        hidden = layers.Dense(4 * WIDTH, "gelu")(layers.LayerNormalization()(heard))
        heard = heard + layers.Dropout(0.1)(layers.Dense(WIDTH)(hidden))
    logits = layers.Dense(size)(layers.LayerNormalization()(heard))
    return keras.Model(tokens, logits)


class Remi:
    """REMI tokens of MidiTok, as fine as the notebook's grid, and a transformer."""

    def __init__(self, paths):
        settings = {
            "beat_res": {(0, 8): 12},
            "num_velocities": 16,
            "pitch_range": (21, 109),
        }
        self.tokenizer = miditok.REMI(miditok.TokenizerConfig(**settings))
        self.kinds = np.empty(len(self.tokenizer.vocab), dtype=object)
        for name, number in self.tokenizer.vocab.items():
            self.kinds[number] = name.split("_")[0]
        self.rows = [self.read(path) for path in paths]
        self.network = build_transformer(len(self.kinds))
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 2000, 0.5)
        self.optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
        self.generator = np.random.default_rng(SEED)
        self.learn = tf.function(self.learn, reduce_retracing=True)

    def read(self, path):
        """Return a file's tokens, both hands in one row, as the notebook reads them."""
        piece = notebook.parse_midi(path)
        data = notebook.midi_bytes(piece.notes, piece.tempo, "", (), piece.metres)
        (row,) = self.tokenizer(symusic.Score.from_midi(data))
        return np.array(row.ids)

    def update(self):
        """Learn from a batch of windows, each in a key of its own."""
        batch = []
        for number in self.generator.integers(len(self.rows), size=BATCH):
            row = self.rows[number]
            start = self.generator.integers(len(row) - CONTEXT)
            part = row[start : start + CONTEXT + 1].copy()
            moved = part[self.kinds[part] == "Pitch"] + self.generator.integers(-5, 7)
            part[self.kinds[part] == "Pitch"] = np.clip(moved, *self.pitches)
            batch.append(part)
        self.learn(tf.constant(np.array(batch)))

    @property
    def pitches(self):
        """The lowest and the highest token of a pitch."""
        return np.flatnonzero(self.kinds == "Pitch")[[0, -1]]

    def learn(self, rows):
        """Lower the loss on windows (batch, 257)."""
        with tf.GradientTape() as tape:
            logits = self.network(rows[:, :-1], training=True)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(rows[:, 1:], logits)
            loss = tf.reduce_mean(nats)
        weights = self.network.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    def score(self, paths):
        """Return nats a note on files: of the pitch, and of when and which together."""
        sums, notes = dict.fromkeys(set(self.kinds), 0.0), 0
        ask = tf.function(lambda rows: tf.nn.log_softmax(self.network(rows)))
        for path in paths:
            row = self.read(path)
            for start in range(0, len(row) - CONTEXT, CONTEXT // 2):
                part = row[start : start + CONTEXT + 1]
                shares = ask(part[None, :-1])[0].numpy()
                first = CONTEXT // 2 if start else 0  # each token once, with context
                for place in range(first, CONTEXT):
                    sums[self.kinds[part[place + 1]]] -= shares[place, part[place + 1]]
                    notes += self.kinds[part[place + 1]] == "Pitch"
        pitch, when = sums["Pitch"] / notes, (sums["Bar"] + sums["Position"]) / notes
        return pitch, pitch + when

    def write(self, starts):
        """Return pieces after the first tokens of files."""
        rows = np.stack([self.read(path)[: CONTEXT // 4] for path in starts])
        ask = tf.function(self.network, reduce_retracing=True)
        count = rows.shape[1] + 6 * EVENTS
        written = [rows]
        while sum(part.shape[1] for part in written) < count:
            logits = ask(tf.constant(rows[:, -CONTEXT:]))[:, -1].numpy()
            new = (logits + self.generator.gumbel(size=logits.shape)).argmax(1)[:, None]
            written.append(new)
            rows = np.concatenate([rows[:, -CONTEXT + 1 :], new], axis=1)
        pieces, first = [], written[0].shape[1]
        with tempfile.TemporaryDirectory() as folder:
            for ids in np.concatenate(written, axis=1)[:, first:].tolist():
                path = Path(folder) / "written.mid"
                self.tokenizer.decode([ids]).dump_midi(path)
                pieces.append(notebook.parse_midi(path))
        return pieces


# The judge.


def judge(pieces, real, vocabulary):
    """Return the notebook's measures of pieces beside real ones, as cells."""
    generator = np.random.default_rng(SEED)
    ours = [notebook.encode(piece, vocabulary)[:EVENTS] for piece in pieces]
    ours = [
        notebook.Piece("", notebook.decode(row, vocabulary), 120.0)
        for row in ours
        if len(row) > 100
    ]
    theirs = notebook.cut_excerpts(real, vocabulary, EVENTS, generator)
    values = [
        notebook.compare(name, theirs, ours) for name in notebook.HEADLINE_METRICS
    ]
    auc, *_ = notebook.two_sample_auc(theirs, ours, range(3))
    return [f"{value:.3f}" for value in (*values, auc)]


def timed(function, *arguments):
    """Return what a function gives, and milliseconds of processor time an event."""
    started = time.process_time()
    result = function(*arguments)
    spent = time.process_time() - started
    events = sum(len(notebook.group_notes(piece)[0]) for piece in result)
    return result, f"{1000 * spent / max(events, 1):.1f}"


def known_rows():
    """Return the rows of the notebook's own models, as its last run left them."""
    tables = report.ROOT / "outputs" / "tables"
    folds = pd.read_csv(tables / "cross_validation.csv").groupby("model")
    means = folds[["nats_per_note", "seconds"]].mean()
    values = pd.read_csv(tables / "evaluation.csv").set_index(["model", "metric"])[
        "value"
    ]
    rows = []
    for model in ("ngram", "expressive"):
        names = (*notebook.HEADLINE_METRICS, "two_sample_auc")
        cells = [f"{values[model, name]:.3f}" for name in names]
        nats = f"{means.loc[model, 'nats_per_note']:.3f} (folds)"
        rows.append([f"the notebook's {model}", "", "", nats, *cells])
    return rows


def main():
    """Train, write, judge and write peers.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    keras.utils.set_random_seed(SEED)
    folders = [
        report.ROOT / name for name in ("jazz_sample_files", "Validation_samples")
    ]
    paths = [notebook.find_midi_files(folder) for folder in folders]
    training, real = ([notebook.parse_midi(path) for path in each] for each in paths)
    vocabulary = notebook.build_vocabulary(training, notebook.VOCABULARY_SIZE)
    tutorial = Tutorial(training)
    seconds, rows = f"{train(tutorial.update, minutes):.0f}", []
    nats = f"{tutorial.score(real):.3f}"
    for words, published in (("as published", True), ("pitch mended", False)):
        pieces, speed = timed(tutorial.write, training[:PIECES], published)
        name = f"TensorFlow's tutorial, {words}"
        rows.append([name, seconds, speed, nats, *judge(pieces, real, vocabulary)])
        print(rows[-1], flush=True)
    remi = Remi(paths[0])
    seconds = f"{train(remi.update, minutes):.0f}"
    pitch, both = remi.score(paths[1])
    pieces, speed = timed(remi.write, paths[0][:PIECES])
    count = sum(math.prod(w.shape) for w in remi.network.trainable_weights)
    name = f"REMI and a transformer of {count:,} numbers"
    nats = f"{pitch:.3f}; {both:.3f}"
    rows.append([name, seconds, speed, nats, *judge(pieces, real, vocabulary)])
    header = [
        "system",
        "training, s",
        "ms an event",
        "nats a note: which; when and which",
    ]
    header += ["KL", "interval", "rhythm", "AUC"]
    text = (
        "Trained on the 20 shipped pieces, judged beside the 20 validation pieces: 20 "
        "pieces of 400 events. Seconds are processor time, on one thread; writing is "
        "timed 20 pieces at once. REMI's tokens and the notebook's divide music "
        "differently, so their nats compare roughly.\n\n"
    )
    text += markdown_table(header, [*rows, *known_rows()])
    report.write_report("peers", "What you would get elsewhere", text)


if __name__ == "__main__":
    main()
