"""The written score: notes, changes and sections, in ticks of 1/480 quarter."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from composer.harmony import Chord

TICKS_PER_QUARTER = 480
EIGHTH = TICKS_PER_QUARTER // 2
RIGHT, LEFT = "right", "left"


@dataclass(frozen=True)
class Note:
    """One written note; onset and duration in ticks, accent in velocity steps."""

    onset: int
    duration: int
    pitch: int
    hand: str = RIGHT
    role: str = "melody"
    accent: int = 0
    swung: bool = True

    @property
    def end(self) -> int:
        """Return the tick at which the note stops."""
        return self.onset + self.duration

    def moved(self, ticks: int) -> Note:
        """Return the note some ticks later."""
        return replace(self, onset=self.onset + ticks)


@dataclass(frozen=True)
class Span:
    """A chord that sounds from a start for a duration, both in ticks."""

    start: int
    duration: int
    chord: Chord

    @property
    def end(self) -> int:
        """Return the tick at which the next chord begins."""
        return self.start + self.duration


class Changes:
    """The chords of a passage in order, found by time."""

    def __init__(self, spans: list[Span]) -> None:
        """Keep the spans, which follow each other without a gap."""
        self.spans = spans
        self._starts = [span.start for span in spans]

    def span_at(self, tick: int) -> Span:
        """Return the span that sounds at a tick; the outer ones reach outwards."""
        return self.spans[max(0, bisect_right(self._starts, tick) - 1)]

    def at(self, tick: int) -> Chord:
        """Return the chord that sounds at a tick."""
        return self.span_at(tick).chord

    def heard_with(self, onset: int, duration: int) -> Chord:
        """Return the chord a note (ticks) is heard with: a push belongs to the next."""
        if duration > EIGHTH // 2:
            ahead = onset + min(duration, EIGHTH)
            if self.span_at(ahead).start > onset and onset % TICKS_PER_QUARTER:
                return self.at(ahead)
        return self.at(onset)

    def between(self, start: int, end: int) -> list[Span]:
        """Return the spans that begin in [start, end), in ticks."""
        return [span for span in self.spans if start <= span.start < end]


@dataclass
class Score:
    """A whole written piece: notes, changes, sections (tick, label, loudness steps)."""

    notes: list[Note] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    sections: list[tuple[int, str, int]] = field(default_factory=list)
    end: int = 0

    @property
    def changes(self) -> Changes:
        """Return the chords as a timeline."""
        return Changes(self.spans)
