"""Styles: metre, tempo, forms, touch and the manners of both hands."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from composer.improvisation import Fluency

# Weights of the gaps between a motif's onsets, in ticks.
SWINGING = MappingProxyType({240: 6, 480: 4, 720: 3, 960: 1})
EVEN = MappingProxyType({240: 4, 480: 4, 720: 4, 960: 1})
SINGING = MappingProxyType({240: 4, 480: 5, 720: 2, 960: 2, 120: 1})
BUSY = MappingProxyType({240: 9, 480: 3, 720: 2})


@dataclass(frozen=True)
class Style:
    """How a kind of piece goes; tempos in bpm, lag in ms, looseness in ms."""

    beats: int
    tempos: tuple[int, int]
    forms: tuple[str, ...]
    minor: bool
    swing: bool
    gaps: MappingProxyType
    head: tuple[str, ...]
    solo: tuple[str, ...]
    textures: tuple[str, ...]
    pedal: str
    lag: int
    looseness: int
    blue: float


STYLES = {
    "blues": Style(
        beats=4,
        tempos=(84, 176),
        forms=("blues",),
        minor=False,
        swing=True,
        gaps=SWINGING,
        head=("two feel", "shells"),
        solo=("walking", "rootless", "shells"),
        textures=("dyads", "supported", "octaves"),
        pedal="rests",
        lag=16,
        looseness=9,
        blue=0.4,
    ),
    "minor blues": Style(
        beats=4,
        tempos=(96, 200),
        forms=("minor blues",),
        minor=True,
        swing=True,
        gaps=SWINGING,
        head=("shells", "rootless"),
        solo=("walking", "rootless"),
        textures=("supported", "dyads", "octaves"),
        pedal="rests",
        lag=14,
        looseness=9,
        blue=0.35,
    ),
    "bebop blues": Style(
        beats=4,
        tempos=(150, 240),
        forms=("bebop blues",),
        minor=False,
        swing=True,
        gaps=BUSY,
        head=("shells", "rootless"),
        solo=("walking", "rootless", "shells"),
        textures=("supported", "block"),
        pedal="rests",
        lag=12,
        looseness=8,
        blue=0.15,
    ),
    "rhythm changes": Style(
        beats=4,
        tempos=(170, 270),
        forms=("rhythm changes",),
        minor=False,
        swing=True,
        gaps=BUSY,
        head=("shells", "two feel"),
        solo=("walking", "shells", "rootless"),
        textures=("dyads", "block"),
        pedal="rests",
        lag=10,
        looseness=8,
        blue=0.18,
    ),
    "standard": Style(
        beats=4,
        tempos=(110, 190),
        forms=("wandering",),
        minor=False,
        swing=True,
        gaps=SWINGING,
        head=("two feel", "rootless"),
        solo=("rootless", "walking", "shells"),
        textures=("supported", "block", "octaves"),
        pedal="rests",
        lag=14,
        looseness=10,
        blue=0.12,
    ),
    "modal": Style(
        beats=4,
        tempos=(120, 210),
        forms=("modal",),
        minor=True,
        swing=True,
        gaps=SWINGING,
        head=("quartal",),
        solo=("quartal", "rootless"),
        textures=("supported", "octaves"),
        pedal="bars",
        lag=14,
        looseness=10,
        blue=0.2,
    ),
    "bossa nova": Style(
        beats=4,
        tempos=(112, 150),
        forms=("bossa",),
        minor=False,
        swing=False,
        gaps=EVEN,
        head=("bossa",),
        solo=("bossa", "rootless"),
        textures=("supported", "dyads", "octaves"),
        pedal="bars",
        lag=14,
        looseness=9,
        blue=0.05,
    ),
    "ballad": Style(
        beats=4,
        tempos=(55, 76),
        forms=("standard", "wandering"),
        minor=False,
        swing=True,
        gaps=SINGING,
        head=("broken tenths", "ballad chords"),
        solo=("ballad chords", "broken tenths"),
        textures=("supported", "block", "octaves"),
        pedal="chords",
        lag=22,
        looseness=22,
        blue=0.1,
    ),
    "jazz waltz": Style(
        beats=3,
        tempos=(112, 190),
        forms=("standard", "wandering"),
        minor=False,
        swing=True,
        gaps=SWINGING,
        head=("waltz",),
        solo=("waltz", "rootless", "walking"),
        textures=("supported", "block", "dyads"),
        pedal="bars",
        lag=16,
        looseness=11,
        blue=0.1,
    ),
    "stride": Style(
        beats=4,
        tempos=(132, 216),
        forms=("stride",),
        minor=False,
        swing=True,
        gaps=BUSY,
        head=("stride",),
        solo=("stride",),
        textures=("dyads", "octaves", "block"),
        pedal="rests",
        lag=8,
        looseness=9,
        blue=0.15,
    ),
    "gospel": Style(
        beats=4,
        tempos=(66, 100),
        forms=("gospel",),
        minor=False,
        swing=True,
        gaps=SINGING,
        head=("gospel",),
        solo=("gospel", "walking"),
        textures=("supported", "block", "octaves"),
        pedal="chords",
        lag=18,
        looseness=14,
        blue=0.45,
    ),
    "latin": Style(
        beats=4,
        tempos=(150, 220),
        forms=("latin",),
        minor=True,
        swing=False,
        gaps=EVEN,
        head=("tumbao",),
        solo=("tumbao", "rootless"),
        textures=("octaves", "dyads", "block"),
        pedal="rests",
        lag=4,
        looseness=8,
        blue=0.12,
    ),
    "bebop": Style(
        beats=4,
        tempos=(210, 280),
        forms=("standard", "rhythm changes", "wandering"),
        minor=False,
        swing=True,
        gaps=BUSY,
        head=("shells", "rootless"),
        solo=("shells", "walking", "rootless"),
        textures=("supported", "block"),
        pedal="rests",
        lag=8,
        looseness=7,
        blue=0.08,
    ),
    "medium swing": Style(
        beats=4,
        tempos=(112, 176),
        forms=("standard",),
        minor=False,
        swing=True,
        gaps=SWINGING,
        head=("two feel", "rootless"),
        solo=("walking", "rootless", "shells"),
        textures=("supported", "block", "octaves"),
        pedal="rests",
        lag=16,
        looseness=9,
        blue=0.18,
    ),
}
# Figures a beat by the fastest tempo (bpm) at which a hand plays them.
FIGURES_BY_TEMPO = (
    (
        84,
        {
            "eighths": 3,
            "triplet": 4,
            "sixteenths": 6,
            "turn": 2,
            "gallop": 3,
            "late": 2,
            "quarter": 1,
            "skip": 2,
        },
        (5, 10),
        (1, 3),
    ),
    (
        125,
        {
            "eighths": 8,
            "triplet": 4,
            "sixteenths": 3,
            "turn": 2,
            "gallop": 2,
            "quarter": 2,
            "push": 2,
            "skip": 1,
            "late": 1,
        },
        (5, 11),
        (1, 3),
    ),
    (
        180,
        {"eighths": 14, "triplet": 3, "turn": 2, "quarter": 3, "push": 3},
        (5, 14),
        (1, 4),
    ),
    (400, {"eighths": 18, "triplet": 1, "quarter": 2, "push": 2}, (6, 18), (2, 5)),
)
BROAD_FIGURES = {"quarter": 5, "push": 4, "eighths": 5, "triplet": 1}


def fluency(style: Style, tempo: int) -> Fluency:
    """Return how a player phrases single lines in a style at a tempo (bpm)."""
    _, figures, phrase, rest = next(row for row in FIGURES_BY_TEMPO if tempo <= row[0])
    return Fluency(figures, phrase, rest, 57, 84, style.blue)


def broad_fluency(style: Style) -> Fluency:
    """Return how a player phrases in chords or octaves: fewer notes, higher up."""
    return Fluency(BROAD_FIGURES, (4, 8), (1, 3), 64, 88, style.blue)
