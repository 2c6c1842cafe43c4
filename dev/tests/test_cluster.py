"""Folds and files on a Dask cluster: the same numbers, and a lost worker survived."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_cluster import run_cluster

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def scheduler():
    """Return the address of a scheduler without workers."""
    with run_cluster(0) as (address, _):
        yield address


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a scheduler, and its two worker processes."""
    with run_cluster(2) as (address, processes):
        yield address, processes[1:]


def test_a_cluster_gives_the_same_and_a_killed_worker_costs_one_fold(cluster, tmp_path):
    scheduler, workers = cluster
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("cluster_run.py"), log],
        env={**os.environ, "DASK_SCHEDULER": scheduler}, capture_output=True, text=True,
    )  # fmt: skip
    assert "cluster has 2 workers" in done.stdout, done.stderr
    results = json.loads(done.stdout.split("RESULT")[1])
    (files, folds), there = results["here"], results["there"]
    assert [files, folds] == there and len(folds) == 4
    assert [len(notes) > 1000 for notes in files[:2]] == [True, True]
    assert any("not a MIDI file" in reason for reason in files[2:])
    killed, survivor = map(int, log.read_text().split())
    assert {killed, survivor} == {process.pid for process in workers}
    assert sorted(process.poll() or 0 for process in workers) == [-signal.SIGKILL, 0]


@pytest.mark.parametrize(("victim", "words"), [(0, "lost the work"), (1, "no worker")])
def test_a_cluster_that_dies_is_one_sentence(notebook, monkeypatch, victim, words):
    """Its scheduler, then its only worker, is killed by the job that it runs."""
    monkeypatch.setattr(notebook, "CLUSTER_WAIT", 5)
    with run_cluster(1) as (address, processes):
        monkeypatch.setenv("DASK_SCHEDULER", address)
        jobs = [(processes[victim].pid, signal.SIGKILL)]
        with pytest.raises(notebook.NotebookError, match=words):
            list(notebook.run_parallel(os.kill, jobs, ""))


class TwoWorkers:
    """A client of two workers; the second may differ from this machine."""

    def __init__(self, threads, **versions):
        self.threads, self.versions = threads, versions

    def nthreads(self):
        """Return the threads of each worker."""
        return {"a": 1, "b": self.threads}

    def run(self, function, on_error):
        """Return what a function gives on each worker."""
        return {"a": function(), "b": function() | self.versions}


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (TwoWorkers(2), "--nthreads 1"),
        (TwoWorkers(1, keras="3.0"), "worker b has .*keras.*install the same versions"),
        (TwoWorkers(1, tensorflow=""), "install the same versions"),
    ],
)
def test_workers_must_be_like_this_machine(notebook, workers, words):
    with pytest.raises(notebook.NotebookError, match=words):
        notebook.check_workers(workers)
    notebook.check_workers(TwoWorkers(1))


class Pending:
    """A future that is not done."""

    def done(self):
        """Return False."""
        return False


class LateWorker(TwoWorkers):
    """A client whose second worker comes while its job, without end, runs."""

    looks = 0

    def __enter__(self):
        """Return the client."""
        return self

    def __exit__(self, *_):
        """Do nothing."""

    def nthreads(self):
        """Return the threads of each worker."""
        self.looks += 1
        return dict(list(super().nthreads().items())[: self.looks // 3])

    def run(self, function, on_error):
        """Return what a function gives on each worker that has come."""
        return dict(list(super().run(function, on_error).items())[: self.looks // 3])

    def register_worker_callbacks(self, setup):
        """Do nothing."""

    def submit(self, *_, pure):
        """Return a future that is never done."""
        return Pending()


def test_a_worker_that_comes_late_is_checked(notebook, monkeypatch, capsys):
    dask = SimpleNamespace(
        Client=lambda *_, **__: LateWorker(1, keras="3.0"),
        CancelledError=KeyError, KilledWorker=KeyError,
    )  # fmt: skip
    monkeypatch.setenv("DASK_SCHEDULER", "tcp://127.0.0.1:9")
    found = {"distributed": dask}
    find = notebook.find_package
    monkeypatch.setattr(
        notebook, "find_package", lambda name: found.get(name) or find(name)
    )
    with pytest.raises(notebook.NotebookError, match="worker b has .*keras"):
        list(notebook.run_parallel(max, [(1, 2)], ""))
    assert "has 1 workers" in capsys.readouterr().out


def test_a_scheduler_without_workers_is_one_sentence(notebook, scheduler, monkeypatch):
    monkeypatch.setattr(notebook, "CLUSTER_WAIT", 1)
    monkeypatch.setenv("DASK_SCHEDULER", scheduler)
    with pytest.raises(notebook.NotebookError, match="has no worker: start some"):
        list(notebook.run_parallel(max, [(1, 2)], ""))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "nowhere"])
def test_a_scheduler_out_of_reach_is_one_sentence(notebook, address, monkeypatch):
    monkeypatch.setattr(notebook, "CLUSTER_WAIT", 1)
    monkeypatch.setenv("DASK_SCHEDULER", address)
    with pytest.raises(notebook.NotebookError, match="No Dask scheduler answers at"):
        list(notebook.run_parallel(max, [(1, 2)], ""))


def test_without_dask_the_way_out_is_named(notebook, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER", "tcp://127.0.0.1:9")
    monkeypatch.setattr(notebook, "find_package", lambda name: None)
    with pytest.raises(notebook.NotebookError, match="pip install distributed"):
        list(notebook.run_parallel(max, [(1, 2)], ""))
