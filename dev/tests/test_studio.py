"""The Studio without a browser: takes, manners, and what the page leaves out."""

import asyncio
import io

import mido
import numpy as np
import pytest
from helpers import make_piece, random_piece, rows, small_file

from assembly import assemble, tags_of

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pieces():
    """Return five random pieces, one with a name that is no markup."""
    return [random_piece(i, 80, name=NASTY if i == 0 else None) for i in range(5)]


@pytest.fixture
def models(notebook, monkeypatch, pieces):
    """Return an n-gram as the only model."""
    monkeypatch.setattr(notebook, "SEQUENCE_LENGTH", 8)
    model, _ = notebook.train_fold("ngram", notebook.train_ngram, pieces, [], 1, 3)
    return {"ngram": model}


@pytest.fixture
def studio(notebook, models, pieces):
    """Return a Studio with a first take."""
    opened = notebook.Studio(models, pieces, pieces[1:])
    opened.controls["start"].value = pieces[1].name
    opened.controls["length"].value = 40
    asyncio.run(opened.generate())
    return opened


def read_texts(notebook, take):
    """Return the texts in a take's MIDI file, as another library reads them."""
    file = mido.MidiFile(file=io.BytesIO(notebook.take_bytes(take)))
    return [message.text for message in file.tracks[0] if message.type == "text"]


def generate(studio):
    """Press the button, so to speak, and return what the status says."""
    asyncio.run(studio.attempt(studio.generate()))
    return studio.buttons["status"].value


def contents(studio, view="a"):
    """Return the HTML that a view shows, by part."""
    return {part: box.value for part, box in studio.parts[view].items()}


def test_it_opens_with_a_take(studio):
    shown = contents(studio)
    assert "<audio" in shown["sound"] and "download=" in shown["sound"]
    assert "<svg" in shown["score"] and "data:image/png" in shown["roll"]
    assert "kl divergence" in shown["facts"] and "longest run" in shown["facts"].lower()
    assert contents(studio, "b") == dict.fromkeys(shown, "")
    assert studio.boxes["b"].layout.display == "none"


def test_the_same_request_gives_the_same_file(notebook, models, pieces):
    named = {piece.name: piece for piece in pieces}
    request = notebook.Request("ngram", pieces[2].name, length=30, seed=9)
    first, again = (notebook.make_take(request, models, named) for _ in range(2))
    assert notebook.take_bytes(first) == notebook.take_bytes(again)
    other = notebook.make_take(request._replace(seed=10), models, named)
    assert notebook.take_bytes(other) != notebook.take_bytes(first)


def test_the_file_holds_the_notes_and_the_settings(notebook, studio):
    take = studio.takes[0]
    data = notebook.take_bytes(take)
    assert rows(notebook.parse_bytes(data, "x")) == rows(take.piece)
    texts = set(read_texts(notebook, take))
    assert {"model ngram", "length 40", "seed 1", "temperature 1.0"} <= texts


def test_a_new_take_is_kept_and_the_old_one_can_be_compared(studio):
    before = contents(studio)
    studio.controls["seed"].value = 5
    assert "Here it is" in generate(studio) and len(studio.takes) == 2
    assert contents(studio)["roll"] != before["roll"]
    assert studio.buttons["a"].value == 2

    async def compare():
        studio.buttons["b"].value = 1
        await asyncio.gather(*studio.tasks)

    asyncio.run(compare())
    shown = contents(studio, "b")
    assert shown["roll"] == before["roll"] and "B: " in shown["sound"]
    assert studio.boxes["b"].layout.display == "flex"


def test_progress_is_told_and_cancelling_keeps_nothing(studio, monkeypatch):
    shares, original = [], studio.watch

    def watch(share):
        shares.append(share)
        studio.buttons["cancel"].value = share >= 0.5
        original(share)

    studio.watch = watch
    assert "Cancelled" in generate(studio) and len(studio.takes) == 1
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 0.5
    studio.watch = original
    assert "Here it is" in generate(studio) and len(studio.takes) == 2


def test_two_clicks_write_one_take(studio):
    async def click_twice():
        await asyncio.gather(studio.generate(), studio.generate())

    asyncio.run(click_twice())
    assert len(studio.takes) == 2 and not studio.buttons["generate"].disabled


def test_the_last_choice_is_shown(studio):
    for seed in (5, 6):
        studio.controls["seed"].value = seed
        generate(studio)

    async def choose_quickly():
        for number in (1, 2, 3, 1):
            studio.buttons["b"].value = number
        studio.buttons["a"].value = 2
        await asyncio.gather(*studio.tasks)

    asyncio.run(choose_quickly())
    assert "seed 1" in contents(studio, "b")["sound"]
    assert "seed 5" in contents(studio)["sound"]

    async def choose_none():
        studio.buttons["b"].value = 2
        studio.buttons["b"].value = 0
        await asyncio.gather(*studio.tasks)

    asyncio.run(choose_none())
    assert not any(contents(studio, "b").values())


def test_marking_draws_the_rolls_again(studio):
    before = contents(studio)

    async def mark():
        studio.buttons["mark"].value = True
        await asyncio.gather(*studio.tasks)

    asyncio.run(mark())
    after = contents(studio)
    assert after.pop("roll") != before.pop("roll") and after == before


def test_what_cannot_be_drawn_is_said(studio, notebook, monkeypatch):
    monkeypatch.setattr(notebook, "render_seen", None)

    async def choose():
        await studio.attempt(studio.choose("b", 1))

    asyncio.run(choose())
    assert "That failed" in studio.buttons["status"].value


def test_pieces_of_one_name_are_told_apart_and_short_ones_left_out(notebook, models):
    pieces = [random_piece(seed, 30, name="tune") for seed in range(3)]
    short = random_piece(9, 3, name="short")
    named = notebook.Studio(models, [*pieces, short], pieces).pieces
    assert list(named) == ["tune", "tune (2)", "tune (3)"]
    assert named["tune (2)"] is pieces[1]


def test_a_mistake_is_a_sentence_and_the_panel_goes_on(studio, notebook, monkeypatch):
    studio.controls["energy"].value = "high"
    words = "this model knows no mood; ask `expressive`."
    assert f"Nothing was generated: {words}" in generate(studio)
    studio.controls["energy"].value = "any"

    def fail(*_, **__):
        raise RuntimeError(NASTY)

    with monkeypatch.context() as patch:
        patch.setattr(notebook, "generate_music", fail)
        status = generate(studio)
    assert "That failed" in status and "<img" not in status
    assert not studio.buttons["generate"].disabled
    assert "Here it is" in generate(studio)


def upload(studio, name, content):
    """Give the Studio a file, as the browser does; return what the status says."""
    job = studio.upload(({"name": name, "content": memoryview(content)},))
    asyncio.run(studio.attempt(job))
    return studio.buttons["status"].value


def test_a_primer_is_gone_on_from(notebook, studio):
    data = small_file([60, 64, 67, 72])
    assert "primer" in upload(studio, "primer.mid", data)
    assert studio.controls["start"].disabled
    generate(studio)
    take = studio.takes[-1]
    beginning = take.piece.notes[take.piece.notes["onset"] < take.primer]
    # a table may let its first note sound with the primer's last one
    primer = [60, 64, 67, 72]
    assert [x for x in beginning["pitch"].tolist() if x in primer] == primer
    assert len(take.piece.notes) > len(beginning)
    assert take.piece.tempo == pytest.approx(120)
    new = notebook.notes_from(take.piece, take.primer)
    assert rows(new) == rows(take.piece)[len(beginning) :]
    sources = studio.models["ngram"].sources
    assert take.piece.shared == notebook.find_shared_run(new, sources)
    assert "start primer primer" in read_texts(notebook, take)
    asyncio.run(studio.upload(None))
    assert studio.primer is None and not studio.controls["start"].disabled


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("big.mid", bytes(1_000_001), "1 MB"),
        ("rubbish.mid", b"no music", "cannot be used"),
        ("empty.mid", b"", "cannot be used"),
        (f"{NASTY}.mid", b"no music", "&lt;img"),
    ],
)
def test_bad_uploads_are_one_sentence(studio, name, content, reason):
    status = upload(studio, name, content)
    assert reason in status and "<img" not in status
    assert studio.primer is None and "Here it is" in generate(studio)


def test_names_are_shown_as_text(notebook, studio):
    studio.controls["start"].value = NASTY
    generate(studio)
    shown = contents(studio)
    text = "".join(shown.values()).replace('<img alt="Piano roll', "")
    assert "<img" not in text and "&lt;img src=x" in text
    assert NASTY in studio.takes[-1].piece.name


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


def test_names_keep_their_capitals(notebook, studio, monkeypatch):
    monkeypatch.setattr(notebook, "describe_copy", lambda piece: "a run of Autumn")
    shown = notebook.render_seen(studio.takes[-1], studio.held_out, False)
    assert "<p>A run of Autumn.</p>" in shown["facts"]


# The page.


@pytest.mark.parametrize(
    "cell, kept",
    [
        ("import os\n\nSIZE = 3\n", True),
        ("def f():\n    return print()\n", True),
        ("A, B = 1, 2\n", True),
        ("print(1)\n", False),
        ("x = 1\n", False),
        ("SIZE = 3\nprint(SIZE)\n", False),
        ("# needed by the page\nprint(1)\n", True),
        ("", True),
        ("%matplotlib inline\n", False),
        ("!pip list\n", False),
    ],
)
def test_the_page_runs_definitions_and_what_it_needs(notebook, cell, kept):
    lines = cell.splitlines(keepends=True)
    assert notebook.keep_for_page(lines) == (lines if kept else [])


def test_every_definition_is_kept_for_the_page(notebook):
    """What the page needs is defined in cells that it runs."""
    cells = [cell for cell in assemble().cells if cell.cell_type == "code"]
    (start,) = (i for i, cell in enumerate(cells) if "def keep_for_page" in cell.source)
    for cell in cells[start:]:
        if "active-ipynb" not in tags_of(cell):
            lines = cell.source.splitlines(keepends=True)
            assert notebook.keep_for_page(lines) == lines, cell.source[:80]


def test_a_report_that_is_missing_is_said(notebook, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(notebook, "display", shown.append)
    notebook.show_report(tmp_path)
    assert "run the notebook first" in shown[-1].data


def test_a_missing_model_is_trained_for_a_moment_and_said(
    notebook, tiny, tmp_path, pieces, monkeypatch
):
    shown, names = [], ["published"]
    monkeypatch.setattr(notebook, "display", shown.append)
    stored = notebook.stored_models(names, pieces, tmp_path)
    assert list(stored) == names and stored["published"].name == "published"
    (sentence,) = (notebook.html.unescape(each.data) for each in shown)
    assert "one epoch" in sentence and str(tmp_path / "published.zip") in sentence
    assert not list(tmp_path.iterdir())  # it is no result
    notebook.save_model(stored["published"], tmp_path / "published.zip")
    again = notebook.stored_models(names, pieces, tmp_path)
    assert list(again) == names and len(shown) == 1
    tokens = list(range(12))
    first, second = (each["published"].predictor for each in (stored, again))
    assert np.array_equal(first.predict(tokens), second.predict(tokens))
