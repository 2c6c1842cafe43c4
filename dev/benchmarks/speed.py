"""Compare parsing, training and generation with what people would use instead.

Usage: python dev/benchmarks/speed.py [FOLDER_OF_MIDI_FILES]
Each line of the table is a ratio of two times taken in this one run.
"""

import os
import sys
import time
from pathlib import Path

import report

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
import music21
import numpy as np

import definitions as notebook
import published

SEED = 7
EVENTS = 500  # generated to time one


def seconds_of(function, *arguments):
    """Return how long a call takes, in seconds, and its result."""
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def compare_parsing(paths):
    """Return the row for parsing: music21's converter against parse_midi."""
    slow, _ = seconds_of(
        lambda: [music21.converter.parse(path, forceSource=True) for path in paths]
    )
    turns = [
        seconds_of(lambda: [notebook.parse_midi(path) for path in paths])[0]
        for _ in range(3)
    ]
    fast = np.median(turns)
    what = f"reading {len(paths)} files"
    return [
        what,
        "`music21.converter.parse`",
        f"{slow:.1f} s",
        f"{fast:.2f} s",
        slow / fast,
    ]


def train_until(every_step, learning, stopping, vocabulary, epochs, target):
    """Return (seconds, last-step loss) after each epoch, until a loss is reached."""
    size = len(vocabulary)
    windows, known = (
        published.make_windows([notebook.encode(piece, vocabulary) for piece in pieces])
        for pieces in (learning, stopping)
    )
    generator = np.random.default_rng(SEED)
    check = [*published.deal_batches(known, size, False, generator)]
    check = [np.concatenate(part) for part in zip(*check, strict=True)]
    networks = [published.build(size, step) for step in (every_step, False)]

    def learn():
        for batch in published.deal_batches(windows, size, every_step, generator):
            networks[0].train_on_batch(*batch)

    spent, curve = 0.0, []
    for _ in range(epochs):
        spent += seconds_of(learn)[0]
        networks[1].set_weights(networks[0].get_weights())
        curve.append((spent, networks[1].evaluate(*check, 256, verbose=0)))
        if curve[-1][1] <= target:
            break
    return curve


NEAR = 0.01  # nats an event: losses this near are the same


def compare_training(pieces):
    """Return the row for training: time to come near the best loss of last_step."""
    learning, stopping = pieces[:-2], pieces[-2:]
    vocabulary = notebook.build_vocabulary(learning, notebook.VOCABULARY_SIZE)
    data = (learning, stopping, vocabulary)
    slow = train_until(False, *data, 6, -np.inf)
    target = min(loss for _, loss in slow) + NEAR
    slow_seconds = next(spent for spent, loss in slow if loss <= target)
    fast = train_until(True, *data, 120, target)
    if fast[-1][1] > target:
        sys.exit(f"every_step stayed at {fast[-1][1]:.4f}, above {target:.4f}.")
    what = f"training to {target:.3f} nats an event (every_step: {fast[-1][1]:.3f})"
    seconds = [f"{slow_seconds:.0f} s", f"{fast[-1][0]:.1f} s"]
    return [what, "`last_step`, as published", *seconds, slow_seconds / fast[-1][0]]


def predict_in_a_loop(network, window, length, size):
    """Generate as published: `model.predict` on the whole window for each event."""
    for _ in range(length):
        shares = network.predict(notebook.scale_tokens(window, size)[None], verbose=0)
        window = np.append(window[1:], shares[0].argmax())


def compare_generation(pieces):
    """Return the rows for generation: the published loop against one and 16 streams."""
    vocabulary = notebook.build_vocabulary(pieces, notebook.VOCABULARY_SIZE)
    sequence = notebook.encode(pieces[0], vocabulary)
    network = published.build(len(vocabulary), every_step=False)
    predictor = notebook.PublishedPredictor(
        network, len(vocabulary), notebook.SEQUENCE_LENGTH)  # fmt: skip
    model = notebook.Model("published", predictor, vocabulary, sequence, 120.0, {},
                           notebook.Sources([]))  # fmt: skip
    seed = sequence[: notebook.SEQUENCE_LENGTH]
    predict_in_a_loop(network, seed["token"], 2, len(vocabulary))
    loop, _ = seconds_of(
        predict_in_a_loop, network, seed["token"], 50, len(vocabulary))  # fmt: skip
    rows = []
    for streams in (1, 16):
        generator = np.random.default_rng(SEED)
        started = time.perf_counter()
        notebook.generate_pieces(model, [seed] * streams, EVENTS, generator=generator)
        ours = (time.perf_counter() - started) / streams / EVENTS
        what, against = f"an event, {streams} at once", "loop of `model.predict`"
        times = [f"{1000 * loop / 50:.1f} ms", f"{1000 * ours:.3f} ms"]
        rows.append([what, against, *times, loop / 50 / ours])
    return rows


def measure(folder=notebook.TRAINING_FOLDER):
    """Return all rows of this script."""
    paths = notebook.find_midi_files(report.ROOT / folder)
    pieces = [notebook.parse_midi(path) for path in paths]
    rows = [
        compare_parsing(paths),
        compare_training(pieces),
        *compare_generation(pieces),
    ]
    return [[*row[:-1], f"**{row[-1]:.0f}×**"] for row in rows]


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else notebook.TRAINING_FOLDER)
    own = chosen.name == notebook.TRAINING_FOLDER
    name = "speed" if own else f"speed_{chosen.name}"
    report.write_rows(name, f"Speed, on the pieces of {chosen.name}", measure(chosen))
