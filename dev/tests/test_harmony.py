"""Changes: symbols, lead sheets, markers, and what the network is told of them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import make_piece, melody, midi, one_note, random_piece, track

from composer.harmony import QUALITIES

SPELLINGS = {  # the bass first
    "C": "0 4 7", "CM": "0 4 7", "Cmaj": "0 4 7", "Cm": "0 3 7", "C-": "0 3 7",
    "Cmin": "0 3 7", "Cmi": "0 3 7", "C+": "0 4 8", "Caug": "0 4 8", "C°": "0 3 6",
    "Co": "0 3 6", "Cdim": "0 3 6", "C5": "0 7", "C2": "0 4 7 2", "Cadd9": "0 4 7 2",
    "Cm(add9)": "0 3 7 2", "Csus": "0 5 7", "Csus4": "0 5 7", "Csus2": "0 2 7",
    "C6": "0 4 7 9", "C69": "0 4 7 9 2", "C6/9": "0 4 7 9 2", "C-6": "0 3 7 9",
    "Cm6/9": "0 3 7 9 2", "C7": "0 4 7 10", "C9": "0 4 7 10 2", "C13": "0 4 7 10 2 9",
    "C7(13)": "0 4 7 10 9", "C7sus": "0 5 7 10", "C9sus": "0 5 7 10 2",
    "C13sus": "0 5 7 10 2 9", "C7b9sus": "0 5 7 10 1", "C7alt": "0 4 10 1 3 6 8",
    "Calt": "0 4 10 1 3 6 8", "C7(b9)": "0 4 7 10 1", "C7(#9)": "0 4 7 10 3",
    "C7♭9": "0 4 7 10 1", "C7-9": "0 4 7 10 1", "C7(b9,13)": "0 4 7 10 1 9",
    "C7#11": "0 4 7 10 6", "C7b5": "0 4 6 10", "C7#5": "0 4 8 10", "C+7": "0 4 8 10",
    "C7+": "0 4 8 10", "Caug7": "0 4 8 10", "C7#5(#9)": "0 4 8 10 3",
    "C7b9b13": "0 4 7 10 1 8", "CΔ": "0 4 7 11", "CΔ7": "0 4 7 11", "C^": "0 4 7 11",
    "C^7": "0 4 7 11", "CM7": "0 4 7 11", "Cma7": "0 4 7 11", "CMa7": "0 4 7 11",
    "CMaj7": "0 4 7 11", "Cmaj7": "0 4 7 11", "CΔ9": "0 4 7 11 2", "CM9": "0 4 7 11 2",
    "CΔ7#11": "0 4 7 11 6", "Cmaj7(#11)": "0 4 7 11 6", "CM7#5": "0 4 8 11",
    "Cmaj13": "0 4 7 11 2 9", "C-7": "0 3 7 10", "Cmi7": "0 3 7 10",
    "Cmin7": "0 3 7 10", "C-9": "0 3 7 10 2", "C-11": "0 3 7 10 2 5",
    "C-Δ7": "0 3 7 11", "CmΔ": "0 3 7 11", "Cm(maj7)": "0 3 7 11",
    "CmMaj7": "0 3 7 11", "C-maj7": "0 3 7 11", "Cminmaj7": "0 3 7 11",
    "C-7b5": "0 3 6 10", "Cm7(b5)": "0 3 6 10", "Cø": "0 3 6 10", "Cø7": "0 3 6 10",
    "Cø9": "0 3 6 10 2", "C°7": "0 3 6 9", "Co7": "0 3 6 9", "Cdim7": "0 3 6 9",
    "Gb7": "6 10 1 4", "Cb7": "11 3 6 9", "Ab": "8 0 3", "C♯m7": "1 4 8 11",
    "B♭7": "10 2 5 8", "F#ø7": "6 9 0 4", "C/E": "4 0 7", "D/E": "4 2 6 9",
    "Cm7/Bb": "10 0 3 7", "Bb7/F": "5 10 2 8", "C+/E": "4 0 8", "CM/E": "4 0 7",
    "C7+/E": "4 0 8 10", "C6/9/E": "4 0 7 9 2", "C(b5)": "0 4 6", "B(b5)": "11 3 5",
    "C(#5)": "0 4 8", "C(9)": "0 4 7 2", "Cm+7": "0 3 7 11", "Cm(+7)": "0 3 7 11",
    "C∆7": "0 4 7 11", "C△": "0 4 7 11", "C−7": "0 3 7 10", "C7sus4(b9)": "0 5 7 10 1",
    "C7(b5,b9)": "0 4 6 10 1", "Cm7(9)": "0 3 7 10 2", "C+maj7": "0 4 8 11",
    "CMi7": "0 3 7 10", "C7M": "0 4 7 11", "Cno5": "0 4", "Comit5": "0 4",
    "Dbmaj7(#11)/Ab": "8 1 5 0 7", "N.C.": "", "NC": "", "n.c.": ""}  # fmt: skip
NO_CHORDS = ("", "Section Intro", "Head A", "Verse", "Bridge", "Coda", "Fine", "D.S.",
             "Ending", "Chorus 1", "H7", "Dm77", "C7x", "/E", "C/H", "C/99999999",
             "C(b9)", "G(#11)", "%", "<b>C</b>", "Cmaj7" * 30)  # fmt: skip


@pytest.mark.parametrize("symbol", SPELLINGS)
def test_spellings_of_jazz(notebook, symbol):
    bass, *tones = [*map(int, SPELLINGS[symbol].split())] or [None]
    found = notebook.read_chord(symbol)
    assert set(found) == {*tones, *([] if bass is None else [bass])}
    assert bass is None or found[0] == bass


@pytest.mark.parametrize("quality", QUALITIES)
def test_qualities_of_the_composer(notebook, quality):
    tones = {tone % 12 for tone in QUALITIES[quality].tones}
    assert set(notebook.read_chord(f"C{quality}")) == tones
    moved = {(tone + 6) % 12 for tone in tones}
    assert set(notebook.read_chord(f"F#{quality}")) == moved


@pytest.mark.parametrize("text", NO_CHORDS)
def test_what_is_no_chord(notebook, text):
    assert notebook.read_chord(text) is None


def test_a_lead_sheet(notebook):
    changes = notebook.read_changes("| Dm7 G7 | Cmaj7 | % |\nAm7 / % D7 |")
    assert changes.rows == (
        (0, "Dm7"), (2, "G7"), (4, "Cmaj7"), (8, "Cmaj7"), (12, "Am7"), (15, "D7"),
    )  # fmt: skip
    assert changes.length == 16
    waltz = notebook.read_changes("C F | N.C.", (3, 4))
    assert waltz == (((0, "C"), (1, "F"), (3, "N.C.")), 6)
    assert notebook.read_changes("C G", (6, 8)) == (((0, "C"), (1.5, "G")), 3)
    twice = notebook.read_changes("|: C | F :| G")
    assert twice == notebook.read_changes("C | F | C | F | G")
    twice = notebook.read_changes("C | F :| G |: A | D :| E")
    assert twice == notebook.read_changes("C | F | C | F | G | A | D | A | D | E")
    twice = notebook.read_changes("|: C | D :|: E | F :|")
    assert twice == notebook.read_changes("C | D | C | D | E | F | E | F")


@pytest.mark.parametrize(
    ("text", "rows"),
    [("C | % F | %", [(0, "C"), (6, "F"), (8, "C"), (10, "F")]),
     ("C F | / G | %", [(0, "C"), (2, "F"), (6, "G"), (8, "F"), (10, "G")]),
     ("C % | % | F", [(0, "C"), (4, "C"), (8, "F")])],
)  # fmt: skip
def test_a_bar_that_comes_again_is_what_it_stood_for(notebook, text, rows):
    assert list(notebook.read_changes(text).rows) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [("Dm7 | H7", "'H7' in bar 2"), ("", "no changes"), (" | | ", "no changes"),
     ("%", "'%' in bar 1"), ("% | C", "'%' in bar 1"), ("C : | F", "':' in bar 1"),
     ("C D E F G", "5 chords, in 4/4 at most 4"), ("C | Coda", "'Coda' in bar 2"),
     ("C|" * 1025, "last 4100 quarters"), ("A: C | F\nB: G", "'A:' in bar 1"),
     ("A) C | F", "'A\\)' in bar 1"), ("C | F :| G :| C", "':' in bar 5")],
)  # fmt: skip
def test_what_is_no_lead_sheet_is_told_in_a_sentence(notebook, text, words):
    with pytest.raises(notebook.NotebookError, match=words):
        notebook.read_changes(text)


def test_letters_and_section_names_are_no_chords(notebook):
    def find(*markers):
        piece = make_piece("marked", [(0, 1, 60, 64)], markers=markers)
        return [symbol for _, symbol in notebook.find_changes(piece)]

    assert find((0.0, "A"), (4.0, "B"), (8.0, "Coda")) == []
    assert find((0.0, "A"), (0.0, "Dm7"), (4.0, "G7"), (8.0, "C")) == ["Dm7", "G7", "C"]
    assert find((0.0, "Section Head A"), (0.0, "C"), (4.0, "F7")) == ["C", "F7"]
    assert find((0.0, "A1"), (32.0, "A2"), (64.0, "B"), (96.0, "A3")) == []
    assert find((0.0, "C"), (0.0, "A"), (4.0, "F7"), (8.0, "D")) == ["F7", "D"]
    assert find((0.0, "C"), (0.0, "C"), (4.0, "F7")) == ["C", "F7"]  # of two tracks


def marker(text):
    """Return a MIDI marker."""
    return b"\xff\x06" + bytes([len(text)]) + text


def test_markers_come_from_any_track_and_go_back_into_a_file(notebook, tmp_path):
    one = track((0, marker(b"Dm7")), (240, marker(b"\xff\xfe")))
    two = track((0, marker(b"A")), *one_note(), (0, marker(b"G7")), *one_note(62))
    piece = notebook.parse_bytes(midi(one, two), "marked")
    assert piece.markers == ((0, "Dm7"), (0, "A"), (0.5, "\ufffd\ufffd"), (1, "G7"))
    path = notebook.write_midi(
        piece.notes, tmp_path / "x.mid", tempo=90.0, title="x", markers=piece.markers
    )
    assert notebook.parse_midi(path).markers == piece.markers


def test_the_shipped_pieces_carry_their_changes(notebook):
    """Their notes fit their own chords, and not those of the next piece."""
    from helpers import ROOT

    paths = sorted((ROOT / "jazz_sample_files").glob("*.mid"))[:6]
    pieces = [notebook.parse_midi(path) for path in paths]
    rows = [notebook.find_changes(piece) for piece in pieces]
    own = [notebook.follow_changes(*pair) for pair in zip(pieces, rows, strict=True)]
    other = [notebook.follow_changes(pieces[i], rows[i - 1]) for i in range(len(rows))]
    for share, least in (("chord_tones", 0.8), ("chord_tones_strong", 0.9),
                         ("bass_on_root", 0.6)):  # fmt: skip
        assert min(each[share] for each in own) > least
        assert np.mean([each[share] for each in other]) < least - 0.2


def test_what_is_told_belongs_to_the_cell_behind(notebook):
    rows = ((0.0, "C"), (1.0, "Dm7"), (2.0, "N.C."))
    told = notebook.tell_chords(rows, [-2, -1, 0, 10, 11, 22, 23, 99])
    c, d = (1, 0b10010001), (3, 0b1000100101)
    assert [*map(tuple, told.tolist())] == [(0, 0), c, c, c, d, d, (0, 0), (0, 0)]


@pytest.mark.parametrize("key", range(-5, 7))
def test_a_chord_moves_with_its_key(notebook, key):
    names = "C Db D Eb E F Gb G Ab A Bb B".split()
    for root in range(12):
        here = notebook.tell_chords(((0.0, f"{names[root]}m9"),), [5], key)
        there = notebook.tell_chords(((0.0, f"{names[(root + key) % 12]}m9"),), [5])
        assert here.tolist() == there.tolist()
    assert notebook.tell_chords((), [0, 1], key).tolist() == [[0, 0], [0, 0]]


def test_choruses_are_laid_end_to_end(notebook):
    changes = notebook.read_changes("C | F")
    laid = notebook.repeat_changes(changes, 2.0, 19.0)
    assert laid == ((2, "C"), (6, "F"), (10, "C"), (14, "F"), (18, "C"))
    assert notebook.repeat_changes(changes, -6.0, 7.0) == ((0, "F"), (2, "C"), (6, "F"))
    assert notebook.repeat_changes(changes, 9.0, 9.0) == ()


def test_shares_by_hand(notebook):
    """C: a chord tone held long, one that is none, both in the bass on a change."""
    notes = [(0, 3, 48, 64), (3, 1, 50, 64), (4, 8, 53, 64), (6, 1, 71, 64)]
    piece = make_piece("by hand", notes)
    found = notebook.follow_changes(piece, ((0.0, "C"), (4.0, "F"), (8.0, "G")))
    assert found["chord_tones"] == pytest.approx((3 + 4) / (3 + 1 + 4 + 1))
    assert found["chord_tones_strong"] == pytest.approx(2 / 3)  # onsets 0, 4, 6
    assert found["bass_on_root"] == 1  # no bass is struck at G


# The network.


@pytest.fixture(scope="module")
def model(notebook):
    """Return a small expressive model that learnt from pieces with changes."""
    pieces = [random_piece(number, 60) for number in range(3)]
    rows = tuple((4.0 * bar, "Dm7" if bar % 2 else "G7") for bar in range(12))
    pieces = [replace(piece, markers=rows) for piece in pieces]
    shape = {**notebook.EXPRESSIVE, "units": 16, "head": 16, "filters": 4, "kernel": 9}

    def train(*arguments):
        return notebook.train_expressive(*arguments, shape=shape)

    return notebook.train_fold("expressive", train, pieces, [], 1, 2)[0]


@pytest.fixture
def seed(notebook, model):
    """Return a window of events."""
    events = notebook.encode(model.sources.pieces[1], model.vocabulary)
    return notebook.cut_out(events, 5, 25)


def test_only_the_token_hears_the_chord(notebook, model):
    piece = model.sources.pieces[0]
    events = notebook.encode(piece, model.vocabulary)
    own = notebook.find_changes(piece)
    silent, told = (model.predictor.score(events, each) for each in ((), own))
    for stream in notebook.STREAM_SIZES:
        assert np.array_equal(silent[stream][0], told[stream][0])
    assert not np.allclose(silent["token"][0], told["token"][0], atol=1e-4)


def test_what_is_told_later_changes_nothing_before(notebook, model):
    events = notebook.encode(model.sources.pieces[0], model.vocabulary)
    rows, onset = ((0.0, "Dm7"),), events["step"][:21].sum() / notebook.GRID
    other = (*rows, (onset, "G7"))
    scores = [model.predictor.score(events, each)["token"] for each in (rows, other)]
    one, two = (nats for nats, _ in scores)
    assert np.array_equal(one[:19], two[:19]) and one[19] != two[19]


def generate(notebook, model, seed, **asked):
    """Return a piece of fixed random numbers."""
    return notebook.generate_music(model, seed, 60, generator=7, **asked)


def test_changes_begin_at_the_bar_behind_the_seed(notebook, model, seed):
    piece = generate(notebook, model, seed, changes="Dm7 | G7 C", joined=True)
    bar = notebook.bar_cells(seed[-1]) / notebook.GRID
    first = (seed["step"].sum() - seed["position"][-1]) / notebook.GRID + bar
    assert piece.markers[:3] == (
        (first, "Dm7"), (first + 4, "G7"), (first + 6, "C"))  # fmt: skip
    assert piece.markers[-1][0] < piece.end
    assert "changes Dm7 | G7 C" in piece.settings
    plain = generate(notebook, model, seed, changes="Dm7 | G7 C")
    assert plain.markers[0][0] in (0, bar)  # the first new event may come before it


@pytest.mark.parametrize("asked", [{}, {"energy": "high"}])
def test_what_is_written_is_told_what_its_markers_say(notebook, model, seed, asked):
    """At each event the token's head hears the chord that the finished piece names."""
    heard, heads = [], list(model.predictor.heads)

    class Spy:
        """A head that remembers the chord of the first stream."""

        def __call__(self, inputs):
            notebook.tf.py_function(
                lambda current: heard.append(current[0, 0, 6:].numpy().tolist()),
                [inputs[2]], [])  # fmt: skip
            return heads[1](inputs)

    model.predictor.heads = [heads[0], Spy(), *heads[2:]]
    model.predictor.writers.clear()
    try:
        form = notebook.read_changes("Dm7 G7 | Cm7")
        moods = np.array([[3 * bool(asked), 0]])
        (piece,) = notebook.generate_pieces(
            model, [seed], 60, changes=[form], moods=moods, joined=True,
            generator=np.random.default_rng(7))  # fmt: skip
    finally:
        model.predictor.heads = heads
        model.predictor.writers.clear()
    silent, told = heard[::2], heard[1::2]
    assert silent == [[0, 0]] * 60
    cells, _ = notebook.group_notes(piece)
    cells = cells[cells > seed["step"][1:].sum()]
    expected = notebook.tell_chords(piece.markers, cells).tolist()
    chords, named = (
        [chord for i, chord in enumerate(rows) if not i or chord != rows[i - 1]]
        for rows in (told, expected)
    )
    assert chords == named and len(chords) > 6 and chords[0] == [0, 0]


def test_silence_until_the_changes_begin(notebook, model, seed):
    """Before the bar line both write the same; behind it they part."""
    free = generate(notebook, model, seed, joined=True)
    over = generate(notebook, model, seed, changes="C7#9 | Gbmaj7", joined=True)
    start = over.markers[0][0] - 1.5 / notebook.GRID
    before = [piece.notes[piece.notes["onset"] < start] for piece in (free, over)]
    assert np.array_equal(before[0]["pitch"], before[1]["pitch"])
    assert free.notes["pitch"].tolist() != over.notes["pitch"].tolist()


def test_changes_with_a_mood_a_limit_and_several_streams(notebook, model, seed):
    piece = generate(notebook, model, seed, changes="C | F7", energy="high",
                     longest_copy=9)  # fmt: skip
    assert piece.markers and piece.shared.events <= 9
    form = notebook.read_changes("C | F7")
    both = [notebook.generate_pieces(
        model, [seed] * count, 40, changes=[form] * count,
        generator=np.random.default_rng(3)) for count in (1, 3)]  # fmt: skip
    assert both[0][0].notes.tolist() == both[1][0].notes.tolist()


def test_a_bundle_keeps_what_it_knows_of_changes(notebook, model, seed, tmp_path):
    loaded = notebook.load_model(notebook.save_model(model, tmp_path / "x.zip"))
    again = notebook.load_model(notebook.save_model(loaded, tmp_path / "y.zip"))
    assert again.settings["pieces_with_changes"] == 3
    one, two = (generate(notebook, each, seed, changes="Dm7 | G7").notes.tolist()
                for each in (loaded, again))  # fmt: skip
    assert one == two != generate(notebook, again, seed).notes.tolist()
    older = {"seed": 1, "mood_scale": model.settings["mood_scale"]}
    path = notebook.save_model(model._replace(settings=older), tmp_path / "z.zip")
    with pytest.raises(notebook.NotebookError, match="an older notebook made it"):
        notebook.load_model(path)


@pytest.mark.parametrize("marker", [(-1.0, "C"), (float("inf"), "C"), (0.0, 3)])
def test_senseless_markers_are_refused_in_a_sentence(notebook, tmp_path, marker):
    piece = melody((60, 64))
    with pytest.raises(notebook.NotebookError, match="markers"):
        notebook.write_midi(piece.notes, tmp_path / "x.mid", tempo=90.0, title="x",
                            markers=[marker])  # fmt: skip


def test_a_marker_behind_the_music_adds_no_silence(notebook, tmp_path):
    piece = melody((60, 64))
    data = [notebook.midi_bytes(piece.notes, 90.0, "x", markers=((0.0, "C"), *more))
            for more in ((), ((900.0, "F"),))]  # fmt: skip
    assert data[0] == data[1]


def test_forms_of_pieces(notebook, monkeypatch):
    """A form begins with no chord where none stands, and ends with its piece's bars."""
    monkeypatch.setattr(notebook, "SEQUENCE_LENGTH", 8)
    waltz = melody(range(50, 62), step=1, name="waltz")
    markers = ((3.0, "Dm7"), (6.0, "G7"), (99.0, "C6"))
    waltz = replace(waltz, metres=((0.0, 3, 4),), markers=markers)
    short = replace(waltz, notes=waltz.notes[:4])
    learnt = [melody(range(40, 70)), short]
    vocabulary = notebook.build_vocabulary(learnt, 88)
    (form,), (seed,) = notebook.choose_forms(
        [waltz], learnt, vocabulary, np.random.default_rng(1))  # fmt: skip
    assert form.rows == ((0, "N.C."), (3, "Dm7"), (6, "G7")) and form.length == 12
    assert seed["beats"][0] == 4  # the only waltz to learn from is too short


def test_who_has_learnt_no_changes_says_so(notebook, model, seed):
    model = model._replace(settings={**model.settings, "pieces_with_changes": 0})
    with pytest.raises(notebook.NotebookError, match="has learnt no changes"):
        generate(notebook, model, seed, changes="C")
    pieces = [melody(range(50, 90), name="scale")]
    ngram, _ = notebook.train_fold("ngram", notebook.train_ngram, pieces, [], 1, 2)
    seed = notebook.encode(pieces[0], ngram.vocabulary)[:9]
    with pytest.raises(notebook.NotebookError, match="ask `expressive`"):
        generate(notebook, ngram, seed, changes="C")
