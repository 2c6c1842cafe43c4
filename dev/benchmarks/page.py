"""Time the player, and the page in a browser: until it is there, click to sound.

Usage: python dev/benchmarks/page.py  (needs Chromium and the models of a full run)
"""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request

import numpy as np
import report
from playwright.sync_api import sync_playwright

import definitions as notebook

PORT, TURNS = 8899, 5
FLAGS = ["--no-sandbox", "--disable-gpu"]
ADDRESS = f"http://127.0.0.1:{PORT}/"
HEARD = """before => {
    const audio = document.querySelector('.studio-take-a audio');
    return audio && audio.src != before && audio.readyState >= 1;
}"""


def time_player():
    """Return the row for a minute of piano, and the megabytes that it takes."""
    paths = notebook.find_midi_files(report.ROOT / notebook.TRAINING_FOLDER)
    pieces, seconds, sizes = [notebook.parse_midi(path) for path in paths[:5]], [], []
    for piece in pieces:
        started = time.perf_counter()
        shown = notebook.play(piece.notes, tempo=piece.tempo)
        seconds.append(time.perf_counter() - started)
        sizes.append(len(shown.data) / 1e6)
    what = f"`play`, a minute of music ({max(sizes):.2f} MB at most)"
    typical = float(np.median(seconds))
    return [what, "its length", "60 s", f"{typical:.2f} s", f"{60 / typical:.0f}×"]


def page_command():
    """Return the README's command for the page, without its first word."""
    readme = (report.ROOT / "README.md").read_text("utf-8")
    return shlex.split(re.search(r"^\.venv/bin/voila (.*)$", readme, re.MULTILINE)[1])


@contextlib.contextmanager
def serve(preheated):
    """Serve the page of the project's own folder; yield once it may be opened."""
    options = [each for each in page_command() if "preheat" not in each]
    options += [f"--preheat_kernel={preheated}", f"--port={PORT}", "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "voila", *options], cwd=report.ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{ADDRESS}static/")
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        if preheated:
            time.sleep(30)  # its kernel is getting ready, before anyone asks
        yield
    finally:
        process.terminate()
        process.wait()


def open_page(browser):
    """Return the opened page and the seconds until its panel was there."""
    page = browser.new_page()
    started = time.perf_counter()
    page.goto(ADDRESS)
    page.get_by_role("button", name="Generate").wait_for(timeout=60_000)
    seconds = time.perf_counter() - started
    page.locator(".studio-take-a svg").first.wait_for(state="attached")
    return page, seconds


def click_to_sound(page, seed):
    """Return the seconds from a click to a take of 100 events that can be played."""
    field, player = page.get_by_label("Random seed"), ".studio-take-a audio"
    field.fill(str(seed))
    field.press("Tab")
    page.wait_for_timeout(500)
    before = page.locator(player).get_attribute("src")
    started = time.perf_counter()
    page.get_by_role("button", name="Generate").click()
    page.wait_for_function(HEARD, arg=before)
    seconds = time.perf_counter() - started
    page.locator(".studio [role=status]", has_text="Here it is").wait_for()
    return seconds, page.eval_on_selector(player, "audio => audio.duration")


def measure():
    """Return all rows of this script."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS
        )
        with serve(False):
            cold = open_page(browser)[1]
        with serve(True):
            page, ready = open_page(browser)
            takes = [click_to_sound(page, seed) for seed in range(100, 100 + TURNS)]
        browser.close()
    seconds, lengths = np.median(takes, axis=0)
    return [
        time_player(),
        ["the page is ready, kernel preheated", "not preheated", f"{cold:.1f} s",
         f"{ready:.1f} s", f"{cold / ready:.1f}×"],
        ["click to sound, 100 events", "their length", f"{lengths:.0f} s",
         f"{seconds:.2f} s", f"{lengths / seconds:.0f}×"],
    ]  # fmt: skip


if __name__ == "__main__":
    report.write_rows("page", "The player and the page", measure())
