"""The right hand's montuno: broken octaves across the beat on the chord's tones."""

from __future__ import annotations

from random import Random

from composer.score import EIGHTH, TICKS_PER_QUARTER, Changes, Note
from composer.voicings import pitches_of

TWO_BARS = 8 * TICKS_PER_QUARTER
# Eighths of two bars on which the octave sounds; inner voices may fill the others.
OCTAVES = (
    (0, 3, 6, 9, 11, 14),
    (1, 4, 6, 9, 12, 14),
    (0, 3, 5, 8, 11, 13),
    (1, 3, 6, 8, 11, 14),
)


def montuno(start: int, end: int, changes: Changes, random: Random) -> list[Note]:
    """Play a montuno from start to end (ticks), its inner notes ever changing."""
    octaves = random.choice(OCTAVES)
    notes: list[Note] = []
    top = random.randint(74, 79)
    for two_bars in range(start, end, TWO_BARS):
        for eighth in range(16):
            at = two_bars + eighth * EIGHTH
            if at < end:
                chord = changes.heard_with(at, EIGHTH)
                tones = pitches_of(chord.tones, top - 5, top + 5)
                octave = eighth in octaves
                notes += strike(at, tones, octave, top, random)
    return notes


def strike(
    at: int, tones: list[int], octave: bool, top: int, random: Random
) -> list[Note]:
    """Strike an octave, or one or two inner tones, at a tick."""
    nearest = sorted(tones, key=lambda pitch: abs(pitch - top))
    if octave:
        pitch = random.choice(nearest[:2])
        return [
            Note(at, EIGHTH, pitch, accent=4),
            Note(at, EIGHTH, pitch - 12, role="inner"),
        ]
    if random.random() < 0.45:
        return []
    pitch = random.choice(nearest[:3]) - 12
    upper = [p - 12 for p in tones if 2 < p - 12 - pitch < 8][: random.choice((0, 1))]
    return [
        Note(at, EIGHTH * 3 // 4, p, role="line", accent=-4) for p in (pitch, *upper)
    ]
