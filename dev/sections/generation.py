# %% [markdown]
# ## 16 Writing
#
# **What does it write?** `generate_music` goes on from a seed, a window of events such as
# each of `features`, and returns a piece. It takes `model`, which section 14 left as the
# last of `MODELS`; try another one of `models`. A mood is asked of the expressive model
# by name: it writes a few takes side by side, and the one whose measured mood comes
# nearest is returned.

# %% tags=["active-py"]
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from .corpus import MidiFileError, Piece, group_notes, mean_tempo, parse_midi
from .encoding import EVENT, LONGEST_STEP, Vocabulary, bar_cells, encode
from .expressive import MOODS, multi_hot, tabulate
from .harmony import Changes, find_changes, read_changes
from .hearing import Tempo
from .novelty import cut_out, generate_pieces
from .settings import (
    GRID,
    NUMPY,
    SEQUENCE_LENGTH,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    CountOrZero,
    NotebookError,
    Share,
    Temperature,
    checked,
)
from .validation import choose_seeds
from .writing import classify_mood, measure_events, score_mood

# %% tags=["hide-input"]
MOOD_TAKES = 4  # pieces written for a requested mood, of which one is kept


def check_seed(seed):
    window = isinstance(seed, np.ndarray) and seed.dtype == EVENT and seed.ndim == 1
    if not (window and len(seed)):
        raise NotebookError("Nothing was generated: the seed must be a window of "
                            "events, such as random.choice(features).")
    return seed


Seed = Annotated[object, AfterValidator(check_seed)]
Length = Annotated[int, NUMPY, Field(ge=1, le=100_000)]  # events
Mood = Literal[MOODS]
LeadSheet = Annotated[str, Field(max_length=10_000)]
RandomNumber = Annotated[int, NUMPY, Field(ge=0)]


def end_of_primer(seed):
    return (int(seed["step"].sum()) + 0.5) / GRID


def notes_from(piece, onset):
    notes = piece.notes[piece.notes["onset"] >= onset]
    return replace(piece, notes=notes) if len(notes) else piece


def measure_mood(model, piece):
    events = tabulate(encode(piece, model.vocabulary))
    measures = measure_events(events, multi_hot(model.vocabulary))
    return score_mood(measures, model.predictor.scale)


def nearest_mood(model, pieces, mood, onset=0.0):
    """Return the piece whose mood from an onset on is nearest to the one asked."""
    low, high = model.predictor.scale.terciles
    middle, free = (low + high) / 2, np.full(2, np.inf)
    least = np.choose(mood, [-free, -free, middle, high + 1])
    most = np.choose(mood, [free, low - 1, middle, free])
    scores = [measure_mood(model, notes_from(piece, onset)) for piece in pieces]
    misses = np.abs(scores - np.clip(scores, least, most)).sum(axis=1)
    piece, settings = pieces[int(np.argmin(misses))], ""
    for name, asked in zip(("energy", "brightness"), mood):
        settings += f", {name} {MOODS[asked - 1]}" if asked else ""
    return replace(piece, name=pieces[0].name, settings=piece.settings + settings)


# %%
@checked
def generate_music(
    model, seed: Seed, length: Length = 100, *, temperature: Temperature | None = None,
    top_p: Share | None = None, top_k: CountOrZero | None = None,
    energy: Mood | None = None, brightness: Mood | None = None,
    longest_copy: CountOrZero | None = None, tempo: Tempo | None = None,
    generator: np.random.Generator | RandomNumber | None = None,
    changes: LeadSheet | None = None, joined: bool = False,
    watch: Callable | None = None,
):
    """Return a new piece of `length` events that goes on from a seed.

    `seed`: an array of EVENT; `energy`, `brightness`: one of `MOODS`, None for any;
    `longest_copy`: events in a row that may stand in a training piece, 0 for any;
    `generator`: NumPy's, a seed for one, or None to draw one from Python's `random`;
    `tempo`: quarter notes a minute, None as in learning; `changes`: chords to play over
    from the bar behind the seed, see `read_changes`; `joined`: begin with the seed;
    `watch`: told the share that is done, may raise to stop; the rest: see section 2.
    """
    if not hasattr(model, "predictor"):
        raise NotebookError("Nothing was generated: the model must be one of `models`.")
    given = zip((temperature, top_p, top_k), (TEMPERATURE, TOP_P, TOP_K))
    sampling = [default if value is None else value for value, default in given]
    if not 0 <= seed["token"].min() <= seed["token"].max() < len(model.vocabulary):
        raise NotebookError("Encode the seed with the vocabulary of this model.")
    mood = [1 + MOODS.index(name) if name else 0 for name in (energy, brightness)]
    takes, form = MOOD_TAKES if any(mood) else 1, None
    if changes is not None:
        form = read_changes(changes, seed[["beats", "unit"]][-1].tolist())
        if model.settings.get("pieces_with_changes") == 0:
            raise NotebookError(
                "This model has learnt no changes: put pieces that carry chord symbols "
                "as markers into TRAINING_FOLDER, and run all cells.")
    chosen = random.getrandbits(64) if generator is None else generator
    generator = np.random.default_rng(chosen)
    pieces = generate_pieces(model, [seed] * takes, length, sampling=sampling,
                             tempo=tempo, generator=generator, moods=[mood] * takes,
                             changes=form and [form] * takes, joined=joined,
                             longest_copy=longest_copy, watch=watch)
    behind = end_of_primer(seed) if joined else 0.0
    piece = nearest_mood(model, pieces, mood, behind) if any(mood) else pieces[0]
    if changes:
        piece = replace(piece, settings=f"{piece.settings}, changes {changes}")
    if piece.remarks and not watch:
        print(f"{piece.name}: {piece.remarks}")
    return piece


# %% tags=["active-ipynb"]
# seed = random.choice(features)
# generated_music = generate_music(model, seed, length=100)
# show(generated_music, score=True, marked=True)
# print(describe_copy(generated_music))

# %% [markdown]
# A piece that nobody has played: its sound, its notes and, on request, its first bars as
# a score. Where it comes nearest to a training piece, in whatever key, is shaded green.
#
# **Try it:** run the cell again for another piece, or change `length`. The temperature
# sets how far the model strays from what it trusts most:

# %% tags=["active-ipynb"]
# for temperature in (0.6, 1.4):
#     take = generate_music(model, seed, 60, temperature=temperature, generator=SEED)
#     show(take, f"{model.name}, temperature {temperature}")

# %% [markdown]
# Cold, it keeps to few notes; hot, it piles up what does not belong together.
#
# ### Going on from a piece of yours
#
# A *primer* is music that the model goes on from: any MIDI file, or a piece of the
# corpus. Its last events are the seed and its tempo is kept. With `joined=True` what
# comes back begins with the primer's own notes and goes on in its bars. Here the model
# goes on from the first bars of a validation piece.

# %% tags=["hide-input"]
PRIMER_EVENTS = 128  # of a primer are read, its last ones


@checked
def read_primer(source: object, vocabulary: Vocabulary):
    """Return the last events of a piece or a MIDI file as a seed, and its tempo."""
    try:
        piece = source if isinstance(source, Piece) else parse_midi(source)
    except MidiFileError as error:
        raise NotebookError(f"The primer cannot be used: {error}.") from None
    events = encode(piece, vocabulary)
    if not len(events):
        raise NotebookError("The primer cannot be used: it has no notes.")
    tempos, first = piece.tempos or ((0.0, 1.0),), max(0, len(events) - PRIMER_EVENTS)
    start = events["step"][: first + 1].sum() / GRID
    pace = mean_tempo(tempos, start, piece.end) / mean_tempo(tempos, 0.0, piece.end)
    events, bars = cut_out(events, first), bar_cells(events[first:])
    rests = events["step"] - np.maximum(LONGEST_STEP, events["position"])
    events["step"] -= np.maximum(rests, 0) // bars * bars  # by whole bars
    return events, round(piece.tempo * pace, 4)


def choose_forms(pieces, learnt, vocabulary, generator):
    """Return the changes of pieces, and for each a seed of `learnt` like its metre."""
    forms, seeds = [], []
    for piece in pieces:
        alike = [each for each in learnt if each.metre == piece.metre
                 and len(group_notes(each)[0]) > SEQUENCE_LENGTH]
        end = piece.bars()[-1]
        rows = dict([(0.0, "N.C."), *find_changes(piece)])
        rows = tuple(row for row in rows.items() if row[0] < end)
        forms.append(Changes(rows, end))
        seeds += choose_seeds(alike or learnt, vocabulary, 1, generator)
    return forms, seeds


# %% tags=["active-ipynb"]
# whole = validation_pieces[0]
# until = whole.notes["onset"][0] + 32  # quarter lengths
# opening = replace(whole, notes=whole.notes[whole.notes["onset"] < until])
# primer, primer_tempo = read_primer(opening, model.vocabulary)
# continued = generate_music(model, primer, length=100, tempo=primer_tempo, joined=True,
#                            generator=SEED)
# show(continued, f"{whole.name}, continued", primer=end_of_primer(primer))

# %% [markdown]
# Blue is the primer, orange what the model adds. **Try it:** put `"my tune.mid"` in place
# of `opening`.
#
# ### Over your changes
#
# `changes` takes a lead sheet's chords. They begin with the bar behind the seed and come
# round and round; the names above the piano roll say where.

# %% tags=["active-ipynb"]
# over = {}
# if model.settings.get("pieces_with_changes"):
#     over = {name: generate_music(model, seed, 140, changes=changes, generator=SEED)
#             for name, changes in SONGS.items()}
#     for name, take in over.items():
#         show(take, name, score=name == next(iter(over)))

# %% [markdown]
# Within a bar it has left the seed's key. **Try it:** write the changes of a tune that
# you know, such as `changes="Cm7 | F7 | Bbmaj7 | Ebmaj7"`.
#
# ### Asking for a mood
#
# The same seed, asked to be calm and dark, then lively and bright:

# %% tags=["active-ipynb"]
# if model.name in FIXED_SCHEDULE:
#     for level in ("low", "high"):
#         take = generate_music(model, seed, 80, energy=level, brightness=level,
#                               generator=SEED)
#         show(take, f"energy {level}, brightness {level}")

# %% [markdown]
# Does it do as it is asked? Each of the nine pairs of moods is asked for, from three
# seeds, four takes each. A request is *met* when the music falls into the third of the
# corpus that was asked for. By chance a single take would meet it one time in three, the
# nearest of four chance takes not quite two times in three.


# %% tags=["hide-input"]
def try_moods(model, seeds, length, generator):
    """Return requested and measured moods of new takes; `kept`: best of each four."""
    numbers, rows = range(1, 1 + len(MOODS)), []
    requests = itertools.product(numbers, numbers, seeds, range(MOOD_TAKES))
    *asked, seeds, _ = zip(*requests)
    moods = np.transpose(asked)
    takes = generate_pieces(model, seeds, length, generator=generator, moods=moods)
    for i, piece in enumerate(takes):
        if i % MOOD_TAKES == 0:
            best = nearest_mood(model, takes[i : i + MOOD_TAKES], moods[i])
        scores = measure_mood(model, piece)
        found = classify_mood(scores, model.predictor.scale)
        rows.append({"kept": piece.notes is best.notes, **{
            name + word: value for j, name in enumerate(("energy", "brightness"))
            for word, value in (("", MOODS[moods[i, j] - 1]), ("_score", scores[j]),
                                ("_met", bool(found[j] == moods[i, j])))}})
    return pd.DataFrame(rows)


# %% tags=["active-ipynb"]
# if model.name in FIXED_SCHEDULE:
#     generator = np.random.default_rng(SEED)
#     seeds = choose_seeds(training_pieces, model.vocabulary, 3, generator)
#     moods = try_moods(model, seeds, -(-GENERATED_EVENTS // 4), generator)
#     save_table(moods.assign(run=RUN_KIND), "moods")
#     rows = []
#     for name in ("energy", "brightness"):
#         row, scores = {"": name}, moods.groupby(name)[f"{name}_score"].mean()
#         for word, takes in (("single takes", moods),
#                             ("nearest of four", moods[moods["kept"]])):
#             met = scipy.stats.binomtest(int(takes[f"{name}_met"].sum()), len(takes))
#             low, high = met.proportion_ci(method="wilson")
#             row[f"met, {word}"] = f"{met.statistic:.0%} ({low:.0%}–{high:.0%})"
#         met = moods.groupby(name)[f"{name}_met"].mean()
#         row["single takes, asked for low, middle, high"] = ", ".join(
#             f"{met[level]:.0%}" for level in MOODS)
#         row["measured, asked for low → middle → high"] = " → ".join(
#             f"{scores[level]:+.2f}" for level in MOODS)
#         rows.append(row)
#     display(pd.DataFrame(rows).set_index(""))

# %% [markdown]
# Judge the network by its single takes; the nearest of four is what you get. In
# brackets stand 95 % intervals as if all takes were independent, though they go on from
# three seeds. Asked for the middle, or for dark, a single take does little better than
# chance: its music moves the right way on average, and spreads widely. For energy the
# nearest of four is no better here than that of four chance takes would be. The last
# column says how far single takes move, as the sum of two measures, each in its
# standard deviations over the corpus.
#
# ### A set of pieces
#
# Now each model, and each baseline, writes a whole set of pieces. They go on from seeds
# of the training pieces, and are judged in the next section against pieces that none of
# the models has heard. The expressive model writes one set more, *over changes*, those of
# the validation pieces, from seeds in their metre where there are any. So that set is
# told the harmony of the pieces that it is compared with. What you hear is the first
# piece of each set, not the best one.


# %% tags=["active-ipynb", "hide-input"]
# pieces_each = min(GENERATED_PIECES, len(training_pieces), len(validation_pieces))
# with_changes = list(filter(find_changes, validation_pieces))[:pieces_each]
# generated = {}
# for name, each in models.items():
#     generator = np.random.default_rng(SEED)
#     seeds = choose_seeds(training_pieces, each.vocabulary, pieces_each, generator)
#     length = usual_length(validation_pieces, each.vocabulary)
#     generated[name] = generate_pieces(each, seeds, length, generator=generator)
#     if each.settings.get("pieces_with_changes") and len(with_changes) > 1:
#         forms, seeds = choose_forms(with_changes, training_pieces, each.vocabulary,
#                                     generator)
#         generated[f"{name}_over_changes"] = generate_pieces(
#             each, seeds, length, generator=generator, changes=forms)
# if RUN_KIND == "full":  # these are what section 1 plays
#     clips = {"shipped": training_pieces[0], "published": generated.get("published"),
#              "expressive": generated.get("expressive"),
#              "changes": [*over.values()]}
#     for name, piece in clips.items():
#         if piece:
#             save_clip(piece if name == "shipped" else piece[0], name)
# for name in generated:
#     if name not in BASELINES:
#         show(generated[name][0])
# loops = {name: sum(bool(piece.remarks) for piece in pieces)
#          for name, pieces in generated.items()}
# print("Pieces in which the guard met a loop: "
#       + ", ".join(f"{name} {count} of {pieces_each}" for name, count in loops.items()))
