# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## 2 Machinery
#
# **How are results kept, and work shared out?** Whatever this notebook keeps is written
# beside its place and then moved there in one step, so that a power cut leaves either
# the old file or the new one. Cached results are compressed, and their checksum tells a
# damaged one, which is named and made again. A result is looked up by a *fingerprint* of
# everything that it depends on: the data, the settings, the versions of the packages and
# the source of the functions that made it. Change a cell, and its results are made anew.

# %% tags=["active-py"]
import gzip
import importlib
import inspect
import io
import json
import os
import platform
import tempfile
import time
import warnings
import zlib
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path

import joblib
import psutil
import tensorflow as tf
from tqdm import tqdm

from .settings import OUTPUT_FOLDER, WORKERS, NotebookError, quiet


# %% tags=["hide-input"]
def cannot_write(path, error):
    return NotebookError(
        f"Cannot write {path} ({error.strerror}): free some space or make the folder "
        "writable, or choose another OUTPUT_FOLDER, then run the cell again."
    )


def write_whole(path, data):
    """Write bytes to a path so that the file is there whole or not at all."""
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return path


def store(path, payload):
    write_whole(path, gzip.compress(payload, mtime=0))


def fetch(path):
    """Return the bytes of a cache file, or None where it is missing or damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    try:
        if payload := gzip.decompress(content):
            return payload
    except (OSError, EOFError, zlib.error):
        pass
    print(f"The cached file {path} is damaged; it is made again.")
    return None


# %% tags=["hide-input"]
def save_table(table, name):
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(Path(OUTPUT_FOLDER) / "tables" / f"{name}.csv", text.encode())
    return table


def figure_bytes(figure):
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure, name):
    write_whole(Path(OUTPUT_FOLDER) / "figures" / f"{name}.png", figure_bytes(figure))


# %% tags=["hide-input"]
def list_versions():
    """Return the versions that decide over numbers; "" for what is not installed."""
    versions = {"Python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "music21"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


VERSIONS = list_versions()


def trace(value, found):
    """Add to `found`, by name, the source of what a function or class is made of.

    This notebook's functions, classes and constants that it uses are traced likewise.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            trace(part, found)
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return
    if value.__module__ != trace.__module__ or value.__qualname__ in found:
        return
    found[value.__qualname__] = ""
    members = vars(value).values() if inspect.isclass(value) else [value]
    for member in [*members, *(value.__bases__ if inspect.isclass(value) else ())]:
        if inspect.isclass(member):
            trace(member, found)
            continue
        try:
            found[member.__qualname__] = inspect.getsource(member)
        except (OSError, TypeError, AttributeError):
            continue  # made by Python itself, as a dataclass's methods are
        codes = [inspect.unwrap(member).__code__]
        for code in codes:
            codes += [part for part in code.co_consts if inspect.iscode(part)]
            for name in code.co_names:
                used = inspect.unwrap(member).__globals__.get(name)
                if name.isupper():
                    found[name] = json.dumps(
                        used, default=lambda x: getattr(x, "__qualname__", repr(x))
                    )
                trace(used, found)


def fingerprint(*values):
    """Return a hash of functions and all that they use, pieces, arrays and settings."""

    def digest(value):
        if inspect.isfunction(value):
            found = {}
            trace(value, found)
            value = found
        elif is_dataclass(value):
            value = vars(value)
        if isinstance(value, (list, tuple)):
            value = [digest(part) for part in value]
        return joblib.hash(value)

    return digest((VERSIONS, *values))


# %% [markdown]
# Folds, evaluations and files by the hundred run side by side, or on a Dask cluster if
# the environment's `DASK_SCHEDULER` gives the address of its scheduler: several machines
# with the same versions, the same numbers. A job whose worker is lost goes to another.

# %% tags=["hide-input"]
IDLE_SECONDS = 30  # without a job, until a process ends and its memory is free


def choose_workers(requested, jobs, gibibytes=1.0):
    """Return how many processes to run: as asked, or as cores and memory allow."""
    room = int(psutil.virtual_memory().available / 2**30 / gibibytes)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    if tf.config.list_physical_devices("GPU"):
        room = 1  # one GPU serves one process best
    return max(1, min(requested or cores or psutil.cpu_count() or 1, room, jobs))


def start_quietly():
    with quiet():
        importlib.import_module("tensorflow")


def run_parallel(function, jobs, workers, what):
    """Yield (job number, result) of jobs, tuples of arguments, as they end.

    In processes side by side, or on the Dask cluster of DASK_SCHEDULER if that is set.
    """

    def numbered(number, job):
        return number, function(*job)

    address = os.environ.get("DASK_SCHEDULER") if jobs else None
    if address:
        results = run_on_cluster(numbered, jobs, address)
    else:
        calls = (joblib.delayed(numbered)(*job) for job in enumerate(jobs))
        results = joblib.Parallel(workers, return_as="generator_unordered",
                                  idle_worker_timeout=IDLE_SECONDS,
            initializer=start_quietly)(calls)
    with warnings.catch_warnings():  # a process that has grown is replaced: no harm
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        yield from tqdm(results, what, len(jobs), leave=False, dynamic_ncols=True)


def run_cached(function, jobs, cache_folder, what):
    """Return each job's result, plain data: finished ones from the cache, others made.

    `jobs`: tuples of arguments; missing ones run side by side and are kept as they end.
    """
    folder = Path(cache_folder) / what
    places = [folder / fingerprint(function, *job) for job in jobs]
    kept = [fetch(place) for place in places]
    missing = [number for number, data in enumerate(kept) if data is None]
    missing.reverse()  # networks stand last and take longest: they go first
    if len(missing) < len(jobs):
        print(f"{what}: {len(jobs) - len(missing)} of {len(jobs)} were there already.")
    todo = [jobs[number] for number in missing]
    workers = choose_workers(WORKERS, len(todo))
    for number, result in run_parallel(function, todo, workers, what):
        kept[missing[number]] = json.dumps(result).encode()
        store(places[missing[number]], kept[missing[number]])
    return [json.loads(data) for data in kept]


# %% tags=["hide-input"]
CLUSTER_WAIT = 10  # seconds for a scheduler to answer, and without any worker
SAME_EVERYWHERE = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def find_package(name):
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


# %% tags=["hide-input"]
def check_workers(client):
    """Raise NotebookError unless all workers of a cluster are like this machine."""
    threads = client.nthreads()
    if set(threads.values()) != {1}:
        raise NotebookError(
            "Start each Dask worker with --nthreads 1: Keras trains one fold a process."
        )
    for place, found in client.run(list_versions, on_error="ignore").items():
        if found != VERSIONS:
            raise NotebookError(
                f"The Dask worker {place} has {found}, this machine {VERSIONS}: "
                "install the same versions."
            )
    print(f"The Dask cluster has {len(threads)} workers.")


def await_results(client, futures):
    """Yield results as futures end; TimeoutError if all workers are lost."""
    last, known = time.monotonic(), set(client.nthreads())
    while futures:
        done = {future for future in futures if future.done()}
        yield from (future.result() for future in done)
        futures -= done
        workers = set(client.nthreads())
        if workers - known:  # one came late
            check_workers(client)
            known |= workers
        if workers:
            last = time.monotonic()
        elif time.monotonic() - last > CLUSTER_WAIT:
            raise TimeoutError
        time.sleep(0.1)


# %% tags=["hide-input"]
def run_on_cluster(function, jobs, address):
    """Yield the results of jobs as they end, run by a Dask cluster."""
    dask = find_package("distributed")
    if not dask:
        raise NotebookError(
            "DASK_SCHEDULER is set: pip install distributed brings Dask, or unset it."
        )
    try:
        client = dask.Client(address, timeout=CLUSTER_WAIT, set_as_default=False)
    except (OSError, ValueError):
        raise NotebookError(
            f"No Dask scheduler answers at DASK_SCHEDULER={address}: start one (dask "
            "scheduler), or unset it to work on this machine."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CLUSTER_WAIT)
        except TimeoutError:
            raise NotebookError(
                f"The Dask scheduler at {address} has no worker: start some (dask "
                f"worker {address} --nthreads 1), then run the cell again."
            ) from None
        threads = {name: os.environ[name] for name in SAME_EVERYWHERE}
        client.register_worker_callbacks(partial(os.environ.update, threads))
        check_workers(client)
        try:
            futures = {client.submit(function, *j, pure=False) for j in enumerate(jobs)}
            yield from await_results(client, futures)
        except (OSError, dask.CancelledError, dask.KilledWorker) as error:
            raise NotebookError(
                f"The Dask cluster {address} lost the work ({type(error).__name__}): "
                "what was finished is kept; mend it and run the cell again."
            ) from None
