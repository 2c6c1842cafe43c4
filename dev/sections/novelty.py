# %% [markdown]
# ## 11 Is it new?
#
# **Did it write this, or remember it?** A model may copy. The *longest run* of a piece is
# the longest row of events that also stands in a training piece, in whatever key. Every
# generated piece carries its longest run, with the training piece and the bar;
# `LONGEST_COPY` sets a limit. Where a piece goes beyond it, it is taken back to just
# before and drawn anew from there.

# %% tags=["active-py"]
from dataclasses import replace
from functools import partial

import numpy as np

from .corpus import Piece, SharedRun, group_notes
from .encoding import bar_places, decode, list_groups
from .settings import GRID, LONGEST_COPY, TEMPERATURE, TOP_K, TOP_P, NotebookError
from .writing import write_events


# %%
def relative_events(piece):
    """Return each event with the one before it, the same in every key."""
    chords = [tuple(group) for _, group in list_groups(piece)]
    shapes = [tuple(pitch - chord[0] for pitch in chord) for chord in chords]
    moves = [b[0] - a[0] for a, b in zip(chords, chords[1:])]
    return list(zip(moves, shapes, shapes[1:]))


class Sources:
    """Training pieces laid end to end, to find what was copied from them."""

    def __init__(self, pieces):
        self.pieces, places, self.size = list(pieces), {}, 0
        lengths = [len(group_notes(piece)[0]) for piece in pieces]
        self.ends = np.cumsum(lengths, dtype=np.int64)
        for piece, length in zip(pieces, lengths):
            for place, event in enumerate(relative_events(piece), self.size):
                places.setdefault(event, []).append(place)
            self.size += length
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
            best = int(longer.argmax()) if len(places) else 0
            found = (int(longer[best]), int(places[best])) if len(places) else (0, -1)
            rows.append(found)
        return rows


def find_shared_run(piece, sources):
    """Return the longest run of events that a piece shares with its sources."""
    runs = sources.trace(piece)
    run, place = max(runs, key=lambda row: row[0], default=(0, -1))
    if not run:
        return SharedRun()
    number = int(np.searchsorted(sources.ends, place, "right"))
    source, first = sources.pieces[number], sources.ends[number - 1] if number else 0
    cell = group_notes(source)[0][place - first - run + 1]
    beats, unit = source.metre
    bar = 1 + int(cell // (GRID * beats * 4 / unit))
    return SharedRun(run + 1, source.name, bar)


def find_copy(piece, sources):
    """Return the first and the last onset of the longest run shared with sources."""
    runs = [run for run, _ in sources.trace(piece)]
    if not any(runs):
        return None
    last = int(np.argmax(runs)) + 1
    cells = group_notes(piece)[0][[last - max(runs), last]]
    return tuple((cells / GRID).tolist())


def describe_copy(piece):
    if not piece.shared.events:
        return "no event is shared with a training piece"
    events, name, bar = piece.shared
    return f"longest run shared with training: {events} events of {name}, bar {bar}"


# %%
COPY_ATTEMPTS = 100  # times that a piece is drawn anew


def keep_to_limit(events, seed, limit, write, model, joined):
    """Return events without runs beyond a limit, drawn anew where they had some.

    `write`: takes seeds and a length, gives the rows that go on from them; `joined`:
    runs that begin in the seed count.
    """
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
        kept = max(0, beyond[0] - attempt % 10)
        before = np.concatenate([seed, events[:kept]])
        rows, _ = write([before], len(events) - kept)
        events = np.concatenate([events[:kept], rows[0]])
    raise NotebookError(
        f"Nothing was generated: {model.name} went beyond longest_copy={limit} "
        f"{COPY_ATTEMPTS} times; allow a longer run, or another seed."
    )


def generate_pieces(model, seeds, length, *, sampling=None, generator, tempo=None,
                    moods=None, joined=False, longest_copy=None, watch=None):
    """Return one new piece of `length` events for each seed, an array of EVENT.

    `sampling`: temperature, top_p, top_k; `tempo`: bpm; `moods`: energy and brightness
    (streams, 2), 1 to 3, 0 for any; `joined`: begin with the seed; `longest_copy`: see
    section 1, whose settings hold where None is given; `watch`: see `generate_music`.
    """
    sampling = sampling or (TEMPERATURE, TOP_P, TOP_K)
    limit = LONGEST_COPY if longest_copy is None else longest_copy
    generators, pieces = generator.spawn(len(seeds)), []
    write = partial(write_events, model.predictor, sampling=sampling,
                    rhythm=model.rhythm, watch=watch)  # fmt: skip
    rows, loops = write(seeds, length, generators=generators, moods=moods)
    told = "temperature {}, top_p {}, top_k {}, seed {}".format(
        *sampling, generator.bit_generator.seed_seq.entropy
    )
    for i, (seed, events) in enumerate(zip(seeds, rows)):
        if limit:
            mood = None if moods is None else moods[i : i + 1]
            again = partial(write, generators=generators[i : i + 1], moods=mood)
            events = keep_to_limit(events, seed, limit, again, model, joined)
        events = np.concatenate([seed, events])
        if not joined:  # placed in the bar where the seed ends
            place = bar_places(events)[len(seed)]
            events = events[len(seed) :]
            events["step"][0] = place
        piece = Piece(f"{model.name} {i + 1}", decode(events, model.vocabulary), tempo
                      or model.tempo, remarks=f"loops left by drawing again: {loops[i]}"
                      if loops[i] else "", settings=told)
        pieces.append(replace(piece, shared=find_shared_run(piece, model.sources)))
    return pieces
