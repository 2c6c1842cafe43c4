"""The Studio in a real browser: as a page, and inside JupyterLab."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from helpers import ROOT, small_file
from playwright.sync_api import TimeoutError, expect, sync_playwright

from assembly import assemble
from refresh import set_parameters

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]  # fmt: skip
SECONDS = 60  # until something must have happened
NAME = "Music_Generation_LSTM.ipynb"

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.xdist_group("quick run"),
]


@pytest.fixture(scope="module")
def browser():
    """Return a headless browser."""
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serve(folder, port, *command, **environment):
    """Run a server in a folder; give its address and process."""
    address = f"http://127.0.0.1:{port}"
    log = (folder / f"server {port}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, stdout=log, stderr=log,
        env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
    )  # fmt: skip
    try:
        wait_for(f"{address}/static/", process)
        yield address, process
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.terminate()
        process.wait(30)
        log.close()


def wait_for(address, process):
    """Return once a server answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the server has ended"
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing answers at {address}")


@pytest.fixture(scope="module")
def folder(quick_run, tmp_path_factory):
    """Return a copy of the folder of a quick run, with the notebook in it."""
    place = tmp_path_factory.mktemp("served") / "folder"
    shutil.copytree(quick_run[0], place)
    models = place / "outputs" / "models"
    shutil.copy(models / "quick_expressive.zip", models / "expressive.zip")
    notebook = set_parameters(assemble(), QUICK_RUN=True)
    nbformat.write(notebook, place / NAME)
    return place


@pytest.fixture(scope="module")
def server(folder):
    """Return the address of the page that the README's command serves."""
    text, port = (ROOT / "README.md").read_text(), free_port()
    command = re.search(r"^\.venv/bin/jupyter (execute .*)$", text, re.MULTILINE)[1]
    at = {"GRADIO_SERVER_PORT": str(port)}
    with serve(folder, port, "jupyter", *shlex.split(command), **at) as served:
        yield served


@pytest.fixture(scope="module")
def page(browser, server):
    """Return the opened page of one visitor."""
    with open_page(browser, server[0]) as opened:
        yield opened


@contextlib.contextmanager
def open_page(browser, address, **options):
    """Open the page in a context of its own and wait for its first take."""
    context = browser.new_context(accept_downloads=True, **options)
    opened = context.new_page()
    opened.set_default_timeout(SECONDS * 1000)
    opened.goto(address)
    seen(opened)
    yield opened
    context.close()


def seen(page, view="a", words="seed 1"):
    """Wait until a view shows a take with some words; return its HTML by part."""
    column = page.locator(f"#take-{view}")
    expect(column.locator(".sound figcaption")).to_contain_text(words)
    expect(column.locator(".seen img")).to_have_attribute("alt", re.compile(words))
    parts = ("sound", "seen")
    return {part: column.locator(f".{part}.prose").inner_html() for part in parts}


def generate(page, seed, **settings):
    """Set number fields by label, press Generate, and wait for the take."""
    for label, value in {"Random seed": seed, **settings}.items():
        page.get_by_label(label, exact=True).fill(str(value))
    page.get_by_role("button", name="Generate").click()
    return seen(page, words=f"seed {seed}")


def duration(page):
    """Return how many seconds the player of take A holds."""
    player = "document.querySelector('#take-a audio')"
    page.wait_for_function(f"{player}.readyState >= 1")
    return page.evaluate(f"{player}.duration")


def download(page):
    """Return the bytes of the MIDI file that take A offers."""
    with page.expect_download() as waiting:
        page.locator("#take-a").get_by_text("Download the MIDI").click()
    assert waiting.value.suggested_filename.endswith(".mid")
    with open(waiting.value.path(), "rb") as file:
        return file.read()


def test_the_page_shows_the_report_above_the_studio_and_no_code(page):
    figure = page.get_by_alt_text("evaluation").bounding_box()
    button = page.get_by_role("button", name="Generate").bounding_box()
    assert 0 < figure["y"] + figure["height"] <= button["y"]
    text = page.locator("body").inner_text()
    assert "Jazz Piano Music Generation" in text and "expressive" in text
    assert "import numpy" not in text and "Error" not in text


def test_a_new_take_is_heard_seen_and_downloaded(page, folder, notebook):
    before, after = seen(page), generate(page, 11)
    assert all(after[part] != before[part] for part in after)
    assert "<svg" in after["seen"] and "data:image/png" in after["seen"]
    assert "kl divergence" in after["seen"]
    data = download(page)
    piece = notebook.parse_bytes(data, "take")
    end = (piece.notes["onset"] + piece.notes["duration"]).max() * 60 / piece.tempo
    end = min(end, notebook.LONGEST_SOUND)
    assert end - 1 < duration(page) < end + 4
    start = page.get_by_label("Go on from").input_value()
    model = notebook.load_model(folder / "outputs" / "models" / "expressive.zip")
    source = notebook.parse_midi(next(folder.glob(f"*/{start}.mid")))
    take = notebook.make_take(model, source, seed=11).piece
    assert piece.notes.tolist() == notebook.parse_bytes(notebook.midi_bytes(
        take.notes, take.tempo, take.name, (), take.metres), "take").notes.tolist()


def upload(page, name, content):
    """Give the page a file as the primer."""
    page.locator("input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "audio/midi", "buffer": content}
    )


def test_a_primer_is_gone_on_from(page, notebook):
    upload(page, "my primer.mid", small_file([60, 64, 67, 72, 76]))
    page.locator(".file-preview").wait_for()
    page.get_by_role("button", name="Generate").click()
    seen(page, words="after my primer")
    piece = notebook.parse_bytes(download(page), "take")
    assert piece.notes["pitch"][:5].tolist() == [60, 64, 67, 72, 76]
    assert len(piece.notes) > 50
    page.get_by_label("Clear").first.click()


def test_rubbish_is_refused_in_a_sentence_and_the_panel_goes_on(page):
    name = "<img src=x onerror=document.title='broken'>.mid"
    upload(page, name, b"rubbish")
    page.locator(".file-preview").wait_for()
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("cannot be used").first).to_be_visible()
    page.get_by_label("Clear").first.click()
    for megabytes in (3, 12):
        upload(page, f"big {megabytes}.mid", bytes(megabytes * 10**6))
        size = page.get_by_text(re.compile("size", re.IGNORECASE)).first
        expect(size).to_be_visible()
    assert page.title() != "broken" and page.locator("img[src=x]").count() == 0
    page.reload()
    seen(page)
    generate(page, 12)


def test_cancelling_keeps_nothing_and_the_panel_goes_on(page):
    page.get_by_label("Events", exact=True).fill("1000")
    page.get_by_label("Random seed", exact=True).fill("13")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    after = generate(page, 14, Events=60)
    assert "seed 14" in after["sound"]
    page.get_by_label("Take A").click()
    assert not page.get_by_role("option", name=re.compile("seed 13")).count()
    page.keyboard.press("Escape")


def test_a_take_is_asked_for_heard_and_seen_once(page):
    page.get_by_label("Take A").click()
    page.keyboard.press("Escape")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for seed in (15, 16):
        generate(page, seed)
    assert sum("queue/join" in url for url in asked) == 6  # written, heard, seen


def test_marks_that_change_while_they_are_drawn_come_to_rest(page):
    for _ in range(5):
        page.get_by_label("Mark borrowed passages").click()
    for _ in range(20):
        try:  # a picture takes less than these three seconds
            page.wait_for_event("request", lambda x: "join" in x.url, timeout=3000)
        except TimeoutError:
            break
    else:
        pytest.fail("the page draws without end")
    page.get_by_label("Mark borrowed passages").uncheck()


def test_takes_are_compared_and_borrowed_passages_marked(page):
    first = generate(page, 21)
    second = generate(page, 22)
    page.get_by_label("Take B").click()
    page.get_by_role("option", name=re.compile("seed 21")).click()
    other = seen(page, "b", "seed 21")
    picture = re.compile(r'src="(data:image[^"]*)"')
    assert picture.findall(other["seen"]) == picture.findall(first["seen"])
    page.get_by_label("Mark borrowed passages").check()
    expect(page.locator("#take-a .seen img")).not_to_have_attribute(
        "src", picture.findall(second["seen"])[0]
    )


def test_changes_are_played_over(page, notebook):
    field = page.get_by_label("Changes, or write your own")
    field.fill("Dm7 | G7b9 C69")
    field.press("Enter")
    generate(page, 25)
    piece = notebook.parse_bytes(download(page), "take")
    symbols = [symbol for _, symbol in notebook.find_changes(piece)]
    assert symbols[:4] == ["Dm7", "G7b9", "C69", "Dm7"]
    field.fill("Dm7 | <b>no</b>")
    field.press("Enter")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("in bar 2 is no chord").first).to_be_visible()
    field.click()
    page.get_by_role("option", name="a blues in F").click()
    generate(page, 26)
    piece = notebook.parse_bytes(download(page), "take")
    assert notebook.find_changes(piece)[0][1] == "F7"
    field.click()
    page.get_by_role("option", name="none").click()


def test_visitors_see_their_own_takes(browser, server, page):
    generate(page, 31)
    with open_page(browser, server[0]) as other:
        generate(other, 32)
        other.get_by_label("Take A").click()
        names = other.get_by_role("option").all_inner_texts()
        assert len(names) == 2 and not [name for name in names if "seed 31" in name]
    assert "seed 31" in seen(page, words="seed 31")["sound"]


def test_a_script_asks_as_the_readme_says(server, notebook):
    text = (ROOT / "README.md").read_text()
    (script,) = re.findall(r"```python\n(from gradio_client.*?)```", text, re.DOTALL)
    found = {}
    exec(script.replace("http://localhost:7860", server[0]), found)
    piece = notebook.parse_midi(found["midi"])
    assert len(piece.notes) >= 200 and notebook.find_changes(piece)[0][1] == "F7"


def test_keyboard_labels_and_a_narrow_window(browser, server):
    size = {"width": 390, "height": 800}
    with open_page(browser, server[0], viewport=size) as page:
        for label in ("Model", "Go on from", "Events", "Temperature", "Top-p", "Energy",
                      "Brightness", "Random seed", "Changes, or write your own",
                      "Take A", "Take B"):  # fmt: skip
            box = page.get_by_label(label, exact=True).first.bounding_box()
            assert 0 <= box["x"] and box["x"] + box["width"] <= 390, label
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_label("Random seed", exact=True).fill("41")
        page.get_by_role("button", name="Generate").focus()
        page.keyboard.press("Enter")
        seen(page, words="seed 41")


def test_the_page_needs_nothing_from_the_network(browser, server):
    """All that is not on this machine is refused; nothing asks for it."""
    context, refused = browser.new_context(), []

    def refuse(route):
        refused.append(route.request.url)
        route.abort()

    context.route(lambda url: urlsplit(url).hostname != "127.0.0.1", refuse)
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(server[0])
    seen(page)
    generate(page, 2)
    assert duration(page) > 0 and not refused
    context.close()


def test_the_server_talks_to_nobody(server):
    """Its processes have no connection but on this machine."""
    process = psutil.Process(server[1].pid)
    for each in [process, *process.children(recursive=True)]:
        for connection in each.net_connections("inet"):
            for end in filter(None, (connection.laddr, connection.raddr)):
                assert end.ip in ("127.0.0.1", "::1"), connection


def test_the_panel_works_in_jupyterlab(browser, folder):
    port = free_port()
    options = ("--no-browser", "--allow-root", "--IdentityProvider.token=",
               "--LabApp.expose_app_in_browser=True", f"--port={port}")  # fmt: skip
    with serve(folder, port, "jupyterlab", *options) as (at, _):
        page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{at}/lab/tree/{NAME}?reset")
        page.get_by_text("| Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.content.widgets.at(-1)"
            ".model.executionCount > 0",
            timeout=8 * SECONDS * 1000,
        )
        page.evaluate(
            """() => {
              const cells = window.jupyterapp.shell.currentWidget.content
              const at = cells.widgets.findIndex(
                cell => cell.model.sharedModel.source.includes('gr.close_all('))
              cells.activeCellIndex = at
              return cells.scrollToItem(at, 'start')
            }"""
        )
        address = re.compile(r"^http://127\.0\.0\.1:78")
        until = time.monotonic() + SECONDS
        while not (panel := page.frame(url=address)) and time.monotonic() < until:
            page.wait_for_timeout(200)
        expect(panel.locator("#take-a audio")).to_be_attached()
        panel.get_by_label("Random seed", exact=True).fill("11")
        panel.get_by_role("button", name="Generate").click()
        expect(panel.locator("#take-a .sound figcaption")).to_contain_text("seed 11")
        page.context.close()
