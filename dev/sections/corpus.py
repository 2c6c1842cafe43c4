# %% [markdown]
# ## 3 From files to notes
#
# **What music is there?** A *note* has an onset and a duration in quarter notes, a pitch
# as MIDI number (middle C is 60) and a velocity, the force of its stroke (1–127). A
# *piece* is a name, its notes and its tempo.

# %% tags=["active-py"]
import os
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import music21
import numpy as np
import pandas as pd
from music21.midi import ChannelModeMessages, ChannelVoiceMessages, MetaEvents

from .machinery import run_parallel
from .settings import GRID, NotebookError

# %%
NOTE = np.dtype([("onset", "f8"), ("duration", "f8"), ("pitch", "i2")]
                + [("velocity", "i2")])
LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # the 88 keys
PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1
# The longest row of events shared with a training piece; its bar there, onsets here.
SharedRun = namedtuple("SharedRun", "events piece bar start end",
                       defaults=(0, "", 0, 0.0, 0.0))


@dataclass(frozen=True)
class Piece:
    """A named piece: `notes` is an array of NOTE, sorted by onset and pitch."""

    name: str
    notes: np.ndarray
    tempo: float  # mean quarter notes a minute
    metre: tuple = (4, 4)  # the first time signature
    remarks: str = ""  # what a reader should know: notes left out, loops resampled
    shared: SharedRun = SharedRun()  # of a generated piece
    settings: str = ""  # with which it was generated


# %% [markdown]
# ### Reading MIDI
#
# music21 reads every message. What it does slowly, building a score of Python objects,
# is left out: note-ons and note-offs are paired here. First the file is taken apart into
# tracks. Junk before the header (a RIFF wrapper, say), foreign chunks and wrong track
# counts do no harm; what cannot be saved gets a reason that a musician understands.

# %%
LONGEST_QUARTERS = 4_000_000  # quarter notes from the start to the last note
LARGEST_FILE = 10**6  # bytes; an hour of piano takes less


class MidiFileError(NotebookError):
    """A MIDI file that cannot be used, with the reason."""


def split_file(data):
    """Return the ticks a quarter note and the bytes of each track of a MIDI file."""
    start, tracks = data.find(b"MThd"), []
    if not data:
        raise MidiFileError("empty: the file has no bytes")
    if start < 0:
        raise MidiFileError("not a MIDI file: it has no MThd header")
    header = data[start + 4 : start + 14]
    if len(header) < 10:
        raise MidiFileError("truncated: the file ends within its header")
    length, kind, division = (int.from_bytes(header[i:j], "big")
                              for i, j in ((0, 4), (4, 6), (8, 10)))
    if kind > 1:
        what = "independent patterns, not one piece" if kind == 2 else "unknown"
        raise MidiFileError(f"MIDI format {kind} ({what}); save it as format 0 or 1")
    if division & 0x8000 or not division:
        what = "SMPTE time (seconds, not beats)" if division else "no ticks a beat"
        raise MidiFileError(f"{what}; save it with ticks a quarter note")
    position = start + 8 + length
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        chunk, position = position, position + 8 + length
        if data[chunk : chunk + 4] == b"MTrk":
            tracks.append(data[chunk + 8 : position])
            missing = position - len(data)
            if missing > 0 and b"\xff\x2f" not in tracks[-1][-4:]:
                raise MidiFileError(f"truncated: {missing} bytes are missing")
    if not tracks:
        raise MidiFileError("no notes: no track follows the header")
    return division, tracks


# %% [markdown]
# A track is a list of waiting times and messages. A message may leave out its first byte
# where the last one's would be the same (*running status*). Bytes above 127 where data
# must stand are clipped. Each message then goes to music21 by itself, so that the time
# grows with the length of the file and no faster.

# %%
DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2,
              0xF1: 1, 0xF2: 2, 0xF3: 1}  # by status; of other system messages: 0


def read_number(data, position):
    """Return a variable-length number and the position behind it."""
    number = 0
    for place in range(position, min(position + 4, len(data))):
        number = number << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return number, place + 1
    if position + 4 > len(data):
        return 0, len(data)
    raise MidiFileError(f"damaged: no time can be read at byte {position}")


def read_events(tracks):
    """Yield (tick, track, music21 event) for each whole message of each track."""
    for number, track in enumerate(tracks):
        tick = position = running = 0
        while position < len(track):
            wait, position = read_number(track, position)
            tick += wait
            status = track[position] if position < len(track) else 0xFE
            position += status >= 0x80
            if status in (0xF0, 0xF7, 0xFF):
                start = position - 1
                length, position = read_number(track, position + (status == 0xFF))
                position += length
                message = track[start:position]
            elif status >= 0xF8:
                continue  # a clock or the like, which may stand anywhere
            else:
                running = running if status < 0x80 else status
                kind = running if running >= 0xF0 else running & 0xF0
                if not kind:
                    raise MidiFileError("damaged: a track begins with no message")
                start, position = position, position + DATA_BYTES.get(kind, 0)
                values = [min(value, 127) for value in track[start:position]]
                message = bytes([running, *values])
            if position > len(track) or len(message) < 2 or 0xF1 <= message[0] <= 0xF6:
                continue
            event = music21.midi.MidiEvent()
            try:
                event.read(message)
            except (music21.midi.MidiException, IndexError, ValueError):
                continue  # a message cut short by damage: the notes around it count
            yield tick, number, event


# %% [markdown]
# A key that is struck sounds until it is released, and with the sustain pedal down until
# the pedal comes up or the key is struck again. Sixteen channels may each play another
# instrument: programs 0–7 are pianos, channel 10 is the drums.

# %%
SUSTAIN_PEDAL, DRUM_CHANNEL, PIANO_PROGRAMS = 64, 10, range(8)
ALL_OFF = (ChannelModeMessages.ALL_NOTES_OFF, ChannelModeMessages.ALL_SOUND_OFF)
PLAYED = np.dtype([("onset", "i8"), ("end", "i8"), ("pitch", "i2"), ("velocity", "i2")]
                  + [("instrument", "i2")])


class Keys:
    """The keys of all channels, with pedals: what sounds, and what was played."""

    def __init__(self):
        self.sounding, self.programs, self.struck_again = {}, {}, {}
        self.held, self.pedals = set(), set()
        self.played = []  # rows of PLAYED

    def silence(self, tick, *keys):
        for key in keys:
            self.held.discard(key)
            if key in self.sounding:
                onset, pitch, velocity, instrument = self.sounding.pop(key)
                self.played.append((onset, tick, pitch, velocity, instrument))

    def release(self, tick, channel, pitch):
        """End a note, or leave it to the pedal."""
        if self.struck_again.pop((channel, pitch), None) == tick:
            return  # this ends the note that the new one has ended already
        if channel in self.pedals:
            self.held.add((channel, pitch))
        else:
            self.silence(tick, (channel, pitch))

    def play(self, events):
        """Return the rows of PLAYED that a list of events leads to."""
        tick = 0
        for tick, track, event in events:
            channel, kind, key = event.channel, event.type, (event.channel, event.pitch)
            if kind == ChannelVoiceMessages.NOTE_ON and event.velocity:
                if key in self.sounding:
                    self.struck_again[key] = tick
                self.silence(tick, key)
                program = self.programs.get(channel, 0)
                program = self.programs.get((track, channel), program)
                instrument = -1 if channel == DRUM_CHANNEL else program
                self.sounding[key] = (tick, event.pitch, event.velocity, instrument)
            elif kind in (ChannelVoiceMessages.NOTE_ON, ChannelVoiceMessages.NOTE_OFF):
                self.release(tick, channel, event.pitch)
            elif kind == ChannelVoiceMessages.PROGRAM_CHANGE:
                self.programs[channel] = self.programs[track, channel] = event.data
            elif kind in ALL_OFF:
                self.silence(tick, *(key for key in self.sounding if key[0] == channel))
            elif kind == ChannelVoiceMessages.CONTROLLER_CHANGE:
                if event.parameter1 == SUSTAIN_PEDAL and event.parameter2 >= 64:
                    self.pedals.add(channel)
                elif event.parameter1 == SUSTAIN_PEDAL:
                    self.pedals.discard(channel)
                    self.silence(tick, *(key for key in self.held if key[0] == channel))
        self.silence(tick, *self.sounding)
        return np.array(self.played, dtype=PLAYED)


# %% [markdown]
# What remains are the piano's notes on its 88 keys. Two notes that begin together on one
# key are one note. The tempo is the mean over the piece, so that a performance with many
# tempo changes keeps its length in seconds.


# %%
def keep_piano(played):
    """Return the piano's notes of PLAYED rows, and remarks on what was left out."""
    pitched = played["instrument"] >= 0
    piano = np.isin(played["instrument"], PIANO_PROGRAMS)
    remarks = [] if piano.any() else ["no piano: another instrument is read as one"]
    piano = piano if piano.any() else pitched
    on_keys = (played["pitch"] >= LOWEST_PITCH) & (played["pitch"] <= HIGHEST_PITCH)
    kept = np.sort(played[piano & on_keys], order=("onset", "pitch", "end"))[::-1]
    _, first = np.unique(kept[["onset", "pitch"]], return_index=True)
    counts = {"drums": np.sum(~pitched), "other instruments": np.sum(pitched & ~piano),
              "beyond the 88 keys": np.sum(piano & ~on_keys),
              "struck twice at once": len(kept) - len(first)}
    left_out = [f"{what}: {count}" for what, count in counts.items() if count]
    remarks += ["notes left out (" + ", ".join(left_out) + ")"] * bool(left_out)
    return kept[first], "; ".join(remarks)


def read_tempo_and_metre(events, ticks_per_quarter, end):
    """Return the mean tempo up to a tick, in quarters a minute, and the first metre."""
    changes, metres = [(0, 500_000)], []
    for tick, _, event in events:
        if event.type == MetaEvents.SET_TEMPO and len(event.data) >= 3:
            changes.append((tick, int.from_bytes(event.data[:3], "big")))
        elif event.type == MetaEvents.TIME_SIGNATURE and len(event.data) >= 2:
            metres.append((max(event.data[0], 1), 2 ** min(event.data[1], 6)))
    ticks, values = np.array([change for change in changes if change[1]]).T
    spans = np.diff(np.minimum([*ticks, end], end))
    minutes = spans @ values / ticks_per_quarter / 60e6
    tempo = round(float(end / ticks_per_quarter / minutes), 4) if minutes else 120.0
    return tempo, (metres or [(4, 4)])[0]


# %%
def readable(name):
    return os.fsencode(name).decode("utf-8", "replace")


def read_file(path):
    try:
        if os.path.getsize(path) > LARGEST_FILE:
            words = f"larger than {LARGEST_FILE // 10**6} MB: no piano piece"
            raise MidiFileError(words)
        return Path(path).read_bytes()
    except OSError as error:
        raise MidiFileError(f"cannot be opened: {error.strerror}") from None


def parse_midi(path):
    return parse_bytes(read_file(path), Path(path).stem)


def parse_bytes(data, name):
    ticks_per_quarter, tracks = split_file(data)
    events = sorted(read_events(tracks), key=lambda row: row[0])
    played = Keys().play(events)
    if not len(played):
        raise MidiFileError("no notes")
    kept, remarks = keep_piano(played)
    if not len(kept):
        what = "only drums" if np.all(played["instrument"] < 0) else remarks
        raise MidiFileError(f"no notes for a piano: {what}")
    end = int(kept["end"].max())
    if end / ticks_per_quarter > LONGEST_QUARTERS:
        raise MidiFileError("longer than a month: its times are damaged")
    notes = np.empty(len(kept), dtype=NOTE)
    notes["onset"] = kept["onset"] / ticks_per_quarter
    notes["duration"] = (kept["end"] - kept["onset"]) / ticks_per_quarter
    notes["pitch"], notes["velocity"] = kept["pitch"], kept["velocity"]
    tempo, metre = read_tempo_and_metre(events, ticks_per_quarter, end)
    return Piece(readable(name), notes, tempo, metre, remarks)


# %% [markdown]
# ### A folder of pieces
#
# A corpus is a folder, subfolders included. A piece that stands in the corpus twice would
# be learnt from and tested on at once; the second copy is refused.

# %%
MIDI_ENDINGS = (".mid", ".midi", ".kar", ".rmi")
WORTH_PROCESSES = 100  # files from which on starting processes pays


def find_midi_files(folder):
    if not Path(folder).is_dir():
        raise NotebookError(
            f"There is no folder {folder}: make it beside the notebook and put MIDI "
            "files into it, or set TRAINING_FOLDER and VALIDATION_FOLDER in section 1.")
    paths = [path for path in sorted(Path(folder).rglob("*"))
             if path.suffix.lower() in MIDI_ENDINGS and path.is_file()]
    if not paths:
        raise NotebookError(f"The folder {folder} has no MIDI files "
                            f"({', '.join(MIDI_ENDINGS)}): put some into it.")
    return paths


def attempt(function, data, *rest):
    """Return what a function gives, or a MidiFileError that it raises or is given."""
    try:
        return data if isinstance(data, MidiFileError) else function(data, *rest)
    except MidiFileError as error:
        return error


# %%
def group_notes(piece):
    """Return the grid cells in which notes start, and each note's cell's number."""
    cells = np.rint(piece.notes["onset"] * GRID).astype(np.int64)
    return np.unique(cells, return_inverse=True)


def describe_piece(piece):
    quarters = float(np.max(piece.notes["onset"] + piece.notes["duration"]))
    return {"notes": len(piece.notes), "events": len(group_notes(piece)[0]),
            "seconds": round(quarters * 60 / piece.tempo, 1),
            "tempo_bpm": round(piece.tempo, 1)}


def load_corpus(folder, split, known):
    """Return a folder's pieces, and its files; `known` music, a dict, is added to."""
    pieces, rows, paths = [], [], find_midi_files(folder)
    jobs = [(parse_bytes, attempt(read_file, path), path.stem) for path in paths]
    if len(jobs) > WORTH_PROCESSES:
        results = [found for _, found in sorted(run_parallel(attempt, jobs, "reading"))]
    else:
        results = [attempt(*job) for job in jobs]
    for path, result in zip(paths, results):
        row = {"split": split, "file": readable(path.relative_to(folder).as_posix())}
        place = f"{split}: {row['file']}"
        if isinstance(result, MidiFileError):
            row.update(status="refused", reason=str(result))
        elif (twin := known.setdefault(result.notes.tobytes(), place)) != place:
            row.update(status="refused", reason=f"the same music as {twin}")
        else:
            pieces.append(result)
            row.update(status="used", reason=result.remarks, **describe_piece(result))
        rows.append(row)
    if not pieces:
        raise NotebookError(
            f"None of the {len(rows)} MIDI files in {folder} can be used; the first: "
            f"{rows[0]['reason']}. Put others into it.")
    return pieces, pd.DataFrame(rows)


# %% tags=["active-ipynb"]
# CACHE_FOLDER = Path(OUTPUT_FOLDER) / "cache"
# first_run, seen = not (CACHE_FOLDER / "folds").exists(), {}
# training_pieces, training_table = load_corpus(TRAINING_FOLDER, "training", seen)
# validation_pieces, validation_table = load_corpus(VALIDATION_FOLDER, "validation", seen)
# if QUICK_RUN:
#     training_pieces, validation_pieces = training_pieces[:4], validation_pieces[:4]
# save_table(pd.concat([training_table, validation_table]), "corpus")

# %% [markdown]
# An *event* is what starts in one cell of a grid of 1/12 quarter notes: a note, or the
# notes of a chord. `reason` says what was left out of a file, or why it was refused;
# the run goes on without it.

# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(1, 3, figsize=WIDE)
# for ax, field, bins, title, label in (
#     (axes[0], "pitch", np.arange(21, 110) - 0.5, "Pitches", "MIDI number"),
#     (axes[1], "velocity", np.arange(0, 129, 4), "Touch", "velocity"),
#     (axes[2], "duration", np.arange(0, 4.1, 0.125), "Durations, pedal included",
#      "quarter notes (4 and more together)")):
#     for pieces, name, colour, line in ((training_pieces, "training", REAL, "-"),
#                                        (validation_pieces, "validation", SECOND, "--")):
#         values = np.concatenate([piece.notes[field] for piece in pieces])
#         counts, _ = np.histogram(np.minimum(values, bins[-1]), bins)
#         ax.stairs(counts / counts.sum(), bins, label=name, linewidth=1.5,
#                   color=colour, linestyle=line)
#     ax.set(title=title, xlabel=label, ylabel="share of notes")
# axes[0].legend()
# save_figure(figure, "corpus")

# %% [markdown]
# The two folders should look alike, but for single pitches, which depend on the keys:
# what is learnt from the one is tested on the other.
