# %% [markdown]
# ## 13 Is it new?
#
# **Did it write this, or remember it?** A network with a million numbers could know
# twenty pieces by heart, and its music would pass every other test here. So each piece
# is held against all that its model has learnt from. The *longest run* of a piece is
# the longest row of events that also stands in a training piece, in whatever key. Every
# generated piece carries its longest run, with the training piece and the bar;
# `LONGEST_COPY` sets a limit. Where a piece goes beyond it, it is taken back to just
# before and drawn anew from there.

# %% tags=["active-py"]
from dataclasses import replace
from functools import partial

import numpy as np

from .baselines import write_events
from .corpus import Piece, SharedRun, group_notes, place_in_bars
from .encoding import bar_cells, decode, find_metres, list_groups
from .harmony import repeat_changes
from .settings import GRID, LONGEST_COPY, TEMPERATURE, TOP_K, TOP_P, NotebookError


# %% tags=["hide-input"]
def relative_events(piece):
    """Return each event with the one before it, the same in every key."""
    chords = [tuple(group) for _, group in list_groups(piece)]
    shapes = [tuple(pitch - chord[0] for pitch in chord) for chord in chords]
    moves = [b[0] - a[0] for a, b in zip(chords, chords[1:])]
    return list(zip(moves, shapes, shapes[1:]))


class Sources:
    """Training pieces laid end to end, to find what was copied from them."""

    def __init__(self, pieces):
        lengths, places = [len(group_notes(piece)[0]) for piece in pieces], {}
        self.pieces, self.size = list(pieces), sum(lengths)
        self.ends = np.cumsum(lengths, dtype=np.int64)
        for piece, end, length in zip(pieces, self.ends.tolist(), lengths):
            for place, event in enumerate(relative_events(piece), end - length):
                places.setdefault(event, []).append(place)
        self.places = {event: np.array(rows) for event, rows in places.items()}

    def trace(self, piece):
        """Return (relative events, place) of the longest run up to each event."""
        nothing, rows = np.zeros(0, dtype=np.int64), []
        before, runs = nothing, np.zeros(self.size + 1, dtype=np.int32)
        for event in relative_events(piece):
            places = self.places.get(event, nothing)
            longer = runs[places] + 1  # runs[i]: that which ends at place i - 1
            runs[before] = 0
            before = places + 1
            runs[before] = longer
            rows.append((0, -1))
            if len(places):
                best = longer.argmax()
                rows[-1] = int(longer[best]), int(places[best])
        return rows


def find_shared_run(piece, sources):
    """Return the longest run of events that a piece shares with its sources."""
    runs = [(run, -last, place) for last, (run, place) in
            enumerate(sources.trace(piece), 1)]
    run, last, place = max(runs, default=(0, 0, 0))
    if not run:
        return SharedRun()
    number = int(np.searchsorted(sources.ends, place, "right"))
    source, first = sources.pieces[number], sources.ends[number - 1] if number else 0
    bar = 1 + int(place_in_bars(source)[1][place - first - run + 1])
    here = group_notes(piece)[0][[-last - run, -last]] / GRID
    return SharedRun(run + 1, source.name, bar, *here.tolist())


def describe_copy(piece):
    events, name, bar, *_ = piece.shared
    if not events:
        return "no event is shared with a training piece"
    return f"longest run shared with training: {events} events of {name}, bar {bar}"


# %% tags=["active-ipynb"]
# find_shared_run(validation_pieces[0], Sources(training_pieces))._asdict()

# %% [markdown]
# That is how much one real piece shares with others: a few events of one bar, by chance
# or by idiom. With that, every model writes whole pieces by one function.

# %% tags=["hide-input"]
COPY_ATTEMPTS = 100  # times that a piece is drawn anew


def cut_out(events, start, end=None):
    """Return some of a piece's events, the first one where it stands in its bar."""
    part = events[start:end].copy()
    part["step"][:1] = part["position"][:1]
    return part


def keep_to_limit(events, seed, limit, write, model, joined):
    """Return events, drawn anew by `write(seeds, length)` where runs pass a limit."""
    past = seed if joined else seed[:0]
    for attempt in range(COPY_ATTEMPTS):
        both = np.concatenate([past, events])
        piece = Piece("", decode(both, model.vocabulary), 120.0)
        cells, runs = group_notes(piece)[0], model.sources.trace(piece)
        numbers = np.searchsorted(np.cumsum(both["step"], dtype=np.int64), cells[1:])
        beyond = [number - len(past) for number, (run, _) in zip(numbers.tolist(), runs)
                  if run >= limit and number >= len(past)]
        if not beyond:
            return events
        kept = events[: max(0, beyond[0] - attempt % 10)]
        rows, _ = write([np.concatenate([seed, kept])], len(events) - len(kept))
        events = np.concatenate([kept, rows[0]])
    raise NotebookError(
        f"Nothing was generated: {model.name} went beyond longest_copy={limit} "
        f"{COPY_ATTEMPTS} times; allow a longer run, or another seed.")


# %% tags=["hide-input"]
def generate_pieces(model, seeds, length, *, sampling=None, generator, tempo=None,
                    moods=None, changes=None, joined=False, longest_copy=None,
                    watch=None):
    """Return one new piece of `length` events for each seed, an array of EVENT.

    `sampling`: temperature, top_p, top_k; `moods`: energy and brightness (streams, 2),
    1 to 3, 0 for any; `changes`: one for each seed, played from the bar behind it;
    `joined`, `watch`: see `generate_music`; None: as section 2 says.
    """
    sampling = sampling or (TEMPERATURE, TOP_P, TOP_K)
    limit = LONGEST_COPY if longest_copy is None else longest_copy
    source, before = generator.bit_generator.seed_seq, ""
    if source.n_children_spawned:
        before = f", takes before: {source.n_children_spawned}"
    generators, pieces = generator.spawn(len(seeds)), []
    write = partial(write_events, model.predictor, sampling=sampling,
                    rhythm=model.rhythm, watch=watch)
    starts = [(seed["step"].sum() + bar_cells(seed[-1]) - seed["position"][-1]) / GRID
              for seed in seeds]
    forms = changes and list(zip(changes, starts))
    rows, loops = write(seeds, length, generators=generators, moods=moods, forms=forms)
    told = "temperature {}, top_p {}, top_k {}, seed {}".format(
        *sampling, source.entropy) + before
    for i, (seed, events) in enumerate(zip(seeds, rows)):
        if limit:
            mood = None if moods is None else moods[i : i + 1]
            again = partial(write, generators=generators[i : i + 1], moods=mood,
                            forms=forms and forms[i : i + 1])
            events = keep_to_limit(events, seed, limit, again, model, joined)
        both, first = np.concatenate([seed, events]), 0 if joined else len(seed)
        events = cut_out(both, first)
        remarks = f"loops left by drawing again: {loops[i]}" if loops[i] else ""
        name = f"{model.name}{' over changes' * bool(changes)} {i + 1}"
        piece = Piece(name, decode(events, model.vocabulary),
                      tempo or model.tempo, find_metres(events), remarks, settings=told)
        piece = replace(piece, shared=find_shared_run(piece, model.sources))
        if changes:
            zero = both["step"][: first + 1].sum() - both["position"][first]
            markers = repeat_changes(changes[i], starts[i] - zero / GRID, piece.end)
            piece = replace(piece, markers=markers)
        pieces.append(piece)
    return pieces
