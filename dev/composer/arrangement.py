"""Arrangement: intro, head, choruses, head out and ending of one piece."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from composer.catalogue import Piece
from composer.forms import Bar, Form, Section, compose_form, reharmonised, write_spans
from composer.harmony import Chord, colour, plain_chord
from composer.improvisation import Solo, improvise
from composer.left_hand import Stretch, accompany
from composer.melody import Motif, compose_section, invent_motif, invert
from composer.montuno import montuno
from composer.score import EIGHTH, LEFT, TICKS_PER_QUARTER, Changes, Note, Score
from composer.styles import STYLES, Style, broad_fluency, fluency
from composer.texture import (
    Dress,
    gaps_between,
    offbeat_answers,
    ornament,
    thicken,
    vary,
)
from composer.voicings import beneath, nearest_pitch, pitches_of, tenth

# A slow tune comes back from its bridge on (bpm).
FROM_THE_BRIDGE_BELOW = 90
SINGLE_EIGHTHS_ABOVE = 205


@dataclass
class Draft:
    """A piece in the making: its form, style, random source, themes and score."""

    piece: Piece
    style: Style
    form: Form
    random: Random
    score: Score = field(default_factory=Score)
    themes: dict[str, list[Note]] = field(default_factory=dict)
    motifs: dict[str, Motif] = field(default_factory=dict)

    @property
    def bar(self) -> int:
        """Return a bar's length in ticks."""
        return self.style.beats * TICKS_PER_QUARTER

    def dress(self, texture: str, share: float) -> Dress:
        """Return a texture for a share of phrases; fast eighths stay single."""
        quick = self.piece.tempo > SINGLE_EIGHTHS_ABOVE
        return Dress(texture, share, TICKS_PER_QUARTER if quick else EIGHTH)

    def extend(self, label: str, bars: list[Bar], loudness: int) -> tuple[int, int]:
        """Append a labelled section's chords and return its start and end in ticks."""
        start = self.score.end
        self.score.spans += write_spans(bars, start, self.style.beats)
        self.score.sections.append((start, label, loudness))
        self.score.end = start + len(bars) * self.bar
        return start, self.score.end


def compose(piece: Piece) -> tuple[Form, Score]:
    """Compose a piece: its form and its whole score."""
    random = Random(f"{piece.title} {piece.take}")
    style = STYLES[piece.style]
    form = compose_form(random.choice(style.forms), piece.tonic, piece.minor, random)
    draft = Draft(piece, style, form, random)
    write_intro(draft)
    write_head(draft, "Head", 0)
    for chorus in range(piece.choruses):
        write_chorus(draft, chorus)
    write_head(draft, "Head out", 1)
    write_ending(draft)
    return form, draft.score


def accompany_stretch(draft: Draft, manner: str, start: int, end: int) -> list[Note]:
    """Write the left hand from start to end (ticks) below what the right hand plays."""
    busy = frozenset(
        note.onset for note in draft.score.notes if start <= note.onset < end
    )
    stretch = Stretch(start, end, draft.bar, draft.score.changes, busy, draft.random)
    return accompany(manner, stretch)


def write_intro(draft: Draft) -> None:
    """Write four or eight bars that lead into the head."""
    random = draft.random
    length = min(random.choice((4, 4, 8)), len(draft.form.bars) // 2)
    start, end = draft.extend("Section Intro", draft.form.bars[-length:], -6)
    draft.score.notes += intro_melody(draft, start, end)
    draft.score.notes += accompany_stretch(
        draft, random.choice(draft.style.head), start, end
    )


def intro_melody(draft: Draft, start: int, end: int) -> list[Note]:
    """Choose what the right hand does in an intro (ticks): vamp, line or answers."""
    random, changes = draft.random, draft.score.changes
    if draft.piece.style == "latin":
        return montuno(start, end, changes, random)
    if random.random() < 0.5:
        notes = improvise(solo_of(draft), start, end - draft.bar // 2, 0.0, [], random)
        return thicken(
            notes, draft.dress(draft.style.textures[0], 0.5), changes, random
        )
    gaps = [(at + EIGHTH, at + draft.bar) for at in range(start, end, draft.bar)]
    return offbeat_answers(gaps, changes, 72, random)


def solo_of(draft: Draft) -> Solo:
    """Describe the soloist of a piece at this point."""
    fluent = fluency(draft.style, draft.piece.tempo)
    return Solo(draft.form.tonic, fluent, draft.bar, draft.score.changes)


def write_head(draft: Draft, name: str, number: int) -> None:
    """Write the tune once: composed the first time, varied when it returns."""
    manners = draft.random.sample(draft.style.head, len(draft.style.head))
    sections = draft.form.sections
    if number and draft.piece.tempo < FROM_THE_BRIDGE_BELOW:
        sections = sections[len(sections) // 2 :]
    for index, section in enumerate(sections):
        label = f"Section {name} {section.label}"
        loudness = -3 + 3 * (section.label == "B") + 3 * number
        start, end = draft.extend(label, section.bars, loudness)
        melody = theme(draft, section, start)
        draft.score.notes += dress_head(draft, melody, start, end, index, number)
        manner = manners[(index // 2) % len(manners)]
        draft.score.notes += accompany_stretch(draft, manner, start, end)


def theme(draft: Draft, section: Section, start: int) -> list[Note]:
    """Return a section's melody at a start (ticks), composing it if it is new."""
    random, changes = draft.random, draft.score.changes
    if section.label not in draft.themes:
        anchor = random.randint(69, 75) + (4 if section.label == "B" else 0)
        motif = section_motif(draft, section.label)
        notes = compose_section(
            motif,
            0,
            len(section.bars),
            draft.bar,
            anchor,
            changes_from(changes, start),
            random,
        )
        draft.themes[section.label] = notes
    moved = [note.moved(start) for note in draft.themes[section.label]]
    return [refit(note, changes) for note in moved]


def section_motif(draft: Draft, label: str) -> Motif:
    """Return a section's motif: the first one's own, turned over, or a new one."""
    first = draft.motifs.get("A")
    if first and label != "A" and draft.random.random() < 0.55:
        motif = first if label == "C" else invert(first)
    else:
        motif = invent_motif(dict(draft.style.gaps), 2 * draft.bar, draft.random)
    draft.motifs[label] = motif
    return motif


def changes_from(changes: Changes, start: int) -> Changes:
    """Shift changes so that a start (ticks) becomes zero."""
    return Changes([replace(span, start=span.start - start) for span in changes.spans])


def refit(note: Note, changes: Changes) -> Note:
    """Bring a melody note that returns over other chords back into the harmony."""
    chord = changes.heard_with(note.onset, note.duration)
    if note.onset % TICKS_PER_QUARTER or note.pitch % 12 in chord.tones:
        return note
    options = pitches_of(chord.tones, note.pitch - 4, note.pitch + 4)
    return replace(note, pitch=min(options, key=lambda pitch: abs(pitch - note.pitch)))


def dress_head(
    draft: Draft, melody: list[Note], start: int, end: int, index: int, number: int
) -> list[Note]:
    """Ornament, harmonise and answer a head's melody from start to end (ticks)."""
    random, changes = draft.random, draft.score.changes
    if index or number:
        melody = vary(melody, changes, random)
    texture = draft.style.textures[(index // 2 + number) % len(draft.style.textures)]
    fills = head_fills(draft, melody, start, end)
    dressed = thicken(
        ornament(melody, 0.1, random), draft.dress(texture, 0.75), changes, random
    )
    return dressed + fills


def head_fills(draft: Draft, melody: list[Note], start: int, end: int) -> list[Note]:
    """Answer the melody's long rests (ticks) with a short line or soft chords."""
    random, changes = draft.random, draft.score.changes
    notes: list[Note] = []
    for gap in gaps_between(melody, start, end, 5 * EIGHTH):
        if random.random() < 0.45:
            notes += improvise(
                solo_of(draft), gap[0] + EIGHTH, gap[1], 0.0, [melody[:6]], random
            )
        else:
            notes += offbeat_answers([gap], changes, 67, random)
    return [replace(note, accent=-8) for note in notes]


def write_chorus(draft: Draft, number: int) -> None:
    """Improvise one chorus, hotter than the one before."""
    random, piece = draft.random, draft.piece
    heat = (number + 1) / piece.choruses
    manner = draft.style.solo[number % len(draft.style.solo)]
    climax = number == piece.choruses - 1 and random.random() < 0.75
    for index, section in enumerate(draft.form.sections):
        bars = reharmonised(section.bars, 0.18, random)
        label = f"Section Chorus {number + 1} {section.label}"
        start, end = draft.extend(label, bars, int(heat * 11) - 3)
        broad = climax and index >= len(draft.form.sections) // 2
        draft.score.notes += solo_section(draft, start, end, heat, broad)
        draft.score.notes += accompany_stretch(draft, manner, start, end)


def solo_section(
    draft: Draft, start: int, end: int, heat: float, broad: bool
) -> list[Note]:
    """Improvise the right hand of a section (ticks), broad in chords or octaves."""
    random, changes = draft.random, draft.score.changes
    themes = [notes[:7] for notes in draft.themes.values()]
    solo = solo_of(draft)
    if draft.piece.style == "latin" and random.random() < 0.25:
        return montuno(start, end, changes, random)
    if broad:
        solo = replace(solo, fluency=broad_fluency(draft.style))
        notes = improvise(solo, start, end, heat, themes, random)
        texture = random.choice(("octaves", "block"))
        return thicken(notes, draft.dress(texture, 0.9), changes, random)
    line = ornament(improvise(solo, start, end, heat, themes, random), 0.06, random)
    gaps = gaps_between(line, start, end, 5 * EIGHTH)
    answers = offbeat_answers(
        [gap for gap in gaps if random.random() < 0.35], changes, 69, random
    )
    dress = draft.dress(random.choice(("dyads", "supported", "supported")), 0.2)
    return thicken(line, dress, changes, random) + answers


def home_chord(draft: Draft) -> Chord:
    """Return the chord on which a piece comes to rest."""
    kinds = {
        "modal": ("m11",),
        "gospel": ("", "6"),
        "blues": ("13", "9"),
        "stride": ("6", "69"),
    }
    usual = ("m69", "m6", "m9") if draft.form.minor else ("69", "maj9", "maj7#11")
    return plain_chord(
        draft.form.tonic, draft.random.choice(kinds.get(draft.piece.style, usual))
    )


def approach(target: Chord, random: Random) -> Bar:
    """Write a bar of the second and fifth that lead to a target chord."""
    second = plain_chord(target.root + 2, "m7b5" if target.is_minor else "m7")
    return [second, colour(plain_chord(target.root + 7, "7"), target, random)]


def tag_bars(home: Chord, random: Random) -> list[Bar]:
    """Write one to four bars that lead to the last chord."""
    circle = [approach(home.transposed(2), random), approach(home, random)]
    above = plain_chord(home.root + 1, "maj7#11")
    back_door = [plain_chord(home.root + 5, "m6"), plain_chord(home.root + 10, "9")]
    options = (
        circle,
        circle * 2,
        [[home, above], approach(home, random)],
        [approach(home, random)],
        [back_door],
    )
    return random.choice(options)


def write_ending(draft: Draft) -> None:
    """Write a tag, a last long chord and what is said over it."""
    random, home = draft.random, home_chord(draft)
    tag = [] if draft.piece.style == "modal" else tag_bars(home, random)
    start, end = draft.extend("Section Ending", [*tag, [home], [home]], -2)
    last = end - 2 * draft.bar
    if tag:
        head = [
            note for note in draft.themes["A"] if note.onset < last - start - EIGHTH
        ]
        melody = [refit(note.moved(start), draft.score.changes) for note in head]
        dress = draft.dress(draft.style.textures[0], 0.8)
        draft.score.notes += thicken(melody, dress, draft.score.changes, random)
        draft.score.notes += accompany_stretch(draft, draft.style.head[0], start, last)
    draft.score.notes += final_chord(draft, home, last)


def final_chord(draft: Draft, home: Chord, at: int) -> list[Note]:
    """Write the last chord at a tick: a tenth, a rich chord, perhaps a flourish."""
    random, length = draft.random, 2 * draft.bar
    spread = tenth(home, random.choice((34, 38, 41)))
    low = [Note(at, length, pitch, LEFT, "rolled") for pitch in spread]
    top = nearest_pitch(
        random.choice(home.colours + home.tones[1:2]), random.choice((72, 76, 79))
    )
    kind = random.choice(("chord", "flourish", "button"))
    upper = [*beneath(top, home, 3), top]
    if kind == "button":
        return low + [Note(at, EIGHTH, p, role="melody", accent=8) for p in upper]
    chord = [Note(at, length, p, role="rolled") for p in upper]
    return low + chord + (flourish(home, at, top, random) if kind == "flourish" else [])


def flourish(home: Chord, at: int, top: int, random: Random) -> list[Note]:
    """Climb away from the last chord (tick) through its tones."""
    ladder = pitches_of(home.tones, top + 2, 98)[: random.choice((4, 5, 6))]
    step = random.choice((160, 120, 240))
    lengths = [*[step] * (len(ladder) - 1), 3 * TICKS_PER_QUARTER]
    notes, onset = [], at + TICKS_PER_QUARTER
    for pitch, length in zip(ladder, lengths, strict=True):
        notes.append(Note(onset, length, pitch, role="line", swung=False))
        onset += step
    return notes
