"""Forms and changes: a grammar that writes a tune's chords in C, then moves them.

Phrases are written as plain symbols, bars between `|`; `compose_form` joins them,
leads each section into the next, colours the chords and transposes the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from composer.harmony import (
    Chord,
    colour,
    parse_chord,
    plain_chord,
    tritone_substitute,
)
from composer.score import TICKS_PER_QUARTER, Span

Bar = list[Chord]

# Four bars that leave home, four that stay open, four that come home.
LEAVING = {
    "major": (
        "Cmaj7 | Em7 A7 | Dm7 | G7",
        "Cmaj7 | Ebdim7 | Dm7 | Db7",
        "Cmaj7 | Bm7b5 E7 | Am7 | Gm7 C7",
        "Cmaj7 | Fm7 Bb7 | Em7 A7 | Dm7 G7",
        "Dm7 | G7 | Cmaj7 | Em7 A7",
        "Cmaj7 | Bb7 A7 | Dm7 | Ab7 G7",
        "Am7 | D7 | Dm7 | G7",
        "Fmaj7 | Fm6 | Em7 | A7",
        "Cmaj7 C#dim7 | Dm7 D#dim7 | Em7 | Am7 D7",
        "Dm7 G7 | Em7 Eb7 | Dm7 G7 | Gm7 C7",
        "Cmaj7 | F#m7b5 B7 | Em7 A7 | Dm7 G7",
    ),
    "minor": (
        "Cm6 | Dm7b5 G7 | Cm6 | Gm7b5 C7",
        "Cm7 | Fm7 | Bb7 | Ebmaj7",
        "Cm6 | Ab7 | Dm7b5 | G7",
        "Fm7 | Bb7 | Ebmaj7 | Abmaj7",
        "Cm6 | Am7b5 | Dm7b5 G7 | Cm7 F7",
        "Cm6 | Cm6 | Abmaj7 Db7 | Dm7b5 G7",
    ),
}
OPEN = {
    "major": (
        "Fmaj7 | Fm7 Bb7 | Em7 A7 | Dm7 G7",
        "Dm7 | Fm6 | Em7 Eb7 | Dm7 G7",
        "Am7 | D7 | Am7 D7 | Dm7 G7",
        "Fmaj7 | F#dim7 | Em7 A7 | D7 G7",
        "Em7 | A7 | Am7 D7 | Dm7 Db7",
        "Abmaj7 | Ab6 | Dm7 | G7",
    ),
    "minor": (
        "Fm7 | Bb7 | Ebmaj7 | Dm7b5 G7",
        "Abmaj7 | Fm7 | Dm7b5 | G7",
        "Cm7 F7 | Bbm7 Eb7 | Abmaj7 | Dm7b5 G7",
        "Fm6 | Cm6 | Ab7 | G7",
    ),
}
HOME = {
    "major": (
        "Dm7 | G7 | Cmaj7 | C6",
        "Dm7 G7 | Em7 A7 | Dm7 G7 | C6",
        "Fmaj7 Fm6 | Em7 A7 | Dm7 G7 | C6",
        "Am7 D7 | Dm7 G7 | Cmaj7 | C6",
        "D7 | Dm7 G7 | C6 | C6",
        "Em7b5 A7 | Dm7 Db7 | Cmaj7 | C6",
        "Em7 Eb7 | Dm7 G7 | C6 | C6",
    ),
    "minor": (
        "Dm7b5 | G7 | Cm6 | Cm6",
        "Ab7 | G7 | Cm6 | Cm6",
        "Fm7 Dm7b5 | G7 | Cm6 | Cm6",
        "Dm7b5 G7 | Cm6 Ab7 | Dm7b5 G7 | Cm6",
    ),
}
# Twelve bars in groups of four, a choice for each. Chords at rest are spelled out
# here (`C13`, `F9`); those that move on stay plain, to be coloured by where they go.
BLUES = {
    "blues": (
        ("C13 | C9 | C13 | C7", "C9 | F9 | C13 | C7", "C13 | F9 F#dim7 | C9 | Gm7 C7"),
        ("F13 | F9 | C13 | C9", "F9 | F#dim7 | C13 | A7", "F13 | Fm6 | C9 | Em7 A7"),
        (
            "G7 | F9 | C13 | G7",
            "Dm7 | G7 | C13 A7 | Dm7 G7",
            "D7 | G7 | C9 F9 | C13 G7",
        ),
    ),
    "minor blues": (
        ("Cm7 | Cm7 | Cm7 | C7", "Cm6 | Fm7 | Cm6 | Gm7b5 C7"),
        ("Fm7 | Fm7 | Cm7 | Cm7", "Fm7 | Bb7 | Cm6 | Am7b5", "Fm6 | Fm6 | Cm6 | Bb9"),
        ("Ab7 | G7 | Cm7 | G7", "Dm7b5 | G7 | Cm6 Ab7 | Dm7b5 G7"),
    ),
    "bebop blues": (
        ("C6 | Bm7b5 E7 | Am7 D7 | Gm7 C7", "C13 | F9 F#dim7 | C13 | Gm7 Gb7"),
        ("F9 | Fm7 Bb7 | Em7 A7 | Ebm7 Ab7", "F6 | Fm7 Bb7 | C6 | Em7b5 A7"),
        ("Dm7 | G7 | Em7 A7 | Dm7 G7", "Dm7 | Dm7 Db7 | C6 Eb7 | Ab7 G7"),
    ),
}
RHYTHM_PAIRS = (
    "C6 A7 | Dm7 G7",
    "C6 C#dim7 | Dm7 D#dim7",
    "Em7 A7 | Dm7 G7",
    "Cmaj7 Eb7 | Ab7 G7",
    "Em7 Eb7 | Dm7 Db7",
    "C6 Am7 | D7 G7",
)
RHYTHM_TAILS = (
    "Gm7 C7 | F6 F#dim7 | C6 A7 | Dm7 G7",
    "C7 | F7 Bb7 | Em7 A7 | Dm7 G7",
    "C7 | F6 Fm6 | Em7 A7 | Dm7 G7",
)
RHYTHM_BRIDGES = (
    "E7 | E7 | A7 | A7 | D7 | D7 | G7 | G7",
    "Bm7 | E7 | Em7 | A7 | Am7 | D7 | Dm7 | G7",
    "E7 | Bb7 | A7 | Eb7 | D7 | Ab7 | G7 | Dm7 G7",
)
STRIDE_OPENINGS = (
    "C6 | A7 | D7 | G7",
    "C6 C#dim7 | Dm7 G7 | C6 Ebdim7 | Dm7 G7",
    "C6 E7 | Am7 C7 | F6 F#dim7 | C6 A7",
    "C6 B7 | C6 A7 | D7 | G7",
    "C6 | E7 | A7 | D7 G7",
    "C6 Am7 | D7 G7 | Em7 A7 | Dm7 G7",
)
STRIDE_HOMES = (
    "F6 F#dim7 | C6 A7 | D7 G7 | C6",
    "D7 | G7 | C6 F7 | C6",
    "F6 Fm6 | C6 A7 | Dm7 G7 | C6",
)
GOSPEL_OPENINGS = (
    "C | C7/E | F6 | F#dim7",
    "C G/B | Am7 | F | C/G G7sus4",
    "C | Em7 Am7 | Dm7 | F/G G7",
    "C C7/E | F Fm6 | C/G A7 | Dm7 G7sus4",
    "Am7 | Em7 | F6 | C/E F",
    "F | C/E | Dm7 | C C7",
)
GOSPEL_HOMES = (
    "C/G A7 | D7 G7sus4 | C F | C",
    "F F#dim7 | C/G A7 | Dm7 G7 | C F/C",
    "Dm7 Em7 | F G7sus4 | C Fm6 | C",
    "C/G E7 | Am7 D7 | F/G G7 | C F/C",
)
LATIN_OPENINGS = (
    "Cm7 | F7 | Cm7 | F7",
    "Cm7 | Fm7 | G7 | Cm7",
    "Cm6 Bb7 | Ab7 G7 | Cm6 Bb7 | Ab7 G7",
    "Cm7 Fm7 | G7 | Fm7 G7 | Cm7",
    "Abmaj7 | Gm7 | Fm7 | G7",
)
LATIN_OPEN = (
    "Fm7 | Bb7 | Ebmaj7 | G7",
    "Abmaj7 | Bb7 | Gm7 C7 | Fm7 G7",
    "Fm7 | Cm7 | Ab7 | G7",
)
BOSSA_OPENINGS = (
    "Cmaj7 | Ebdim7 | Dm7 | G7",
    "Cmaj7 | Fm6 | Em7 | Eb7",
    "Cmaj7 | Cmaj7 | Bm7b5 | E7",
    "Dm7 | Db7 | Cmaj7 | A7",
    "Cmaj7 | Abmaj7 | Dm7 | G7sus4",
    "Em7 | A7 | Dm7 | Bb7",
)
MODAL_SHIFTS = (1, 3, 5, -2, -4)
KEY_AREAS = (3, 4, 5, 8, 9, 1, 10)
SIGNATURES = {
    0: 0,
    7: 1,
    2: 2,
    9: 3,
    4: 4,
    11: 5,
    5: -1,
    10: -2,
    3: -3,
    8: -4,
    1: -5,
    6: -6,
}


@dataclass(frozen=True)
class Section:
    """A labelled stretch of a form and its bars of chords."""

    label: str
    bars: list[Bar]


@dataclass(frozen=True)
class Form:
    """A tune's sections in order, its key (pitch class, C is 0) and its mode."""

    sections: list[Section]
    tonic: int
    minor: bool

    @property
    def accidentals(self) -> int:
        """Return the key signature: sharps above zero, flats below."""
        return SIGNATURES[(self.tonic + 3 * self.minor) % 12]

    @property
    def bars(self) -> list[Bar]:
        """Return all bars of one chorus."""
        return [bar for section in self.sections for bar in section.bars]


def read_bars(text: str) -> list[Bar]:
    """Read bars of chord symbols divided by `|`."""
    return [[parse_chord(symbol) for symbol in bar.split()] for bar in text.split("|")]


def write_spans(bars: list[Bar], start: int, beats: int) -> list[Span]:
    """Lay bars of so many beats in time from a start in ticks."""
    spans = []
    for number, bar in enumerate(bars):
        at = start + number * beats * TICKS_PER_QUARTER
        for chord, length in zip(bar, split_beats(len(bar), beats), strict=True):
            duration = length * TICKS_PER_QUARTER
            spans.append(Span(at, duration, chord))
            at += duration
    return spans


def split_beats(chords: int, beats: int) -> list[int]:
    """Share a bar's beats among its chords, the first taking what is left over."""
    each = beats // chords
    return [beats - each * (chords - 1)] + [each] * (chords - 1)


def moved(bars: list[Bar], semitones: int) -> list[Bar]:
    """Transpose bars."""
    return [[chord.transposed(semitones) for chord in bar] for bar in bars]


def coloured(bars: list[Bar], random: Random) -> list[Bar]:
    """Extend and alter the chords of bars, each by the chord that follows it."""
    flat = [chord for bar in bars for chord in bar]
    rich = iter([colour(one, two, random) for one, two in pairwise([*flat, flat[0]])])
    return [[next(rich) for _ in bar] for bar in bars]


def reharmonised(bars: list[Bar], chance: float, random: Random) -> list[Bar]:
    """Replace some resolving dominants by their tritone substitutes or split them."""
    flat = [bar[0] for bar in bars[1:]] + [bars[0][0]]
    return [
        vary_bar(bar, following, random) if random.random() < chance else bar
        for bar, following in zip(bars, flat, strict=True)
    ]


def vary_bar(bar: Bar, following: Chord, random: Random) -> Bar:
    """Vary a bar whose last chord is a dominant that falls a fifth."""
    last = bar[-1]
    if not last.is_dominant or (last.root - following.root) % 12 != 7:
        return bar
    substitute = colour(tritone_substitute(last), following, random)
    if len(bar) > 1 or random.random() < 0.4:
        return [*bar[:-1], substitute]
    if random.random() < 0.5:
        return [last, substitute]
    quality = "m7b5" if following.is_minor else "m9"
    return [plain_chord(last.root + 7, quality), last]


def turnaround(tonic: Chord, target: Chord, random: Random) -> Bar:
    """Write a last bar that leads from home to the next section's first chord."""
    if target.root == tonic.root and random.random() < 0.3:
        return [plain_chord(tonic.root + 3, "7"), plain_chord(target.root + 1, "7")]
    second = plain_chord(target.root + 2, "m7b5" if target.is_minor else "m7")
    if random.random() < 0.25:
        return [second, plain_chord(target.root + 1, "7")]
    return [second, plain_chord(target.root + 7, "7")]


def joined(sections: list[Section], random: Random) -> list[Section]:
    """Lead each section that rests at home into the section after it."""
    following = [*sections[1:], sections[0]]
    result = []
    for section, after in zip(sections, following, strict=True):
        bars = list(section.bars)
        if rests_at_home(bars):
            bars[-1] = turnaround(bars[-1][0], after.bars[0][0], random)
        result.append(Section(section.label, bars))
    return result


def rests_at_home(bars: list[Bar]) -> bool:
    """Tell whether the last two bars stand still on one root."""
    return len({chord.root for bar in bars[-2:] for chord in bar}) == 1


def pick(options: tuple[str, ...], random: Random) -> list[Bar]:
    """Choose one phrase and read it."""
    return read_bars(random.choice(options))


def key_centres(random: Random) -> list[Bar]:
    """Write an eight-bar bridge through one foreign key and back to C."""
    area = random.choice(KEY_AREAS)
    there = moved(
        read_bars(
            random.choice(("Dm7 | G7 | Cmaj7 | C6", "Dm7 G7 | Cmaj7 Am7 | Dm7 G7 | C6"))
        ),
        area,
    )
    back = random.choice(
        ("Dm7 | G7", "D7 | Dm7 G7", "Abmaj7 | Dm7 G7", "Am7 D7 | Dm7 Db7")
    )
    second = moved(read_bars("Dm7 G7 | Cmaj7"), random.choice((2, 3, 5, 9, 10)))
    return there + second + read_bars(back)


def standard(mode: str, wandering: bool, random: Random) -> list[Section]:
    """Write a 32-bar tune, AABA or ABAC; a wandering one changes key in its bridge."""
    opening, home = pick(LEAVING[mode], random), pick(HOME[mode], random)
    if random.random() < 0.6:
        bridge = key_centres(random) if wandering else two_phrases(mode, random)
        first = Section("A", opening + home)
        return [first, first, Section("B", bridge), first]
    first = Section("A", opening + pick(OPEN[mode], random))
    middle = key_centres(random) if wandering else two_phrases(mode, random)
    last = Section("C", pick(OPEN[mode], random) + home)
    return [first, Section("B", middle), first, last]


def two_phrases(mode: str, random: Random) -> list[Bar]:
    """Write eight bars that stay in the key and end open."""
    one, two = random.sample(OPEN[mode], 2)
    return read_bars(one) + read_bars(two)


def blues(kind: str, random: Random) -> list[Section]:
    """Write a 12-bar blues of a kind twice, the second time with another middle."""
    opening, middle, end = (pick(choices, random) for choices in BLUES[kind])
    again = pick(BLUES[kind][1], random)
    return [Section("A", opening + middle + end), Section("A", opening + again + end)]


def rhythm_changes(random: Random) -> list[Section]:
    """Write 32 bars of rhythm changes."""
    pairs = " | ".join(random.sample(RHYTHM_PAIRS, 2))
    first = Section("A", read_bars(pairs) + pick(RHYTHM_TAILS, random))
    second = Section("A", read_bars(pairs) + read_bars("C7 | F6 Fm6 | C6 G7 | C6"))
    return [first, second, Section("B", pick(RHYTHM_BRIDGES, random)), second]


def modal(random: Random) -> list[Section]:
    """Write 32 bars on two or three modes."""
    home = read_bars(
        " | ".join(
            random.choice(
                (
                    ["Cm11"] * 8,
                    ["Cm11"] * 4 + ["Abmaj7#11"] * 4,
                    ["Cm11"] * 6 + ["Bb13sus4"] * 2,
                )
            )
        )
    )
    away = moved(read_bars(" | ".join(["Cm11"] * 8)), random.choice(MODAL_SHIFTS))
    if random.random() < 0.5:
        away[4:] = moved(
            read_bars(" | ".join(["C13sus4"] * 4)), random.choice(MODAL_SHIFTS)
        )
    first = Section("A", home)
    return [first, first, Section("B", away), first]


def song(pools: tuple[tuple[str, ...], ...], random: Random) -> list[Section]:
    """Write AABA from pools of openings, homes and bridge phrases."""
    openings, homes, bridges = pools
    first = Section("A", pick(openings, random) + pick(homes, random))
    bridge = [bar for text in random.sample(bridges, 2) for bar in read_bars(text)]
    return [first, first, Section("B", bridge), first]


def gospel(random: Random) -> list[Section]:
    """Write AABA in which both eight-bar sections end alike."""
    one, two = random.sample(GOSPEL_OPENINGS, 2)
    home = pick(GOSPEL_HOMES, random)
    first = Section("A", read_bars(one) + home)
    return [first, first, Section("B", read_bars(two) + home), first]


POOLS = {
    "stride": (STRIDE_OPENINGS, STRIDE_HOMES, OPEN["major"]),
    "latin": (LATIN_OPENINGS, HOME["minor"], LATIN_OPEN),
    "bossa": (BOSSA_OPENINGS, HOME["major"], OPEN["major"]),
}
WRITERS = {"rhythm changes": rhythm_changes, "modal": modal, "gospel": gospel}
# Styles whose chords are plain by nature keep them so.
PLAIN_FORMS = ("gospel", "stride", "modal")


def write_sections(kind: str, minor: bool, random: Random) -> list[Section]:
    """Write a form of a kind in C, its chords still plain."""
    if kind in BLUES:
        return blues(kind, random)
    if kind in POOLS:
        return song(POOLS[kind], random)
    if kind in WRITERS:
        return WRITERS[kind](random)
    return standard("minor" if minor else "major", kind == "wandering", random)


def compose_form(kind: str, tonic: int, minor: bool, random: Random) -> Form:
    """Write the changes of a tune of a kind in a key (pitch class, C is 0)."""
    sections = joined(write_sections(kind, minor, random), random)
    written: list[Section] = []
    for section in sections:
        first = sections.index(section)
        if first < len(written):
            written.append(written[first])
            continue
        bars = section.bars if kind in PLAIN_FORMS else coloured(section.bars, random)
        written.append(Section(section.label, moved(bars, tonic)))
    return Form(written, tonic, minor)
