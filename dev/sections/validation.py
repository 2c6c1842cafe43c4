# %% [markdown]
# ## 12 Ten folds
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

# %% tags=["active-py"]
import io
import itertools
import json
import tempfile
import time
import warnings
import zipfile
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import scipy
from sklearn import metrics

from .baselines import (
    hold_back,
    score_streams,
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
from .lstm import PublishedPredictor, train_published
from .machinery import cannot_write, fingerprint, run_cached, write_whole
from .novelty import Sources, cut_out, generate_pieces
from .settings import (
    EPOCHS,
    EXPRESSIVE_FOLD_EPOCHS,
    GENERATED_EVENTS,
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


# %%
def count_pitches(piece):
    return np.bincount(piece.notes["pitch"] - LOWEST_PITCH, minlength=PITCHES)


def top_voice(piece):
    cells, numbers = group_notes(piece)
    top = np.zeros(len(cells), dtype=int)
    np.maximum.at(top, numbers, piece.notes["pitch"])
    return top


def count_intervals(piece):
    return np.bincount(np.clip(np.diff(top_voice(piece)), -24, 24) + 24, minlength=49)


def count_steps(piece):
    steps = np.diff(group_notes(piece)[0])
    return np.bincount(np.minimum(steps, LONGEST_STEP), minlength=LONGEST_STEP + 1)


def divergence(real, generated):
    """Return D(real‖generated) of counts in nats; NaN where a side has none."""
    empty = (real.sum(-1) == 0) | (generated.sum(-1) == 0)
    value = scipy.stats.entropy(real + 0.5, generated + 0.5, axis=-1)
    return np.where(empty, np.nan, value)


def cosine(real, generated):
    empty = (real.sum(-1) == 0) | (generated.sum(-1) == 0)
    both = map(np.atleast_2d, (real, generated))
    distances = metrics.pairwise.paired_cosine_distances(*both)
    return np.where(empty, np.nan, (1 - distances).reshape(np.shape(empty)))


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


# %% [markdown]
# Both sides must be equally long, since these values improve with length alone: real
# pieces are cut to excerpts of as many events as a model writes. They also pass through
# the encoding, so that a rounded velocity gives nobody away.


# %%
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

# %%
TRAINERS = {"uniform": train_uniform, "unigram": train_unigram, "ngram": train_ngram,
            "published": train_published, "expressive": train_expressive,
            "transformer": train_transformer}
FIXED_SCHEDULE = ("expressive", "transformer")  # as many epochs as asked, never fewer
BASELINES = ("uniform", "unigram", "ngram")
# A trained model: what predicts, its vocabulary, EVENT rows of the learning pieces that
# lend it rhythm, the tempo (quarter notes a minute) of what it generates, its settings,
# and the learning pieces as `Sources`.
Model = namedtuple("Model", "name predictor vocabulary rhythm tempo settings sources")


def train_fold(name, trainer, learning, stopping, seed, epochs):
    """Return a model trained on some pieces by a trainer, and its losses by epoch."""
    vocabulary = build_vocabulary(learning, VOCABULARY_SIZE)
    predictor, curve = trainer(learning, stopping, vocabulary, seed, epochs)
    rhythm = np.concatenate([encode(piece, vocabulary) for piece in learning])
    tempo = float(np.median([piece.tempo for piece in learning]))
    if stopping and name not in FIXED_SCHEDULE:
        epochs = int(np.argmin(curve)) + 1 if curve else 0
    settings = {"seed": seed, "epochs": epochs, "sequence_length": SEQUENCE_LENGTH}
    if name in FIXED_SCHEDULE:
        settings["mood_scale"] = [part.tolist() for part in predictor.scale]
    sources = Sources(learning)
    return Model(name, predictor, vocabulary, rhythm, tempo, settings, sources), curve


# %%
def run_fold(name, trainer, learning, stopping, held_out, seed):
    """Return a fold's row for the table of the cross-validation, and its losses."""
    started = time.perf_counter()
    epochs = EXPRESSIVE_FOLD_EPOCHS if name in FIXED_SCHEDULE else EPOCHS
    model, curve = train_fold(name, trainer, learning, stopping, seed, epochs)
    seconds = round(time.perf_counter() - started, 1)
    streams = score_streams(model.predictor, held_out, model.vocabulary)
    row = {"epochs": model.settings["epochs"], "seconds": seconds, **streams["token"]}
    generator = np.random.default_rng(seed)
    real = cut_excerpts(held_out, model.vocabulary, GENERATED_EVENTS, generator)
    seeds = choose_seeds(learning, model.vocabulary, len(real), generator)
    length = usual_length(held_out, model.vocabulary)
    generated = generate_pieces(model, seeds, length, generator=generator)
    row |= {metric: compare(metric, real, generated) for metric in HEADLINE_METRICS}
    keras.utils.clear_session()  # the process goes on with another fold
    return {"row": row, "curve": [float(loss) for loss in curve], "streams": streams}


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
    jobs, rows, curves, streams = list_fold_jobs(names, pieces, folds, seed), [], {}, []
    results = run_cached(run_fold, jobs, cache_folder, "folds")
    for (name, *_, held_out, fold_seed), result in zip(jobs, results):
        place = {"model": name, "fold": fold_seed - seed + 1}
        files = "; ".join(piece.name for piece in held_out)
        rows.append({**place, "pieces_held_out": files, **result["row"]})
        curves[name, place["fold"]] = result["curve"]
        streams += [{**place, "stream": stream, **scores}
                    for stream, scores in result["streams"].items()]
    return pd.DataFrame(rows), curves, pd.DataFrame(streams)


# %% tags=["active-ipynb"]
# fold_table, fold_curves, stream_table = cross_validate(
#     (*BASELINES, *MODELS), training_pieces, folds, SEED, CACHE_FOLDER)
# save_table(fold_table.assign(run=RUN_KIND), "cross_validation")
# save_table(stream_table.assign(run=RUN_KIND), "streams")
# networks = fold_table[fold_table["model"].isin(MODELS)].set_index(["model", "fold"])
# networks.drop(columns="seconds").round(3)

# %% [markdown]
# `nats_per_event` and `accuracy` are those of the token, which all models predict. The
# expressive network is told the event's step first, and each fold trains it by a shorter
# schedule than the final model's.

# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(1, len(MODELS), figsize=WIDE, squeeze=False)
# for name, ax in zip(MODELS, axes.flat):
#     curves = [curve for (model, _), curve in fold_curves.items() if model == name]
#     for curve in curves:
#         ax.plot(range(1, len(curve) + 1), curve, ".-", color=GENERATED, lw=0.6, ms=2)
#     shared = np.array([curve[: min(map(len, curves))] for curve in curves])
#     mean, spread = shared.mean(0), shared.std(0)
#     epochs = range(1, len(mean) + 1)
#     ax.plot(epochs, mean, color=GENERATED, lw=2, label="mean of the folds")
#     band = {"color": GENERATED, "alpha": 0.2, "label": "± one sd"}
#     ax.fill_between(epochs, mean - spread, mean + spread, **band)
#     streams = "four streams" if name in FIXED_SCHEDULE else "token"
#     ax.set(title=f"{name}: pieces held back from learning", xlabel="epoch",
#            ylabel=f"nats an event, {streams}")
#     ax.legend()
# save_figure(figure, "learning_curves")

# %% [markdown]
# A tenth of the learning pieces is held back to watch the training. The published
# network has soon learnt what it can; the expressive one goes on learning until its
# schedule ends. The two axes do not compare, since the right one adds up four streams.


# %%
def summarise_folds(table):
    """Return each model's mean over the folds, with one standard deviation."""
    columns = ("nats_per_event", "nats_per_note", "accuracy", *HEADLINE_METRICS)
    known = [column for column in columns if column in table]
    groups = table.groupby("model", sort=False)[known]
    mean, spread = groups.mean(), groups.std().fillna(0)
    return mean.map("{:.3f} ± ".format) + spread.map("{:.3f}".format)


def compare_folds(pieces, folds, vocabulary, seed):
    """Return the headline metrics between the held-out pieces of each two folds."""
    generator = np.random.default_rng(seed)
    excerpts = cut_excerpts(pieces, vocabulary, GENERATED_EVENTS, generator)
    groups = [[excerpts[i] for i in held_out] for _, held_out in folds]
    return pd.DataFrame({metric: compare(metric, *pair) for metric in HEADLINE_METRICS}
                        for pair in itertools.permutations(groups, 2))


# %% tags=["active-ipynb"]
# fold_means = fold_table.groupby("model", sort=False).mean(numeric_only=True)
# fold_floor = compare_folds(training_pieces, folds, vocabulary, SEED)
# fold_floor["model"] = "real against real"
# pd.concat([summarise_folds(fold_table), summarise_folds(fold_floor)]).fillna("")

# %% [markdown]
# The network that predicts best seems to write the worst pitches and rhythms. But a
# fold compares two pieces with two, and two pieces that keep a key and a groove of
# their own lie as far from two others as the last row says. Tables mix all keys and
# grooves, and so come near to every piece without sounding like any. Section 14
# compares at full size, with intervals.

# %% tags=["active-ipynb"]
# gain = fold_means.loc["unigram", "nats_per_event"] - fold_means["nats_per_event"]
# gains = [f"{name} **{gain[name]:+.2f}**" for name in (*MODELS, "ngram")]
# Markdown(f"Gains against the unigram, in nats an event: {', '.join(gains)} (means of "
#          f"{FOLDS} folds; below zero is worse).")

# %% [markdown]
# A note is more than its token. The next table gives each stream its own column, in
# nats a note, so that they can be added up; the tables of section 6 predict each stream
# from its own past.

# %% tags=["active-ipynb"]
# by_stream = stream_table.pivot_table("nats_per_note", "model", "stream", sort=False)
# total = by_stream.sum(axis=1, min_count=len(by_stream.columns))
# by_stream["token + step"] = by_stream["token"] + by_stream["step"]
# by_stream.assign(sum=total).round(3)

# %% [markdown]
# The last two columns are the fair ones for the expressive network, whose token is told
# the step: when and which together, and everything that is heard.
#
# The published recipe reads a token as one number. Token 300 is not "more" than token
# 100, and no straight line through such numbers says which chord comes next; so the
# network learns how often each token occurs, as the unigram does, and little else. That
# is not for lack of epochs: the curves above are soon flat.
#
# ### The final model
#
# The model that writes music learns from all training pieces: the published network for
# as many epochs as its folds needed, the others on a schedule of their own. It is kept
# as one file, a bundle of weights, vocabulary and settings. A damaged one is refused, and
# nothing in it is ever executed.


# %% tags=["hide-input"]
def save_model(model, path):
    """Keep a network's model as a bundle: one zip, whose checksums tell damage."""
    learnt = [[piece.name, piece.metres, encode(piece, model.vocabulary).tolist()]
              for piece in model.sources.pieces]
    known = {"name": model.name, "tempo": model.tempo, "settings": model.settings,
             "vocabulary": model.vocabulary.chords, "sources": learnt}
    buffer = io.BytesIO()
    try:
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.keras"
            model.predictor.network.save(weights)
            with zipfile.ZipFile(buffer, "w") as file:
                file.write(weights, weights.name)
                file.writestr("model.json", json.dumps(known), zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise cannot_write(tempfile.gettempdir(), error) from None
    return write_whole(path, buffer.getvalue())


# %% tags=["hide-input"]
def load_model(path):
    """Return the model in a bundle; raise NotebookError where it cannot be used."""
    words = "it is damaged"
    try:
        with (zipfile.ZipFile(path) as file, tempfile.TemporaryDirectory() as folder):
            known = json.loads(file.read("model.json"))
            data, weights = file.read("weights.keras"), Path(folder) / "weights.keras"
            weights.write_bytes(data)
            words = "it holds no network that is safe to load"
            network = keras.saving.load_model(weights, compile=False, safe_mode=True)
        words = "its parts do not belong together"
        name, tempo, settings = (known[key] for key in ("name", "tempo", "settings"))
        vocabulary, pieces, parts = Vocabulary(known["vocabulary"]), [], []
        size = network.output_shape
        if network.name in FIXED_SCHEDULE:
            size = size[EVENT_ORDER.index("token")]
            scale = MoodScale(*map(np.array, settings["mood_scale"]))
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
    if name not in BASELINES:
        save_model(model, path)
    return model


# %% tags=["active-ipynb"]
# models, MODEL_FOLDER = {}, Path(OUTPUT_FOLDER) / "models"
# for name in (*BASELINES[1:], *MODELS):
#     rows = fold_table[fold_table["model"] == name]
#     epochs = max(1, round(rows["epochs"].mean()))
#     epochs = EXPRESSIVE_EPOCHS if name in FIXED_SCHEDULE else epochs
#     path = MODEL_FOLDER / f"{name}.zip"
#     models[name] = final_model(name, training_pieces, epochs, SEED, path)
# model = models[MODELS[-1]]
