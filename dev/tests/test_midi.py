"""Reading and writing MIDI: what is saved, what is refused, what comes back."""

import csv
import math
import time
import tracemalloc
from pathlib import Path

import music21
import numpy as np
import pytest
from helpers import (
    END_OF_TRACK,
    SHARED,
    SHIPPED,
    body,
    chunk,
    control,
    header,
    make_piece,
    melody,
    midi,
    off,
    on,
    one_note,
    program,
    random_piece,
    rows,
    small_file,
    tempo,
    track,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

ODD = SHARED / "corpora" / "odd_midi"
NOTE = (0.0, 1.0, 60, 64)


def read(notebook, data):
    """Return the piece in some bytes."""
    return notebook.parse_bytes(data, "test")


def refuse(notebook, data):
    """Return the reason why some bytes are refused."""
    with pytest.raises(notebook.MidiFileError) as caught:
        read(notebook, data)
    return str(caught.value)


# What can be saved is saved.


def test_plain_file_gives_its_notes(notebook):
    piece = read(notebook, small_file((60, 64)))
    assert rows(piece) == [(0.0, 1.0, 60, 64), (1.0, 1.0, 64, 64)]
    assert piece.tempo == 120.0 and piece.metre == (4, 4) and piece.remarks == ""


def test_riff_wrapper_is_taken_off(notebook):
    data = small_file()
    wrapped = b"RIFF" + (len(data) + 12).to_bytes(4, "little") + b"RMIDdata"
    wrapped += len(data).to_bytes(4, "little") + data
    assert rows(read(notebook, wrapped)) == rows(read(notebook, small_file()))


def test_junk_before_the_header_is_skipped(notebook):
    junk = b"\x00\xff mail header \r\n\r\n"
    assert rows(read(notebook, junk + small_file())) == rows(
        read(notebook, small_file())
    )


def test_data_bytes_above_127_are_clipped(notebook):
    data = midi(track((0, bytes([0x90, 60, 200])), (480, off(60))))
    assert rows(read(notebook, data)) == [(0.0, 1.0, 60, 127)]


def test_missing_end_of_track_does_no_harm(notebook):
    data = midi(chunk(b"MTrk", body(*one_note(), end=False)))
    assert rows(read(notebook, data)) == [NOTE]


@pytest.mark.parametrize("count", [0, 2, 500])
def test_wrong_track_count_does_no_harm(notebook, count):
    data = header(1, count) + track(*one_note())
    assert rows(read(notebook, data)) == [NOTE]


def test_long_header_is_skipped_by_its_length(notebook):
    long = b"MThd" + (9).to_bytes(4, "big") + header()[8:] + b"abc"
    assert rows(read(notebook, long + track(*one_note()))) == [NOTE]


def test_alien_chunks_are_skipped(notebook):
    data = header(1, 2) + chunk(b"XFIH", b"\x90\x3c\x40") + track(*one_note())
    assert rows(read(notebook, data + chunk(b"ABCD", b"xyz"))) == [NOTE]


def test_running_status_repeats_the_last_message(notebook):
    data = midi(
        track((0, on(60)), (480, b"\x3c\x00"), (0, b"\x40\x50"), (240, off(64)))
    )
    assert rows(read(notebook, data)) == [NOTE, (1.0, 0.5, 64, 80)]


@pytest.mark.parametrize("between", [b"\xff\x01\x01A", b"\xf0\x02\x01\xf7"])
def test_running_status_goes_on_after_meta_and_sysex(notebook, between):
    data = midi(track((0, on(60)), (0, between), (480, b"\x3c\x00")))
    assert rows(read(notebook, data)) == [NOTE]


def test_system_messages_in_a_track_are_passed_over(notebook):
    messages = ((0, b"\xf2\x01\x02"), (0, b"\xf6"), (0, b"\xf8"))
    assert rows(read(notebook, midi(track(*messages, *one_note())))) == [NOTE]


def test_a_note_never_released_ends_with_the_track(notebook):
    data = midi(track((0, on(60)), (960, control(7, 100))))
    assert rows(read(notebook, data)) == [(0.0, 2.0, 60, 64)]


# What cannot be saved is refused with a reason.


def test_format_2_is_refused_by_name(notebook):
    assert "format 2" in refuse(notebook, midi(track(*one_note()), kind=2))


def test_unknown_format_is_refused_by_name(notebook):
    assert "format 3" in refuse(notebook, midi(track(*one_note()), kind=3))


@pytest.mark.parametrize("division", [0xE728, 0xF060, 0xFFFF])
def test_smpte_time_is_refused_by_name(notebook, division):
    assert "SMPTE" in refuse(notebook, midi(track(*one_note()), division=division))


def test_zero_division_is_refused(notebook):
    assert "no ticks" in refuse(notebook, midi(track(*one_note()), division=0))


def test_truncated_track_is_refused_with_what_is_missing(notebook):
    data = small_file()
    assert refuse(notebook, data[:-9]) == "truncated: 9 bytes missing"


def test_truncated_header_is_refused(notebook):
    assert "truncated" in refuse(notebook, small_file()[:11])


def test_every_prefix_is_read_or_refused(notebook):
    data = small_file((60, 62))
    for length in range(len(data)):
        try:
            assert len(read(notebook, data[:length]).notes)
        except notebook.MidiFileError as error:
            assert str(error)


def test_empty_file_is_refused(notebook):
    assert "empty" in refuse(notebook, b"")


def test_text_is_refused(notebook):
    assert "not a MIDI file" in refuse(notebook, b"this is a text\n" * 9)


@pytest.mark.parametrize("tracks", [(), (track(),), (track((960, control(123, 0))),)])
def test_files_without_notes_are_refused(notebook, tracks):
    assert refuse(notebook, midi(*tracks)).startswith("no notes")


def test_drums_alone_are_refused(notebook):
    assert "only drums" in refuse(notebook, midi(track(*one_note(36, channel=10))))


def test_drums_beside_a_piano_are_left_out_with_a_remark(notebook):
    data = midi(track(*one_note(), *one_note(36, channel=10), *one_note(38, 9, 10)))
    piece = read(notebook, data)
    assert rows(piece) == [NOTE] and "drums: 2" in piece.remarks


def test_other_instruments_beside_a_piano_are_left_out_with_a_remark(notebook):
    violin = track((0, program(40, 2)), *one_note(70, channel=2))
    piece = read(notebook, midi(track((0, program(0)), *one_note()), violin))
    assert rows(piece) == [NOTE] and "other instruments: 1" in piece.remarks


def test_another_instrument_alone_is_read_as_a_piano_with_a_remark(notebook):
    piece = read(notebook, midi(track((0, program(11)), *one_note())))
    assert rows(piece) == [NOTE] and "no piano" in piece.remarks


def test_all_tracks_with_piano_notes_count(notebook):
    hands = track(*one_note(72, channel=1)), track(*one_note(48, channel=2))
    piece = read(notebook, midi(track((0, tempo(500_000))), *hands))
    assert piece.notes["pitch"].tolist() == [48, 72]


def test_notes_beyond_the_88_keys_are_left_out_with_a_remark(notebook):
    data = midi(track(*one_note(20), *one_note(21), *one_note(108), *one_note(109)))
    piece = read(notebook, data)
    assert piece.notes["pitch"].tolist() == [21, 108]
    assert "beyond the 88 keys: 2" in piece.remarks


def test_too_large_a_file_is_refused_unread(notebook, tmp_path, monkeypatch):
    path = tmp_path / "large.mid"
    path.write_bytes(small_file())
    monkeypatch.setattr(notebook, "LARGEST_FILE", 20)
    with pytest.raises(notebook.MidiFileError, match="larger than"):
        notebook.parse_midi(path)


def test_a_file_that_cannot_be_opened_is_refused(notebook, tmp_path):
    (tmp_path / "folder.mid").mkdir()
    for name in ("folder.mid", "gone.mid"):
        with pytest.raises(notebook.MidiFileError, match="cannot be opened"):
            notebook.parse_midi(tmp_path / name)


# Keys, pedals, time.


def test_pedal_lengthens_notes(notebook):
    data = midi(
        track((0, control(64, 127)), *one_note(), (480, control(64, 0)), (0, on(62)),
              (480, off(62)))
    )  # fmt: skip
    assert rows(read(notebook, data)) == [(0.0, 2.0, 60, 64), (2.0, 1.0, 62, 64)]


def test_pedal_of_one_channel_leaves_others_alone(notebook):
    data = midi(
        track((0, control(64, 127, 2)), *one_note(channel=1), (480, control(64, 0, 2)))
    )
    assert rows(read(notebook, data)) == [NOTE]


def test_key_still_down_sounds_on_when_the_pedal_comes_up(notebook):
    data = midi(
        track((0, control(64, 127)), (0, on(60)), (480, control(64, 0)), (480, off(60)))
    )
    assert rows(read(notebook, data)) == [(0.0, 2.0, 60, 64)]


def test_striking_a_held_key_again_ends_its_note(notebook):
    data = midi(
        track((0, control(64, 127)), (0, on(60)), (240, off(60)), (240, on(60, 90)),
              (120, off(60)), (360, control(64, 0)))
    )  # fmt: skip
    assert rows(read(notebook, data)) == [NOTE, (1.0, 1.0, 60, 90)]


def test_all_notes_off_ends_what_sounds(notebook):
    data = midi(track((0, on(60)), (480, control(123, 0)), (480, off(60))))
    assert rows(read(notebook, data)) == [NOTE]


def test_mean_tempo_keeps_the_length_in_seconds(notebook):
    data = midi(
        track((0, tempo(1_000_000)), (0, on(60)), (480, tempo(500_000)), (480, off(60)),
              (480, tempo(100_000)))
    )  # fmt: skip
    # one quarter in 1 s, one in 0.5 s: two quarters in 1.5 s are 80 a minute
    assert read(notebook, data).tempo == pytest.approx(80)


def test_tempo_is_120_where_nothing_is_said(notebook):
    assert read(notebook, midi(track(*one_note()))).tempo == 120.0


@pytest.mark.parametrize("division", [1, 96, 480, 960, 0x7FFF])
def test_onsets_are_quarter_lengths_in_any_division(notebook, division):
    data = midi(track(*one_note(ticks=division), *one_note(62)), division=division)
    assert read(notebook, data).notes["onset"].tolist() == [0.0, 1.0]


# Files that others made.


def list_odd_files():
    """Return the manifest's rows, none where the shared folder is absent."""
    if not (ODD / "manifest.tsv").exists():
        return []
    with open(ODD / "manifest.tsv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def expected_verdicts(row):
    """Return the words one of which a refusal must hold; None among them: used."""
    verdict = row["should_a_correct_reader_accept"]
    if "refuse by name" in verdict:
        return {"format 2"}
    if "refuse as piano" in verdict:
        return {"drums"}
    if "no notes" in verdict and "parse yes" in verdict:
        return (
            {"no notes", "format 2"} if "format 2" in row["category"] else {"no notes"}
        )
    if verdict == "no (or tolerant)":
        return {None, ""}
    return {""} if verdict.startswith("no") else {None}


def test_shared_odd_files_are_there():
    if not list_odd_files():
        pytest.skip(f"{ODD} is not on this machine")
    assert len(list_odd_files()) >= 36


@pytest.mark.parametrize("row", list_odd_files(), ids=lambda row: row["file"])
def test_odd_files_get_the_verdict_of_their_manifest(notebook, row):
    tracemalloc.start()
    started = time.perf_counter()
    try:
        result = notebook.parse_midi(ODD / row["file"])
    except notebook.MidiFileError as error:
        result = error
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 10 and peak < 2**30
    expected = expected_verdicts(row)
    if isinstance(result, notebook.Piece):
        assert None in expected and len(result.notes)
    else:
        reason = str(result)
        assert any(words is not None and words in reason for words in expected), reason


def music21_notes(path):
    """Return what music21's own parser makes of a file: pitch, velocity, onset."""
    score = music21.converter.parse(path, quantizePost=False, forceSource=True)
    return sorted(
        (
            note.pitch.midi,
            note.volume.velocity,
            float(element.getOffsetInHierarchy(score)),
        )
        for element in score.recurse().notes
        for note in (element.notes if element.isChord else [element])
        if note.tie is None or note.tie.type == "start"
    )


def unmatched(notes, others, tolerance):
    """Return the notes that have no other of their pitch and velocity near by."""
    places = {}
    for pitch, velocity, onset in others:
        places.setdefault((pitch, velocity), []).append(onset)
    return [
        (pitch, velocity, onset)
        for pitch, velocity, onset in notes
        if not any(
            abs(onset - other) <= tolerance
            for other in places.get((pitch, velocity), ())
        )
    ]


def own_notes(notebook, path):
    """Return what the notebook makes of a file: pitch, velocity, onset."""
    return sorted(
        (pitch, velocity, onset)
        for onset, _, pitch, velocity in notebook.parse_midi(path).notes.tolist()
    )


@pytest.mark.skipif(not SHIPPED, reason="no MIDI files stand beside the notebook")
@pytest.mark.parametrize("rank", [0, 1])
def test_shipped_pieces_have_the_notes_that_music21_reads(notebook, rank):
    """Compare both ways; music21 moves notes of rolled chords, and doubles some."""
    path = sorted(SHIPPED, key=lambda path: path.stat().st_size)[rank]
    mine, theirs = own_notes(notebook, path), music21_notes(path)
    assert unmatched(mine, theirs, 1 / 16) == []
    assert unmatched(theirs, mine, 1 / 16) == []


def test_plain_rhythm_has_exactly_the_notes_that_music21_reads(notebook, tmp_path):
    piece = random_piece(3, 40)
    path = write(notebook, tmp_path / "plain.mid", piece)
    mine, theirs = own_notes(notebook, path), music21_notes(path)
    assert [note[:2] for note in mine] == [note[:2] for note in theirs]
    assert np.allclose([note[2] for note in mine], [note[2] for note in theirs])


# Damage of any kind.

SEEDS = (
    small_file((60, 64, 67)),
    midi(
        track((0, tempo(400_000)), (0, b"\xff\x58\x04\x03\x02\x18\x08")),
        track((0, program(0)), (0, control(64, 127)), *one_note(), (0, control(64, 0)),
              (0, on(60)), (480, b"\x3c\x00"), (0, b"\xf0\x03\x01\x02\xf7")),
        division=96,
    ),
)  # fmt: skip
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 200), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 200), st.integers(0, 20)),
        st.tuples(st.just("insert"), st.integers(0, 200), st.binary(max_size=12)),
        st.tuples(st.just("end"), st.integers(0, 200), st.just(0)),
    ),
    max_size=6,
)


def damage(data, changes):
    """Return bytes after some flips, cuts, splices and truncations."""
    for kind, place, value in changes:
        place %= len(data) or 1
        if kind == "set":
            data = data[:place] + bytes([value]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place] + data[place + value :]
        elif kind == "insert":
            data = data[:place] + value + data[place:]
        else:
            data = data[:place]
    return data


@settings(max_examples=400)
@given(st.sampled_from(SEEDS), CHANGES)
def test_damaged_files_are_read_or_refused_and_nothing_else(notebook, data, changes):
    try:
        piece = read(notebook, damage(data, changes))
    except notebook.MidiFileError as error:
        assert str(error)
        return
    notes = piece.notes
    assert len(notes) and np.isfinite(piece.tempo) and piece.tempo > 0
    assert ((notes["pitch"] >= 21) & (notes["pitch"] <= 108)).all()
    assert ((notes["velocity"] >= 1) & (notes["velocity"] <= 127)).all()
    assert (notes["duration"] >= 0).all() and (np.diff(notes["onset"]) >= 0).all()


@settings(max_examples=200)
@given(st.binary(max_size=80))
@example(b"\x90\x3c")
@example(b"\x00\xff\x51\x00\x00\xff\x58\x01\x00")
def test_any_track_is_read_or_refused_and_nothing_else(notebook, content):
    data = header() + chunk(b"MTrk", content)
    try:
        piece = read(notebook, data)
    except notebook.MidiFileError as error:
        assert str(error)
    else:
        vocabulary = notebook.build_vocabulary([piece], 90)
        assert notebook.count_lost_notes(piece, vocabulary) == 0


def test_a_rest_of_centuries_is_refused_or_taken_in_little_memory(notebook):
    rest = (0x0FFFFFFF, on(62))
    data = midi(track(*one_note(ticks=1), rest, (1, off(62))), division=1)
    try:
        piece = read(notebook, data)
    except notebook.MidiFileError as error:
        assert str(error)
        return
    vocabulary = notebook.build_vocabulary([piece], 88)
    assert notebook.count_lost_notes(piece, vocabulary) == 0
    tracemalloc.start()
    notebook.describe_music(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**29


# Writing.

GRID_NOTE = st.tuples(
    st.integers(0, 4000),
    st.integers(1, 2000),
    st.integers(21, 108),
    st.integers(1, 127),
)


def playable_notes(notebook, drawn):
    """Return drawn notes in quarter lengths, cut where their key is struck again."""
    notes = [(on / 480, length / 480, *rest) for on, length, *rest in drawn]
    return notebook.release_keys(np.array(notes, dtype=notebook.NOTE))


@settings(max_examples=60)
@given(st.lists(GRID_NOTE, min_size=1, max_size=30), st.floats(20, 400))
def test_written_notes_are_read_back(notebook, drawn, bpm):
    notes = playable_notes(notebook, drawn)
    piece = read(notebook, notebook.midi_bytes(notes, bpm, "title", ["comment"]))
    assert piece.tempo == pytest.approx(bpm, rel=1e-4)
    for field in ("onset", "duration"):
        assert np.allclose(piece.notes[field], notes[field], atol=1e-9)
    for field in ("pitch", "velocity"):
        assert (piece.notes[field] == notes[field]).all()


def write(notebook, path, piece, **details):
    """Write a piece as the notebook's last cells do."""
    details = {"tempo": piece.tempo, "title": piece.name, **details}
    return notebook.write_midi(piece.notes, path, **details)


@pytest.mark.parametrize("unit", [36, 84, 400])
def test_notes_between_ticks_are_written(notebook, tmp_path, unit):
    """As a grid of 36 leaves them: a tick is 1/480 of a quarter."""
    drawn = [(i / unit, (i % 7 + 2) / unit, 40 + i % 37, 64) for i in range(2, 400)]
    piece = make_piece("between", drawn)
    back = notebook.parse_midi(write(notebook, tmp_path / "a.mid", piece))
    assert len(back.notes) == len(drawn)
    for field in ("onset", "duration"):
        assert np.abs(back.notes[field] - piece.notes[field]).max() <= 1 / 480


@pytest.mark.parametrize("wrong", ["tune.mid", [60, 62], melody((60, 62))], ids=type)
def test_what_are_no_notes_is_one_sentence(notebook, tmp_path, wrong):
    with pytest.raises(notebook.NotebookError, match="generated_music.notes, not"):
        notebook.write_midi(wrong, tmp_path / "a.mid", tempo=90, title="a")


@pytest.mark.parametrize(
    "field, value",
    [("onset", -4), ("onset", math.nan), ("duration", math.inf), ("velocity", 300),
     ("velocity", 0), ("pitch", 12)],
)  # fmt: skip
def test_notes_that_cannot_be_written_are_one_sentence(notebook, tmp_path, field,
                                                       value):  # fmt: skip
    notes = melody((60, 62)).notes
    notes[field][0] = value
    with pytest.raises(notebook.NotebookError, match=f"Each {field} must be from"):
        notebook.write_midi(notes, tmp_path / "a.mid", tempo=90, title="a")
    with pytest.raises(notebook.NotebookError, match=f"Each {field} must be from"):
        notebook.play(notes)


def test_title_and_comments_stand_in_the_file(notebook, tmp_path):
    comments = ("model Ölçü", "seed 7, temperature 1.0")
    piece = melody((60, 62), name="Blue in Ö")
    data = write(notebook, tmp_path / "a.mid", piece, comments=comments).read_bytes()
    for text in ("Blue in Ö", *comments):
        assert text.encode() in data


def test_written_tempo_is_read_back(notebook, tmp_path):
    path = write(notebook, tmp_path / "a.mid", melody((60, 62)), tempo=93.0)
    assert notebook.parse_midi(path).tempo == pytest.approx(93, rel=1e-4)


@pytest.mark.parametrize("bpm", [0, -5, 1, math.nan])
def test_impossible_tempo_is_one_sentence(notebook, tmp_path, bpm):
    with pytest.raises(notebook.NotebookError):
        write(notebook, tmp_path / "a.mid", melody((60, 62)), tempo=bpm)


def test_no_notes_are_not_written(notebook, tmp_path):
    empty = make_piece("empty", [])
    with pytest.raises(notebook.NotebookError, match="no notes"):
        write(notebook, tmp_path / "a.mid", empty)
    assert not list(tmp_path.glob("*.mid"))


def test_notes_that_would_not_read_back_are_not_written(
    notebook, monkeypatch, tmp_path
):
    monkeypatch.setattr(notebook, "parse_bytes", lambda *_: melody((60, 63)))
    with pytest.raises(notebook.NotebookError, match="would not read back"):
        write(notebook, tmp_path / "a.mid", melody((60, 62)))
    assert not list(tmp_path.glob("*.mid"))


def test_other_music_is_never_overwritten(notebook, tmp_path, capsys):
    path = tmp_path / "tune.mid"
    takes = [melody((60, 62 + i)) for i in range(3)]
    paths = [write(notebook, path, take) for take in takes]
    assert [p.name for p in paths] == ["tune.mid", "tune-2.mid", "tune-3.mid"]
    assert "tune-2.mid" in capsys.readouterr().out
    for written, take in zip(paths, takes, strict=True):
        assert rows(notebook.parse_midi(written)) == rows(take)


def test_same_music_is_written_once(notebook, tmp_path):
    first, second = (
        write(notebook, tmp_path / "tune.mid", melody((60, 62))) for _ in range(2)
    )
    assert first == second and len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_the_way_is_not_replaced(notebook, tmp_path):
    (tmp_path / "tune.mid").mkdir()
    path = write(notebook, tmp_path / "tune.mid", melody((60, 62)))
    assert path.name == "tune-2.mid" and path.is_file()


@pytest.mark.parametrize("name", ["x" * 300 + ".mid", "a\0b.mid", ""])
def test_a_name_that_no_file_can_have_is_one_sentence(notebook, tmp_path, name):
    path = f"{tmp_path}/{name}" if name else ""
    with pytest.raises(notebook.NotebookError, match="Cannot write|has no name"):
        write(notebook, path, melody((60, 62)))


@pytest.mark.parametrize("source", [None, 3.5, ["a.mid"], "a\0b.mid", b"a\0b"])
def test_what_is_no_path_is_one_sentence(notebook, source):
    with pytest.raises(notebook.MidiFileError, match="cannot be opened"):
        notebook.parse_midi(source)


@pytest.mark.parametrize("part", [3, 7, 13, 997])
@pytest.mark.parametrize("onset", [100_000, 499_000])
def test_a_rest_of_days_is_written(notebook, tmp_path, onset, part):
    piece = make_piece("rest", [(0, 1 / part, 60, 64), (onset, 1 / part, 62, 64)], 4.0)
    path = write(notebook, tmp_path / "rest.mid", piece)
    back = notebook.parse_midi(path).notes
    assert back["onset"].tolist() == [0, onset]
    assert path.read_bytes().endswith(END_OF_TRACK)


def test_music_that_is_too_long_is_one_sentence(notebook, tmp_path):
    piece = make_piece("long", [(0, 1 / 997, 60, 64), (400_000, 300_000, 62, 64)])
    with pytest.raises(notebook.NotebookError, match="must end within 500000 quarter"):
        write(notebook, tmp_path / "long.mid", piece)


HOSTILE = ["", ".", "..", "...", "/", "../../etc/passwd", "a/b\\c:d*e?", "CON", "nul",
           "Com1", "lpt9.x", "con.tar.gz", "aux.", " name ", "trailing.", "\x00\n\t",
           "曲",
           "x" * 300, "a" * 79 + ".b", "-rf", "é" * 90]  # fmt: skip
RESERVED = {"con", "prn", "aux", "nul"} | {f"{x}{i}" for x in ("com", "lpt")
                                          for i in range(1, 10)}  # fmt: skip


def assert_safe(name):
    """Check a file name by the rules of Windows, macOS and Linux together."""
    assert name and name.isascii() and len(name) <= 200
    assert not set(name) & set('<>:"/\\|?*') and name.isprintable()
    assert not name.startswith((".", " ")) and not name.endswith((".", " "))
    assert name.split(".")[0].lower() not in RESERVED


@pytest.mark.parametrize("title", HOSTILE, ids=repr)
def test_hostile_titles_become_safe_file_names(notebook, title):
    assert_safe(notebook.safe_file_name(title))


@settings(max_examples=200)
@given(st.text(max_size=120))
def test_any_title_becomes_a_safe_file_name(notebook, title):
    assert_safe(notebook.safe_file_name(title))


def test_harmless_titles_stay_as_they_are(notebook):
    assert notebook.safe_file_name("Blue_Bossa-2 (live)") == "Blue_Bossa-2_(live)"


def test_errors_show_one_sentence_and_no_traceback(notebook):
    for kind in (notebook.NotebookError, notebook.MidiFileError):
        assert kind("do this")._render_traceback_() == [f"{kind.__name__}: do this"]


def test_a_clock_byte_does_not_break_running_status(notebook):
    """A real-time byte may stand anywhere; the messages around it stay whole."""
    data = midi(track((0, on(60)), (5, b"\xf8"), (5, bytes([62, 64])), (10, off(60))))
    pitches = notebook.parse_bytes(data, "clock").notes["pitch"]
    assert sorted(pitches.tolist()) == [60, 62]


def test_an_end_that_follows_a_new_strike_ends_the_old_note(notebook):
    """On one tick a key is struck again, then released: the new note goes on."""
    messages = ((0, on(60)), (480, on(60)), (0, off(60)), (480, off(60)))
    notes = notebook.parse_bytes(midi(track(*messages)), "again").notes
    assert notes["onset"].tolist() == [0.0, 1.0]
    assert notes["duration"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("QUICK_RUN", "False"), ("MODELS", ("expressive", "expressive")),
     ("TRAINING_MODE", "every-step"), ("MODELS", ("lstm",)), ("MODELS", ()),
     ("MODELS", "published"), ("MODELS", None), ("MODELS", ([],)), ("TEMPERATURE", 0),
     ("TEMPERATURE", "hot"), ("TEMPERATURE", float("nan")), ("TOP_P", 0),
     ("TOP_P", None), ("LEARNING_RATE", "0.01"), ("LEARNING_RATE", 0), ("FOLDS", 2.5),
     ("FOLDS", "10"), ("EPOCHS", 0), ("SEED", -1), ("SEED", 2**40), ("GRID", 16),
     ("GRID", 12 * 10**6), ("VOCABULARY_SIZE", 6001), ("VOCABULARY_SIZE", 50),
     ("OUTPUT_FOLDER", ""), ("TRAINING_FOLDER", None)],
)  # fmt: skip
def test_senseless_settings_are_named(notebook, name, value):
    """A slip in section 1 is told in a sentence before anything runs."""
    kinds = notebook.__annotations__
    settings = {each: getattr(notebook, each) for each in kinds}
    notebook.check_settings(settings, kinds)
    with pytest.raises(notebook.NotebookError, match=rf"^{name} is .*\.$") as caught:
        notebook.check_settings(settings | {name: value}, kinds)
    assert "error" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("OUTPUT_FOLDER", Path("music")), ("TEMPERATURE", 1), ("TOP_P", np.float64(0.5)),
     ("MODELS", ("transformer", "published"))],
)  # fmt: skip
def test_sensible_settings_are_taken(notebook, name, value):
    notebook.check_settings({name: value}, {name: notebook.__annotations__[name]})
