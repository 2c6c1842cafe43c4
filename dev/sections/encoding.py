# %% [markdown]
# ## 6 From notes to numbers
#
# **Does music survive as integers?** Notes that start in one grid cell form an event. Its
# *token* names its exact pitches: a single note, or a chord with its voicing, not its
# letter name. Four more numbers say when and how: the *step* counts grid cells since the
# event before; *duration*, *velocity* and *lower velocity* are bins: how long, how hard
# the top note is struck, and how hard the others, so that a melody can stand out. Each
# event also has its *position* in the bar, in cells, and the bar's metre: *beats* and
# their *unit*.
#
# The *vocabulary* holds all 88 single notes and the most frequent chords. A chord
# outside it is spelled as several events: the largest known chords in it and what is
# left, from the bass up, with step 0 between them. So there is no unknown token: every
# piece can be encoded, and comes back with each onset and pitch in place. Models count
# these events; sections 4, 13, 17 and 20 count what starts together as one.

# %% tags=["active-py"]
import itertools
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .corpus import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    NOTE,
    PITCHES,
    group_notes,
    place_in_bars,
    release_keys,
)
from .settings import GRID, NotebookError

# %%
EVENT = np.dtype([("token", "i2"), ("step", "i4"), ("duration", "i2")]
                 + [("velocity", "i2"), ("lower_velocity", "i2")]
                 + [("position", "i4"), ("beats", "i2"), ("unit", "i2")])
DURATIONS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32, 36,
                      42, 48, 60, 72, 96, 120, 144, 192]) * GRID // 12  # grid cells
DURATION_EDGES = np.sqrt(DURATIONS[:-1] * DURATIONS[1:]).tolist()  # nearest by ratio
VELOCITY_WIDTH = 8
LONGEST_STEP = 4 * GRID  # cells; the models treat longer rests alike
STREAM_SIZES = {"step": LONGEST_STEP + 1, "duration": len(DURATIONS),
                "velocity": 128 // VELOCITY_WIDTH,
                "lower_velocity": 128 // VELOCITY_WIDTH}  # beside the vocabulary's


class Vocabulary:
    """What tokens stand for: `chords[token]` is a tuple of pitches."""

    def __init__(self, chords):
        self.chords = tuple(tuple(int(pitch) for pitch in chord) for chord in chords)
        self.tokens = {chord: token for token, chord in enumerate(self.chords)}
        self.spellings = {chord: (token,) for chord, token in self.tokens.items()}
        self.from_bass = {}  # chords by their lowest pitch
        for token, chord in enumerate(self.chords):
            row = -len(chord), token, chord
            self.from_bass.setdefault(chord[0], []).append(row)

    def __len__(self):
        return len(self.chords)

    def spell(self, pitches):
        """Return the tokens of some pitches: the largest known chords, then notes."""
        if pitches not in self.spellings:
            rest, tokens = set(pitches), []
            known = [row for pitch in pitches for row in self.from_bass[pitch]]
            for _, token, chord in sorted(known):
                if rest.issuperset(chord):
                    rest.difference_update(chord)
                    tokens.append(token)
            self.spellings[pitches] = tuple(sorted(tokens, key=self.chords.__getitem__))
        return self.spellings[pitches]


# %% [markdown]
# Encoding goes through a piece from one group of notes to the next; decoding adds up
# the steps. The notes of a chord keep one duration, their median; those below the top
# note share one velocity, their mean. A single note has its own velocity twice.


# %%
def list_groups(piece):
    """Yield (cell, {pitch: (duration, velocity)}), low to high, where notes start."""
    cells, numbers = group_notes(piece)
    order = np.lexsort((piece.notes["pitch"], numbers))
    rows = zip(numbers[order].tolist(), piece.notes[order].tolist())
    for number, group in itertools.groupby(rows, key=lambda row: row[0]):
        yield int(cells[number]), {pitch: (duration, velocity)
                                   for _, (_, duration, pitch, velocity) in group}


def build_vocabulary(pieces, size):
    """Return the vocabulary of the 88 notes and the pieces' most frequent chords."""
    singles = [(pitch,) for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1)]
    if size < PITCHES:
        raise NotebookError(f"VOCABULARY_SIZE is {size}, less than {PITCHES} notes.")
    groups = (group for piece in pieces for _, group in list_groups(piece))
    chords = [(-count, chord) for chord, count in Counter(map(tuple, groups)).items()
              if len(chord) > 1]
    return Vocabulary(singles + [row[1] for row in sorted(chords)[: size - PITCHES]])


def encode(piece, vocabulary):
    """Return a piece's events: an array of EVENT, one row a token."""
    (_, _, positions), events, last = place_in_bars(piece), [], 0
    starts = np.rint([GRID * start for start, *_ in piece.metres]).tolist()
    for (cell, group), position in zip(list_groups(piece), positions.tolist()):
        metre = piece.metres[bisect(starts, cell) - 1][1:]
        for token in vocabulary.spell(tuple(group)):
            durations, velocities = zip(*(group[p] for p in vocabulary.chords[token]))
            cells = max(sorted(durations)[len(durations) // 2] * GRID, 1)
            *lower, top = velocities
            below = round(sum(lower) / len(lower)) if lower else top
            touch = top // VELOCITY_WIDTH, below // VELOCITY_WIDTH
            duration = bisect(DURATION_EDGES, cells)
            events.append((token, cell - last, duration, *touch, position, *metre))
            last = cell
    return np.array(events, dtype=EVENT)


def decode(sequence, vocabulary):
    """Return the notes, an array of NOTE, that a sequence of events stands for."""
    onsets = np.cumsum(sequence["step"], dtype=np.int64) / GRID
    durations = DURATIONS[sequence["duration"]] / GRID
    top, lower = (sequence[name] * VELOCITY_WIDTH + VELOCITY_WIDTH // 2
                  for name in ("velocity", "lower_velocity"))
    chords = [vocabulary.chords[token] for token in sequence["token"]]
    notes = [(onset, duration, pitch, high if pitch == chord[-1] else low)
             for onset, duration, high, low, chord
             in zip(onsets, durations, top, lower, chords) for pitch in chord]
    return release_keys(np.array(notes, dtype=NOTE))


# %% [markdown]
# What follows helps to write music: where bars begin in a sequence of events, and the
# same piece in another key.

# %% tags=["hide-input"]
def bar_cells(events):
    """Return how many grid cells the bars have in which events stand."""
    beats, unit = (events[name].astype(int) for name in ("beats", "unit"))
    return np.maximum(4 * GRID * beats // np.maximum(unit, 1), 1)


def find_metres(sequence):
    """Return the time signatures, as `Piece` holds them, of a sequence of events."""
    starts = np.cumsum(sequence["step"], dtype=np.int64) - sequence["position"]
    metres = sequence[["beats", "unit"]].tolist()
    rest = np.diff(starts) % bar_cells(sequence[:-1])  # of a bar that ended early
    new = [i for i, metre in enumerate(metres)
           if i and (metre != metres[i - 1] or rest[i - 1])]
    return ((0.0, *metres[0]), *((float(starts[i] / GRID), *metres[i]) for i in new))


def transpose(piece, semitones):
    """Return a piece in another key, without markers; by an octave less at the ends."""
    notes = piece.notes.copy()
    notes["pitch"] += semitones
    notes["pitch"][notes["pitch"] > HIGHEST_PITCH] -= 12
    notes["pitch"][notes["pitch"] < LOWEST_PITCH] += 12
    return replace(piece, notes=notes, markers=())


# %% tags=["active-ipynb"]
# vocabulary = build_vocabulary(training_pieces, VOCABULARY_SIZE)
# training_sequences = [encode(piece, vocabulary) for piece in training_pieces]
# first_events = training_sequences[0][:10]
# chords = [vocabulary.chords[token] for token in first_events["token"]]
# pd.DataFrame(first_events).assign(notes=[*map(name_chord, chords)])

# %% [markdown]
# The first ten events of the first piece; the last column holds the notes that each token
# names.
# Now the check that counts: every piece is encoded and decoded, and each note must
# come back with its pitch, on its grid cell.


# %%
def count_lost_notes(piece, vocabulary):
    """Return how many notes differ, on the grid, after encoding and decoding."""
    one, other = (
        Counter(zip(np.rint(notes["onset"] * GRID).tolist(), notes["pitch"].tolist()))
        for notes in (piece.notes, decode(encode(piece, vocabulary), vocabulary)))
    return ((one - other) + (other - one)).total()


def count_tokens(sequences, size):
    return np.bincount(np.concatenate([s["token"] for s in sequences]), minlength=size)


# %% tags=["active-ipynb"]
# all_pieces = training_pieces + validation_pieces
# lost = sum(count_lost_notes(piece, vocabulary) for piece in all_pieces)
# print(f"{len(all_pieces)} pieces encoded and decoded; {lost} notes lost or changed.")

# %% [markdown]
# What is lost is fine time and touch: an onset moves by at most half a cell, 1/24 of a
# quarter note (exactly between two, to the even one), and durations and velocities go
# to the nearest bin. The next plot shows how often each token occurs. The published
# project counts 24,483 notes and 548 unique ones; the statistics below are in its
# terms.


# %% tags=["active-ipynb", "hide-input"]
# counts = count_tokens(training_sequences, len(vocabulary))
# ranks, chord = np.argsort(np.argsort(-counts)) + 1, np.arange(len(counts)) >= PITCHES
# figure, ax = plt.subplots(figsize=WIDE)
# for mask, label, colour, mark in ((~chord, "single notes", REAL, "o"),
#                                   (chord, "chords", THIRD, "^")):
#     shown = mask & (counts > 0)
#     ax.loglog(ranks[shown], counts[shown], mark, ms=3, label=label, color=colour)
# ax.set(title="How often each token occurs", xlabel="rank", ylabel="events")
# ax.legend()
# save_figure(figure, "token_ranks")

# %% [markdown]
# Single notes fill the first ranks, chords are the long tail.
#
# A model sees `SEQUENCE_LENGTH` events and predicts the next. These windows are cut
# when they are asked for, never laid out in memory, and never reach across two pieces.


# %% tags=["hide-input"]
class Windows(Sequence):
    """The runs of `width` successive events of some sequences, cut when asked for.

    `more`: events that must follow each. Its first step is its place in the bar.
    """

    def __init__(self, sequences, width, more=0):
        self.events = np.concatenate([np.empty(0, EVENT), *sequences])
        self.width = width
        left = [np.arange(len(sequence), 0, -1) for sequence in sequences]
        self.places = np.flatnonzero(np.concatenate([[0], *left])[1:] >= width + more)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        return self.cut([index])[0]

    def cut(self, indices):
        """Return the windows at some indices as one array (indices, width)."""
        events = self.events[self.places[indices][:, None] + np.arange(self.width)]
        events["step"][:, 0] = events["position"][:, 0]
        return events


def make_windows(sequences, length):
    """Return what a model reads, windows of `length` events, and the next event."""
    windows = Windows(sequences, length, 1)
    if not len(windows):
        raise NotebookError(f"No piece has more than {length} events: use longer "
                            "pieces, or a smaller SEQUENCE_LENGTH.")
    return windows, windows.events[windows.places + length]


# %% tags=["active-ipynb"]
# features, targets = make_windows(training_sequences, SEQUENCE_LENGTH)
# spelled = sum(np.sum(sequence["step"][1:] == 0) for sequence in training_sequences)
# events = counts.sum()
# pd.DataFrame({"": {
#     "Total events": events,
#     "Unique tokens that occur": np.sum(counts > 0),
#     "Vocabulary": len(vocabulary),
#     "Sequence length": SEQUENCE_LENGTH,
#     "Windows": len(features),
#     "Events that continue a spelled chord": f"{spelled / events:.1%}"}})

# %% [markdown]
# One window, then: 40 events, and the one to predict. The upper panel shows their notes,
# the lower one all that the published network is given: each token's place in the
# vocabulary.

# %% tags=["active-ipynb", "hide-input"]
# window, target = features[0], targets[0]
# figure, axes = plt.subplots(2, 1, figsize=TALL, sharex=True)
# for place, token in enumerate([*window["token"], target["token"]]):
#     chord, colour = vocabulary.chords[token], REAL if place < len(window) else GENERATED
#     axes[0].plot([place] * len(chord), chord, "s", ms=4, color=colour)
#     axes[1].plot(place, token / len(vocabulary), "o", ms=4, color=colour)
# axes[0].set(title="A sequence of 40 events, and the next (orange)", ylabel="pitch")
# axes[1].set(title="As the published LSTM reads it", xlabel="event",
#             ylabel="token ÷ vocabulary")
# save_figure(figure, "sequence")
