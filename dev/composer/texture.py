"""Right-hand textures: a melody doubled, harmonised, supported or ornamented."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from composer.harmony import Chord
from composer.score import EIGHTH, TICKS_PER_QUARTER, Changes, Note
from composer.voicings import beneath, block, pitches_of

BLUE_CRUSH = 40
# A melody about this pitch or above can be doubled an octave below.
ROOM_BELOW = 73


def under(note: Note, pitches: list[int]) -> list[Note]:
    """Write quieter notes beneath a melody note, with its rhythm."""
    return [
        replace(note, pitch=pitch, role="inner")
        for pitch in pitches
        if pitch != note.pitch
    ]


def octave(note: Note, chord: Chord, random: Random) -> list[Note]:
    """Double a note an octave below, sometimes with a chord tone between."""
    between = pitches_of(chord.tones, note.pitch - 9, note.pitch - 3)
    middle = [random.choice(between)] if between and random.random() < 0.4 else []
    return under(note, [note.pitch - 12, *middle])


def dyad(note: Note, chord: Chord, random: Random) -> list[Note]:
    """Add a third, fourth or sixth below a note."""
    below = pitches_of(chord.tones, note.pitch - 9, note.pitch - 3)
    return under(note, [random.choice(below[-2:])] if below else [])


def locked(note: Note, chord: Chord, random: Random) -> list[Note]:
    """Harmonise a note in close position."""
    return under(note, block(note.pitch, chord, random.choice((2, 3, 3))))


def supported(note: Note, chord: Chord, random: Random) -> list[Note]:
    """Set one to three chord tones under a longer note."""
    return under(note, beneath(note.pitch, chord, random.choice((2, 2, 3))))


TEXTURES = {"octaves": octave, "dyads": dyad, "block": locked, "supported": supported}


@dataclass(frozen=True)
class Dress:
    """A texture, the share of phrases that wear it and the shortest note (ticks)."""

    texture: str
    share: float
    shortest: int


def thicken(
    notes: list[Note], dress: Dress, changes: Changes, random: Random
) -> list[Note]:
    """Dress a share of a melody's phrases; a supporting chord also marks long notes."""
    result = []
    for phrase in phrases(notes):
        worn = random.random() < dress.share
        raised = lifted(phrase) if worn and dress.texture == "octaves" else phrase
        for note in raised:
            result.append(note)
            if note.role != "grace" and carries(note, dress, worn, random):
                chord = changes.heard_with(note.onset, note.duration)
                result += TEXTURES[dress.texture](note, chord, random)
    return result


def carries(note: Note, dress: Dress, worn: bool, random: Random) -> bool:
    """Tell whether a note takes its phrase's texture."""
    if dress.texture == "supported":
        chance = 0.9 if note.duration >= TICKS_PER_QUARTER else 0.15
        return random.random() < (chance if worn else chance / 3)
    return worn and note.duration >= dress.shortest and random.random() < 0.88


def lifted(phrase: list[Note]) -> list[Note]:
    """Move a low phrase up an octave to leave room for its doubling below."""
    middle = sum(note.pitch for note in phrase) // len(phrase)
    return (
        [replace(n, pitch=n.pitch + 12) for n in phrase]
        if middle < ROOM_BELOW
        else phrase
    )


def phrases(line: list[Note]) -> list[list[Note]]:
    """Divide a line where it rests for a beat."""
    result: list[list[Note]] = []
    for note in line:
        if not result or note.onset - result[-1][-1].end >= TICKS_PER_QUARTER:
            result.append([])
        result[-1].append(note)
    return result


def ornament(notes: list[Note], chance: float, random: Random) -> list[Note]:
    """Crush a semitone or tone into some notes reached by leap or from silence."""
    result: list[Note] = []
    for before, note in zip([None, *notes], notes, strict=False):
        apart = (
            before is None
            or note.onset - before.end > EIGHTH
            or note.pitch - before.pitch > 2
        )
        if apart and note.duration >= EIGHTH and random.random() < chance:
            step = random.choice((1, 1, 1, 2))
            result.append(
                Note(
                    note.onset - BLUE_CRUSH,
                    BLUE_CRUSH,
                    note.pitch - step,
                    role="grace",
                    swung=note.swung,
                )
            )
        result.append(note)
    return result


def vary(notes: list[Note], changes: Changes, random: Random) -> list[Note]:
    """Play a melody again with small liberties of rhythm and turns on long notes."""
    result: list[Note] = []
    for note in notes:
        free = random.random()
        if free < 0.12 and note.duration > EIGHTH and note.swung:
            shift = random.choice((-EIGHTH, EIGHTH))
            result.append(replace(note, onset=note.onset + shift))
        elif free < 0.24 and note.duration >= 2 * EIGHTH:
            result += turned(note, changes.at(note.onset), random)
        else:
            result.append(note)
    return result


def turned(note: Note, chord: Chord, random: Random) -> list[Note]:
    """Break a long note into itself, a neighbour and itself or a chord tone."""
    scale = [
        p
        for p in pitches_of(chord.scale, note.pitch - 4, note.pitch + 4)
        if p != note.pitch
    ]
    steps = (
        (EIGHTH // 2, EIGHTH // 2) if note.duration < 3 * EIGHTH else (EIGHTH, EIGHTH)
    )
    first = replace(note, duration=steps[0])
    second = replace(
        note, onset=note.onset + steps[0], duration=steps[1], pitch=random.choice(scale)
    )
    third = replace(note, onset=second.end, duration=note.duration - sum(steps))
    return [first, second] + ([third] if third.duration > 0 else [])


def offbeat_answers(
    gaps: list[tuple[int, int]], changes: Changes, top: int, random: Random
) -> list[Note]:
    """Answer with a right-hand chord or two in the gaps (ticks) of a melody."""
    notes = []
    for start, end in gaps:
        for at in random.sample(
            range(start, end, EIGHTH), min(2, (end - start) // EIGHTH)
        ):
            chord = changes.heard_with(at, EIGHTH)
            voicing = beneath(top + random.randint(-4, 4), chord, 3)
            length = random.choice((EIGHTH // 2, EIGHTH, 2 * EIGHTH))
            notes += [Note(at, length, pitch, role="inner") for pitch in voicing]
    return notes


def gaps_between(
    notes: list[Note], start: int, end: int, least: int
) -> list[tuple[int, int]]:
    """List the silences of at least so many ticks within a stretch."""
    edges = [(start, start), *((n.onset, n.end) for n in notes), (end, end)]
    ordered = sorted(edges)
    found, sounding = [], start
    for onset, stop in ordered:
        if onset - sounding >= least:
            found.append((sounding, onset))
        sounding = max(sounding, stop)
    return found
