"""Time the player, the page in a browser, and the page with thirty visitors at once.

Usage: python dev/benchmarks/page.py  (needs Chromium and the models of a full run)
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import psutil
import report
from gradio_client import Client
from playwright.sync_api import sync_playwright

import definitions as notebook

PORT, TURNS, VISITORS, MINUTES = 8899, 5, 30, 2
FLAGS = ["--no-sandbox", "--disable-gpu"]
ADDRESS = f"http://127.0.0.1:{PORT}/"
HEARD = """before => {
    const audio = document.querySelector('#take-a audio');
    return audio && audio.src != before && audio.readyState >= 1;
}"""


def time_player():
    """Return the row for a player of piano, and the megabytes that it takes."""
    paths = notebook.find_midi_files(report.ROOT / notebook.TRAINING_FOLDER)
    pieces, seconds, sizes = [notebook.parse_midi(path) for path in paths[:5]], [], []
    for piece in pieces:
        started = time.perf_counter()
        shown = notebook.play(piece.notes, tempo=piece.tempo)
        seconds.append(time.perf_counter() - started)
        sizes.append(len(shown.data) / 1e6)
    length, typical = notebook.LONGEST_SOUND, float(np.median(seconds))
    what = f"`play`, {length} seconds of music ({max(sizes):.2f} MB at most)"
    ratio = f"{length / typical:.0f}×"
    return [what, "its length", f"{length} s", f"{typical:.2f} s", ratio]


@contextlib.contextmanager
def serve():
    """Serve the page by the README's command; give the seconds until it answers."""
    readme = (report.ROOT / "README.md").read_text("utf-8")
    command = re.search(r"^\.venv/bin/jupyter (execute .*)$", readme, re.MULTILINE)[1]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter", *shlex.split(command)], cwd=report.ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(PORT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(ADDRESS)
                break
            except OSError:
                time.sleep(0.1)
        yield process, time.perf_counter() - started
    finally:
        for each in psutil.Process(process.pid).children(recursive=True):
            each.terminate()
        process.terminate()
        process.wait()


def memory(process):
    """Return the megabytes of a process and its children."""
    everyone = [process, *psutil.Process(process.pid).children(recursive=True)]
    return sum(psutil.Process(each.pid).memory_info().rss for each in everyone) / 1e6


def open_page(browser):
    """Return the opened page and the seconds until its first take can be heard."""
    page = browser.new_page()
    started = time.perf_counter()
    page.goto(ADDRESS)
    page.wait_for_function(HEARD, arg="", timeout=60_000)
    seconds = time.perf_counter() - started
    page.locator("#take-a .seen img").wait_for()
    return page, seconds


def click_to_sound(page, seed):
    """Return the seconds from a click to a take of 100 events that can be played."""
    player = "#take-a audio"
    page.get_by_label("Random seed", exact=True).fill(str(seed))
    page.wait_for_timeout(500)
    before = page.locator(player).get_attribute("src")
    started = time.perf_counter()
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function(HEARD, arg=before)
    seconds = time.perf_counter() - started
    length = page.eval_on_selector(player, "audio => audio.duration")
    page.locator(f"#take-a .seen img[alt*='seed {seed}']").wait_for()
    return seconds, length


def visit(number, until, waits, faults):
    """Ask for take after take, each a file of this visitor's own seed."""
    client, turn = Client(ADDRESS, verbose=False), 0
    while time.perf_counter() < until:
        seed, started, turn = 1000 * number + turn, time.perf_counter(), turn + 1
        try:
            path, *_ = client.predict(primer=None, seed=seed, api_name="/write")
            if not str(path).endswith(f"seed_{seed}.mid"):
                faults.append(f"visitor {number} got {path}")
        except Exception as error:  # of whatever kind: it is counted
            faults.append(repr(error))
        waits.append(time.perf_counter() - started)


def crowd(process):
    """Return waits, faults and the most megabytes of many visitors at once."""
    waits, faults, until = [], [], time.perf_counter() + 60 * MINUTES
    visitors = [threading.Thread(target=visit, args=(number, until, waits, faults))
                for number in range(1, VISITORS + 1)]  # fmt: skip
    most = memory(process)
    for visitor in visitors:
        visitor.start()
    while any(visitor.is_alive() for visitor in visitors):
        most = max(most, memory(process))
        time.sleep(0.5)
    print(*faults, sep="\n", file=sys.stderr)
    return waits, faults, most


def measure():
    """Return all rows of this script."""
    with serve() as (process, answers), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS
        )
        page, ready = open_page(browser)
        takes = [click_to_sound(page, seed) for seed in range(100, 100 + TURNS)]
        alone = memory(process)
        browser.close()
        waits, faults, most = crowd(process)
    seconds, lengths = np.median(takes, axis=0)
    told = f"{len(waits)} takes, {len(faults)} faults"
    return [
        time_player(),
        ["the page answers, from the command on", "", "", f"{answers:.1f} s", ""],
        ["first sound on the page, from opening it", "", "", f"{ready:.1f} s", ""],
        ["click to sound, 100 events", "their length", f"{lengths:.0f} s",
         f"{seconds:.2f} s", f"{lengths / seconds:.0f}×"],
        [f"{VISITORS} visitors for {MINUTES} minutes ({told}): memory", "one visitor",
         f"{alone:.0f} MB", f"{most:.0f} MB", f"{most / alone:.2f}×"],
        ["their median wait for a take", "of one visitor", f"{seconds:.2f} s",
         f"{np.median(waits):.1f} s", f"{np.median(waits) / seconds:.0f}×"],
    ]  # fmt: skip


if __name__ == "__main__":
    report.write_rows("page", "The player and the page", measure())
