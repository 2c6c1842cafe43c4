# %% [markdown]
# ## 10 Changes
#
# **Which chord sounds here?** Jazz is played over *changes*, a row of chords that comes
# round and round. A lead sheet writes them as symbols, bars divided by `|`. pychord knows
# what the symbols stand for; other spellings that jazz musicians use are first turned
# into those that it knows. A MIDI file may carry changes as markers, as the shipped
# pieces do.

# %% tags=["active-py"]
import re
from collections import Counter, namedtuple

import numpy as np
import pychord

from .corpus import group_notes
from .settings import GRID, NotebookError

# %% tags=["hide-input"]
WRITTEN = str.maketrans({"♯": "#", "♭": "b", "−": "-", "∆": "Δ", "△": "Δ", "º": "°"})
RESPELLED = [(re.compile(pattern), words) for pattern, words in (
    (r"^\(9\)$", "add9"), (r"[,\s]", ""), (r"\(([^()]*)\)", r"\1"),
    ("^([øØ]7?|h7)", "m7b5"), ("^[°o](?!mit)", "dim"), ("^7M", "maj7"),
    (r"^(-|[Mm]in?(?!aj))", "m"), (r"[Δ^](?=\d)|[Mm]a(?!j|dd)|Maj|M(?=\d)", "maj"),
    (r"[Δ^]", "maj7"), ("^M$", "maj"), (r"^m\+7", "mmaj7"), ("^alt", "7alt"),
    (r"^(\+|aug)maj7", "maj7#5"), (r"^(\+|aug)7|7(\+|aug)$", "7#5"), ("79$", "9"),
    (r"^\+$", "aug"), (r"sus(?!\d)", "sus4"), (r"7b5(9|11)$", r"\1b5"))]
QUALITIES = {  # semitones: what pychord lacks, or gives a fourth that jazz leaves out
    "7alt": (0, 4, 6, 8, 10, 13, 15), "13": (0, 4, 7, 10, 14, 21),
    "13b9": (0, 4, 7, 10, 13, 21), "13#9": (0, 4, 7, 10, 15, 21),
    "7b9b13": (0, 4, 7, 10, 13, 20), "7#9b13": (0, 4, 7, 10, 15, 20),
    "7b913": (0, 4, 7, 10, 13, 21), "713": (0, 4, 7, 10, 21),
    "7#5b9": (0, 4, 8, 10, 13), "7#5#9": (0, 4, 8, 10, 15),
    "7b5b9": (0, 4, 6, 10, 13), "7b5#9": (0, 4, 6, 10, 15),
    "b5": (0, 4, 6), "#5": (0, 4, 8), "7sus4b9": (0, 5, 7, 10, 13),
    "7b9sus4": (0, 5, 7, 10, 13), "13sus4": (0, 5, 7, 10, 14, 21),
    "maj7#5": (0, 4, 8, 11), "maj9#11": (0, 4, 7, 11, 14, 18),
    "maj13": (0, 4, 7, 11, 14, 21), "69#11": (0, 4, 7, 9, 14, 18),
    "m13": (0, 3, 7, 10, 14, 17, 21), "mmaj9": (0, 3, 7, 11, 14),
    "m9b5": (0, 3, 6, 10, 14), "m11b5": (0, 3, 6, 10, 14, 17), "dimmaj7": (0, 3, 6, 11)}


def read_chord(symbol):
    """Return the pitch classes of a chord symbol, bass first; None if it is none."""
    symbol = symbol.translate(WRITTEN).replace("6/9", "69")
    if symbol.upper() in ("N.C.", "NC"):
        return ()
    if not (parts := re.fullmatch("([A-G][b#]?)([^/]*)(?:/([A-G][b#]?))?", symbol)):
        return None
    root, quality, bass = parts.groups()
    for pattern, words in RESPELLED:
        quality = pattern.sub(words, quality)
    try:
        steps = QUALITIES.get(quality) or pychord.QualityManager().get_quality(
            quality).components
    except ValueError:
        return None
    note = pychord.utils.note_to_val
    tones = [note(bass or root), *(note(root) + step for step in steps)]
    return tuple(dict.fromkeys(tone % 12 for tone in tones))


# %% tags=["hide-input"]
LONGEST_CHORUS = 4096  # quarter notes
# A chorus: (onset, symbol) rows, and its length, in quarter notes.
Changes = namedtuple("Changes", "rows length")


def read_changes(text, metre=(4, 4)):
    """Return the changes of a lead sheet such as "Dm7 G7 | Cmaj7 | % | Am7 D7".

    Chords share a bar by beats; `%` is the bar, or the chord, before; `N.C.` is none;
    what stands before `:|` comes twice, from `|:` or the beginning on.
    """
    text = text.replace(":|:", ":| |:")
    text = re.sub(r"(?:\A|\|:)([^:]*):\|", r"|\1|\1|", text)
    (beats, unit), rows, last = metre, [], []
    bars = [bar.split() for bar in re.split(r"[|\n]", text) if bar.strip()]
    length = len(bars) * beats * 4 / unit
    if not 0 < length <= LONGEST_CHORUS:
        words = f"The changes last {length:.0f} quarters, more than {LONGEST_CHORUS}."
        empty = "There are no changes: write chords, as Dm7 G7 | Cmaj7."
        raise NotebookError(words if bars else empty)
    for number, bar in enumerate(bars):
        bar = last if bar == ["%"] and last else bar
        if len(bar) > beats:
            raise NotebookError(f"Bar {number + 1} has {len(bar)} chords, in {beats}/"
                                f"{unit} at most {beats}: divide it by |.")
        for place, symbol in enumerate(bar):
            if symbol in ("%", "/") and rows:
                bar[0] = bar[0] if place else rows[-1][1]  # if the bar returns
                continue
            if read_chord(symbol) is None:
                raise NotebookError(f"{symbol!r:.40} in bar {number + 1} is no chord: "
                                    "write Dm7, G7b9, Bb7/F, %, N.C. or the like.")
            at = (number * beats + place * beats // len(bar)) * 4 / unit
            rows.append((at, symbol))
        last = bar
    return Changes(tuple(rows), length)


def find_changes(piece):
    """Return the (onset, symbol) rows that a piece's markers tell, if any.

    A letter, also with a small number, may be a rehearsal mark: it counts where it
    stands alone, and only in a piece that has other chords.
    """
    rows = dict.fromkeys(row for row in piece.markers if read_chord(row[1]) is not None)
    marks = [re.fullmatch("[A-G][1-5]?", symbol) for _, symbol in rows]
    beside = Counter(onset for onset, _ in rows)
    return tuple(row for row, mark in zip(rows, marks) if not all(marks)
                 and not (mark and beside[row[0]] > 1))


SONGS = {  # to play over
    "a blues in F": "F7 | Bb7 | F7 | Cm7 F7 | Bb7 | Bdim7 | F7 | Am7b5 D7b9 | "
                    "Gm7 | C7 | F7 D7 | Gm7 C7",
    "rhythm changes in B♭, A": "Bbmaj7 G7 | Cm7 F7 | Dm7 G7 | Cm7 F7 | "
                               "Fm7 Bb7 | Ebmaj7 Ab7 | Dm7 G7 | Cm7 F7",
    "ii–V–I, a step down each time": "Dm7 | G7 | Cmaj7 | % | Cm7 | F7 | Bbmaj7 | % | "
                                     "Bbm7 | Eb7 | Abmaj7 | A7alt"}

# %% tags=["active-ipynb"]
# print(read_changes("Dm7 G7 | Cmaj7 | %"))
# pd.DataFrame({"changes": len(rows), "the first": " ".join(x for _, x in rows[:6])}
#              for rows in map(find_changes, training_pieces)).set_index(
#     pd.Index([piece.name for piece in training_pieces]))

# %% [markdown]
# Pianists often strike a chord a little early, so an event is told the chord that
# sounds one cell later: its bass, from 1 for C, and its tones, a bit for each of the
# twelve *pitch classes*; 0 and 0 where there is none. In another key both move along.
#
# Whether music *follows* its changes can be counted: `chord_tones`, the share of what
# sounds (by duration, at most four quarters a note) that is in the chord;
# `chord_tones_strong`, the share of the notes where a bar and its second half begin (in
# 3/4: a bar); `bass_on_root`, how often the lowest note below middle C that is struck at
# a change is the chord's bass.

# %% tags=["hide-input"]
def code_chord(symbol, semitones):
    tones = [(tone + semitones) % 12 for tone in read_chord(symbol) or ()]
    return (1 + tones[0], sum(1 << tone for tone in tones)) if tones else (0, 0)


def tell_chords(rows, cells, semitones=0):
    """Return bass and tones (cells, 2) of the chords that events at cells are told."""
    starts = [round(onset * GRID) for onset, _ in rows]
    known = {symbol: code_chord(symbol, semitones) for symbol in {x for _, x in rows}}
    codes = np.array([(0, 0), *(known[symbol] for _, symbol in rows)])
    return codes[np.searchsorted(starts, np.add(cells, 1), "right")]


def repeat_changes(changes, start, end):
    """Return rows of chorus after chorus from onset `start`, those from 0 to `end`."""
    rows, turns = {}, range(max(0, int(-(-(end - start) // changes.length))))
    for turn in turns:
        for onset, symbol in changes.rows:
            at = float(start + turn * changes.length + onset)
            rows[max(0.0, at)] = symbol
    return tuple(row for row in rows.items() if row[0] < end)


def follow_changes(piece, rows):
    """Return the three shares of a piece over (onset, symbol) rows, by name."""
    cells, numbers = group_notes(piece)
    at, pitches = cells[numbers], piece.notes["pitch"].astype(int)
    bass, tones = tell_chords(rows, at).T
    hit, known = tones >> pitches % 12 & 1, tones > 0
    weights = np.minimum(piece.notes["duration"], 4) * known
    strong = lines = GRID * piece.bars()
    if piece.metre[0] % 2 == 0:
        strong = np.append(lines, (lines[1:] + lines[:-1]) / 2)
    on_beat = np.abs(np.subtract.outer(at, strong)).min(1) <= 1
    strong, found = hit[on_beat & known], []
    for onset, symbol in rows:
        near = (np.abs(at - onset * GRID) <= 2) & (pitches < 60)
        if near.any() and (told := read_chord(symbol)):
            found.append(pitches[near].min() % 12 == told[0])
    return {"chord_tones": (hit * weights).sum() / max(weights.sum(), 1e-9),
            "chord_tones_strong": strong.mean() if len(strong) else np.nan,
            "bass_on_root": np.mean(found) if found else np.nan}


# %% tags=["active-ipynb"]
# pieces = list(filter(find_changes, training_pieces))
# rows = list(map(find_changes, pieces))
# pairs = {"over its own changes": rows, "over the next piece's": rows[1:] + rows[:1]}
# pd.DataFrame({name: pd.DataFrame(map(follow_changes, pieces, changes)).mean()
#               for name, changes in pairs.items()}).round(3)

# %% [markdown]
# The first column says how closely real pieces follow their changes, the second what
# chance gives. The network of
# the next section hears the chord of each event in two fifths of what it learns from, and
# nothing in the rest, so that it writes with changes and without.
