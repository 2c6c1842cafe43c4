"""Improvised choruses: phrases of a breath whose lines aim at chord tones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from composer.harmony import BLUES, Chord
from composer.score import EIGHTH, TICKS_PER_QUARTER, Changes, Note
from composer.voicings import pitches_of

# What a beat may hold: onset and duration in ticks, and whether swing applies.
FIGURES = {
    "eighths": ((0, 240, True), (240, 240, True)),
    "triplet": ((0, 160, False), (160, 160, False), (320, 160, False)),
    "sixteenths": (
        (0, 120, False),
        (120, 120, False),
        (240, 120, False),
        (360, 120, False),
    ),
    "quarter": ((0, 480, True),),
    "push": ((240, 240, True),),
    "turn": ((0, 80, False), (80, 80, False), (160, 80, False), (240, 240, True)),
    "gallop": ((0, 240, False), (240, 120, False), (360, 120, False)),
    "skip": ((0, 320, False), (320, 160, False)),
    "late": ((120, 120, False), (240, 120, False), (360, 120, False)),
}
# What a line pays for an interval of 0, 1, 2 ... 12 semitones, and beyond.
LEAP_COSTS = (0.9, 0.05, 0.05, 0.05, 0.1, 0.25, 0.9, 0.4, 0.8, 0.9, 1.6, 2.4, 0.9)
WIDE_LEAP_COST = 4.0
LONGEST_GAP = 5


@dataclass(frozen=True)
class Slot:
    """A place for a note: onset and duration in ticks, and whether it swings."""

    onset: int
    duration: int
    swung: bool


@dataclass(frozen=True)
class Register:
    """Where a line may move, and the pitches at which its arc starts, peaks, ends."""

    low: int
    high: int
    arc: tuple[int, int, int]

    def wanted(self, share: float) -> float:
        """Return the pitch that the arc wants at a share of the phrase (0 to 1)."""
        first, peak, last = self.arc
        if share < 0.6:
            return first + (peak - first) * share / 0.6
        return peak + (last - peak) * (share - 0.6) / 0.4


@dataclass(frozen=True)
class Fluency:
    """How a player phrases: figure weights, phrase and rest lengths in beats."""

    figures: dict[str, int]
    phrase: tuple[int, int]
    rest: tuple[int, int]
    low: int
    high: int
    blue: float


def plan_phrases(
    start: int, end: int, fluency: Fluency, random: Random
) -> list[tuple[int, int]]:
    """Divide a stretch (ticks) into phrases with rests between them."""
    phrases = []
    at = start + random.choice((0, 1, 1, 2)) * EIGHTH
    while at < end - 2 * TICKS_PER_QUARTER:
        length = random.randint(*fluency.phrase) * TICKS_PER_QUARTER
        stop = min(end - random.choice((0, 1)) * EIGHTH, at + length)
        phrases.append((at, stop))
        at = stop + random.randint(*fluency.rest) * TICKS_PER_QUARTER
        at += random.choice((-EIGHTH, 0, EIGHTH, EIGHTH))
    return phrases


def lay_slots(start: int, end: int, fluency: Fluency, random: Random) -> list[Slot]:
    """Fill a phrase (ticks) with rhythmic figures, a beat each."""
    slots = []
    names, weights = list(fluency.figures), list(fluency.figures.values())
    beat = start - start % TICKS_PER_QUARTER
    figure = random.choices(names, weights)[0]
    while beat < end:
        if random.random() < 0.6:
            figure = random.choices(names, weights)[0]
        slots += [
            Slot(beat + on, length, swung)
            for on, length, swung in FIGURES[figure]
            if start <= beat + on < end
        ]
        beat += TICKS_PER_QUARTER
    return slots


def thirds(chord: Chord, pitch: int, direction: int, count: int) -> list[int]:
    """List chord tones onwards from a pitch in a direction (+1 or -1)."""
    tones = pitches_of(chord.tones, pitch - 30, pitch + 30)[::direction]
    return [tone for tone in tones if (tone - pitch) * direction > 0][:count]


def neighbour(chord: Chord, pitch: int, direction: int) -> int:
    """Return the next scale pitch above (+1) or below (-1)."""
    scale = pitches_of(chord.scale, pitch - 4, pitch + 4)
    return next(
        (p for p in scale[::direction] if (p - pitch) * direction > 0),
        pitch + 2 * direction,
    )


def passing_run(chord: Chord, start: int, target: int, count: int) -> list[int]:
    """Step from start to target with count notes between, chromatic where needed."""
    direction = 1 if target > start else -1
    inside = list(range(start + direction, target, direction))
    scale = [pitch for pitch in inside if pitch % 12 in chord.scale]
    if not len(scale) <= count <= len(inside):
        return []
    extra = [pitch for pitch in inside[::-1] if pitch not in scale]
    chosen = set(scale) | set(extra[: count - len(scale)])
    return [pitch for pitch in inside if pitch in chosen]


def approaches(following: Chord, target: int) -> list[list[int]]:
    """List two-note ways into a target: enclosures and chromatic steps."""
    above = neighbour(following, target, 1)
    below = neighbour(following, target, -1)
    return [
        [above, target - 1],
        [target - 1, above],
        [below, target + 1],
        [target - 2, target - 1],
        [target + 2, target + 1],
        [above, below],
    ]


@dataclass(frozen=True)
class Gap:
    """A gap in a line: count notes between a start pitch and the next target.

    `chord` sounds at its start and `following` at its end; `wanted` is the pitch
    that the phrase's arc asks for there.
    """

    chord: Chord
    following: Chord
    start: int
    count: int
    wanted: float


Way = tuple[str, list[int]]


def fills(gap: Gap, target: int) -> list[Way]:
    """List named ways through a gap to a target pitch."""
    if gap.count == 0:
        return [("none", [])]
    ways = [("run", passing_run(gap.chord, gap.start, target, gap.count))]
    for direction in (1, -1):
        ways += turning_ways(gap, target, direction)
        if gap.count > 1:
            ways += enclosing_ways(gap, target, direction)
    if gap.count == 1:
        near = pitches_of(gap.chord.scale, target - 3, target + 3)
        ways += [("single", [pitch]) for pitch in near]
    return [(name, pitches) for name, pitches in ways if len(pitches) == gap.count]


def turning_ways(gap: Gap, target: int, direction: int) -> list[Way]:
    """List ways that set out up (+1) or down (-1): a turn, an arpeggio, a leap."""
    turn = neighbour(gap.chord, gap.start, direction)
    broken = thirds(gap.chord, gap.start, direction, 2)[-1:]
    return [
        ("turn", [turn, *passing_run(gap.chord, turn, target, gap.count - 1)]),
        ("arpeggio", thirds(gap.chord, gap.start, direction, gap.count)),
        ("leap", broken + passing_run(gap.chord, broken[0], target, gap.count - 1)),
    ]


def enclosing_ways(gap: Gap, target: int, direction: int) -> list[Way]:
    """List ways that break the chord up or down, then close in on the target."""
    opening = thirds(gap.chord, gap.start, direction, gap.count - 2)
    return [("enclosure", opening + end) for end in approaches(gap.following, target)]


def leap_cost(interval: int) -> float:
    """Return how little a line likes an interval in semitones."""
    return LEAP_COSTS[abs(interval)] if abs(interval) <= 12 else WIDE_LEAP_COST


def path_cost(pitches: list[int], register: Register, wanted: float) -> float:
    """Judge a path of pitches by its leaps, its range and its nearness to the arc."""
    leaps = sum(leap_cost(two - one) for one, two in pairwise(pitches))
    outside = sum(max(0, register.low - p, p - register.high) for p in pitches)
    echoes = sum(one == three for one, three in zip(pitches, pitches[2:], strict=False))
    return leaps + 2 * outside + 0.5 * echoes + 0.16 * abs(pitches[-1] - wanted)


def landing_cost(target: int, chord: Chord) -> float:
    """Judge a target: the root says little, a colour outside the symbol is a spice."""
    if target % 12 not in chord.tones:
        return 0.9
    return 0.6 if target % 12 == chord.root else 0.0


def hover(gap: Gap) -> list[int]:
    """Sway between a gap's start and its upper neighbour and end on a chord tone."""
    above = neighbour(gap.chord, gap.start, 1)
    swaying = [above if index % 2 == 0 else gap.start for index in range(gap.count)]
    goals = pitches_of(gap.following.tones, gap.start - 6, gap.start + 6)
    return [*swaying, min(goals, key=lambda pitch: abs(pitch - gap.start))]


def cross(gap: Gap, register: Register, last: str, random: Random) -> Way:
    """Choose the pitches after a gap's start, its target included; last is the way
    that was taken before."""
    best, choice = math.inf, ("hover", hover(gap))
    goals = gap.following.tones + gap.following.colours
    for target in pitches_of(goals, gap.start - 9, gap.start + 9):
        for name, between in fills(gap, target):
            path = [gap.start, *between, target]
            cost = path_cost(path, register, gap.wanted) + random.random() * 1.6
            cost += 0.8 * (name == last) + landing_cost(target, gap.following)
            if cost < best:
                best, choice = cost, (name, path[1:])
    return choice


def anchor_indices(slots: list[Slot], stride: int) -> list[int]:
    """List the slots on which a line lands on chord tones: every stride ticks, and
    halfway where more than LONGEST_GAP notes would lie between."""
    inside = [i for i, slot in enumerate(slots) if slot.onset % stride == 0]
    anchors = sorted({0, len(slots) - 1, *inside})
    halves = [(a + b) // 2 for a, b in pairwise(anchors) if b - a - 1 > LONGEST_GAP]
    return sorted([*anchors, *halves])


def improvise_line(
    slots: list[Slot], register: Register, stride: int, changes: Changes, random: Random
) -> list[Note]:
    """Give pitches to slots, aiming at a chord tone every stride ticks."""
    chords = [changes.heard_with(slot.onset, slot.duration) for slot in slots]
    pitches, way = [first_pitch(chords[0], register)], "none"
    for one, two in pairwise(anchor_indices(slots, stride)):
        wanted = register.wanted(two / len(slots))
        gap = Gap(chords[one], chords[two], pitches[-1], two - one - 1, wanted)
        way, group = cross(gap, register, way, random)
        pitches += group
    return [
        Note(slot.onset, slot.duration, pitch, role="line", swung=slot.swung)
        for slot, pitch in zip(slots, pitches, strict=True)
    ]


def first_pitch(chord: Chord, register: Register) -> int:
    """Return the chord tone nearest to where a register's arc starts."""
    wanted = register.arc[0]
    options = pitches_of(chord.tones, wanted - 6, wanted + 6)
    return min(options, key=lambda pitch: abs(pitch - wanted))


def draw_register(fluency: Fluency, heat: float, random: Random) -> Register:
    """Draw a phrase's arc; heat (0 to 1) lifts its peak."""
    lift = int(heat * 6)
    middle = (fluency.low + fluency.high) // 2 - 1
    first = random.randint(middle - 7, middle + 5)
    peak = random.randint(middle + lift, fluency.high - 4 + lift)
    last = random.randint(fluency.low + 3, middle + 3)
    arc = (first, peak, last) if random.random() < 0.65 else (peak, last, first)
    up = random.choice((0, 0, 7, 12, 12)) if random.random() < 0.4 else 0
    first, peak, last = (pitch + up for pitch in arc)
    return Register(fluency.low, fluency.high + lift + up, (first, peak, last))


def blues_phrase(
    slots: list[Slot], tonic: int, register: Register, changes: Changes, random: Random
) -> list[Note]:
    """Give slots pitches of the key's blues scale, bent to chords on strong beats."""
    scale = pitches_of(
        tuple((tonic + step) % 12 for step in BLUES), register.low, register.high
    )
    index = min(range(len(scale)), key=lambda i: abs(scale[i] - register.arc[1]))
    notes = []
    for slot in slots:
        chord = changes.heard_with(slot.onset, slot.duration)
        pitch = scale[index]
        if slot.onset % (2 * TICKS_PER_QUARTER) == 0 and random.random() < 0.8:
            pitch = min(
                pitches_of(chord.tones, pitch - 4, pitch + 4),
                key=lambda p: abs(p - pitch),
            )
        notes.append(
            Note(slot.onset, slot.duration, pitch, role="line", swung=slot.swung)
        )
        index += random.choice((-1, -1, -1, 1, 1, 2, -2, 0))
        index = max(0, min(len(scale) - 1, index))
    return notes


def recall(
    motif: list[Note], start: int, end: int, changes: Changes, random: Random
) -> list[Note]:
    """Take up an earlier phrase later (ticks), its shape fitted to the new chords."""
    shift = start - motif[0].onset
    shift -= shift % TICKS_PER_QUARTER
    offset = random.choice((-3, -2, 0, 2, 3, 5))
    notes = []
    for note in motif:
        onset = note.onset + shift
        if not start - EIGHTH <= onset < end:
            continue
        chord = changes.heard_with(onset, note.duration)
        classes = chord.tones if onset % (2 * EIGHTH) == 0 else chord.scale
        options = pitches_of(classes, note.pitch + offset - 4, note.pitch + offset + 4)
        pitch = min(
            options, key=lambda p: abs(p - note.pitch - offset) + random.random() * 0.6
        )
        notes.append(replace(note, onset=onset, pitch=pitch, role="line"))
    return notes


@dataclass(frozen=True)
class Solo:
    """What an improviser knows: tonic (pitch class), fluency, bar (ticks), changes."""

    tonic: int
    fluency: Fluency
    bar: int
    changes: Changes

    @property
    def stride(self) -> int:
        """Return how often a line aims at a chord tone, in ticks."""
        dense = "sixteenths" in self.fluency.figures
        if self.bar % (2 * TICKS_PER_QUARTER):
            return TICKS_PER_QUARTER if dense else self.bar
        return TICKS_PER_QUARTER if dense else 2 * TICKS_PER_QUARTER


def improvise(
    solo: Solo,
    start: int,
    end: int,
    heat: float,
    themes: list[list[Note]],
    random: Random,
) -> list[Note]:
    """Improvise from start to end (ticks); heat is 0 to 1, themes may be taken up."""
    notes: list[Note] = []
    memory = list(themes)
    for first, last in plan_phrases(start, end, solo.fluency, random):
        phrase = improvise_phrase(solo, first, last, heat, memory, random)
        if len(phrase) > 3:
            memory = [*memory[-2:], phrase[:8]]
        notes += phrase
    return notes


def improvise_phrase(
    solo: Solo,
    start: int,
    end: int,
    heat: float,
    memory: list[list[Note]],
    random: Random,
) -> list[Note]:
    """Play one phrase (ticks): a line, a blues phrase or an idea taken up again."""
    chance = random.random()
    if memory and chance < 0.16:
        phrase = recall(random.choice(memory), start, end, solo.changes, random)
        if phrase:
            return phrase
    slots = lay_slots(start, end, solo.fluency, random)
    if not slots:
        return []
    register = draw_register(solo.fluency, heat, random)
    if chance > 1 - solo.fluency.blue:
        return end_phrase(
            blues_phrase(slots, solo.tonic, register, solo.changes, random), random
        )
    line = improvise_line(slots, register, solo.stride, solo.changes, random)
    return end_phrase(line, random)


def end_phrase(notes: list[Note], random: Random) -> list[Note]:
    """Let the last note ring or cut it short."""
    last = notes[-1]
    length = random.choice(
        (
            last.duration // 2,
            last.duration,
            last.duration + EIGHTH,
            last.duration + 2 * EIGHTH,
        )
    )
    return [*notes[:-1], replace(last, duration=length)]
