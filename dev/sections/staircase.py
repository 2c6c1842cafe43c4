# %% [markdown]
# ## 15 What each idea adds
#
# **Why does the recipe fail, and what helps?** Between the published network and the
# expressive one lie several ideas. Here they come one after the other, each network
# keeping what the ones before it have:
#
# 1. *every step*: learn from all 40 targets of a window, not from the last alone;
# 2. *embedding*: give each token numbers of its own in place of its number in the list;
# 3. *content*: read and say a chord as the notes that it holds;
# 4. *all keys*: learn from each piece in all twelve keys;
# 5. *time and touch*: read step, duration, velocities and the place in the bar, and be
#    told when the next event comes before saying what it is;
# 6. *short memory*: the expressive network, which looks for intervals along the keyboard
#    and hands on its state from window to window, but with a short memory;
# 7. *expressive*: with its memory, the running averages of the whole piece so far.

# %% tags=["active-py"]
import itertools
from types import SimpleNamespace

import keras
import numpy as np
from keras import layers, ops

from .baselines import encode_all_keys, judge, score_streams
from .encoding import STREAM_SIZES, build_vocabulary, encode
from .expressive import (
    EXPRESSIVE,
    POSITIONS,
    describe_tokens,
    fixed_table,
    make_dense,
    make_embedding,
    make_lstm,
    tabulate,
)
from .lstm import fit_windows, predict_windows
from .settings import (
    EPOCHS,
    EXPRESSIVE_FOLD_EPOCHS,
    SEQUENCE_LENGTH,
    VOCABULARY_SIZE,
)
from .writing import train_expressive

# %%
STEPS = ("last step", "every step", "embedding", "content", "all keys",
         "time and touch")
EVERY_STEP, LAST_STEP = (14, 16), (6, 64)  # epochs, and windows an update
SHORT_MEMORY = {**EXPRESSIVE, "roll_decays": (1.5,), "slow_decays": (4.0,)}  # events


def build_step(vocabulary, ideas, seed):
    """Return the published stack with some ideas, from integers (batch, time, 7).

    They are token, step, duration, velocities, position and the next event's step.
    """
    seeds, content = itertools.count(1000 * seed), describe_tokens(vocabulary)
    events = keras.Input((None, 7), dtype="int32")
    token, *touch, following = (events[..., i] for i in range(7))
    seen, said = [ops.cast(token, "float32")[..., None] / len(vocabulary)], []
    if "embedding" in ideas:
        seen = [make_embedding(len(vocabulary), 64, seeds)(token)]
    if "content" in ideas:
        seen.append(make_dense(128, None, seeds)(fixed_table(content)(token)))
    if "time and touch" in ideas:
        seen += [make_embedding(size, 16, seeds)(stream) for size, stream in
                 zip((*STREAM_SIZES.values(), POSITIONS), touch)]
        said = [make_embedding(STREAM_SIZES["step"], 32, seeds)(following)]
    hidden = ops.concatenate(seen, -1)
    hidden = make_lstm(256, seeds)(hidden)
    hidden = layers.Dropout(0.1, seed=next(seeds))(hidden)
    hidden = ops.concatenate([make_lstm(128, seeds)(hidden), *said], -1)
    hidden = make_dense(128, None, seeds)(hidden)
    hidden = layers.Dropout(0.1, seed=next(seeds))(hidden)
    if "content" in ideas:
        said = make_dense(content.shape[1], None, seeds)(hidden)
        shares = ops.softmax(ops.matmul(said, content.T))
    else:
        shares = make_dense(len(vocabulary), "softmax", seeds)(hidden)
    return keras.Model(events, shares)


# %% tags=["hide-input"]
def tell_next(rows):
    """Return rows of `tabulate` (..., events, 6) with the step of the event behind."""
    return np.concatenate([rows[..., :-1, :], rows[..., 1:, 1:2]], axis=-1)


def run_step(idea, learning, stopping, held_out, seed):
    """Return the nats a note of a step on held-out pieces and on learnt ones."""
    vocabulary = build_vocabulary(learning, VOCABULARY_SIZE)
    given = (learning, stopping, vocabulary, seed)
    if idea == "short memory":
        predictor, _ = train_expressive(*given, EXPRESSIVE_FOLD_EPOCHS, SHORT_MEMORY)
    else:
        ideas, last = STEPS[: STEPS.index(idea) + 1], idea == "last step"
        network = build_step(vocabulary, ideas, seed)

        def read(events):
            rows = tabulate(events)
            return tell_next(rows), rows[:, -1, 0] if last else rows[:, 1:, 0]

        def score(sequence):
            rows = tabulate(sequence)
            shares = predict_windows(network, tell_next(rows), SEQUENCE_LENGTH)
            return {"token": judge(shares, rows[1:, 0])}

        learnt, known = ([encode(piece, vocabulary) for piece in part]
                         for part in (learning, stopping))
        if "all keys" in ideas:
            learnt = encode_all_keys(learning, vocabulary)
        trained = keras.Model(network.input, network.output[:, -1]) if last else network
        epochs, batch_size = LAST_STEP if last else EVERY_STEP
        stride = 4 if last else SEQUENCE_LENGTH * len(learnt) // len(learning)
        fit_windows(trained, read, (learnt, known), seed, stride=stride,
                    batch_size=batch_size, epochs=min(epochs, EPOCHS), patience=EPOCHS)
        predictor = SimpleNamespace(score=score)
    scores = [score_streams(predictor, pieces, vocabulary)["token"]["nats_per_note"]
              for pieces in (held_out, learning[: len(held_out)])]
    keras.utils.clear_session()  # the process goes on with another step
    return scores


# %% [markdown]
# Each step is trained on the same folds, with about the same number of updates, and its
# best epoch on the held-back pieces is kept; the last two follow the expressive
# network's own schedule, and `expressive` comes from the folds above. All are trained
# briefly, so that this takes minutes, and on three folds.

# %% tags=["active-ipynb", "hide-input"]
# ideas = STEPS[::3] if QUICK_RUN else (*STEPS, "short memory")
# parts = [job[2:] for job in list_fold_jobs(["unigram"], training_pieces, folds, SEED)]
# parts = parts[:STAIRCASE_FOLDS]
# jobs = [(idea, *part) for idea in ideas for part in parts]
# results = run_cached(run_step, jobs, CACHE_FOLDER, "steps")
# measured = dict(zip(ideas, np.reshape(results, (len(ideas), -1, 2))))
# for name, rows in fold_table[fold_table["fold"] <= len(parts)].groupby("model"):
#     measured[name] = rows[["nats_per_note", "nats_per_note_learnt"]].to_numpy()
# order = ("unigram", *ideas, "expressive")
# staircase = {name: measured[name] for name in order if name in measured}
# figure, ax = plt.subplots(figsize=TALL)
# for place, rows in enumerate(staircase.values()):
#     colour = BASELINE if place == 0 else GENERATED
#     (unseen, learnt), spread = rows.mean(0), rows[:, 0].std(ddof=len(rows) > 1)
#     ax.errorbar(unseen, place, xerr=spread, fmt="o", color=colour, capsize=3)
#     ax.plot(learnt, place, "o", color=colour, fillstyle="none")
# ax.axvline(measured["ngram"][:, 0].mean(), color="black", lw=1, linestyle=":")
# ax.text(measured["ngram"][:, 0].mean(), 0, " n-gram")
# ax.invert_yaxis()
# ax.set(title="Each step keeps what the steps above it have",
#        yticks=range(len(staircase)), yticklabels=staircase,
#        xlabel="nats a note: filled unseen (± one sd), open learnt")
# save_figure(figure, "staircase")

# %% tags=["active-ipynb", "hide-input"]
# rows, before, one = [], staircase["unigram"][:, 0], {"ddof": len(parts) > 1}
# for name, each in staircase.items():
#     gain = before - each[:, 0]
#     rows.append({
#         "step": name,
#         "unseen": f"{each[:, 0].mean():.3f} ± {each[:, 0].std(**one):.3f}",
#         "gain on the step above":
#             f"{gain.mean():+.3f} ± {gain.std(**one):.3f}" if rows else "",
#         "learnt": f"{each[:, 1].mean():.3f}"})
#     before = each[:, 0]
# steps = pd.DataFrame(rows).set_index("step")
# save_table(steps.reset_index().assign(run=RUN_KIND), "staircase")
# steps

# %% [markdown]
# **What to see.** Between *last step* and *every step* nothing changes: the recipe does
# not fail for want of targets. With numbers of its own for each token the network
# improves; with the notes that a chord holds it passes the n-gram. But now it also
# begins to memorise: see how far the open circle runs ahead. (Open circles are two of
# the learnt pieces of each fold, which are a little harder than the unseen ones:
# compare with the unigram's.) Twelve keys take that away; on unseen pieces they gain
# less than folds differ. Each of the three steps after them brings 0.1 to 0.25 nats;
# three folds are too few to rank neighbours. From *time and touch* on the network is
# told when the next event comes, which those above are not; *short memory* is a bundle
# of ideas, with a schedule of its own.
#
# **Try it:** leave a word out of `STEPS`, or change their order.
