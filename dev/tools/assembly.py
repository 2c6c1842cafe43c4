"""The notebook as its sections say it: assembled, and taken apart again."""

import sys
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dev" / "sections"
sys.path.insert(0, str(ROOT / "dev"))

from sections import SECTIONS  # noqa: E402

KEPT = ("tags", "jp-MarkdownHeadingCollapsed", "lines_to_next_cell")  # of a cell
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tags_of(cell):
    """Return a cell's tags."""
    return cell.metadata.get("tags", [])


def read_section(name):
    """Return the cells of a section's file, imports between sections included."""
    return jupytext.read(FOLDER / f"{name}.py", fmt="py:percent").cells


def assemble():
    """Return the sections as one notebook without outputs."""
    cells = []
    for name in SECTIONS:
        kept = [cell for cell in read_section(name) if "active-py" not in tags_of(cell)]
        for number, cell in enumerate(kept):
            cell.id = f"{name}-{number:02d}"
            if "hide-input" in tags_of(cell):
                cell.metadata["jupyter"] = {"source_hidden": True}
        cells += kept
    return nbformat.v4.new_notebook(cells=cells, metadata=nbformat.from_dict(METADATA))


def definitions():
    """Return the source of all that the sections define, as one module."""
    parts = [
        cell.source
        for cell in assemble().cells
        if cell.cell_type == "code" and "active-ipynb" not in tags_of(cell)
    ]
    return "\n\n\n".join(parts) + "\n"


def section_text(cells):
    """Return cells as the text of a section's file."""
    metadata = {"jupytext": {"notebook_metadata_filter": "-all"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    return jupytext.writes(notebook, fmt="py:percent")


def take_apart(notebook):
    """Return the text of each section, by name, as a notebook now says it.

    A section begins at its heading; its imports are those of its file.
    """
    parts = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            parts.append([])
        if "injected-parameters" not in tags_of(cell):
            parts[-1].append(cell)
    first, *parts = parts
    parts[0] = first + parts[0]
    if len(parts) != len(SECTIONS):
        raise SystemExit(f"There are {len(parts)} sections, not {len(SECTIONS)}.")
    texts = {}
    for name, cells in zip(SECTIONS, parts, strict=True):
        kept = []
        for cell in cells:
            metadata = {
                key: value
                for key, value in cell.metadata.items()
                if key in KEPT
            }
            new = nbformat.v4.new_markdown_cell
            if cell.cell_type == "code":
                new = nbformat.v4.new_code_cell
            kept.append(new(cell.source, metadata=metadata))
        for place, cell in enumerate(read_section(name)):
            if "active-py" in tags_of(cell):
                kept.insert(place, cell)
        texts[name] = section_text(kept)
    return texts
