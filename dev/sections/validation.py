# %% [markdown]
# ## 14 Ten folds
#
# **How well does each predict unseen pieces?** And does what they write resemble them?
# The published project names three measures and defines none. Here each compares two
# groups of pieces through a histogram of what stands in all of them:
#
# * `kl_divergence`: $D(\mathrm{real} \Vert \mathrm{generated})$ in nats over the 88
#   pitches, 0.5 added to each count; 0 is perfect;
# * `interval_similarity`: cosine between the histograms of the moves from one event's
#   highest note to the next one's, in semitones from −24 to 24, which hold all wider
#   ones; 1 is perfect. Where the left hand plays alone, its note counts;
# * `rhythm_similarity`: cosine between the histograms of the time between onsets, in
#   grid cells up to four quarter notes; 1 is perfect.
#
# Both sides must be equally long, since these values improve with length alone: real
# pieces are cut to excerpts of as many events as a model writes. They also pass through
# the encoding, so that a rounded velocity gives nobody away.

# %% tags=["active-py"]
import io
import itertools
import json
import time
import warnings
import zipfile
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import scipy

from .baselines import (
    hold_back,
    score_streams,
    train_memory,
    train_ngram,
    train_uniform,
    train_unigram,
)
from .corpus import LOWEST_PITCH, PITCHES, Piece, group_notes
from .encoding import (
    EVENT,
    LONGEST_STEP,
    Vocabulary,
    build_vocabulary,
    decode,
    encode,
    find_metres,
    make_windows,
)
from .expressive import EVENT_ORDER
from .harmony import find_changes
from .lstm import PublishedPredictor, train_published
from .machinery import fingerprint, run_cached, write_whole
from .novelty import Sources, cut_out, generate_pieces
from .settings import (
    EPOCHS,
    EXPRESSIVE_FOLD_EPOCHS,
    GENERATED_EVENTS,
    GRID,
    SEQUENCE_LENGTH,
    VOCABULARY_SIZE,
    NotebookError,
)
from .writing import (
    ExpressivePredictor,
    MoodScale,
    train_expressive,
    train_transformer,
)


# %% tags=["hide-input"]
def count_pitches(piece):
    return np.bincount(piece.notes["pitch"] - LOWEST_PITCH, minlength=PITCHES)


def top_voice(piece):
    """Return the highest pitch of each event; the notes are sorted by onset."""
    first = np.unique(group_notes(piece)[1], return_index=True)[1]
    return np.maximum.reduceat(piece.notes["pitch"].astype(int), first)


def count_intervals(piece):
    return np.bincount(np.clip(np.diff(top_voice(piece)), -24, 24) + 24, minlength=49)


def count_steps(piece):
    steps = np.diff(group_notes(piece)[0])
    return np.bincount(np.minimum(steps, LONGEST_STEP), minlength=LONGEST_STEP + 1)


def divergence(real, generated):
    """Return D(real‖generated) of counts in nats; NaN where a side has none."""
    value = scipy.stats.entropy(real + 0.5, generated + 0.5, axis=-1)
    return np.where(real.any(-1) & generated.any(-1), value, np.nan)


def cosine(real, generated):
    lengths = np.linalg.norm(real, axis=-1) * np.linalg.norm(generated, axis=-1)
    value = (real * generated).sum(-1) / np.maximum(lengths, 1e-9)
    return np.where(lengths > 0, value, np.nan)


HEADLINE_METRICS = {"kl_divergence": (count_pitches, divergence, "lower"),
                    "interval_similarity": (count_intervals, cosine, "higher"),
                    "rhythm_similarity": (count_steps, cosine, "higher")}


def compare(metric, real, generated):
    """Return a headline metric's value between two groups of pieces."""
    count, measure, _ = HEADLINE_METRICS[metric]
    sums = [sum(map(count, pieces)) for pieces in (real, generated)]
    value = float(measure(*sums)) if all(np.ndim(counts) for counts in sums) else np.nan
    if np.isnan(value):
        warnings.warn(f"{metric} is not defined: nothing to count", stacklevel=2)
    return value


def cut_excerpts(pieces, vocabulary, length, generator):
    """Return a piece of up to `length` events from a random place of each piece."""
    excerpts = []
    for piece in pieces:
        events = encode(piece, vocabulary)
        start = generator.integers(max(len(events) - length, 0) + 1)
        part = cut_out(events, start, start + length)
        notes = decode(part, vocabulary)
        excerpts.append(Piece(piece.name, notes, piece.tempo, find_metres(part)))
    return excerpts


def usual_length(pieces, vocabulary):
    """Return how many events excerpts of pieces have on average, to write as many."""
    lengths = [len(encode(piece, vocabulary)) for piece in pieces]
    return round(np.mean(np.minimum(lengths, GENERATED_EVENTS)))


def choose_seeds(pieces, vocabulary, count, generator):
    """Return `count` windows of events from random places of some pieces."""
    features, _ = make_windows([encode(p, vocabulary) for p in pieces], SEQUENCE_LENGTH)
    return [features[i] for i in generator.integers(len(features), size=count)]


# %% [markdown]
# Each fold trains in a process of its own on one thread, so that side by side or one
# after the other give the same numbers. A fold that is finished is kept: stop the
# notebook anywhere, run it again, and it goes on with the folds that are missing. A fold
# is trained again when its pieces, its settings or the code that it runs have changed.

# %% tags=["hide-input"]
TRAINERS = {"uniform": train_uniform, "unigram": train_unigram, "ngram": train_ngram,
            "ngram_memory": train_memory, "published": train_published,
            "expressive": train_expressive, "transformer": train_transformer}
FIXED_SCHEDULE = ("expressive", "transformer")  # as many epochs as asked, never fewer
BASELINES = ("uniform", "unigram", "ngram", "ngram_memory")
# A trained model: what predicts, its vocabulary, EVENT rows of the learning pieces that
# lend it rhythm, the tempo (quarter notes a minute) of what it generates, its settings,
# and the learning pieces as `Sources`.
Model = namedtuple("Model", "name predictor vocabulary rhythm tempo settings sources")


def train_fold(name, trainer, learning, stopping, seed, epochs):
    """Return a model trained on some pieces by a trainer, and its losses by epoch."""
    vocabulary = build_vocabulary(learning, VOCABULARY_SIZE)
    predictor, losses = trainer(learning, stopping, vocabulary, seed, epochs)
    rhythm = np.concatenate([encode(piece, vocabulary) for piece in learning])
    tempo = float(np.median([piece.tempo for piece in learning]))
    if stopping and name not in FIXED_SCHEDULE:
        curve = losses["stopping"]
        epochs = int(np.argmin(curve)) + 1 if curve else 0
    settings = {"seed": seed, "epochs": epochs, "sequence_length": SEQUENCE_LENGTH}
    if name in FIXED_SCHEDULE:
        settings["mood_scale"] = [part.tolist() for part in predictor.scale]
        settings["pieces_with_changes"] = sum(map(bool, map(find_changes, learning)))
    sources = Sources(learning)
    return Model(name, predictor, vocabulary, rhythm, tempo, settings, sources), losses


# %% tags=["hide-input"]
def run_fold(name, trainer, learning, stopping, held_out, seed):
    """Return a fold's row of the cross-validation, its losses and its streams."""
    started = time.perf_counter()
    epochs = EXPRESSIVE_FOLD_EPOCHS if name in FIXED_SCHEDULE else EPOCHS
    model, losses = train_fold(name, trainer, learning, stopping, seed, epochs)
    seconds = round(time.perf_counter() - started, 1)
    streams, learnt = (score_streams(model.predictor, pieces, model.vocabulary)
                       for pieces in (held_out, learning[: len(held_out)]))
    row = {"epochs": model.settings["epochs"], "seconds": seconds, **streams["token"],
           "nats_per_note_learnt": learnt["token"]["nats_per_note"]}
    generator = np.random.default_rng(seed)
    real = cut_excerpts(held_out, model.vocabulary, GENERATED_EVENTS, generator)
    seeds = choose_seeds(learning, model.vocabulary, len(real), generator)
    length = usual_length(held_out, model.vocabulary)
    generated = generate_pieces(model, seeds, length, generator=generator)
    row |= {metric: compare(metric, real, generated) for metric in HEADLINE_METRICS}
    keras.utils.clear_session()  # the process goes on with another fold
    return {"row": row, "losses": losses, "streams": streams}


def list_fold_jobs(names, pieces, folds, seed):
    """Return the arguments of `run_fold` for each model and fold."""
    jobs = []
    for name, (number, (train, test)) in itertools.product(names, enumerate(folds)):
        parts = (*hold_back(train, seed + number), test)
        own = ([pieces[i] for i in part] for part in parts)
        jobs.append((name, TRAINERS[name], *own, seed + number))
    return jobs


def cross_validate(names, pieces, folds, seed, cache_folder):
    """Return a table of folds, losses by (model, fold), and a table of streams."""
    jobs, rows, losses, streams = list_fold_jobs(names, pieces, folds, seed), [], {}, []
    results = run_cached(run_fold, jobs, cache_folder, "folds")
    for (name, *_, held_out, fold_seed), result in zip(jobs, results):
        place = {"model": name, "fold": fold_seed - seed + 1}
        files = "; ".join(piece.name for piece in held_out)
        rows.append({**place, "pieces_held_out": files, **result["row"]})
        losses[name, place["fold"]] = result["losses"]
        streams += [{**place, "stream": stream, **scores}
                    for stream, scores in result["streams"].items()]
    return pd.DataFrame(rows), losses, pd.DataFrame(streams)


def mean_and_spread(table):
    """Return the mean of each model's columns over the folds, ± one deviation."""
    groups = table.groupby("model", sort=False)
    mean, spread = groups.mean(), groups.std().fillna(0)
    words = mean.map("{:.3f} ± ".format) + spread.map("{:.3f}".format)
    return words.mask(mean.isna(), "")


# %% tags=["active-ipynb"]
# fold_table, fold_losses, stream_table = cross_validate(
#     (*BASELINES, *MODELS), training_pieces, folds, SEED, CACHE_FOLDER)
# save_table(fold_table.assign(run=RUN_KIND), "cross_validation")
# save_table(stream_table.assign(run=RUN_KIND), "streams")
# fold_means = fold_table.groupby("model").mean(numeric_only=True)
# ranking = fold_means["nats_per_note"].sort_values().index
# figure, ax = plt.subplots(figsize=WIDE)
# for place, name in enumerate(ranking):
#     nats = fold_table.loc[fold_table["model"] == name, "nats_per_note"]
#     colour = GENERATED if name in MODELS else BASELINE
#     ax.plot(nats, [place] * len(nats), "o", color=colour, alpha=0.5, ms=4)
#     ax.plot(nats.mean(), place, "|", color="black", ms=16)
# ax.invert_yaxis()
# ax.set(title="Each fold (dots) and the mean of the folds (line)",
#        yticks=range(len(ranking)), yticklabels=ranking.str.replace("_", " "),
#        xlabel="nats a note, unseen pieces: lower is better")
# save_figure(figure, "folds")

# %% [markdown]
# Folds differ more than some models do: a fold holds two pieces, and some pieces are
# harder to foresee than others. What counts is the difference within a fold. *ngram
# memory* is an n-gram of order 2 with a second table, which counts the piece so far. It
# knows no more about music, but it notices what this piece likes, and part of what a
# network gains over an n-gram may be no more than that.


# %% tags=["active-ipynb"]
# by_stream = stream_table.pivot_table("nats_per_note", ["model", "fold"], "stream")
# prediction = fold_table.set_index(["model", "fold"])[["nats_per_note", "accuracy"]]
# prediction["when and which"] = by_stream["token"] + by_stream["step"]
# prediction["all streams"] = by_stream.sum(axis=1, min_count=5)
# mean_and_spread(prediction).loc[ranking]

# %% [markdown]
# `nats_per_note` and `accuracy` are those of the token, which all models predict. The
# expressive network is told the event's step first, so *when and which*, the step and the
# token together, is the fair column for it; the last one adds duration and velocities.
# The tables of section 7 predict each stream from its own past; the published network
# knows tokens alone.

# %% tags=["active-ipynb"]
# nats = fold_table.pivot(index="fold", columns="model", values="nats_per_event")
# lines = [f"**{name}** {(nats[name] - nats['unigram']).mean():+.3f} ± "
#          f"{(nats[name] - nats['unigram']).std():.3f}"
#          + " (told the step)" * (name in FIXED_SCHEDULE) for name in (*MODELS, "ngram")]
# Markdown("Nats an event against the unigram, fold by fold (below zero is better): "
#          + ", ".join(lines) + ".")

# %% tags=["active-ipynb", "hide-input"]
# figure, axes = plt.subplots(1, len(MODELS), figsize=WIDE, squeeze=False)
# for name, ax in zip(MODELS, axes.flat):
#     for part, colour, word in (("learning", BASELINE, "learnt"),
#                                ("stopping", REAL, "held back")):
#         curves = [losses[part] for (model, _), losses in fold_losses.items()
#                   if model == name]
#         for curve in curves:
#             ax.plot(range(1, len(curve) + 1), curve, color=colour, lw=0.5)
#         shared = np.array([curve[: min(map(len, curves))] for curve in curves])
#         ax.plot(range(1, shared.shape[1] + 1), shared.mean(0), color=colour, lw=2,
#                 label=word)
#     streams = "five streams" if name in FIXED_SCHEDULE else "token"
#     ax.set(title=f"{name}: {streams}", xlabel="epoch", ylabel="nats an event")
#     ax.xaxis.get_major_locator().set_params(integer=True)
#     ax.legend()
# save_figure(figure, "learning_curves")

# %% [markdown]
# Thin lines are folds, thick ones their mean, as far as all of them go. A tenth of the
# learning pieces is held back to watch the training. The published network has soon
# learnt what it can; the expressive one goes on learning to the end of its schedule.
# (The two axes do not compare: the right one adds up five streams. Losses of learnt
# pieces are measured with dropout on.)
#
# The published project prints three numbers, placeholders by its own word, and defines
# none. Here they are by our definitions, beside what the held-out pieces of any two folds
# score against each other.


# %% tags=["active-ipynb"]
# by_fold = fold_table[["model", *HEADLINE_METRICS]]
# likeness = mean_and_spread(by_fold[by_fold["model"].isin(("ngram", *MODELS))])
# excerpts = cut_excerpts(training_pieces, vocabulary, GENERATED_EVENTS,
#                         np.random.default_rng(SEED))
# groups = [[excerpts[i] for i in held_out] for _, held_out in folds]
# real = pd.DataFrame({metric: compare(metric, *pair) for metric in HEADLINE_METRICS}
#                     for pair in itertools.permutations(groups, 2))
# low, middle, high = real.quantile([0.05, 0.5, 0.95]).to_numpy()
# range_of_real = map("{:.3f} ({:.3f}–{:.3f})".format, middle, low, high)
# likeness.loc["real against real: median (5 %–95 %)"] = list(range_of_real)
# likeness.loc["the student project's placeholders"] = ["1.24", "0.82", "0.78"]
# save_table(likeness[::-1].reset_index(names="mean of the folds").assign(run=RUN_KIND),
#            "likeness")
# likeness[::-1]

# %% [markdown]
# With two pieces on each side these numbers rank nothing. Two pieces that keep a key
# and a groove of their own lie as far from two others as the second row says, and a
# table that mixes all keys and grooves comes near to every piece in pitches and rhythm
# without sounding like any. Section 17 compares at full size, with intervals.
#
# ### The final model
#
# The model that writes music learns from all training pieces: the published network for
# as many epochs as its folds needed, the expressive one on a longer schedule, the tables
# with the order or the share that the folds chose. A network is kept as one file, a
# bundle of vocabulary, settings and weights in half precision, and used as it is in that
# file. A damaged one is refused; nothing in it is ever executed.


# %% tags=["hide-input"]
def save_model(model, path):
    """Keep a network's model as a bundle: one zip, its weights in half precision."""
    learnt = [[piece.name, piece.metres, encode(piece, model.vocabulary).tolist()]
              for piece in model.sources.pieces]
    known = {"name": model.name, "tempo": model.tempo, "settings": model.settings,
             "vocabulary": model.vocabulary.chords, "sources": learnt, "grid": GRID}
    network, weights, buffer = model.predictor.network, io.BytesIO(), io.BytesIO()
    halves = [array.astype(np.float16) for array in network.get_weights()]
    np.savez(weights, *halves)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("weights.npz", weights.getvalue())
        file.writestr("network.json", network.to_json())
        file.writestr("model.json", json.dumps(known))
    return write_whole(path, buffer.getvalue())


# %% tags=["hide-input"]
def load_model(path):
    """Return the model in a bundle; raise NotebookError where it cannot be used."""
    words = "it is damaged"
    try:
        with zipfile.ZipFile(path) as file:
            known, built, weights = map(
                file.read, ("model.json", "network.json", "weights.npz"))
        words = "it holds no network that is safe to load"
        network = keras.models.model_from_json(built.decode())
        with np.load(io.BytesIO(weights), allow_pickle=False) as arrays:
            network.set_weights([arrays[name] for name in arrays])
        words, known = "its parts do not belong together", json.loads(known)
        name, tempo, settings = (known[key] for key in ("name", "tempo", "settings"))
        vocabulary, pieces, parts = Vocabulary(known["vocabulary"]), [], []
        if (grid := known.get("grid", 12)) != GRID:
            words = f"its GRID is {grid}, not {GRID}"
            raise ValueError
        size = network.output_shape
        if network.name in FIXED_SCHEDULE:
            size = size[EVENT_ORDER.index("token")]
            scale = MoodScale(*map(np.array, settings["mood_scale"]))
            heads = {f"{stream}_head" for stream in EVENT_ORDER}
            if (heads - {layer.name for layer in network.layers}
                    or "pieces_with_changes" not in settings):
                words = "an older notebook made it"
                raise ValueError
            predictor = ExpressivePredictor(network, vocabulary, scale)
        else:
            length = int(settings["sequence_length"])
            predictor = PublishedPredictor(network, size[-1], length)
        if size[-1] != len(vocabulary):
            words = f"it knows {size[-1]} tokens and names {len(vocabulary)}"
            raise ValueError
        for title, metres, rows in known["sources"]:
            parts.append(np.array([tuple(row) for row in rows], dtype=EVENT))
            notes = decode(parts[-1], vocabulary)
            metres = tuple((float(at), int(beats), int(unit))
                           for at, beats, unit in metres)
            pieces.append(Piece(str(title), notes, float(tempo), metres))
        rhythm, sources = np.concatenate(parts), Sources(pieces)
    except FileNotFoundError:
        raise NotebookError(f"There is no model {path}: run the notebook.") from None
    except Exception:  # damaged archives make their readers raise errors of every kind
        words = f"The model {path} is refused: {words}. Train it again."
        raise NotebookError(words) from None
    return Model(name, predictor, vocabulary, rhythm, tempo, settings, sources)


def final_model(name, pieces, epochs, seed, path):
    """Return the model trained on all pieces: loaded where it fits, or else trained."""
    key = fingerprint(train_fold, TRAINERS[name], save_model, pieces, epochs, seed)
    if Path(path).exists():
        try:
            model = load_model(path)
            if model.settings.get("fingerprint") == key:
                print(f"The {name} model is that of {path}.")
                return model
        except NotebookError as error:
            print(error)
    model, _ = train_fold(name, TRAINERS[name], pieces, [], seed, epochs)
    model.settings["fingerprint"] = key
    return model if name in BASELINES else load_model(save_model(model, path))


# %% tags=["active-ipynb"]
# models, MODEL_FOLDER = {}, Path(OUTPUT_FOLDER) / "models"
# for name in (*BASELINES[1:], *MODELS):
#     rows = fold_table[fold_table["model"] == name]
#     epochs = max(1, round(rows["epochs"].mean()))
#     epochs = EXPRESSIVE_EPOCHS if name in FIXED_SCHEDULE else epochs
#     path = MODEL_FOLDER / f"{'quick_' * QUICK_RUN}{name}.zip"
#     models[name] = final_model(name, training_pieces, epochs, SEED, path)
# model = models[MODELS[-1]]
# pd.DataFrame({"epochs, order, or tenths of memory": {name: each.settings["epochs"]
#                                    for name, each in models.items()}})
