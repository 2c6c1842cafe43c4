"""Chords: what a symbol means, which scale goes with it, how it may be coloured."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random

# Names along the line of fifths; C stands at index 6.
FIFTHS = (
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
    "G#",
    "D#",
    "A#",
)
C_INDEX = 6
# A key spells its chords from the flat second to the sharp fourth; chords with a
# diminished fifth lean upwards and take sharps.
FLAT_SIDE, LEANING_SIDE = -5, -1
NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SYMBOL = re.compile(r"^([A-G])([b#]?)([^/]*)(?:/([A-G][b#]?))?$")

IONIAN = (0, 2, 4, 5, 7, 9, 11)
LYDIAN = (0, 2, 4, 6, 7, 9, 11)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
MELODIC_MINOR = (0, 2, 3, 5, 7, 9, 11)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
LYDIAN_DOMINANT = (0, 2, 4, 6, 7, 9, 10)
PHRYGIAN_DOMINANT = (0, 1, 4, 5, 7, 8, 10)
ALTERED = (0, 1, 3, 4, 6, 8, 10)
HALF_WHOLE = (0, 1, 3, 4, 6, 7, 9, 10)
WHOLE_HALF = (0, 2, 3, 5, 6, 8, 9, 11)
LOCRIAN_NATURAL_NINE = (0, 2, 3, 5, 6, 8, 10)
MIXOLYDIAN_FLAT_SIX = (0, 2, 4, 5, 7, 8, 10)
BLUES = (0, 3, 5, 6, 7, 10)


@dataclass(frozen=True)
class Quality:
    """A kind of chord in semitones above the root.

    `tones` are those its symbol names, `guides` the two that give it its colour,
    `colours` the ones that a pianist adds, `scale` the one a line moves in.
    """

    tones: tuple[int, ...]
    guides: tuple[int, ...]
    colours: tuple[int, ...]
    scale: tuple[int, ...]


QUALITIES = {
    "": Quality((0, 4, 7), (4, 0), (7, 2), IONIAN),
    "6": Quality((0, 4, 7, 9), (4, 9), (7, 2), IONIAN),
    "69": Quality((0, 4, 7, 9, 2), (4, 9), (2, 7), IONIAN),
    "maj7": Quality((0, 4, 7, 11), (4, 11), (7, 2), IONIAN),
    "maj9": Quality((0, 4, 7, 11, 2), (4, 11), (2, 7), IONIAN),
    "maj7#11": Quality((0, 4, 7, 11, 6), (4, 11), (6, 2), LYDIAN),
    "m": Quality((0, 3, 7), (3, 0), (7, 2), DORIAN),
    "m7": Quality((0, 3, 7, 10), (3, 10), (7, 2), DORIAN),
    "m9": Quality((0, 3, 7, 10, 2), (3, 10), (2, 7), DORIAN),
    "m11": Quality((0, 3, 7, 10, 2, 5), (3, 10), (5, 2), DORIAN),
    "m6": Quality((0, 3, 7, 9), (3, 9), (7, 2), MELODIC_MINOR),
    "m69": Quality((0, 3, 7, 9, 2), (3, 9), (2, 7), MELODIC_MINOR),
    "mmaj7": Quality((0, 3, 7, 11), (3, 11), (7, 2), MELODIC_MINOR),
    "m7b5": Quality((0, 3, 6, 10), (3, 10), (6, 0), LOCRIAN_NATURAL_NINE),
    "dim7": Quality((0, 3, 6, 9), (3, 9), (6, 0), WHOLE_HALF),
    "7": Quality((0, 4, 7, 10), (4, 10), (7, 2), MIXOLYDIAN),
    "9": Quality((0, 4, 7, 10, 2), (4, 10), (2, 7), MIXOLYDIAN),
    "13": Quality((0, 4, 7, 10, 2, 9), (4, 10), (9, 2), MIXOLYDIAN),
    "7b9": Quality((0, 4, 7, 10, 1), (4, 10), (1, 7), PHRYGIAN_DOMINANT),
    "13b9": Quality((0, 4, 7, 10, 1, 9), (4, 10), (1, 9), HALF_WHOLE),
    "7#9": Quality((0, 4, 7, 10, 3), (4, 10), (3, 7), HALF_WHOLE),
    "7b13": Quality((0, 4, 7, 10, 8), (4, 10), (8, 2), MIXOLYDIAN_FLAT_SIX),
    "7#11": Quality((0, 4, 7, 10, 6), (4, 10), (6, 2), LYDIAN_DOMINANT),
    "7alt": Quality((0, 4, 10, 1, 3, 6, 8), (4, 10), (3, 8), ALTERED),
    "7sus4": Quality((0, 5, 7, 10), (5, 10), (7, 2), MIXOLYDIAN),
    "9sus4": Quality((0, 5, 7, 10, 2), (5, 10), (2, 7), MIXOLYDIAN),
    "13sus4": Quality((0, 5, 7, 10, 2, 9), (5, 10), (9, 2), MIXOLYDIAN),
}
MINOR_QUALITIES = frozenset({"m", "m7", "m9", "m11", "m6", "m69", "mmaj7", "m7b5"})
# What a plain symbol may become. A dominant is coloured by where it goes.
RICHER = {
    "maj7": ("maj7", "maj9", "maj9", "69"),
    "6": ("6", "69", "69", "maj9"),
    "m7": ("m7", "m9", "m9", "m11"),
    "m6": ("m6", "m69", "mmaj7"),
}
TO_MINOR = ("7b9", "7b9", "7alt", "7b13", "7#9")
TO_MAJOR = ("13", "9", "13", "7", "7b9", "13b9", "7alt")
DOWN_A_SEMITONE = ("7#11", "9", "13", "7#11")
AT_REST = ("9", "13", "7")


@dataclass(frozen=True)
class Chord:
    """A chord: root and bass as pitch classes (C is 0) and the name of its quality."""

    root: int
    quality: str
    bass: int

    @property
    def tones(self) -> tuple[int, ...]:
        """Return the pitch classes that the symbol names."""
        return self._above_root(QUALITIES[self.quality].tones)

    @property
    def guides(self) -> tuple[int, ...]:
        """Return the pitch classes of third and seventh (or what stands for them)."""
        return self._above_root(QUALITIES[self.quality].guides)

    @property
    def colours(self) -> tuple[int, ...]:
        """Return the pitch classes that a pianist adds first."""
        return self._above_root(QUALITIES[self.quality].colours)

    @property
    def scale(self) -> tuple[int, ...]:
        """Return the pitch classes in which a line moves."""
        return self._above_root(QUALITIES[self.quality].scale)

    @property
    def is_dominant(self) -> bool:
        """Tell whether the chord wants to resolve down a fifth."""
        return {4, 10} <= set(QUALITIES[self.quality].tones)

    @property
    def is_minor(self) -> bool:
        """Tell whether the chord has a minor third and no diminished seventh."""
        return self.quality in MINOR_QUALITIES

    def _above_root(self, intervals: tuple[int, ...]) -> tuple[int, ...]:
        """Return intervals above the root as pitch classes."""
        return tuple((self.root + interval) % 12 for interval in intervals)

    def transposed(self, semitones: int) -> Chord:
        """Return the chord some semitones higher."""
        bass = (self.bass + semitones) % 12
        return replace(self, root=(self.root + semitones) % 12, bass=bass)

    def with_quality(self, quality: str) -> Chord:
        """Return a chord of another quality on the same root."""
        return replace(self, quality=quality)

    def symbol(self, accidentals: int) -> str:
        """Write the chord's symbol in a key signature (sharps positive)."""
        leans = self.quality in ("dim7", "m7b5")
        lowest = accidentals + (LEANING_SIDE if leans else FLAT_SIDE)
        slash = "" if self.bass == self.root else f"/{spell(self.bass, lowest)}"
        return f"{spell(self.root, lowest)}{self.quality}{slash}"


def spell(pitch_class: int, lowest: int) -> str:
    """Name a pitch class no flatter than a place on the line of fifths (C is 0)."""
    places = [
        place
        for place in range(-C_INDEX, len(FIFTHS) - C_INDEX)
        if place * 7 % 12 == pitch_class
    ]
    place = next((place for place in places if place >= lowest), places[-1])
    return FIFTHS[place + C_INDEX]


def pitch_class(name: str) -> int:
    """Return the pitch class of a note name such as `Eb`."""
    shift = name[1:].count("#") - name[1:].count("b")
    return (NATURALS[name[0]] + shift) % 12


def parse_chord(symbol: str) -> Chord:
    """Read a chord symbol such as `G7b9` or `C/E`."""
    match = SYMBOL.match(symbol)
    if match is None or match[3] not in QUALITIES:
        raise ValueError(f"{symbol!r} is no chord symbol that this program knows")
    root = pitch_class(match[1] + match[2])
    return Chord(root, match[3], pitch_class(match[4]) if match[4] else root)


def plain_chord(root: int, quality: str) -> Chord:
    """Return a chord in root position; the root may be any whole number."""
    return Chord(root % 12, quality, root % 12)


def tritone_substitute(chord: Chord) -> Chord:
    """Return the dominant a tritone away, which shares third and seventh."""
    return plain_chord(chord.root + 6, "7")


def colour(chord: Chord, following: Chord, random: Random) -> Chord:
    """Extend or alter a plain chord as its place before the following one allows."""
    if chord.quality == "7":
        return chord.with_quality(random.choice(dominant_colours(chord, following)))
    return chord.with_quality(
        random.choice(RICHER.get(chord.quality, (chord.quality,)))
    )


def dominant_colours(chord: Chord, following: Chord) -> tuple[str, ...]:
    """List the qualities that suit a dominant chord before the following one."""
    fall = (chord.root - following.root) % 12
    if fall == 7:
        return TO_MINOR if following.is_minor else TO_MAJOR
    return DOWN_A_SEMITONE if fall == 1 else AT_REST
