# %% [markdown]
# ## 19 Play
#
# **May I try?** The Studio is a panel to play with: choose who writes and what to go on
# from, press Generate, listen, look, compare two takes, keep the MIDI. The same random
# seed and settings give the same file. It is a web page that this machine serves to
# itself, so a stored notebook shows its picture. Where the notebook runs on another
# machine, `studio.launch(**LAUNCH, share=True)` makes a public address for a while,
# and jupyter-server-proxy reaches it at `/proxy/` and its port.

# %% tags=["active-py"]
import html
import warnings
from collections import namedtuple
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd

from .corpus import MIDI_ENDINGS, group_notes, load_corpus
from .encoding import encode
from .evaluation import describe_music
from .expressive import MOODS
from .generation import end_of_primer, generate_music, notes_from, read_primer
from .harmony import SONGS
from .hearing import (
    LONGEST_SOUND,
    as_data,
    draw_piece,
    midi_bytes,
    render_sound,
    safe_file_name,
    show_sound,
)
from .novelty import describe_copy, find_shared_run
from .settings import (
    OUTPUT_FOLDER,
    SEED,
    SEQUENCE_LENGTH,
    TRAINING_FOLDER,
    VALIDATION_FOLDER,
    NotebookError,
)
from .validation import (
    HEADLINE_METRICS,
    TRAINERS,
    choose_seeds,
    compare,
    cut_excerpts,
    load_model,
)

# %% tags=["hide-input"]
# What was written, by which model, how many quarter lengths of a primer it begins with,
# what is new in it, and what was asked, as text.
Take = namedtuple("Take", "piece model primer new comments")


def make_take(model, source, length=100, temperature=1.0, top_p=1.0, energy="any",
              brightness="any", tempo=0, seed=1, changes="", watch=None):
    """Return a take after a piece, or a primer's file; `tempo` 0: as there."""
    seed, joined = seed or 0, isinstance(source, str)
    generator = np.random.default_rng(seed)
    if joined:
        name = Path(source).stem
        first, pace = read_primer(source, model.vocabulary)
    else:
        name, pace = source.name, source.tempo
        (first,) = choose_seeds([source], model.vocabulary, 1, generator)
    moods = [None if mood == "any" else mood for mood in (energy, brightness)]
    piece = generate_music(model, first, length, temperature=temperature, top_p=top_p,
                           energy=moods[0], brightness=moods[1], tempo=tempo or pace,
                           generator=generator, changes=changes or None, joined=joined,
                           watch=watch)
    primer = end_of_primer(first) if joined else 0.0
    new = notes_from(piece, primer)
    piece = replace(piece, name=f"{model.name} after {name}, seed {seed}",
                    shared=find_shared_run(new, model.sources))
    asked = [f"energy {energy}, brightness {brightness}", describe_copy(piece)]
    return Take(piece, model.name, primer, new, [piece.settings, *asked])


def compare_take(piece, pieces, vocabulary):
    """Return a table: a piece's figures, and where nine of ten real excerpts' lie."""
    generator, rows = np.random.default_rng(SEED), []
    real = cut_excerpts(pieces, vocabulary, len(encode(piece, vocabulary)), generator)
    with warnings.catch_warnings():  # a short take may have nothing to count
        warnings.filterwarnings("ignore", ".* is not defined|All-NaN")
        for i, each in enumerate([*real, piece]):
            rest = real[:i] + real[i + 1 :]
            row = {name: compare(name, rest, [each]) for name in HEADLINE_METRICS}
            rows.append({**row, **describe_music(each)})
        table = pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))
        (low, high), ours = table[:-1].quantile([0.05, 0.95]).to_numpy(), table.iloc[-1]
    return pd.DataFrame({"this take": ours, "real, from": low, "to": high}).round(3)


MOST_EVENTS = 1000  # of a request
PRIMER = f"{VALIDATION_FOLDER}/mercado_de_madrugada.mid"
EXAMPLES = (  # start, primer, energy, tempo, changes: a blues, a ballad, a primer
    ("blue_lantern_blues", None, "high", 0, SONGS["a blues in F"]),
    ("letter_kept_in_a_drawer", None, "low", 0, ""),
    ("blue_lantern_blues", PRIMER, "any", 0, ""))


def ask_settings():
    """Return the fields of what is asked beside model, start and primer."""
    with gr.Row():
        number = partial(gr.Number, precision=0, minimum=0, min_width=120)
        choice = partial(gr.Dropdown, min_width=120)
        return [
            number(100, label="Events", minimum=1, maximum=MOST_EVENTS),
            number(1.0, label="Temperature", precision=2, minimum=0.1, maximum=3,
                   step=0.05),
            choice([1.0, 0.98, 0.95, 0.9, 0.8], label="Top-p"),
            choice(["any", *MOODS], label="Energy"),
            choice(["any", *MOODS], label="Brightness"),
            number(0, label="Tempo, 0: own", maximum=400),
            number(1, label="Random seed", maximum=10**9),
            choice([("none", ""), *SONGS.items()], label="Changes, or write your own",
                   allow_custom_value=True, min_width=300)]


# %% tags=["hide-input"]
def save_take(take):
    piece = take.piece
    data = midi_bytes(piece.notes, piece.tempo, piece.name, take.comments, piece.metres,
                      piece.markers)
    file, folder = f"{safe_file_name(piece.name)}.mid", gr.utils.get_upload_folder()
    return gr.processing_utils.save_bytes_to_cache(data, file, folder)


def make_callbacks(models, named, held_out):
    """Return what the panel does: write a take, hear one, see one.

    `session`: a visitor's takes, kept there and nowhere else, and what is being written
    for that visitor: whatever takes its place, or takes it away, stops the writing.
    """

    def write(model, start, primer, length, temperature, top_p, energy, brightness,
              tempo, seed, changes, session, progress=gr.Progress()):
        session["writing"] = mine = object()

        def watch(share):
            progress(share, "Writing")
            if session["writing"] is not mine:
                raise NotebookError("Cancelled; nothing was kept.")

        try:
            if model not in models or not (primer or start in named):
                raise NotebookError("Choose a model, and a piece or a file of yours.")
            take = make_take(models[model], primer or named[start], length, temperature,
                             top_p, energy, brightness, tempo, seed, changes, watch)
            watch(1)
        except NotebookError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from None
        takes = [*session["takes"], take]
        names = [(f"{number}: {each.piece.name}", number)
                 for number, each in enumerate(takes, 1)]
        return (save_take(take), gr.Dropdown(names, value=len(takes)),
                gr.Dropdown([("none", 0), *names]), {"takes": takes, "writing": None})

    def hear(number, session):
        if not 0 < number <= len(session["takes"]):
            return None, ""
        take = session["takes"][number - 1]
        piece = take.piece
        sound = render_sound(piece.notes, piece.tempo, LONGEST_SOUND, "audio/flac")
        return save_take(take), show_sound(sound, piece.name)

    def see(number, marked, session):
        if not 0 < number <= len(session["takes"]):
            return ""
        take = session["takes"][number - 1]
        words = html.escape(describe_copy(take.piece))
        drawn = draw_piece(take.piece, take.piece.name, score=True, primer=take.primer,
                           marked=marked)
        facts = compare_take(take.new, held_out, models[take.model].vocabulary)
        facts = f'<div style="overflow-x: auto">{facts.to_html(border=0)}</div>'
        return f"{drawn}<p>{words[0].upper()}{words[1:]}.</p>{facts}"

    return write, hear, see


# %% tags=["hide-input"]
def open_studio(models, pieces, held_out, report=""):
    """Return the panel, Gradio's `Blocks`, to write music after `pieces`.

    `models`: by name; `held_out`: real pieces to compare with; `report`: HTML above it.
    """
    named = {}
    for piece in pieces:
        if len(group_notes(piece)[0]) > SEQUENCE_LENGTH:
            known = f" ({len(named)})" if piece.name in named else ""
            named[piece.name + known] = piece
    write, hear, see = make_callbacks(models, named, held_out)
    with gr.Blocks(title="Jazz piano studio", analytics_enabled=False,
                   delete_cache=(600, 3600)) as panel:
        session = gr.State({"takes": [], "writing": None})
        gr.HTML(report, visible=bool(report))
        with gr.Row():
            model = gr.Dropdown([*reversed(models)], label="Model")
            start = gr.Dropdown([*named], label="Go on from")
            primer = gr.File(label="or from a MIDI file of yours", height=140,
                             file_types=[*MIDI_ENDINGS])
        settings = ask_settings()
        examples = [[*each] for each in EXAMPLES
                    if each[0] in named and Path(each[1] or "").exists()]
        if examples:
            gr.Examples(examples, [start, primer, settings[3], *settings[5::2]],
                        label="Try")
        with gr.Row():
            button, stop = gr.Button("Generate", variant="primary"), gr.Button("Cancel")
            mark = gr.Checkbox(label="Mark borrowed passages")
        views = []
        with gr.Row():
            for label in "AB":
                with gr.Column(min_width=320, elem_id=f"take-{label.lower()}"):
                    views.append((gr.Dropdown([("none", 0)], label=f"Take {label}"),
                                  gr.DownloadButton("Download the MIDI"),
                                  gr.HTML(elem_classes="sound"),
                                  gr.HTML(elem_classes="seen")))
        (a, file, sound, _), (b, *_) = views
        queue = {"show_progress_on": sound, "concurrency_id": "write"}
        writing = [trigger(write, [model, start, primer, *settings, session],
                           [file, a, b, session], api_name=name, **queue)
                   for trigger, name in ((panel.load, False), (button.click, "write"))]
        stop.click(lambda known: known.update(writing=None), session, None,
                   cancels=writing, queue=False, api_name=False)
        marked, last = mark.input, {"trigger_mode": "always_last", "api_name": False}
        for take, file, sound, seen in views:
            view = {**last, "fn": see, "inputs": [take, mark, session], "outputs": seen}
            take.change(hear, [take, session], [file, sound], **last).success(**view)
            marked = marked(**view).success
    return panel.queue(max_size=64)


# %% tags=["hide-input"]
LAUNCH = {"quiet": True, "show_error": True, "inline": False, "max_file_size": "1mb",
          "prevent_thread_lock": True, "footer_links": ["api"],
          "theme": gr.themes.Default(font=["system-ui"], font_mono=["monospace"])}


def draw_report(folder):
    """Return the figures of the last full run as HTML."""
    parts = ["<h1>Jazz Piano Music Generation Using LSTM</h1><p>What each model scores "
             "on pieces that it has not heard.</p>"]
    for name in ("staircase", "evaluation"):
        if (path := Path(folder, f"figures/{name}.png")).exists():
            source = as_data("image/png", path.read_bytes())
            parts.append(f'<img alt="{name}" src="{source}" style="display: inline; '
                         'width: min(100%, 580px); vertical-align: top">')
    return "".join(parts)


def serve_page():
    """Serve the models of the last full run, and its report, until interrupted."""
    folder, seen = Path(OUTPUT_FOLDER), {}
    models = {path.stem: load_model(path) for path in
              sorted(folder.glob("models/*.zip")) if path.stem in TRAINERS}
    if not models:
        raise NotebookError(f"There is no model in {folder / 'models'}: run all cells.")
    learnt, _ = load_corpus(TRAINING_FOLDER, "training", seen)
    held_out, _ = load_corpus(VALIDATION_FOLDER, "validation", seen)
    panel = open_studio(models, held_out + learnt, held_out, draw_report(folder))
    panel.launch(**LAUNCH)
    panel.block_thread()


if "In" in globals() and "RUN_STARTED" not in globals():  # a kernel, definitions alone
    serve_page()

# %% tags=["active-ipynb"]
# gr.close_all(verbose=False)
# studio = open_studio(models, validation_pieces + training_pieces, validation_pieces)
# _, address, _ = studio.launch(**LAUNCH)
# picture = Path(OUTPUT_FOLDER) / "figures" / "studio.png"
# source = as_data("image/png", picture.read_bytes()) if picture.exists() else ""
# HTML(f'<object data="{address}" type="text/html" style="width: 100%; height: 900px">'
#      f'<img alt="The Studio" style="width: min(100%, 760px)" src="{source}"></object>'
#      f'<p>The Studio is at <a href="{address}">{address}</a> while this runs.</p>')
