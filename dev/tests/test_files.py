"""Files as people have them: faults that were reported to other projects, by kind."""

import io
import os
import random

import mido
import numpy as np
import pretty_midi
import pytest
from helpers import (
    SHARED,
    SHIPPED,
    control,
    make_piece,
    melody,
    midi,
    off,
    on,
    one_note,
    program,
    random_piece,
    small_file,
    tempo,
    track,
)

CASES = SHARED / "corpora" / "cases"
PERFORMANCES = sorted((SHARED / "corpora" / "performances").rglob("*.mid"))


def signature(beats, unit):
    """Return a time signature; `unit`: as a power of two."""
    return bytes([0xFF, 0x58, 4, beats, unit, 24, 8])


def read(notebook, *tracks, division=480):
    """Return the piece that some tracks are."""
    return notebook.parse_bytes(midi(*tracks, division=division), "test")


def sounds(piece):
    """Return (onset, duration, pitch) of a piece's notes."""
    return [(onset, length, pitch) for onset, length, pitch, _ in piece.notes.tolist()]


def write(notebook, path, piece, **details):
    """Write a piece as the notebook's last cells do, and read it again."""
    details = {"tempo": piece.tempo, "title": piece.name, **details}
    return notebook.parse_midi(notebook.write_midi(piece.notes, path, **details))


# Keys that are struck again.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("division", [96, 192, 220, 384, 480, 960, 1024, 15360, 32767])
def test_legato_repeats_come_back_at_any_division(notebook, tmp_path, division, seed):
    lengths = random.Random(seed).choices(range(1, 3 * division), k=30)
    strokes = [(wait, off(60) + b"\x00" + on(60)) for wait in lengths]
    messages = ((lengths[0], on(60)), *strokes, (division, off(60)))
    piece = read(notebook, track(*messages), division=division)
    assert len(piece.notes) == 31
    back = write(notebook, tmp_path / "a.mid", piece)
    assert np.array_equal(back.notes, piece.notes)


def test_hands_that_cross_are_written_as_they_sound(notebook, tmp_path, capsys):
    """What two tracks hold at once is said when it is read, and can be written."""
    second = track((480, on(60, 80, 2)), (480, off(60, 2)))
    piece = read(notebook, track(*one_note(ticks=1920)), second)
    assert sounds(piece) == [(0, 1, 60), (1, 1, 60)]
    assert "keys struck again while they are down: 1" in piece.remarks
    assert np.array_equal(write(notebook, tmp_path / "a.mid", piece).notes, piece.notes)
    assert "struck again" not in capsys.readouterr().out
    both = make_piece("both", [(0, 4, 60, 64), (1, 1, 60, 80), (1, 1, 64, 64)])
    back = write(notebook, tmp_path / "b.mid", both)
    assert sounds(back) == [(0, 1, 60), (1, 1, 60), (1, 1, 64)]
    assert "notes cut where their key is struck again: 1" in capsys.readouterr().out


def test_a_note_off_of_one_track_spares_the_new_note_of_another(notebook):
    first = track(*one_note(), (0, on(60)), (480, off(60)))
    piece = read(notebook, first, track(*one_note(ticks=480)))
    assert sounds(piece) == [(0, 1, 60), (1, 1, 60)]


@pytest.mark.parametrize("port", [False, True])
def test_what_is_left_out_does_not_touch_the_piano(notebook, port):
    """Strings on the piano's channel strike and release its key, with a pedal."""
    told = [(0, b"\xff\x21\x01\x01")] * port + [(0, program(48))]
    strings = track(*told, (240, control(64, 127)), (240, on(60)), (0, control(123, 0)),
                    (480, off(60)), (0, control(64, 0)))  # fmt: skip
    piano = track((0, program(0)), *one_note(ticks=1920))
    for tracks in ((piano, strings), (strings, piano)):
        piece = read(notebook, *tracks)
        assert sounds(piece) == [(0, 4, 60)]
        assert piece.remarks == "notes left out (other instruments: 1)"


def test_a_pedal_holds_the_keys_of_both_hands(notebook):
    left = track((0, on(48)), (240, off(48)), (240, on(60)), (240, off(60)))
    right = track((0, control(64, 127)), *one_note(ticks=240), (960, control(64, 0)))
    piece = read(notebook, right, left)
    assert sounds(piece) == [(0, 2.5, 48), (0, 1, 60), (1, 1.5, 60)]
    assert piece.remarks == ""


def test_programs_come_before_the_notes_of_their_tick(notebook):
    notes = track((0, on(60, 64, 2)), (0, program(48, 2)), (480, off(60, 2)))
    late = track((0, program(33, 3)))
    third = track((0, on(50, 64, 3)), (480, off(50, 3)))
    piece = read(notebook, track(*one_note(72)), notes, third, late)
    assert [pitch for *_, pitch in sounds(piece)] == [72]


# Drums, controllers, resets.

GM_RESET = b"\xf0\x05\x7e\x7f\x09\x01\xf7"
GS_RESET = b"\xf0\x0a\x41\x10\x42\x12\x40\x00\x7f\x00\x41\xf7"
XG_RESET = b"\xf0\x08\x43\x10\x4c\x00\x00\x7e\x00\xf7"
GS_RHYTHM = b"\xf0\x0a\x41\x10\x42\x12\x40\x1a\x15\x02\x0f\xf7"  # of channel 11
XG_DRUMS = b"\xf0\x08\x43\x10\x4c\x08\x0a\x07\x02\xf7"  # of channel 11
GS_MELODY = b"\xf0\x0a\x41\x10\x42\x12\x40\x10\x15\x00\x1b\xf7"  # of channel 10


BANKS = [control(0, number, 11) for number in (120, 126, 127)]


@pytest.mark.parametrize("told", [*BANKS, GS_RHYTHM, XG_DRUMS])
def test_drums_beside_channel_10_are_left_out(notebook, told):
    drums = track((0, told), (0, program(0, 11)), *one_note(36, channel=11))
    piece = read(notebook, drums, track(*one_note()))
    assert sounds(piece) == [(0, 1, 60)]
    assert piece.remarks == "notes left out (drums: 1)"


@pytest.mark.parametrize(
    "told", [[control(0, 121, 10)], [GS_MELODY], [XG_RESET, control(0, 0, 10)]]
)
def test_a_melody_on_channel_10_is_read(notebook, told):
    messages = [(0, message) for message in (*told, program(0, 10))]
    melodic = track(*messages, *one_note(64, channel=10))
    assert sounds(read(notebook, melodic)) == [(0, 1, 64)]


def test_a_bank_waits_for_its_program(notebook):
    messages = ((0, program(0)), *one_note(60), (0, control(0, 127)), *one_note(62),
                (0, program(0)), *one_note(36))  # fmt: skip
    assert [pitch for *_, pitch in sounds(read(notebook, track(*messages)))] == [60, 62]


def test_effects_are_no_piano(notebook):
    told = ((0, XG_RESET), (0, control(0, 64, 2)), (0, program(0, 2)))
    piece = read(notebook, track(*told, *one_note(40, channel=2)), track(*one_note()))
    assert sounds(piece) == [(0, 1, 60)]


def test_a_late_program_takes_no_pedal_away(notebook):
    """The left hand shares the right one's pedal until it plays something else."""
    pedal = (0, control(64, 127)), *one_note(72), (480, control(64, 0))
    right = ((0, program(0)), *pedal)
    for number in (1, 48):
        left = ((0, on(48)), (480, off(48)), (4800, program(number)), *one_note(50))
        piece = read(notebook, track(*right), track(*left))
        assert (0, 2, 48) in sounds(piece)


def test_a_track_without_a_program_plays_the_first_of_its_channel(notebook):
    right = track((0, program(0)), *one_note(72))
    strings = track((0, program(48)), *one_note(60))
    piece = read(notebook, right, strings, track(*one_note(40)))
    assert [pitch for *_, pitch in sounds(piece)] == [40, 72]


def test_thousands_of_tracks_and_messages_are_read(notebook):
    tracks = [track((0, on(60 + i % 20))) for i in range(3000)]
    piece = read(notebook, *tracks)
    assert len(piece.notes) == 20
    held = [(0, on(i, channel=1 + c)) for c in range(16) if c != 9 for i in range(128)]
    wheel = [(1, control(7, i % 128, 1 + i % 16)) for i in range(4000)]
    assert len(read(notebook, track(*held, *wheel)).notes) == 88


def test_more_keys_than_anyone_holds_are_refused(notebook):
    """Or else each pedal of a hostile file would look at a hundred thousand keys."""
    tracks = [track(*((0, on(pitch)) for pitch in range(128))) for _ in range(40)]
    with pytest.raises(notebook.MidiFileError, match="more than 4000 keys"):
        read(notebook, *tracks)


def test_reset_controllers_lifts_both_pedals(notebook):
    for pedal in (64, 66):
        messages = ((0, on(60)), (10, control(pedal, 127)), (230, off(60)),
                    (240, control(121, 0)), (480, on(64)), (480, off(64)))  # fmt: skip
        assert sounds(read(notebook, track(*messages))) == [(0, 1, 60), (2, 1, 64)]


@pytest.mark.parametrize("mode", [123, 124, 125, 126, 127])
def test_all_notes_off_waits_for_the_pedal(notebook, mode):
    held = ((0, control(64, 127)), (0, on(60)), (480, control(mode, 0)),
            (480, control(64, 0)), (480, off(60)))  # fmt: skip
    assert sounds(read(notebook, track(*held))) == [(0, 2, 60)]
    free = ((0, on(60)), (480, control(mode, 0)), (480, off(60)))
    assert sounds(read(notebook, track(*free))) == [(0, 1, 60)]


def test_all_sound_off_does_not_wait(notebook):
    held = ((0, control(64, 127)), (0, on(60)), (480, control(120, 0)),
            (480, control(64, 0)), (480, off(60)))  # fmt: skip
    assert sounds(read(notebook, track(*held))) == [(0, 1, 60)]


@pytest.mark.parametrize("reset", [GM_RESET, GS_RESET, XG_RESET])
def test_a_reset_ends_what_sounds_and_lifts_the_pedals(notebook, reset):
    messages = ((0, control(64, 127)), (0, on(60)), (480, reset), (480, on(64)),
                (480, off(64)), (480, on(65)), (480, off(65)))  # fmt: skip
    found = sounds(read(notebook, track(*messages)))
    assert found == [(0, 1, 60), (2, 1, 64), (4, 1, 65)]


def test_the_sostenuto_pedal_holds_what_is_down_alone(notebook):
    messages = ((0, on(48)), (120, control(66, 127)), (120, off(48)), (240, on(64)),
                (240, off(64)), (0, control(66, 100)), (1200, control(66, 0)),
                (480, on(50)), (480, off(50)))  # fmt: skip
    found = sounds(read(notebook, track(*messages)))
    assert found == [(0, 4, 48), (1, 0.5, 64), (5, 1, 50)]


def test_a_text_that_looks_like_a_mode_message_does_nothing(notebook):
    messages = ((0, on(60)), (240, b"\xff\x7f\x01\x00"), (240, off(60)))
    assert sounds(read(notebook, track(*messages))) == [(0, 1, 60)]


# Metres and tempos.


def test_the_last_signature_of_a_tick_holds(notebook):
    told = ((0, signature(4, 2)), (0, signature(3, 2)))
    piece = read(notebook, track(*told, *one_note(ticks=480 * 7)))
    assert piece.metre == (3, 4) and piece.bars().tolist() == [0, 3, 6, 9]


def test_a_late_signature_follows_common_time(notebook):
    messages = (*one_note(ticks=480 * 8), (0, signature(3, 2)), *one_note(ticks=1920))
    piece = read(notebook, track(*messages))
    assert piece.metres == ((0, 4, 4), (8, 3, 4)) and piece.metre == (4, 4)
    assert piece.bars().tolist() == [0, 4, 8, 11, 14]


def make_pick_up(notebook):
    """Return a piece in 4/4 with a pick-up of one quarter note."""
    pitches = (67, 60, 64, 59, 66, 62, 71, 61, 68, 63, 70, 65, 72)
    notes = [pair for pitch in pitches for pair in one_note(pitch)]
    messages = ((0, signature(1, 2)), *notes[:2], (0, signature(4, 2)), *notes[2:])
    return read(notebook, track(*messages))


def test_bars_are_where_another_reader_puts_them(notebook):
    piece = make_pick_up(notebook)
    data = notebook.midi_bytes(piece.notes, 60, "pick-up", metres=piece.metres)
    other = pretty_midi.PrettyMIDI(io.BytesIO(data))  # at 60, seconds are quarters
    assert piece.metre == (4, 4) and piece.bars().tolist() == [0, 1, 5, 9, 13]
    assert other.get_downbeats().tolist() == piece.bars()[:-1].tolist()
    assert notebook.parse_bytes(data, "pick-up").metres == piece.metres


def test_positions_and_bar_numbers_follow_the_metre(notebook):
    piece = make_pick_up(notebook)
    vocabulary = notebook.build_vocabulary([piece], 88)
    events = notebook.encode(piece, vocabulary)
    assert events["position"].tolist() == [0, *[0, 12, 24, 36] * 3]
    assert events["beats"].tolist() == [1] + [4] * 12
    assert notebook.find_metres(events) == piece.metres
    sources = notebook.Sources([piece])
    run = notebook.find_shared_run(make_piece("part", piece.notes[5:]), sources)
    assert run.events == 8 and run.bar == 3


def test_a_pick_up_within_one_metre_comes_back(notebook):
    """4/4 at 0, and 4/4 again a quarter later."""
    notes = [pair for pitch in range(60, 80) for pair in one_note(pitch)]
    told = (0, signature(4, 2))
    piece = read(notebook, track(told, *notes[:2], told, *notes[2:]))
    events = notebook.encode(piece, notebook.build_vocabulary([piece], 88))
    assert piece.bars().tolist() == [0, 1, 5, 9, 13, 17, 21]
    assert notebook.find_metres(events) == piece.metres


def test_bars_are_counted_not_added_up(notebook):
    told = ((190, signature(5, 3)), (1440, signature(4, 2)))
    messages = ((0, on(60)), *told, (9000, off(60)))
    lines = read(notebook, track(*messages), division=192).bars()
    assert np.diff(lines).min() > 0.9 and len(lines) == 17


def test_metres_behind_the_last_note_do_not_count(notebook):
    metres = ((0.0, 3, 4), (33.0, 4, 4), (500.0, 3, 4))
    piece = notebook.replace(melody((60, 62), step=6), metres=metres)
    assert piece.metre == (3, 4) and piece.bars().tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("metre", [(0, 2), (40, 7)])
def test_a_signature_that_none_can_play_is_passed_over(notebook, metre):
    piece = read(notebook, track((0, signature(*metre)), *one_note()))
    assert piece.metres == ((0, 4, 4),)


def test_a_primer_with_rests_stays_in_its_bars(notebook, tmp_path):
    """Long rests, also across a change of metre, are shortened by whole bars."""
    notes = [(0, 1, 60, 64), (5.5, 1, 62, 64), (29, 1, 64, 64), (36.5, 1, 65, 64)]
    piece = make_piece("rests", notes, metres=((0.0, 4, 4), (24.0, 6, 4)))
    model, _ = notebook.train_fold("unigram", notebook.train_unigram, [piece], [], 1, 1)
    seed, pace = notebook.read_primer(piece, model.vocabulary)
    assert seed["position"].tolist() == [0, 18, 60, 6]
    new = notebook.generate_music(model, seed, 20, joined=True, tempo=pace)
    back = notebook.encode(new, model.vocabulary)
    assert back["position"][:4].tolist() == [0, 18, 60, 6] and new.metre == (6, 4)
    write(notebook, tmp_path / "a.mid", new, metre=new.metres)


def test_a_changed_tempo_is_the_primers(notebook):
    messages = ((0, tempo(500_000)), *one_note(), *one_note(62))
    piece = notebook.replace(read(notebook, track(*messages)), tempo=60.0)
    vocabulary = notebook.build_vocabulary([piece], 88)
    assert notebook.read_primer(piece, vocabulary)[1] == 60


def test_music_in_three_goes_on_in_three(notebook):
    """What is written behind a seed stands in the seed's bars."""
    piece = random_piece(3, 60)
    three = notebook.replace(piece, metres=((0.0, 3, 4),))
    model, _ = notebook.train_fold("unigram", notebook.train_unigram, [three], [], 1, 1)
    events = notebook.encode(three, model.vocabulary)
    assert events["position"].max() < 36 and set(notebook.bar_cells(events)) == {36}
    for joined in (True, False):
        new = notebook.generate_music(model, events[5:20], 40, joined=joined)
        assert new.metre == (3, 4)
        back = notebook.encode(new, model.vocabulary)
        assert (back["position"] == np.cumsum(back["step"]) % 36).all()
        if joined:
            assert back["position"][0] == events["position"][5]


def test_three_quarters_are_notated_in_three(notebook):
    piece = melody(range(60, 72), step=1)
    score = notebook.make_score(piece.notes, 120, ((0.0, 3, 4),), 16)
    for staff in score.parts:
        bars = staff.getElementsByClass("Measure")
        assert [bar.quarterLength for bar in bars] == [3] * 4


def test_a_score_begins_with_its_pick_up(notebook):
    piece = make_pick_up(notebook)
    score = notebook.make_score(piece.notes, 120, piece.metres, 16)
    for staff in score.parts:
        bars = staff.getElementsByClass("Measure")
        assert [bar.quarterLength for bar in bars] == [1, 4, 4, 4]


@pytest.mark.parametrize(
    "metre", [(96, 4), (255, 64), (7, 32), (1, 16), (13, 8), ((0.0, 3, 4), (2.3, 5, 8))]
)
def test_any_metre_can_be_seen_and_written(notebook, tmp_path, metre):
    piece = melody(range(60, 84), step=0.7)
    assert "<svg" in notebook.show_score(piece.notes, metre=metre, bars=4).data
    write(notebook, tmp_path / "a.mid", piece, metre=metre)


WRONG = [(0, 4), (4, 3), (4,), "4/4", None, (4, 4, 4), 3, (3.7, 4),
         [(0, 3, 4), (np.inf, 4, 4)], [(0, 3, 4), (0, 4, 4)], [(1, 3, 4)]]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_metre_is_one_sentence(notebook, wrong):
    with pytest.raises(notebook.NotebookError, match=r"such as \(3, 4\)"):
        notebook.show_score(melody((60, 62)).notes, metre=wrong)


@pytest.mark.parametrize("onset", [3.7, 3.9, 3.99])
def test_one_bar_with_a_late_note_can_be_seen(notebook, onset):
    notes = make_piece("late", [(onset, 0.5, 60, 64)]).notes
    assert "<svg" in notebook.show_score(notes, bars=1).data
    with pytest.raises(notebook.NotebookError, match="bars is 0"):
        notebook.show_score(notes, bars=0)


@pytest.mark.parametrize("microseconds", [16_777_215, 24_000, 1])
def test_any_tempo_is_read_heard_seen_and_written(notebook, tmp_path, microseconds):
    messages = [pair for pitch in range(60, 72) for pair in one_note(pitch)]
    piece = read(notebook, track((0, tempo(microseconds)), *messages))
    assert piece.tempo == pytest.approx(60e6 / microseconds, rel=1e-4)
    assert "<audio" in notebook.play(piece.notes, tempo=piece.tempo).data
    assert "<svg" in notebook.show_score(piece.notes, tempo=piece.tempo).data
    back = write(notebook, tmp_path / "a.mid", piece)
    assert back.tempo == pytest.approx(piece.tempo, rel=1e-4)
    model, _ = notebook.train_fold("unigram", notebook.train_unigram, [piece], [], 1, 1)
    seed, pace = notebook.read_primer(piece, model.vocabulary)
    assert notebook.generate_music(model, seed, 9, tempo=pace).tempo == pace


def test_a_primer_goes_on_at_the_tempo_of_its_end(notebook):
    slow = [pair for pitch in range(60, 72) for pair in one_note(pitch)]
    fast = [pair for i in range(128) for pair in one_note(50 + i % 30)]
    messages = ((0, tempo(1_500_000)), *slow, (0, tempo(300_000)), *fast)
    piece = read(notebook, track(*messages))
    assert piece.tempo == pytest.approx(140 / (12 / 40 + 128 / 200))
    vocabulary = notebook.build_vocabulary([piece], 88)
    assert notebook.read_primer(piece, vocabulary)[1] == pytest.approx(200)


# What is merged, and what stands in the corpus twice.


def test_strokes_within_one_cell_are_counted(notebook, tmp_path):
    tremolo = melody([60] * 60, step=0.03, duration=0.02)
    path = tmp_path / "music" / "tremolo.mid"
    notebook.write_midi(tremolo.notes, path, tempo=20, title="tremolo")
    (piece,), table = notebook.load_corpus(path.parent, "training", {})
    assert len(piece.notes) == 60
    merged = 60 - len(set(np.rint(piece.notes["onset"] * 12).tolist()))
    assert table["reason"].tolist() == [f"strokes merged on the grid: {merged}"]
    assert notebook.count_lost_notes(piece, notebook.build_vocabulary([], 88)) == merged


def change_key(notes):
    """Move notes up by a third."""
    notes["pitch"] += 4


def change_force(notes):
    """Strike notes harder."""
    notes["velocity"] = np.minimum(notes["velocity"] + 20, 127)


def change_place(notes):
    """Let notes begin later, off the grid."""
    notes["onset"] += 1.37


@pytest.mark.parametrize("change", [change_key, change_force, change_place])
@pytest.mark.parametrize("part", [slice(None), slice(30, 110), slice(40, 75)])
def test_near_duplicates_are_refused(notebook, tmp_path, change, part):
    pieces = [random_piece(seed, 90) for seed in range(4)]
    twin = notebook.replace(pieces[2], notes=pieces[2].notes[part].copy())
    change(twin.notes)
    for number, piece in enumerate((*pieces, twin)):
        path = tmp_path / "music" / f"{number}.mid"
        notebook.write_midi(piece.notes, path, tempo=100, title=f"{number}")
    kept, table = notebook.load_corpus(tmp_path / "music", "training", {})
    assert len(kept) == 4
    reason = table.set_index("file").loc["4.mid", "reason"]
    assert reason == "the same music as training: 2.mid, or nearly"


def test_a_phrase_in_common_is_no_duplicate(notebook):
    for seed in range(30):
        whole, other = (random_piece(number, 200) for number in (seed, 100 + seed))
        phrase = other.notes[:26].copy()
        phrase[5:23] = whole.notes[60:78]  # three runs of eleven
        part, known = make_piece("part", phrase.tolist()), {}
        assert notebook.find_twin(whole, "whole", known) is None
        assert notebook.find_twin(part, "part", known) is None


@pytest.mark.skipif(not SHIPPED, reason="no MIDI files stand beside the notebook")
def test_pieces_that_differ_are_kept(notebook):
    known = {}
    pieces = list(map(notebook.parse_midi, (*SHIPPED, *PERFORMANCES)))
    assert not [p.name for p in pieces if notebook.find_twin(p, p.name, known)]


def test_linked_folders_are_searched_and_circles_are_left(notebook, tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "music" / "one.mid").write_bytes(small_file((60, 62)))
    (tmp_path / "elsewhere" / "two.mid").write_bytes(small_file((50, 62)))
    os.symlink(tmp_path / "elsewhere", tmp_path / "music" / "link")
    os.symlink(tmp_path / "music", tmp_path / "elsewhere" / "back")
    names = [path.name for path in notebook.find_midi_files(tmp_path / "music")]
    assert sorted(names) == ["one.mid", "two.mid"]


# What is written.


def test_one_comment_is_one_text(notebook, tmp_path):
    path = notebook.write_midi(melody((60, 62)).notes, tmp_path / "a.mid", tempo=90,
                               title="a", comments="model 7")  # fmt: skip
    texts = [message.text for message in mido.MidiFile(path).tracks[0]
             if message.type == "text"]  # fmt: skip
    assert texts == ["model 7"]


@pytest.mark.parametrize(
    "details", [{"title": None}, {"comments": 3}, {"path": ""}, {"metre": (0, 4)}]
)
def test_what_cannot_be_written_is_one_sentence(notebook, tmp_path, details):
    given = {"path": tmp_path / "a.mid", "tempo": 90, "title": "a", **details}
    with pytest.raises(notebook.NotebookError):
        notebook.write_midi(melody((60, 62)).notes, **given)
    assert not list(tmp_path.iterdir())


def test_music_is_asked_of_a_model(notebook):
    seed = np.zeros(3, notebook.EVENT)
    with pytest.raises(notebook.NotebookError, match="one of `models`"):
        notebook.generate_music(None, seed)


def list_with_mido(data):
    """Return (start, end, pitch, velocity) in ticks, and the ticks a quarter."""
    file, found, down = mido.MidiFile(file=io.BytesIO(data)), [], {}
    for messages in file.tracks:
        tick = 0
        for message in messages:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                down[message.note] = tick, message.velocity
            elif message.type in ("note_on", "note_off"):
                start, velocity = down.pop(message.note)
                found.append((start, tick, message.note, velocity))
    return sorted(found), file.ticks_per_beat


def list_with_pretty_midi(data):
    """Return the same, as another library reads it."""
    file = pretty_midi.PrettyMIDI(io.BytesIO(data))
    ticks = file.time_to_tick
    (instrument,) = file.instruments
    return sorted((round(ticks(note.start)), round(ticks(note.end)), note.pitch,
                   note.velocity) for note in instrument.notes)  # fmt: skip


@pytest.mark.parametrize("path", (*SHIPPED, *PERFORMANCES), ids=lambda path: path.stem)
def test_real_files_come_back_and_others_read_the_same(notebook, tmp_path, path):
    piece = notebook.parse_midi(path)
    copy = notebook.write_midi(piece.notes, tmp_path / "a.mid", tempo=piece.tempo,
                               title=piece.name, metre=piece.metres)  # fmt: skip
    back, data = notebook.parse_midi(copy), copy.read_bytes()
    assert np.array_equal(back.notes, piece.notes) and back.metres == piece.metres
    found, ticks = list_with_mido(data)
    assert found == list_with_pretty_midi(data) == sorted(
        (round(onset * ticks), round((onset + length) * ticks), pitch, velocity)
        for onset, length, pitch, velocity in piece.notes.tolist()
    )


# The files that were reported, where they are at hand.

ANSWERS = {
    "all_notes_off_pedal": [(0, 2, 60), (3, 0.5, 64)],
    "drums_by_bank_gm2": [(0, 1, 60)],
    "one_channel_two_instruments": [(0, 4, 60)],
    "program_after_note_same_tick": [(0, 1, 72)],
    "reset_controllers_pedal": [(0, 1, 60), (2, 0.5, 64)],
    "sostenuto": [(0, 4, 48), (1, 0.5, 64)],
    "two_channels_one_key": [(0, 1, 60), (1, 1, 60)],
    "unison_two_staves": [(0, 1, 60), (1, 1, 60)],
}


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not there")
@pytest.mark.parametrize("name", ANSWERS)
def test_reported_files_get_their_right_answers(notebook, name):
    assert sounds(notebook.parse_midi(CASES / f"{name}.mid")) == ANSWERS[name]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.mid")), ids=str)
def test_reported_files_can_be_heard_seen_and_written(notebook, tmp_path, path):
    piece = notebook.parse_midi(path)
    assert "<audio" in notebook.play(piece.notes, tempo=piece.tempo).data
    shown = notebook.show_score(piece.notes, tempo=piece.tempo, metre=piece.metres)
    assert "<svg" in shown.data
    back = write(notebook, tmp_path / "a.mid", piece, metre=piece.metres)
    assert np.array_equal(back.notes, piece.notes)


def test_a_note_without_length_can_be_seen_and_written(notebook, tmp_path):
    piece = read(notebook, track((0, on(60)), (0, off(60)), (480, control(7, 90))))
    assert sounds(piece) == [(0, 1 / 480, 60)] and piece.bars().tolist() == [0, 4]
    assert "<svg" in notebook.show_score(piece.notes, metre=piece.metres).data
    assert np.array_equal(write(notebook, tmp_path / "a.mid", piece).notes, piece.notes)
