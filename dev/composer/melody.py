"""Heads: a motif that is stated, sequenced, turned over, displaced and answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from composer.harmony import Chord
from composer.score import EIGHTH, TICKS_PER_QUARTER, Changes, Note
from composer.voicings import pitches_of

LOWEST, HIGHEST = 60, 90
# A motif stays within these scale steps of its first note.
LOWEST_STEP, HIGHEST_STEP = -4, 6
# How the two-bar units of a section grow out of the motif; the last one closes.
PLANS = (
    ("state", "sequence", "fragment"),
    ("state", "answer", "state"),
    ("state", "invert", "sequence"),
    ("state", "displace", "sequence"),
    ("state", "sequence", "augment"),
    ("state", "answer", "invert"),
)


@dataclass(frozen=True)
class MotifNote:
    """A note of a motif: ticks from the unit's start, ticks long, scale steps up."""

    offset: int
    duration: int
    step: int


Motif = tuple[MotifNote, ...]


def invent_motif(gaps: dict[int, int], length: int, random: Random) -> Motif:
    """Invent a motif from weighted gaps between onsets (ticks), within a length."""
    onset = random.choice(
        (0, 0, EIGHTH, TICKS_PER_QUARTER, -EIGHTH, TICKS_PER_QUARTER * 3 // 2)
    )
    onsets, limit = [], length - random.choice((2, 3, 4)) * EIGHTH
    while onset < limit:
        onsets.append(onset)
        onset += random.choices(list(gaps), list(gaps.values()))[0]
    steps = contour(len(onsets), random)
    ends = [*onsets[1:], onsets[-1] + random.choice((2, 3, 4)) * EIGHTH]
    return tuple(
        MotifNote(*note)
        for note in zip(onsets, map(int.__sub__, ends, onsets), steps, strict=True)
    )


def contour(count: int, random: Random) -> list[int]:
    """Draw a line of scale steps: mostly stepwise, one leap, then back."""
    direction = random.choice((-1, 1))
    leap_at = random.randrange(1, max(2, count))
    steps = [0]
    for index in range(1, count):
        size = (
            random.choice((3, 4, 5))
            if index == leap_at
            else random.choice((1, 1, 1, 2, 2, 0))
        )
        if not LOWEST_STEP <= steps[-1] + direction * size <= HIGHEST_STEP:
            direction = -direction
        steps.append(steps[-1] + direction * size)
        if index == leap_at or random.random() < 0.3:
            direction = -direction
    return steps


def invert(motif: Motif) -> Motif:
    """Turn a motif upside down."""
    return tuple(replace(note, step=-note.step) for note in motif)


def displace(motif: Motif, ticks: int) -> Motif:
    """Shift a motif against the bar."""
    return tuple(replace(note, offset=note.offset + ticks) for note in motif)


def fragment(motif: Motif, ticks: int) -> Motif:
    """Say the first half of a motif twice, the second time one step higher."""
    half = motif[: max(2, (len(motif) + 1) // 2)]
    room = min(ticks, max(0, ticks - half[-1].offset))
    again = [replace(n, offset=n.offset + ticks, step=n.step + 1) for n in half]
    return (
        *half[:-1],
        replace(half[-1], duration=min(half[-1].duration, max(120, room))),
        *again,
    )


def augment(motif: Motif, length: int) -> Motif:
    """Stretch the beginning of a motif to double values within a length (ticks)."""
    slow = [MotifNote(n.offset * 2, n.duration * 2, n.step) for n in motif]
    return (
        tuple(note for note in slow if note.offset + note.duration <= length) or motif
    )


def answer(motif: Motif, random: Random) -> Motif:
    """Keep a motif's rhythm and bend its second half the other way."""
    turn = len(motif) // 2
    pivot = motif[turn].step
    shift = random.choice((-1, 1))
    return tuple(
        replace(n, step=n.step if i < turn else 2 * pivot - n.step + shift)
        for i, n in enumerate(motif)
    )


def close(motif: Motif, length: int, random: Random) -> Motif:
    """Begin as the motif does and come to rest on a long note in the second bar."""
    rest_at = length // 2 - random.choice((0, EIGHTH, 0))
    start = [note for note in motif if note.offset + EIGHTH <= rest_at][:5]
    if start:
        start[-1] = replace(
            start[-1], duration=min(start[-1].duration, rest_at - start[-1].offset)
        )
    step = (start[-1].step if start else 0) - random.choice((1, 1, 2))
    return (
        *start,
        MotifNote(rest_at, length // 2 - random.choice((1, 2, 3)) * EIGHTH, step),
    )


def develop(motif: Motif, how: str, length: int, random: Random) -> Motif:
    """Derive one unit of a length (ticks) from the motif in the named way."""
    ways = {
        "state": lambda: motif,
        "sequence": lambda: motif,
        "invert": lambda: invert(motif),
        "displace": lambda: displace(motif, random.choice((EIGHTH, 2 * EIGHTH))),
        "fragment": lambda: fragment(motif, length // 2),
        "augment": lambda: augment(motif, length),
        "answer": lambda: answer(motif, random),
        "close": lambda: close(motif, length, random),
    }
    return ways[how]()


def plan_units(count: int, random: Random) -> list[str]:
    """Name the developments of a section's two-bar units."""
    names: list[str] = []
    while len(names) < count:
        names += random.choice(PLANS)
    return [*names[: count - 1], "close"]


def scale_step(pitch: int, step: int, chord: Chord) -> int:
    """Move some scale steps from the scale note nearest to a pitch."""
    scale = pitches_of(chord.scale, 36, 100)
    nearest = min(range(len(scale)), key=lambda i: abs(scale[i] - pitch))
    return scale[max(0, min(len(scale) - 1, nearest + step))]


def chord_tone_near(pitch: int, avoid: int, chord: Chord) -> int:
    """Return the chord tone nearest to a pitch, another than one to avoid if it can."""
    tones = pitches_of(chord.tones, pitch - 7, pitch + 7)
    return min(tones, key=lambda tone: abs(tone - pitch) + 1.5 * (tone == avoid))


def realise(motif: Motif, start: int, anchor: int, changes: Changes) -> list[Note]:
    """Sound a motif at a start (ticks) around an anchor pitch over the changes."""
    notes: list[Note] = []
    previous = 0
    for part in motif:
        onset = start + part.offset
        chord = changes.heard_with(onset, part.duration)
        pitch = fold(scale_step(anchor, part.step, chord))
        if onset % TICKS_PER_QUARTER == 0 or part.duration > EIGHTH:
            pitch = chord_tone_near(pitch, previous, chord)
        notes.append(Note(onset, part.duration, pitch))
        previous = pitch
    return notes


def fold(pitch: int) -> int:
    """Bring a pitch into the melody's range by octaves."""
    while pitch > HIGHEST:
        pitch -= 12
    while pitch < LOWEST:
        pitch += 12
    return pitch


def compose_section(
    motif: Motif,
    start: int,
    bars: int,
    bar: int,
    anchor: int,
    changes: Changes,
    random: Random,
) -> list[Note]:
    """Compose a section's melody: start and bar length in ticks, anchor a pitch."""
    notes: list[Note] = []
    names = plan_units((bars + 1) // 2, random)
    shift = random.choice((-2, -1, 1, 2))
    for index, how in enumerate(names):
        level = anchor + (shift * min(index, len(names) - 2) if how != "state" else 0)
        unit = develop(motif, how, 2 * bar, random)
        notes += realise(unit, start + 2 * index * bar, level, changes)
    return one_voice(notes)


def one_voice(notes: list[Note]) -> list[Note]:
    """Keep one note an onset and end each before the next begins."""
    ordered = sorted(
        {note.onset: note for note in notes}.values(), key=lambda n: n.onset
    )
    result = [
        replace(one, duration=min(one.duration, two.onset - one.onset))
        for one, two in pairwise(ordered)
    ]
    return result + ordered[-1:]
