"""Voicings: pitches for one hand, at most five and at most a tenth wide."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from composer.harmony import Chord

TENTH = 16
FINGERS = 5
# Below this pitch (E flat 3) small intervals turn to mud.
CLEAR_FROM = 51
OPEN_BELOW = 46
# The right hand sets no chord tones below the A under middle C.
CHORD_FLOOR = 57
# A melody lower than this takes one note beneath it at most.
THIN_BELOW = 65


def nearest_pitch(pitch_class: int, target: int) -> int:
    """Return the pitch of a class that lies nearest to a target (the lower of two)."""
    below = target - (target - pitch_class) % 12
    return below if target - below <= below + 12 - target else below + 12


def pitches_of(classes: tuple[int, ...], low: int, high: int) -> list[int]:
    """List the pitches from low to high whose class is among the given ones."""
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]


def stack_up(bottom: int, classes: list[int]) -> list[int]:
    """Place pitch classes one above the other, each as close as it can be."""
    pitches = [bottom]
    for one in classes:
        pitches.append(pitches[-1] + ((one - pitches[-1] - 1) % 12 + 1))
    return pitches


def close_positions(classes: list[int], low: int, high: int) -> list[list[int]]:
    """List all close positions of the pitch classes within low to high."""
    ordered = sorted(set(classes))
    found = []
    for turn in range(len(ordered)):
        order = ordered[turn:] + ordered[:turn]
        for bottom in pitches_of((order[0],), low, high):
            voicing = stack_up(bottom, order[1:])
            if voicing[-1] <= high and is_clear(voicing):
                found.append(voicing)
    return found


def is_clear(voicing: list[int]) -> bool:
    """Tell whether no interval is too narrow for its register or rubs outside."""
    for lower, upper in pairwise(voicing):
        gap = upper - lower
        if lower < OPEN_BELOW and gap < 7 or lower < CLEAR_FROM and gap < 3:
            return False
    outer = voicing[:2], voicing[-2:]
    return all(len(pair) < 2 or pair[1] - pair[0] > 1 for pair in outer)


def leading_cost(previous: list[int], voicing: list[int]) -> int:
    """Add up how far each voice moves, in semitones, and how far the outer ones do."""
    inner = sum(min(abs(pitch - old) for old in previous) for pitch in voicing)
    return inner + abs(voicing[-1] - previous[-1]) + abs(voicing[0] - previous[0])


def lead(options: list[list[int]], previous: list[int], random: Random) -> list[int]:
    """Choose the voicing that moves least, with a little freedom."""
    return min(
        options, key=lambda one: leading_cost(previous, one) + random.random() * 4
    )


def rootless_classes(chord: Chord, size: int, random: Random) -> list[int]:
    """Choose guide tones and colours for a left hand without the root."""
    colours = list(chord.colours)
    random.shuffle(colours)
    return list(dict.fromkeys(list(chord.guides) + colours))[:size]


def rootless(chord: Chord, previous: list[int], random: Random) -> list[int]:
    """Voice a chord without its root around middle C, led from the previous one."""
    size = random.choice((3, 3, 4, 4, 2))
    classes = rootless_classes(chord, size, random)
    options = close_positions(classes, 51, 69)
    return lead(
        options or [sorted(nearest_pitch(c, 56) for c in classes)], previous, random
    )


def shell(chord: Chord, previous: list[int], random: Random) -> list[int]:
    """Voice root and one or both guide tones in the tenor, within a tenth."""
    root = nearest_pitch(chord.bass, random.choice((43, 44, 46)))
    options = []
    for guide in chord.guides:
        for pitch in pitches_of((guide,), root + 5, root + TENTH):
            options.append([root, pitch])
    full = [root, *sorted(pitches_of(chord.guides, root + 7, root + TENTH))]
    if is_clear(full) and len(full) > 2:
        options.append(full)
    return lead(options or [[root]], previous, random)


def tenth(chord: Chord, low: int) -> list[int]:
    """Spread root, fifth or seventh, and third as a tenth from about a low pitch."""
    root = nearest_pitch(chord.bass, low)
    third = pitches_of(chord.guides[:1], root + 12, root + TENTH)
    middle = pitches_of(chord.tones, root + 6, root + 11)
    return [root, *middle[:1], *third[:1]]


def quartal(chord: Chord, target: int, random: Random) -> list[int]:
    """Stack fourths of the chord's scale, the lowest near a target pitch."""
    scale = pitches_of(chord.scale, target - 3, target + TENTH)
    start = random.randrange(min(4, len(scale) - 6))
    return [scale[start], scale[start + 3], scale[start + 6]]


def beneath(melody: int, chord: Chord, count: int) -> list[int]:
    """List count chord tones below a melody pitch, at least a minor third away."""
    tones = chord.guides + chord.colours
    below = pitches_of(tones, max(CHORD_FLOOR, melody - 13), melody - 3)
    steps = pairwise([*below, melody])
    smooth = [lower for lower, upper in steps if upper - lower > 1]
    return smooth[-room_under(melody, count) :]


def block(melody: int, chord: Chord, count: int) -> list[int]:
    """Harmonise a melody pitch in close position with count tones below it."""
    tones = chord.tones[1:] if len(chord.tones) > 4 else chord.tones
    below = pitches_of(tones, max(CHORD_FLOOR, melody - 12), melody - 2)
    return [*below[-room_under(melody, count) :], melody]


def room_under(melody: int, count: int) -> int:
    """Return how many of count notes there is room for below a melody pitch."""
    return count if melody >= THIN_BELOW else 1
