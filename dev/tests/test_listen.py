"""Sound, score and piano roll: what is heard and seen is what was written."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from helpers import melody, midi, one_note, random_piece, track
from matplotlib.figure import Figure


def loudest_frequency(samples, rate):
    """Return the frequency with most energy, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


def without(notebook, monkeypatch, *names):
    """Make optional packages missing."""
    found, spec = notebook.find_package, notebook.importlib.util.find_spec

    def keep(function):
        return lambda name: None if name in names else function(name)

    monkeypatch.setattr(notebook, "find_package", keep(found))
    monkeypatch.setattr(notebook.importlib.util, "find_spec", keep(spec))


# Sound.


@pytest.mark.parametrize("pitch, hertz", [(69, 440.0), (72, 523.25), (81, 880.0)])
def test_a_note_sounds_at_its_pitch(notebook, pitch, hertz):
    piece = melody([pitch], step=2)
    sound = notebook.render_sound(piece.notes, 120, 40)
    played = soundfile.read(io.BytesIO(sound.data))
    for samples, rate in (played, notebook.play_tones(piece.notes, 120)):
        assert loudest_frequency(samples, rate) == pytest.approx(hertz, rel=0.01)


@pytest.mark.parametrize("kind, media", [("MP3", "audio/mpeg"), ("FLAC", "audio/flac")])
def test_sound_is_as_long_as_the_music_and_loud_enough(notebook, kind, media):
    piece = melody([60] * 8, step=1)
    sound = notebook.render_sound(piece.notes, 120, 40, media)
    samples, rate = soundfile.read(io.BytesIO(sound.data))
    assert soundfile.info(io.BytesIO(sound.data)).format == kind
    assert sound.media == media and not sound.remarks
    assert 4.4 <= len(samples) / rate < 7  # and the last note rings out
    assert 0.5 < np.abs(samples).max() <= 1


def test_a_softer_note_is_softer(notebook):
    notes = melody([60, 60], step=2).notes
    notes["velocity"] = 100, 30
    for samples, rate in (
        soundfile.read(io.BytesIO(notebook.render_sound(notes, 120, 40).data)),
        notebook.play_tones(notes, 120),
    ):
        loud, soft = samples[: rate // 2], samples[rate : rate + rate // 2]
        assert np.abs(soft).max() < 0.7 * np.abs(loud).max()


def test_sound_ends_and_is_small_enough(notebook):
    piece = random_piece(1, 900)
    piece.notes["onset"] *= 3 / piece.notes["onset"].max() * 60
    longest = notebook.LONGEST_SOUND
    sound = notebook.render_sound(piece.notes, 120, longest)
    samples, rate = soundfile.read(io.BytesIO(sound.data))
    assert f"{longest} seconds" in sound.remarks
    assert longest - 1 < len(samples) / rate < longest + 3
    assert len(notebook.show_sound(sound, "long")) < 500_000


def test_a_tone_generator_takes_over_and_says_so(notebook, monkeypatch):
    without(notebook, monkeypatch, "midirenderer", "pretty_midi", "soundfile")
    sound = notebook.render_sound(melody([69], step=2).notes, 120, 40, "audio/flac")
    rate, samples = scipy.io.wavfile.read(io.BytesIO(sound.data))
    assert sound.media == "audio/wav" and "pip install midirenderer" in sound.remarks
    assert loudest_frequency(samples, rate) == pytest.approx(440, rel=0.01)


def test_naturals_are_written_where_they_are_needed(notebook):
    scale = [65, 67, 69, 70, 72, 74, 76, 77] * 4  # in F
    plain, raised = melody(scale), melody([*scale, 71])
    counts = [
        len(re.findall("<use [^>]*#E261", notebook.show_score(piece.notes).data))
        for piece in (plain, raised)
    ]
    assert counts == [0, 1]


def test_titles_are_text(notebook):
    title = "<img src=x onerror=alert(1)>\" '"
    shown = notebook.play(melody([60]).notes, title=title).data
    assert "<img" not in shown and "&lt;img" in shown
    label = re.search(r'aria-label="([^"]*)"', shown).group(1)
    assert notebook.html.unescape(label) == title


def test_one_call_gives_player_roll_and_score(notebook, monkeypatch):
    """What a title says is text, and the picture is one of the piece."""
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    piece = melody([60, 64, 67], name="<b>tune</b>")
    notebook.show(piece)
    notebook.show(piece, "'\"><script>", score=True)
    plain, scored = (each.data for each in shown)
    assert plain.count("<audio") == plain.count("data:image/png") == 1
    assert "<svg" not in plain and "<svg" in scored and "<details>" in scored
    assert "<b>" not in plain and "&lt;b&gt;tune" in plain and "<script>" not in scored
    with pytest.raises(notebook.NotebookError, match="no notes"):
        notebook.show(melody([]))


@pytest.mark.parametrize(
    ("rest", "settings", "words"),
    [(["tune.mid"], {}, "takes a piece"), ([None], {}, "takes a piece"),
     ([melody([60]).notes], {}, "takes a piece, such as generated_music, not ndarray"),
     ([melody([60])], {"tempo": 90}, "show: tempo"),
     ([melody([60]), "title", True], {}, "show: "),
     ([melody([60])], {"primer": "8"}, "show: primer is '8'")],
)  # fmt: skip
def test_what_cannot_be_shown_is_one_sentence(notebook, rest, settings, words):
    with pytest.raises(notebook.NotebookError, match=words):
        notebook.show(*rest, **settings)


@pytest.mark.parametrize("text", ["Dm7\0", "Dm\x017", "\x1b"])
def test_what_cannot_be_printed_spoils_no_score(notebook, text):
    notes, marked = melody([60, 64, 67]).notes, [(0.0, "C"), (0.5, text)]
    score = notebook.show_score(notes, markers=marked).data
    assert score.count('class="note"') == 3
    data = text.encode()
    messages = [(0, b"\xff\x06" + bytes([len(data)]) + data), *one_note()]
    piece = notebook.parse_bytes(midi(track(*messages)), "marked")
    assert piece.markers == ((0.0, text.strip("\0\x01\x1b").replace("\x01", "")),)


def test_a_clip_is_kept_as_sound_and_picture(notebook, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "OUTPUT_FOLDER", str(tmp_path))
    notebook.save_clip(melody([60, 64, 67] * 60, step=1), "clip")  # a minute and a half
    sound, picture = (tmp_path / "audio" / f"clip.{kind}" for kind in ("mp3", "png"))
    samples, rate = soundfile.read(sound)
    assert notebook.CLIP_SECONDS <= len(samples) / rate < notebook.CLIP_SECONDS + 3
    assert sound.stat().st_size + picture.stat().st_size < 400_000
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nothing_to_play_or_engrave_is_one_sentence(notebook):
    for show in (notebook.play, notebook.show_score):
        with pytest.raises(notebook.NotebookError, match="no notes"):
            show(melody([]).notes)
        with pytest.raises(notebook.NotebookError, match="tempo"):
            show(melody([60]).notes, tempo=0)


# Score.


@pytest.mark.parametrize(
    "heard, written",
    [
        ([0], [0]),
        ([0, 6], [0, 6]),
        ([0, 8], [0, 6]),  # swung eighths
        ([0, 7], [0, 6]),
        ([0, 4, 8], [0, 4, 8]),
        ([0, 3, 6, 9], [0, 3, 6, 9]),
        ([1, 6], [0, 6]),
        ([11], [12]),  # early, so in the next beat
    ],
)
def test_beats_are_written_simply(notebook, heard, written):
    assert notebook.write_beat(np.array(heard)) == written


@pytest.mark.parametrize(
    "pitch, sharps, mode, name",
    [
        (70, -2, "major", "B-4"),
        (66, 2, "major", "F#4"),
        (61, -3, "major", "D-4"),
        (68, 0, "minor", "G#4"),
        (60, 7, "major", "B#3"),
        (59, -7, "major", "C-4"),
        (21, 0, "major", "A0"),
    ],
)
def test_pitches_are_spelled_in_their_key(notebook, pitch, sharps, mode, name):
    key = notebook.music21.key.KeySignature(sharps).asKey(mode)
    spelled = notebook.spell_pitch(pitch, key)
    assert spelled.nameWithOctave == name and spelled.midi == pitch


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8)])
def test_every_bar_is_full_and_hands_are_split(notebook, metre):
    piece = random_piece(3, 60, low=40, high=80)
    score = notebook.make_score(piece.notes, 120, ((0.0, *metre),), 6)
    right, left = score.parts
    assert len(right.getElementsByClass("Measure")) == len(
        left.getElementsByClass("Measure")
    )
    for staff in score.parts:
        for bar in staff.getElementsByClass("Measure"):
            inside = sum(part.quarterLength for part in bar.notesAndRests)
            assert inside == pytest.approx(4 * metre[0] / metre[1])
    for staff, fits in ((right, lambda p: p >= 60), (left, lambda p: p < 60)):
        assert all(fits(pitch.midi) for pitch in staff.flatten().pitches)


@pytest.mark.parametrize("metre", [(4, 4), (5, 8), (1, 64), (3, 64)])
def test_late_music_and_odd_metres_can_be_heard_and_seen(notebook, metre):
    piece = melody([60, 62, 64], step=1 / 3)
    piece.notes["onset"] += 1000
    score = notebook.make_score(piece.notes, 120, ((0.0, *metre),), 4)
    assert len(score.flatten().notes) >= 3
    sound = notebook.render_sound(piece.notes, 120, 40)
    samples, rate = soundfile.read(io.BytesIO(sound.data))
    assert 0.4 < len(samples) / rate < 5


def test_no_pitch_is_lost_in_the_score(notebook):
    piece = melody([60, 64, 67, 72, 48, 52, 55, 45], step=0.5)
    score = notebook.make_score(piece.notes, 120, ((0.0, 4, 4),), 16)
    struck = [
        pitch.midi
        for note in score.flatten().notes
        if note.tie is None or note.tie.type == "start"
        for pitch in note.pitches
    ]
    assert sorted(struck) == sorted(piece.notes["pitch"].tolist())


def test_the_key_is_found(notebook):
    scale = [67, 71, 74, 79, 67, 69, 71, 72, 74, 76, 78, 79] * 3
    score = notebook.make_score(melody(scale).notes, 120, ((0.0, 4, 4),), 16)
    key = score.recurse().getElementsByClass("Key").first()
    assert (key.sharps, key.mode) == (1, "major")


def test_the_engraving_shows_each_note_and_repeats(notebook):
    piece = melody([60, 64, 67, 48, 52], step=1)
    shown = notebook.show_score(piece.notes).data
    assert shown == notebook.show_score(piece.notes).data
    tree = ElementTree.fromstring(shown)
    classes = [element.get("class", "") for element in tree.iter()]
    assert sum(name.split()[:1] == ["note"] for name in classes) == 5
    assert sum(name.split()[:1] == ["staff"] for name in classes) == 4


def test_without_the_engraver_a_sentence(notebook, monkeypatch):
    without(notebook, monkeypatch, "verovio")
    assert "pip install verovio" in notebook.show_score(melody([60]).notes).data


# Piano roll.


def test_a_copied_passage_is_found_where_it_stands(notebook):
    generator = np.random.default_rng(4)
    source = melody(generator.integers(50, 80, 40), name="source")
    own = melody([50, 79, 51, 78, 52], name="own").notes["pitch"].tolist()
    copied = (source.notes["pitch"][10:22] + 3).tolist()
    piece = melody(own + copied + own)
    found = notebook.find_shared_run(piece, notebook.Sources([source]))
    assert found == (12, "source", 2, 2.5, 8.0)
    assert notebook.find_shared_run(melody([60]), notebook.Sources([source]))[0] == 0


def test_the_roll_shows_primer_and_bars(notebook):
    piece = replace(melody([60, 62, 64, 65] * 6, step=1), settings="generated")
    ax = Figure().add_subplot()
    piece = replace(piece, shared=notebook.SharedRun(4, "source", 1, 5.0, 8.0))
    notebook.plot_take(piece, ax, primer=4.0, marked=True)
    colours = {tuple(bar.get_facecolor()[:3]) for bar in ax.patches}
    real, new, shade = (
        notebook.plt.matplotlib.colors.to_rgb(colour)
        for colour in (notebook.REAL, notebook.GENERATED, notebook.SECOND)
    )
    assert colours == {real, new, shade}
    assert ax.get_ylim() == (59, 73)  # the octave that is used
    assert ax.get_xticks().tolist() == [0, 4, 8, 12, 16, 20]
    assert [label.get_text() for label in ax.get_xticklabels()] == list("123456")
