"""The Studio in a real browser, served by Voilà and by JupyterLab."""

import base64
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
from playwright.sync_api import expect, sync_playwright

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


@contextlib.contextmanager
def serve(folder, *command):
    """Run a server of the notebook in a folder; give its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = (folder / f"server {port}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", *command, f"--port={port}"], cwd=folder, stdout=log,
        stderr=log, env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    try:
        wait_for(f"{address}/static/", process)
        yield address, process
    finally:
        process.terminate()
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
    raise TimeoutError(address)


@pytest.fixture(scope="module")
def folder(quick_run, tmp_path_factory):
    """Return a copy of the folder of a quick run, with the notebook in it."""
    place = tmp_path_factory.mktemp("served") / "folder"
    shutil.copytree(quick_run[0], place)
    notebook = set_parameters(assemble(), QUICK_RUN=True)
    nbformat.write(notebook, place / NAME)
    return place


@pytest.fixture(scope="module")
def server(folder):
    """Return the address of the page that Voilà serves, and its process."""
    culling = "--MappingKernelManager.cull_"  # of those who have left, and soon
    replaced = ("--preheat", culling)
    options = [option for option in page_options() if not option.startswith(replaced)]
    options += [f"{culling}idle_timeout=10", f"{culling}interval=1"]
    with serve(folder, "voila", NAME, "--no-browser", *options) as served:
        yield served


def page_options():
    """Return the options of the README's command for the page."""
    command = re.search(
        r"^\.venv/bin/voila .*$", (ROOT / "README.md").read_text(), re.MULTILINE
    )[0]
    return shlex.split(command)[2:]


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
    expect(opened.locator(".studio-take-a audio")).to_be_attached()
    yield opened
    context.close()


def generate(page, **settings):
    """Set number fields by label, press Generate, and wait for the take."""
    for label, value in settings.items():
        field = page.get_by_label(label.replace("_", " ").capitalize(), exact=True)
        field.fill(str(value))
        field.press("Tab")
    status = page.locator(".studio [role=status]")
    page.get_by_role("button", name="Generate").click()
    expect(status).to_have_text("Writing …")
    expect(status).to_contain_text("Here it is.")
    return shown(page)


def shown(page, view="a"):
    """Return the HTML of a view's parts."""
    return {
        part: page.locator(f".studio-take-{view} .studio-{part}").inner_html()
        for part in ("sound", "roll", "score", "facts")
    }


def count_takes(page):
    """Return how many takes the history holds."""
    return page.get_by_label("Take A").locator("option").count()


def duration(page):
    """Return how many seconds the player of take A holds."""
    page.wait_for_function(
        "document.querySelector('.studio-take-a audio').readyState >= 1"
    )
    return page.eval_on_selector(".studio-take-a audio", "audio => audio.duration")


def download(page):
    """Return the bytes of the MIDI file that take A offers."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the MIDI").first.click()
    assert waiting.value.suggested_filename.endswith(".mid")
    with open(waiting.value.path(), "rb") as file:
        return file.read()


# Voilà.


def test_the_page_shows_the_report_above_the_studio_and_no_code(page):
    figure = page.get_by_alt_text("evaluation").bounding_box()
    panel = page.locator(".studio").bounding_box()
    assert 0 < figure["y"] + figure["height"] <= panel["y"]
    text = page.locator("body").inner_text()
    assert "Jazz Piano Music Generation" in text and "expressive" in text
    assert "import numpy" not in text and "## " not in text and "Error" not in text


def test_a_new_take_is_heard_seen_and_downloaded(page, folder, notebook):
    before = shown(page)
    after = generate(page, Random_seed=11)
    assert all(after[part] != before[part] for part in after)
    assert "<svg" in after["score"] and "data:image/png" in after["roll"]
    data = download(page)
    piece = notebook.parse_bytes(data, "take")
    end = (piece.notes["onset"] + piece.notes["duration"]).max() * 60 / piece.tempo
    end = min(end, notebook.LONGEST_SOUND)
    assert end - 1 < duration(page) < end + 4
    link = page.locator(".studio-take-a a").get_attribute("href")
    assert base64.b64decode(link.split(",")[1]) == data
    start = page.get_by_label("Go on from").input_value()
    source = next(folder.glob(f"*/{start}.mid"))
    bundle = folder / "outputs" / "models" / "expressive.zip"
    models = {"expressive": notebook.load_model(bundle)}
    request = notebook.Request("expressive", start, seed=11)
    take = notebook.make_take(request, models, {start: notebook.parse_midi(source)})
    assert notebook.take_bytes(take) == data


def upload(page, name, content):
    """Upload a file as the primer; return the status once it has changed."""
    status = page.locator(".studio [role=status]")
    before = status.inner_text() if status.count() else None
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name="MIDI primer").click()
    waiting.value.set_files({"name": name, "mimeType": "audio/midi", "buffer": content})
    if before is None:
        expect(status).to_be_attached()
    else:
        expect(status).not_to_have_text(before)
    return status.inner_text()


def test_a_primer_is_gone_on_from(page, notebook):
    assert "primer" in upload(page, "primer.mid", small_file([60, 64, 67, 72, 76]))
    generate(page)
    piece = notebook.parse_bytes(download(page), "take")
    assert piece.notes["pitch"][:5].tolist() == [60, 64, 67, 72, 76]
    assert len(piece.notes) > 50
    page.get_by_role("button", name="No primer").click()
    status = page.locator(".studio [role=status]")
    expect(status).to_contain_text("from the piece in the list")


def test_rubbish_is_refused_in_a_sentence_and_the_panel_goes_on(page):
    name = "<img src=x onerror=document.title='broken'>.mid"
    assert "cannot be used" in upload(page, name, b"rubbish")
    for megabytes in (3, 12):  # a websocket takes ten, unless told otherwise
        name = f"big {megabytes}.mid"
        assert "1 MB" in upload(page, name, bytes(megabytes * 10**6))
    assert page.title() != "broken" and page.locator("img[src=x]").count() == 0
    generate(page)


def test_a_generation_can_be_cancelled(page):
    length = page.get_by_label("Events", exact=True)
    length.fill("1000")
    length.press("Tab")
    before = count_takes(page)
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    status = page.locator(".studio [role=status]")
    expect(status).to_have_text("Cancelled; nothing was kept.")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    assert count_takes(page) == before
    length.fill("60")
    length.press("Tab")


def count_kernels(process):
    """Return how many kernels a server runs."""
    children = psutil.Process(process.pid).children(recursive=True)
    alive = (c for c in children if c.status() != psutil.STATUS_ZOMBIE)
    return sum("ipykernel" in " ".join(child.cmdline()) for child in alive)


def test_two_visitors_do_not_see_each_others_takes(page, browser, server):
    address, process = server
    before = count_takes(page)
    generate(page, Random_seed=21)
    with open_page(browser, address) as other:
        assert count_kernels(process) == 2
        assert count_takes(other) == 1
        generate(other, Random_seed=22)
        assert count_takes(other) == 2
    assert count_takes(page) == before + 1
    assert "seed 21" in shown(page)["sound"]
    until = time.monotonic() + SECONDS
    while count_kernels(process) > 1:  # the kernel of the visitor who left
        assert time.monotonic() < until
        page.wait_for_timeout(200)


def test_takes_are_compared(page):
    number, first = count_takes(page), shown(page)
    generate(page, Random_seed=31)
    page.get_by_label("Take B").select_option(index=number)
    expect(page.locator(".studio-take-b svg").first).to_be_attached()
    assert shown(page, "b")["roll"] == first["roll"]


def test_keyboard_labels_and_a_narrow_window(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for label in ("Model", "Go on from", "Events", "Temperature", "Top-p", "Energy",
                  "Brightness", "Random seed", "Take A", "Take B"):  # fmt: skip
        box = page.get_by_label(label, exact=True).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 390, label
    panel = page.locator(".studio")
    assert panel.evaluate("box => box.scrollWidth <= box.clientWidth + 1")
    before = count_takes(page)
    page.get_by_role("button", name="Generate").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Take A").locator("option")).to_have_count(before + 1)


def test_a_preheated_page_needs_nothing_from_the_network(browser, folder):
    """All that is not on this machine is refused; the panel works all the same."""
    with serve(folder, "voila", NAME, "--no-browser", *page_options()) as (address, _):
        context = browser.new_context()
        refused = []

        def refuse(route):
            refused.append(route.request.resource_type)
            route.abort()

        context.route(lambda url: urlsplit(url).hostname != "127.0.0.1", refuse)
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.goto(address)
        expect(page.locator(".studio-take-a svg").first).to_be_attached()
        generate(page, Random_seed=2)
        assert duration(page) > 0 and set(refused) <= {"stylesheet"}  # of icons
        context.close()


# JupyterLab.


def test_the_panel_works_in_jupyterlab(browser, folder):
    options = ("--no-browser", "--allow-root", "--IdentityProvider.token=",
               "--LabApp.expose_app_in_browser=True")  # fmt: skip
    with serve(folder, "jupyterlab", *options) as (at, _):
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
                cell => cell.model.sharedModel.source.includes('studio.generate'))
              cells.activeCellIndex = at
              return cells.scrollToItem(at, 'start')
            }"""
        )
        expect(page.locator(".studio-take-a audio")).to_be_attached()
        generate(page, Random_seed=11)
        assert duration(page) > 0
        page.context.close()
