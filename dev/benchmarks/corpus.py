"""Measure the shipped pieces beside real performances, with the notebook's definitions.

Usage: python dev/benchmarks/corpus.py
The columns of the performances need ../shared/corpora/performances.
"""

import io
from collections import Counter

import mido
import numpy as np
import report

import definitions as notebook
from composer.harmony import parse_chord
from results import markdown_table

WINDOW = 40
LIKENESS = {
    "pitch KL (performances‖these)": "kl_divergence",
    "interval cosine": "interval_similarity",
    "rhythm cosine": "rhythm_similarity",
}
LATE = 1 / 6  # quarter notes by which a laid-back or swung note may miss its beat


def read_folder(folder):
    """Return the paths and the pieces of a folder of MIDI files."""
    paths = notebook.find_midi_files(folder)
    return paths, [notebook.parse_midi(path) for path in paths]


def count_events(pieces):
    """Return the number of events of each piece."""
    return [len(notebook.group_notes(piece)[0]) for piece in pieces]


def share_of_chords(pieces):
    """Return the share of events that are chords."""
    sizes = [np.bincount(notebook.group_notes(piece)[1]) for piece in pieces]
    return float((np.concatenate(sizes) > 1).mean())


def velocity_spread(pieces):
    """Return the velocities' standard deviation: of all notes, and a piece's least."""
    velocities = [piece.notes["velocity"] for piece in pieces]
    return np.concatenate(velocities).std(), min(each.std() for each in velocities)


def pitch_ngram(learning, testing):
    """Return the nats a note of the best interpolated n-gram of orders 1 to 3."""
    known, unknown = (
        [piece.notes["pitch"] - notebook.LOWEST_PITCH for piece in pieces]
        for pieces in (learning, testing)
    )
    ngram = notebook.Ngram(known, 3, notebook.PITCHES)
    losses = []
    for order in (1, 2, 3):
        shorter = ngram.shorten(order)
        given = [
            shorter.predict(pitches)[np.arange(len(pitches) - 1), pitches[1:]]
            for pitches in unknown
        ]
        losses.append(float(-np.log(np.concatenate(given)).mean()))
    return min(losses)


def share_of_single_windows(pieces):
    """Return the share of windows of 40 events that occur once, in whatever key."""
    windows = Counter()
    for piece in pieces:
        events = notebook.relative_events(piece)
        starts = range(len(events) - WINDOW + 2)
        windows.update(tuple(events[start : start + WINDOW - 1]) for start in starts)
    return sum(count == 1 for count in windows.values()) / windows.total()


def longest_run_between(learning, testing):
    """Return the longest run of events that two groups of pieces share, in any key."""
    sources = notebook.Sources(learning)
    return max(notebook.find_shared_run(piece, sources).events for piece in testing)


def read_markers(file):
    """Return (quarter note, chord) for each chord marker of a MIDI file."""
    chords, tick = [], 0
    for message in file.tracks[0]:
        tick += message.time
        if message.type == "marker" and not message.text.startswith("Section"):
            chords.append((tick / file.ticks_per_beat, parse_chord(message.text)))
    return chords


def strong_melody(path):
    """Return for each strong beat whether the melody's note belongs to the chord."""
    file, content = mido.MidiFile(path), io.BytesIO()
    chords = read_markers(file)
    file.tracks = [track for track in file.tracks if "left" not in track.name]
    file.save(file=content)
    piece = notebook.parse_bytes(content.getvalue(), path.stem)
    beats, unit = piece.metre
    strong = 4 / unit * (beats if beats % 2 else beats / 2)
    notes, found = piece.notes, []
    for beat in np.arange(0, notes["onset"].max(), strong):
        near = notes[np.abs(notes["onset"] - beat) <= LATE]
        sounding = [chord for start, chord in chords if start <= beat + 0.01]
        if len(near) and near["pitch"].max() >= 60 and sounding:
            found.append(int(near["pitch"].max()) % 12 in sounding[-1].tones)
    return found


def measure(pieces, other, real):
    """Return the figures of one folder; `other`: the folder it is compared with."""
    events, (spread, least) = count_events(pieces), velocity_spread(pieces)
    figures = {
        "events": f"{sum(events):,} ({min(events):,}–{max(events):,} a piece)",
        "share of events that are chords": f"{share_of_chords(pieces):.2f}",
        "velocity standard deviation (least of a piece)": f"{spread:.1f} ({least:.1f})",
    }
    if real:
        for name, metric in LIKENESS.items():
            figures[name] = f"{notebook.compare(metric, real, pieces):.3f}"
    return figures | {
        "best n-gram of orders 1–3, trained on the other folder, nats a note": (
            f"{pitch_ngram(other, pieces):.2f}"
        ),
        "windows of 40 events that occur once": (
            f"{share_of_single_windows(pieces):.3f}"
        ),
        "longest run shared with the other folder": str(
            longest_run_between(other, pieces)
        ),
    }


def main():
    """Measure both folders and, where they are, the performances; write corpus.md."""
    folders = [
        report.ROOT / name for name in ("jazz_sample_files", "Validation_samples")
    ]
    names = ["required", "shipped, training", "shipped, validation"]
    (paths, training), (others, validation) = map(read_folder, folders)
    real = []
    if report.PERFORMANCES.is_dir():
        real = [
            read_folder(report.PERFORMANCES / name)[1] for name in ("train", "valid")
        ]
    everything = [piece for pieces in real for piece in pieces]
    columns = [measure(training, validation, everything),
               measure(validation, training, everything)]  # fmt: skip
    strong = "melody notes on strong beats that belong to the chord"
    for column, files in zip(columns, (paths, others), strict=True):
        found = [hit for path in files for hit in strong_melody(path)]
        column[strong] = f"{np.mean(found):.2f} (of {len(found):,})"
    if real:
        names.append("performances, training")
        columns.append(measure(*real, real[1]))
    rows = [[figure, REQUIRED[figure], *(column.get(figure, "–") for column in columns)]
            for figure in columns[0]]  # fmt: skip
    table = markdown_table(["figure", *names], rows)
    report.write_report("corpus", "The forty pieces beside real performances", table)


REQUIRED = {
    "events": "20,000–28,000 in training (500–2,000)",
    "share of events that are chords": "0.35–0.55",
    "velocity standard deviation (least of a piece)": "12–20 (above 6)",
    "pitch KL (performances‖these)": "≤ 0.12",
    "interval cosine": "≥ 0.93",
    "rhythm cosine": "≥ 0.85",
    "best n-gram of orders 1–3, trained on the other folder, nats a note": "2.8–4.0",
    "windows of 40 events that occur once": "≥ 0.98",
    "longest run shared with the other folder": "≤ 12",
    "melody notes on strong beats that belong to the chord": "≥ 0.8",
}


if __name__ == "__main__":
    main()
