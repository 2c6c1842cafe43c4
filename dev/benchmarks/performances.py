"""Run the whole notebook on real performances, which are not shipped.

Usage: python dev/benchmarks/performances.py
Reads ../shared/corpora/performances (folders train and valid, twenty MIDI files each);
only the two tables of numbers are kept, in performances.md.
"""

import sys
import tempfile
import time
from pathlib import Path

import report

import refresh
import results
from assembly import assemble


def run_on(training, validation, folder):
    """Run the notebook on two folders of MIDI files; its outputs go to a folder."""
    notebook = refresh.set_parameters(
        assemble(),
        TRAINING_FOLDER=str(training),
        VALIDATION_FOLDER=str(validation),
    )
    return refresh.run(notebook, folder)


def main():
    """Measure and write performances.md."""
    if not report.PERFORMANCES.is_dir():
        sys.exit(f"There is no folder {report.PERFORMANCES}: nothing was measured.")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run_on(report.PERFORMANCES / "train", report.PERFORMANCES / "valid", folder)
        minutes = (time.perf_counter() - started) / 60
        tables = results.results_of(Path(folder) / "outputs" / "tables")
    title = "The notebook on 20 + 20 performances of a jazz pianist (not shipped)"
    report.write_report(
        "performances", title, f"A full run, {minutes:.1f} minutes.\n\n{tables}"
    )


if __name__ == "__main__":
    main()
