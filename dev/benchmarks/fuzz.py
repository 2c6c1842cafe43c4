"""Read mutated MIDI files, bundles and settings: only the promised errors may come out.

Usage: python dev/benchmarks/fuzz.py [FILES]  (default 20,000; two processes)
Files are the shipped pieces with flipped, lost and inserted bytes, parts of each other,
and cut ends. Writes fuzz.md.
"""

import os
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import report

import definitions as notebook
from results import markdown_table

FILES, SEED = 20_000, 7
BUNDLES, SETTINGS = 400, 20_000
LONGEST, LARGEST = 5.0, 500.0  # seconds and mebibytes that a file may take
FOLDERS = (notebook.TRAINING_FOLDER, notebook.VALIDATION_FOLDER)


def flip(data, others, generator):
    """Change some bytes."""
    changed = bytearray(data)
    for place in generator.integers(len(data), size=generator.integers(1, 30)):
        changed[place] = generator.integers(256)
    return bytes(changed)


def lose(data, others, generator):
    """Leave a stretch out."""
    start, end = np.sort(generator.integers(len(data) + 1, size=2))
    return data[:start] + data[min(end, start + 200) :]


def insert(data, others, generator):
    """Put random bytes in."""
    place = generator.integers(len(data) + 1)
    return data[:place] + generator.bytes(generator.integers(1, 60)) + data[place:]


def splice(data, others, generator):
    """Go on with another file from some place on."""
    other = others[generator.integers(len(others))]
    return (
        data[: generator.integers(len(data))] + other[generator.integers(len(other)) :]
    )


def cut(data, others, generator):
    """Leave the end out."""
    return data[: generator.integers(len(data) + 1)]


def lie(data, others, generator):
    """Write nonsense into the header and the first track's length."""
    changed = bytearray(data)
    for place in generator.integers(8, 22, size=3 if len(data) >= 22 else 0):
        changed[place] = generator.choice([0, 1, 127, 128, 255])
    return bytes(changed)


MUTATIONS = (flip, lose, insert, splice, cut, lie)


def peak_memory():
    """Return the most memory that this process has had, in mebibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


FIRST_PEAK = peak_memory()  # of a process, before its first file


def read_mutated(first, count, originals):
    """Read so many mutated files; return verdicts, the longest time and the memory."""
    verdicts, slowest = Counter(), 0.0
    for number in range(first, first + count):
        generator = np.random.default_rng([SEED, number])
        data = originals[generator.integers(len(originals))]
        for _ in range(generator.integers(1, 4)):
            mutate = MUTATIONS[generator.integers(len(MUTATIONS))]
            data = mutate(data or b"MThd", originals, generator)
        started = time.perf_counter()
        try:
            notebook.parse_bytes(data, "mutated")
            verdict = "read"
        except notebook.MidiFileError:
            verdict = "refused"
        except Exception as error:
            verdict = f"FAILED: {type(error).__name__} in file {number}"
        slowest = max(slowest, time.perf_counter() - started)
        verdicts[verdict] += 1
    return verdicts, slowest, peak_memory() - FIRST_PEAK


def fuzz_files(files):
    """Return the row for mutated MIDI files."""
    paths = [path for folder in FOLDERS
             for path in notebook.find_midi_files(report.ROOT / folder)]  # fmt: skip
    originals = [path.read_bytes() for path in paths]
    share = 250
    jobs = (
        joblib.delayed(read_mutated)(first, min(share, files - first), originals)
        for first in range(0, files, share)
    )
    verdicts, slowest, largest = zip(*joblib.Parallel(n_jobs=-1)(jobs), strict=True)
    told = sum(verdicts, Counter())
    if max(slowest) > LONGEST or max(largest) > LARGEST:
        told["FAILED: too slow or too large"] += 1
    most = f"{max(slowest):.2f} s, {max(largest):.0f} MiB"
    return ["MIDI files", files, told, most]


def build_small(size):
    """Return the published stack with few units."""
    return notebook.Sequential([
        notebook.LSTM(4, return_sequences=True, input_shape=(40, 1)), notebook.LSTM(3),
        notebook.Dense(3), notebook.Dense(size, activation="softmax"),
    ])  # fmt: skip


def make_bundle(path):
    """Keep a small model at a path; return the content of its parts by name."""
    source = notebook.find_midi_files(report.ROOT / notebook.TRAINING_FOLDER)[0]
    piece = notebook.parse_midi(source)
    vocabulary = notebook.build_vocabulary([piece], 100)
    network = notebook.rebuild(build_small(100), True, SEED)
    predictor = notebook.PublishedPredictor(network, 100, 8)
    rhythm, settings = notebook.encode(piece, vocabulary), {"sequence_length": 8}
    model = notebook.Model("published", predictor, vocabulary, rhythm, 120.0, settings,
                           notebook.Sources([piece]))  # fmt: skip
    notebook.save_model(model, path)
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def seal(path, parts):
    """Write a bundle of some parts, whose checksums agree."""
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in parts.items():
            bundle.writestr(name, data)


def fuzz_bundles():
    """Return the row for mutated models; of half the checksums agree again."""
    told, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.zip"
        parts = make_bundle(path)
        whole = path.read_bytes()
        for number in range(BUNDLES):
            generator = np.random.default_rng([SEED, number])
            name = sorted(parts)[generator.integers(len(parts))]
            mutate = MUTATIONS[generator.integers(3)]
            if generator.random() < 0.5:
                path.write_bytes(mutate(whole, [], generator))
            else:
                seal(path, {**parts, name: mutate(parts[name], [], generator)})
            started = time.perf_counter()
            try:
                notebook.load_model(path)
                told["read"] += 1
            except notebook.NotebookError:
                told["refused"] += 1
            except Exception as error:
                told[f"FAILED: {type(error).__name__} in bundle {number}"] += 1
            slowest = max(slowest, time.perf_counter() - started)
    return ["models", BUNDLES, told, f"{slowest:.2f} s"]


VALUES = (
    None, "", "10", "published", (), [], {}, ("lstm",), ("published", 3), True, -1, 0,
    1, 2.5, 10**30, -0.0, 1e-300, float("nan"), float("inf"), b"x", 1j, object(),
    np.float64("nan"), np.int64(7), Path("."),
)  # fmt: skip


def fuzz_settings():
    """Return the row for settings of any kind in the table of parameters."""
    told, generator = Counter(), np.random.default_rng(SEED)
    names = list(notebook.__annotations__)
    for number in range(SETTINGS):
        settings = {name: getattr(notebook, name) for name in names}
        for place in generator.integers(len(names), size=generator.integers(1, 4)):
            settings[names[place]] = VALUES[generator.integers(len(VALUES))]
        try:
            notebook.check_settings(settings, notebook.__annotations__)
            told["read"] += 1
        except notebook.NotebookError:
            told["refused"] += 1
        except Exception as error:
            told[f"FAILED: {type(error).__name__} in settings {number}"] += 1
    return ["settings", SETTINGS, told, ""]


def main():
    """Try everything and write fuzz.md; fail if anything else came out."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    rows = [fuzz_files(files), fuzz_bundles(), fuzz_settings()]
    failed = [words for row in rows for words in row[2] if words.startswith("FAILED")]
    table = [
        [what, f"{count:,}", f"{told['read']:,}", f"{told['refused']:,}",
         sum(told.values()) - told["read"] - told["refused"], most]
        for what, count, told, most in rows
    ]  # fmt: skip
    columns = ["mutated", "tried", "accepted", "refused in a sentence", "anything else",
               "longest, largest"]  # fmt: skip
    report.write_report("fuzz", "Mutated input", markdown_table(columns, table))
    if failed:
        sys.exit("\n".join(failed[:20]))


if __name__ == "__main__":
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    main()
