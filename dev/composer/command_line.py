"""The command line: writes the catalogue, or further pieces, or says what is wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from composer.catalogue import (
    TRAINING,
    TRAINING_FOLDER,
    VALIDATION,
    VALIDATION_FOLDER,
    Piece,
    further_pieces,
)
from composer.midi_file import render, write_whole

REPOSITORY = Path(__file__).resolve().parents[2]
BAD_INPUT = 2
# Below this many pieces, starting other processes costs more than it saves.
WORTH_SHARING = 30
OPTIONS = (
    ("--pieces", int, "N", "compose N further pieces instead of the catalogue"),
    ("--seed", int, "S", "which further pieces, 0 or more (0 if left out)"),
    ("--out", Path, "FOLDER", "where to write the pieces, or the catalogue's folders"),
)


class BadInputError(Exception):
    """What a user asked for cannot be done; the text says why in one sentence."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage."""

    def error(self, message: str) -> None:
        """Raise what is wrong with the arguments."""
        raise BadInputError(f"{message}.")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        prog="python -m composer",
        description=(
            f"Write the forty catalogue pieces to {TRAINING_FOLDER}/ and "
            f"{VALIDATION_FOLDER}/, or further pieces to a folder of your own."
        ),
        allow_abbrev=False,
    )
    for name, kind, metavar, text in OPTIONS:
        parser.add_argument(name, type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--force", action="store_true", help="replace existing files that differ"
    )
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that make no sense."""
    pieces, seed, out = arguments.pieces, arguments.seed, arguments.out
    if pieces is not None and pieces < 1:
        raise BadInputError(f"--pieces must be 1 or more, not {pieces}.")
    if seed is not None and seed < 0:
        raise BadInputError(f"--seed must be 0 or more, not {seed}.")
    if pieces is None and seed is not None:
        raise BadInputError(
            "--seed chooses among further pieces, so it needs --pieces."
        )
    if pieces is not None and out is None:
        raise BadInputError("--pieces needs --out, the folder to write to.")
    if out is not None:
        check_folder(out)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is a file or whose parent does not exist."""
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"{folder} is not a folder.")
    if not folder.resolve().parent.is_dir():
        raise BadInputError(
            f"there is no folder {folder.resolve().parent} to hold {folder.name}."
        )


def planned(arguments: argparse.Namespace) -> dict[Path, Piece]:
    """Return the piece that belongs at each path."""
    if arguments.pieces is not None:
        pieces = further_pieces(arguments.pieces, arguments.seed or 0)
        return {arguments.out / piece.file_name: piece for piece in pieces}
    root = arguments.out or REPOSITORY
    folders = ((TRAINING_FOLDER, TRAINING), (VALIDATION_FOLDER, VALIDATION))
    return {
        root / folder / piece.file_name: piece
        for folder, pieces in folders
        for piece in pieces
    }


def render_all(pieces: list[Piece]) -> list[bytes]:
    """Compose pieces, on several processors when there are many."""
    if len(pieces) < WORTH_SHARING:
        return [render(piece) for piece in pieces]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(render, pieces, chunksize=4))


def write(files: dict[Path, bytes], force: bool) -> str:
    """Write the files that are not there yet and report it."""
    waiting = {
        path: content
        for path, content in files.items()
        if not (path.exists() and path.read_bytes() == content)
    }
    clash = sorted(path for path in waiting if path.exists())
    if clash and not force:
        raise BadInputError(
            f"{clash[0]} exists and differs ({len(clash)} such files): "
            "use --force to replace it."
        )
    for path, content in waiting.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    current = len(files) - len(waiting)
    return f"{len(waiting)} files written, {current} were already up to date."


def main(words: Sequence[str]) -> int:
    """Run the command line on its words and return the exit code."""
    try:
        arguments = build_parser().parse_args(words)
        check(arguments)
        plan = planned(arguments)
        files = dict(zip(plan, render_all(list(plan.values())), strict=True))
        print(write(files, arguments.force))
    except (BadInputError, OSError) as problem:
        print(f"composer: {problem}", file=sys.stderr)
        return BAD_INPUT
    return 0
