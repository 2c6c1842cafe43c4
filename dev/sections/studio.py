# %% [markdown]
# ## 15 Play
#
# **May I try?** The Studio is a panel to play with: choose who writes and what to go on
# from, press Generate, listen, look, compare two takes, keep the MIDI. The same random
# seed and settings give the same file. Models count in four, so every take is notated in
# 4/4. `voila Music_Generation_LSTM.ipynb` serves the report of the last run and the
# Studio as a web page, without code.

# %% tags=["active-py"]
import asyncio
import html
import warnings
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from .corpus import (
    LARGEST_FILE,
    MIDI_ENDINGS,
    MidiFileError,
    group_notes,
    parse_bytes,
    readable,
)
from .encoding import encode
from .evaluation import describe_music
from .expressive import MOODS
from .generation import end_of_primer, generate_music, notes_from, read_primer
from .hearing import (
    as_data,
    midi_bytes,
    plot_take,
    render_sound,
    safe_file_name,
    show_score,
    show_sound,
)
from .machinery import figure_bytes
from .novelty import describe_copy, find_copy, find_shared_run
from .settings import SEED, SEQUENCE_LENGTH, WIDE, NotebookError
from .validation import (
    HEADLINE_METRICS,
    TRAINERS,
    choose_seeds,
    compare,
    cut_excerpts,
    load_model,
    summarise_folds,
    train_fold,
)

# %% tags=["hide-input"]
# What is asked of the Studio: a primer takes the place of the piece to start from, and
# tempo 0 is that piece's. And what it has written: it begins with so many quarter
# lengths of the primer.
Request = namedtuple(
    "Request",
    "model start length temperature top_p energy brightness tempo seed primer",
    defaults=(100, 1.0, 1.0, "any", "any", 0, 1, None),
)
Take = namedtuple("Take", "request piece primer", defaults=(0.0,))


def make_take(request, models, pieces, watch=None):
    """Return the take that a request asks for; the same request gives the same one.

    `models` and `pieces` by name; `watch`: told the share that is done.
    """
    model, primer = models[request.model], 0.0
    generator = np.random.default_rng(request.seed)
    source = request.primer or pieces[request.start]
    if request.primer:
        seed, tempo = read_primer(source, model.vocabulary)
        primer = end_of_primer(seed)
    else:
        (seed,) = choose_seeds([source], model.vocabulary, 1, generator)
        tempo = source.tempo
    moods = [None if m == "any" else m for m in (request.energy, request.brightness)]
    piece = generate_music(model, seed, request.length, temperature=request.temperature,
                           top_p=request.top_p, energy=moods[0], brightness=moods[1],
                           tempo=request.tempo or tempo, generator=generator,
                           joined=request.primer is not None, watch=watch)
    shared = find_shared_run(notes_from(piece, primer), model.sources)
    name = f"{model.name} after {source.name}"
    return Take(request, replace(piece, name=name, shared=shared), primer)


def take_bytes(take):
    """Return the bytes of a take's MIDI file, its settings inside."""
    values, piece = take.request._asdict(), take.piece
    if primer := values.pop("primer"):
        values["start"] = f"primer {primer.name}"
    comments = [f"{name} {value}" for name, value in values.items()]
    comments.insert(0, describe_copy(piece))
    return midi_bytes(piece.notes, piece.tempo, piece.name, comments)


def compare_take(piece, pieces, vocabulary):
    """Return a table of a piece's figures beside those of real excerpts as long.

    `pieces`: held-out ones; the band holds nine of ten of them.
    """
    generator = np.random.default_rng(SEED)
    real = cut_excerpts(pieces, vocabulary, len(encode(piece, vocabulary)), generator)
    with warnings.catch_warnings():  # a short take may have nothing to count
        warnings.filterwarnings("ignore", ".* is not defined|All-NaN")
        values, bands = describe_music(piece), pd.DataFrame(map(describe_music, real))
        for metric in HEADLINE_METRICS:
            values[metric] = compare(metric, real, [piece])
            bands[metric] = [compare(metric, real[:i] + real[i + 1 :], [each])
                             for i, each in enumerate(real)]
        rows = [*HEADLINE_METRICS, *list(values)[: -len(HEADLINE_METRICS)]]
        low, high = (np.nanquantile(bands[rows], q, axis=0) for q in (0.05, 0.95))
    ours = [values[row] for row in rows]
    columns = {"this take": ours, "real, from": low, "to": high}
    return pd.DataFrame(columns, [row.replace("_", " ") for row in rows]).round(3)


# %% tags=["hide-input"]
def draw_roll(take, sources, marked):
    """Return a take's piano roll as HTML; `marked`: shade what is in a source."""
    figure = plt.matplotlib.figure.Figure(figsize=WIDE, layout="constrained")
    written = notes_from(take.piece, take.primer)
    copied = find_copy(written, sources) if marked else None
    plot_take(take.piece, figure.add_subplot(), primer=take.primer, copied=copied)
    source = as_data("image/png", figure_bytes(figure))
    words = html.escape(f"Piano roll of {take.piece.name}")
    return {"roll": f'<img alt="{words}" style="width: 100%" src="{source}">'}


def render_heard(take, name):
    """Return a take's player and the link to its file, as HTML by part."""
    title = f"{name.upper()}: {take.piece.name}, seed {take.request.seed}"
    sound = render_sound(take.piece.notes, take.piece.tempo)
    file = f"{safe_file_name(take.piece.name)}_seed_{take.request.seed}.mid"
    link = f'download="{file}" href="{as_data("audio/midi", take_bytes(take))}"'
    link = f"<p><a {link}><u>Download the MIDI</u></a></p>"
    return {"sound": show_sound(sound, title) + link}


def render_seen(take, model, held_out, marked):
    """Return the figures and the pictures of a take, as HTML by part."""
    piece, words = take.piece, describe_copy(take.piece)
    written = notes_from(piece, take.primer)
    figures = compare_take(written, held_out, model.vocabulary)
    words = html.escape(words[0].upper() + words[1:])
    score = show_score(piece.notes, tempo=piece.tempo, metre=piece.metre)
    facts = f"<p>{words}.</p>{figures.to_html(border=0, col_space=80)}"
    roll = draw_roll(take, model.sources, marked)
    return {**roll, "facts": facts, "score": score.data}


def read_upload(upload):
    """Return an uploaded MIDI file as a piece; NotebookError says what is wrong."""
    name, content = readable(Path(str(upload["name"])).stem), bytes(upload["content"])
    if len(content) > LARGEST_FILE:
        raise NotebookError(f"{name} is larger than 1 MB: choose a shorter MIDI file.")
    try:
        return parse_bytes(content, name)
    except MidiFileError as error:
        raise NotebookError(f"{name} cannot be used: {error}.") from None


def name_pieces(pieces):
    """Return the pieces that are long enough to go on from, by names of their own."""
    named = {}
    for piece in pieces:
        name, number = piece.name, 1
        while name in named:
            number += 1
            name = f"{piece.name} ({number})"
        if len(group_notes(piece)[0]) > SEQUENCE_LENGTH:
            named[name] = piece
    return named


# %% tags=["hide-input"]
def make_controls(models, pieces):
    """Return the Studio's controls, by name, with good defaults."""
    moods, whole = ("any", *MOODS), widgets.BoundedIntText
    words = {"tempo": "Tempo, 0: same", "seed": "Random seed", "length": "Events",
             "start": "Go on from", "top_p": "Top-p"}  # fmt: skip
    controls = {
        "model": widgets.Dropdown(options=list(models), value=list(models)[-1]),
        "start": widgets.Dropdown(options=list(pieces), value=list(pieces)[0]),
        "length": whole(100, 1, 1000, 20),
        "temperature": widgets.BoundedFloatText(1.0, min=0.1, max=3.0, step=0.05),
        "top_p": widgets.Dropdown(options=[1.0, 0.98, 0.95, 0.9, 0.8], value=1.0),
        "energy": widgets.Dropdown(options=moods, value="any"),
        "brightness": widgets.Dropdown(options=moods, value="any"),
        "tempo": whole(0, 0, 400),
        "seed": whole(1, 0, 10**9),
    }
    for name, control in controls.items():
        control.description = words.get(name, name.capitalize())
        control.style.description_width = "110px"
        control.layout = widgets.Layout(width="auto", max_width="420px")
    return controls


def make_buttons():
    """Return what the Studio is worked with beside its controls, by name."""
    return {"primer": widgets.FileUpload(accept=",".join(MIDI_ENDINGS),
                                         description="MIDI primer"),
            "drop": widgets.Button(description="No primer", disabled=True),
            "generate": widgets.Button(description="Generate", button_style="primary"),
            "cancel": widgets.Button(description="Cancel", disabled=True),
            "progress": widgets.FloatProgress(max=1.0, description="Progress"),
            "status": widgets.HTML(), "a": widgets.Dropdown(description="Take A"),
            "b": widgets.Dropdown(description="Take B"),
            "marked": widgets.Checkbox(description="Mark borrowed passages",
                                       indent=False)}


# %% tags=["hide-input"]
class Studio:
    """A panel to generate, hear, see, compare and keep music.

    `models` by name; `pieces`: what the music may go on from; `held_out`: real pieces
    that its figures are compared with.
    """

    def __init__(self, models, pieces, held_out):
        self.models, self.held_out = models, held_out
        self.pieces = name_pieces(pieces)
        self.takes, self.primer, self.tasks, self.listening = [], None, set(), True
        self.busy, self.cancelled, self.share = False, False, 0.0
        self.thread = ThreadPoolExecutor(1)
        self.controls, self.buttons = make_controls(models, self.pieces), make_buttons()
        self.boxes, self.parts, self.shown = {}, {}, {"a": None, "b": None}
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        for view in self.shown:
            names = ("sound", "roll", "score", "facts")
            self.parts[view] = {part: widgets.HTML() for part in names}
            for part, box in self.parts[view].items():
                box.add_class(f"studio-{part}")
                box.layout.overflow = "auto hidden"
            layout = widgets.Layout(flex="1 1 340px", min_width="0", width="auto")
            parts = [*self.parts[view].values()]
            self.boxes[view] = widgets.VBox(parts, layout=layout)
            self.boxes[view].add_class(f"studio-take-{view}")
            self.show(view, None, {})
            choose = partial(self.react, self.choose, view)
            self.buttons[view].observe(choose, "value")
        for name in ("generate", "cancel", "drop"):
            self.buttons[name].on_click(partial(self.react, getattr(self, name)))
        self.buttons["primer"].observe(partial(self.react, self.upload), "value")
        self.buttons["marked"].observe(partial(self.react, self.mark), "value")
        columns = "repeat(auto-fit, minmax(min(320px, 100%), 1fr))"
        grid = widgets.Layout(display="grid", grid_template_columns=columns)
        lines = [
            widgets.HBox([self.buttons[name] for name in line.split()], layout=wrap)
            for line in (
                "primer drop", "generate cancel progress", "status", "a b marked"
            )
        ]
        controls = widgets.GridBox([*self.controls.values()], layout=grid)
        views = widgets.HBox([*self.boxes.values()], layout=wrap)
        self.panel = widgets.VBox([controls, *lines, views])
        self.panel.add_class("studio")

    def _repr_mimebundle_(self, **options):
        words = "The Studio opens here when this cell is run."
        return {**self.panel._repr_mimebundle_(**options), "text/plain": words}

    def react(self, job, *arguments):
        """Let a job run beside the page; whatever fails, say it in a sentence."""
        change = arguments[-1]
        value = change["new"] if isinstance(change, dict) else None
        if self.listening:
            task = self.attempt(job(*arguments[:-1], value))
            task = asyncio.get_running_loop().create_task(task)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def attempt(self, job):
        """Do a job; whatever fails, say it in a sentence and go on."""
        try:
            await job
        except NotebookError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"That failed ({error!r}). Change a setting and try again.")

    async def work(self, function, *arguments):
        """Return what a function gives, called in a thread, one call at a time."""
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self.thread, partial(function, *arguments))
        while not job.done():
            await asyncio.wait([job], timeout=0.1)
            self.buttons["progress"].value = self.share
        return job.result()

    def watch(self, share):
        self.share = share
        if self.cancelled:
            raise NotebookError("Cancelled; nothing was kept.")

    def say(self, words):
        self.buttons["status"].value = f'<p role="status">{html.escape(words)}</p>'

    def show(self, view, take, contents):
        """Show a take's HTML in the parts that are named; a new take empties all."""
        if take is None or take is not self.shown[view]:
            contents = {**dict.fromkeys(self.parts[view], ""), **contents}
        self.shown[view] = take
        self.boxes[view].layout.display = "flex" if take else "none"
        for part, content in contents.items():
            self.parts[view][part].value = content

    def keep(self, take):
        """Add a take to the history, choose it as take A, and return it."""
        self.takes.append(take)
        names = [(f"{number}: {each.piece.name}, seed {each.request.seed}", number)
                 for number, each in enumerate(self.takes, 1)]
        other, self.listening = self.buttons["b"].value or 0, False
        lists = {"a": (names, len(names)), "b": ([("none", 0), *names], other)}
        for button, (options, value) in lists.items():
            self.buttons[button].options = options
            self.buttons[button].value = value
        self.listening = True
        return take

    def use_primer(self, piece):
        self.primer = piece
        self.controls["start"].disabled = piece is not None
        self.buttons["drop"].disabled = piece is None
        self.buttons["primer"].value = ()

    async def drop(self, _=None):
        self.use_primer(None)
        self.say("The music will go on from the piece in the list.")

    async def upload(self, uploaded):
        if uploaded:
            self.use_primer(None)
            self.use_primer(await self.work(read_upload, uploaded[-1]))
            self.say(f"The music will go on from {self.primer.name}.")

    async def cancel(self, _=None):
        self.cancelled = True

    async def generate(self, _=None):
        """Write a take as the controls ask, and show it, unless that is under way."""
        if self.busy:
            return
        self.set_busy(True)
        await self.attempt(self.compose())
        self.set_busy(False)

    def set_busy(self, busy):
        self.busy, self.cancelled, self.share = busy, False, 0.0
        self.buttons["progress"].value = 0.0
        self.buttons["generate"].disabled = busy
        self.buttons["cancel"].disabled = not busy

    async def compose(self):
        self.say("Writing …")
        request = self.read_request()
        take = await self.work(make_take, request, self.models, self.pieces, self.watch)
        await self.present("a", self.keep(take))
        self.say(f"Here it is. {take.piece.remarks}".strip())

    def read_request(self):
        values = {name: each.value for name, each in self.controls.items()}
        return Request(**values, primer=self.primer)

    async def present(self, view, take):
        """Show a take, heard and then seen, unless a later choice comes."""
        self.boxes[view].ticket = ticket = object()
        model, marked = self.models[take.request.model], self.buttons["marked"].value
        for render, *known in (
            (render_heard, view), (render_seen, model, self.held_out, marked)
        ):
            contents = await self.work(render, take, *known)
            if self.boxes[view].ticket is ticket:
                self.show(view, take, contents)

    async def choose(self, view, number):
        if number:
            await self.present(view, self.takes[number - 1])
        else:
            self.boxes[view].ticket = None
            self.show(view, None, {})

    async def mark(self, marked):
        """Draw the piano rolls again, with or without what was borrowed."""
        for view, take in self.shown.items():
            if take:
                sources = self.models[take.request.model].sources
                roll = await self.work(draw_roll, take, sources, marked)
                if self.shown[view] is take:
                    self.show(view, take, roll)

    def open_with(self, request):
        take = self.keep(make_take(request, self.models, self.pieces))
        seen = render_seen(take, self.models[request.model], self.held_out, False)
        self.show("a", take, {**render_heard(take, "a"), **seen})


# %% tags=["hide-input"]
def stored_models(names, pieces, folder):
    """Return the models of the last run by name, and what is to be said of them.

    Where there is none, one is trained for a moment and not kept.
    """
    models, sentences = {}, []
    for name in names:
        try:
            models[name] = load_model(Path(folder) / f"{name}.zip")
        except NotebookError as error:
            sentences.append(f"{error} Here one epoch must do: it will not play well.")
            models[name], _ = train_fold(name, TRAINERS[name], pieces, [], SEED, 1)
    return models, sentences


def show_report(folder):
    """Display the figures and the main tables that the last run left in a folder."""
    folder = Path(folder)
    display(Markdown("# Jazz Piano Music Generation Using LSTM\n\nWhat each model "
                     "scores; the band is real music against real music."))  # fmt: skip
    for name in ("evaluation", "histograms"):
        path = folder / "figures" / f"{name}.png"
        if path.exists():
            source = as_data("image/png", path.read_bytes())
            style = "width: 100%; max-width: 900px"
            display(HTML(f'<img alt="{name}" style="{style}" src="{source}">'))
    path = folder / "tables" / "cross_validation.csv"
    if path.exists():
        display(summarise_folds(pd.read_csv(path)))
    else:
        display(Markdown("*There is no report yet: run the notebook first.*"))


# %% tags=["active-ipynb"]
# # needed by the page
# if AS_PAGE:
#     display(HTML("<style>.jp-MarkdownCell { display: none }</style>"))
#     training_pieces, _ = load_corpus(TRAINING_FOLDER, "training", {})
#     validation_pieces, _ = load_corpus(VALIDATION_FOLDER, "validation", {})
#     show_report(OUTPUT_FOLDER)
#     folder = Path(OUTPUT_FOLDER) / "models"
#     models, sentences = stored_models(MODELS, training_pieces, folder)
#     for sentence in sentences:
#         display(HTML(f"<p><em>{html.escape(sentence)}</em></p>"))

# %% tags=["active-ipynb"]
# # needed by the page
# studio = Studio(models, validation_pieces + training_pieces, validation_pieces)
# if AS_PAGE:
#     studio.react(studio.generate, None)  # it is there a moment after the page
# else:
#     studio.open_with(studio.read_request())
# studio
