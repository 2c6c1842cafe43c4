"""Measure what changes bring to the expressive network, and how well it follows them.

Usage: python dev/benchmarks/changes.py [--epochs 20] [--seeds 7 8]
On the shipped validation pieces, and on twenty that the composer writes anew.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import report

import definitions as notebook

COUNT, EVENTS, LONG, DRAWS, FRESH_SEED = 20, 400, 1200, 5, 71_002
SHARES = ("chord_tones", "chord_tones_strong", "bass_on_root")
WANTED = {
    "token nats a note, never told": "",
    "token nats a note, untold": "never told + 0.01",
    "token nats a note, told": "",
    "saved by the true changes": "≥ 0.33",
    "pieces in which they help": f"{COUNT}",
    "lost by another piece's": "≥ 0.5",
    "chord_tones": "≥ 0.87",
    "chord_tones_strong": "≥ 0.93",
    "bass_on_root": "≥ 0.75",
    "chord_tones_strong, last quarter less first": "within 0.02",
    "contrast at the chorus lag": "≥ 0.17",
    "structureness, 16 bars and more": "≥ 0.2",
    "melody_lift": "within a fifth of real",
}


def train(seed, share, epochs, path):
    """Keep a model that hears its chords in a share of stretches; return seconds."""
    notebook.CHANGES_SHARE = share
    pieces, started = read("jazz_sample_files"), time.perf_counter()
    trainer = notebook.train_expressive
    model, _ = notebook.train_fold("expressive", trainer, pieces, [], seed, epochs)
    seconds = time.perf_counter() - started
    notebook.save_model(model, path)
    return seconds


def read(folder):
    """Return the pieces of a folder."""
    return [*map(notebook.parse_midi, notebook.find_midi_files(report.ROOT / folder))]


def find_chorus(piece):
    """Return a piece's changes from its head to its first chorus, as `Changes`."""
    parts = {}
    for onset, text in piece.markers:
        if text.startswith("Section "):
            parts.setdefault(text.split()[1], onset)
    names = [name for name in parts if name != "Intro"]
    start, end = (parts[name] for name in names[:2])
    rows = notebook.find_changes(piece)
    rows = tuple((at - start, symbol) for at, symbol in rows if start <= at < end)
    return notebook.Changes(rows, end - start)


def contrast(piece, length):
    """Return how much alike bars a chorus apart are, less those at odd lags."""
    lines, notes = piece.bars(), piece.notes
    chroma = np.zeros((len(lines) - 1, 12))
    bars = np.searchsorted(lines, notes["onset"] + 1e-6, "right") - 1
    np.add.at(chroma, (bars, notes["pitch"] % 12), np.minimum(notes["duration"], 4))
    chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    chorus = round(length / (lines[1] - lines[0]))

    def alike(lag):
        return (chroma[:-lag] * chroma[lag:]).sum(1).mean()

    if len(chroma) <= chorus + 1:
        return np.nan
    others = [alike(lag) for lag in range(2, min(41, len(chroma))) if lag % 4]
    return alike(chorus) - np.mean(others)


def quarters(piece, rows):
    """Return the strong chord tones of the last quarter of a piece less the first's."""
    edges, shares = np.quantile(piece.notes["onset"], [0, 0.25, 0.75, 1]), []
    for low, high in (edges[2:], edges[:2]):
        inside = (piece.notes["onset"] >= low) & (piece.notes["onset"] < high)
        part = replace(piece, notes=piece.notes[inside])
        shares.append(notebook.follow_changes(part, rows)["chord_tones_strong"])
    return shares[0] - shares[1]


def predict(model, never, pieces):
    """Return the figures of prediction."""
    own = [notebook.find_changes(piece) for piece in pieces]
    rows = [((), mine, other) for mine, other in zip(own, own[1:] + own[:1])]
    nats = np.array([[notebook.score_told(model, piece, each) for each in three]
                     for piece, three in zip(pieces, rows)])  # fmt: skip
    alone = np.mean([notebook.score_told(never, piece, ()) for piece in pieces])
    untold, told, others = nats.mean(0)
    return {
        "token nats a note, never told": alone,
        "token nats a note, untold": untold,
        "token nats a note, told": told,
        "saved by the true changes": untold - told,
        "pieces in which they help": np.sum(nats[:, 1] < nats[:, 0]),
        "lost by another piece's": others - untold,
    }


def liken(model, generated, pieces):
    """Return the headline metrics and the AUC of draws, mean and deviation."""
    generator = np.random.default_rng(1)
    real = notebook.cut_excerpts(pieces, model.vocabulary, EVENTS, generator)
    names, rows = [*notebook.HEADLINE_METRICS], []
    for each in generated:
        likeness = [notebook.compare(name, real, each) for name in names]
        rows.append([*likeness, notebook.two_sample_auc(real, each, [1])[0]])
    pairs = zip(np.mean(rows, 0), np.std(rows, 0))
    return dict(zip((*names, "two_sample_auc"), pairs))


def write(model, pieces, learnt):
    """Return the figures of writing, told and untold, and both likenesses."""
    vocabulary, sets = model.vocabulary, ([], [])
    for draw in range(DRAWS):
        forms, seeds = notebook.choose_forms(
            pieces, learnt, vocabulary, np.random.default_rng(draw)
        )
        for asked, kept in zip((forms, None), sets):
            kept.append(notebook.generate_pieces(
                model, seeds, EVENTS, changes=asked,
                generator=np.random.default_rng(draw)))  # fmt: skip
    told, untold = sets
    figures, free = {}, {}
    for share in SHARES:
        for found, group in ((figures, told), (free, untold)):
            found[share] = np.mean([
                notebook.follow_changes(piece, over.markers)[share]
                for each, asked in zip(group, told) for piece, over in zip(each, asked)
            ])  # fmt: skip
    for found, group in ((figures, told), (free, untold)):
        lifts = [notebook.melody_lift(piece) for each in group for piece in each]
        found["melody_lift"] = np.nanmean(lifts)
    choruses = [find_chorus(piece) for piece in pieces]
    for found, asked in ((figures, choruses), (free, None)):
        long = notebook.generate_pieces(
            model, seeds, LONG, changes=asked, generator=np.random.default_rng(1)
        )
        spans = [chorus.length for chorus in choruses]
        found["contrast at the chorus lag"] = np.nanmean([*map(contrast, long, spans)])
        found["structureness, 16 bars and more"] = np.mean(
            [notebook.structureness(piece)["structureness_16"] for piece in long]
        )
        if asked:
            found["chord_tones_strong, last quarter less first"] = np.mean(
                [quarters(piece, piece.markers) for piece in long]
            )
    return figures, free, liken(model, told, pieces), liken(model, untold, pieces)


def real_figures(pieces):
    """Return what real pieces score over their own changes."""
    shares = [notebook.follow_changes(p, notebook.find_changes(p)) for p in pieces]
    figures = {share: np.mean([each[share] for each in shares]) for share in SHARES}
    figures["melody_lift"] = np.nanmean([*map(notebook.melody_lift, pieces)])
    spans = [find_chorus(piece).length for piece in pieces]
    figures["contrast at the chorus lag"] = np.nanmean([*map(contrast, pieces, spans)])
    figures["structureness, 16 bars and more"] = np.mean(
        [notebook.structureness(piece)["structureness_16"] for piece in pieces]
    )
    return figures


def speed(model, learnt):
    """Return the events a second of 16 streams, told, once compiled."""
    forms, seeds = notebook.choose_forms(
        learnt[:16], learnt, model.vocabulary, np.random.default_rng(1)
    )
    for _ in range(2):
        started = time.perf_counter()
        notebook.generate_pieces(model, seeds, EVENTS, changes=forms,
                                 generator=np.random.default_rng(1))  # fmt: skip
    return 16 * EVENTS / (time.perf_counter() - started)


def table(title, pieces, models, learnt):
    """Return a set's figures for each seed as Markdown."""
    columns, likeness = {"real": real_figures(pieces)}, []
    for seed, (model, never) in models.items():
        told, free, *both = write(model, pieces, learnt)
        columns[f"seed {seed}"] = {**predict(model, never, pieces), **told}
        columns[f"seed {seed}, untold"] = free
        likeness += [(f"seed {seed}, {word}", each)
                     for word, each in zip(("told", "untold"), both)]  # fmt: skip
    rows = [[name, *(f"{column[name]:.3f}" if name in column else ""
                     for column in columns.values()), wanted]
            for name, wanted in WANTED.items()]  # fmt: skip
    first = report.markdown_table([title, *columns, "wanted"], rows)
    names = [*likeness[0][1]]
    rows = [[name, *("{:.3f} ± {:.3f}".format(*each[key]) for key in names)]
            for name, each in likeness]  # fmt: skip
    return f"{first}\n\n{report.markdown_table([f'{DRAWS} draws', *names], rows)}"


def compose(folder):
    """Return twenty pieces that the composer writes anew."""
    command = [sys.executable, "-m", "composer", "--pieces", str(COUNT), "--seed",
               str(FRESH_SEED), "--out", folder]  # fmt: skip
    subprocess.run(command, cwd=report.ROOT / "dev", check=True, capture_output=True)
    return read(folder)


def main():
    """Train, measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=notebook.EXPRESSIVE_EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    options = parser.parse_args()
    learnt, held_out = read("jazz_sample_files"), read("Validation_samples")
    with tempfile.TemporaryDirectory() as folder:
        jobs = [(seed, share, options.epochs, Path(folder) / f"{seed} {share}.zip")
                for seed in options.seeds
                for share in (notebook.CHANGES_SHARE, 0.0)]  # fmt: skip
        seconds = dict(notebook.run_parallel(train, jobs, "training"))
        loaded = [notebook.load_model(path) for *_, path in jobs]
        fresh = compose(f"{folder}/fresh")
    models = dict(zip(options.seeds, zip(loaded[::2], loaded[1::2])))
    ratio = sum(seconds[i] for i in range(0, len(jobs), 2)) / sum(
        seconds[i] for i in range(1, len(jobs), 2)
    )
    parts = [
        f"{options.epochs} epochs; seeds {options.seeds}; training told takes "
        f"{ratio:.2f} times as long as never told; 16 streams told are written at "
        f"{speed(loaded[0], learnt):,.0f} events a second.",
        table("the shipped validation pieces", held_out, models, learnt),
        table(f"composed anew, seed {FRESH_SEED}", fresh, models, learnt),
    ]
    report.write_report("changes", "Over changes", "\n\n".join(parts))


if __name__ == "__main__":
    main()
