"""Measure everything that has a rival, and write one table: benchmarks.md.

Usage: python dev/benchmarks [SCRIPT ...]  (all: half an hour on a quiet machine)
Rows of scripts that are not named are kept from benchmarks.json. The notebook's runs
renew the committed notebook and its outputs; the README gets the new table.
"""

import json
import subprocess
import sys

import report

from results import markdown_table

SCRIPTS = ("speed", "arithmetic", "cluster", "notebook_runs", "page")
PROGRAM = "import json, {0}; print('ROWS' + json.dumps({0}.measure()))"
COMMIT = ["git", "rev-parse", "--short", "HEAD"]
KEPT = report.FOLDER / "benchmarks.json"


def measure(script):
    """Return a script's rows, measured in a process of its own, with the commit."""
    command = [sys.executable, "-c", PROGRAM.format(script)]
    done = subprocess.run(
        command, cwd=report.FOLDER, stdout=subprocess.PIPE, text=True, check=True
    )
    commit = subprocess.check_output(COMMIT, cwd=report.FOLDER, text=True).strip()
    return [[*row, commit] for row in json.loads(done.stdout.split("ROWS")[1])]


def main():
    """Measure the scripts that are named, or all."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    for script in sys.argv[1:] or SCRIPTS:
        kept[script] = measure(script)
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False), "utf-8")
    rows = [row for script in SCRIPTS for row in kept.get(script, ())]
    table = markdown_table([*report.COLUMNS, "commit"], rows)
    report.write_report("benchmarks", "Side by side", table)
    refresh = report.ROOT / "dev" / "tools" / "refresh.py"
    subprocess.run([sys.executable, refresh, "--readme-only"], check=True)


if __name__ == "__main__":
    main()
