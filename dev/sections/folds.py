# %% [markdown]
# ## 8 How to fool yourself
#
# **Which pieces are unseen?** The training pieces are dealt into `FOLDS` parts. Each part
# is held out once while a model learns from the others: from their notes, their chords
# (the vocabulary is built anew) and nothing else.

# %% tags=["active-py"]
import math

import numpy as np
import pandas as pd
from sklearn import model_selection

from .baselines import Ngram, judge
from .encoding import Windows
from .settings import NotebookError


# %%
def make_folds(pieces, n_splits, seed):
    """Return (training, held-out) indices of pieces, each piece held out once."""
    left = len(pieces) - math.ceil(len(pieces) / max(n_splits, 1))
    if not 2 <= n_splits <= len(pieces) or left < 2:
        raise NotebookError(
            f"{len(pieces)} training pieces cannot be dealt into {n_splits} folds: "
            "put at least 3 pieces into the folder, and set FOLDS from 2 (3 for 3 "
            "pieces) to their number.")
    splitter = model_selection.KFold(n_splits, shuffle=True, random_state=seed)
    return list(splitter.split(np.arange(len(pieces))))


# %% tags=["active-ipynb"]
# folds = make_folds(training_pieces, FOLDS, SEED)
# assert all(set(train).isdisjoint(test) for train, test in folds)
# names = [[training_pieces[i].name for i in test] for _, test in folds]
# print(f"{len(folds)} folds; no piece stands on both sides of any.")
# pd.DataFrame({"held out": map(", ".join, names)}, range(1, len(folds) + 1))

# %% [markdown]
# ### What a leaky split would have claimed
#
# Many projects shuffle all windows and hold some of them out. But windows overlap: the
# event that a held-out window asks for stands inside dozens of training windows. A table
# of which token followed which four events, no network at all, is enough to see it.


# %%
def compare_splits(sequences, length, size, seed):
    """Return the scores of a 5-gram with windows, or the first piece, held out."""
    tokens = Windows(sequences, length + 1).cut(slice(None))["token"]
    chosen = np.random.default_rng(seed).random(len(tokens)) < 0.1
    leaky, asked = Ngram(tokens[~chosen], 5, size), tokens[chosen]
    given = [leaky.probabilities(row[-5:-1]) for row in asked]
    given = np.reshape(given, (-1, size))
    unseen, *seen = (sequence["token"] for sequence in sequences)
    honest = Ngram(seen, 5, size).predict(unseen)
    scores = {"windows at random": judge(given, asked[:, -1]),
              "a whole piece": judge(honest, unseen[1:])}
    rows = {name: pd.DataFrame(score).mean(axis=1) for name, score in scores.items()}
    return pd.DataFrame(rows).set_axis(["nats_per_event", "accuracy"]).T


# %% tags=["active-ipynb"]
# few = sorted(training_sequences, key=len)[-4:]
# compare_splits(few, SEQUENCE_LENGTH, len(vocabulary), SEED).round(2)

# %% [markdown]
# The same table, the same pieces, the four longest: with windows dealt at random it
# seems to know most of the music by heart, because it does. On one of them that was held
# out it is hardly better than a uniform guess, in nats. The best network here is right
# one time in seven (section 14); an accuracy far above that suggests a leak.
