"""Compare folds on a Dask cluster: two workers of one thread against one.

Usage: python dev/benchmarks/cluster.py
"""

import json
import os
import subprocess
import sys
import tempfile

import report

from local_cluster import run_cluster

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
FOLDS = 4  # of the expressive network, two epochs each
PROGRAM = """
import sys
sys.path.append({root!r} + "/dev/tools")
exec(__import__("assembly").definitions(), globals())
EXPRESSIVE_FOLD_EPOCHS = 2
paths = find_midi_files(Path({root!r}) / "jazz_sample_files")
pieces = [parse_midi(path) for path in paths]
folds = make_folds(pieces, 10, 7)
for name in ("unigram", "expressive"):  # the first lets workers import what they need
    jobs = list_fold_jobs((name,), pieces, folds, 7)[:{folds}]
    started = time.perf_counter()
    results = sorted(run_parallel(run_fold, jobs, ""), key=lambda row: row[0])
    seconds = time.perf_counter() - started
nats = [result["row"]["nats_per_event"] for _, result in results]
print("RESULT" + json.dumps([seconds, nats]))
"""


def time_folds(workers):
    """Return how long the folds take with so many workers, and what they cost."""
    program = PROGRAM.format(root=str(report.ROOT), folds=FOLDS)
    with (
        run_cluster(workers) as (address, _),
        tempfile.NamedTemporaryFile("w", suffix=".py") as f,
    ):
        f.write(program)
        f.flush()
        environment = {**os.environ, "DASK_SCHEDULER": address, **ONE_THREAD}
        done = subprocess.run(
            [sys.executable, f.name], env=environment, capture_output=True, text=True
        )
    if "RESULT" not in done.stdout:
        sys.exit(done.stderr)
    return json.loads(done.stdout.split("RESULT")[1])


def measure():
    """Return the row of this script."""
    (one, nats), (two, same) = time_folds(1), time_folds(2)
    if nats != same:
        sys.exit(f"The numbers differ: {nats} and {same}.")
    what = f"{FOLDS} folds of expressive (2 epochs) on Dask, two workers of one thread"
    return [[what, "one worker", f"{one:.0f} s", f"{two:.0f} s", f"{one / two:.2f}×"]]


if __name__ == "__main__":
    report.write_rows("cluster", "Folds on a cluster", measure())
