"""Performance: swing, placement, touch and pedal turn a score into a pianist's playing.

All times are whole ticks and all chances come from whole random numbers, so that a
performance is the same to the byte on every machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from random import Random

from composer.catalogue import Piece
from composer.score import EIGHTH, LEFT, RIGHT, TICKS_PER_QUARTER, Note, Score
from composer.styles import STYLES, Style
from composer.texture import phrases
from composer.voicings import FINGERS, TENTH

LOUDNESS = {
    "melody": 76,
    "line": 69,
    "inner": 57,
    "comp": 46,
    "stab": 44,
    "bass": 57,
    "broken": 44,
    "rolled": 60,
    "grace": 50,
    "ghost": 33,
}
SHORTEST = 12
STRAIGHT, LONG_SHORT = TICKS_PER_QUARTER // 2, TICKS_PER_QUARTER * 2 // 3
PEDAL_LIFT_MS, CHORD_SPREAD_MS, ROLL_MS = 70, 14, 38
# Ticks at which the pedal goes down and comes up.
Press = tuple[int, int]


@dataclass(frozen=True)
class Sounded:
    """A note as played: onset and duration in ticks, pitch, velocity and hand."""

    onset: int
    duration: int
    pitch: int
    velocity: int
    hand: str

    @property
    def end(self) -> int:
        """Return the tick at which the key comes up."""
        return self.onset + self.duration


@dataclass(frozen=True)
class Performance:
    """What is played: notes in order, and pedal presses as (down, up) in ticks."""

    notes: list[Sounded]
    pedal: list[Press]


@dataclass(frozen=True)
class Player:
    """A player's time: tempo in bpm, swing point in ticks, style and chance."""

    tempo: int
    swing: int
    style: Style
    random: Random

    def ticks(self, milliseconds: int) -> int:
        """Convert milliseconds to ticks at the player's tempo."""
        return milliseconds * self.tempo * TICKS_PER_QUARTER // 60000

    def wobble(self, milliseconds: int) -> int:
        """Draw a small error around zero, in ticks, of a typical size in ms."""
        size = max(1, self.ticks(milliseconds))
        return sum(self.random.randint(-size, size) for _ in range(3)) // 2


def swing_point(tempo: int) -> int:
    """Return where the second eighth falls in a beat of 480 ticks at a tempo (bpm)."""
    slide = max(0, min(tempo, 280) - 110) * 72 // 170
    return LONG_SHORT - slide


def swung(tick: int, point: int) -> int:
    """Bend a straight tick to the swing point of its beat (point in ticks)."""
    beat, inside = divmod(tick, TICKS_PER_QUARTER)
    if inside <= STRAIGHT:
        bent = inside * point // STRAIGHT
    else:
        rest = TICKS_PER_QUARTER - point
        bent = point + (inside - STRAIGHT) * rest // (TICKS_PER_QUARTER - STRAIGHT)
    return beat * TICKS_PER_QUARTER + bent


def perform(score: Score, piece: Piece) -> Performance:
    """Play a score."""
    style = STYLES[piece.style]
    point = swing_point(piece.tempo) if style.swing else STRAIGHT
    player = Player(
        piece.tempo, point, style, Random(f"{piece.title} played {piece.take}")
    )
    notes = keep_below(fit_hands(score.notes))
    placed = place(notes, score.end, player)
    loud = touch(notes, score, player)
    sounded = [
        Sounded(onset, max(SHORTEST, end - onset), note.pitch, velocity, note.hand)
        for note, (onset, end), velocity in zip(notes, placed, loud, strict=True)
    ]
    return Performance(playable(sounded), press_pedal(score, notes, player))


def fit_hands(notes: list[Note]) -> list[Note]:
    """Keep in each chord what one hand can hold: a tenth, five keys, once each."""
    chords: dict[tuple[int, str], dict[int, Note]] = defaultdict(dict)
    for note in notes:
        if 21 <= note.pitch <= 108 and note.onset >= 0:
            chords[note.onset, note.hand].setdefault(note.pitch, note)
    return [note for key in sorted(chords) for note in grip(chords[key], key[1])]


def grip(chord: dict[int, Note], hand: str) -> list[Note]:
    """Choose the notes of a chord that a hand holds: the right from its top down."""
    order = sorted(chord, reverse=hand == RIGHT)
    kept = [pitch for pitch in order if abs(pitch - order[0]) <= TENTH][:FINGERS]
    return [chord[pitch] for pitch in sorted(kept)]


def keep_below(notes: list[Note]) -> list[Note]:
    """Take left-hand notes out of the right hand's way."""
    floor: dict[int, int] = {}
    for note in notes:
        if note.hand == RIGHT:
            for cell in range(note.onset // EIGHTH, (note.end - 1) // EIGHTH + 1):
                floor[cell] = min(floor.get(cell, 127), note.pitch)
    cleared = [note if note.hand == RIGHT else give_way(note, floor) for note in notes]
    return [note for note in cleared if note.duration > 0]


def give_way(note: Note, floor: dict[int, int]) -> Note:
    """End a left-hand note before the right hand, whose lowest pitches by eighth are
    given, comes down to it."""
    for cell in range(note.onset // EIGHTH, (note.end - 1) // EIGHTH + 1):
        if note.pitch >= floor.get(cell, 127) - 1:
            return replace(note, duration=max(0, cell * EIGHTH - note.onset))
    return note


def drift(length: int, looseness: int, player: Player) -> list[int]:
    """Draw a slow drift of time, in ticks for each beat of a length in ticks."""
    values = [0]
    for _ in range(length // TICKS_PER_QUARTER + 2):
        values.append(values[-1] * 3 // 4 + player.wobble(looseness) * 3 // 4)
    return values


def place(notes: list[Note], length: int, player: Player) -> list[tuple[int, int]]:
    """Give each note its played onset and end in ticks."""
    loose = player.style.looseness
    together = drift(length, loose * 2, player)
    apart = {hand: drift(length, loose // 2, player) for hand in (RIGHT, LEFT)}
    spread = chord_spread(notes, player)
    placed = []
    for note, late in zip(notes, spread, strict=True):
        beat = note.onset // TICKS_PER_QUARTER
        shift = together[beat] + apart[note.hand][beat] + late
        shift += player.wobble(loose // 3 + 2)
        shift += player.ticks(player.style.lag) if note.hand == RIGHT else 0
        onset, end = (
            swung(t, player.swing) if note.swung else t for t in (note.onset, note.end)
        )
        length_played = articulate(note, end - onset, player.random)
        onset = max(0, onset + shift)
        placed.append((onset, onset + length_played))
    return placed


def articulate(note: Note, length: int, random: Random) -> int:
    """Return how long a key is held, in ticks, for a written length in ticks."""
    percent = {"line": (72, 104), "stab": (45, 80), "ghost": (40, 60), "comp": (70, 98)}
    return length * random.randint(*percent.get(note.role, (85, 100))) // 100


def chord_spread(notes: list[Note], player: Player) -> list[int]:
    """Return how late each note of a chord comes, in ticks, from the bottom up."""
    late: dict[tuple[int, str], int] = {}
    result = []
    slow = player.style.pedal == "chords"
    for note in notes:
        key = (note.onset, note.hand)
        if key in late:
            close = CHORD_SPREAD_MS * (2 if slow else 1)
            step = ROLL_MS if note.role == "rolled" else close
            late[key] += player.ticks(player.random.randint(0, step))
        result.append(late.setdefault(key, 0))
    return result


def touch(notes: list[Note], score: Score, player: Player) -> list[int]:
    """Give each note its velocity: role, section, phrase arc, height and chance."""
    starts = [tick for tick, _, _ in score.sections]
    arcs = phrase_arcs(notes)
    velocities = []
    for note in notes:
        section = score.sections[max(0, bisect_right(starts, note.onset) - 1)]
        level = LOUDNESS[note.role] + note.accent + section[2]
        if note.hand == RIGHT:
            level += arcs.get(note.onset, 0) + (note.pitch - 70) // 3
        level += sum(player.random.randint(-4, 4) for _ in range(2))
        velocities.append(max(18, min(124, level)))
    return velocities


def phrase_arcs(notes: list[Note]) -> dict[int, int]:
    """Return velocity steps by onset: swell in each phrase, accents and ghost notes."""
    top = {note.onset: note for note in notes if note.hand == RIGHT}
    arcs: dict[int, int] = {}
    for phrase in phrases([top[onset] for onset in sorted(top)]):
        for index, note in enumerate(phrase):
            share = index * 100 // len(phrase)
            arcs[note.onset] = (share // 6 if share < 65 else (100 - share) // 3) - 4
        for index in range(1, len(phrase) - 1):
            arcs[phrase[index].onset] += accent(*phrase[index - 1 : index + 2])
    return arcs


def accent(before: Note, note: Note, after: Note) -> int:
    """Return velocity steps for a note: a peak speaks, a low off-beat is swallowed."""
    off_beat = note.onset % TICKS_PER_QUARTER != 0
    if note.pitch > before.pitch and note.pitch > after.pitch:
        return 10 if off_beat else 6
    if note.pitch < before.pitch and note.pitch < after.pitch:
        return -20 if off_beat else -7
    return -5 if off_beat and note.duration < EIGHTH else 0


def playable(notes: list[Sounded]) -> list[Sounded]:
    """End notes early enough for ten fingers, and for each key to be struck again."""
    once = strike_once(sorted(notes, key=lambda note: (note.onset, note.pitch)))
    hands = [
        release(sorted((n for n in once if n.hand == hand), key=lambda n: n.onset))
        for hand in (RIGHT, LEFT)
    ]
    return sorted(
        (note for hand in hands for note in hand), key=lambda n: (n.onset, n.pitch)
    )


def strike_once(notes: list[Sounded]) -> list[Sounded]:
    """Drop a key's second stroke if it comes at once; end the first before another."""
    by_pitch: dict[int, list[Sounded]] = defaultdict(list)
    for note in notes:
        struck = by_pitch[note.pitch]
        if struck and note.onset - struck[-1].onset < 4 * SHORTEST:
            continue
        if struck and struck[-1].end >= note.onset:
            struck[-1] = shortened(struck[-1], note.onset - 2)
        struck.append(note)
    return sorted(
        (n for struck in by_pitch.values() for n in struck),
        key=lambda n: (n.onset, n.pitch),
    )


def shortened(note: Sounded, end: int) -> Sounded:
    """Return a note that stops at an end in ticks."""
    return replace(note, duration=end - note.onset)


def release(notes: list[Sounded]) -> list[Sounded]:
    """Let a hand let go of older notes that it cannot hold together with new ones."""
    held: list[int] = []
    kept = list(notes)
    for index, note in enumerate(notes):
        held = [i for i in held if kept[i].end > note.onset]
        while held and not fits([kept[i].pitch for i in held] + [note.pitch]):
            oldest = held.pop(0)
            kept[oldest] = shortened(kept[oldest], note.onset)
        held.append(index)
    return [note for note in kept if note.duration >= SHORTEST // 2]


def fits(pitches: list[int]) -> bool:
    """Tell whether one hand can hold these pitches."""
    return len(pitches) <= FINGERS and max(pitches) - min(pitches) <= TENTH


def press_pedal(score: Score, notes: list[Note], player: Player) -> list[Press]:
    """Choose where the sustain pedal goes down and up; the last chord always rings."""
    lift = player.ticks(PEDAL_LIFT_MS)
    if player.style.pedal == "chords":
        presses = [(span.start, span.end) for span in score.spans]
    elif player.style.pedal == "bars":
        presses = touched_pedal(score, player.random)
    else:
        presses = held_pedal(score, notes)
    last = score.spans[-2].start
    kept = [p for p in presses if p[1] - p[0] > 3 * lift and p[1] <= last]
    return [(down + lift, up) for down, up in kept] + [(last + lift, score.end)]


def touched_pedal(score: Score, random: Random) -> list[Press]:
    """Touch the pedal for part of a chord, here and there."""
    presses = []
    for span in score.spans:
        if random.random() < 0.6:
            length = span.duration * random.choice((40, 60, 80)) // 100
            presses.append((span.start, span.start + length))
    return presses


def held_pedal(score: Score, notes: list[Note]) -> list[Press]:
    """Hold the pedal only under long right-hand notes."""
    long = [n for n in notes if n.hand == RIGHT and n.duration >= 3 * EIGHTH]
    starts = {n.onset: n.end for n in long}
    presses: list[Press] = []
    changes = score.changes
    for onset in sorted(starts):
        up = min(starts[onset], changes.span_at(onset).end)
        if not presses or onset > presses[-1][1]:
            presses.append((onset, up))
    return presses
