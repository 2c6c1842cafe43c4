"""Tests of the composer: its forty pieces, its rules one by one, its command line."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from unittest.mock import Mock

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music21.midi import MidiFile

DEV = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DEV))

from composer import command_line, midi_file  # noqa: E402
from composer.catalogue import (  # noqa: E402
    TRAINING,
    TRAINING_FOLDER,
    VALIDATION,
    VALIDATION_FOLDER,
    further_pieces,
)
from composer.forms import compose_form, read_bars, write_spans  # noqa: E402
from composer.harmony import (  # noqa: E402
    QUALITIES,
    Chord,
    dominant_colours,
    parse_chord,
    tritone_substitute,
)
from composer.improvisation import passing_run  # noqa: E402
from composer.left_hand import walk_between  # noqa: E402
from composer.melody import MotifNote, augment, displace, invert  # noqa: E402
from composer.midi_file import render, write_whole  # noqa: E402
from composer.performance import (  # noqa: E402
    Sounded,
    fits,
    playable,
    swing_point,
    swung,
)
from composer.score import LEFT, RIGHT, Changes, Note  # noqa: E402
from composer.styles import STYLES  # noqa: E402
from composer.texture import ornament  # noqa: E402
from composer.voicings import (  # noqa: E402
    beneath,
    close_positions,
    nearest_pitch,
    rootless,
    shell,
    tenth,
)

# A busy machine is no reason to fail.
settings.register_profile("composer", deadline=None)
settings.load_profile("composer")

TICKS = 480
CELLS_PER_QUARTER = 12
ONSET_SLACK = (-TICKS // 12, TICKS // 6)


@dataclass(frozen=True)
class Played:
    """A note of a file: onset and end in ticks, pitch, velocity, track name."""

    onset: int
    end: int
    pitch: int
    velocity: int
    hand: str


@dataclass(frozen=True)
class Reading:
    """What a file holds: notes, markers by tick, beats a bar, tempo in bpm, key."""

    notes: list[Played]
    markers: list[tuple[int, str]]
    beats: int
    tempo: int
    key: str

    @property
    def chords(self) -> list[tuple[int, Chord]]:
        """Return the chord markers, read."""
        marks = [mark for mark in self.markers if not mark[1].startswith("Section ")]
        return [(tick, parse_chord(text)) for tick, text in marks]

    @property
    def events(self) -> list[tuple[int, ...]]:
        """Return the pitches of each onset group on the 1/12-quarter grid."""
        groups = defaultdict(set)
        for note in self.notes:
            cell = (2 * note.onset * CELLS_PER_QUARTER + TICKS) // (2 * TICKS)
            groups[cell].add(note.pitch)
        return [tuple(sorted(groups[cell])) for cell in sorted(groups)]


def pair_notes(track: mido.MidiTrack) -> list[Played]:
    """Pair a track's note-ons and note-offs; an unpaired one raises KeyError."""
    now, held, notes = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity:
            assert message.note not in held, "a sounding key is struck again"
            held[message.note] = (now, message.velocity)
        elif message.type in ("note_on", "note_off"):
            onset, velocity = held.pop(message.note)
            notes.append(Played(onset, now, message.note, velocity, track.name))
    assert not held, "a note never ends"
    return notes


def read(content: bytes) -> Reading:
    """Read a file that the composer wrote."""
    file = mido.MidiFile(file=io.BytesIO(content))
    now, found = 0, defaultdict(list)
    for message in file.tracks[0]:
        now += message.time
        found[message.type].append((now, message))
    notes = [note for track in file.tracks[1:] for note in pair_notes(track)]
    first = {kind: messages[0][1] for kind, messages in found.items()}
    return Reading(
        sorted(notes, key=lambda note: (note.onset, note.pitch)),
        [(tick, message.text) for tick, message in found["marker"]],
        first["time_signature"].numerator,
        round(mido.tempo2bpm(first["set_tempo"].tempo)),
        first["key_signature"].key,
    )


@pytest.fixture(scope="session")
def rendered():
    """Return the bytes of every catalogue piece."""
    return {piece: render(piece) for piece in (*TRAINING, *VALIDATION)}


@pytest.fixture(scope="session")
def readings(rendered):
    """Return every catalogue piece as its file reads."""
    return {piece: read(content) for piece, content in rendered.items()}


def split(readings, pieces):
    """Return the readings of some pieces."""
    return [readings[piece] for piece in pieces]


# --- the forty files -------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "pieces"),
    [(TRAINING_FOLDER, TRAINING), (VALIDATION_FOLDER, VALIDATION)],
)
def test_folders_regenerate_byte_for_byte(rendered, folder, pieces):
    """The committed folders hold exactly what the program writes."""
    found = {path.name: path for path in (DEV.parent / folder).glob("*.mid")}
    assert sorted(found) == sorted(piece.file_name for piece in pieces)
    for piece in pieces:
        assert found[piece.file_name].read_bytes() == rendered[piece], piece.title


def test_music21_reads_every_note(rendered, readings):
    """Music21 reads every file and finds as many notes as were written."""
    for piece, content in rendered.items():
        file = MidiFile()
        file.openFileLike(io.BytesIO(content))
        file.read()
        events = [event for track in file.tracks for event in track.events]
        struck = sum(event.isNoteOn() and event.velocity > 0 for event in events)
        assert struck == len(readings[piece].notes) > 500, piece.title


def test_notes_stay_on_the_keyboard_and_keys_sound_once(readings):
    """Notes last, stay on 88 keys, and no key sounds twice at once in both hands."""
    for piece, reading in readings.items():
        ends = {}
        for note in reading.notes:
            assert note.end > note.onset and 21 <= note.pitch <= 108, piece.title
            assert ends.get(note.pitch, 0) <= note.onset, piece.title
            ends[note.pitch] = note.end


def test_hands_are_playable(readings):
    """At no time does a hand hold more than five keys or more than a tenth."""
    for piece, reading in readings.items():
        for hand in ("Piano right hand", "Piano left hand"):
            held = []
            for note in (note for note in reading.notes if note.hand == hand):
                held = [one for one in held if one.end > note.onset] + [note]
                assert fits([one.pitch for one in held]), (piece.title, note.onset)


def test_catalogue_covers_styles_keys_and_tempos(readings):
    """All styles in both folders; all keys and 55 to 280 bpm in the corpus."""
    for pieces in (TRAINING, VALIDATION):
        assert {piece.style for piece in pieces} == set(STYLES)
    assert {piece.tonic for piece in readings} == set(range(12))
    tempos = [reading.tempo for reading in readings.values()]
    assert (min(tempos), max(tempos)) == (55, 280)
    assert len({piece.file_name for piece in readings}) == 40


def test_files_say_what_the_catalogue_says(rendered, readings):
    """Title, notice, tempo, metre and key in the file are those of the piece."""
    for piece, reading in readings.items():
        conductor = mido.MidiFile(file=io.BytesIO(rendered[piece])).tracks[0]
        texts = [m.text for m in conductor if m.type == "copyright"]
        assert conductor.name == piece.title and texts == [midi_file.NOTICE]
        assert (reading.tempo, reading.beats) == (
            piece.tempo,
            STYLES[piece.style].beats,
        )
        assert piece.minor == reading.key.endswith("m")
        assert nearest_pitch(piece.tonic, 60) % 12 == parse_chord(reading.key).root


def test_sections_follow_a_players_plan(readings):
    """Each piece has an intro, a head, one to three choruses, the head and an end."""
    for piece, reading in readings.items():
        sections = [text for _, text in reading.markers if text.startswith("Section")]
        names = list(dict.fromkeys(name.rstrip(" ABC") for name in sections))
        choruses = [f"Section Chorus {n + 1}" for n in range(piece.choruses)]
        expected = ["Section Intro", "Section Head", *choruses, "Section Head out"]
        assert names == [*expected, "Section Ending"], piece.title
        assert 1 <= piece.choruses <= 3


def chord_share(reading, semitones):
    """Return the share of left-hand notes in the chord, moved by some semitones."""
    good = total = 0
    for note in reading.notes:
        if note.hand == "Piano left hand" and note.pitch >= 50:
            chord = sounding_chord(reading, note.onset + TICKS // 4)
            good += (note.pitch - semitones) % 12 in (*chord.tones, *chord.colours)
            total += 1
    return good / total


def sounding_chord(reading, tick):
    """Return the last chord marked at or before a tick."""
    return [chord for at, chord in reading.chords if at <= max(0, tick)][-1]


@pytest.mark.parametrize("piece", (*TRAINING[::3], *VALIDATION[::3]), ids=str)
def test_markers_agree_with_the_harmony(readings, piece):
    """Left-hand chords belong to the marked chord, and not to its neighbour."""
    true, false = (chord_share(readings[piece], shift) for shift in (0, 1))
    assert true > 0.8 > 0.65 > false


def strong_beat_share(reading, semitones):
    """Count melody notes on strong beats that are tones of the marked chord."""
    strong = (3 if reading.beats == 3 else 2) * TICKS
    tops = {}
    for note in reading.notes:
        beat = (note.onset + strong // 2) // strong * strong
        early, late = ONSET_SLACK
        if note.hand == "Piano right hand" and early <= note.onset - beat <= late:
            tops[beat] = max(tops.get(beat, 0), note.pitch)
    good = sum(
        (pitch - semitones) % 12 in sounding_chord(reading, beat).tones
        for beat, pitch in tops.items()
    )
    return good, len(tops)


@pytest.mark.parametrize("pieces", [TRAINING, VALIDATION], ids=["train", "validation"])
def test_melody_meets_the_chord_on_strong_beats(readings, pieces):
    """At least 0.8 of strong-beat melody notes are chord tones; shifted, far fewer."""
    for semitones, enough in ((0, True), (1, False)):
        counts = [strong_beat_share(r, semitones) for r in split(readings, pieces)]
        share = sum(good for good, _ in counts) / sum(total for _, total in counts)
        assert (share >= 0.8) is enough


@pytest.mark.parametrize("pieces", [TRAINING, VALIDATION], ids=["train", "validation"])
def test_corpus_figures(readings, pieces):
    """Events, chords and velocities keep to the figures of real performances."""
    events = [reading.events for reading in split(readings, pieces)]
    assert all(500 <= len(one) <= 2000 for one in events)
    total = sum(map(len, events))
    assert 20_000 <= total <= 28_000
    chords = sum(len(event) > 1 for one in events for event in one)
    assert 0.35 <= chords / total <= 0.55
    spreads = [deviation(n.velocity for n in r.notes) for r in split(readings, pieces)]
    assert min(spreads) > 6
    everything = (n.velocity for r in split(readings, pieces) for n in r.notes)
    assert 12 <= deviation(everything) <= 20


def deviation(values):
    """Return the standard deviation of whole numbers."""
    numbers = list(values)
    mean = sum(numbers) / len(numbers)
    return (sum((value - mean) ** 2 for value in numbers) / len(numbers)) ** 0.5


def runs(reading, length):
    """List all runs of so many events with transposition undone."""
    events = reading.events
    return [
        tuple(
            tuple(p - events[i][0] for p in event) for event in events[i : i + length]
        )
        for i in range(len(events) - length + 1)
    ]


def test_pieces_neither_loop_nor_leak(readings):
    """40-event windows occur once; training and validation share no 13 events."""
    for pieces in (TRAINING, VALIDATION):
        counts = Counter(w for r in split(readings, pieces) for w in runs(r, 40))
        assert sum(n == 1 for n in counts.values()) >= 0.98 * counts.total()
    shared = {
        length: {w for r in split(readings, TRAINING) for w in runs(r, length)}
        & {w for r in split(readings, VALIDATION) for w in runs(r, length)}
        for length in (3, 13)
    }
    assert shared[3] and not shared[13]


# --- harmony, voicings, forms ------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "tones"),
    [
        ("Dm7", {2, 5, 9, 0}),
        ("G7b9", {7, 11, 2, 5, 8}),
        ("Bbmaj7#11", {10, 2, 5, 9, 4}),
        ("F#m7b5", {6, 9, 0, 4}),
        ("C/E", {0, 4, 7}),
        ("Ab13", {8, 0, 3, 6, 10, 5}),
    ],
)
def test_symbols_name_their_tones(symbol, tones):
    """A symbol means the tones that any chord book gives it."""
    assert set(parse_chord(symbol).tones) == tones


@given(
    st.integers(0, 11),
    st.sampled_from(sorted(QUALITIES)),
    st.integers(0, 11),
    st.integers(-6, 6),
)
def test_symbols_are_read_back(root, quality, bass, accidentals):
    """Whatever the key spells, the same chord is read back."""
    chord = Chord(root, quality, bass)
    assert parse_chord(chord.symbol(accidentals)) == chord


@pytest.mark.parametrize("text", ["", "H7", "Cmaj", "C7/", "c7", "G7b9 "])
def test_unknown_symbols_are_refused(text):
    """What is no symbol raises."""
    with pytest.raises(ValueError, match="no chord symbol"):
        parse_chord(text)


@pytest.mark.parametrize(
    ("root", "quality", "accidentals", "symbol"),
    [
        (10, "maj9", 2, "Bbmaj9"),
        (1, "dim7", 0, "C#dim7"),
        (1, "7", 0, "Db7"),
        (6, "m7b5", 0, "F#m7b5"),
        (8, "m7", 4, "G#m7"),
        (11, "7", -6, "B7"),
    ],
)
def test_spelling_suits_the_key(root, quality, accidentals, symbol):
    """Flat sixths are flats even in D; rising diminished chords are sharps."""
    assert Chord(root, quality, root).symbol(accidentals) == symbol


def test_tritone_substitute_shares_the_guide_tones():
    """G7 and Db7 share B and F."""
    fifth = parse_chord("G7")
    assert tritone_substitute(fifth) == parse_chord("Db7")
    assert set(tritone_substitute(fifth).guides) == set(fifth.guides) == {11, 5}


@pytest.mark.parametrize(
    ("following", "possible", "impossible"),
    [("Cm7", "7b9", "13"), ("Cmaj7", "13", "7b13"), ("Gbmaj7", "7#11", "7alt")],
)
def test_dominants_are_coloured_by_where_they_go(following, possible, impossible):
    """A dominant to minor is altered, to major bright, by semitone lydian."""
    colours = dominant_colours(parse_chord("G7"), parse_chord(following))
    assert possible in colours and impossible not in colours


@pytest.mark.parametrize(("target", "pitch"), [(60, 59), (54, 59), (53, 47), (52, 47)])
def test_nearest_pitch(target, pitch):
    """The nearest B; six semitones away, the lower one."""
    assert nearest_pitch(11, target) == pitch


def test_close_positions_of_a_triad():
    """A C major triad has three close positions between E3 and G4, all clear."""
    found = close_positions([0, 4, 7], 52, 67)
    assert sorted(found) == [[52, 55, 60], [55, 60, 64], [60, 64, 67]]


@given(st.integers(0, 11), st.sampled_from(sorted(QUALITIES)), st.integers(0, 10_000))
def test_left_hand_voicings_fit_a_hand(root, quality, seed):
    """Shells, rootless voicings and tenths are ordered and at most a tenth wide."""
    chord, random = Chord(root, quality, root), Random(seed)
    voicings = [rootless(chord, [52, 57, 60], random), tenth(chord, 41)]
    for voicing in [*voicings, shell(chord, [43, 53], random)]:
        assert voicing == sorted(set(voicing)) and fits(voicing)
        assert {p % 12 for p in voicing} <= {*chord.tones, *chord.colours}


def test_rootless_voicings_leave_the_root_and_move_little():
    """From Dm7 to G7 to Cmaj7 no outer voice moves more than a fourth."""
    random = Random(3)
    previous = rootless(parse_chord("Dm7"), [53, 57, 60], random)
    for symbol in ("G7", "Cmaj7"):
        chord = parse_chord(symbol)
        voicing = rootless(chord, previous, random)
        assert chord.root not in {pitch % 12 for pitch in voicing}
        assert abs(voicing[-1] - previous[-1]) <= 5 >= abs(voicing[0] - previous[0])
        previous = voicing


def test_beneath_keeps_clear_of_melody_and_mud():
    """Notes under a melody leave it a minor third and stay above the floor."""
    assert beneath(76, parse_chord("Cmaj7"), 3) == [64, 67, 71]
    assert beneath(60, parse_chord("Cmaj7"), 3) == []


@pytest.mark.parametrize(
    "kind", ["blues", "rhythm changes", "standard", "modal", "gospel"]
)
def test_forms_have_their_length_in_every_key(kind):
    """A blues is twelve bars twice, the others are 32; a key moves every root."""
    expected = 24 if kind == "blues" else 32
    in_c, in_d = (compose_form(kind, key, False, Random(5)).bars for key in (0, 2))
    assert len(in_c) == expected
    assert [[c.transposed(2) for c in bar] for bar in in_c] == in_d


def test_spans_share_a_bar():
    """Two chords take two beats each in four, two and one in three."""
    bars = read_bars("Dm7 G7 | Cmaj7")
    assert [span.duration for span in write_spans(bars, 0, 4)] == [960, 960, 1920]
    assert [span.start for span in write_spans(bars, 480, 3)] == [480, 1440, 1920]


def test_a_pushed_note_is_heard_with_the_next_chord():
    """A note on four-and that is held over belongs to the next bar's chord."""
    changes = Changes(write_spans(read_bars("Dm7 | G7"), 0, 4))
    assert changes.heard_with(1680, 480) == parse_chord("G7")
    assert changes.heard_with(1680, 100) == parse_chord("Dm7")
    assert changes.heard_with(1440, 480) == parse_chord("Dm7")


@given(
    st.integers(33, 52), st.integers(33, 52), st.integers(1, 4), st.integers(0, 9999)
)
def test_walking_bass_never_stands_still(start, target, count, seed):
    """A walk has its beats, starts on its root and repeats no note."""
    chord = parse_chord("C/E")
    line = walk_between(start, target, count, chord, Random(seed))
    assert len(line) == count and line[0] == start
    assert all(one != two for one, two in pairwise(line))
    assert count == 1 or 0 < abs(line[-1] - target) <= 7


# --- melody, line, performance -------------------------------------------------------


def test_motifs_are_developed():
    """Inversion, displacement and augmentation do what their names say."""
    motif = (MotifNote(0, 240, 0), MotifNote(240, 480, 2), MotifNote(960, 480, -1))
    assert [note.step for note in invert(motif)] == [0, -2, 1]
    assert [note.offset for note in displace(motif, 240)] == [240, 480, 1200]
    assert augment(motif, 1920) == (MotifNote(0, 480, 0), MotifNote(480, 960, 2))


@pytest.mark.parametrize(
    ("start", "target", "count", "run"),
    [
        (60, 67, 3, [62, 64, 65]),
        (67, 60, 3, [65, 64, 62]),
        (60, 65, 3, [62, 63, 64]),
        (60, 62, 3, []),
        (60, 67, 1, []),
    ],
)
def test_passing_runs(start, target, count, run):
    """Runs take the scale, add chromatic notes next to the target, or give up."""
    assert passing_run(parse_chord("C7"), start, target, count) == run


def test_grace_notes_come_from_below():
    """An ornament sounds just before its note, a semitone or tone lower."""
    note = Note(960, 480, 72)
    grace, same = ornament([note], 1.0, Random(1))
    assert (
        same == note and grace.end == note.onset and note.pitch - grace.pitch in (1, 2)
    )


def test_swing_evens_out_with_speed():
    """Two to one up to 110 bpm, nearly even at 280."""
    assert swing_point(60) == swing_point(110) == 320
    assert swing_point(195) == 284
    assert swing_point(280) == 248


@pytest.mark.parametrize(
    ("tick", "expected"), [(0, 0), (240, 320), (480, 480), (720, 800), (360, 400)]
)
def test_swung_eighths(tick, expected):
    """At two to one the off-beat falls on the third triplet."""
    assert swung(tick, 320) == expected


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=9), st.integers(240, 320))
def test_swing_keeps_the_order(ticks, point):
    """Swing never turns two notes round, nor moves a beat."""
    assert [swung(t, point) for t in sorted(ticks)] == sorted(
        swung(t, point) for t in ticks
    )
    assert all(swung(480 * t, point) == 480 * t for t in ticks)


NOTES = st.builds(
    Sounded,
    onset=st.integers(0, 2000),
    duration=st.integers(12, 2000),
    pitch=st.integers(40, 90),
    velocity=st.integers(1, 127),
    hand=st.sampled_from((LEFT, RIGHT)),
)


@settings(max_examples=200)
@given(st.lists(NOTES, max_size=25))
def test_any_notes_become_playable(notes):
    """Whatever is asked, hands hold what they can and keys are struck singly."""
    result = playable(notes)
    for note in result:
        together = [n for n in result if n.onset <= note.onset < n.end]
        assert Counter(n.pitch for n in together)[note.pitch] == 1
        assert fits([n.pitch for n in together if n.hand == note.hand])
    assert bool(result) == bool(notes)


# --- further pieces and the command line ---------------------------------------------


def test_further_pieces_depend_on_the_seed_alone():
    """The same seed gives the same bytes, another seed other pieces."""
    pieces = further_pieces(3, 7)
    assert [render(p) for p in pieces] == [render(p) for p in further_pieces(3, 7)]
    assert pieces != further_pieces(3, 8)
    assert further_pieces(40, 7)[:3] == pieces
    assert len({piece.file_name for piece in further_pieces(300, 7)}) == 300


def test_every_style_can_be_invented():
    """A further piece of each style is whole: it reads back and ends on its chord."""
    pieces = further_pieces(len(STYLES), 11)
    assert {piece.style for piece in pieces} == set(STYLES)
    for piece in pieces:
        reading = read(render(piece))
        assert len(reading.events) > 300 and reading.chords[-1][1].root == piece.tonic


def run(*words):
    """Run the command line in this process and return its exit code."""
    return command_line.main([str(word) for word in words])


def test_command_line_writes_once_and_says_so(tmp_path, capsys):
    """Pieces are written, found up to date, and repaired only when forced."""
    words = ("--pieces", 2, "--seed", 4, "--out", tmp_path / "new")
    assert run(*words) == 0 and "2 files written" in capsys.readouterr().out
    first, second = sorted((tmp_path / "new").iterdir())
    content = first.read_bytes()
    assert run(*words) == 0 and "0 files written" in capsys.readouterr().out
    first.write_bytes(b"changed")
    second.unlink()
    assert run(*words) == 2 and "--force" in capsys.readouterr().err
    assert first.read_bytes() == b"changed" and not second.exists()
    assert run(*words, "--force") == 0 and first.read_bytes() == content
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--pieces", "-3", "--out", "{}/a"), "1 or more"),
        (("--pieces", "0", "--out", "{}/a"), "1 or more"),
        (("--pieces", "many", "--out", "{}/a"), "invalid int"),
        (("--pieces", "1", "--seed", "-1", "--out", "{}/a"), "0 or more"),
        (("--pieces", "1", "--out", "{}/none/a"), "no folder"),
        (("--pieces", "1", "--out", "{}/file"), "not a folder"),
        (("--pieces", "1"), "--out"),
        (("--seed", "1"), "--pieces"),
        (("--colour", "blue"), "unrecognized"),
        (("--out",), "expected one argument"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(tmp_path, capsys, words, reason):
    """Bad input gives exit code 2, one sentence on stderr, and no file."""
    (tmp_path / "file").write_text("kept")
    assert run(*(word.format(tmp_path) for word in words)) == 2
    out, err = capsys.readouterr()
    assert out == "" and reason in err
    assert err.count("\n") == 1 and err.startswith("composer: ") and err.endswith(".\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    """If a file cannot be put in place, the old one stays and no part is left."""
    monkeypatch.setattr(midi_file.os, "replace", Mock(side_effect=OSError("disk full")))
    path = tmp_path / "piece.mid"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["piece.mid"]
    assert path.read_bytes() == b"old"


def test_module_starts_from_dev():
    """`python -m composer --help` explains itself."""
    command = [sys.executable, "-m", "composer", "--help"]
    result = subprocess.run(
        command, cwd=DEV, capture_output=True, text=True, check=True
    )
    assert "--pieces N" in result.stdout and TRAINING_FOLDER in result.stdout
