"""Run the notebook that the sections make, top to bottom: then stamp, strip, write it.

Usage: python dev/tools/refresh.py [--cold | --from-notebook | --readme-only]
"""

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image
from playwright.sync_api import sync_playwright

from assembly import FOLDER, ROOT, SECTIONS, assemble, take_apart
from results import fill_readme

NOTEBOOK = ROOT / "Music_Generation_LSTM.ipynb"
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu"]
STAMP = "code_sha256"
WIDGET = "application/vnd.jupyter.widget-view+json"  # nothing without its kernel
NOISE = re.compile(
    r"WARNING: All log messages before absl.*\n?|[IWE]\d{4} \d\d:\d\d.*\n?|"
    r"WARNING:tensorflow:.*\n?|[IWEF]0000 00:00:.*\n?|[a-z]+: +\d+%\|.*?\|[^\n\r]*\]"
)  # TensorFlow's dated lines, and what is left of progress bars


def code_hash(notebook):
    """Return the hash of a notebook's code cells, in order."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def set_parameters(notebook, **parameters):
    """Put a cell of parameters behind the notebook's own, as papermill does."""
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    (place,) = (i for i, each in enumerate(tags) if "parameters" in each)
    source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(place + 1, cell)
    return notebook


def run(notebook, folder):
    """Execute a notebook in a folder, all outputs and no timing recorded.

    The first code cell plays what the last run wrote, and the Studio's cell shows a
    picture of it: both are run once more at the end.
    """
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    cells = {i: x for i, x in enumerate(notebook.cells) if x.cell_type == "code"}
    (studio,) = (i for i, cell in cells.items() if "studio.launch(" in cell.source)
    with client.setup_kernel():
        for number, cell in cells.items():
            client.execute_cell(cell, number)
        picture_studio(cells[studio], folder / "outputs" / "figures" / "studio.png")
        for number in (min(cells), studio):
            count = cells[number].execution_count
            client.execute_cell(cells[number], number, execution_count=count)
    return notebook


def picture_studio(cell, path):
    """Write a picture of the Studio that a cell has opened, if there is Chromium."""
    if not CHROMIUM:
        return
    (address,) = re.findall(r'data="(http[^"]+)"', cell.outputs[-1].data["text/html"])
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        page.goto(address)
        page.locator("#take-a .seen img").wait_for(timeout=60_000)
        page.locator("footer").evaluate("footer => footer.remove()")
        page.screenshot(path=path, full_page=True)
        chromium.close()
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def strip_stream(text):
    """Return a stream without noise, carriage returns and blank lines."""
    lines = [line.split("\r")[-1].rstrip() for line in NOISE.sub("", text).splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def strip(notebook):
    """Remove from outputs what changes from run to run without meaning."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = strip_stream(output.text)
                output.get("data", {}).pop(WIDGET, None)
            cell.outputs = [o for o in cell.outputs if o.get("text", "full")]
    return notebook


def write_whole(path, text):
    """Write a text file so that it is there whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def update_readme():
    """Bring the numbers of the last run into the README."""
    readme = ROOT / "README.md"
    text = fill_readme(readme.read_text("utf-8"), ROOT / "outputs" / "tables")
    write_whole(readme, text)


def read_texts():
    """Return the text of each section's file, by name."""
    return {name: (FOLDER / f"{name}.py").read_text("utf-8") for name in SECTIONS}


def take_back():
    """Bring what was changed in the notebook into the sections' files."""
    texts, before = take_apart(nbformat.read(NOTEBOOK, as_version=4)), read_texts()
    changed = [name for name in SECTIONS if texts[name] != before[name]]
    for name in changed:
        write_whole(FOLDER / f"{name}.py", texts[name])
    print(f"Changed sections: {', '.join(changed) or 'none'}.")


def refresh(cold):
    """Run the sections as a notebook, then write the notebook and the README."""
    texts, notebook = read_texts(), assemble()
    if cold:
        shutil.rmtree(ROOT / "outputs", ignore_errors=True)
    try:
        run(notebook, ROOT)
    except CellExecutionError as error:
        sys.exit(f"The notebook was not refreshed, since a cell failed:\n{error}")
    if read_texts() != texts:
        sys.exit("The notebook was not refreshed: its sections changed during the run.")
    notebook.metadata[STAMP] = code_hash(notebook)
    write_whole(NOTEBOOK, nbformat.writes(strip(notebook)) + "\n")
    update_readme()


OPTIONS = {
    "--cold": "remove outputs/ first",
    "--from-notebook": "bring the notebook's edits into the sections, run nothing",
    "--readme-only": "bring the tables into the README, run nothing",
}


def main():
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group()
    for option, words in OPTIONS.items():
        group.add_argument(option, action="store_true", help=words)
    options = parser.parse_args()
    if options.from_notebook:
        take_back()
    elif options.readme_only:
        update_readme()
    else:
        refresh(options.cold)


if __name__ == "__main__":
    main()
