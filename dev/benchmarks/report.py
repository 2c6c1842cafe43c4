"""Write benchmark tables as Markdown, with the hardware and the versions."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path[:0] = [str(ROOT / "dev"), str(ROOT / "dev" / "tools")]
from results import markdown_table  # noqa: E402

PERFORMANCES = ROOT.parent / "shared" / "corpora" / "performances"
PACKAGES = ("tensorflow", "keras", "music21", "numpy", "scipy", "scikit-learn")


def describe_machine():
    """Return one line on the processor, the cores and the versions in use."""
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, {versions}"
    )


COLUMNS = ["what", "against", "theirs", "ours", "ratio"]


def write_rows(name, title, rows):
    """Print rows of comparisons and keep them beside the benchmarks as NAME.md."""
    write_report(name, title, markdown_table(COLUMNS, rows))


def write_report(name, title, text):
    """Print a report and keep it beside the benchmarks as NAME.md."""
    report = f"# {title}\n\n{describe_machine()}\n\n{text}\n"
    print(report)
    (FOLDER / f"{name}.md").write_text(report, encoding="utf-8")
