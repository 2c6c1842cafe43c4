# %% [markdown]
# ## 5 Hearing and seeing
#
# **Can I hear it?** One call, `show(piece)`, gives a player, a piano roll with its bars
# and, if asked, a score, all offline and from Python packages alone. How that is done
# stands in the collapsed cells; the first training piece is heard at their end.

# %% tags=["active-py"]
import base64
import contextlib
import copy
import html
import importlib
import io
import itertools
import math
import re
from collections import namedtuple
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import music21
import numpy as np
import scipy
from IPython.display import HTML, display
from music21.midi import ChannelVoiceMessages, MetaEvents
from pydantic import AfterValidator, Field

from .corpus import (
    HIGHEST_PITCH,
    LONGEST_QUARTERS,
    LOWEST_PITCH,
    NOTE,
    Piece,
    release_keys,
)
from .machinery import figure_bytes, find_package, write_whole
from .settings import (
    GENERATED,
    GRID,
    NUMPY,
    OUTPUT_FOLDER,
    REAL,
    SECOND,
    WIDE,
    Count,
    NotebookError,
    checked,
)


# %% tags=["hide-input"]
def check_notes(notes):
    """Return notes; NotebookError unless they are NOTE rows that can be played."""
    if not (isinstance(notes, np.ndarray) and notes.dtype == NOTE and notes.ndim == 1):
        raise NotebookError("This takes an array of notes, such as "
                            f"generated_music.notes, not {type(notes).__name__}.")
    if not len(notes):
        raise NotebookError("There are no notes here: generate some first.")
    times, pitches = (0, LONGEST_QUARTERS), (LOWEST_PITCH, HIGHEST_PITCH)
    limits = {"onset": times, "duration": times, "pitch": pitches, "velocity": (1, 127)}
    for name, (least, most) in limits.items():
        if not np.all((notes[name] >= least) & (notes[name] <= most)):
            raise NotebookError(f"Each {name} must be from {least} to {most}.")
    if np.max(notes["onset"] + notes["duration"]) > LONGEST_QUARTERS:
        raise NotebookError(f"Music must end within {LONGEST_QUARTERS} quarter notes.")
    return notes


def check_metre(metre):
    """Return time signatures, as in a `Piece`, from those or one metre like (3, 4)."""
    with contextlib.suppress(TypeError, ValueError):
        rows = metre if np.ndim(metre) == 2 else [(0.0, *metre)]
        starts, beats, units = zip(*rows)
        right = {*beats} <= {*range(1, 256)} and {*units} <= {1, 2, 4, 8, 16, 32, 64}
        rising = all(a < b for a, b in itertools.pairwise([*starts, LONGEST_QUARTERS]))
        if right and rising and starts[0] == 0:
            return tuple((float(start), int(beats), int(unit))
                         for start, beats, unit in rows)
    raise NotebookError("A metre is beats and their unit, such as (3, 4).")


def check_piece(piece):
    if not isinstance(piece, Piece):
        raise NotebookError("This takes a piece, such as generated_music, not "
                            f"{type(piece).__name__}.")
    return piece


Notes = Annotated[object, AfterValidator(check_notes)]
Music = Annotated[object, AfterValidator(check_piece)]
Metre = Annotated[object, AfterValidator(check_metre)]
Onset = Annotated[float, NUMPY, Field(ge=0, le=LONGEST_QUARTERS)]
Markers = Annotated[Sequence[tuple[Onset, str]], Field(max_length=10**5)]
Tempo = Annotated[float, NUMPY, Field(ge=3.5763, le=6e7)]  # what a MIDI file can say


# %% tags=["hide-input"]
TICKS, MOST_TICKS = 480, 32767  # a quarter note, in the files that are written
RELEASE = 0.5  # seconds in which the last notes ring out


def in_ticks(notes, metres):
    """Return notes in whole ticks, the ticks a quarter, and how many notes were cut.

    Times that are equal stay equal; a note ends where its key is struck again.
    """
    notes = np.sort(notes, order=("onset", "pitch", "duration"))
    times = np.stack([notes["onset"], notes["onset"] + notes["duration"]])
    every = np.append(times, [start for start, *_ in metres])
    parts = np.unique(np.round(every % 1, 10)).tolist()
    least = {Fraction(part).limit_denominator(MOST_TICKS).denominator for part in parts}
    choices = (math.lcm(TICKS, *least), math.lcm(*least), TICKS)
    most = min(MOST_TICKS, 2**28 / max(1, times.max()))  # four bytes say no longer wait
    ticks = next(number for number in choices if number <= most)
    starts, ends = np.rint(np.round(times * ticks, 5))
    notes["onset"], notes["duration"] = starts, np.maximum(ends - starts, 1)
    playable = release_keys(notes)
    return playable, ticks, len(notes) - np.sum(np.isin(playable, notes))


def midi_bytes(notes, tempo, title, comments=(), metres=((0.0, 4, 4),), markers=()):
    """Return notes as the bytes of a MIDI file, written by music21."""
    until, last = (notes["onset"] + notes["duration"]).max(), 0
    metres = [row for row in metres if not row[0] or row[0] < until]
    notes, ticks, _ = in_ticks(notes, metres)
    end = until + max(2, min(RELEASE * tempo / 60 * ticks, 2**27)) / ticks
    told = [(0, MetaEvents.SEQUENCE_TRACK_NAME, title),
            *((0, MetaEvents.TEXT_EVENT, comment) for comment in comments),
            *((at, MetaEvents.MARKER, text) for at, text in markers if at < until),
            *((at, MetaEvents.TIME_SIGNATURE, [beats, unit.bit_length() - 1, 24, 8])
              for at, beats, unit in metres), (end, MetaEvents.END_OF_TRACK, b""),
            (0, MetaEvents.SET_TEMPO, round(60e6 / tempo).to_bytes(3, "big")),
            (0, ChannelVoiceMessages.PROGRAM_CHANGE, [0])]
    # Ticks, rank among those of one tick, kind, and its two parameters.
    rows = [(round(at * ticks), 0, kind, bytes(data) if not isinstance(data, str)
             else data.encode("utf-8", "replace"), None) for at, kind, data in told]
    for start, length, pitch, velocity in notes.tolist():
        rows.append((start, 2, ChannelVoiceMessages.NOTE_ON, pitch, velocity))
        rows.append((start + length, 1, ChannelVoiceMessages.NOTE_OFF, pitch, 0))
    file, track = music21.midi.MidiFile(), music21.midi.MidiTrack(1)
    for tick, _, kind, *parameters in sorted(rows, key=lambda row: row[:2]):
        event = music21.midi.MidiEvent(track, kind)
        event.parameter1, event.parameter2 = parameters
        track.events += [music21.midi.DeltaTime(track, time=int(tick - last)), event]
        last = tick
    file.tracks, file.ticksPerQuarterNote, file.format = [track], ticks, 0
    return file.writestr()


def safe_file_name(title):
    """Return a title as a file name, without an ending, that even Windows takes."""
    name = re.sub(r"[^A-Za-z0-9_.,()+-]+", "_", str(title)).strip("._ ")[:80]
    name = name.rstrip("._ ") or "piece"
    return re.sub(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", r"_\1", name)


# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Sound
#
# A synthesiser plays the MIDI on a sampled piano, and an MP3 of it goes into the
# notebook: no system library, nothing from the network. Where one of its packages is
# missing, a simple tone generator takes over and says so.

# %% tags=["hide-input"]
LONGEST_SOUND, CLIP_SECONDS = 40, 25  # seconds of a player, and of a clip to keep
TONE_RATE, HARMONICS = 22_050, np.arange(1, 7)[:, None]  # samples a second
SOUND_FORMATS = {"audio/flac": {"format": "FLAC"}, "audio/mpeg": {  # soon made; short
    "format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.7}}
# Music as a browser plays it: media type, bytes, what a listener should know.
Sound = namedtuple("Sound", "media data remarks")


def play_tones(notes, tempo):
    """Return samples (time,) of notes as decaying sums of sines, and their rate."""
    starts = (notes["onset"] * 60 / tempo * TONE_RATE).astype(int)
    sizes = ((notes["duration"] * 60 / tempo + RELEASE) * TONE_RATE).astype(int)
    sound, force = np.zeros(np.max(starts + sizes)), notes["velocity"] / 127
    for start, size, pitch, loud in zip(starts, sizes, notes["pitch"].tolist(), force):
        time = np.arange(size) / TONE_RATE
        waves = 440 * 2 ** ((pitch - 69) / 12) * HARMONICS
        waves = np.sin(2 * np.pi * waves * time) * (waves < TONE_RATE / 2)
        tone = (waves * np.exp(-1.5 * HARMONICS * time) / HARMONICS**1.5).sum(axis=0)
        release = np.minimum((size - np.arange(size)) / (RELEASE * TONE_RATE), 1)
        sound[start : start + size] += loud**1.5 * tone * release
    return sound, TONE_RATE


def render_sound(notes, tempo, seconds, media="audio/mpeg"):
    """Return the first seconds of notes, from the first one on, as a Sound."""
    until, notes, remarks = seconds * tempo / 60, notes.copy(), []
    notes["onset"] -= notes["onset"].min()
    if (notes["onset"] + notes["duration"]).max() > until:
        remarks.append(f"the first {seconds} seconds")
        notes = notes[notes["onset"] < until]
        notes["duration"] = np.minimum(notes["duration"], until - notes["onset"])
    synthesiser = find_package("midirenderer")
    package = importlib.util.find_spec("pretty_midi")
    font = Path(package.origin).with_name("TimGM6mb.sf2") if package else None
    if synthesiser and font and font.exists():
        midi = midi_bytes(notes, tempo, "")
        wave = synthesiser.render_wave_from(font.read_bytes(), midi)
        rate, samples = scipy.io.wavfile.read(io.BytesIO(wave))
        pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2 * samples.shape[1])
        samples, rate = pairs.mean(axis=1), rate // 2  # a piano has little above 12 kHz
    else:
        samples, rate = play_tones(notes, tempo)
        remarks.append("a tone generator stands in for the piano: pip install "
                       "midirenderer pretty_midi brings it")
    samples = 0.8 * samples / max(np.abs(samples).max(), 1e-9)
    data = io.BytesIO()
    if writer := find_package("soundfile"):
        writer.write(data, samples, rate, **SOUND_FORMATS[media])
    else:
        scipy.io.wavfile.write(data, rate, (32767 * samples).astype(np.int16))
    return Sound(media if writer else "audio/wav", data.getvalue(), "; ".join(remarks))


def as_data(media, data):
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def show_sound(sound, title):
    title = html.escape(title)
    words = f"{title} ({html.escape(sound.remarks)})" if sound.remarks else title
    return (f'<figure class="tex2jax_ignore" style="margin: 4px 0"><figcaption>{words}'
            f'</figcaption><audio controls preload="metadata" aria-label="{title}" '
            'style="width: 100%; max-width: 480px" '
            f'src="{as_data(sound.media, sound.data)}"></audio></figure>')


@checked
def play(notes: Notes, *, tempo: Tempo = 120.0, title: str = "Music"):
    """Return a player of NOTE rows' first seconds; `tempo`: quarter notes a minute."""
    return HTML(show_sound(render_sound(notes, tempo, LONGEST_SOUND), title))


# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Score
#
# For the eye, time is simplified: each quarter note is written in halves, thirds or
# quarters, whichever comes nearest to what is played, and swung eighths as plain ones.
# Notes from middle C up go to the right hand. music21 finds the key, spells the notes
# and writes the bars; Verovio engraves them.

# %% tags=["hide-input"]
WRITINGS = (  # twelfths of a quarter note: where it is heard, where written, its cost
    ((0, 6, 12), (0, 6, 12), 0),
    ((0, 8, 12), (0, 6, 12), 0),  # swing
    ((0, 3, 6, 9, 12), (0, 3, 6, 9, 12), 1),
    ((0, 4, 8, 12), (0, 4, 8, 12), 1.5))
SCORE_BARS = 8  # engraved at most
ENGRAVING = {"pageWidth": 2200, "pageHeight": 60000, "adjustPageHeight": True,
             "scale": 40, "header": "none", "footer": "none", "svgViewBox": True,
             "xmlIdSeed": 1}


def words_of(markers):
    """Return the markers that are one word, as chord symbols are, not too long."""
    return [row for row in markers if len(row[1]) <= 24
            and row[1].isprintable() and " " not in row[1]]


def write_beat(cells):
    """Return where the onsets of a quarter note, in twelfths, stand in a score."""
    choices = []
    for heard, written, cost in WRITINGS:
        places = np.abs(np.subtract.outer(cells, heard)).argmin(axis=1)
        away = np.abs(cells - np.take(heard, places)).sum()
        merged = len(cells) - len(np.unique(places))
        choices.append((away + cost + 4 * merged, np.take(written, places).tolist()))
    return min(choices)[1]


def spell_pitch(pitch, key):
    """Return a MIDI number as a music21 pitch, by the key's place among the fifths."""
    lowest = key.sharps - (3 if key.mode == "minor" else 5)
    fifths = lowest + (7 * pitch - lowest) % 12
    alteration, letter = divmod(fifths + 1, 7)
    return music21.pitch.Pitch(step="FCGDAEB"[letter], accidental=alteration or None,
                               octave=(pitch - alteration) // 12 - 1)


def make_staff(starts, ends, pitches, bars, signs, key, beginning, texts=()):
    """Return one hand, its times in twelfths of a quarter, as a music21 staff."""
    onsets = [*np.unique(starts).tolist(), bars[-1]]
    rows, staff = [(0, onsets[0], [])], music21.stream.PartStaff(beginning)
    staff.append(copy.copy(key))
    for onset, after in itertools.pairwise(onsets):
        here = starts == onset
        let_go = int(ends[here].max())
        # A chord lasts until the next one, unless it is let go of well before.
        held = after - onset <= 12 or 2 * (let_go - onset) >= after - onset
        end = after if held else min(after, -(-let_go // 12) * 12)
        rows += [(onset, end, np.unique(pitches[here]).tolist()), (end, after, [])]
    for start, end, sounding in rows:
        cuts = {start, end, *(bar for bar in bars if start < bar < end)}
        if start % 3 or end % 3:  # no triplet crosses a beat
            cuts.update(range((start // 12 + 1) * 12, end, 12))
        for first, last in itertools.pairwise(sorted(cuts)):
            if first in signs:
                staff.append(music21.meter.TimeSignature(signs[first]))
            names = [spell_pitch(pitch, key) for pitch in sounding]
            written = music21.chord.Chord(names) if names else music21.note.Rest()
            written.quarterLength = (last - first) / 12
            if names and len(cuts) > 2:
                kind = {start: "start", max(cuts - {end}): "stop"}.get(first)
                written.tie = music21.tie.Tie(kind or "continue")
            staff.append(written)
    for place, text in texts:
        words = music21.expressions.TextExpression(text)
        words.placement = "above"
        staff.insert(place, words)
    return staff.makeNotation()


# %% tags=["hide-input"]
def make_score(notes, tempo, metres, bars, markers=()):
    """Return notes, from the bar of the first one on, as a music21 score."""
    metres = [row if 16 * row[1] % row[2] == 0 and row[1] <= 4 * row[2] else
              (row[0], 4, 4) for row in metres]  # others cannot be written
    lines = 3 * np.rint(4 * Piece("", notes, tempo, metres).bars()).astype(int)
    lines = np.unique(np.append(lines, 2 * lines[-1] - lines[-2]))  # and one bar more
    first = lines[np.searchsorted(lines, 12 * notes["onset"].min() + 2, "right") - 1]
    onsets = 12 * notes["onset"] - first
    lines = lines[lines >= first][: bars + 2] - first
    until = lines[: bars + 1][-1] - 2
    notes, onsets = (rows[onsets < until] for rows in (notes, onsets))
    heard, order = np.unique(np.rint(onsets).astype(int), return_inverse=True)
    beats = itertools.groupby(heard, lambda cell: cell // 12)
    written = [12 * beat + place for beat, cells in beats
               for place in write_beat(np.subtract([*cells], 12 * beat))]
    starts = np.maximum(np.array(written)[order], 0)
    ends = np.maximum(np.rint(onsets + 12 * notes["duration"]), starts + 1)
    lines = lines[: np.searchsorted(lines, starts.max(), "right") + 1].tolist()
    signs = {}
    for bar, after in itertools.pairwise(lines):
        _, beats, unit = [row for row in metres if 12 * row[0] - 1 <= first + bar][-1]
        if 48 * beats != unit * (after - bar):  # a bar that ends early
            beats, unit = (after - bar) // 3, 16
        if f"{beats}/{unit}" != [None, *signs.values()][-1]:
            signs[bar] = f"{beats}/{unit}"
    rows = np.stack([starts, np.minimum(ends, lines[-1]), notes["pitch"]]).astype(int)
    tones = [music21.note.Note(pitch, quarterLength=duration)
             for _, duration, pitch, _ in notes.tolist()]
    key, high = music21.stream.Stream(tones).analyze("key"), notes["pitch"] >= 60
    mark = music21.tempo.MetronomeMark(number=round(tempo))
    right, left = [music21.clef.TrebleClef(), mark], [music21.clef.BassClef()]
    texts = [(onset - first / 12, text) for onset, text in words_of(markers)
             if first <= 12 * onset < first + lines[-1]]
    staves = [make_staff(*rows[:, high], lines, signs, key, right, texts),
              make_staff(*rows[:, ~high], lines, signs, key, left)]
    brace = music21.layout.StaffGroup(staves, symbol="brace")
    return music21.stream.Score([*staves, brace])


@checked
def show_score(notes: Notes, *, tempo: Tempo = 120.0, metre: Metre = ((0.0, 4, 4),),
               markers: Markers = (), bars: Count | None = None):
    """Return the first bars, `SCORE_BARS` if None, of NOTE rows as a grand staff."""
    shown = "No score: pip install verovio brings the engraver."
    if verovio := find_package("verovio"):
        verovio.enableLog(verovio.LOG_OFF)
        toolkit = verovio.toolkit(False)  # its fonts are looked up for each thread
        toolkit.setResourcePath(str(Path(verovio.__file__).with_name("data")))
        score = make_score(notes, tempo, metre, bars or SCORE_BARS, markers)
        exporter = music21.musicxml.m21ToXml.GeneralObjectExporter(score)
        shown = toolkit.renderData(exporter.parse().decode(), ENGRAVING)
    style = 'role="img" aria-label="Score" style="background: white"'
    return HTML(f"<div {style}>{shown}</div>")


# %% [markdown] jp-MarkdownHeadingCollapsed=true
# ### Piano roll, and all together
#
# Darker notes are louder. Blue is real music, orange is generated; green is what stands
# in a training piece too. Long low ones are the left hand and what the pedal keeps.

# %% tags=["hide-input"]
def plain(text):
    return str(text).replace("$", r"\$")  # which is Matplotlib's sign for maths


def name_chord(chord):
    """Return the names of some MIDI numbers, such as "C4 E♭4 G4"."""
    names = (music21.pitch.Pitch(pitch).nameWithOctave for pitch in chord)
    return " ".join(names).replace("-", "♭")


def plot_take(piece, ax, *, primer=0.0, marked=False, until=math.inf):
    """Draw a piece's notes on `ax`, up to `until` quarters if given; return it.

    `primer`: quarters of real music at its beginning; `marked`: shade its shared run.
    """
    notes = piece.notes[piece.notes["onset"] < until]
    real = (notes["onset"] < primer) | (not piece.settings)
    colours = [(REAL if known else GENERATED, 0.25 + 0.75 * velocity / 127)
               for known, velocity in zip(real, notes["velocity"])]
    ax.barh(notes["pitch"], np.maximum(notes["duration"], 1 / GRID), height=0.9,
            left=notes["onset"], color=colours)
    if marked and piece.shared.events:
        *_, start, end = piece.shared
        ax.axvspan(start, end, color=SECOND, alpha=0.25, label="in a training piece")
        ax.legend(loc="upper right", bbox_to_anchor=(1, -0.12))
    lines = piece.bars()
    lines = lines[: np.searchsorted(lines, min(piece.end, until)) + 1]
    shown = np.arange(0, max(len(lines) - 1, 1), math.ceil(len(lines) / 12))
    ax.set_xticks(lines[shown], [str(number + 1) for number in shown])
    low, high = notes["pitch"].min() // 12 * 12, notes["pitch"].max() // 12 * 12 + 12
    octaves = range(low, high + 1, 12)
    ax.set_yticks(octaves, [f"C{octave // 12 - 1}" for octave in octaves])
    told = [(onset, plain(text)) for onset, text in words_of(piece.markers)
            if onset < lines[-1]]
    if told:
        told = told[:: math.ceil(len(told) / 60)]
        ax.secondary_xaxis("top").set_xticks(*zip(*told), rotation=90, fontsize=6)
    ax.set(xlabel="bar", ylabel="pitch", title=plain(piece.name), xlim=(0, lines[-1]),
           ylim=(low - 1, high + 1))
    return ax


# %% tags=["hide-input"]
def roll_bytes(piece, *, primer=0.0, marked=False, seconds):
    """Return the piano roll of a piece's first seconds as PNG."""
    figure = plt.matplotlib.figure.Figure(figsize=WIDE, layout="constrained")
    until = piece.notes["onset"].min() + seconds * piece.tempo / 60
    ax = figure.add_subplot()
    plot_take(piece, ax, primer=primer, marked=marked, until=until).set_title("")
    return figure_bytes(figure)


def draw_piece(piece, title, *, score=False, primer=0.0, marked=False):
    """Return a piece's piano roll, its first seconds, and its score as HTML."""
    roll = roll_bytes(piece, primer=primer, marked=marked, seconds=LONGEST_SOUND)
    words = html.escape(f"Piano roll of {title}")
    drawn = (f'<img alt="{words}" style="width: 100%; max-width: 650px" '
             f'src="{as_data("image/png", roll)}">')
    if score:
        staves = show_score(piece.notes, tempo=piece.tempo, metre=piece.metres,
                            markers=piece.markers).data
        drawn += f"<details><summary>Score</summary>{staves}</details>"
    return drawn


@checked
def show(piece: Music, title: str = "", *, score: bool = False, primer: Onset = 0.0,
         marked: bool = False):
    """Display a piece's player and piano roll.

    `title`: its name if empty; `score`: whether there is one to open; `primer`,
    `marked`: see `plot_take`.
    """
    title = title or piece.name
    player = play(piece.notes, tempo=piece.tempo, title=title).data
    drawn = draw_piece(piece, title, score=score, primer=primer, marked=marked)
    display(HTML(player + drawn))


def save_clip(piece, name):
    """Keep a piece's first seconds in outputs/audio, as MP3 with its piano roll."""
    sound = render_sound(piece.notes, piece.tempo, CLIP_SECONDS)
    if sound.media == "audio/mpeg":
        folder = Path(OUTPUT_FOLDER) / "audio"
        write_whole(folder / f"{name}.mp3", sound.data)
        write_whole(folder / f"{name}.png", roll_bytes(piece, seconds=CLIP_SECONDS))


# %% tags=["active-ipynb"]
# show(training_pieces[0], score=True)

# %% [markdown]
# **Try it:** change the 0 to hear another piece; open the score.
