# %% [markdown]
# ## 18 Play
#
# **May I try?** The Studio is a panel to play with: choose who writes and what to go on
# from, press Generate, listen, look, compare two takes, keep the MIDI. The same random
# seed and settings give the same file. `voila Music_Generation_LSTM.ipynb` serves the
# report of the last run and the Studio as a web page, without code.

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
from .novelty import describe_copy, find_shared_run
from .settings import SEED, SEQUENCE_LENGTH, WIDE, NotebookError
from .validation import (
    HEADLINE_METRICS,
    TRAINERS,
    choose_seeds,
    compare,
    cut_excerpts,
    load_model,
    train_fold,
)

# %% tags=["hide-input"]
CONTROLS = {  # what is asked of the Studio: a widget's kind, label and traits
    "model": (widgets.Dropdown, "Model", {}),
    "start": (widgets.Dropdown, "Go on from", {}),
    "length": (widgets.BoundedIntText, "Events",
               {"value": 100, "min": 1, "max": 1000, "step": 20}),
    "temperature": (widgets.BoundedFloatText, "Temperature",
                    {"value": 1.0, "min": 0.1, "max": 3.0, "step": 0.05}),
    "top_p": (widgets.Dropdown, "Top-p", {"options": [1.0, 0.98, 0.95, 0.9, 0.8]}),
    "energy": (widgets.Dropdown, "Energy", {"options": ["any", *MOODS]}),
    "brightness": (widgets.Dropdown, "Brightness", {"options": ["any", *MOODS]}),
    "tempo": (widgets.BoundedIntText, "Tempo, 0: same", {"max": 400}),
    "seed": (widgets.BoundedIntText, "Random seed", {"value": 1, "max": 10**9})}
# A request's primer takes the place of the piece to start from; tempo 0 is its own. A
# take begins with `primer` quarter lengths of it; `new` is what the model added.
Request = namedtuple("Request", [*CONTROLS, "primer"],
                     defaults=(100, 1.0, 1.0, "any", "any", 0, 1, None))
Take = namedtuple("Take", "request model piece primer new")


def make_take(request, models, pieces, watch=None):
    """Return the take that a request asks for; `watch` is told the share done."""
    model, generator = models[request.model], np.random.default_rng(request.seed)
    source, joined = request.primer or pieces[request.start], bool(request.primer)
    if joined:
        seed, tempo = read_primer(source, model.vocabulary)
    else:
        (seed,) = choose_seeds([source], model.vocabulary, 1, generator)
        tempo = source.tempo
    moods = [None if m == "any" else m for m in (request.energy, request.brightness)]
    piece = generate_music(model, seed, request.length, temperature=request.temperature,
                           top_p=request.top_p, energy=moods[0], brightness=moods[1],
                           tempo=request.tempo or tempo, generator=generator,
                           joined=joined, watch=watch)
    primer = end_of_primer(seed) if joined else 0.0
    new, name = notes_from(piece, primer), f"{model.name} after {source.name}"
    piece = replace(piece, name=name, shared=find_shared_run(new, model.sources))
    return Take(request, model, piece, primer, new)


def take_bytes(take):
    values, comments = take.request._asdict(), [describe_copy(take.piece)]
    if primer := values.pop("primer"):
        values["start"] = f"primer {primer.name}"
    comments += [f"{name} {value}" for name, value in values.items()]
    piece = take.piece
    return midi_bytes(piece.notes, piece.tempo, piece.name, comments, piece.metres)


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


# %% tags=["hide-input"]
def draw_roll(take, marked):
    """Return a take's piano roll as HTML; `marked`: shade what is in a source."""
    figure = plt.matplotlib.figure.Figure(figsize=WIDE, layout="constrained")
    plot_take(take.piece, figure.add_subplot(), primer=take.primer, marked=marked)
    source = as_data("image/png", figure_bytes(figure))
    words = html.escape(f"Piano roll of {take.piece.name}")
    return {"roll": f'<img alt="{words}" style="width: 100%" src="{source}">'}


def render_heard(take, view):
    """Return a take's player and the link to its file, as HTML by part."""
    piece, seed = take.piece, take.request.seed
    sound = render_sound(piece.notes, piece.tempo)
    player = show_sound(sound, f"{view.upper()}: {piece.name}, seed {seed}")
    file = f"{safe_file_name(piece.name)}_seed_{seed}.mid"
    link = f'download="{file}" href="{as_data("audio/midi", take_bytes(take))}"'
    return {"sound": f"{player}<p><a {link}><u>Download the MIDI</u></a></p>"}


def render_seen(take, held_out, marked):
    """Return the figures and the pictures of a take, as HTML by part."""
    piece, words = take.piece, describe_copy(take.piece)
    figures = compare_take(take.new, held_out, take.model.vocabulary)
    words = html.escape(words[0].upper() + words[1:])
    facts = f"<p>{words}.</p>{figures.to_html(border=0, col_space=80)}"
    score = show_score(piece.notes, tempo=piece.tempo, metre=piece.metres)
    return {**draw_roll(take, marked), "facts": facts, "score": score.data}


BUTTONS = {
    "primer": (widgets.FileUpload, "MIDI primer", {"accept": ",".join(MIDI_ENDINGS)}),
    "drop": (widgets.Button, "No primer", {"disabled": True}),
    "generate": (widgets.Button, "Generate", {"button_style": "primary"}),
    "cancel": (widgets.ToggleButton, "Cancel", {"disabled": True}),
    "progress": (widgets.FloatProgress, "Progress", {"max": 1.0}),
    "status": (widgets.HTML, "", {}), "a": (widgets.Dropdown, "Take A", {}),
    "b": (widgets.Dropdown, "Take B", {"options": [("none", 0)]}),
    "mark": (widgets.Checkbox, "Mark borrowed passages", {"indent": False})}
ROWS = ("primer drop", "generate cancel progress", "status", "a b mark")
BOX = {"display": "none", "flex": "1 1 340px", "min_width": "0", "width": "auto"}
LOOK = {"style": {"description_width": "110px"},
        "layout": {"width": "auto", "max_width": "420px"}}
PART = {"overflow": "auto hidden"}
COLUMNS = {"grid_template_columns": "repeat(auto-fit, minmax(min(320px, 100%), 1fr))"}


# %% tags=["hide-input"]
class Studio:
    """A panel to write music after `pieces`, and to compare it with `held_out` ones."""

    def __init__(self, models, pieces, held_out):
        self.models, self.held_out, self.primer = models, held_out, None
        self.pieces, self.takes, self.parts, self.boxes, self.shown = {}, [], {}, {}, {}
        self.thread, self.tasks, self.listening = ThreadPoolExecutor(1), set(), True
        for piece in pieces:
            name, number = piece.name, 1
            while name in self.pieces:
                number += 1
                name = f"{piece.name} ({number})"
            if len(group_notes(piece)[0]) > SEQUENCE_LENGTH:
                self.pieces[name] = piece
        names = {"model": [*reversed(models)], "start": [*self.pieces]}
        self.controls = {
            name: kind(description=label, **LOOK, **traits or {"options": names[name]})
            for name, (kind, label, traits) in CONTROLS.items()}
        self.buttons = {name: kind(description=label, **traits)
                        for name, (kind, label, traits) in BUTTONS.items()}
        self.buttons["generate"].on_click(partial(self.react, self.generate))
        self.buttons["drop"].on_click(partial(self.react, self.upload))
        self.buttons["primer"].observe(partial(self.react, self.upload), "value")
        self.buttons["mark"].observe(partial(self.react, self.mark), "value")
        for view in "ab":
            parts = {name: widgets.HTML(layout=PART).add_class(f"studio-{name}")
                     for name in ("sound", "roll", "score", "facts")}
            box = widgets.VBox([*parts.values()], layout=BOX)
            box.add_class(f"studio-take-{view}")
            self.parts[view], self.boxes[view], self.shown[view] = parts, box, None
            self.buttons[view].observe(partial(self.react, self.choose, view), "value")
        row = partial(widgets.HBox, layout={"flex_flow": "row wrap", "width": "100%"})
        rows = [row([self.buttons[name] for name in names.split()]) for names in ROWS]
        controls = widgets.GridBox([*self.controls.values()], layout=COLUMNS)
        content = [controls, *rows, row([*self.boxes.values()])]
        self.panel = widgets.VBox(content).add_class("studio")

    def _repr_mimebundle_(self, **options):
        words = "The Studio opens here when this cell is run."
        return {**self.panel._repr_mimebundle_(**options), "text/plain": words}

    def react(self, job, *arguments):
        """Let a job run beside the page; whatever fails, say it in a sentence."""
        *known, change = arguments
        value = change["new"] if isinstance(change, dict) else None
        if self.listening and value != ():  # which is left behind by an upload
            task = asyncio.create_task(self.attempt(job(*known, value)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def attempt(self, job):
        try:
            await job
        except Exception as error:
            words = f"That failed ({error!r}). Change a setting and try again."
            self.say(str(error) if isinstance(error, NotebookError) else words)

    async def work(self, function, *arguments):
        loop = asyncio.get_running_loop()  # goes on while the one thread works
        return await loop.run_in_executor(self.thread, function, *arguments)

    def watch(self, share):
        self.buttons["progress"].value = share
        if self.buttons["cancel"].value:
            raise NotebookError("Cancelled; nothing was kept.")

    def say(self, words):
        self.buttons["status"].value = f'<p role="status">{html.escape(words)}</p>'

    def fill(self, view, take, contents):
        """Show a take's HTML by part, unless another take was chosen meanwhile."""
        if take is self.shown[view]:
            for part, content in contents.items():
                self.parts[view][part].value = content

    async def upload(self, files):
        """Go on from the last of uploaded files; for None, from the chosen piece."""
        self.primer, name = None, "the piece in the list"
        try:
            if files:
                name = readable(Path(str(files[-1]["name"])).stem)
                content = bytes(files[-1]["content"])
                if len(content) > LARGEST_FILE:
                    raise NotebookError(
                        f"{name} is larger than 1 MB: choose a shorter MIDI file.")
                self.primer = await self.work(parse_bytes, content, name)
        except MidiFileError as error:
            raise NotebookError(f"{name} cannot be used: {error}.") from None
        finally:
            self.controls["start"].disabled = self.primer is not None
            self.buttons["drop"].disabled = self.primer is None
            self.buttons["primer"].value = ()
        self.say(f"The music will go on from {name}.")

    async def generate(self, _=None):
        """Write, keep and show a take as the controls ask, unless that is under way."""
        button, cancel = self.buttons["generate"], self.buttons["cancel"]
        if button.disabled:
            return
        button.disabled, cancel.disabled, cancel.value = True, False, False
        self.say("Writing …")
        try:
            request = Request(*(x.value for x in self.controls.values()), self.primer)
            take = await self.work(make_take, request, self.models, self.pieces,
                                   self.watch)
            self.takes.append(take)
            a, b, number = self.buttons["a"], self.buttons["b"], len(self.takes)
            entry = (f"{number}: {take.piece.name}, seed {take.request.seed}", number)
            other, self.listening = b.value, False
            a.options, b.options = (*a.options, entry), (*b.options, entry)
            a.value, b.value, self.listening = number, other, True
            await self.choose("a", number)
            self.say(f"Here it is. {take.piece.remarks}".strip())
        finally:
            button.disabled, cancel.disabled, cancel.value = False, True, False
            self.buttons["progress"].value = 0.0

    async def choose(self, view, number):
        """Show a take by its number, heard and then seen; none if that is 0."""
        take = self.shown[view] = self.takes[number - 1] if number else None
        self.boxes[view].layout.display = "flex" if take else "none"
        self.fill(view, take, dict.fromkeys(self.parts[view], ""))
        if take:
            self.fill(view, take, await self.work(render_heard, take, view))
            see = partial(render_seen, take, self.held_out, self.buttons["mark"].value)
            self.fill(view, take, await self.work(see))

    async def mark(self, marked):
        """Draw the piano rolls again, with or without what was borrowed."""
        for view, take in self.shown.items():
            if take:
                self.fill(view, take, await self.work(draw_roll, take, marked))


# %% tags=["hide-input"]
def stored_models(names, pieces, folder):
    """Return the last run's models by name; one that is missing is trained anew."""
    models = {}
    for name in names:
        try:
            models[name] = load_model(Path(folder) / f"{name}.zip")
        except NotebookError as error:
            words = f"{error} Here one epoch must do: it will not play well."
            display(HTML(f"<p><em>{html.escape(words)}</em></p>"))
            models[name], _ = train_fold(name, TRAINERS[name], pieces, [], SEED, 1)
    return models


def show_report(folder):
    display(Markdown("# Jazz Piano Music Generation Using LSTM\n\nWhat each model "
                     "scores; the band is real music against real music."))
    for name in ("staircase", "evaluation"):
        if (path := Path(folder, f"figures/{name}.png")).exists():
            source = as_data("image/png", path.read_bytes())
            display(HTML(f'<img alt="{name}" style="width: 100%; max-width: 900px" '
                         f'src="{source}">'))
    path = Path(folder) / "tables/likeness.csv"
    report = Markdown("*There is no report yet: run the notebook first.*")
    display(pd.read_csv(path) if path.exists() else report)


# %% tags=["active-ipynb"]
# # needed by the page
# if AS_PAGE:
#     display(HTML("<style>.jp-MarkdownCell { display: none }</style>"))
#     seen = {}
#     training_pieces, _ = load_corpus(TRAINING_FOLDER, "training", seen)
#     validation_pieces, _ = load_corpus(VALIDATION_FOLDER, "validation", seen)
#     show_report(OUTPUT_FOLDER)
#     models = stored_models(MODELS, training_pieces, Path(OUTPUT_FOLDER) / "models")
# studio = Studio(models, validation_pieces + training_pieces, validation_pieces)
# if AS_PAGE:
#     studio.react(studio.generate, None)  # it is there a moment after the page
# else:
#     await studio.generate()
# studio
