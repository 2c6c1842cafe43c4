"""A Dask cluster on loopback, for tests and benchmarks."""

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
SECONDS = 60  # for a process to say that it is ready
SCHEDULER = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
WORKER = ("--nthreads", "1", "--no-nanny", "--no-dashboard")


def start(words, command, *options):
    """Start a process of Dask's; return it, and its first line with some words."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{command}", *options],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TOOLS)},
    )  # fmt: skip
    lines = queue.Queue()  # all are read, lest the process wait for a reader
    read = threading.Thread(target=lambda: [*map(lines.put, process.stderr)])
    read.daemon = True
    read.start()
    try:
        while words not in (line := lines.get(timeout=SECONDS)):
            pass
    except queue.Empty:
        process.kill()
        raise
    return process, line


@contextlib.contextmanager
def run_cluster(workers):
    """Run a scheduler and workers of one thread; give its address and all processes."""
    scheduler, line = start("Scheduler at:", *SCHEDULER)
    address, processes = line.split("Scheduler at:")[1].strip(), [scheduler]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for _ in range(workers):
                options = (address, *WORKER, "--local-directory", folder)
                processes.append(start("Registered to", "worker", *options)[0])
            yield address, processes
        finally:
            for process in reversed(processes):
                process.kill()
                process.wait()
