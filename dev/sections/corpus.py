# %% [markdown]
# ## 4 From files to notes
#
# **What music is there?** A *note* has an onset and a duration in quarter notes, a pitch
# as MIDI number (middle C is 60) and a velocity, the force of its stroke (1–127). A
# *piece* is a name, its notes, its tempo and its metre: its time signatures say where
# bars begin, also after a pick-up or a change.

# %% tags=["active-py"]
import contextlib
import math
import os
import re
import struct
import zlib
from collections import Counter, defaultdict, namedtuple
from dataclasses import dataclass
from pathlib import Path

import music21
import numpy as np
import pandas as pd
from music21.midi import MetaEvents, getVariableLengthNumber

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
    metres: tuple = ((0.0, 4, 4),)  # time signatures: their onset, beats a bar, unit
    remarks: str = ""  # what a reader should know: notes left out, loops resampled
    shared: SharedRun = SharedRun()  # of a generated piece
    settings: str = ""  # with which it was generated
    tempos: tuple = ()  # the onset of each tempo, and the minutes of its quarter note
    markers: tuple = ()  # their onset and text: chord symbols, rehearsal marks

    @property
    def end(self):
        return float(np.max(self.notes["onset"] + self.notes["duration"], initial=0))

    def spans(self):
        """Return (start, stop, beats, unit) of each time signature within the piece."""
        rows = [row for row in self.metres if row[0] < self.end] or [self.metres[0]]
        stops = [start for start, *_ in rows[1:]] + [self.end]
        return [(start, stop, *metre) for (start, *metre), stop in zip(rows, stops)]

    @property
    def metre(self):
        """The time signature of most of the piece, as beats and their unit."""
        lengths = Counter()
        for start, stop, *metre in self.spans():
            lengths[tuple(metre)] += stop - start
        return max(lengths, key=lengths.get)

    def bars(self):
        """Return where bars begin, and where the last one ends, in quarter notes."""
        lines = []
        for start, stop, beats, unit in self.spans():
            count = max(1, math.ceil((stop - start) * unit / beats / 4 - 1e-6))
            lines.append(start + 4 * beats / unit * np.arange(count))
        return np.append(np.concatenate(lines), lines[-1][-1] + 4 * beats / unit)


def release_keys(notes):
    """Return notes cut where their key is struck again, none struck twice at once."""
    ordered = notes[np.lexsort((notes["onset"], notes["pitch"]))]
    same_key = np.diff(ordered["pitch"], append=-1) == 0
    room = np.where(same_key, np.diff(ordered["onset"], append=np.inf), np.inf)
    ordered["duration"] = np.minimum(ordered["duration"], room)
    return np.sort(ordered[room > 0], order=("onset", "pitch"))


# %% [markdown]
# ### Reading MIDI
#
# music21 reads every message. We skip its slow part, building a score of objects, and
# pair note-ons and note-offs ourselves. First the file is taken apart into
# tracks. Junk before the header (a RIFF wrapper, say), foreign chunks and wrong track
# counts do no harm; what cannot be saved gets a reason that a musician understands.

# %% tags=["hide-input"]
SHORTEST_BAR, LONGEST_QUARTERS = 0.25, 500_000  # quarter notes, of a metre, of a piece
LARGEST_FILE = 10**6  # bytes; an hour of piano takes less


class MidiFileError(NotebookError):
    """A MIDI file that cannot be used, with the reason."""


def split_file(data):
    """Return the ticks a quarter note and the bytes of each track of a MIDI file."""
    start, tracks = data.find(b"MThd"), []
    if start < 0:
        what = "not a MIDI file: it has no MThd header"
        raise MidiFileError(what if data else "empty: the file has no bytes")
    if len(data) < start + 14:
        raise MidiFileError("truncated: the file ends within its header")
    length, kind, _, division = struct.unpack_from(">IHHH", data, start + 4)
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
            if position > len(data) and b"\xff\x2f" not in tracks[-1][-4:]:
                raise MidiFileError(f"truncated: {position - len(data)} bytes missing")
    if not tracks:
        raise MidiFileError("no notes: no track follows the header")
    return division, tracks


# %% [markdown]
# A track is a list of waiting times and messages. A message may leave out its first byte
# where the last one's would be the same (*running status*). Bytes above 127 where data
# must stand are clipped. Each message then goes to music21 by itself, so that the time
# grows with the length of the file and no faster.

# %% tags=["hide-input"]
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, SYSTEM, META = 0x80, 0x90, 0xB0, 0xC0, 0xF0, 0xFF
BANK, SUSTAIN, SOSTENUTO, PORT = 0, 64, 66, b"\xff\x21"  # controllers; of META
ALL_SOUND_OFF, RESET_ALL, ALL_NOTES_OFF = 120, 121, 123  # and above
CLIPPED = bytes(min(value, 127) for value in range(256))
NUMBER = re.compile(rb"[\x80-\xff]{0,3}([\0-\x7f]|\Z)")  # of variable length
DATA_BYTES = {0xC0: 1, 0xD0: 1, 0xF1: 1, 0xF2: 2, 0xF3: 1}  # others of a channel: 2


def read_number(data, position):
    """Return a variable-length number and the position behind it."""
    if digits := NUMBER.match(data, position):
        return getVariableLengthNumber(digits[0] + b"\0")[0], digits.end()
    raise MidiFileError(f"damaged: no time can be read at byte {position}")


def read_events(tracks):
    """Return (tick, rank, track, channel, status, data) of all messages, by time.

    Channels count on over a track's ports; what sets one up comes first on its tick.
    """
    events = []
    for part, track in enumerate(tracks):
        tick = position = running = port = 0
        while position < len(track):
            wait, position = read_number(track, position)
            tick += wait
            status = track[position] if position < len(track) else 0xFE
            position += status >= 0x80
            if status in (0xF0, 0xF7, 0xFF):
                kind, start = status, position - 1
                length, position = read_number(track, position + (kind == META))
                position += length
                message = track[start:position]
            elif status >= 0xF8:
                continue  # a clock or the like, which may stand anywhere
            else:
                running = running if status < 0x80 else status
                kind = running if running >= 0xF0 else running & 0xF0
                if not kind:
                    raise MidiFileError("damaged: a track begins with no message")
                start = position
                position += DATA_BYTES.get(kind, 2 * (kind < SYSTEM))
                message = bytes([running]) + track[start:position].translate(CLIPPED)
            if position > len(track) or len(message) < 2 or 0xF1 <= message[0] <= 0xF6:
                continue
            event, data = music21.midi.MidiEvent(), message[1:]
            with contextlib.suppress(music21.Music21Exception, IndexError, ValueError):
                event.read(message)  # fails where damage cuts it short
                if kind >= SYSTEM:
                    data = message[1:2] * (kind == META) + event.data
                port = data[1] if message[:2] == PORT and len(data) > 1 else port
                bank = kind == CONTROL and data[0] == BANK
                rank = {SYSTEM: 0, PROGRAM: 1, CONTROL: 2 - bank}.get(kind, 2)
                events.append((tick, rank, part, 16 * port + event.channel, kind, data))
    return sorted(events, key=lambda row: row[:2])


# %% [markdown]
# A key that is struck sounds until it is released, and with the sustain pedal down until
# the pedal comes up or the key is struck again; the sostenuto pedal holds the keys that
# are down when it is pressed. Each track, port and channel may play another instrument:
# programs 0–7 are pianos; drums are channel 10 and those that a bank or a system message
# makes drums. Tracks that play different instruments on one channel are *voices* of their
# own, each with its own pedals.

# %% tags=["hide-input"]
DRUM_CHANNEL, PIANO_PROGRAMS, MOST_KEYS = 10, range(8), 4000  # in one voice
DRUM_BANKS, MELODIC_BANK, EFFECTS_BANK = (120, 126, 127), 121, 64  # of GM2 and of XG
RESET = re.compile(rb"\x7e.\x09[\x01\x03]|\x41.\x42\x12\x40\x00\x7f\x00|"
                   rb"\x43.\x4c\x00\x00\x7e\x00", re.DOTALL)  # of GM, GS, XG
RHYTHM = re.compile(rb"\x41.\x42\x12\x40([\x10-\x1f])\x15(.)|"
                    rb"\x43.\x4c\x08([\0-\x0f])\x07(.)", re.DOTALL)  # of GS, XG
PARTS = (*range(1, 17), 10, *range(1, 10), *range(11, 17))  # channels, of XG and of GS
PLAYED = np.dtype([*NOTE.descr, ("instrument", "i2")])  # times in ticks


class Voice:
    """What sounds of one instrument, by track and pitch, and what holds it."""

    def __init__(self, played):
        self.sounding, self.restruck, self.ringing = {}, {}, defaultdict(set)
        self.down, self.caught, self.pedals, self.played = set(), set(), set(), played

    def end(self, tick, keys):
        for key in list(keys):
            onset, *touch = self.sounding.pop(key)
            self.down.discard(key)
            self.ringing[key[1]].discard(key)
            self.played.append((onset, tick - onset, key[1], *touch))

    def damp(self, tick, keys):
        """End those of some keys, which no finger holds, that no pedal holds."""
        caught = self.caught if SOSTENUTO in self.pedals else ()
        for key in keys:
            if SUSTAIN in self.pedals or key in caught:
                self.ringing[key[1]].add(key)
            else:
                self.end(tick, [key])

    def strike(self, tick, key, *touch):  # velocity and instrument
        if key in self.down:
            self.end(tick, [key])
            self.restruck[key] = tick
        self.end(tick, self.ringing[key[1]])
        self.sounding[key] = tick, *touch
        self.down.add(key)
        if len(self.down) > MOST_KEYS:
            raise MidiFileError(f"damaged: more than {MOST_KEYS} keys are down at once")

    def let_go(self, tick, key):
        # On the tick of a new stroke this ends the note that is ended already.
        if self.restruck.pop(key, None) != tick and key in self.down:
            self.down.remove(key)
            self.damp(tick, [key])

    def control(self, tick, number, value):
        """Heed a pedal, or a mode that lets go of keys."""
        if number in (SUSTAIN, SOSTENUTO) and value >= 64:
            if number == SOSTENUTO and number not in self.pedals:
                self.caught = set(self.down)
            self.pedals.add(number)
        elif number in self.pedals or number >= ALL_SOUND_OFF:
            self.pedals -= {SUSTAIN, SOSTENUTO} if number == RESET_ALL else {number}
            if number == ALL_SOUND_OFF:
                self.end(tick, self.sounding)
            elif number >= ALL_NOTES_OFF:
                self.down.clear()
            self.damp(tick, self.sounding.keys() - self.down)


def find_instrument(told, track, channel):
    """Return the program that a track plays on a channel, −1 for drums."""
    pair = told.get((PROGRAM, channel), (0, 0))
    program, bank = told.get((PROGRAM, track, channel), pair)
    melodic = bank == MELODIC_BANK or bank == 0 and "xg" in told
    drums = channel % 16 == DRUM_CHANNEL and not melodic or bank in DRUM_BANKS
    if told.get(("rhythm", channel), drums):
        return -1
    return 127 if bank == EFFECTS_BANK and "xg" in told else program


def play_events(events):
    """Return what sounds, as rows of PLAYED."""
    family, told, played, tick = {}, {}, [], 0
    voices = defaultdict(lambda: Voice(played))  # by channel and family of instruments
    for _, _, track, channel, status, data in reversed(events):
        if status == PROGRAM:
            family[track, channel] = family[channel] = data[0] // 8
        elif status == NOTE_ON:  # a track's own program stands before its notes
            family.pop((track, channel), None)
    for tick, _, track, channel, status, data in events:
        voice = voices[channel, family.get((track, channel), family.get(channel, 0))]
        number, value = (*data[:2], 0, 0)[:2]
        if status == NOTE_ON and value:
            instrument = find_instrument(told, track, channel)
            voice.strike(tick, (track, number), value, instrument)
        elif status in (NOTE_ON, NOTE_OFF):
            voice.let_go(tick, (track, number))
        elif status == PROGRAM:  # with the bank that was told before
            bank = told.get((BANK, track, channel), told.get((BANK, channel), 0))
            told[PROGRAM, track, channel] = number, bank
            told.setdefault((PROGRAM, channel), (number, bank))
        elif status == CONTROL and number == BANK:
            told[BANK, track, channel] = told[BANK, channel] = value
        elif status == CONTROL:
            voice.control(tick, number, value)
        elif status == SYSTEM and RESET.match(data):
            for voice in voices.values():
                voice.end(tick, voice.sounding)
            voices.clear()
            told = {"xg": True} if number == 0x43 else {}
        elif status == SYSTEM and (found := RHYTHM.match(data)):
            part, mode = filter(None, found.groups())
            told["rhythm", channel - 1 + PARTS[part[0]]] = mode[0] > 0
    for voice in voices.values():
        voice.end(tick, voice.sounding)
    return np.array(played, dtype=PLAYED)


# %% [markdown]
# What remains are the piano's notes on its 88 keys. Two notes that begin together on one
# key are one note, and a key that is struck while it sounds ends its note, as on a piano.
# The tempo is the mean over the piece, so that a performance with many tempo changes
# keeps its length in seconds.


# %% tags=["hide-input"]
def keep_piano(played, division):
    """Return the piano's notes of PLAYED rows, and remarks on what was left out."""
    pitched = played["instrument"] >= 0
    piano = np.isin(played["instrument"], PIANO_PROGRAMS)
    remarks = [] if piano.any() else ["no piano: another instrument is read as one"]
    piano = piano if piano.any() else pitched
    on_keys = (played["pitch"] >= LOWEST_PITCH) & (played["pitch"] <= HIGHEST_PITCH)
    kept = np.sort(played[piano & on_keys], order=("onset", "pitch", "duration"))
    struck = kept[[*NOTE.names]].astype(NOTE)  # times in ticks, until all is cut
    notes = release_keys(struck)
    _, last = np.unique(struck[::-1][["onset", "pitch"]], return_index=True)
    cut = np.sum(notes["duration"] < struck["duration"][::-1][last])
    notes["onset"] /= division
    notes["duration"] = np.maximum(notes["duration"], 1) / division
    counts = {"drums": np.sum(~pitched), "other instruments": np.sum(pitched & ~piano),
              "beyond the 88 keys": np.sum(piano & ~on_keys),
              "struck twice at once": len(struck) - len(notes)}
    left_out = [f"{what}: {count}" for what, count in counts.items() if count]
    remarks += ["notes left out (" + ", ".join(left_out) + ")"] * bool(left_out)
    remarks += [f"keys struck again while they are down: {cut}"] * bool(cut)
    return notes, "; ".join(remarks)


def read_maps(events, division, end):
    """Return tempos, time signatures and markers up to `end`, as `Piece` holds them."""
    tempos, metres, markers = {0.0: 1 / 120}, {0.0: (0.0, 4, 4)}, []
    for tick, *_, status, data in events:
        at, kind = tick / division, data[0] if status == META else None
        if at >= end:
            break
        if kind == MetaEvents.SET_TEMPO and len(data) >= 4 and any(data[1:4]):
            tempos[at] = int.from_bytes(data[1:4], "big") / 60e6
        elif kind == MetaEvents.TIME_SIGNATURE and len(data) >= 3:
            beats, unit = data[1], 2 ** data[2]
            if unit <= 64 and 4 * beats / unit >= SHORTEST_BAR:
                metres[at] = at, beats, unit
        elif kind == MetaEvents.MARKER:
            text = data[1:80].translate(None, bytes(range(32)))  # what no one can see
            markers.append((at, text.decode("utf-8", "replace")))
    return tuple(tempos.items()), tuple(metres.values()), tuple(markers)


def mean_tempo(tempos, start, end):
    """Return quarter notes a minute between two onsets; `tempos`: as in `Piece`."""
    onsets, minutes = np.transpose(tempos)
    spent = np.diff(np.clip([*onsets, np.inf], start, end)) @ minutes
    now = minutes[np.searchsorted(onsets, start, "right") - 1]
    return round(float((end - start) / spent if spent else 1 / now), 4)


# %% tags=["hide-input"]
def readable(name):
    return os.fsencode(name).decode("utf-8", "replace")


def read_file(path):
    try:
        if os.path.getsize(path) > LARGEST_FILE:
            raise MidiFileError(f"larger than {LARGEST_FILE:,} bytes: no piano piece")
        return Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:  # also where it is no path
        raise MidiFileError(f"cannot be opened: {error.args[-1]}") from None


def parse_midi(path):
    return parse_bytes(read_file(path), Path(path).stem)


def parse_bytes(data, name):
    division, tracks = split_file(data)
    events = read_events(tracks)
    played = play_events(events)
    if not len(played):
        raise MidiFileError("no notes")
    notes, remarks = keep_piano(played, division)
    if not len(notes):
        what = "only drums" if np.all(played["instrument"] < 0) else remarks
        raise MidiFileError(f"no notes for a piano: {what}")
    end = np.max(notes["onset"] + notes["duration"])
    if end > LONGEST_QUARTERS:
        raise MidiFileError(f"longer than {LONGEST_QUARTERS:,} quarter notes: damaged")
    tempos, metres, markers = read_maps(events, division, end)
    return Piece(readable(name), notes, mean_tempo(tempos, 0.0, end), metres, remarks,
                 tempos=tempos, markers=markers)


# %% tags=["active-ipynb"]
# with contextlib.suppress(MidiFileError):  # which file is refused, is told below
#     path = min(Path(TRAINING_FOLDER).rglob("*.mid"), default="")
#     display(pd.DataFrame(parse_midi(path).notes[:5]))

# %% [markdown]
# The first five notes of one file: a note is these four numbers.
#
# ### A folder of pieces
#
# A corpus is a folder, subfolders and linked ones included. A piece that stands in the
# corpus twice could be trained on and tested on. So the second copy is refused, also
# where it is transposed, shifted, louder or has another title: two pieces count as one if
# more than half of the shorter one's runs of 16 notes stand in the other, in some key.

# %% tags=["hide-input"]
MIDI_ENDINGS = (".mid", ".midi", ".kar", ".rmi")
WORTH_PROCESSES = 100  # files from which on starting processes pays


def find_midi_files(folder):
    if not Path(folder).is_dir():
        raise NotebookError(
            f"There is no folder {folder}: make it beside the notebook and put MIDI "
            "files into it, or set TRAINING_FOLDER and VALIDATION_FOLDER in section 2.")
    paths, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(place)) in seen:
            folders.clear()  # a link that leads back
            continue
        seen.add(real)
        paths += [path for path in map(Path(place).joinpath, names)
                  if path.suffix.lower() in MIDI_ENDINGS and path.is_file()]
    if not paths:
        raise NotebookError(f"The folder {folder} has no MIDI files "
                            f"({', '.join(MIDI_ENDINGS)}): put some into it.")
    return sorted(paths)


def attempt(function, data, *rest):
    """Return what a function gives, or a MidiFileError that it raises or is given."""
    try:
        return data if isinstance(data, MidiFileError) else function(data, *rest)
    except MidiFileError as error:
        return error


# %% tags=["hide-input"]
def group_notes(piece):
    """Return the grid cells in which notes start, and each note's cell's number."""
    cells = np.rint(piece.notes["onset"] * GRID).astype(np.int64)
    return np.unique(cells, return_inverse=True)


def place_in_bars(piece):
    """Return the onset cells of a piece, their bars' numbers and places in them."""
    cells, lines = group_notes(piece)[0], np.rint(piece.bars() * GRID).astype(int)
    numbers = np.searchsorted(lines, cells, "right") - 1
    return cells, numbers, cells - lines[numbers]


def describe_piece(piece):
    return {"notes": len(piece.notes), "events": len(group_notes(piece)[0]),
            "seconds": round(piece.end * 60 / piece.tempo, 1),
            "tempo_bpm": round(piece.tempo, 1)}


def find_twin(piece, place, known):
    """Return the place of nearly the same music, or None, and remember this one.

    `known` maps a hash of 16 notes to its place, and a place to its hashes.
    """
    moves = np.diff(piece.notes["pitch"]).astype(np.int8).tobytes()
    rhythm = np.diff(np.rint(piece.notes["onset"] * GRID)).tobytes()
    runs = [zlib.crc32(moves[i : i + 15]) for i in range(len(moves) - 14)]
    runs = runs or [zlib.crc32(moves + rhythm)]
    # By the least of each eight neighbours, music is found by a part of 23 notes.
    least = {min(runs[i : i + 8]) for i in range(max(1, len(runs) - 7))}
    runs = np.unique(np.array(runs, np.uint32))
    for other, _ in Counter(known[run] for run in least if run in known).most_common():
        shared = np.isin(runs, known[other]).sum()
        if 2 * shared > min(len(runs), len(known[other])):
            return other
    known.update(dict.fromkeys(least - known.keys(), place))
    known[place] = runs
    return None


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
        if isinstance(result, MidiFileError):
            row.update(status="refused", reason=str(result))
        elif len(group_notes(result)[0]) < 2:
            row.update(status="refused", reason="a single event, which nothing follows")
        elif twin := find_twin(result, f"{split}: {row['file']}", known):
            row.update(status="refused", reason=f"the same music as {twin}, or nearly")
        else:
            pieces.append(result)
            strokes = 128 * group_notes(result)[1] + result.notes["pitch"]
            merged = len(strokes) - len(np.unique(strokes))
            words = f"strokes merged on the grid: {merged}" if merged else ""
            reason = "; ".join(filter(None, (result.remarks, words)))
            row.update(status="used", reason=reason, **describe_piece(result))
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
# files = save_table(pd.concat([training_table, validation_table]), "corpus")
# listed = files.to_html(border=0, max_rows=1000, na_rep="")
# HTML(f'<div style="max-height: 420px; overflow: auto">{listed}</div>')

# %% [markdown]
# An *event* is what starts in one cell of a grid of 1/12 quarter notes: a note, or the
# notes of a chord. `reason` says what was left out of a file, or why it was refused;
# the run goes on without it.

# %% tags=["active-ipynb", "hide-input"]
# figure, axes = plt.subplots(1, 3, figsize=WIDE)
# for ax, field, bins, title, label in (
#     (axes[0], "pitch", np.arange(21, 112, 3) - 0.5, "Pitches", "MIDI number"),
#     (axes[1], "velocity", np.arange(0, 129, 4), "Touch", "velocity"),
#     (axes[2], "duration", np.arange(0, 4.1, 0.125), "Durations", "quarter notes")):
#     for pieces, name, colour, line in ((training_pieces, "training", REAL, "-"),
#                                        (validation_pieces, "validation", SECOND, "--")):
#         values = np.concatenate([piece.notes[field] for piece in pieces])
#         counts, _ = np.histogram(np.minimum(values, bins[-1]), bins)
#         ax.stairs(counts / counts.sum(), bins, label=name, linewidth=1.5,
#                   color=colour, linestyle=line)
#     ax.set(title=title, xlabel=label)
# axes[0].set_ylabel("share of notes")
# axes[2].legend()
# save_figure(figure, "corpus")

# %% [markdown]
# The two folders should look alike, as far as their keys allow: what is learnt from the
# one is tested on the other. Durations include the pedal, and
# the last bin holds all that are longer. If the curves of your own two folders differ,
# the models will be blamed for it later: better mix and split the files again.
