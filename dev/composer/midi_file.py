"""Writing a performance as a MIDI file: a conductor's track and one for each hand."""

from __future__ import annotations

import io
import os
from pathlib import Path

import mido

from composer.arrangement import compose
from composer.catalogue import Piece
from composer.forms import Form
from composer.performance import Performance, perform
from composer.score import LEFT, RIGHT, TICKS_PER_QUARTER, Score, Span
from composer.styles import STYLES

NOTICE = "CC0 1.0 Universal: dedicated to the public domain, no rights reserved."
MAJOR_KEYS = (
    "Cb",
    "Gb",
    "Db",
    "Ab",
    "Eb",
    "Bb",
    "F",
    "C",
    "G",
    "D",
    "A",
    "E",
    "B",
    "F#",
    "C#",
)
MINOR_KEYS = (
    "Abm",
    "Ebm",
    "Bbm",
    "Fm",
    "Cm",
    "Gm",
    "Dm",
    "Am",
    "Em",
    "Bm",
    "F#m",
    "C#m",
    "G#m",
)
# From which bar before the end a tempo slackens, and to how many hundredths of it.
SLACKENING = ((3, 92), (2, 80), (1, 66))


def key_name(form: Form) -> str:
    """Name a form's key as MIDI does."""
    return (MINOR_KEYS if form.minor else MAJOR_KEYS)[form.accidentals + 7]


def track(
    name: str, messages: list[tuple[int, mido.Message]], end: int
) -> mido.MidiTrack:
    """Make a track of messages at absolute ticks, closed at an end tick."""
    result = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    for at, message in sorted(messages, key=lambda pair: pair[0]):
        result.append(message.copy(time=at - now))
        now = at
    result.append(mido.MetaMessage("end_of_track", time=end - now))
    return result


def conductor(
    piece: Piece, form: Form, score: Score
) -> list[tuple[int, mido.MetaMessage]]:
    """Write what stands above the staves: notice, metre, key, tempo and markers."""
    beats = STYLES[piece.style].beats
    messages = [
        (0, mido.MetaMessage("text", text=f"Style: {piece.style}")),
        (0, mido.MetaMessage("copyright", text=NOTICE)),
        (0, mido.MetaMessage("time_signature", numerator=beats, denominator=4)),
        (0, mido.MetaMessage("key_signature", key=key_name(form))),
    ]
    messages += tempo_changes(piece.tempo, beats * TICKS_PER_QUARTER, score.end)
    marks = [(tick, 0, label) for tick, label, _ in score.sections]
    marks += [
        (span.start, 1, span.chord.symbol(form.accidentals))
        for span in new_chords(score)
    ]
    return messages + [
        (tick, mido.MetaMessage("marker", text=text))
        for tick, _, text in sorted(marks, key=lambda mark: mark[:2])
    ]


def new_chords(score: Score) -> list[Span]:
    """List the spans that bring another chord or begin a section."""
    sections = {tick for tick, _, _ in score.sections}
    pairs = zip([None, *score.spans], score.spans, strict=False)
    return [
        span
        for before, span in pairs
        if before is None or span.chord != before.chord or span.start in sections
    ]


def tempo_changes(tempo: int, bar: int, end: int) -> list[tuple[int, mido.MetaMessage]]:
    """Set the tempo (bpm) and slacken it in the last bars (ticks)."""
    changes = [(0, 100), *((end - bars * bar, percent) for bars, percent in SLACKENING)]
    return [
        (
            tick,
            mido.MetaMessage("set_tempo", tempo=60_000_000 * 100 // (tempo * percent)),
        )
        for tick, percent in changes
    ]


def hand_messages(
    performance: Performance, hand: str
) -> list[tuple[int, mido.Message]]:
    """Write a hand's keys and the pedal; keys come up before others go down."""
    messages = [(0, 0, mido.Message("program_change", program=0))]
    for note in performance.notes:
        if note.hand == hand:
            on = mido.Message("note_on", note=note.pitch, velocity=note.velocity)
            off = mido.Message("note_off", note=note.pitch, velocity=0)
            messages += [(note.onset, 3, on), (note.end, 1, off)]
    for down, up in performance.pedal:
        messages.append(
            (down, 2, mido.Message("control_change", control=64, value=127))
        )
        messages.append((up, 0, mido.Message("control_change", control=64, value=0)))
    ordered = sorted(messages, key=lambda one: one[:2])
    return [(tick, message) for tick, _, message in ordered]


def render(piece: Piece) -> bytes:
    """Compose and perform a piece and return its MIDI file."""
    form, score = compose(piece)
    performance = perform(score, piece)
    end = max([score.end, *(note.end for note in performance.notes)])
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER)
    file.tracks.append(track(piece.title, conductor(piece, form, score), end))
    for hand, name in ((RIGHT, "Piano right hand"), (LEFT, "Piano left hand")):
        file.tracks.append(track(name, hand_messages(performance, hand), end))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
