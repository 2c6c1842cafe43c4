"""Run the notebook cold, cached and quick; compare seconds and peak memory.

Usage: python dev/benchmarks/notebook_runs.py
The first two runs are refreshes: their notebook and outputs are the project's own.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import psutil
import report

import refresh
from assembly import assemble

FOLDERS = ("jazz_sample_files", "Validation_samples")


def write_notebook(folder):
    """Write the notebook with QUICK_RUN set, and return its path."""
    notebook = refresh.set_parameters(assemble(), QUICK_RUN=True)
    path = folder / "run.ipynb"
    nbformat.write(notebook, path)
    return path


def peak_memory(process, stop):
    """Return the largest sum of memory (PSS) of a process and its children."""
    peak = 0
    while not stop.wait(1):
        total = 0
        for each in [process, *process.children(recursive=True)]:
            try:
                total += each.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, total)
    return peak


def watch(command, folder):
    """Return the seconds and the peak memory in GiB of a command run in a folder.

    The packages are read from the disk beforehand, which takes as long as it takes.
    """
    warm = "import definitions, IPython, ipykernel, nbclient, nbconvert"
    tools = report.ROOT / "dev" / "tools"
    subprocess.run([sys.executable, "-c", warm], cwd=tools, check=True)
    stop, found = threading.Event(), []
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    process = psutil.Process(child.pid)
    thread = threading.Thread(target=lambda: found.append(peak_memory(process, stop)))
    thread.start()
    status = child.wait()
    seconds = time.perf_counter() - started
    stop.set()
    thread.join()
    if status:
        sys.exit("The notebook failed; nothing was written.")
    print(f"{seconds:.0f} s, {found[0] / 2**30:.2f} GiB", flush=True)
    return seconds, found[0] / 2**30


def time_quick_run():
    """Return the seconds and the memory of a cold quick run in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in FOLDERS:
            shutil.copytree(report.ROOT / each, folder / each)
        command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook",
                   "--execute", "--inplace", write_notebook(folder).name]  # fmt: skip
        return watch(command, folder)


def measure():
    """Return the rows of this script: two runs against the default, cold."""
    refreshing = [sys.executable, str(report.ROOT / "dev" / "tools" / "refresh.py")]
    cold = watch([*refreshing, "--cold"], report.ROOT)
    runs = {
        "the notebook, results cached": watch(refreshing, report.ROOT),
        "the notebook, `QUICK_RUN`": time_quick_run(),
    }
    words = "{0[0]:.0f} s, {0[1]:.1f} GiB".format
    return [
        [name, "default, cold", words(cold), words(run), f"{cold[0] / run[0]:.0f}×"]
        for name, run in runs.items()
    ]


if __name__ == "__main__":
    report.write_rows("notebook_runs", "The notebook, top to bottom", measure())
