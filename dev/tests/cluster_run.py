"""Read files and train folds on the cluster of DASK_SCHEDULER, then here, as a kernel
does: its functions belong to no module that a worker could import. Prints both as JSON.

    python cluster_run.py LOG
"""
# ruff: noqa: F821  (what the notebook defines)

import json
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "dev" / "tools"))
exec(__import__("assembly").definitions(), globals())
SEQUENCE_LENGTH, VOCABULARY_SIZE, BATCH_SIZE, EPOCHS = 8, 92, 16, 1
PATIENCE, GENERATED_EVENTS, WORTH_PROCESSES = 1, 30, 0
LOG = Path(sys.argv[1])


def build_published_lstm(vocabulary_size):
    """Return the published stack with few units."""
    shape = {"return_sequences": True, "input_shape": (40, 1)}
    last = Dense(vocabulary_size, activation="softmax")
    layers = [LSTM(8, **shape), Dropout(0.1), LSTM(6), Dense(5), Dropout(0.1), last]
    return Sequential(layers)


def train_and_die(*arguments):
    """Train, note the process, and let the first one that comes so far be killed."""
    trained = train_published(*arguments)
    with LOG.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(LOG.read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return trained


def list_results(folder, jobs):
    """Return what files hold, and what folds gave but for the time that they took."""
    read, table = load_corpus(folder, "training", {})
    files = [*(str(piece.notes) for piece in read), *table["reason"]]
    rows = sorted(run_parallel(run_fold, jobs, ""), key=lambda row: row[0])
    for _, result in rows:
        del result["row"]["seconds"]
    return files, [result for _, result in rows]


files = find_midi_files(ROOT / "jazz_sample_files")[:6]
pieces = [replace(piece, notes=piece.notes[:90]) for piece in map(parse_midi, files)]
jobs = list_fold_jobs(("published", "unigram"), pieces, make_folds(pieces, 2, 5), 5)
mortal = [(jobs[0][0], train_and_die, *jobs[0][2:]), *jobs[1:]]
folder = LOG.with_name("music")
folder.mkdir()
(folder / "rubbish.mid").write_bytes(b"no music")
for path in files[:2]:
    (folder / path.name).write_bytes(path.read_bytes())
np.set_printoptions(threshold=10**6)
there = list_results(folder, mortal)
del os.environ["DASK_SCHEDULER"]
print("RESULT", json.dumps({"here": list_results(folder, jobs), "there": there}))
