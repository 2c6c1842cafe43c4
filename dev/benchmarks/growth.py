"""Time an event and memory with corpora of growing size.

Usage: python dev/benchmarks/growth.py [FOLDER_OF_MIDI_FILES]
Without a folder, `composer` makes the largest corpus first (some minutes). The sizes
take turns, each in a process of its own, on one thread; short steps are repeated; the
medians count. Memory is what a step adds at its peak to what the process holds. Of each
network's epoch the first UPDATES updates are timed.
"""

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import report

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
import numpy as np
import psutil

import definitions as notebook
import published
from results import markdown_table

SIZES = (20, 200, 2000)
TURNS = 3
SEED, UPDATES = 7, 100
LONG = 5  # seconds; shorter steps are repeated until they took as long together


class Meter:
    """Notes the processor time of steps, and the memory that each adds at its peak."""

    def __init__(self):
        self.process, self.rows = psutil.Process(), {}

    def measure(self, name, function, *arguments):
        """Return what a function returns; note its seconds and mebibytes."""
        before, sizes, done = self.process.memory_info().rss, [0], threading.Event()

        def look():
            while not done.wait(0.02):
                sizes.append(self.process.memory_info().rss)

        thread = threading.Thread(target=look)
        thread.start()
        result, seconds = time_once(function, *arguments)
        done.set()
        thread.join()
        largest = max(*sizes, self.process.memory_info().rss)
        times = [seconds]
        while sum(times) < LONG:
            times.append(time_once(function, *arguments)[1])
        self.rows[name] = float(np.median(times)), max(largest - before, 0) / 2**20
        return result


def time_once(function, *arguments):
    """Return what a function returns, and its seconds of processor time."""
    started = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - started


def compare_with_corpus(pieces, generated):
    """Compute the headline metrics and the novelty of some pieces beside a corpus."""
    for metric in notebook.HEADLINE_METRICS:
        notebook.compare(metric, pieces, generated)
    notebook.measure_novelty(generated, pieces)


def encode_afresh(pieces, vocabulary):
    """Encode pieces with a vocabulary that remembers no chord that it spelled."""
    vocabulary.spellings.clear()
    return [notebook.encode(piece, vocabulary) for piece in pieces]


def train_ngram(sequences, size):
    """Count the n-grams of a corpus, in its own keys, for all streams."""
    return notebook.make_tables(sequences, 5, size)


def prepare_expressive(pieces, vocabulary):
    """Return a function that trains the expressive network on all pieces, traced."""
    network = notebook.build_expressive(vocabulary, notebook.EXPRESSIVE, SEED)
    streams = notebook.SCHEDULE["streams"]
    update = notebook.make_update(network, 10**6)

    def train(keyed, updates):
        states = notebook.zero_states(network, streams)
        parts = itertools.chain.from_iterable(map(draw_epoch, itertools.repeat(keyed)))
        for part in itertools.islice(parts, updates):
            loss, states = update(*map(notebook.tf.constant, part), *states)
            float(loss)

    train(notebook.KeyedPieces(pieces[:10], vocabulary), 2)
    return train


def draw_epoch(keyed):
    """Return the windows of an epoch of some pieces, the keys always the same."""
    streams, window = (notebook.SCHEDULE[name] for name in ("streams", "window"))
    generator = np.random.default_rng(SEED)
    return keyed.read(keyed.draw(generator), streams, window, generator)


def draw_first_epoch(keyed):
    """Draw an epoch of pieces whose moods were not measured yet."""
    keyed.label.cache_clear()
    next(draw_epoch(keyed))


def run_steps(paths):
    """Return how many events some files have, and what each step took."""
    meter = Meter()
    pieces = meter.measure("parsing", lambda: [*map(notebook.parse_midi, paths)])
    vocabulary = meter.measure(
        "vocabulary", notebook.build_vocabulary, pieces, notebook.VOCABULARY_SIZE
    )
    sequences = meter.measure("encoding", encode_afresh, pieces, vocabulary)
    meter.measure("n-grams", train_ngram, sequences, len(vocabulary))
    windows, size = published.make_windows(sequences), len(vocabulary)
    network = published.build(size, every_step=True)
    published.update(network, windows, size, 1)  # which traces it
    work = (published.update, network, windows, size, UPDATES)
    meter.measure("updates, published", *work)
    keyed = meter.measure("twelve keys", notebook.KeyedPieces, pieces, vocabulary)
    train = prepare_expressive(pieces, vocabulary)
    meter.measure("moods of an epoch", draw_first_epoch, keyed)
    meter.measure("updates, expressive", train, keyed, UPDATES)
    generated = [notebook.transpose(piece, 1) for piece in pieces[:20]]
    meter.measure("metrics", compare_with_corpus, pieces, generated)
    return sum(map(len, sequences)), len(vocabulary), meter.rows


def events_of(step, events):
    """Return how many events a step went through, of a corpus of so many."""
    if not step.startswith("updates"):
        return events
    windows = published.batch_size(True), notebook.SEQUENCE_LENGTH
    streams = notebook.SCHEDULE["streams"], notebook.SCHEDULE["window"]
    return UPDATES * math.prod(windows if "published" in step else streams)


def measure_size(folder, size):
    """Return what `run_steps` gives for so many files, in a process of its own."""
    command = [sys.executable, __file__, str(folder), str(size)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(printed.splitlines()[-1])


def find_medians(turns):
    """Return what `measure_size` gave, with the medians of its turns."""
    events, tokens, _ = turns[0]
    found = [rows for _, _, rows in turns]
    medians = {
        step: np.median([rows[step] for rows in found], axis=0).tolist()
        for step in found[0]
    }
    return events, tokens, medians


def compose(folder):
    """Compose the largest corpus into a folder."""
    command = [sys.executable, "-m", "composer", "--pieces", str(max(SIZES)),
               "--seed", str(SEED), "--out", str(folder)]  # fmt: skip
    subprocess.run(command, cwd=report.ROOT / "dev", check=True, capture_output=True)


def write_table(found):
    """Write growth.md from what was measured by size."""
    rows = []
    for step in found[SIZES[0]][2]:
        times = [
            1e6 * found[size][2][step][0] / events_of(step, found[size][0])
            for size in SIZES
        ]
        memory = [f"{found[size][2][step][1]:.0f}" for size in SIZES]
        ratio = f"{max(b / a for a, b in itertools.combinations(times, 2)):.2f}"
        rows.append([step, *(f"{each:.1f}" for each in times), ratio, *memory])
    names = [f"{size} pieces" for size in SIZES]
    columns = ["step", *(f"µs an event, {name}" for name in names), "largest ratio",
               *(f"MiB, {name}" for name in names)]  # fmt: skip
    counts = ", ".join(
        f"{size} pieces: {found[size][0]:,} events, {found[size][1]} tokens"
        for size in SIZES
    )
    text = f"{markdown_table(columns, rows)}\n\n{counts}."
    report.write_report("growth", "Corpora of 20, 200 and 2,000 pieces", text)


def main():
    """Measure all sizes, or print one."""
    if len(sys.argv) > 2:
        paths = notebook.find_midi_files(sys.argv[1])[: int(sys.argv[2])]
        print(json.dumps(run_steps(paths)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        if len(sys.argv) < 2:
            compose(folder)
        turns = [[measure_size(folder, size) for size in SIZES] for _ in range(TURNS)]
        write_table(
            dict(zip(SIZES, map(find_medians, zip(*turns, strict=True)), strict=True))
        )


if __name__ == "__main__":
    main()
