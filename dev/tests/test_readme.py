"""The README says what the last run and benchmarks gave, and names what exists."""

import re
from pathlib import Path

import pandas as pd

import results

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def between(start, end):
    """Return the README's text between two markers."""
    return README.split(start)[1].split(end)[0].strip()


def test_results_are_those_of_the_committed_tables():
    """The README's results are made from outputs/tables and nothing else."""
    assert between(*results.MARKERS) == results.results_of(ROOT / "outputs" / "tables")


def test_tables_come_from_a_full_run():
    """No table of a quick run is shown to readers."""
    for name in ("cross_validation", "evaluation"):
        table = pd.read_csv(ROOT / "outputs" / "tables" / f"{name}.csv")
        assert set(table["run"]) == {"full"}


def test_headline_ratios_are_those_of_the_benchmarks():
    """The README tells three of the ratios that dev/benchmarks measured."""
    report = (ROOT / "dev" / "benchmarks" / "benchmarks.md").read_text("utf-8")
    rows = [line for line in report.splitlines() if line.startswith("|")]
    for what, ratio in (
        ("reading 40 files", "28 times faster"),
        ("training to 5.190 nats", "11 times faster"),
        ("an event, 1 at once", "55 times faster"),
    ):
        (row,) = (row for row in rows if what in row)
        assert f"**{ratio.split()[0]}×**" in row and ratio in " ".join(README.split())


def test_files_that_the_readme_names_exist():
    """Every path in backquotes or in a link or picture is there."""
    named = re.findall(r"`((?:dev|outputs|jazz_sample_files)/[\w./]+)`", README)
    named += re.findall(r"\]\(([\w./]+)\)", README)
    assert len(named) > 3
    local = [name for name in named if not name.startswith("outputs/midi")]
    assert [name for name in local if not (ROOT / name).exists()] == []


def test_continuous_integration_runs_the_readmes_test_command():
    """The command that .ci/run picks out of the README is the only one that tests."""
    commands = [line for line in README.splitlines() if line.endswith("pytest")]
    assert len(commands) == 1
    assert "-r dev/requirements.txt" in commands[0]
    assert "grep -m1 'pytest$' README.md" in (ROOT / ".ci" / "run").read_text()
