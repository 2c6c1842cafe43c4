"""Hand-made MIDI bytes, hand-made pieces, and the places of what is shipped."""

from pathlib import Path

import keras
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import assembly
import definitions as notebook

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SHIPPED = sorted(ROOT.glob("jazz_sample_files/*.mid")) + sorted(
    ROOT.glob("Validation_samples/*.mid")
)
FOLDERS = ("jazz_sample_files", "Validation_samples")
BAD_FILE = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\xff\xff\x00\x90"
END_OF_TRACK = b"\xff\x2f\x00"


def chunk(kind, data):
    """Return a chunk of a MIDI file."""
    return kind + len(data).to_bytes(4, "big") + data


def header(kind=0, tracks=1, division=480):
    """Return the header chunk of a MIDI file."""
    numbers = (kind, tracks, division)
    return chunk(b"MThd", b"".join(number.to_bytes(2, "big") for number in numbers))


def variable_length(number):
    """Return a waiting time as MIDI writes it, seven bits a byte."""
    octets = [number & 127]
    while number := number >> 7:
        octets.insert(0, number & 127 | 128)
    return bytes(octets)


def body(*messages, end=True):
    """Return the bytes of (waiting time, message) pairs, with an end unless told."""
    rows = [*messages, (0, END_OF_TRACK)] if end else messages
    return b"".join(variable_length(wait) + message for wait, message in rows)


def track(*messages):
    """Return a track chunk of (waiting time, message) pairs."""
    return chunk(b"MTrk", body(*messages))


def midi(*tracks, kind=1, division=480):
    """Return a MIDI file of track chunks."""
    return header(kind, len(tracks), division) + b"".join(tracks)


def on(pitch, velocity=64, channel=1):
    """Return a note-on message."""
    return bytes([0x90 + channel - 1, pitch, velocity])


def off(pitch, channel=1):
    """Return a note-off message."""
    return bytes([0x80 + channel - 1, pitch, 0])


def control(number, value, channel=1):
    """Return a controller message."""
    return bytes([0xB0 + channel - 1, number, value])


def program(number, channel=1):
    """Return a program change."""
    return bytes([0xC0 + channel - 1, number])


def tempo(microseconds):
    """Return a tempo message."""
    return b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def one_note(pitch=60, velocity=64, channel=1, ticks=480):
    """Return the messages of one note."""
    return (0, on(pitch, velocity, channel)), (ticks, off(pitch, channel))


def small_file(pitches=(60, 62, 64)):
    """Return a MIDI file that plays quarter notes."""
    messages = [pair for pitch in pitches for pair in one_note(pitch)]
    return midi(track((0, tempo(500_000)), *messages), kind=0)


def rows(piece):
    """Return the notes of a piece as plain tuples."""
    return [tuple(note) for note in piece.notes.tolist()]


def make_piece(name, notes, tempo=120.0, **details):
    """Return a piece from any sequence of notes, put in order."""
    notes = np.array([tuple(note) for note in notes], dtype=notebook.NOTE)
    notes = np.sort(notes, order=("onset", "pitch"))
    return notebook.Piece(name, notes, tempo, **details)


def melody(pitches, step=0.5, name="melody", velocity=64, duration=None):
    """Return a piece of single notes, one every `step` quarter notes."""
    length = step if duration is None else duration
    notes = [(i * step, length, pitch, velocity) for i, pitch in enumerate(pitches)]
    return make_piece(name, notes)


def random_piece(seed, events=80, name=None, low=48, high=84):
    """Return a piece of random notes and chords; seeds differ, pieces differ."""
    generator = np.random.default_rng(seed)
    notes, cell = [], 0
    for _ in range(events):
        size = generator.choice([1, 1, 1, 2, 3])
        for pitch in generator.choice(np.arange(low, high), size, replace=False):
            velocity = int(generator.integers(20, 120))
            notes.append((cell / 12, 0.25, int(pitch), velocity))
        cell += int(generator.choice([3, 4, 6, 8, 12]))
    return make_piece(name or f"random {seed}", notes)


def walking_piece(seed, events=80, name=None):
    """Return a piece that goes up and down a scale: easy to predict."""
    start = int(np.random.default_rng(seed).integers(50, 60))
    shape = [0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5, 4, 2]
    pitches = [start + shape[i % len(shape)] for i in range(events)]
    return melody(pitches, name=name or f"walking {seed}")


def small_lstm(vocabulary_size):
    """Return a small network of the same kinds of layers as the published one."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 1)),
            layers.LSTM(8, return_sequences=True),
            layers.Dropout(0.1),
            layers.LSTM(6),
            layers.Dense(5),
            layers.Dropout(0.1),
            layers.Dense(vocabulary_size, activation="softmax"),
        ]
    )


def run_notebook(folder, **parameters):
    """Run the notebook in a folder with QUICK_RUN; return it with its outputs."""
    from refresh import set_parameters

    copy = set_parameters(assembly.assemble(), QUICK_RUN=True, **parameters)
    client = NotebookClient(
        copy, timeout=400, kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    try:
        client.execute()
    except CellExecutionError:
        pass  # the outputs tell
    return copy
