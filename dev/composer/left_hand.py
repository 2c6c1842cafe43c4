"""The left hand in twelve manners, from shells to stride; each fills a stretch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from composer.harmony import Chord
from composer.score import EIGHTH, LEFT, TICKS_PER_QUARTER, Changes, Note, Span
from composer.voicings import (
    TENTH,
    close_positions,
    nearest_pitch,
    pitches_of,
    quartal,
    rootless,
    shell,
    tenth,
)

BEAT = TICKS_PER_QUARTER
# Voices a chord, led from the previous voicing.
Voice = Callable[[Chord, list[int], Random], list[int]]


@dataclass
class Stretch:
    """What an accompanist sees; start, end, bar and busy melody onsets in ticks."""

    start: int
    end: int
    bar: int
    changes: Changes
    busy: frozenset[int]
    random: Random

    def bars(self) -> range:
        """Return the ticks at which bars begin."""
        return range(self.start, self.end, self.bar)

    def spans(self) -> list[Span]:
        """Return the chords that begin in the stretch."""
        return self.changes.between(self.start, self.end)


def sounding(
    onset: int, duration: int, pitches: list[int], role: str = "comp", accent: int = 0
) -> list[Note]:
    """Write one left-hand chord or note: onset and duration in ticks."""
    return [Note(onset, duration, pitch, LEFT, role, accent) for pitch in pitches]


def comp_onsets(stretch: Stretch, bar: int) -> list[int]:
    """Choose where to comp in a bar (ticks): between the melody's notes, and pushed."""
    random = stretch.random
    slots = range(bar, bar + stretch.bar, EIGHTH)
    weights = []
    for at in slots:
        pushed = (at - bar) % BEAT != 0
        first = 1.4 if at == bar else 1.0
        room = 0.7 if at in stretch.busy else 1.4
        weights.append(first * room * (1.5 if pushed else 1.0))
    count = random.choice((1, 2, 2, 2, 3))
    return sorted(set(random.choices(list(slots), weights, k=count)))


def comp(stretch: Stretch, voice: Voice) -> list[Note]:
    """Comp with a way of voicing, led from chord to chord."""
    notes: list[Note] = []
    previous, chord = [50, 55, 60], None
    for bar in stretch.bars():
        onsets = comp_onsets(stretch, bar)
        for at, after in zip(onsets, [*onsets[1:], bar + stretch.bar], strict=True):
            heard = stretch.changes.heard_with(at, EIGHTH)
            if heard != chord or stretch.random.random() < 0.3:
                chord, previous = heard, voice(heard, previous, stretch.random)
            full = max(EIGHTH, after - at)
            length = stretch.random.choice(
                (EIGHTH * 2 // 3, min(full, BEAT), full, full * 3 // 4)
            )
            notes += sounding(at, length, previous)
    return notes


def rootless_comping(stretch: Stretch) -> list[Note]:
    """Comp with rootless voicings around middle C, grounded by a root now and then."""
    notes, random = comp(stretch, rootless), stretch.random
    grounded = [bar for bar in stretch.bars() if random.random() < 0.4]
    bass: list[Note] = []
    for bar in grounded:
        bass_note = stretch.changes.at(bar).bass
        root = nearest_pitch(bass_note, random.choice((36, 40, 43)))
        length = random.choice((BEAT, EIGHTH, 3 * EIGHTH))
        bass += sounding(bar, length, [root], "bass")
    return [note for note in notes if note.onset not in grounded] + bass


def shell_comping(stretch: Stretch) -> list[Note]:
    """Comp with roots and guide tones."""
    return comp(stretch, shell)


def quartal_comping(stretch: Stretch) -> list[Note]:
    """Comp with fourths above a pedal fifth at the head of every second bar."""
    upper = comp(
        stretch,
        lambda chord, _, random: quartal(chord, random.choice((48, 50, 53)), random),
    )
    notes = [note for note in upper if note.onset % (2 * stretch.bar)]
    for bar in list(stretch.bars())[::2]:
        root = nearest_pitch(
            stretch.changes.at(bar).bass, stretch.random.choice((34, 38, 41))
        )
        length = stretch.random.choice((BEAT, 3 * EIGHTH, 2 * BEAT))
        notes += sounding(bar, length, [root, root + 7], "bass")
    return notes


def approach_to(target: int, before: int, chord: Chord, random: Random) -> int:
    """Choose a bass note, another than the one before, that leads to a target pitch."""
    steps = pitches_of(chord.scale, target - 2, target + 2)
    fifth = target + 7 if target < 38 else target - 5
    options = [target - 1, target + 1, *steps, fifth]
    return random.choice([p for p in options if p not in (target, before)])


def walk_between(
    start: int, target: int, count: int, chord: Chord, random: Random
) -> list[int]:
    """Walk count beats from a root towards the next one, the last beat leading in."""
    if count == 1:
        return [start]
    line = [start]
    last = approach_to(target, start, chord, random)
    for index in range(1, count - 1):
        wanted = start + (last - start) * index // (count - 1)
        classes = chord.tones if index == 2 else chord.scale
        options = pitches_of(classes, wanted - 7, wanted + 7)
        options = [p for p in options if p not in (line[-1], last)]
        line.append(min(options, key=lambda p: abs(p - wanted) + random.random() * 4))
    return [*line, last]


def bass_root(
    chord: Chord, previous: int, random: Random, low: int = 33, high: int = 52
) -> int:
    """Return the chord's bass near the previous bass note, kept in its range."""
    options = pitches_of((chord.bass,), low, high)
    return min(options, key=lambda p: abs(p - previous) + random.random() * 5)


def walking_line(stretch: Stretch) -> list[tuple[int, int, Chord]]:
    """Walk in quarters: onset in ticks, pitch and chord of every beat."""
    spans, random = stretch.spans(), stretch.random
    roots = [bass_root(spans[0].chord, 41, random)]
    for one, two in pairwise(spans):
        same = one.chord.root == two.chord.root
        near = roots[-1] + (random.choice((-5, 4, 7)) if same else 0)
        roots.append(bass_root(two.chord, near, random))
    line = []
    for span, root, target in zip(spans, roots, [*roots[1:], roots[0]], strict=True):
        pitches = walk_between(root, target, span.duration // BEAT, span.chord, random)
        line += [(span.start + i * BEAT, p, span.chord) for i, p in enumerate(pitches)]
    return line


def walking(stretch: Stretch) -> list[Note]:
    """Walk, with a skipped eighth here and a guide-tone stab there."""
    notes, random = [], stretch.random
    for at, pitch, chord in walking_line(stretch):
        notes += sounding(at, BEAT * 7 // 8, [pitch], "bass")
        if random.random() < 0.09:
            notes += sounding(at + EIGHTH, EIGHTH // 2, [pitch], "ghost")
        guides = pitches_of(chord.guides, max(50, pitch + 5), pitch + TENTH)
        if guides and random.random() < 0.3:
            late = random.choice((0, EIGHTH, EIGHTH))
            notes += sounding(at + late, EIGHTH * 2 // 3, guides[-2:], "stab")
    return notes


def two_feel(stretch: Stretch) -> list[Note]:
    """Play roots and fifths in half notes with guide tones above, off the beat."""
    notes, random = [], stretch.random
    previous = 41
    for span in stretch.spans():
        for index, at in enumerate(range(span.start, span.end, 2 * BEAT)):
            chord = span.chord
            previous = bass_root(chord, previous, random)
            fifth = pitches_of(chord.tones[2:3], previous - 7, previous + 8)
            pitch = random.choice(fifth) if index % 2 and fifth else previous
            notes += sounding(
                at, BEAT + random.choice((0, EIGHTH, BEAT)), [pitch], "bass"
            )
            top = pitches_of(chord.guides, max(50, pitch + 5), pitch + TENTH)
            if top and random.random() < 0.75:
                late = at + random.choice((BEAT, EIGHTH, 3 * EIGHTH))
                notes += sounding(late, random.choice((EIGHTH, BEAT)), top[-2:], "stab")
    return notes


def stride_bass(chord: Chord, new: bool, random: Random) -> list[int]:
    """Choose a stride bass: one note, an octave or a tenth; later on the fifth."""
    root = nearest_pitch(chord.bass, random.choice((40, 42, 44)))
    low = root if new else nearest_pitch(chord.tones[2], root - 3)
    kind = random.random()
    if kind < 0.25 and low >= 29:
        return [low - 12 if low > 40 else low, low if low > 40 else low + 12]
    if kind < 0.45 and new:
        return tenth(chord, low + 4)
    return [low]


def walking_tenths(stretch: Stretch, bar: int) -> list[Note]:
    """Walk in tenths through a bar (tick), up or down the scale to the next root."""
    here, ahead = stretch.changes.at(bar), stretch.changes.at(bar + stretch.bar)
    start = nearest_pitch(here.bass, 40)
    target = nearest_pitch(ahead.bass, start)
    direction = 1 if target >= start else -1
    notes = []
    for beat in range(stretch.bar // BEAT):
        at = bar + beat * BEAT
        scale = pitches_of(stretch.changes.at(at).scale, start - 9, start + 28)
        home = min(range(len(scale)), key=lambda i: abs(scale[i] - start))
        low = max(0, min(len(scale) - 10, home + direction * beat))
        notes += sounding(at, BEAT, [scale[low], scale[low + 9]], "bass")
    return notes


def stride(stretch: Stretch) -> list[Note]:
    """Stride: bass on the odd beats, a chord in the middle on the even ones."""
    notes, random = [], stretch.random
    previous = [52, 55, 60]
    for bar in stretch.bars():
        if random.random() < 0.14:
            notes += walking_tenths(stretch, bar)
            continue
        for at in range(bar, bar + stretch.bar, 2 * BEAT):
            span = stretch.changes.span_at(at)
            bass = stride_bass(span.chord, at == span.start, random)
            notes += sounding(at, BEAT * 3 // 4, bass, "bass")
            previous = rootless(stretch.changes.at(at + BEAT), previous, random)
            notes += sounding(at + BEAT, EIGHTH, previous)
    return notes


def bossa(stretch: Stretch) -> list[Note]:
    """Play root and fifth with a bossa's push, and chords between them."""
    notes, random = [], stretch.random
    previous = [52, 57, 60]
    for bar in stretch.bars():
        notes += bossa_bass(stretch, bar) + bossa_bass(stretch, bar + 2 * BEAT)
        for at in bossa_onsets(bar, random):
            chord = stretch.changes.heard_with(at, EIGHTH)
            previous = rootless(chord, previous, random)
            notes += sounding(at, random.choice((EIGHTH, EIGHTH, 3 * EIGHTH)), previous)
    return notes


def bossa_bass(stretch: Stretch, half: int) -> list[Note]:
    """Play the bass of half a bar (tick): root or fifth, sometimes with a push."""
    span = stretch.changes.span_at(half)
    root = nearest_pitch(span.chord.bass, 43)
    pitch = root if half == span.start else fifth_below(span.chord, root)
    notes = sounding(half, 3 * EIGHTH, [pitch], "bass")
    if stretch.random.random() < 0.45:
        push = half + 3 * EIGHTH
        ahead = nearest_pitch(stretch.changes.heard_with(push, EIGHTH).bass, pitch)
        notes += sounding(push, EIGHTH, [ahead], "bass", -6)
    return notes


def fifth_below(chord: Chord, root: int) -> int:
    """Return the chord's fifth (or what stands for it) below a root."""
    return nearest_pitch(chord.tones[2], root - 2)


def bossa_onsets(bar: int, random: Random) -> list[int]:
    """Choose a bar's syncopated chord onsets in ticks."""
    options = ((1, 4, 6), (2, 5), (1, 3, 6), (2, 5, 7), (3, 6), (1, 4, 7), (2, 3, 6))
    return [bar + eighth * EIGHTH for eighth in random.choice(options)]


def broken_tenths(stretch: Stretch) -> list[Note]:
    """Break tenths upwards under a ballad, and let inner notes move."""
    notes, random = [], stretch.random
    for span in stretch.spans():
        spread = tenth(span.chord, random.choice((41, 42, 44)))
        step = random.choice((EIGHTH, EIGHTH, BEAT)) if span.duration > BEAT else EIGHTH
        order = spread if random.random() < 0.75 else [spread[0], *spread[1:][::-1]]
        onsets = range(span.start, span.end, step)
        for at, pitch in zip(onsets, order, strict=False):
            role = "bass" if at == span.start else "broken"
            notes += sounding(at, span.end - at, [pitch], role)
        notes += inner_motion(span, span.start + len(order) * step, random)
    return notes


def inner_motion(span: Span, start: int, random: Random) -> list[Note]:
    """Move one to three notes of a voicing from a start to a chord's end (ticks)."""
    notes, voicing = [], rootless(span.chord, [52, 57, 60], random)
    at = start
    while at < span.end - EIGHTH:
        size = min(random.choice((1, 1, 2, 3)), len(voicing))
        chosen = sorted(random.sample(voicing, size))
        notes += sounding(at, 2 * EIGHTH, chosen, "broken")
        at += random.choice((EIGHTH, BEAT, BEAT, 3 * EIGHTH))
    return notes


def ballad_chords(stretch: Stretch) -> list[Note]:
    """Set a low root, then a voicing above it, for each chord of a ballad."""
    notes, random = [], stretch.random
    previous = [52, 57, 60]
    for span in stretch.spans():
        root = nearest_pitch(span.chord.bass, random.choice((40, 41, 44)))
        notes += sounding(span.start, span.duration, [root], "bass")
        previous = rootless(span.chord, previous, random)
        at = span.start + random.choice((EIGHTH, BEAT, BEAT))
        if at < span.end:
            notes += sounding(at, span.end - at, previous, "rolled")
        if span.duration >= 4 * BEAT and random.random() < 0.7:
            again = rootless(span.chord, previous, random)
            late = span.start + random.choice((5, 6, 6, 7)) * EIGHTH
            notes += sounding(late, span.end - late, again, "comp")
    return notes


def waltz(stretch: Stretch) -> list[Note]:
    """Play a bass and one or two chords a bar in three, sometimes across the bar."""
    notes, random = [], stretch.random
    previous, low = [52, 57, 60], 41
    for bar in stretch.bars():
        chord = stretch.changes.at(bar)
        low = bass_root(chord, low, random, 36, 51)
        notes += sounding(bar, random.choice((BEAT, 2 * BEAT, 3 * BEAT)), [low], "bass")
        for eighth in random.choice(
            ((2, 4), (2,), (3,), (4,), (2, 5), (3, 5), (2, 4), (1, 4))
        ):
            at = bar + eighth * EIGHTH
            previous = rootless(
                stretch.changes.heard_with(at, EIGHTH), previous, random
            )
            notes += sounding(at, random.choice((EIGHTH, BEAT)), previous)
    return notes


def gospel(stretch: Stretch) -> list[Note]:
    """Ground each chord with an octave or fifth and answer it in triplets."""
    notes, random = [], stretch.random
    for span in stretch.spans():
        root = nearest_pitch(span.chord.bass, 38)
        for at in range(span.start, span.end, 2 * BEAT):
            low = [root, root + 12] if random.random() < 0.4 else [root]
            notes += sounding(at, BEAT, low, "bass")
            upper = close_positions(list(span.chord.tones), 48, 64)
            for late in random.choice(
                ((320,), (480,), (480, 800), (640, 800), (480, 640, 800))
            ):
                if upper and at + late < span.end:
                    chosen = random.choice(upper)[: random.choice((1, 2, 3))]
                    notes += [
                        Note(at + late, 150, p, LEFT, "comp", 0, False) for p in chosen
                    ]
    return notes


def tumbao(stretch: Stretch) -> list[Note]:
    """Push the bass on the second half of two and on four, as a tumbao does."""
    notes, random = [], stretch.random
    for bar in stretch.bars():
        here = stretch.changes.at(bar + 3 * EIGHTH)
        ahead = stretch.changes.at(bar + stretch.bar)
        root, following = nearest_pitch(here.bass, 43), nearest_pitch(ahead.bass, 43)
        fifth = fifth_below(here, root)
        if random.random() < 0.35:
            notes += sounding(bar, EIGHTH, [root], "bass")
        notes += sounding(
            bar + 3 * EIGHTH, 3 * EIGHTH, [random.choice((root, fifth, fifth))], "bass"
        )
        notes += sounding(bar + 6 * EIGHTH, 2 * EIGHTH, [following], "bass")
        guides = pitches_of(here.guides + here.colours[:1], 52, 60)
        for eighth in random.choice(((), (1,), (4,), (5,), (1, 4))):
            notes += sounding(bar + eighth * EIGHTH, EIGHTH // 2, guides[:2], "stab")
    return notes


MANNERS = {
    "rootless": rootless_comping,
    "shells": shell_comping,
    "quartal": quartal_comping,
    "walking": walking,
    "two feel": two_feel,
    "stride": stride,
    "bossa": bossa,
    "broken tenths": broken_tenths,
    "ballad chords": ballad_chords,
    "waltz": waltz,
    "gospel": gospel,
    "tumbao": tumbao,
}


def accompany(manner: str, stretch: Stretch) -> list[Note]:
    """Play a stretch in the named manner."""
    return MANNERS[manner](stretch)
