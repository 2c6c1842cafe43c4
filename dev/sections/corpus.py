# %% [markdown]
# ## 4 From files to notes
#
# **What music is there?** A *note* has an onset and a duration in quarter notes, a pitch
# as MIDI number (middle C is 60) and a velocity, the force of its stroke (1–127). A
# *piece* is a name, its notes, its tempo and its metre: its time signatures say where
# bars begin, also after a pick-up or a change.

# %% tags=["active-py"]
import math
import os
import re
import struct
import zlib
from collections import Counter, namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import music21
import numpy as np
import pandas as pd
from music21.midi import MetaEvents

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
LONGEST_QUARTERS = 4_000_000  # quarter notes from the start to the last note
SHORTEST_BAR = 0.25  # quarter notes; shorter ones are no metre
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

# %% tags=["hide-input"]
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, SYSTEM, META = 0x80, 0x90, 0xB0, 0xC0, 0xF0, 0xFF
BANK, SUSTAIN, SOSTENUTO = 0, 64, 66  # controllers
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123  # and above
CLIPPED = bytes(min(value, 127) for value in range(256))
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
    """Return (tick, rank, track, channel, status, data) of all messages, by time.

    Channels count on over a track's ports; what sets one up comes first on its tick.
    """
    events = []
    for number, track in enumerate(tracks):
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
                start, position = position, position + DATA_BYTES.get(kind, 0)
                message = bytes([running]) + track[start:position].translate(CLIPPED)
            if position > len(track) or len(message) < 2 or 0xF1 <= message[0] <= 0xF6:
                continue
            event = music21.midi.MidiEvent()
            try:
                event.read(message)
            except (music21.midi.MidiException, IndexError, ValueError):
                continue  # a message cut short by damage: the notes around it count
            data = message[1:]
            if kind >= SYSTEM:
                data = message[1:2] + event.data if kind == META else event.data
                port = data[1] if message[:2] == b"\xff\x21" and len(data) > 1 else port
            bank = kind == CONTROL and data[0] == BANK
            rank = 1 if bank or kind == PROGRAM else 2 * (kind != SYSTEM)
            events.append((tick, rank, number, 16 * port + event.channel, kind, data))
    return sorted(events, key=lambda row: row[:2])


# %% [markdown]
# A key that is struck sounds until it is released, and with the sustain pedal down until
# the pedal comes up or the key is struck again; the sostenuto pedal holds the keys that
# are down when it is pressed. Each track, port and channel may play another instrument:
# programs 0–7 are pianos; drums are channel 10 and those that a bank or a system message
# makes drums. Tracks that play different instruments on one channel are *voices* of their
# own, each with its own pedals.

# %% tags=["hide-input"]
DRUM_CHANNEL, PIANO_PROGRAMS = 10, range(8)
DRUM_BANKS, MELODIC_BANK, EFFECTS_BANK = (120, 126, 127), 121, 64  # of GM2 and of XG
RESET = re.compile(rb"\x7e.\x09[\x01\x03]|\x41.\x42\x12\x40\x00\x7f\x00|"
                   rb"\x43.\x4c\x00\x00\x7e\x00", re.DOTALL)  # of GM, GS, XG
RHYTHM = re.compile(rb"\x41.\x42\x12\x40([\x10-\x1f])\x15(.)|"
                    rb"\x43.\x4c\x08([\0-\x0f])\x07(.)", re.DOTALL)  # of GS, XG
PLAYED = np.dtype([*NOTE.descr, ("instrument", "i2")])  # times in ticks


class Keys:
    """The keys of all voices, by track and pitch: what sounds, and what was played."""

    def __init__(self):
        self.sounding, self.restruck, self.ringing, self.told = {}, {}, {}, {}
        self.down, self.caught, self.pedals, self.played = set(), set(), set(), []

    def play(self, events):
        """Turn events into rows of PLAYED."""
        own, first, tick = {}, {}, 0  # programs: a track's own, a channel's first
        for _, _, track, channel, status, data in reversed(events):
            if status == PROGRAM:
                own[track, channel] = first[channel] = data[0]
            elif status == NOTE_ON:
                own.pop((track, channel), None)
        for tick, _, track, channel, status, data in events:
            program = own.get((track, channel), first.get(channel, 0))
            voice = 16 * channel + program // 8  # a family of instruments
            if status in (NOTE_OFF, NOTE_ON):
                self.touch(tick, track, voice, data[0], data[1] * (status == NOTE_ON))
            elif status == SYSTEM:
                self.reset(tick, channel - 1, data)
            elif status in (PROGRAM, CONTROL):
                self.handle(tick, track, voice, status, data)
        self.end(tick, self.sounding)
        return np.array(self.played, dtype=PLAYED)

    def end(self, tick, keys):
        for key in list(keys):
            onset, velocity, instrument = self.sounding.pop(key)
            self.down.discard(key)
            self.ringing.get(key[::2], set()).discard(key)
            self.played.append((onset, tick - onset, key[-1], velocity, instrument))

    def damp(self, tick, voice, keys):
        """End those of a voice's keys that neither a finger nor a pedal holds."""
        sustained = (voice, SUSTAIN) in self.pedals
        caught = self.caught if (voice, SOSTENUTO) in self.pedals else ()
        for key in keys:
            if key in self.sounding and key not in self.down:
                if sustained or key in caught:
                    self.ringing.setdefault(key[::2], set()).add(key)
                else:
                    self.end(tick, [key])

    def find_instrument(self, track, channel):
        """Return the program that a track plays on a channel, −1 for drums."""
        told = self.told.get((PROGRAM, channel), (0, 0))
        program, bank = self.told.get((PROGRAM, track, channel), told)
        melodic = bank == MELODIC_BANK or bank == 0 and "xg" in self.told
        drums = channel % 16 == DRUM_CHANNEL and not melodic or bank in DRUM_BANKS
        if self.told.get(("rhythm", channel), drums):
            return -1
        return 127 if bank == EFFECTS_BANK and "xg" in self.told else program

    def touch(self, tick, track, voice, pitch, velocity):
        """Strike a key, or let it go if the velocity is 0."""
        key = voice, track, pitch
        if velocity:
            if key in self.down:
                self.end(tick, [key])
                self.restruck[key] = tick
            self.end(tick, self.ringing.get((voice, pitch), ()))
            instrument = self.find_instrument(track, voice // 16)
            self.sounding[key] = tick, velocity, instrument
            self.down.add(key)
        # On the tick of a new stroke this ends the note that is ended already.
        elif self.restruck.pop(key, None) != tick:
            self.down.discard(key)
            self.damp(tick, voice, [key])

    def handle(self, tick, track, voice, status, data):
        """Heed a program, a bank, a pedal or a mode; a bank waits for its program."""
        channel, (number, value) = voice // 16, (*data, 0)[:2]
        if status == PROGRAM:
            bank = self.told.get((BANK, channel), 0)
            pair = number, self.told.get((BANK, track, channel), bank)
            self.told[PROGRAM, track, channel] = pair
            self.told.setdefault((PROGRAM, channel), pair)
        elif number == BANK:
            self.told[BANK, track, channel] = self.told[BANK, channel] = value
        elif number in (SUSTAIN, SOSTENUTO) and value >= 64:
            if number == SOSTENUTO and (voice, number) not in self.pedals:
                self.caught = {key for key in self.caught if key[0] != voice}
                self.caught |= {key for key in self.down if key[0] == voice}
            self.pedals.add((voice, number))
        elif number in (SUSTAIN, SOSTENUTO) or number >= ALL_SOUND_OFF:
            keys = [key for key in self.sounding if key[0] == voice]
            if number == ALL_SOUND_OFF:
                self.end(tick, keys)
            elif number == RESET_CONTROLLERS:
                self.pedals -= {(voice, SUSTAIN), (voice, SOSTENUTO)}
            elif number >= ALL_NOTES_OFF:
                self.down.difference_update(keys)
            self.pedals.discard((voice, number))
            self.damp(tick, voice, keys)

    def reset(self, tick, before, data):
        """Heed a system exclusive message; `before`: channels of the ports before."""
        if RESET.match(data):
            self.end(tick, self.sounding)
            self.pedals.clear()
            self.told = {"xg": True} if data[0] == 0x43 else {}
        elif found := RHYTHM.match(data):
            part, mode, xg_part, xg_mode = found.groups()
            if part:
                number = part[0] & 15
                number = number + (number > 9) or DRUM_CHANNEL
            else:
                number, mode = xg_part[0] + 1, xg_mode
            self.told["rhythm", before + number] = mode[0] > 0


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
    struck["duration"] = np.maximum(struck["duration"], 1)
    notes = release_keys(struck)
    places = struck[["onset", "pitch"]]
    last = np.append(places[1:] != places[:-1], True)[: len(struck)]
    cut = np.sum(notes["duration"] < struck["duration"][last])
    notes["onset"] /= division
    notes["duration"] /= division
    counts = {"drums": np.sum(~pitched), "other instruments": np.sum(pitched & ~piano),
              "beyond the 88 keys": np.sum(piano & ~on_keys),
              "struck twice at once": len(struck) - len(notes)}
    left_out = [f"{what}: {count}" for what, count in counts.items() if count]
    remarks += ["notes left out (" + ", ".join(left_out) + ")"] * bool(left_out)
    remarks += [f"keys struck again while they are down: {cut}"] * bool(cut)
    return notes, "; ".join(remarks)


def read_maps(events, division):
    """Return tempos, time signatures and markers of a piece, as `Piece` holds them."""
    tempos, metres, markers = {0.0: 1 / 120}, {0.0: (0.0, 4, 4)}, []
    for tick, *_, status, data in events:
        at, kind = tick / division, data[0] if status == META else None
        if kind == MetaEvents.SET_TEMPO and len(data) >= 4:
            if microseconds := int.from_bytes(data[1:4], "big"):
                tempos[at] = microseconds / 60e6
        elif kind == MetaEvents.TIME_SIGNATURE and len(data) >= 3:
            beats, unit = data[1], 2 ** data[2]
            if unit <= 64 and 4 * beats / unit >= SHORTEST_BAR:
                metres[at] = at, beats, unit
        elif kind == MetaEvents.MARKER:
            markers.append((at, data[1:80].decode("utf-8", "replace")))
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
            words = f"larger than {LARGEST_FILE // 10**6} MB: no piano piece"
            raise MidiFileError(words)
        return Path(path).read_bytes()
    except OSError as error:
        raise MidiFileError(f"cannot be opened: {error.strerror}") from None


def parse_midi(path):
    return parse_bytes(read_file(path), Path(path).stem)


def parse_bytes(data, name):
    division, tracks = split_file(data)
    events = read_events(tracks)
    played = Keys().play(events)
    if not len(played):
        raise MidiFileError("no notes")
    notes, remarks = keep_piano(played, division)
    if not len(notes):
        what = "only drums" if np.all(played["instrument"] < 0) else remarks
        raise MidiFileError(f"no notes for a piano: {what}")
    tempos, metres, markers = read_maps(events, division)
    piece = Piece(readable(name), notes, 120.0, metres, remarks, tempos=tempos,
                  markers=markers)
    if piece.end > LONGEST_QUARTERS:
        raise MidiFileError("longer than a month: its times are damaged")
    metres = tuple(metre for metre in metres if not metre[0] or metre[0] < piece.end)
    return replace(piece, metres=metres, tempo=mean_tempo(tempos, 0.0, piece.end))


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

    `known` maps a hash of 16 notes to its place, and a place to its number of hashes.
    """
    moves = np.diff(piece.notes["pitch"]).astype(np.int8).tobytes()
    rhythm = np.diff(np.rint(piece.notes["onset"] * GRID)).tobytes()
    runs = {zlib.crc32(moves[i : i + 15]) for i in range(len(moves) - 14)}
    sample = {run for run in runs if run % 8 == 0}  # to save memory
    runs = sample if len(sample) >= 8 else runs or {zlib.crc32(moves + rhythm)}
    shared = Counter(known[run] for run in runs if run in known)
    for other, count in shared.most_common():
        if 2 * count > min(len(runs), known[other]):
            return other
    known.update(dict.fromkeys(runs - known.keys(), place))
    known[place] = len(runs)
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
#     (axes[0], "pitch", np.arange(21, 110) - 0.5, "Pitches", "MIDI number"),
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
# The two folders should look alike, but for single pitches, which depend on the keys:
# what is learnt from the one is tested on the other. Durations include the pedal, and
# the last bin holds all that are longer. If the curves of your own two folders differ,
# the models will be blamed for it later: better mix and split the files again.
