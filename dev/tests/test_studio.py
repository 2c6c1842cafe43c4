"""The Studio without a browser: takes, its server, and what visitors may do."""

import html
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import mido
import pytest
from gradio_client import Client, handle_file
from helpers import make_piece, random_piece, rows, small_file

NASTY = "<img src=x onerror=alert(1)>"
ASKED = ("ngram", "tune", None, 60, 1.0, 1.0, "any", "any", 0, 1, "")


@pytest.fixture(scope="module")
def pieces():
    """Return five random pieces, one with a name that is no markup."""
    return [random_piece(i, 80, name=NASTY if i == 0 else None) for i in range(5)]


@pytest.fixture(scope="module")
def models(notebook, pieces):
    """Return an n-gram as the only model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "SEQUENCE_LENGTH", 8)
        model, _ = notebook.train_fold("ngram", notebook.train_ngram, pieces, [], 1, 3)
        yield {"ngram": model}


@pytest.fixture(scope="module")
def server(notebook, models, pieces):
    """Return a Studio that is served, and its address."""
    panel = notebook.open_studio(models, pieces, pieces[1:], f"{len(pieces)} pieces")
    _, address, _ = panel.launch(**notebook.LAUNCH)
    yield panel, address
    panel.close()


@pytest.fixture
def visit(server):
    """Return a function by which a new visitor asks for takes."""
    client = Client(server[1], verbose=False)

    def ask(**settings):
        asked = {"primer": None, "length": 40, **settings}
        return client.predict(**asked, api_name="/write")

    yield ask
    client.close()


def refusal(ask, **settings):
    """Return the sentence with which a request is refused."""
    with pytest.raises(Exception) as caught:
        ask(**settings)
    return str(caught.value)


@pytest.mark.parametrize("missing", [{"start": None}, {"model": None}])
def test_a_request_with_nothing_to_go_on_from_is_a_sentence(visit, missing):
    assert "Choose a model, and a piece or a file" in refusal(visit, **missing)


def read_texts(path):
    """Return the texts in a MIDI file, as another library reads them."""
    return [x.text for x in mido.MidiFile(path).tracks[0] if x.type == "text"]


def test_the_same_request_gives_the_same_file(visit):
    first, again, other = (visit(seed=seed)[0] for seed in (9, 9, 10))
    data = [Path(path).read_bytes() for path in (first, again, other)]
    assert data[0] == data[1] != data[2]


def test_the_file_holds_the_notes_and_the_settings(notebook, models, pieces, visit):
    path, *_ = visit(start=pieces[2].name, seed=3, temperature=0.9)
    take = notebook.make_take(models["ngram"], pieces[2], 40, 0.9, seed=3)
    assert rows(notebook.parse_midi(path)) == rows(take.piece)
    assert read_texts(path) == take.comments
    assert "temperature 0.9" in take.comments[0]


def test_takes_are_kept_for_their_visitor_alone(server, visit):
    def choices(result):
        return [label for label, _ in result[1]["choices"]]

    visit(seed=1)
    assert len(choices(visit(seed=2))) == 2
    other = Client(server[1], verbose=False)
    result = other.predict(primer=None, length=40, seed=3, api_name="/write")
    assert len(choices(result)) == 1 and "seed 3" in choices(result)[0]
    other.close()


def test_a_file_is_one_that_is_removed_in_time(notebook, server, visit):
    """The server forgets only files that it counts among its own."""
    panel, _ = server
    name = Path(visit(seed=77)[0]).name
    kept = [path for paths in panel.temp_file_sets for path in paths]
    assert [path for path in kept if Path(path).name == name]
    cache = notebook.gr.utils.get_upload_folder()
    assert all(cache in path for path in kept)
    assert 0 < panel.delete_cache[1] <= 3600


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"length": 5000}, "maximum"),
        ({"length": -1}, "minimum"),
        ({"temperature": 0}, "minimum"),
        ({"seed": -4}, "minimum"),
        ({"start": "nobody"}, "not in the list of choices"),
        ({"energy": NASTY}, "not in the list of choices"),
        ({"energy": "high"}, "this model knows no mood"),
        ({"changes": "Dm7 | G7"}, "ask `expressive`"),
        ({"changes": f"Dm7 | {NASTY}"}, "in bar 2 is no chord"),
        ({"length": None}, "length is None"),
        ({"changes": "C " * 6000}, "at most 10000 characters"),
    ],
)
def test_a_senseless_request_is_a_sentence_and_the_next_one_works(
    visit, settings, words
):
    reason = refusal(visit, **settings)
    assert words in reason and "Traceback" not in reason
    assert visit(seed=1)[0].endswith(".mid")


def test_a_primer_is_gone_on_from(notebook, models, visit, tmp_path):
    path = tmp_path / "my tune.mid"
    path.write_bytes(small_file([60, 64, 67, 72]))
    result = visit(primer=handle_file(str(path)))
    piece = notebook.parse_midi(result[0])
    assert piece.tempo == pytest.approx(120) and len(piece.notes) > 20
    take = notebook.make_take(models["ngram"], str(path), 40)
    assert rows(piece) == rows(take.piece)
    beginning = take.piece.notes[take.piece.notes["onset"] < take.primer]
    # a table may let its first note sound with the primer's last one
    primer = [60, 64, 67, 72]
    assert [x for x in beginning["pitch"].tolist() if x in primer] == primer
    assert rows(take.new) == rows(take.piece)[len(beginning) :]
    sources = models["ngram"].sources
    assert take.piece.shared == notebook.find_shared_run(take.new, sources)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("rubbish.mid", b"no music", "cannot be used"),
        ("empty.mid", b"", "cannot be used"),
        ("big.mid", bytes(3_000_000), "size"),
        ("song.txt", b"no music", "file type"),
    ],
)
def test_bad_uploads_are_one_sentence(visit, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert words in refusal(visit, primer=handle_file(str(tmp_path / name)))
    assert visit(seed=1)[0].endswith(".mid")


def test_a_file_has_a_safe_name(visit):
    path, *_ = visit(start=NASTY)
    assert "/" not in Path(path).name and NASTY not in path


def test_names_are_text_where_a_take_is_heard_and_seen(notebook, models, pieces):
    write, hear, see = notebook.make_callbacks(models, {"tune": pieces[0]}, pieces)
    *_, session = write(*ASKED, {"takes": [], "writing": None}, lambda *_: None)
    (_, sound), seen = hear(1, session), see(1, True, session)
    assert "<img src=x" not in sound + seen
    assert all(f"after {html.escape(NASTY)}" in each for each in (sound, seen))
    assert "<audio" in sound and "<svg" in seen
    assert (hear(2, session), see(2, True, session)) == ((None, ""), "")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "%2e%2e/x", __file__]
)
def test_no_other_file_is_given_away(server, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server[1]}gradio_api/file={path}")
    assert caught.value.code in (403, 404)


def test_progress_is_told_and_cancelling_leaves_by_an_error(notebook, models, pieces):
    shares = []

    def watch(share):
        shares.append(share)
        if share >= 0.5:
            raise notebook.NotebookError("Cancelled; nothing was kept.")

    with pytest.raises(notebook.NotebookError, match="nothing was kept"):
        notebook.make_take(models["ngram"], pieces[1], 200, watch=watch)
    assert shares == sorted(shares) and shares[0] == 0 and len(shares) > 2


def test_what_is_cancelled_or_overtaken_is_not_kept(notebook, models, pieces):
    write, *_ = notebook.make_callbacks(models, {"tune": pieces[1]}, pieces)
    *_, session = write(*ASKED, {"takes": [], "writing": None}, lambda *_: None)
    assert len(session["takes"]) == 1 and session["writing"] is None
    for other in (None, object()):
        stop = partial(session.update, writing=other)
        with pytest.raises(notebook.gr.Error, match="nothing was kept"):
            write(*ASKED, session, lambda *_, stop=stop: stop())
        assert len(session["takes"]) == 1 and session["writing"] is other


def test_pieces_of_one_name_are_told_apart_and_short_ones_left_out(notebook, models):
    pieces = [random_piece(seed, 30, name="tune") for seed in range(3)]
    short = random_piece(9, 3, name="short")
    panel = notebook.open_studio(models, [*pieces, short], pieces)
    labelled = {getattr(x, "label", None): x for x in panel.blocks.values()}
    names = [name for name, _ in labelled["Go on from"].choices]
    assert len(set(names)) == 3 and all(name.startswith("tune") for name in names)


def test_figures_of_a_take_stand_beside_real_ones(notebook, models, pieces):
    table = notebook.compare_take(pieces[0], pieces[1:], models["ngram"].vocabulary)
    assert list(table.columns) == ["this take", "real, from", "to"]
    assert {"kl divergence", "swing ratio"} <= set(table.index)
    assert (table["real, from"] <= table["to"]).all()
    copy = notebook.compare_take(pieces[1], pieces[1:2], models["ngram"].vocabulary)
    assert copy.loc["kl divergence", "this take"] == pytest.approx(0, abs=0.01)


def test_real_excerpts_have_as_many_tokens_as_the_take(notebook, models, pieces,
                                                      monkeypatch):  # fmt: skip
    vocabulary, asked = models["ngram"].vocabulary, []
    cut = notebook.cut_excerpts

    def spy(real, known, length, generator):
        asked.append(length)
        return cut(real, known, length, generator)

    monkeypatch.setattr(notebook, "cut_excerpts", spy)
    chord = [(i, 1, pitch, 64) for i in range(30) for pitch in range(40, 60)]
    piece = make_piece("spelled", chord)
    notebook.compare_take(piece, pieces, vocabulary)
    assert asked == [len(notebook.encode(piece, vocabulary))] and asked[0] > 30


def test_a_page_without_a_model_is_a_sentence(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook, "OUTPUT_FOLDER", tmp_path)
    with pytest.raises(notebook.NotebookError, match="no model in .*: run all cells"):
        notebook.serve_page()
