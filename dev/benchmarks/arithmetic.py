"""Compare the arithmetic of training with the machine's rate of matrix products.

Usage: python dev/benchmarks/arithmetic.py
An update of each network is timed on one thread, in turn with a product of
matrices of 2,048 rows and columns; then two folds on one thread each, side by side,
against the same two on two threads, one after the other.
"""

import itertools
import os
import subprocess
import sys
import time

import report

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
import keras
import numpy as np
import tensorflow as tf

import definitions as notebook
import published

SEED, THREADS = 7, ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
UPDATES = 12  # of a network, timed
TURNS = 5  # products and updates take turns; the medians count


def list_layers(layer):
    """Yield the layers that hold weights of their own, however deep."""
    inner = getattr(layer, "layers", None)
    for each in inner or ():
        yield from list_layers(each)
    if inner is None:
        yield layer


def count_operations(network):
    """Return the additions and multiplications an event takes in training, about.

    Each weight of a matrix is used once forward and twice backward, a fixed one once
    backward; a convolution's at each of the 88 pitches, and once backward, since its
    input is not learnt. Attention compares and mixes `context` + 1 events, once forward
    and twice backward. Other products without weights (averages) are left out.
    """
    total = 0
    for layer in list_layers(network):
        if isinstance(layer, notebook.CachedAttention):
            query, _, cache, _ = layer.input
            total += 2 * 2 * 3 * query.shape[-1] * (cache.shape[1] + 1)
        kernels = [
            weight for weight in layer.weights
            if "kernel" in weight.name and "Embedding" not in type(layer).__name__
        ]  # fmt: skip
        size = 2 * sum(int(np.prod(kernel.shape)) for kernel in kernels)
        convolution = isinstance(layer, keras.layers.Conv2D)
        uses = 3 if layer.trainable_weights and not convolution else 2
        total += size * uses * (notebook.PITCHES if convolution else 1)
    return total


def multiply(rows, depth, columns):
    """Return a function that multiplies two matrices, and its operations."""
    left, right = tf.random.normal((rows, depth)), tf.random.normal((depth, columns))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(left, right)))
    return lambda: product().numpy(), 2 * rows * depth * columns


def median_seconds(functions):
    """Return the median time of each function; they take turns."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(TURNS):
        for function, row in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            row.append(time.perf_counter() - started)
    return [float(np.median(row)) for row in times]


def prepare_published(pieces, vocabulary):
    """Return a function that makes some updates, their events, and the network."""
    size, length = len(vocabulary), notebook.SEQUENCE_LENGTH
    sequences = [notebook.encode(piece, vocabulary) for piece in pieces]
    windows = published.make_windows(sequences)
    network = published.build(size, every_step=True)
    events = UPDATES * published.batch_size(True) * length
    return lambda: published.update(network, windows, size, UPDATES), events, network


def prepare_streams(shape, pieces, vocabulary):
    """Return the same for a network that hears time and touch."""
    network = notebook.build_expressive(vocabulary, shape, SEED)
    streams, window = (notebook.SCHEDULE[name] for name in ("streams", "window"))
    keyed = notebook.KeyedPieces(pieces, vocabulary)
    update_once = notebook.make_update(network, 10**6)

    def update():
        states = notebook.zero_states(network, streams)
        generator = np.random.default_rng(SEED)
        parts = itertools.chain.from_iterable(
            keyed.read(keyed.draw(generator), streams, window, generator)
            for _ in itertools.count()
        )
        for part in itertools.islice(parts, UPDATES):
            loss, states = update_once(*map(tf.constant, part), *states)
        return float(loss)

    return update, UPDATES * streams * window, network


def compare_arithmetic():
    """Return a row for each network: its rate against that of a matrix product."""
    paths = notebook.find_midi_files(report.ROOT / notebook.TRAINING_FOLDER)
    pieces = [notebook.parse_midi(path) for path in paths]
    vocabulary = notebook.build_vocabulary(pieces, notebook.VOCABULARY_SIZE)
    product, operations = multiply(2048, 2048, 2048)
    prepared = {
        "published": prepare_published(pieces, vocabulary),
        "expressive": prepare_streams(notebook.EXPRESSIVE, pieces, vocabulary),
        "transformer": prepare_streams(notebook.TRANSFORMER, pieces, vocabulary),
    }
    rows = []
    for name, (update, events, network) in prepared.items():
        seconds, ours = median_seconds([product, update])
        top = operations / seconds / 1e9
        rate = count_operations(network) * events / ours / 1e9
        what = f"arithmetic of training, {name}, one thread"
        told = f"{rate:.0f} GFLOP/s ({events / ours:,.0f} events/s)"
        rows.append([what, "matrix product", f"{top:.0f} GFLOP/s", told,
                     f"{rate / top:.0%}"])  # fmt: skip
    return rows


FOLD = """
import sys
sys.path[:0] = [{tools!r}]
import definitions as notebook
notebook.EXPRESSIVE_FOLD_EPOCHS = 3
paths = notebook.find_midi_files({folder!r})
pieces = [notebook.parse_midi(path) for path in paths]
folds = notebook.make_folds(pieces, 10, 7)
for job in notebook.list_fold_jobs(("expressive",), pieces, folds, 7)[{first}:{last}]:
    notebook.run_fold(*job)
"""


def start_folds(first, last, threads):
    """Start a process that trains some folds on so many threads."""
    folder = str(report.ROOT / notebook.TRAINING_FOLDER)
    program = FOLD.format(tools=str(report.ROOT / "dev" / "tools"), folder=folder,
                          first=first, last=last)  # fmt: skip
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def compare_folds():
    """Return the row for folds: side by side against one after the other."""
    seconds = []
    for parts in ([(0, 2, 2)], [(0, 1, 1), (1, 2, 1)]):
        started = time.perf_counter()
        for process in [start_folds(*part) for part in parts]:
            if process.wait():
                sys.exit("A fold failed.")
        seconds.append(time.perf_counter() - started)
    times = [f"{each:.0f} s" for each in seconds]
    what = "two folds of expressive (3 epochs), side by side on one thread each"
    return [what, "one after the other on two threads", *times,
            f"{seconds[0] / seconds[1]:.2f}×"]  # fmt: skip


def measure():
    """Return all rows of this script."""
    return [*compare_arithmetic(), compare_folds()]


if __name__ == "__main__":
    report.write_rows("arithmetic", "Arithmetic of training", measure())
