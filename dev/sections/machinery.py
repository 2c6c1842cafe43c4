# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ## 3 Machinery
#
# **How are results kept, and work shared out?** Whatever this notebook keeps is written
# beside its place and then moved there in one step, so that a power cut leaves either
# the old file or the new one. Cached results are compressed, and their checksum tells a
# damaged one, which is named and made again. A result is looked up by a *fingerprint* of
# everything that it depends on: the data, the settings, the versions of the packages and
# the source of the functions that made it. Change a cell, and its results are made anew.

# %% tags=["active-py"]
import contextlib
import gzip
import importlib.metadata
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
import matplotlib.pyplot as plt
import psutil
import tensorflow as tf
from IPython.display import Image, display
from tqdm import tqdm

from .settings import OUTPUT_FOLDER, WORKERS, NotebookError, quiet


# %% tags=["hide-input"]
def write_whole(path, data):
    """Write bytes to a path so that the file is there whole or not at all."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
            with open(Path(folder) / "whole", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
    except (OSError, ValueError) as error:  # no space, no right, no name for a file
        why = getattr(error, "strerror", error)
        raise NotebookError(
            f"Cannot write {path!s:.200} ({why}): free some space or make the "
            "folder writable, or choose another OUTPUT_FOLDER, then run the cell "
            "again.") from None
    return path


def fetch(path):
    """Return the bytes of a cache file, or None where it is missing or damaged."""
    payload = None
    if os.path.isfile(path):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            payload = gzip.decompress(Path(path).read_bytes()) or None
        if not payload:
            print(f"The cached file {path} is damaged; it is made again.")
    return payload


def save_table(table, name):
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(Path(OUTPUT_FOLDER) / "tables" / f"{name}.csv", text.encode())
    return table


def figure_bytes(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure, name):
    """Keep a figure in outputs/figures and display it, described by its titles."""
    data = figure_bytes(figure)
    write_whole(Path(OUTPUT_FOLDER) / "figures" / f"{name}.png", data)
    plt.close(figure)
    display(Image(data=data, alt="; ".join(ax.get_title() for ax in figure.axes)))


# %% tags=["hide-input"]
def find_package(name):
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


def list_versions():
    """Return the versions that decide over numbers; "" for what is not installed."""
    names = ("tensorflow", "keras", "numpy", "music21")
    versions = {name: getattr(find_package(name), "__version__", "") for name in names}
    versions["pychord"] = importlib.metadata.version("pychord")
    versions["oneDNN"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    return {"Python": platform.python_version(), **versions}


VERSIONS = list_versions()


def trace(function):
    """Return, by name, the sources and constants that a function is made of."""
    found, parts = {}, [function]
    for part in parts:  # what each uses is added behind it
        part = inspect.unwrap(getattr(part, "fget", part))  # a property has one
        if isinstance(part, (dict, list, tuple)):
            parts += part.values() if isinstance(part, dict) else part
        made = inspect.isfunction(part) or inspect.isclass(part)
        made_here = made and part.__module__ == trace.__module__
        if not made_here or part.__qualname__ in found:
            continue
        found[part.__qualname__] = ""
        if inspect.isclass(part):
            parts += [*vars(part).values(), *part.__bases__]
            continue
        with contextlib.suppress(OSError):  # Python itself makes a dataclass's methods
            found[part.__qualname__] = inspect.getsource(part)
        codes = [part.__code__]
        for code in codes:
            codes += filter(inspect.iscode, code.co_consts)
            for name in code.co_names:
                used = part.__globals__.get(name)
                parts.append(used)
                if name.isupper():
                    found[name] = json.dumps(
                        used, default=lambda x: getattr(x, "__qualname__", repr(x)))
    return found


def fingerprint(*values):
    """Return a hash of functions and all that they use, pieces, arrays and settings."""
    hashes = [joblib.hash(VERSIONS)]
    for value in values:
        value = trace(value) if inspect.isfunction(value) else value
        value = vars(value) if is_dataclass(value) else value
        value = fingerprint(*value) if isinstance(value, (list, tuple)) else value
        hashes.append(joblib.hash(value))
    return joblib.hash(hashes)


# %% [markdown]
# Folds, evaluations and files by the hundred run side by side, or on a Dask cluster if
# the environment's `DASK_SCHEDULER` gives the address of its scheduler: several machines
# with the same versions, the same numbers. A job whose worker is lost goes to another.
# Networks stand last among jobs and take longest: they are begun first.

# %% tags=["hide-input"]
def start_quietly():
    with quiet():
        importlib.import_module("tensorflow").get_logger().setLevel("ERROR")


def run_parallel(function, jobs, what):
    """Yield (job number, result) of jobs, tuples of arguments, as they end."""

    def numbered(number, job):
        return number, function(*job)

    if address := jobs and os.environ.get("DASK_SCHEDULER"):
        results = run_on_cluster(numbered, jobs, address)
    else:
        gpu = tf.config.list_physical_devices("GPU")  # one serves one process best
        room = 1 if gpu else psutil.virtual_memory().available // 2**30  # a GiB each
        workers = max(1, min(WORKERS or joblib.cpu_count(), room, len(jobs)))
        parallel = joblib.Parallel(workers, return_as="generator_unordered",
                                   initializer=start_quietly, idle_worker_timeout=300)
        results = parallel(joblib.delayed(numbered)(*job) for job in enumerate(jobs))
    with warnings.catch_warnings():  # a process that has grown is replaced: no harm
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        yield from tqdm(results, what, len(jobs), leave=False, dynamic_ncols=True)


def run_cached(function, jobs, cache_folder, what):
    """Return each job's result, plain data; what the cache lacks is made and kept."""
    places = [Path(cache_folder, what, fingerprint(function, *job)) for job in jobs]
    kept = [fetch(place) for place in places]
    missing = [number for number in reversed(range(len(jobs))) if kept[number] is None]
    if len(missing) < len(jobs):
        print(f"{what}: {len(jobs) - len(missing)} of {len(jobs)} from the cache.")
    for order, result in run_parallel(function, [jobs[i] for i in missing], what):
        number = missing[order]
        kept[number] = json.dumps(result).encode()
        write_whole(places[number], gzip.compress(kept[number], mtime=0))
    return [json.loads(data) for data in kept]


# %% tags=["hide-input"]
CLUSTER_WAIT = 10  # seconds for a scheduler to answer, and without any worker


def check_workers(client):
    """Raise NotebookError unless all workers of a cluster are like this machine."""
    threads = client.nthreads()
    if set(threads.values()) - {1}:
        raise NotebookError(
            "Start each Dask worker with --nthreads 1: Keras trains a fold a process.")
    for place, found in client.run(list_versions, on_error="ignore").items():
        if found != VERSIONS:
            raise NotebookError(f"The Dask worker {place} has {found}, this machine "
                                f"{VERSIONS}: install the same versions.")
    print(f"The Dask cluster has {len(threads)} workers.")


def run_on_cluster(function, jobs, address):
    """Yield the results of jobs as they end, run by a Dask cluster."""
    dask = find_package("distributed")
    if not dask:
        raise NotebookError("For DASK_SCHEDULER, pip install distributed, or unset it.")
    try:
        client = dask.Client(address, timeout=CLUSTER_WAIT, set_as_default=False)
    except (OSError, ValueError):
        raise NotebookError(
            f"No Dask scheduler answers at DASK_SCHEDULER={address}: start one (dask "
            "scheduler), or unset it to work on this machine.") from None
    settings = {name: os.environ[name] for name in os.environ if name[:3] == "TF_"}
    checked, last_seen = set(), time.monotonic()
    with client:
        try:
            client.register_worker_callbacks(partial(os.environ.update, settings))
            futures = {client.submit(function, *j, pure=False) for j in enumerate(jobs)}
            while futures:
                workers = set(client.nthreads())
                if workers - checked:  # the first ones, or one that comes late
                    check_workers(client)
                    checked |= workers
                last_seen = time.monotonic() if workers else last_seen
                if time.monotonic() - last_seen > CLUSTER_WAIT:
                    raise NotebookError(
                        f"The scheduler at {address} has no worker: start some (dask "
                        f"worker {address} --nthreads 1), then run the cell again.")
                done = {future for future in futures if future.done()}
                yield from (future.result() for future in done)
                futures -= done
                time.sleep(0.1)
        except (OSError, dask.CancelledError, dask.KilledWorker) as error:
            raise NotebookError(
                f"The Dask cluster {address} lost the work ({type(error).__name__}): "
                "what was finished is kept; mend it and run the cell again.") from None
