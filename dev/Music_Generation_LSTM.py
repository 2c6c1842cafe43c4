# ---
# jupyter:
#   jupytext:
#     formats: ipynb,dev//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Jazz Piano Music Generation Using LSTM
#
# This notebook reads jazz piano from MIDI files, turns it into integers, trains the
# stacked Keras LSTM of the published project under 10-fold cross-validation, lets it
# write music, measures that music against pieces that no model has heard, and exports
# it as MIDI. Everything happens in the cells below, and every cell may be changed.
#
# **What comes out.** The published recipe, built to the letter, predicts unseen jazz no
# better than a table that counts how often each note occurs; a table of which note
# follows which does better. A second network, *expressive*, reads and writes rhythm and
# touch as well as notes, can be asked for a mood, and goes on from any MIDI file.
# Section 8 shows it in numbers, section 10 in music, section 13 sums it up. In section
# 10 each number stands beside its floor: what real music scores against other real
# music.
#
# **Running it.** Put MIDI files of your own into `jazz_sample_files/` and
# `Validation_samples/`, or keep the forty pieces that are there, and run all cells. On
# two CPU cores without a GPU the whole notebook takes about a quarter of an hour, with
# `QUICK_RUN = True` a minute or two. Results that are finished are kept in `outputs/`,
# so that a second run takes about a minute and one that was cut short goes on where it
# stopped.
#
# | § | question |
# | --- | --- |
# | [1 Setup](#1-Setup) | On what does it run? |
# | [2 Configuration](#2-Configuration) | What may I change? |
# | [3 Corpus](#3-Corpus) | What music is there? |
# | [4 Encoding](#4-Encoding) | Does music survive as integers? |
# | [5 Folds](#5-Folds) | Which pieces are unseen? |
# | [6 Baselines](#6-Baselines) | How far does one get without a network? |
# | [7 Models](#7-Models) | What is trained? |
# | [8 Cross-validation](#8-Cross-validation) | How well does it predict unseen pieces? |
# | [9 Generation](#9-Generation) | What does it write? |
# | [10 Evaluation](#10-Evaluation) | Is it like the music it never heard? |
# | [11 Listen, look, play](#11-Listen,-look,-play) | Can I hear it? |
# | [12 Export](#12-Export) | Where is my music? |
# | [13 Conclusions](#13-Conclusions) | What was learnt? |

# %% [markdown]
# ## 1 Setup
#
# **On what does it run?** The packages of `requirements.txt` and Python 3.11 or newer.
# TensorFlow is told to be quiet, and to work each sum out on one thread: folds are
# trained side by side in processes of their own, which uses the cores better than one
# fold on all of them, and gives the same numbers on any number of cores.

# %%
import ast
import asyncio
import base64
import copy
import hashlib
import html
import importlib.metadata
import importlib.util
import inspect
import io
import itertools
import json
import math
import os
import platform
import random
import re
import tempfile
import time
import warnings
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import lru_cache, partial
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

# %%
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # less memory in the folds' processes

import ipywidgets as widgets
import joblib
import keras
import matplotlib.pyplot as plt
import music21
import numpy as np
import pandas as pd
import psutil
import scipy.io.wavfile
import sklearn
import tensorflow as tf
from IPython.display import HTML, Markdown, display
from music21.midi import ChannelVoiceMessages, MetaEvents
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedGroupKFold
from tqdm import tqdm


# %%
def describe_environment():
    """Return the versions and the hardware that this run uses, one a row."""
    packages = (music21, tf, keras, np, scipy, sklearn, pd, joblib)
    rows = {package.__name__: package.__version__ for package in packages}
    gpus = tf.config.list_physical_devices("GPU")
    rows["Python"] = platform.python_version()
    rows["system"] = f"{platform.system()} {platform.machine()}"
    rows["cores"] = psutil.cpu_count()
    rows["memory, GiB"] = round(psutil.virtual_memory().total / 2**30)
    rows["GPUs"] = ", ".join(gpu.name for gpu in gpus) or "none"
    rows["threads a process"] = os.environ["TF_NUM_INTRAOP_THREADS"]
    return pd.DataFrame({"": rows})


# %% [markdown]
# The notebook can also be served as a web page (section 11). There, cells that only
# define something run, and those that begin with the words *needed by the page*.

# %%
AS_PAGE = "VOILA_PREHEAT" in os.environ  # which Voilà sets


def keep_for_page(lines):
    """Return the lines of a cell that a page needs, or none."""
    if lines and lines[0].strip() == "# needed by the page":
        return lines
    passive = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    try:
        nodes = ast.parse("".join(lines)).body
    except SyntaxError:  # a magic command
        return []
    needed = all(
        isinstance(node, passive)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper())
        for node in nodes
    )
    return lines if needed else []


# %% tags=["active-ipynb"]
# if AS_PAGE:
#     get_ipython().input_transformers_cleanup.append(keep_for_page)

# %% tags=["active-ipynb"]
# RUN_STARTED = time.perf_counter()
# describe_environment()

# %% [markdown]
# Every plot uses one style, two sizes and one colour a role throughout: blue is real
# music, orange is generated, the others are grey, green and purple. The palette (Okabe
# and Ito's) can be told apart by colour-blind readers.

# %%
WIDE, TALL = (10, 3.2), (10, 6.4)
REAL, GENERATED, BASELINE = "#0072B2", "#D55E00", "#7F7F7F"
SECOND, THIRD = "#009E73", "#CC79A7"
PLOT_STYLE = {
    "figure.figsize": WIDE,
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.titlesize": 11,
    "font.size": 10,
    "legend.frameon": False,
}

# %% tags=["active-ipynb"]
# # needed by the page
# plt.rcParams.update(PLOT_STYLE)
# pd.set_option("display.html.use_mathjax", False)  # names of files are no formulas
# pd.set_option("display.max_colwidth", 80)

# %% [markdown]
# ## 2 Configuration
#
# **What may I change?** Everything in the next cell. The comment says from which section
# to run on after a change.

# %% tags=["parameters"]
QUICK_RUN = False  # True: a minute's work, to try things out (from 2)
# Files
TRAINING_FOLDER = "jazz_sample_files"  # MIDI files to learn from (from 3)
VALIDATION_FOLDER = "Validation_samples"  # MIDI files to compare with (from 3)
OUTPUT_FOLDER = "outputs"  # where results go (from 3)
# Encoding
SEQUENCE_LENGTH = 40  # events that a model sees before it predicts (from 4)
VOCABULARY_SIZE = 548  # 88 single notes, the rest chords (from 4)
GRID = 12  # cells a quarter note, a multiple of 12: triplets, sixteenths (from 3)
# Training
FOLDS = 10  # parts of the training pieces, each held out once (from 5)
MODELS = ("published", "expressive")  # and "transformer": networks to train (from 8)
TRAINING_MODE = "every_step"  # or "last_step", as published and much slower (from 8)
EPOCHS = 40  # of the published network, at most (from 8)
PATIENCE = 5  # epochs without improvement before training stops (from 8)
BATCH_SIZE = 256  # windows an update, a quarter with every_step (from 8)
LEARNING_RATE = 0.01  # of Adamax, for the published network (from 8)
EXPRESSIVE_EPOCHS = 28  # of the final expressive model (from 8)
EXPRESSIVE_FOLD_EPOCHS = 12  # of the expressive model in each fold (from 8)
WORKERS = 0  # processes side by side; 0: as cores and memory allow (from 3)
SEED = 2024  # of every random choice (from 5)
# Generation
LONGEST_COPY = 0  # events in a row that may stand in a training piece; 0: any (from 8)
TEMPERATURE = 1.0  # below 1 safer, above 1 wilder (from 8)
TOP_P = 1.0  # draw from the likeliest tokens with this total probability (from 8)
TOP_K = 0  # draw from so many likeliest tokens; 0: from all (from 8)
GENERATED_PIECES = 20  # pieces a model writes for the evaluation (from 9)
GENERATED_EVENTS = 400  # events a piece, one a token (from 8)
FLOOR_REPEATS = 200  # real-versus-real comparisons for each floor (from 10)

# %%
PARAMETER_NAMES = (
    "QUICK_RUN",
    "TRAINING_FOLDER",
    "VALIDATION_FOLDER",
    "OUTPUT_FOLDER",
    "SEQUENCE_LENGTH",
    "VOCABULARY_SIZE",
    "GRID",
    "FOLDS",
    "MODELS",
    "TRAINING_MODE",
    "EPOCHS",
    "PATIENCE",
    "BATCH_SIZE",
    "LEARNING_RATE",
    "EXPRESSIVE_EPOCHS",
    "EXPRESSIVE_FOLD_EPOCHS",
    "WORKERS",
    "SEED",
    "LONGEST_COPY",
    "TEMPERATURE",
    "TOP_P",
    "TOP_K",
    "GENERATED_PIECES",
    "GENERATED_EVENTS",
    "FLOOR_REPEATS",
)


# %% [markdown]
# `QUICK_RUN` replaces the costly settings by small ones. Its numbers say that the
# notebook works, nothing about music; the tables say which kind of run they come from. A
# setting that makes no sense, and any other mistake that you can mend, is told in one
# sentence.


# %%
class NotebookError(Exception):
    """A mistake that the reader can mend, shown as one sentence without a traceback."""

    def _render_traceback_(self):
        """Return what IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


# %%
RANGES = {"TEMPERATURE": (0.01, 100), "TOP_P": (1e-6, 1), "LEARNING_RATE": (1e-9, 10)}
LEAST = {"WORKERS": 0, "SEED": 0, "TOP_K": 0, "LONGEST_COPY": 0, "VOCABULARY_SIZE": 88}
MOST = {"SEED": 10**6, "GRID": 96, "VOCABULARY_SIZE": 6000}
NO_COUNTS = ("MODELS", "TRAINING_MODE", *RANGES)


def check_models(names, known):
    """Raise NotebookError unless names are one or more of those known, each once."""
    named = (
        isinstance(names, (tuple, list)) and names and all(n in known for n in names)
    )
    if not named or len(set(names)) < len(names):
        raise NotebookError(f"MODELS must name one or more of {known}, each once.")


# %%
def check_settings(settings, models):
    """Raise NotebookError where a setting of section 2 makes no sense."""
    if not isinstance(settings["QUICK_RUN"], bool):
        raise NotebookError("QUICK_RUN must be True or False.")
    for name in PARAMETER_NAMES[1:4]:
        if not (settings[name] and isinstance(settings[name], (str, Path))):
            raise NotebookError(f"{name} must be the name of a folder, in quotes.")
    for name in (each for each in PARAMETER_NAMES[4:] if each not in NO_COUNTS):
        least, most = LEAST.get(name, 1), MOST.get(name, 10**9)
        if type(settings[name]) is not int or not least <= settings[name] <= most:
            raise NotebookError(f"{name} must be a whole number, {least} to {most:,}.")
    for name, (least, most) in RANGES.items():
        if not (isinstance(settings[name], Real) and least <= settings[name] <= most):
            raise NotebookError(f"{name} must be a number from {least:g} to {most}.")
    if settings["GRID"] % 12:
        raise NotebookError("GRID must be a multiple of 12: 12, 24, 36 …")
    check_models(settings["MODELS"], sorted(models))
    if settings["TRAINING_MODE"] not in ("every_step", "last_step"):
        raise NotebookError('TRAINING_MODE must be "every_step" or "last_step".')


# %% tags=["active-ipynb"]
# given = {name: globals()[name] for name in PARAMETER_NAMES}
# check_settings(given, models=("published", "expressive", "transformer"))
# if QUICK_RUN:
#     FOLDS, EPOCHS, PATIENCE = min(FOLDS, 2), min(EPOCHS, 1), 1
#     EXPRESSIVE_EPOCHS, EXPRESSIVE_FOLD_EPOCHS = 1, 1
#     GENERATED_PIECES, GENERATED_EVENTS = 3, 100
#     FLOOR_REPEATS = 4
# RUN_KIND = "quick" if QUICK_RUN else "full"
# random.seed(SEED)
# keras.utils.set_random_seed(SEED)
# settings = {name: globals()[name] for name in (*PARAMETER_NAMES, "RUN_KIND")}
# pd.DataFrame({"value": settings})

# %% [markdown]
# ### Files that are whole or absent
#
# Whatever this notebook keeps is written beside its place and then moved there in one
# step, so that a power cut leaves either the old file or the new one. Cached files begin
# with a checksum; a damaged one is named and made again. A cache is looked up by a
# *fingerprint* of everything that its content depends on: the data, the settings and the
# source code of the functions that made it, and the versions of the packages. Change a
# cell, and its results are made anew.


# %%
def write_whole(path, data):
    """Write bytes to a path so that the file is there whole or not at all."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def cannot_write(path, error):
    """Return the error that says why a file cannot be written and what to do."""
    return NotebookError(
        f"Cannot write {path} ({error.strerror}): free some space or make the folder "
        "writable, or choose another OUTPUT_FOLDER, then run the cell again."
    )


# %%
def store(path, payload):
    """Keep bytes in a cache file behind their checksum."""
    write_whole(path, hashlib.sha256(payload).hexdigest().encode() + payload)


def fetch(path):
    """Return the bytes of a cache file, or None where it is missing or damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    checksum, payload = content[:64], content[64:]
    if hashlib.sha256(payload).hexdigest().encode() == checksum:
        return payload
    print(f"The cached file {path} is damaged; it is made again.")
    return None


# %%
def source_parts(function, seen):
    """Yield the source of a function and of all that it uses of this notebook."""
    if function.__qualname__ in seen:
        return
    seen.add(function.__qualname__)
    try:
        yield inspect.getsource(function)
    except OSError:
        return  # made by Python itself, as a dataclass's methods are
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [part for part in code.co_consts if inspect.iscode(part)]
        for name in sorted(code.co_names):
            used = function.__globals__.get(name)
            if inspect.isfunction(used) and used.__module__ == function.__module__:
                yield from source_parts(used, seen)
            elif inspect.isclass(used) and used.__module__ == function.__module__:
                yield from class_parts(used, seen)
            elif name.isupper():
                yield from constant_parts(name, used, function.__module__, seen)


# %%
def class_parts(used, seen):
    """Yield the source of the methods of a class and of those that it builds on."""
    for owner in used.__mro__:
        for member in (
            vars(owner).values() if owner.__module__ == used.__module__ else ()
        ):
            if inspect.isfunction(member):
                yield from source_parts(member, seen)


def constant_parts(name, value, module, seen):
    """Yield a constant as text, and the source of the functions that it holds."""
    yield name + json.dumps(value, default=name_of)
    parts = list(value.values()) if isinstance(value, dict) else [value]
    while parts:
        part = parts.pop()
        parts += part if isinstance(part, (list, tuple)) else []
        if inspect.isfunction(part) and part.__module__ == module:
            yield from source_parts(part, seen)


# %%
def name_of(value):
    """Return a value's name, or else its text: the same in every run."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return getattr(value, "__qualname__", repr(value))


def value_bytes(value):
    """Return bytes that stand for a value and no other, the same in every run."""
    if inspect.isfunction(value):
        return "\n".join(source_parts(value, set())).encode()
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, Piece):
        return value_bytes((value.name, value.tempo, value.notes))
    if isinstance(value, (list, tuple)):
        parts = [value_bytes(part) for part in value]
        return b"".join(b"%d:" % len(part) + part for part in parts)
    return repr(value).encode()


# %%
def list_versions():
    """Return the versions that decide over numbers; "" for what is not installed."""
    versions = {"Python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "music21"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


VERSIONS = list_versions()


def fingerprint(*values):
    """Return a hash of functions (and all they use), pieces, arrays and settings."""
    return hashlib.sha256(value_bytes((VERSIONS, *values))).hexdigest()[:32]


# %% [markdown]
# ## 3 Corpus
#
# **What music is there?** A *note* has an onset and a duration in quarter notes, a pitch
# as MIDI number (middle C is 60) and a velocity, the force of its stroke (1–127). A
# *piece* is a name, its notes and its tempo.


# %%
class Note(NamedTuple):
    """One note of a piano; onset and duration in quarter lengths."""

    onset: float
    duration: float
    pitch: int
    velocity: int


NOTE = np.dtype(
    [("onset", "f8"), ("duration", "f8"), ("pitch", "i2"), ("velocity", "i2")]
)


class SharedRun(NamedTuple):
    """The longest row of events that a piece shares with a training piece."""

    events: int = 0
    piece: str = ""  # the training piece
    bar: int = 0  # where the row begins there


# %%
@dataclass(frozen=True)
class Piece:
    """A named piece: `notes` is an array of NOTE, sorted by onset and pitch."""

    name: str
    notes: np.ndarray
    tempo: float  # mean quarter notes a minute
    metre: tuple = (4, 4)  # the first time signature
    remarks: str = ""  # what a reader should know: notes left out, loops resampled
    shared: SharedRun = SharedRun()  # of a generated piece
    settings: str = ""  # with which it was generated


def make_piece(name, notes, tempo=120.0, **details):
    """Return a piece from any sequence of notes, put in order."""
    notes = np.array([tuple(note) for note in notes], dtype=NOTE)
    return Piece(name, np.sort(notes, order=("onset", "pitch")), tempo, **details)


# %% [markdown]
# ### Reading MIDI
#
# music21 reads every message. What it does slowly, building a score of Python objects,
# is left out: note-ons and note-offs are paired here. First the file is taken apart into
# tracks. Junk before the header (a RIFF wrapper, say), foreign chunks and wrong track
# counts do no harm; what cannot be saved gets a reason that a musician understands.

# %%
LONGEST_QUARTERS = 4_000_000  # quarter notes from the start to the last note
LARGEST_FILE = 10**6  # bytes; an hour of piano takes less


class MidiFileError(NotebookError):
    """A MIDI file that cannot be used, with the reason."""


def split_file(data):
    """Return the ticks a quarter note and the bytes of each track of a MIDI file."""
    start = data.find(b"MThd")
    if not data:
        raise MidiFileError("empty: the file has no bytes")
    if start < 0:
        raise MidiFileError("not a MIDI file: it has no MThd header")
    header = data[start + 4 : start + 14]
    if len(header) < 10:
        raise MidiFileError("truncated: the file ends within its header")
    length, kind, division = (
        int.from_bytes(header[i:j], "big") for i, j in ((0, 4), (4, 6), (8, 10))
    )
    if kind > 1:
        what = "independent patterns, not one piece" if kind == 2 else "unknown"
        raise MidiFileError(f"MIDI format {kind} ({what}); save it as format 0 or 1")
    if division & 0x8000 or not division:
        what = "SMPTE time (seconds, not beats)" if division else "no ticks a beat"
        raise MidiFileError(f"{what}; save it with ticks a quarter note")
    return division, split_tracks(data, start + 8 + length)


# %%
def split_tracks(data, position):
    """Return the bytes of each MTrk chunk from a position on."""
    tracks = []
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], data[position + 4 : position + 8]
        end = position + 8 + int.from_bytes(length, "big")
        if kind == b"MTrk":
            tracks.append(data[position + 8 : end])
            if end > len(data) and b"\xff\x2f" not in tracks[-1][-4:]:
                raise MidiFileError(f"truncated: {end - len(data)} bytes are missing")
        position = end
    if not tracks:
        raise MidiFileError("no notes: no track follows the header")
    return tracks


# %% [markdown]
# A track is a list of waiting times and messages. A message may leave out its first byte
# where the last one's would be the same (*running status*). Bytes above 127 where data
# must stand are clipped. Each message then goes to music21 by itself, so that the time
# grows with the length of the file and no faster.

# %%
DATA_BYTES = {
    0x80: 2,
    0x90: 2,
    0xA0: 2,
    0xB0: 2,
    0xC0: 1,
    0xD0: 1,
    0xE0: 2,
    0xF1: 1,
    0xF2: 2,
    0xF3: 1,
}  # by status; system messages without: 0


def read_number(data, position):
    """Return a variable-length number and the position behind it."""
    try:
        number, rest = music21.midi.base.getVariableLengthNumber(
            data[position : position + 4]
        )
    except IndexError:
        if position + 4 > len(data):
            return 0, len(data)
        raise MidiFileError(
            f"damaged: no time can be read at byte {position}"
        ) from None
    return number, min(position + 4, len(data)) - len(rest)


# %%
def split_messages(track):
    """Yield (tick, message) for each whole message of a track, status byte included."""
    tick = position = running = 0
    while position < len(track):
        wait, position = read_number(track, position)
        tick += wait
        status = track[position] if position < len(track) else 0xFE
        position += status >= 0x80
        if status in (0xF0, 0xF7, 0xFF):
            start = position - 1
            length, position = read_number(track, position + (status == 0xFF))
            position += length
            message = track[start:position]
        else:
            if status >= 0xF8:
                continue  # a clock or the like, which may stand anywhere
            running = running if status < 0x80 else status
            kind = running if running >= 0xF0 else running & 0xF0
            if not kind:
                raise MidiFileError("damaged: a track begins with no message")
            values = track[position : position + DATA_BYTES.get(kind, 0)]
            position += DATA_BYTES.get(kind, 0)
            message = bytes([running, *(min(value, 127) for value in values)])
        if position <= len(track):
            yield tick, message


# %%
SYSTEM_MESSAGES = frozenset(range(0xF1, 0xF7))


def read_events(tracks):
    """Return (tick, track, music21 event) of all tracks' messages, in order of time."""
    events = []
    for number, track in enumerate(tracks):
        for tick, message in split_messages(track):
            if message[0] in SYSTEM_MESSAGES or len(message) < 2:
                continue
            event = music21.midi.MidiEvent()
            try:
                event.read(message)
            except (music21.midi.MidiException, IndexError, ValueError):
                continue  # a message cut short by damage: the notes around it count
            events.append((tick, number, event))
    return sorted(events, key=lambda row: row[0])


# %% [markdown]
# A key that is struck sounds until it is released, and with the sustain pedal down until
# the pedal comes up or the key is struck again. Sixteen channels may each play another
# instrument: programs 0–7 are pianos, channel 10 is the drums.

# %%
SUSTAIN_PEDAL, DRUM_CHANNEL, PIANO_PROGRAMS = 64, 10, range(8)
ALL_OFF = (
    music21.midi.ChannelModeMessages.ALL_NOTES_OFF,
    music21.midi.ChannelModeMessages.ALL_SOUND_OFF,
)


class Keys:
    """The keys of all channels: what sounds, and what was played."""

    def __init__(self):
        self.sounding, self.programs, self.held, self.struck_again = {}, {}, set(), {}
        self.played = []  # rows: onset and end in ticks, pitch, velocity, instrument

    def strike(self, tick, track, channel, pitch, velocity):
        """Begin a note, ending one that this key still sounds."""
        if (channel, pitch) in self.sounding:
            self.struck_again[channel, pitch] = tick
        self.silence((channel, pitch), tick)
        program = self.programs.get((track, channel), self.programs.get(channel, 0))
        instrument = -1 if channel == DRUM_CHANNEL else program
        self.sounding[channel, pitch] = (tick, pitch, velocity, instrument)

    def silence(self, key, tick):
        """End what a key sounds, if anything."""
        self.held.discard(key)
        if key in self.sounding:
            onset, pitch, velocity, instrument = self.sounding.pop(key)
            self.played.append((onset, tick, pitch, velocity, instrument))


# %%
class Keyboard(Keys):
    """The keys of all channels, with sustain pedals."""

    def __init__(self):
        super().__init__()
        self.pedals = set()

    def release(self, tick, channel, pitch):
        """End a note, or leave it to the pedal."""
        if self.struck_again.pop((channel, pitch), None) == tick:
            return  # this ends the note that the new one has ended already
        if channel in self.pedals:
            self.held.add((channel, pitch))
        else:
            self.silence((channel, pitch), tick)

    def move_pedal(self, tick, channel, down):
        """Press the sustain pedal or let it up, which ends the notes that it held."""
        self.pedals.add(channel) if down else self.pedals.discard(channel)
        for key in [key for key in self.held if key[0] == channel and not down]:
            self.silence(key, tick)


# %%
def play_events(events):
    """Return the rows of `Keyboard.played` that a list of events leads to."""
    keyboard = Keyboard()
    for tick, track, event in events:
        channel, kind = event.channel, event.type
        if kind == ChannelVoiceMessages.NOTE_ON and event.velocity:
            keyboard.strike(tick, track, channel, event.pitch, event.velocity)
        elif kind in (ChannelVoiceMessages.NOTE_ON, ChannelVoiceMessages.NOTE_OFF):
            keyboard.release(tick, channel, event.pitch)
        elif kind == ChannelVoiceMessages.PROGRAM_CHANGE:
            keyboard.programs[channel] = keyboard.programs[track, channel] = event.data
        elif kind == ChannelVoiceMessages.CONTROLLER_CHANGE:
            if event.parameter1 == SUSTAIN_PEDAL:
                keyboard.move_pedal(tick, channel, event.parameter2 >= 64)
        elif kind in ALL_OFF:
            for key in [key for key in keyboard.sounding if key[0] == channel]:
                keyboard.silence(key, tick)
    last = events[-1][0] if events else 0
    for key in list(keyboard.sounding):
        keyboard.silence(key, last)
    return keyboard.played


# %% [markdown]
# What remains are the piano's notes on its 88 keys. Two notes that begin together on one
# key are one note. The tempo is the mean over the piece, so that a performance with many
# tempo changes keeps its length in seconds.

# %%
LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # the 88 keys
PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1
PLAYED = np.dtype(
    [
        ("onset", "i8"),
        ("end", "i8"),
        ("pitch", "i2"),
        ("velocity", "i2"),
        ("instrument", "i2"),
    ]
)


# %%
def keep_piano(played):
    """Return the piano's notes of PLAYED rows, and remarks on what was left out."""
    pitched = played["instrument"] >= 0
    piano = np.isin(played["instrument"], PIANO_PROGRAMS)
    without_piano = not piano.any()
    piano = pitched if without_piano else piano
    on_keys = (played["pitch"] >= LOWEST_PITCH) & (played["pitch"] <= HIGHEST_PITCH)
    kept = np.sort(played[piano & on_keys], order=("onset", "pitch", "end"))[::-1]
    _, first = np.unique(kept[["onset", "pitch"]], return_index=True)
    counts = {
        "drums": np.sum(~pitched),
        "other instruments": np.sum(pitched & ~piano),
        "beyond the 88 keys": np.sum(piano & ~on_keys),
        "struck twice at once": len(kept) - len(first),
    }
    left_out = [f"{what}: {count}" for what, count in counts.items() if count]
    remarks = ["no piano: another instrument is read as one"] * without_piano
    remarks += ["notes left out (" + ", ".join(left_out) + ")"] * bool(left_out)
    return kept[first], "; ".join(remarks)


# %%
def read_tempo(events, ticks_per_quarter, end):
    """Return the mean tempo up to a tick, in quarter notes a minute."""
    changes = [
        (tick, int.from_bytes(event.data[:3], "big"))
        for tick, _, event in events
        if event.type == MetaEvents.SET_TEMPO and len(event.data) >= 3
    ]
    changes = [(0, 500_000), *(change for change in changes if change[1]), (end, 0)]
    ticks = np.minimum([tick for tick, _ in changes], end)
    microseconds = np.diff(ticks) @ np.array([value for _, value in changes[:-1]])
    minutes = microseconds / ticks_per_quarter / 60e6
    return round(float(end / ticks_per_quarter / minutes), 4) if minutes else 120.0


def read_metre(events):
    """Return the first time signature, (4, 4) where there is none."""
    for _, _, event in events:
        if event.type == MetaEvents.TIME_SIGNATURE and len(event.data) >= 2:
            return max(event.data[0], 1), 2 ** min(event.data[1], 6)
    return 4, 4


# %%
def readable(name):
    """Return a file's name as text that can be written anywhere."""
    return os.fsencode(name).decode("utf-8", "replace")


def read_file(path):
    """Return a MIDI file's bytes; raise MidiFileError if it cannot be read."""
    try:
        if os.path.getsize(path) > LARGEST_FILE:
            raise MidiFileError(
                f"larger than {LARGEST_FILE // 10**6} MB: no piano piece"
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise MidiFileError(f"cannot be opened: {error.strerror}") from None


def parse_midi(path):
    """Return the piece in a MIDI file; raise MidiFileError with the reason if none."""
    return parse_bytes(read_file(path), readable(Path(path).stem))


# %%
def parse_bytes(data, name):
    """Return the piece in a MIDI file's bytes."""
    ticks_per_quarter, tracks = split_file(data)
    events = read_events(tracks)
    played = np.array(play_events(events), dtype=PLAYED)
    if not len(played):
        raise MidiFileError("no notes")
    kept, remarks = keep_piano(played)
    if not len(kept):
        what = "only drums" if np.all(played["instrument"] < 0) else remarks
        raise MidiFileError(f"no notes for a piano: {what}")
    if kept["end"].max() / ticks_per_quarter > LONGEST_QUARTERS:
        raise MidiFileError("longer than a month: its times are damaged")
    notes = np.empty(len(kept), dtype=NOTE)
    notes["onset"] = kept["onset"] / ticks_per_quarter
    notes["duration"] = (kept["end"] - kept["onset"]) / ticks_per_quarter
    notes["pitch"], notes["velocity"] = kept["pitch"], kept["velocity"]
    tempo = read_tempo(events, ticks_per_quarter, int(kept["end"].max()))
    return Piece(name, notes, tempo, read_metre(events), remarks)


# %% [markdown]
# ### A folder of pieces
#
# A corpus is a folder, subfolders included. Parsed pieces are cached by the content of
# their file. A piece that stands in the corpus twice would be learnt from and tested on
# at once; the second copy is refused.

# %%
MIDI_ENDINGS = (".mid", ".midi", ".kar", ".rmi")
WORTH_PROCESSES = 100  # new files from which on starting processes pays


def find_midi_files(folder):
    """Return the paths of all MIDI files below a folder, in order of their names."""
    folder = Path(folder)
    if not folder.is_dir():
        raise NotebookError(
            f"There is no folder {folder}: make it beside the notebook and put MIDI "
            "files into it, or set TRAINING_FOLDER and VALIDATION_FOLDER in section 2."
        )
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in MIDI_ENDINGS and path.is_file()
    ]
    if not paths:
        raise NotebookError(
            f"The folder {folder} has no MIDI files ({', '.join(MIDI_ENDINGS)}"
            "): put some into it."
        )
    return paths


# %%
def freeze_piece(piece):
    """Return a piece as bytes."""
    details = [piece.name, piece.tempo, piece.metre, piece.remarks]
    return json.dumps(details).encode() + b"\n" + piece.notes.tobytes()


def thaw_piece(data):
    """Return the piece that `freeze_piece` made bytes of."""
    details, notes = data.split(b"\n", 1)
    name, tempo, metre, remarks = json.loads(details)
    return Piece(name, np.frombuffer(notes, NOTE).copy(), tempo, tuple(metre), remarks)


def parse_or_refuse(data, name):
    """Return the piece in bytes, or the MidiFileError that says why there is none."""
    try:
        return parse_bytes(data, name)
    except MidiFileError as error:
        return error


# %%
def show_progress(results, total, what):
    """Pass results on while a progress bar counts them."""
    return tqdm(results, what, total, leave=False, dynamic_ncols=True)


IDLE_SECONDS = 30  # without a job, until a process ends and its memory is free


def start_calls(calls, workers):
    """Start joblib's calls in processes side by side; return their results to come."""
    return joblib.Parallel(
        workers, return_as="generator_unordered", idle_worker_timeout=IDLE_SECONDS
    )(calls)


def wake_workers(workers):
    """Let processes that jobs will need start and load Keras; return at once."""
    if "DASK_SCHEDULER" not in os.environ:
        calls = [joblib.delayed(keras.backend.backend)()] * workers
        ThreadPoolExecutor(1).submit(list, start_calls(calls, workers))


# %%
def run_here(function, jobs, workers):
    """Yield (job number, result) of jobs as they end, run in processes side by side."""

    def numbered(number, job):
        return number, function(*job)

    calls = (joblib.delayed(numbered)(*job) for job in enumerate(jobs))
    with warnings.catch_warnings():  # a process that has grown is replaced: no harm
        warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        yield from start_calls(calls, workers)


def run_parallel(function, jobs, workers, what, anywhere=True):
    """Yield (job number, result) of jobs as they end.

    `anywhere`: on the Dask cluster of DASK_SCHEDULER, if that is set.
    """
    scheduler = os.environ.get("DASK_SCHEDULER") if jobs and anywhere else None
    if scheduler:
        results = run_on_cluster(function, jobs, scheduler)
    else:
        results = run_here(function, jobs, workers)
    yield from show_progress(results, len(jobs), what)


# %%
def choose_workers(requested, jobs, gibibytes=1.0):
    """Return how many processes to run: as asked, or as cores and memory allow."""
    room = int(psutil.virtual_memory().available / 2**30 / gibibytes)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    if tf.config.list_physical_devices("GPU"):
        room = 1  # one GPU serves one process best
    return max(1, min(requested or cores or psutil.cpu_count() or 1, room, jobs))


# %% [markdown]
# Folds, evaluations and files by the hundred go to a Dask cluster if the environment's
# `DASK_SCHEDULER` gives the address of its scheduler: several machines with the same
# versions, the same numbers. A job whose worker is lost goes to another one.


# %%
def find_package(name):
    """Return an optional package, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


# %%
SAME_EVERYWHERE = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
CLUSTER_WAIT = 10  # seconds for a scheduler to answer, and without any worker


def run_on_cluster(function, jobs, address):
    """Yield (job number, result) of jobs as they end, run by a Dask cluster."""
    dask = find_package("distributed")
    if not dask:
        raise NotebookError(
            "DASK_SCHEDULER is set: pip install distributed brings Dask, or unset it."
        )
    settings = {name: os.environ[name] for name in SAME_EVERYWHERE}
    with connect_cluster(dask, address) as client:
        check_workers(client)
        pack, futures = dask.protocol.pickle.dumps, {}
        pieces, jobs = share_pieces(jobs)
        pieces = client.submit(bytes, pack(pieces), pure=False)
        for number, job in enumerate(jobs):
            call = (work_alike, settings, pieces, pack((function, *job)))
            futures[client.submit(*call, pure=False)] = number
        try:
            yield from await_futures(client, futures)
        except (OSError, dask.CancelledError, dask.KilledWorker) as error:
            raise NotebookError(
                f"The Dask cluster {address} lost the work ({type(error).__name__}): "
                "what was finished is kept; mend it and run the cell again."
            ) from None


# %%
def share_pieces(jobs):
    """Return the pieces in jobs, each once, and the jobs without them.

    A job comes as its arguments, and the numbers of the pieces of those left out.
    """
    known, shared = {}, []
    for job in map(list, jobs):
        numbers = {}
        for place, value in enumerate(job):
            if isinstance(value, list) and all(isinstance(v, Piece) for v in value):
                found = [known.setdefault(id(v), (len(known), v)) for v in value]
                job[place], numbers[place] = None, [number for number, _ in found]
        shared.append((job, numbers))
    return [piece for _, piece in known.values()], shared


def work_alike(settings, pieces, packed):
    """Return a job's result, made by a worker with the asking machine's settings."""
    os.environ.update(settings)
    unpack = importlib.import_module("distributed").protocol.pickle.loads
    pieces, (function, job, left_out) = unpack(pieces), unpack(packed)
    for place, numbers in left_out.items():
        job[place] = [pieces[number] for number in numbers]
    return function(*job)


# %%
def await_futures(client, futures):
    """Yield (job number, result) as jobs end; TimeoutError if all workers are lost."""
    last, known = time.monotonic(), set(client.nthreads())
    while futures:
        for future in [future for future in futures if future.done()]:
            yield futures.pop(future), future.result()
        workers = set(client.nthreads())
        if workers - known:  # one came late
            check_workers(client)
            known |= workers
        if workers:
            last = time.monotonic()
        elif time.monotonic() - last > CLUSTER_WAIT:
            raise TimeoutError
        time.sleep(0.1)


# %%
def connect_cluster(dask, address):
    """Return a client of the Dask scheduler at an address, once it has a worker."""
    try:
        client = dask.Client(address, timeout=CLUSTER_WAIT, set_as_default=False)
    except (OSError, ValueError):
        raise NotebookError(
            f"No Dask scheduler answers at DASK_SCHEDULER={address}: start one (dask "
            "scheduler), or unset it to work on this machine."
        ) from None
    try:
        client.wait_for_workers(1, timeout=CLUSTER_WAIT)
    except TimeoutError:
        client.close()
        raise NotebookError(
            f"The Dask scheduler at {address} has no worker: start some (dask worker "
            f"{address} --nthreads 1), then run the cell again."
        ) from None
    return client


# %%
def check_workers(client):
    """Raise NotebookError unless all workers of a cluster are like this machine."""
    threads = client.nthreads()
    if set(threads.values()) != {1}:
        raise NotebookError(
            "Start each Dask worker with --nthreads 1: Keras trains one fold a process."
        )
    for place, found in client.run(list_versions, on_error="ignore").items():
        if found != VERSIONS:
            raise NotebookError(
                f"The Dask worker {place} has {found}, this machine {VERSIONS}: "
                "install the same versions."
            )
    print(f"The Dask cluster has {len(threads)} workers.")


# %%
def run_cached(function, jobs, cache_folder, what):
    """Return each job's result, plain data: finished ones from the cache, others made.

    `jobs`: tuples of arguments; missing ones run side by side and are kept as they end.
    """
    folder = Path(cache_folder) / what
    places = [folder / fingerprint(function, *job) for job in jobs]
    kept = [fetch(place) for place in places]
    missing = [number for number, data in enumerate(kept) if data is None]
    missing.reverse()  # networks stand last and take longest: they go first
    if len(missing) < len(jobs):
        print(f"{what}: {len(jobs) - len(missing)} of {len(jobs)} were there already.")
    todo = [jobs[number] for number in missing]
    workers = choose_workers(WORKERS, len(todo))
    for number, result in run_parallel(function, todo, workers, what):
        kept[missing[number]] = json.dumps(result).encode()
        store(places[missing[number]], kept[missing[number]])
    return [json.loads(data) for data in kept]


# %%
def load_pieces(paths, cache_folder):
    """Return each path's piece or MidiFileError, from the cache where it is there."""
    parser, results, new = fingerprint(parse_midi), {}, {}
    for path in paths:
        try:
            data = read_file(path)
        except MidiFileError as error:
            results[path] = error
            continue
        place = Path(cache_folder) / "pieces" / fingerprint(parser, path.stem, data)
        if frozen := fetch(place):
            results[path] = thaw_piece(frozen)
        else:
            new[path] = place, (data, readable(path.stem))
    names, many = list(new), len(new) > WORTH_PROCESSES
    workers = choose_workers(WORKERS, len(new)) if many else 1
    jobs = [job for _, job in new.values()]
    for number, result in run_parallel(parse_or_refuse, jobs, workers, "reading", many):
        results[names[number]] = result
        if isinstance(result, Piece):
            store(new[names[number]][0], freeze_piece(result))
    return [results[path] for path in paths]


# %%
def load_corpus(folder, split, cache_folder, known):
    """Return a folder's pieces and a table with a row a file, refused ones with reason.

    `known` maps the notes of pieces already read to their files; it is added to.
    """
    pieces, rows = [], []
    paths = find_midi_files(folder)
    for path, result in zip(paths, load_pieces(paths, cache_folder)):
        row = {"split": split, "file": readable(path.relative_to(folder).as_posix())}
        rows.append(row)
        if isinstance(result, Piece):
            place = f"{split}: {row['file']}"
            twin = known.setdefault(result.notes.tobytes(), place)
            if twin != place:
                result = MidiFileError(f"the same music as {twin}")
        if isinstance(result, Piece):
            pieces.append(result)
            row.update(status="used", reason=result.remarks, **describe_piece(result))
        else:
            row.update(status="refused", reason=str(result))
    if not pieces:
        raise NotebookError(
            f"None of the {len(rows)} MIDI files in {folder} can be used; the first: "
            f"{rows[0]['reason']}. Put others into it."
        )
    return pieces, pd.DataFrame(rows)


# %%
def describe_piece(piece):
    """Return the number of notes and events, the seconds and the tempo of a piece."""
    quarters = float(np.max(piece.notes["onset"] + piece.notes["duration"]))
    return {
        "notes": len(piece.notes),
        "events": len(group_notes(piece)[0]),
        "seconds": round(quarters * 60 / piece.tempo, 1),
        "tempo_bpm": round(piece.tempo, 1),
    }


def group_notes(piece):
    """Return the grid cells in which notes start, and each note's cell's number."""
    cells = np.rint(piece.notes["onset"] * GRID).astype(np.int64)
    return np.unique(cells, return_inverse=True)


# %%
def save_table(table, name):
    """Write a table to the outputs as CSV, whole or not at all, and return it."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_whole(Path(OUTPUT_FOLDER) / "tables" / f"{name}.csv", text.encode())
    return table


def figure_bytes(figure):
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure, name):
    """Write a figure to the outputs as PNG, whole or not at all."""
    path = Path(OUTPUT_FOLDER) / "figures" / f"{name}.png"
    write_whole(path, figure_bytes(figure))


# %% tags=["active-ipynb"]
# CACHE_FOLDER = Path(OUTPUT_FOLDER) / "cache"
# known_music = {}
# training_pieces, training_table = load_corpus(
#     TRAINING_FOLDER, "training", CACHE_FOLDER, known_music
# )
# validation_pieces, validation_table = load_corpus(
#     VALIDATION_FOLDER, "validation", CACHE_FOLDER, known_music
# )
# if QUICK_RUN:
#     training_pieces, validation_pieces = training_pieces[:4], validation_pieces[:4]
# corpus_table = save_table(pd.concat([training_table, validation_table]), "corpus")
# first_run = not (CACHE_FOLDER / "folds").exists()
# if first_run:  # section 8 will train: let its processes start now
#     wake_workers(choose_workers(WORKERS, len(training_pieces)))
# corpus_table

# %% [markdown]
# An *event* is what starts in one cell of a grid of 1/12 quarter notes: a note, or the
# notes of a chord. `reason` says what was left out of a file, or why it was refused;
# the run goes on without it.


# %%
def plain(text):
    """Return text from a file with Matplotlib's sign for maths escaped."""
    return str(text).replace("$", r"\$")


def plot_piano_roll(notes, ax, title, colour, until=None):
    """Draw NOTE rows on `ax`, louder notes darker; return `ax`.

    `until`: quarter lengths to show, all if None.
    """
    notes = notes if until is None else notes[notes["onset"] < until]
    shade = 0.25 + 0.75 * notes["velocity"] / 127
    ax.barh(
        notes["pitch"],
        np.maximum(notes["duration"], 1 / GRID),
        left=notes["onset"],
        height=0.9,
        color=[(*plt.matplotlib.colors.to_rgb(colour), a) for a in shade],
    )
    octaves = range(24, 109, 12)
    ax.set_yticks(octaves, [f"C{octave // 12 - 1}" for octave in octaves])
    ax.set(
        title=plain(title),
        xlabel="time, quarter notes",
        ylabel="pitch",
        ylim=(LOWEST_PITCH, HIGHEST_PITCH),
        xlim=(0, until),
    )
    return ax


# %% tags=["active-ipynb"]
# figure, ax = plt.subplots(figsize=WIDE)
# piece = training_pieces[0]
# title = f"{piece.name}: the first 32 quarter notes"
# plot_piano_roll(piece.notes, ax, title, REAL, until=32)
# save_figure(figure, "piano_roll_training")

# %% [markdown]
# Darker bars are louder. Held bars below are the left hand and what the pedal keeps.


# %%
def plot_share(ax, values, bins, label, colour, **style):
    """Draw the shares of values in bins as a line of steps on `ax`; return `ax`."""
    counts, _ = np.histogram(values, bins)
    ax.stairs(counts / max(counts.sum(), 1), bins, label=label, color=colour, **style)
    return ax


# %%
def plot_corpus(training_pieces, validation_pieces, axes):
    """Compare pitches, velocities and durations of two corpora on three axes."""
    panels = (
        ("pitch", np.arange(21, 110) - 0.5, "Pitches", "MIDI number"),
        ("velocity", np.arange(0, 129, 4), "Touch", "velocity"),
        ("duration", np.arange(0, 4.1, 0.125), "Durations, pedal included",
         "quarter notes (4 and more together)"),
    )  # fmt: skip
    for ax, (field, bins, title, label) in zip(axes, panels):
        for pieces, name, colour, line in (
            (training_pieces, "training", REAL, "-"),
            (validation_pieces, "validation", SECOND, "--"),
        ):
            values = np.concatenate([piece.notes[field] for piece in pieces])
            values = np.minimum(values, bins[-1])
            plot_share(ax, values, bins, name, colour, linestyle=line, linewidth=1.5)
        ax.set(title=title, xlabel=label, ylabel="share of notes")
    axes[0].legend()
    return axes


# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(1, 3, figsize=WIDE)
# plot_corpus(training_pieces, validation_pieces, axes)
# save_figure(figure, "corpus")

# %% [markdown]
# The two folders should look alike, but for single pitches, which depend on the keys:
# what is learnt from the one is tested on the other.

# %% [markdown]
# ## 4 Encoding
#
# **Does music survive as integers?** Notes that start in one grid cell form an event. Its
# *token* names its exact pitches: a single note, or a chord with its voicing, not its
# letter name. Three more numbers say when and how: the *step* counts grid cells since the
# event before, *duration* and *velocity* are bins.
#
# The *vocabulary* holds all 88 single notes and the most frequent chords. A chord outside
# it is spelled as several events: the largest known chords in it and what is left, from
# the bass up, with step 0 between them. So there is no unknown token: every piece can be
# encoded, and comes back with each onset and pitch in place. Models count these events;
# the tables of music, in sections 3 and 10, count once what starts together.

# %%
EVENT = np.dtype(
    [("token", "i2"), ("step", "i4"), ("duration", "i2"), ("velocity", "i2")]
)

# %%
# fmt: off
DURATIONS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32, 36,
                      42, 48, 60, 72, 96, 120, 144, 192]) * GRID // 12  # grid cells
# fmt: on
DURATION_EDGES = np.sqrt(DURATIONS[:-1] * DURATIONS[1:]).tolist()  # nearest by ratio
VELOCITY_WIDTH = 8
LARGEST_VOCABULARY = 6000  # five tokens still fit into one 64-bit number
BAR = 4 * GRID  # cells of a 4/4 bar
LONGEST_STEP = BAR  # cells; the models treat longer rests alike
STREAM_SIZES = {
    "step": LONGEST_STEP + 1,
    "duration": len(DURATIONS),
    "velocity": 128 // VELOCITY_WIDTH,
}  # beside the token, whose size is the vocabulary's


# %%
class Vocabulary:
    """What tokens stand for: `chords[token]` is a tuple of pitches."""

    def __init__(self, chords):
        self.chords = tuple(tuple(int(pitch) for pitch in chord) for chord in chords)
        self.tokens = {chord: token for token, chord in enumerate(self.chords)}
        self.from_bass = {}  # chords by their lowest pitch
        for token, chord in enumerate(self.chords):
            if len(chord) > 1:
                row = (len(chord), -token, sum(1 << pitch for pitch in chord), token)
                self.from_bass.setdefault(chord[0], []).append(row)
        self.spellings = {}

    def __len__(self):
        return len(self.chords)

    def spell(self, pitches):
        """Return the tokens that together sound some pitches, from low to high."""
        if pitches in self.tokens:
            return (self.tokens[pitches],)
        if pitches not in self.spellings:
            self.spellings[pitches] = take_apart(pitches, self)
        return self.spellings[pitches]


# %%
def take_apart(pitches, vocabulary):
    """Return the tokens of the largest known chords in a group, then of its notes."""
    rest, tokens = sum(1 << pitch for pitch in pitches), []
    known = [row for pitch in pitches for row in vocabulary.from_bass.get(pitch, ())]
    for _, _, mask, token in sorted(known, reverse=True):
        if mask & ~rest == 0:
            tokens.append(token)
            rest &= ~mask
    tokens += [vocabulary.tokens[pitch,] for pitch in pitches if rest >> pitch & 1]
    return tuple(sorted(tokens, key=lambda token: vocabulary.chords[token]))


# %%
def list_groups(piece):
    """Yield (cell, {pitch: (duration, velocity)}), low to high, where notes start."""
    cells, numbers = group_notes(piece)
    order = np.lexsort((piece.notes["pitch"], numbers))
    rows = zip(numbers[order].tolist(), piece.notes[order].tolist())
    for number, group in itertools.groupby(rows, key=lambda row: row[0]):
        sounds = {
            pitch: (duration, velocity) for _, (_, duration, pitch, velocity) in group
        }
        yield int(cells[number]), sounds


def build_vocabulary(pieces, size):
    """Return the vocabulary of the 88 notes and the pieces' most frequent chords."""
    singles = [(pitch,) for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1)]
    if not PITCHES <= size <= LARGEST_VOCABULARY:
        raise NotebookError(
            f"VOCABULARY_SIZE is {size}: set it between {PITCHES} (the single notes) "
            f"and {LARGEST_VOCABULARY}."
        )
    counts = Counter(
        tuple(group) for piece in pieces for _, group in list_groups(piece)
    )
    chords = [(-count, chord) for chord, count in counts.items() if len(chord) > 1]
    return Vocabulary(
        singles + [chord for _, chord in sorted(chords)[: size - PITCHES]]
    )


# %%
def encode(piece, vocabulary):
    """Return a piece's events: an array of EVENT, one row a token."""
    events, last = [], 0
    for cell, group in list_groups(piece):
        for token in vocabulary.spell(tuple(group)):
            durations, velocities = zip(*(group[p] for p in vocabulary.chords[token]))
            cells = max(sorted(durations)[len(durations) // 2] * GRID, 1)
            velocity = round(sum(velocities) / len(velocities)) // VELOCITY_WIDTH
            events.append((token, cell - last, bisect(DURATION_EDGES, cells), velocity))
            last = cell
    return np.array(events, dtype=EVENT)


def decode(sequence, vocabulary):
    """Return the notes, an array of NOTE, that a sequence of events stands for."""
    onsets = np.cumsum(sequence["step"], dtype=np.int64) / GRID
    durations = DURATIONS[sequence["duration"]] / GRID
    velocities = sequence["velocity"] * VELOCITY_WIDTH + VELOCITY_WIDTH // 2
    rows = zip(onsets, durations, velocities, sequence["token"])
    notes = np.array(
        [
            (onset, duration, pitch, velocity)
            for onset, duration, velocity, token in rows
            for pitch in vocabulary.chords[token]
        ],
        dtype=NOTE,
    )
    return release_keys(notes)


# %%
def release_keys(notes):
    """Return notes cut where their key is struck again, none struck twice at once."""
    order = np.lexsort((notes["onset"], notes["pitch"]))
    ordered = notes[order]
    same_key = ordered["pitch"][1:] == ordered["pitch"][:-1]
    room = np.append(np.where(same_key, np.diff(ordered["onset"]), np.inf), np.inf)
    ordered["duration"] = np.minimum(ordered["duration"], room[: len(notes)])
    return np.sort(ordered[room[: len(notes)] > 0], order=("onset", "pitch"))


def transpose(piece, semitones):
    """Return a piece some semitones higher; notes beyond the keys move by an octave."""
    notes = piece.notes.copy()
    notes["pitch"] += semitones
    notes["pitch"][notes["pitch"] > HIGHEST_PITCH] -= 12
    notes["pitch"][notes["pitch"] < LOWEST_PITCH] += 12
    return Piece(piece.name, notes, piece.tempo, piece.metre, piece.remarks)


# %%
def spell_names(pitches):
    """Return the names of some pitches, such as `C4 E-4 G4`."""
    return " ".join(music21.pitch.Pitch(pitch).nameWithOctave for pitch in pitches)


# %% tags=["active-ipynb"]
# vocabulary = build_vocabulary(training_pieces, VOCABULARY_SIZE)
# training_sequences = [encode(piece, vocabulary) for piece in training_pieces]
# pd.DataFrame(training_sequences[0][:10]).assign(
#     pitches=[
#         spell_names(vocabulary.chords[token])
#         for token in training_sequences[0]["token"][:10]
#     ]
# )

# %% [markdown]
# Ten events of the first piece, and in the last column the notes that each token names.
# Now the check that counts: every piece is encoded and decoded, and each note must
# come back with its pitch, on its grid cell.


# %%
def grid_notes(notes):
    """Return the set of (grid cell, pitch) of an array of NOTE."""
    cells = np.rint(notes["onset"] * GRID).astype(np.int64)
    return set(zip(cells.tolist(), notes["pitch"].tolist()))


def count_lost_notes(piece, vocabulary):
    """Return how many notes differ, on the grid, after encoding and decoding."""
    back = decode(encode(piece, vocabulary), vocabulary)
    return len(grid_notes(piece.notes) ^ grid_notes(back))


# %% tags=["active-ipynb"]
# all_pieces = training_pieces + validation_pieces
# lost = [count_lost_notes(piece, vocabulary) for piece in all_pieces]
# print(
#     f"{len(all_pieces)} pieces encoded and decoded; {sum(lost)} notes lost or changed."
# )

# %% [markdown]
# What the grid changes is time: an onset moves by at most half a cell, 1/24 of a quarter
# note. The next plot shows how often each token occurs. The published project counts
# 24,483 notes and 548 unique ones; the statistics below are in its terms.


# %%
def count_tokens(sequences, size):
    """Return how often each of `size` tokens occurs in some sequences."""
    return np.bincount(np.concatenate([s["token"] for s in sequences]), minlength=size)


def plot_token_ranks(sequences, vocabulary, ax):
    """Draw token counts by rank, notes and chords apart, on logarithmic axes."""
    counts = count_tokens(sequences, len(vocabulary))
    chord = np.array([len(chord) > 1 for chord in vocabulary.chords])
    ranks = np.empty(len(counts), dtype=int)
    ranks[np.argsort(-counts)] = np.arange(1, len(counts) + 1)
    for mask, label, colour, mark in (
        (~chord, "single notes", REAL, "o"),
        (chord, "chords", THIRD, "^"),
    ):
        shown = mask & (counts > 0)
        ax.loglog(
            ranks[shown], counts[shown], mark, markersize=3, label=label, color=colour
        )
    ax.set(title="How often each token occurs", xlabel="rank", ylabel="events")
    ax.legend()
    return ax


# %% tags=["active-ipynb"]
# figure, ax = plt.subplots(figsize=WIDE)
# plot_token_ranks(training_sequences, vocabulary, ax)
# save_figure(figure, "token_ranks")

# %% [markdown]
# Single notes fill the first ranks, chords are the long tail.
#
# A model sees `SEQUENCE_LENGTH` events and predicts the next. These windows are cut
# when they are asked for, never laid out in memory, and never reach across two pieces.


# %%
def bar_places(sequence):
    """Return in which grid cell of a 4/4 bar each event of a piece stands."""
    return np.cumsum(sequence["step"], dtype=np.int64) % BAR


# %%
class Windows(Sequence):
    """The runs of successive events of some sequences, cut when asked for.

    Window i holds `width` events (0: a single one) from its place + `shift` on; behind
    each place are `length` and one more. Its first step is its place in the bar.
    """

    def __init__(self, sequences, length, shift, width):
        self.events = np.concatenate([np.empty(0, dtype=EVENT), *sequences])
        self.bars = np.concatenate([[0], *map(bar_places, sequences)])[1:]
        self.shift, self.width = shift, width
        inside = [np.arange(len(sequence)) for sequence in sequences]
        left = [len(sequence) - place for sequence, place in zip(sequences, inside)]
        self.places = np.flatnonzero(np.concatenate([[0], *left])[1:] > length)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        if self.width:
            return self.cut([index])[0]
        return self.events[self.places[index] + self.shift]

    def cut(self, indices):
        """Return the windows at some indices as one array (indices, width)."""
        starts = self.places[indices] + self.shift
        events = self.events[starts[:, None] + np.arange(self.width)]
        events["step"][:, 0] = self.bars[starts]
        return events


# %%
def make_windows(sequences, length):
    """Return what a model reads, windows of `length` events, and the next event."""
    if all(len(sequence) <= length for sequence in sequences):
        raise NotebookError(
            f"No piece has more than {length} events: use longer pieces, "
            "or a smaller SEQUENCE_LENGTH."
        )
    return (
        Windows(sequences, length, 0, length),
        Windows(sequences, length, length, 0),
    )


# %%
def describe_dataset(sequences, features, vocabulary):
    """Return the dataset's statistics in the published project's terms."""
    counts = count_tokens(sequences, len(vocabulary))
    spelled = sum(np.sum(sequence["step"][1:] == 0) for sequence in sequences)
    events = sum(len(sequence) for sequence in sequences)
    return {
        "Total events": events,
        "Unique tokens that occur": np.sum(counts > 0),
        "Vocabulary": len(vocabulary),
        "Sequence length": features.width,
        "Windows": len(features),
        "Events that continue a spelled chord": f"{spelled / events:.1%}",
    }


# %% tags=["active-ipynb"]
# features, targets = make_windows(training_sequences, SEQUENCE_LENGTH)
# pd.DataFrame({"": describe_dataset(training_sequences, features, vocabulary)})

# %% [markdown]
# ## 5 Folds
#
# **Which pieces are unseen?** The training pieces are dealt into `FOLDS` parts. Each part
# is held out once while a model learns from the others: from their notes, their chords
# (the vocabulary is built anew) and nothing else.


# %%
def make_folds(pieces, n_splits, seed):
    """Return (training, held-out) indices of pieces, each piece held out once."""
    left = len(pieces) - math.ceil(len(pieces) / max(n_splits, 1))
    if not 2 <= n_splits <= len(pieces) or left < 2:
        raise NotebookError(
            f"{len(pieces)} training pieces cannot be dealt into {n_splits} folds: put "
            "at least 3 pieces into the folder, and set FOLDS from 2 (3 for 3 "
            "pieces) to their number."
        )
    splitter = KFold(n_splits, shuffle=True, random_state=seed)
    return list(splitter.split(np.arange(len(pieces))))


def hold_back(indices, seed):
    """Return (learning, stopping) indices: about a tenth tells when to stop."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    count = max(1, round(len(indices) / 10))
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


# %%
def plot_folds(folds, names, ax):
    """Draw which piece is held out (dark) in which fold."""
    held_out = np.zeros((len(folds), len(names)))
    for number, (_, test) in enumerate(folds):
        held_out[number, test] = 1
    ax.imshow(held_out, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    ax.set_xticks(range(len(names)), [plain(name) for name in names], rotation=90)
    ax.set_yticks(range(len(folds)), range(1, len(folds) + 1))
    ax.set(title="Held-out pieces (dark)", ylabel="fold")
    ax.grid(False)
    return ax


# %% tags=["active-ipynb"]
# folds = make_folds(training_pieces, FOLDS, SEED)
# assert all(set(train).isdisjoint(test) for train, test in folds)
# figure, ax = plt.subplots(figsize=TALL)
# plot_folds(folds, [piece.name for piece in training_pieces], ax)
# print(f"{len(folds)} folds; no piece stands on both sides of any.")

# %% [markdown]
# ### What a leaky split would have claimed
#
# Many projects shuffle all windows and hold some of them out. But windows overlap: the
# event that a held-out window asks for stands inside dozens of training windows. A table
# of which token followed which four events, no network at all, is enough to see it.


# %%
def ngram_keys(tokens, width, size):
    """Return each run of `width` + 1 tokens as one number in base `size`."""
    tokens = np.asarray(tokens, dtype=np.int64)
    keys = np.zeros(max(len(tokens) - width, 0), dtype=np.int64)
    for shift in range(width + 1):
        keys = keys * size + tokens[shift : shift + len(keys)]
    return keys


def count_ngrams(sequences, width, size):
    """Return the keys of all runs of `width` + 1 tokens, sorted, and their counts."""
    keys = [ngram_keys(tokens, width, size) for tokens in sequences]
    return np.unique(np.concatenate(keys), return_counts=True)


# %%
class NgramTable:
    """An interpolated n-gram after Witten and Bell (1991); order 0 is uniform."""

    def __init__(self, sequences, order, size):
        self.order, self.size = order, size
        self.tables = [count_ngrams(sequences, width, size) for width in range(order)]

    def shorten(self, order):
        """Return the n-gram of a lower order with the same counts."""
        shorter = copy.copy(self)
        shorter.order = order
        return shorter

    def probabilities(self, context):
        """Return the distribution of the token that follows a list of tokens."""
        share = np.full(self.size, 1 / self.size)
        for width, (keys, counts) in enumerate(self.tables[: self.order]):
            if width > len(context):
                break
            recent = context[len(context) - width :]
            first = self.size * int(ngram_keys(recent, width - 1, self.size)[0])
            found = slice(*np.searchsorted(keys, [first, first + self.size]))
            total = counts[found].sum() + (found.stop - found.start)
            if not total:
                break
            share *= (found.stop - found.start) / total
            share[keys[found] - first] += counts[found] / total
        return share


# %% [markdown]
# Whatever knows tokens alone, tables and networks alike, judges a piece and writes one
# in the same way. Behind each known event it gives a distribution of the next token; to
# write, it draws from that distribution (section 7) and borrows its rhythm from real
# events.

# %%
NO_MOOD = (
    "Nothing was generated: this model knows tokens and no mood; ask `expressive`."
)


# %%
class TokenPredictor:
    """What a predictor of tokens does with whole events: judge them, write them."""

    others = None  # tables of the other streams, by name

    def score(self, sequence):
        """Return, by stream, the nats and the hits of each event but the first."""
        scores = {"token": judge(self.predict(sequence["token"]), sequence["token"])}
        for stream, table in (self.others or {}).items():
            values = stream_values(sequence, stream)
            scores[stream] = judge(table.predict(values), values)
        return scores

    def write(self, seeds, length, sampling, generators, rhythm, moods=None,
              watch=None):  # fmt: skip
        """Return new events (streams, length), and how often each left a loop.

        `seeds`: EVENT windows; `rhythm`: real events to borrow time and touch from.
        """
        if moods is not None and np.any(moods):
            raise NotebookError(NO_MOOD)
        tokens = [seed["token"] for seed in seeds]
        settings = (sampling, generators, watch)
        drawn, loops = draw_tokens(self, tokens, length, *settings)
        rows = [borrow_rhythm(*row, rhythm) for row in zip(drawn, generators)]
        return rows, loops

    def describe(self):
        """Return what a bundle must know beside the weights, as plain data."""
        return {}


# %%
def stream_values(sequence, stream):
    """Return a stream of some events as integers; longer rests count as the longest."""
    values = np.asarray(sequence[stream], dtype=np.int64)
    return np.minimum(values, LONGEST_STEP) if stream == "step" else values


def judge(shares, values):
    """Return nats and hits of distributions (events - 1, size) of all but the first."""
    given = shares[np.arange(len(values) - 1), values[1:]]
    return -np.log(np.maximum(given, 1e-30)), shares.argmax(axis=1) == values[1:]


# %%
class Ngram(NgramTable, TokenPredictor):
    """An n-gram at work: it judges known tokens, or writes new ones."""

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        tokens, rows = list(map(int, tokens)), []
        for place in range(1, len(tokens)):
            start = max(0, place - self.order)
            rows.append(self.probabilities(tokens[start:place]))
        return np.array(rows)

    def begin(self, seeds):
        """Return distributions (streams, size) behind seeds (streams, events), and a
        function from each stream's next token to the distributions behind it.
        """
        contexts = [list(map(int, seed)) for seed in seeds]

        def ask():
            return np.array(
                [self.probabilities(context[-self.order :]) for context in contexts]
            )

        def advance(tokens):
            for context, token in zip(contexts, tokens):
                context.append(int(token))
            return ask()

        return ask(), advance


# %%
def score_tokens(predictions, tokens):
    """Return the mean nats and the accuracy of predictions (tokens, size) of tokens."""
    given = predictions[np.arange(len(tokens)), tokens]
    hits = predictions.argmax(axis=1) == tokens
    return float(-np.log(np.maximum(given, 1e-30)).mean()), float(hits.mean())


def compare_splits(sequences, length, size, seed):
    """Return the scores of a 5-gram with windows, or whole pieces, held out."""
    windows = Windows(sequences, length, 0, length + 1)
    tokens = windows.cut(np.arange(len(windows)))["token"]
    chosen = np.random.default_rng(seed).random(len(tokens)) < 0.1
    leaky, asked = Ngram(tokens[~chosen], 5, size), tokens[chosen]
    given = np.array([leaky.probabilities(list(row[-5:-1])) for row in asked])
    unseen, *seen = (sequence["token"] for sequence in sequences)
    honest = Ngram(seen, 5, size).predict(unseen)
    columns = ["nats_per_event", "accuracy"]
    rows = {
        "windows at random": dict(zip(columns, score_tokens(given, asked[:, -1]))),
        "whole pieces": dict(zip(columns, score_tokens(honest, unseen[1:]))),
    }
    return pd.DataFrame(rows).T


# %% tags=["active-ipynb"]
# few = sorted(training_sequences, key=len)[-4:]
# compare_splits(few, SEQUENCE_LENGTH, len(vocabulary), SEED).round(2)

# %% [markdown]
# The same table, the same pieces, the four longest: with windows dealt at random it
# seems to know most of the music by heart, because it does. Held-out pieces show what
# it has learnt. Accuracies far above a fifth, with real jazz, are a sign of a leak and
# not of a model.

# %% [markdown]
# ## 6 Baselines
#
# **How far does one get without a network?** Predictions are judged in *nats*: the mean
# negative natural logarithm of the probability that the true event had been given. A
# uniform guess costs ln(vocabulary). The *unigram* knows how often each token occurs, the
# *n-gram* also which tokens follow which. Music may be played in any key, so the n-grams
# learn from every piece in all twelve; the unigram and the published network, which are
# told where a token stands and not what it sounds, learn from the pieces as they are. The
# *streams* beside the token, step, duration and velocity, get tables of their own: what a
# model of time and touch has to beat.

# %%
SEMITONES = range(-5, 7)  # the twelve keys


def encode_all_keys(pieces, vocabulary):
    """Return the events of some pieces, each in all twelve keys."""
    return [
        encode(transpose(piece, semitones), vocabulary)
        for piece in pieces
        for semitones in SEMITONES
    ]


def make_tables(sequences, order, size):
    """Return the n-gram of the tokens, with one for each other stream beside it."""
    ngram = Ngram([sequence["token"] for sequence in sequences], order, size)
    ngram.others = {
        stream: Ngram(
            [stream_values(sequence, stream) for sequence in sequences], order, width
        )
        for stream, width in STREAM_SIZES.items()
    }
    return ngram


# %%
def train_uniform(learning, stopping, vocabulary, seed, epochs):
    """Return the baseline that gives every token the same probability."""
    return make_tables([], 0, len(vocabulary)), []


def train_unigram(learning, stopping, vocabulary, seed, epochs):
    """Return the baseline that knows how often each token occurs."""
    sequences = [encode(piece, vocabulary) for piece in learning]
    return make_tables(sequences, 1, len(vocabulary)), []


# %%
def try_orders(table, rows):
    """Return the nats an event of orders 1 to 5 of an n-gram for rows of integers."""
    curve = []
    for order in range(1, 6):
        shorter = table.shorten(order)
        nats = [judge(shorter.predict(row), row)[0] for row in rows if len(row) > 1]
        curve.append(float(np.concatenate([[], *nats]).mean()) if nats else math.nan)
    return curve


def train_ngram(learning, stopping, vocabulary, seed, epochs):
    """Return the n-gram whose order, up to 5, predicts the stopping pieces best.

    Without stopping pieces its order is `epochs`, the order that the folds chose.
    """
    ngram = make_tables(encode_all_keys(learning, vocabulary), 5, len(vocabulary))
    known = [encode(piece, vocabulary) for piece in stopping]
    others, order, curve = {}, min(epochs, 5), []
    for stream, table in {**ngram.others, "token": ngram}.items():
        if stopping:
            rows = [stream_values(sequence, stream) for sequence in known]
            curve = try_orders(table, rows)
            order = 1 + int(np.argmin(curve))
        others[stream] = table.shorten(order)
    ngram = others.pop("token")
    ngram.others = others
    return ngram, curve


# %%
def score_streams(predictor, pieces, vocabulary):
    """Return nats an event, nats a note and accuracy of pieces, by stream.

    The first event of a piece is given; NaN where no piece has two.
    """
    sequences = [encode(piece, vocabulary) for piece in pieces]
    sequences = [sequence for sequence in sequences if len(sequence) > 1]
    names = ("nats_per_event", "nats_per_note", "accuracy")
    if not sequences:
        return {"token": dict.fromkeys(names, math.nan)}
    scores = [predictor.score(sequence) for sequence in sequences]
    tokens = np.concatenate([sequence["token"][1:] for sequence in sequences])
    notes = sum(len(vocabulary.chords[token]) for token in tokens)
    table = {}
    for stream in scores[0]:
        nats, hits = np.hstack([score[stream] for score in scores])
        row = (nats.mean(), nats.sum() / notes, hits.mean())
        table[stream] = dict(zip(names, map(float, row)))
    return table


def score_pieces(predictor, pieces, vocabulary):
    """Return nats an event, nats a note and accuracy of the tokens of pieces."""
    return score_streams(predictor, pieces, vocabulary)["token"]


# %% tags=["active-ipynb"]
# learning, stopping = hold_back(np.arange(len(training_pieces)), SEED)
# learning, stopping = (
#     [training_pieces[i] for i in part] for part in (learning, stopping)
# )
# known = build_vocabulary(learning, VOCABULARY_SIZE)
# ngram, ngram_curve = train_ngram(learning, stopping, known, SEED, EPOCHS)
# figure, ax = plt.subplots(figsize=WIDE)
# ax.plot(range(1, 6), ngram_curve, "o-", color=BASELINE)
# ax.axhline(math.log(len(vocabulary)), color="black", linestyle=":")
# ax.text(5, math.log(len(vocabulary)), "a uniform guess", va="top", ha="right")
# ax.set(
#     title="How much context helps a table",
#     xlabel="order of the n-gram",
#     ylabel="nats an event, unseen pieces",
#     xticks=range(1, 6),
# )
# save_figure(figure, "ngram_orders")

# %% [markdown]
# Order 1 counts single tokens, as the unigram does, but in all twelve keys. One token
# of context helps; with more the table has seen too few cases. This is the mark for a
# network to beat. The order is chosen on pieces that were held back from the learning,
# never on those that the results are reported for.
#
# ## 7 Models
#
# **What is trained?** First the published network, to the letter; then one that hears
# time and touch. The published one reads each token as one number between 0 and 1 (its
# place in the vocabulary, divided by its size) and ends in a probability for each
# token. Change `units`, `dense_units` or `dropout` here to reshape it; everything
# behind goes on working.


# %%
def build_published_lstm(
    vocabulary_size, sequence_length, units, dense_units, dropout, every_step, seed
):
    """Return the published stack of layers: tokens as numbers in, probabilities out.

    Reads (batch, sequence_length, 1), any length if None. Gives (batch,
    vocabulary_size) for the next event or, with `every_step`, a row behind each event.
    """
    seeds = itertools.count(1000 * seed)
    *lower, top = units
    layers = [keras.Input((sequence_length, 1))]
    for width in lower:
        layers.append(make_lstm(width, True, seeds))
        layers.append(keras.layers.Dropout(dropout, seed=next(seeds)))
    layers += [
        make_lstm(top, every_step, seeds),
        make_dense(dense_units, None, seeds),
        keras.layers.Dropout(dropout, seed=next(seeds)),
        make_dense(vocabulary_size, "softmax", seeds),
    ]
    return keras.Sequential(layers, name="published")


# %%
def make_lstm(units, return_sequences, seeds, **settings):
    """Return an LSTM layer whose initial weights depend on the given seeds alone."""
    return keras.layers.LSTM(
        units,
        return_sequences=return_sequences,
        **settings,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
    )


def make_dense(units, activation, seeds):
    """Return a dense layer whose initial weights depend on the given seeds alone."""
    initializer = keras.initializers.GlorotUniform(next(seeds))
    return keras.layers.Dense(units, activation, kernel_initializer=initializer)


# %%
PUBLISHED = {"units": (256, 128), "dense_units": 128, "dropout": 0.1}


# %% tags=["active-ipynb"]
# network = build_published_lstm(
#     len(vocabulary), SEQUENCE_LENGTH, **PUBLISHED, every_step=False, seed=SEED
# )
# network.summary()

# %% [markdown]
# There are two ways to train it. `last_step`, as published: 40 events are read to learn
# from one target. `every_step`: the same layers and weights learn the next event behind
# each of the 40, which gives 40 targets for the same arithmetic. The two kinds of network
# take each other's weights, and give the same prediction behind the last event.


# %%
def scale_tokens(tokens, size):
    """Return tokens as the published network reads them: (..., 1) floats below 1."""
    return np.asarray(tokens, dtype=np.float32)[..., None] / size


def deal_windows(windows, stride, generator):
    """Return shuffled indices of windows, `stride` apart from a random first one."""
    count = max(windows // stride, min(windows, 1))
    room = min(stride, windows - (count - 1) * stride)
    return generator.permutation(generator.integers(room) + np.arange(count) * stride)


# %%
class TokenBatches(keras.utils.PyDataset):
    """Shuffled batches of windows, tokens scaled to 0–1, for the published network.

    Each epoch draws windows `stride` events apart, from another first event; without
    `redraw` all epochs have the same, as those must that tell when to stop.
    """

    def __init__(self, sequences, size, length, batch_size, every_step, seed,
                 redraw=True):  # fmt: skip
        super().__init__()
        self.order, self.redraw = None, redraw
        self.windows = Windows(sequences, length, 0, length + 1)
        self.size, self.batch_size, self.every_step = size, batch_size, every_step
        self.stride = length if every_step else 1
        self.generator = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        tokens = self.windows.cut(self.order[start : start + self.batch_size])["token"]
        inputs = scale_tokens(tokens[:, :-1], self.size)
        return inputs, tokens[:, 1:] if self.every_step else tokens[:, -1]

    def on_epoch_end(self):
        """Draw the windows of the next epoch and their order."""
        if self.redraw or self.order is None:
            self.order = deal_windows(len(self.windows), self.stride, self.generator)


# %%
def fit_network(network, batches, check, epochs):
    """Train a published network; return its losses by epoch, on `check` if not empty.

    With `check`, training stops once `PATIENCE` epochs predicted it no better, and the
    best weights are kept; without, it takes exactly `epochs` epochs.
    """
    optimizer = keras.optimizers.Adamax(LEARNING_RATE)
    optimizer.build(network.trainable_variables)  # or its first update is traced twice
    network.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=PATIENCE, restore_best_weights=True
    )
    fitted = network.fit(
        batches,
        epochs=epochs,
        validation_data=check if len(check) else None,
        callbacks=[stop] if len(check) else None,
        shuffle=False,
        verbose=0,
    )
    return fitted.history["val_loss" if len(check) else "loss"]


# %%
def windows_an_update(every_step):
    """Return how many windows make a batch: a quarter where each has many targets."""
    return max(1, BATCH_SIZE // 4) if every_step else BATCH_SIZE


def train_published(learning, stopping, vocabulary, seed, epochs):
    """Return the trained published network as a predictor, and its losses by epoch."""
    every_step = TRAINING_MODE == "every_step"
    batches, check = (
        TokenBatches([encode(piece, vocabulary) for piece in pieces], len(vocabulary),
                     SEQUENCE_LENGTH, windows_an_update(every_step), every_step, seed,
                     redraw)
        for pieces, redraw in ((learning, True), (stopping, False))
    )  # fmt: skip
    network = build_published_lstm(
        len(vocabulary), None, **PUBLISHED, every_step=every_step, seed=seed
    )
    if not len(batches):
        raise NotebookError("No piece to learn from is longer than SEQUENCE_LENGTH.")
    curve = fit_network(network, batches, check, epochs)
    return PublishedPredictor(network, len(vocabulary), SEQUENCE_LENGTH), curve


# %% [markdown]
# A trained network is asked in two ways. `predict` gives the probabilities of each event
# of a known piece, each from the 40 events before it, or all that there are. `begin`
# opens a stream: it reads seeds, one for each of several pieces side by side, then gives
# one distribution after the other, keeping the LSTMs' state (which remembers more than
# 40 events) instead of reading 40 events again for each.


# %%
def step_layers(layers, values, states):
    """Return what layers make of one more event, and their LSTMs' new states."""
    new_states, old_states = [], iter(states)
    for layer in layers:
        if isinstance(layer, keras.layers.LSTM):
            values, state = layer.cell(values, next(old_states), training=False)
            new_states.append(state)
        elif not isinstance(layer, keras.layers.Dropout):
            values = layer(values)
    return values, new_states


# %%
class TokenStreams(TokenPredictor):
    """The published network asked for token after token, in several pieces at once."""

    def __init__(self, network, size, length):
        self.network, self.size, self.length = network, size, length
        self.networks = {}  # the same weights, answering each step or the last
        self.step = tf.function(partial(step_layers, network.layers), autograph=False)
        self.recurrent = [
            layer for layer in network.layers if isinstance(layer, keras.layers.LSTM)
        ]

    def begin(self, seeds):
        """Return distributions (streams, size) behind seeds (streams, events), and a
        function from each stream's next token to the distributions behind it.
        """
        states = [[tf.zeros((len(seeds), layer.units))] * 2 for layer in self.recurrent]

        def advance(tokens):
            nonlocal states
            inputs = tf.constant(scale_tokens(tokens, self.size))
            distributions, states = self.step(inputs, states)
            return distributions.numpy()

        for tokens in np.transpose(seeds):
            distributions = advance(tokens)
        return distributions, advance


# %%
class PublishedPredictor(TokenStreams):
    """The published network at work: it judges known tokens, or writes new ones."""

    def answering(self, every_step):
        """Return a network with these weights that answers each step or the last."""
        if every_step not in self.networks:
            config = copy.deepcopy(self.network.get_config())
            layers = config["layers"]
            layers[0]["config"]["batch_shape"] = (None, None, 1)
            lstms = [layer for layer in layers if layer["class_name"] == "LSTM"]
            lstms[-1]["config"]["return_sequences"] = every_step
            self.networks[every_step] = keras.Sequential.from_config(config)
            self.networks[every_step].set_weights(self.network.get_weights())
        return self.networks[every_step]

    def predict(self, tokens):
        """Return the distributions (tokens - 1, size) of each token but the first."""
        inputs = scale_tokens(tokens[:-1], self.size)
        rows = [self.answering(True).predict_on_batch(inputs[None, : self.length])[0]]
        if len(inputs) > self.length:
            cut = sliding_window_view
            windows = np.moveaxis(cut(inputs[1:], self.length, 0), 2, 1)
            for start in range(0, len(windows), BATCH_SIZE):
                places = start + np.arange(BATCH_SIZE)  # of one shape: traced once
                batch = windows[np.minimum(places, len(windows) - 1)]
                known = self.answering(False).predict_on_batch(batch)
                rows.append(known[: len(windows) - start])
        return np.concatenate(rows)


# %% tags=["active-ipynb"]
# untrained = PublishedPredictor(network, len(vocabulary), SEQUENCE_LENGTH)
# untrained_score = score_pieces(untrained, stopping[:1], vocabulary)
# print(
#     f"Untrained: {untrained_score['nats_per_event']:.3f} nats an event; a uniform "
#     f"guess costs ln({len(vocabulary)}) = {math.log(len(vocabulary)):.3f}."
# )

# %% [markdown]
# Before it has learnt anything, the network spreads its probability evenly, as it
# should.
#
# ### Drawing the next event
#
# A token is drawn from the model's distribution. A *temperature* below 1 sharpens it;
# `top_k` cuts its tail off, then `top_p` that of what is left. One model writes many
# pieces side by side, each with its own random numbers, so that a piece does not depend
# on its neighbours.


# %%
def reshape_distribution(shares, temperature, top_p, top_k):
    """Return distributions (streams, size) sharpened and without their tails."""
    logits = np.log(np.maximum(shares, 1e-30)) / temperature
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    if top_p < 1 or 0 < top_k < shares.shape[1]:
        order = np.argsort(-shares, axis=1, kind="stable")
        ranked = np.take_along_axis(shares, order, axis=1)
        ranked[:, top_k or shares.shape[1] :] = 0
        before = (np.cumsum(ranked, axis=1) - ranked) / ranked.sum(1, keepdims=True)
        keep = (before < top_p) & (ranked > 0)
        mask = np.zeros_like(keep)
        np.put_along_axis(mask, order, keep, axis=1)
        shares = np.where(mask, shares, 0)
    return shares


def draw(shares, uniforms):
    """Return a token for each distribution (streams, size) and number below 1."""
    cumulative = np.cumsum(shares, axis=1, dtype=np.float64)
    wanted = uniforms * cumulative[:, -1]
    return (cumulative <= wanted[:, None]).sum(axis=1)


# %% [markdown]
# Small models fall into loops: a bar, a note even, for ever. A guard knows a loop when it
# hears the same one to eight events four times in a row (and for a dozen events at
# least), draws again without the token that would prolong it, and counts how often.

# %%
LONGEST_LOOP, LOOP_TURNS, LOOP_EVENTS = 8, 4, 12
LONGEST_HISTORY = LONGEST_LOOP * LOOP_TURNS  # events that the guard looks back


def closes_loop(history, tokens):
    """Return which streams (streams, events) would loop if their next tokens came."""
    looping = np.zeros(len(tokens), dtype=bool)
    for period in range(1, LONGEST_LOOP + 1):
        width = max(LOOP_TURNS * period, LOOP_EVENTS)
        if history.shape[1] + 1 >= width:
            recent = np.column_stack(
                [history[:, history.shape[1] + 1 - width :], tokens]
            )
            looping |= (recent[:, period:] == recent[:, :-period]).all(axis=1)
    return looping


# %%
def watched(items, watch):
    """Yield each item; tell `watch`, if there is one, the share that came before."""
    for number, item in enumerate(items):
        if watch:
            watch(number / len(items))
        yield item


# %%
def draw_tokens(predictor, seeds, length, sampling, generators, watch=None):
    """Return new tokens (streams, length), and how often each stream left a loop.

    `seeds`: tokens (streams, events) before; `sampling`: temperature, top_p, top_k;
    `watch`: told the share that is done.
    """
    history, resampled = np.array(seeds), np.zeros(len(seeds), dtype=int)
    shares, advance = predictor.begin(history)
    for place in watched(range(length), watch):
        uniforms = np.array([each.random() for each in generators])
        tokens = draw(reshape_distribution(shares, *sampling), uniforms)
        for _ in range(LONGEST_LOOP):
            looping = np.flatnonzero(closes_loop(history, tokens))
            if not len(looping):
                break
            shares[looping, tokens[looping]] = 0
            others = reshape_distribution(shares[looping], *sampling)
            uniforms = np.array([generators[i].random() for i in looping])
            tokens[looping] = draw(others, uniforms)
            resampled[looping] += 1
        history = np.column_stack([history, tokens])
        if place + 1 < length:
            shares = advance(tokens)
    return history[:, len(seeds[0]) :], resampled


# %% [markdown]
# The published model knows tokens and no time: the published project put every note half
# a quarter after the last. Here steps, durations and velocities are drawn from events of
# the learning pieces, whatever the token. Its rhythm is borrowed, then, and so is its
# score for rhythm, which is the same for every model that knows tokens alone.


# %%
def borrow_rhythm(tokens, generator, rhythm):
    """Return events with the given tokens; the rest is drawn from rows of `rhythm`."""
    events = generator.choice(rhythm, len(tokens))
    events["token"] = tokens
    events["step"] = np.minimum(events["step"], LONGEST_STEP)
    return events


# %% [markdown]
# ### A network that hears time and touch
#
# The published network reads one number and forgets the rest. The *expressive* network
# reads and writes all four streams. It has two halves. The *reader* listens: it takes
# in each event as it comes and keeps, in an LSTM and in a few running averages, what it
# has heard. Four *heads* then choose the next event, each knowing what the heads before
# it chose: first the step (when?), then the token (what?), the duration and the
# velocity (how?). The probability of an event is the product of the four, so that the
# nats of the streams add up.
#
# What the reader is told about an event goes beyond the four streams, all of it worked
# out from the events before: the *position* in a 4/4 bar counted from the piece's first
# cell, rests taken as a bar at most, the *interval* of the top note, and which of the
# last 96 cells had an *onset*. The head that chooses notes also sees the keys that
# still *sound*.

# %%
EVENT_ORDER = ("step", "token", "duration", "velocity")  # in which heads choose
MEMORY_CELLS = 8 * GRID  # cells of past onsets that the reader sees
WIDEST, START = 30, 61  # semitones of an interval, clipped; the first event's class
READ = ("token", "step", "duration", "velocity", "position", "interval", "second")


def multi_hot(vocabulary):
    """Return an array (tokens, 88) with a one for each pitch of each token."""
    table = np.zeros((len(vocabulary), PITCHES), dtype=np.float32)
    for token, chord in enumerate(vocabulary.chords):
        table[token, np.array(chord) - LOWEST_PITCH] = 1
    return table


def tabulate(sequence):
    """Return a sequence of EVENT as integers (events, 4), long rests cut."""
    streams = ("token", "step", "duration", "velocity")
    return np.stack([stream_values(sequence, stream) for stream in streams], axis=1)


# %%
def hold_keys(events, notes):
    """Return for how many cells each key sounds on, (events, 88), behind each event."""
    times = np.cumsum(events[:, 1])
    struck = notes[events[:, 0]] > 0
    numbers = np.where(struck, np.arange(len(events))[:, None], -1)
    last = np.maximum.accumulate(numbers, axis=0)
    left = DURATIONS[events[:, 2]][last] - (times[:, None] - times[last])
    return np.where(last >= 0, left, 0)


def past_onsets(steps):
    """Return which past cells had onsets, (events + 1, 96), row i behind i events."""
    times, rows = np.cumsum(steps), np.arange(len(steps))
    onsets = np.zeros((len(steps) + 1, MEMORY_CELLS), dtype=bool)
    for lag in rows:
        distance = times[lag:] - times[: len(times) - lag]
        near = distance < MEMORY_CELLS
        if not near.any():
            break
        onsets[rows[lag:][near] + 1, distance[near]] = True
    return onsets


# %%
def describe_events(events, vocabulary):
    """Return what the network knows before and at each of some events (events, 4).

    Gives the event before (events, 7) as in `READ`, the event itself with its position
    (events, 5), and the keys sounding and past onsets (events, 88 + 96).
    """
    top = np.array([chord[-1] for chord in vocabulary.chords])[events[:, 0]]
    position = np.cumsum(events[:, 1])[:, None] % BAR
    interval = np.clip(np.diff(top, prepend=top[0]), -WIDEST, WIDEST) + WIDEST
    second = np.concatenate([[0], events[:-1, 0]])
    known = np.column_stack([events, position, interval, second])
    before = np.concatenate([[[0, 0, 0, 0, 0, START, 0]], known[:-1]])
    held = hold_keys(events, multi_hot(vocabulary))
    sounding = np.zeros((len(events), PITCHES), dtype=bool)
    sounding[1:] = held[:-1] > events[1:, 1:2]
    heard = np.concatenate([sounding, past_onsets(events[:, 1])[:-1]], axis=1)
    current = np.concatenate([events, position], axis=1)
    return before.astype(np.int32), current.astype(np.int32), heard


# %% [markdown]
# ### Memory
#
# An LSTM forgets the key of a piece within a few bars. *Running averages* do not: each
# averages what was heard since the piece began, the past fading at its own pace, from
# one and a half events to 800. The layer below computes them for a whole window at
# once, and hands its sums on to the next window. (Averages over a window and averages
# event by event are the same, which a test holds.)


# %%
@keras.saving.register_keras_serializable("expressive")
class Memory(keras.layers.Layer):
    """Running averages of a sequence since its piece began, at several paces."""

    def __init__(self, decays, **settings):
        super().__init__(**settings)
        self.decays = [float(decay) for decay in decays]

    def get_config(self):
        """Return the layer's settings."""
        return {**super().get_config(), "decays": self.decays}

    def call(self, sequence, state, start):
        """Return averages (batch, time, width, decays) and the new state."""
        ones = keras.ops.ones_like(sequence[..., :1])
        total = sum_fading(
            keras.ops.concatenate([sequence, ones], -1), state, start, self.decays
        )
        sums, counts = keras.ops.split(total, [sequence.shape[-1]], 2)
        return sums / (counts + 1e-3), total[:, -1]

    def compute_output_shape(self, sequence_shape, state_shape, start_shape):
        """Return the shapes of the averages and of the state."""
        return (*sequence_shape, len(self.decays)), state_shape


# %%
def sum_fading(sequence, state, start, decays):
    """Return fading sums (batch, time, width, decays) of a sequence and a state before.

    `start` (batch, time, 1) is one where a piece begins and the past is forgotten.
    """
    ops = keras.ops
    keep = ops.exp(-1 / ops.convert_to_tensor(decays, "float32"))
    time = ops.cast(ops.arange(ops.shape(sequence)[1]), "float32")
    lag = (time[:, None] - time[None, :])[..., None]
    weight = ops.where(lag >= 0, ops.power(keep, ops.maximum(lag, 0)), 0.0) * (1 - keep)
    piece = ops.cumsum(start[..., 0], 1)
    same = ops.cast(ops.equal(piece[:, :, None], piece[:, None, :]), "float32")
    fresh = ops.einsum("btsk,bsf->btfk", same[..., None] * weight[None], sequence)
    old = ops.power(keep, time[:, None] + 1)[None, :, None, :] * state[:, None]
    return fresh + old * ops.cast(ops.equal(piece, 0), "float32")[..., None, None]


# %% [markdown]
# ### What a token is made of
#
# The published network could not know that two chords share notes. Here each token is
# described by its *content*: its notes, its lowest and its highest note, its pitch
# classes, its size and its shape. A second table says which tokens cannot follow at
# step 0: a chord outside the vocabulary is spelled from the bass up, and no key is
# struck twice at once.


# %%
def describe_tokens(vocabulary):
    """Return what each token is made of: an array (tokens, features) of zeros and ones.

    The features: notes, bass and top (88 each), pitch classes (12), size (8), shape.
    """
    chords, shapes = vocabulary.chords, {}
    shape = [
        shapes.setdefault(tuple(pitch - chord[0] for pitch in chord), len(shapes))
        for chord in chords
    ]
    keys = np.eye(PITCHES, dtype=np.float32)
    bass, top = (
        keys[[chord[end] - LOWEST_PITCH for chord in chords]] for end in (0, -1)
    )
    classes = np.zeros((len(chords), 12), dtype=np.float32)
    for token, chord in enumerate(chords):
        classes[token, np.array(chord) % 12] = 1
    size = np.eye(8, dtype=np.float32)[[min(len(chord), 8) - 1 for chord in chords]]
    shape = np.eye(len(shapes), dtype=np.float32)[shape]
    return np.concatenate([multi_hot(vocabulary), bass, top, classes, size, shape], 1)


def find_impossible(vocabulary):
    """Return an array (tokens, tokens): 1 where the second cannot follow at step 0."""
    notes = multi_hot(vocabulary)
    bass = np.array([chord[0] for chord in vocabulary.chords])
    return ((notes @ notes.T > 0) | (bass <= bass[:, None])).astype(np.float32)


# %%
def make_embedding(size, width, seeds):
    """Return a layer that learns `width` numbers for each of `size` integers."""
    initializer = keras.initializers.RandomUniform(seed=next(seeds))
    return keras.layers.Embedding(size, width, embeddings_initializer=initializer)


def fixed_table(table, name=None):
    """Return a layer that reads rows of a constant table (integers, width)."""
    return keras.layers.Embedding(
        *table.shape, weights=[table], trainable=False, name=name
    )


def hide(inputs, units, dropout, seeds):
    """Return a hidden layer (batch, time, units) over joined inputs."""
    joined = keras.layers.Concatenate()(inputs)
    hidden = make_dense(units, "relu", seeds)(joined)
    return keras.layers.Dropout(dropout, seed=next(seeds))(hidden)


def integer_inputs(*names):
    """Return inputs (batch, time) of integers by name."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in names}


# %% [markdown]
# ### The reader
#
# What was just played, seen from all sides, is squeezed into a few numbers and goes
# through one LSTM, and past it. The settings were found by experiment on real
# performances; `dev/benchmarks/expressive_tried.md` tells what was tried.

# %%
EXPRESSIVE = {
    "units": 256,  # of the LSTM
    "reading": 160,  # numbers that sum up an event for the LSTM
    "rhythm": 32,  # numbers that sum up past onsets
    "head": 256,  # hidden units of the token's head
    "small_head": 128,  # of the other heads
    "free": 64,  # numbers behind the part of the logits not tied to content
    "mood": 12,  # numbers for each mood
    "filters": 16,  # patterns of intervals that the token's head looks for
    "kernel": 49,  # semitones that a pattern spans
    "dropout": 0.3,
    "roll_decays": (1.5, 6.0, 25.0, 120.0, 800.0),  # events, of the notes' memory
    "slow_decays": (4.0, 16.0, 100.0, 800.0),  # events, of the memory of time and touch
}
EMBEDDED = {"step": 24, "duration": 16, "velocity": 16}  # numbers for each
MOODS = ("low", "middle", "high")  # of energy and of brightness; 0 stands for any


# %%
def state_inputs(shape):
    """Return inputs for what the reader keeps: two sums, then the listener's states."""
    slow = 12 + sum(EMBEDDED.values())
    widths = {"hidden": (shape["units"],), "cell": (shape["units"],)}
    if "blocks" in shape:  # keys, values, and whether an event counts
        cache = (shape["context"], 2 * shape["units"] + 1)
        widths = {f"cache_{block}": cache for block in range(shape["blocks"])}
    return [
        keras.Input((PITCHES + 1, len(shape["roll_decays"])), name="roll_sums"),
        keras.Input((slow + 1, len(shape["slow_decays"])), name="slow_sums"),
        *(keras.Input(width, name=name) for name, width in widths.items()),
    ]


def mark_starts(intervals):
    """Return ones (batch, time, 1) where a piece begins."""
    table = np.eye(START + 1, dtype=np.float32)[:, START:]
    return fixed_table(table, "start")(intervals)


# %%
def recall(events, touch, start, states, vocabulary, shape):
    """Return the memories of notes and of the rest, each with its new sums.

    `events`: inputs by name; `touch`: embedded step, duration and velocity.
    """
    tables = describe_tokens(vocabulary)
    notes = fixed_table(tables[:, :PITCHES], "notes")(events["token"])
    classes = tables[:, 3 * PITCHES : 3 * PITCHES + 12]
    classes = fixed_table(classes, "classes")(events["token"])
    rest = keras.layers.Concatenate()([classes, *touch])
    roll = Memory(shape["roll_decays"], name="roll")(notes, states[0], start)
    slow = Memory(shape["slow_decays"], name="slow")(rest, states[1], start)
    return *roll, *slow


# %%
def embed_events(events, vocabulary, shape, seeds):
    """Return embedded step, duration, velocity; the rest of an event; the moods."""
    touch = [
        make_embedding(STREAM_SIZES[name], width, seeds)(events[name])
        for name, width in EMBEDDED.items()
    ]
    content = fixed_table(describe_tokens(vocabulary), "content")(events["token"])
    rest = [
        make_embedding(BAR, 16, seeds)(events["position"]),
        make_embedding(START + 1, 16, seeds)(events["interval"]),
        make_embedding(len(vocabulary), 32, seeds)(events["token"]),
        make_dense(128, None, seeds)(content),
    ]
    moods = [
        make_embedding(1 + len(MOODS), shape["mood"], seeds)(events[name])
        for name in ("energy", "brightness")
    ]
    return touch, rest, moods


# %%
def listen_lstm(seen, start, states, shape, seeds):
    """Return what an LSTM heard (batch, time, units) and its new states."""
    lstm = make_lstm(shape["units"], True, seeds, return_state=True)
    heard, *kept = lstm(seen, initial_state=states)
    return heard, kept


# %%
def build_reader(vocabulary, shape, seeds):
    """Return the reader: last events (batch, time), onsets and states in.

    Gives what it made of them (batch, time, width), the notes' memory, new states.
    """
    dropout, layers = shape["dropout"], keras.layers
    events = integer_inputs(*READ[:-1], "energy", "brightness")
    onsets = keras.Input((None, MEMORY_CELLS), name="onsets")
    states = state_inputs(shape)
    touch, rest, moods = embed_events(events, vocabulary, shape, seeds)
    start = mark_starts(events["interval"])
    memories = recall(events, touch, start, states, vocabulary, shape)
    roll, roll_sums, slow, slow_sums = memories
    rhythm = layers.Dropout(dropout, seed=next(seeds))(onsets)
    rhythm = hide([rhythm], shape["rhythm"], dropout, seeds)
    slow = layers.Reshape((-1, math.prod(slow.shape[2:])))(slow)
    slow = make_dense(48, "relu", seeds)(slow)
    seen = [*touch, *rest, rhythm, slow, *moods]
    seen = hide(seen, shape["reading"], dropout * 2 / 3, seeds)
    listen = listen_transformer if "blocks" in shape else listen_lstm
    heard, kept = listen(seen, start, states[2:], shape, seeds)
    heard = layers.Dropout(dropout, seed=next(seeds))(heard)
    made = layers.Concatenate()([seen, heard, rhythm, *moods])
    inputs = [*events.values(), onsets, *states]
    outputs = [made, roll, roll_sums, slow_sums, *kept]
    return keras.Model(inputs, outputs, name="reader")


# %% [markdown]
# ### A transformer in its place
#
# With "transformer" in `MODELS` a small causal transformer listens in place of the LSTM;
# all else is the same. Each event attends to itself and to the events before it, as far
# as `context` reaches. Their keys and values are kept from window to window, and from
# event to event when it writes, so that nothing is worked out twice.

# %%
TRANSFORMER = {
    **EXPRESSIVE,
    "units": 128,  # of each block, in and out
    "blocks": 3,
    "attention": 4,  # heads of attention a block
    "context": 128,  # events before that a block attends to
}


# %%
@keras.saving.register_keras_serializable("expressive")
class CachedAttention(keras.layers.Layer):
    """Causal attention that keeps the keys and values of the last events."""

    def __init__(self, heads, **settings):
        super().__init__(**settings)
        self.heads = heads

    def get_config(self):
        """Return the layer's settings."""
        return {**super().get_config(), "heads": self.heads}

    def build(self, query_shape, pair_shape, cache_shape, start_shape):
        """Make a weight for each distance, nearer or farther, and each head."""
        self.near = self.add_weight((self.heads, cache_shape[1] + 1), "zeros")

    def compute_output_shape(self, query_shape, pair_shape, cache_shape, start_shape):
        """Return the shapes of what is attended to and of the new cache."""
        return query_shape, cache_shape

    def call(self, query, pair, cache, start):
        """Return what each event attends to (batch, time, width), and the new cache.

        `pair`: keys and values; `cache`: those of the last events, and ones where they
        belong to the piece that goes on; `start`: ones where a piece begins.
        """
        return look_back(query, pair, cache, start, self.near, self.heads)


# %%
def look_back(query, pair, cache, start, near, heads):
    """Return what `CachedAttention` returns, with its weights by distance, `near`."""
    ops, context = keras.ops, cache.shape[1]
    piece = ops.cumsum(start[..., 0], 1)
    pieces = ops.concatenate([cache[..., -1] - 1, piece], 1)
    pairs = ops.concatenate([cache[..., :-1], pair], 1)
    other = ops.not_equal(piece[:, :, None], pieces[:, None])
    bias = weigh_distance(near, ops.shape(query)[1], context)
    bias = bias - 1e9 * ops.cast(other, "float32")[:, None]
    alive = ops.cast(ops.equal(pieces, piece[:, -1:]), "float32")[..., None]
    kept = ops.concatenate([pairs, alive], -1)[:, -context:]
    return attend(query, *ops.split(pairs, 2, -1), bias, heads), kept


def weigh_distance(near, time, context):
    """Return logits (1, heads, time, context + time) by distance alone."""
    ops = keras.ops
    lag = context + ops.arange(time)[:, None] - ops.arange(context + time)[None]
    far = ops.cast(ops.logical_or(lag < 0, lag > context), "float32")
    return (ops.take(near, ops.clip(lag, 0, context), axis=1) - 1e9 * far)[None]


# %%
def attend(query, key, value, bias, heads):
    """Return the values (batch, time, width) that queries attend to, head by head."""
    ops = keras.ops

    def part(values):
        shape = (-1, ops.shape(values)[1], heads, values.shape[-1] // heads)
        return ops.transpose(ops.reshape(values, shape), (0, 2, 1, 3))

    query, key, value = part(query), part(key), part(value)
    logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    weights = ops.softmax(logits / query.shape[-1] ** 0.5 + bias)
    mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
    return ops.reshape(mixed, (-1, ops.shape(mixed)[1], heads * mixed.shape[-1]))


# %%
def listen_transformer(seen, start, states, shape, seeds):
    """Return what a transformer heard (batch, time, units) and its new caches."""
    layers, units, kept = keras.layers, shape["units"], []
    heard = make_dense(units, None, seeds)(seen)
    for cache in states:
        normal = layers.LayerNormalization()(heard)
        query = make_dense(units, None, seeds)(normal)
        pair = make_dense(2 * units, None, seeds)(normal)
        attention = CachedAttention(shape["attention"])
        mixed, cache = attention(query, pair, cache, start)
        mixed = make_dense(units, None, seeds)(mixed)
        heard = heard + layers.Dropout(shape["dropout"] / 3, seed=next(seeds))(mixed)
        hidden = layers.LayerNormalization()(heard)
        hidden = make_dense(4 * units, "gelu", seeds)(hidden)
        hidden = make_dense(units, None, seeds)(hidden)
        heard = heard + layers.Dropout(shape["dropout"] / 3, seed=next(seeds))(hidden)
        kept.append(cache)
    return layers.LayerNormalization()(heard), kept


# %% [markdown]
# ### The heads
#
# The step's head, the duration's and the velocity's are small. The token's head looks
# at piano rolls: the last notes, the notes before, what sounds, and the notes' memory.
# A *convolution* along the pitch axis looks for patterns of intervals in them, wherever
# on the keyboard they lie, so that what is learnt in one key holds in all. The head
# weighs the patterns and so gives each pitch an energy; a token's logit adds up those
# of its content.


# %%
def build_step_head(width, shape, seeds):
    """Return the head from what was read (batch, time, width) to logits of the step."""
    read = keras.Input((None, width), name="read")
    hidden = hide([read], shape["small_head"], shape["dropout"], seeds)
    logits = make_dense(STREAM_SIZES["step"], None, seeds)(hidden)
    return keras.Model(read, logits, name="step_head")


def build_touch_head(vocabulary, width, stream, shape, seeds):
    """Return the head to logits of the duration, or of the velocity, which knows it.

    `last` is the same stream of the event before.
    """
    read = keras.Input((None, width), name="read")
    known = ("token", "step", "position", "last", "duration")
    known = known[: 4 + (stream == "velocity")]
    chosen = integer_inputs(*known)
    content = fixed_table(describe_tokens(vocabulary), "content")(chosen["token"])
    inputs = [read, make_dense(64, None, seeds)(content)]
    sizes = {**STREAM_SIZES, "token": len(vocabulary), "position": BAR}
    sizes["last"] = sizes[stream]
    for name in known:
        inputs.append(make_embedding(sizes[name], 16, seeds)(chosen[name]))
    hidden = hide(inputs, shape["small_head"], shape["dropout"], seeds)
    logits = make_dense(STREAM_SIZES[stream], None, seeds)(hidden)
    return keras.Model([read, *chosen.values()], logits, name=f"{stream}_head")


# %%
def stack_rolls(chosen, roll, sounding, content):
    """Return the piano rolls (batch, time, 88, channels) of the token's head."""
    layers = keras.layers
    last = fixed_table(content[:, : 3 * PITCHES], "last")(chosen["token"])
    last = layers.Permute((1, 3, 2))(layers.Reshape((-1, 3, PITCHES))(last))
    second = fixed_table(content[:, :PITCHES], "before")(chosen["second"])
    one = layers.Reshape((-1, PITCHES, 1))
    return layers.Concatenate()([last, one(second), 8 * roll, one(sounding)])


def weigh_pitches(rolls, hidden, shape, seeds):
    """Return energies (batch, time, 3 · 88) of a token's notes, bass and top."""
    filters = shape["filters"]
    rolls = keras.layers.Permute((2, 1, 3))(rolls)  # so its gradient is much faster
    patterns = keras.layers.Conv2D(
        filters,
        (shape["kernel"], 1),
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        name="intervals",
    )(rolls)
    weights = make_dense(filters * 3, None, seeds)(hidden)
    weights = keras.layers.Reshape((-1, filters, 3))(weights)
    energies = keras.ops.einsum("bptf,btfo->btop", patterns, weights)
    return keras.layers.Reshape((-1, 3 * PITCHES))(energies)


# %%
def build_token_head(vocabulary, width, shape, seeds):
    """Return the head from what was read, rolls and the step to logits of the token."""
    content, layers = describe_tokens(vocabulary), keras.layers
    read = keras.Input((None, width), name="read")
    roll = keras.Input((None, PITCHES, len(shape["roll_decays"])), name="roll")
    sounding = keras.Input((None, PITCHES), name="sounding")
    chosen = integer_inputs("token", "second", "step", "position")
    places = [
        make_embedding(STREAM_SIZES["step"], 32, seeds)(chosen["step"]),
        make_embedding(BAR, 16, seeds)(chosen["position"]),
    ]
    hidden = hide([read, *places], shape["head"], shape["dropout"], seeds)
    rolls = stack_rolls(chosen, roll, sounding, content)
    energies = weigh_pitches(rolls, hidden, shape, seeds)
    rest = ((0, 0), (0, 0), (0, content.shape[1] - 3 * PITCHES))
    said = make_dense(content.shape[1], None, seeds)(hidden)
    said = said + keras.ops.pad(energies, rest)
    spell = layers.Dense(len(content), use_bias=False, trainable=False, name="spell")
    free = make_dense(shape["free"], None, seeds)(hidden)
    free = layers.Dropout(shape["dropout"], seed=next(seeds))(free)
    logits = spell(said) + make_dense(len(content), None, seeds)(free)
    spell.set_weights([content.T])
    logits = logits - rule_out(chosen, vocabulary)
    inputs = [read, roll, sounding, *chosen.values()]
    return keras.Model(inputs, logits, name="token_head")


# %%
def rule_out(chosen, vocabulary):
    """Return what to take off logits (batch, time, tokens) that cannot be at step 0."""
    impossible = fixed_table(find_impossible(vocabulary), "impossible")
    together = np.eye(STREAM_SIZES["step"], dtype=np.float32)[:, :1]
    together = fixed_table(together, "together")(chosen["step"])
    return 20 * impossible(chosen["token"]) * together


# %%
def build_expressive(vocabulary, shape, seed):
    """Return the expressive network: what `describe_events` gives and states in.

    Reads the events before with their moods (batch, time, 9), the events themselves
    (batch, time, 5), what is heard (batch, time, 184) and the states; gives the logits
    of the streams in `EVENT_ORDER` (batch, time, classes) and the new states.
    """
    seeds = itertools.count(1000 * seed)
    reader = build_reader(vocabulary, shape, seeds)
    width, names = reader.outputs[0].shape[-1], ("duration", "velocity")
    step_head = build_step_head(width, shape, seeds)
    token_head = build_token_head(vocabulary, width, shape, seeds)
    duration_head, velocity_head = (
        build_touch_head(vocabulary, width, name, shape, seeds) for name in names
    )
    before = keras.Input((None, len(READ) + 2), dtype="int32", name="before")
    current = keras.Input((None, 5), dtype="int32", name="current")
    heard = keras.Input((None, PITCHES + MEMORY_CELLS), name="heard")
    states = state_inputs(shape)
    was = [before[..., i] for i in range(len(READ) + 2)]
    token, step, duration, _, position = (current[..., i] for i in range(5))
    read, roll, *kept = reader([*was[:6], *was[7:], heard[..., PITCHES:], *states])
    sounding, touched = heard[..., :PITCHES], [read, token, step, position]
    logits = [step_head(read),
              token_head([read, roll, sounding, was[0], was[6], step, position]),
              duration_head([*touched, was[2]]),
              velocity_head([*touched, was[3], duration])]  # fmt: skip
    name = "transformer" if "blocks" in shape else "expressive"
    return keras.Model([before, current, heard, *states], [*logits, *kept], name=name)


# %% tags=["active-ipynb"]
# expressive_network = build_expressive(vocabulary, EXPRESSIVE, SEED)
# pd.DataFrame(
#     {
#         "numbers learnt": {
#             layer.name: sum(math.prod(w.shape) for w in layer.trainable_weights)
#             for layer in expressive_network.layers
#             if layer.trainable_weights
#         }
#     }
# )

# %% [markdown]
# ### Mood
#
# The files carry no labels, so a *mood* is what can be measured. *Energy* adds up how
# many notes a quarter has and how hard they are struck; *brightness* how much more
# major than minor the pitches are (their correlation with Krumhansl and Kessler's key
# profiles) and how high they lie; each measured in standard deviations of the corpus. A
# stretch of 100 events is low, middle or high by the *terciles* of the corpus. While
# the network learns, most stretches are given without their mood, so that a request is
# heard and none is needed.

# %%
MOOD_EVENTS = 100  # events that are given one mood
MOOD_SHARE, MOOD_LEFT_OUT = 0.3, 0.25  # stretches told; then each of the two left out
# fmt: off
KEY_PROFILES = np.array([
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],  # major
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],  # minor
])
# fmt: on


def find_mode(classes):
    """Return how much better 12 pitch-class counts fit a major than a minor key."""
    if np.std(classes) == 0:
        return 0.0
    turned = [np.roll(profile, key) for profile in KEY_PROFILES for key in range(12)]
    fits = np.corrcoef([classes, *turned])[0, 1:].reshape(2, 12)
    return float(fits[0].max() - fits[1].max())


def measure_events(events, notes):
    """Return log notes a quarter, mean velocity, mode and mean pitch of events."""
    struck = notes[events[:, 0]]
    each, pitches = struck.sum(axis=1), struck.sum(axis=0)
    classes = np.bincount((np.arange(PITCHES) + LOWEST_PITCH) % 12, pitches)
    quarters = max(events[1:, 1].sum() / GRID, 1)
    velocity = (each * (events[:, 3] + 0.5) * VELOCITY_WIDTH).sum() / each.sum()
    height = pitches @ (np.arange(PITCHES) + LOWEST_PITCH) / pitches.sum()
    return np.array(
        [np.log(each.sum() / quarters), velocity, find_mode(classes), height]
    )


# %%
class MoodScale(NamedTuple):
    """What is usual in a corpus: means and spreads of four measures, and terciles."""

    means: np.ndarray  # (4,)
    spreads: np.ndarray  # (4,)
    terciles: np.ndarray  # (2, 2): lower and upper bound of energy, brightness

    def score(self, measures):
        """Return energy and brightness (..., 2) of measures (..., 4)."""
        usual = (measures - self.means) / self.spreads
        return np.stack([usual[..., :2].sum(-1), usual[..., 2:].sum(-1)], axis=-1)

    def classify(self, scores):
        """Return 1, 2 or 3 (low, middle, high) for energy and brightness (..., 2)."""
        return 1 + (scores[..., None, :] > self.terciles).sum(axis=-2)


def find_scale(rows, notes):
    """Return the mood scale of a corpus: rows of integers (events, 4)."""
    measures = np.array([
        measure_events(events[start : start + MOOD_EVENTS], notes)
        for events in rows
        for start in range(0, max(1, len(events) - MOOD_EVENTS // 2), MOOD_EVENTS)
    ])  # fmt: skip
    spreads = np.maximum(measures.std(axis=0), 1e-6)
    scale = MoodScale(measures.mean(axis=0), spreads, np.zeros((2, 2)))
    terciles = np.quantile(scale.score(measures), [1 / 3, 2 / 3], axis=0)
    return scale._replace(terciles=terciles)


# %%
def label_moods(events, notes, scale):
    """Return the moods (events, 2) of the stretch that each event stands in."""
    labels = np.zeros((len(events), 2), dtype=np.int32)
    for start in range(0, len(events), MOOD_EVENTS):
        end = min(start + MOOD_EVENTS, len(events))
        stretch = events[max(0, end - MOOD_EVENTS) : end]
        scores = scale.score(measure_events(stretch, notes))
        labels[start:end] = scale.classify(scores)
    return labels


def leave_out_moods(labels, generator):
    """Return moods (events, 2) with most stretches set to 0, which is any mood."""
    labels = labels.copy()
    for start in range(0, len(labels), MOOD_EVENTS):
        told = generator.random() < MOOD_SHARE
        kept = generator.random(2) >= MOOD_LEFT_OUT
        labels[start : start + MOOD_EVENTS] *= (told & kept).astype(np.int32)
    return labels


# %% [markdown]
# ### How it learns
#
# Each epoch plays every piece once, in its own key or one drawn at random. The pieces are
# joined in a random order and cut into 64 streams; windows of 32 events follow one
# another in each stream, and the states are handed on, so that the memory reaches back to
# a piece's beginning. Only the pieces that are being read are laid out, however many
# there are. The step size warms up and fades away on a fixed schedule, the final model's
# longer than that of the folds; nothing is stopped early.

# %%
SCHEDULE = {
    "own_key": 0.35,  # how often a piece is played in its own key
    "streams": 64,  # side by side
    "window": 32,  # events an update
    "rate": 0.004,  # of AdamW
    "warm_up": 20,  # updates
    "weight_decay": 0.02,
    "loss_weights": (1.0, 1.0, 0.5, 0.8),  # of the streams in EVENT_ORDER
}
KEPT_DESCRIPTIONS = 128  # pieces in a key that are laid out at once, at most


def zero_states(network, streams):
    """Return the states of a network that has heard nothing."""
    return [tf.zeros((streams, *state.shape[1:])) for state in network.inputs[3:]]


# %%
def stream_losses(outputs, current):
    """Return the nats (batch, time) of the streams in EVENT_ORDER."""
    return [
        tf.nn.sparse_softmax_cross_entropy_with_logits(current[..., column], logits)
        for column, logits in zip(STREAM_COLUMNS, outputs)
    ]


# %%
class OneReplica(keras.optimizers.AdamW):
    """AdamW on one device: sums over devices would keep each fold's graph in memory."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Return the gradients as they are."""
        return grads_and_vars


# %%
def make_update(network, updates):
    """Return a function that learns from one window and hands the states on."""
    warm_up = min(SCHEDULE["warm_up"], updates // 4)
    rate, weights = SCHEDULE["rate"], SCHEDULE["loss_weights"]
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, max(updates - warm_up, 1), alpha=0.01, warmup_target=rate,
        warmup_steps=warm_up)  # fmt: skip
    optimizer = OneReplica(
        rate, SCHEDULE["weight_decay"], beta_2=0.99, global_clipnorm=1.0
    )
    optimizer.build(network.trainable_variables)

    @partial(tf.function, autograph=False)
    def learn(before, current, heard, *states):
        inputs = [before, current, tf.cast(heard, tf.float32), *states]
        with tf.GradientTape() as tape:
            outputs = network(inputs, training=True)
            losses = [tf.reduce_mean(nats) for nats in stream_losses(outputs, current)]
            total = tf.add_n([nats * w for nats, w in zip(losses, weights)])
        gradients = tape.gradient(total, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return tf.add_n(losses), outputs[4:]

    def update(*window):
        optimizer.learning_rate.assign(schedule(optimizer.iterations))
        return learn(*window)

    return update


# %%
class KeyedPieces:
    """Pieces in twelve keys, described when they are asked for."""

    def __init__(self, pieces, vocabulary):
        self.notes = multi_hot(vocabulary)
        self.pieces = [
            [tabulate(s).astype(np.int16) for s in encode_all_keys([piece], vocabulary)]
            for piece in pieces
        ]
        home = SEMITONES.index(0)
        self.scale = find_scale([piece[home] for piece in self.pieces], self.notes)
        self.events, self.labels = sum(len(piece[home]) for piece in self.pieces), {}
        describe, pieces = partial(describe_events, vocabulary=vocabulary), self.pieces
        self.describe = lru_cache(KEPT_DESCRIPTIONS)(
            lambda number, key: describe(pieces[number][key])
        )

    def label(self, number, key):
        """Return the moods (events, 2) of a piece in a key."""
        if (number, key) not in self.labels:
            labels = label_moods(self.pieces[number][key], self.notes, self.scale)
            self.labels[number, key] = labels.astype(np.int8)
        return self.labels[number, key]

    def draw(self, generator):
        """Yield (piece, key, moods) for an epoch, in random order and keys."""
        for number in generator.permutation(len(self.pieces)).tolist():
            own = generator.random() < SCHEDULE["own_key"]
            key = SEMITONES.index(0 if own else generator.choice(SEMITONES))
            yield number, key, leave_out_moods(self.label(number, key), generator)


# %%
class Epoch:
    """Pieces joined and cut into streams side by side, described window by window.

    However large the corpus, only the pieces that are being read are laid out.
    """

    def __init__(self, pieces, streams, generator):
        self.describe, self.parts = pieces.describe, list(pieces.draw(generator))
        self.ends = np.cumsum([len(moods) for _, _, moods in self.parts])
        total = self.ends[-1]
        self.length = int(total // streams)
        first = np.arange(streams) * self.length - generator.integers(total)
        self.first = first[:, None]  # of each stream

    def read(self, start, width):
        """Return arrays (streams, width, ...) of all streams from a place on."""
        places = (self.first + start + np.arange(width)) % self.ends[-1]
        numbers = np.searchsorted(self.ends, places, "right")
        rows = {}
        for number in np.unique(numbers):
            piece, key, moods = self.parts[number]
            here = numbers == number
            own = places[here] - self.ends[number] + len(moods)
            before, current, heard = (part[own] for part in self.describe(piece, key))
            before = np.concatenate([before, moods[own]], axis=1)
            for which, part in enumerate((before, current, heard)):
                empty = np.empty((*places.shape, part.shape[1]), part.dtype)
                rows.setdefault(which, empty)[here] = part
        return [*rows.values()]


# %%
def fit_expressive(network, pieces, check, seed, epochs):
    """Train the network for so many epochs; return its losses, all streams, by epoch.

    `pieces`: KeyedPieces; `check`: returns the loss to note, that of training if None.
    """
    generator, curve = np.random.default_rng(seed), []
    window = min(SCHEDULE["window"], pieces.events)
    streams = max(1, min(SCHEDULE["streams"], pieces.events // window))
    update = None
    for _ in range(epochs):
        rows = Epoch(pieces, streams, generator)
        starts = range(0, rows.length - window + 1, window)
        update = update or make_update(network, epochs * len(starts))
        states, losses = zero_states(network, streams), []
        for start in starts:
            part = map(tf.constant, rows.read(start, window))
            loss, states = update(*part, *states)
            losses.append(float(loss))
        curve.append(check() if check else float(np.mean(losses)))
    return curve


# %%
def train_network(shape, learning, stopping, vocabulary, seed, epochs):
    """Return a trained network of a shape as a predictor, and its losses by epoch."""
    network = build_expressive(vocabulary, shape, seed)
    pieces = KeyedPieces(learning, vocabulary)
    predictor = ExpressivePredictor(network, vocabulary, pieces.scale)
    check = partial(total_nats, predictor, stopping, vocabulary) if stopping else None
    return predictor, fit_expressive(network, pieces, check, seed, epochs)


def train_expressive(learning, stopping, vocabulary, seed, epochs):
    """Return the trained expressive network as a predictor, and its losses by epoch."""
    return train_network(EXPRESSIVE, learning, stopping, vocabulary, seed, epochs)


def train_transformer(learning, stopping, vocabulary, seed, epochs):
    """Return the transformer in place of the LSTM, trained, and its losses by epoch."""
    return train_network(TRANSFORMER, learning, stopping, vocabulary, seed, epochs)


def total_nats(predictor, pieces, vocabulary):
    """Return the nats an event of pieces, all streams together."""
    scores = score_streams(predictor, pieces, vocabulary)
    return sum(score["nats_per_event"] for score in scores.values())


# %% [markdown]
# ### How it writes
#
# To write, the network reads the seed, then takes one event after the other: each head
# gives its distribution, a class is drawn, the next head is told. All four draws of all
# pieces side by side are one compiled step; the random numbers come from each piece's
# own generator. Left alone, the network strays a little more than real pieces do, so
# that step, token and duration are drawn slightly cooler than temperature 1;
# `temperature` multiplies that. A requested mood is *guided*: logits move from those
# without a mood through those with it, and beyond.

# %%
STREAM_TEMPERATURES = (0.96, 0.94, 0.97, 1.0)  # in EVENT_ORDER, at temperature 1
GUIDANCE = 3.0  # how far beyond; 1 is no guidance
LONGEST_JUDGED = 256  # events judged at a time
STREAM_COLUMNS = (1, 0, 2, 3)  # of EVENT_ORDER, where tokens stand before steps


def cut_tail(shares, top_p, top_k):
    """Return distributions (streams, classes) without their tails."""
    if 0 < top_k < shares.shape[-1]:
        least = tf.math.top_k(shares, top_k).values[:, -1:]
        shares = tf.where(shares < least, 0.0, shares)
    if top_p < 1:
        ordered = tf.sort(shares, direction="DESCENDING")
        total = tf.reduce_sum(ordered, axis=1, keepdims=True)
        before = tf.cumsum(ordered, axis=1, exclusive=True) / total
        least = tf.reduce_min(tf.where(before < top_p, ordered, 2.0), 1, keepdims=True)
        shares = tf.where(shares < least, 0.0, shares)
    return shares


def draw_classes(logits, uniforms, temperature, top_p, top_k):
    """Return a class for each row of logits (streams, classes) and number below 1."""
    shares = cut_tail(tf.nn.softmax(logits / temperature), top_p, top_k)
    cumulative = tf.cumsum(tf.cast(shares, tf.float64), axis=1)
    wanted = tf.minimum(uniforms, 1 - 1e-9)[:, None] * cumulative[:, -1:]
    return tf.reduce_sum(tf.cast(cumulative <= wanted, tf.int32), axis=1)


# %%
class Stage(NamedTuple):
    """Where streams stand: the last event as in `READ`, keys, onsets and states."""

    was: object  # (streams, 7)
    left: object  # (streams, 88): cells that each key sounds on
    onsets: object  # (streams, 96)
    states: tuple


def move_on(stage, event, states, notes, tops):
    """Return the stage behind a new event: token, step, duration, velocity (streams,).

    `notes` and `tops`: the multi-hot pitches and the highest pitch of each token.
    """
    (token, step, duration, velocity), was = event, stage.was
    position = (was[:, 4] + step) % BAR
    interval = tf.gather(tops, token) - tf.gather(tops, was[:, 0])
    interval = tf.clip_by_value(interval, -WIDEST, WIDEST) + WIDEST
    columns = (token, step, duration, velocity, position, interval, was[:, 0])
    cells = tf.gather(tf.constant(DURATIONS, tf.float32), duration)[:, None]
    left = stage.left - tf.cast(step, tf.float32)[:, None]
    left = tf.where(tf.gather(notes, token) > 0, cells, left)
    ahead = tf.range(MEMORY_CELLS)[None] - step[:, None]
    onsets = tf.gather(stage.onsets, tf.maximum(ahead, 0), batch_dims=1)
    onsets *= tf.cast(ahead >= 0, tf.float32)
    first = tf.one_hot(tf.zeros_like(step), MEMORY_CELLS)
    return Stage(tf.stack(columns, 1), left, tf.maximum(onsets, first), tuple(states))


# %%
def describe_seeds(seeds, moods, vocabulary):
    """Return what the reader hears in seeds, EVENT windows, equally long; keys; onsets.

    Each row ends with what it hears when it comes to the event behind the seed.
    """
    notes, parts, left = multi_hot(vocabulary), [], []
    for seed in seeds:
        events = tabulate(seed)
        parts.append(describe_events(np.concatenate([events, events[-1:]]), vocabulary))
        left.append(hold_keys(events, notes)[-1])
    before, _, heard = (np.stack(arrays) for arrays in zip(*parts))
    told = np.repeat(np.asarray(moods, np.int32)[:, None], before.shape[1], axis=1)
    onsets = heard[..., PITCHES:].astype(np.float32)
    return np.concatenate([before, told], 2), np.array(left, np.float32), onsets


def read_seeds(listen, states, seeds, moods, vocabulary):
    """Return the stage of streams that have read seeds: EVENT windows, equally long.

    `listen`: see `compile_listening`; `moods`: (streams, 2) integers.
    """
    before, left, onsets = describe_seeds(seeds, moods, vocabulary)
    for start in range(0, before.shape[1] - 1, LONGEST_JUDGED):
        part = slice(start, min(start + LONGEST_JUDGED, before.shape[1] - 1))
        states = listen(before[:, part], onsets[:, part], states)
    was = tf.constant(before[:, -1, : len(READ)])
    return Stage(was, tf.constant(left), tf.constant(onsets[:, -1]), tuple(states))


# %%
class EventDraws:
    """How the expressive network's logits become classes, with guidance if asked."""

    def __init__(self, network, vocabulary, top_p, top_k, guided):
        names = ("reader", *(f"{stream}_head" for stream in EVENT_ORDER))
        self.parts = [network.get_layer(name) for name in names]
        self.notes = tf.constant(multi_hot(vocabulary))
        tops = [chord[-1] for chord in vocabulary.chords]
        self.tops = tf.constant(tops, tf.int32)
        self.cut, self.guided = (top_p, top_k), guided

    def pick(self, logits, uniforms, temperature):
        """Return classes drawn from logits (streams, 1, classes).

        With guidance the second half of the streams has not heard the mood.
        """
        logits = logits[:, 0]
        if self.guided:
            asked, free = tf.split(logits, 2)
            logits = free + GUIDANCE * (asked - free)
        drawn = draw_classes(logits, uniforms, temperature, *self.cut)
        return tf.tile(drawn, [2]) if self.guided else drawn


# %%
class EventWriter(EventDraws):
    """The expressive network's heads, one event of every stream at a time."""

    def take(self, stage, moods, uniforms, banned, temperatures):
        """Return the stage behind one new event of every stream.

        `uniforms`: (pieces, 4) numbers below 1; `banned`: tokens (streams, any) that
        may not come, −1 for none.
        """
        reader, step_head, token_head, duration_head, velocity_head = self.parts
        was = tf.unstack(stage.was[:, :, None], axis=1)
        moods = tf.unstack(moods[:, :, None], axis=1)
        onsets = stage.onsets[:, None]
        read, roll, *states = reader([*was[:6], *moods, onsets, *stage.states])
        draws = list(zip(tf.unstack(uniforms, axis=1), tf.unstack(temperatures)))
        step = self.pick(step_head(read), *draws[0])
        position = (stage.was[:, 4] + step)[:, None] % BAR
        sounding = stage.left - tf.cast(step, tf.float32)[:, None] > 0
        sounding = tf.cast(sounding, tf.float32)[:, None]
        places = [was[0], was[6], step[:, None], position]
        logits = token_head([read, roll, sounding, *places])
        shut = tf.reduce_max(tf.one_hot(banned, logits.shape[-1]), axis=1)
        token = self.pick(logits - 1e9 * shut[:, None], *draws[1])
        known = [read, token[:, None], step[:, None], position]
        duration = self.pick(duration_head([*known, was[2]]), *draws[2])
        known = [*known, was[3], duration[:, None]]
        velocity = self.pick(velocity_head(known), *draws[3])
        chosen = (token, step, duration, velocity)
        return move_on(stage, chosen, states, self.notes, self.tops)


# %%
def write_events(step, stage, history, length, generators, watch=None):
    """Return events (streams, length, 4), and how often each stream left a loop.

    `step`: from a stage, random numbers (streams, 4) and banned tokens (streams,
    `LONGEST_LOOP`; −1 bans none) to the next stage; `history`: tokens before;
    `watch`: told the share that is done.
    """
    streams, rows, left = len(history), [], np.zeros(len(history), dtype=int)
    drawn = np.stack([each.random((length, 4)) for each in generators], axis=1)
    for uniforms in watched(drawn, watch):
        banned = np.full((streams, LONGEST_LOOP), -1)
        for turn in range(LONGEST_LOOP + 1):
            after = step(stage, uniforms, banned)
            event = after.was.numpy()[:streams, :4]
            looping = np.flatnonzero(closes_loop(history, event[:, 0]))
            if not len(looping) or turn == LONGEST_LOOP:
                break
            banned[looping, turn] = event[looping, 0]
            for number in looping:
                uniforms[number] = generators[number].random(4)
            left[looping] += 1
        stage = after
        rows.append(event)
        history = np.column_stack([history, event[:, 0]])[:, -LONGEST_HISTORY:]
    return np.stack(rows, axis=1), left


# %% [markdown]
# ### The expressive model at work
#
# It answers to the same two calls as the tables and the published network: `score` judges
# the events of a piece, in all four streams; `write` goes on from seeds.


# %%
class ExpressiveJudge:
    """The expressive network asked how likely the events of a known piece were."""

    def __init__(self, network, vocabulary, scale):
        self.network, self.vocabulary, self.scale = network, vocabulary, scale
        self.judge = tf.function(self.judge_window, autograph=False)

    def judge_window(self, before, current, heard, states):
        """Return nats and hits (4, events) of one window of a piece, and new states."""
        heard = tf.cast(heard, tf.float32)
        outputs = self.network([before, current, heard, *states], training=False)
        nats = tf.stack([row[0] for row in stream_losses(outputs, current)])
        best = tf.stack([tf.argmax(row[0], 1, tf.int32) for row in outputs[:4]])
        hits = best == tf.gather(tf.transpose(current[0]), STREAM_COLUMNS)
        return nats, hits, outputs[4:]

    def score(self, sequence):
        """Return, by stream, the nats and the hits of each event but the first."""
        events, states, rows = tabulate(sequence), zero_states(self.network, 1), []
        before, *others = describe_events(events, self.vocabulary)
        before = np.pad(before, ((0, 0), (0, 2)))  # of no mood
        room = ((0, -len(events) % LONGEST_JUDGED), (0, 0))
        arrays = [np.pad(row, room)[None] for row in (before, *others)]
        for start in range(0, arrays[0].shape[1], LONGEST_JUDGED):
            part = slice(start, start + LONGEST_JUDGED)
            part = [tf.constant(array[:, part]) for array in arrays]
            *row, states = self.judge(*part, states)
            rows.append([array.numpy() for array in row])
        both = [np.concatenate(part, 1)[:, 1 : len(events)] for part in zip(*rows)]
        return dict(zip(EVENT_ORDER, zip(*both)))


# %%
class ExpressiveWriter(ExpressiveJudge):
    """The expressive network's compiled functions for writing, made when asked for."""

    def __init__(self, network, vocabulary, scale):
        super().__init__(network, vocabulary, scale)
        self.writers, self.listen = {}, compile_listening(network)

    def compile_writer(self, *key):
        """Return the compiled `EventWriter.take` for top_p, top_k and guidance."""
        if key not in self.writers:
            writer = EventWriter(self.network, self.vocabulary, *key)
            self.writers[key] = tf.function(writer.take, autograph=False)
        return self.writers[key]

    def describe(self):
        """Return what a bundle must know beside the weights, as plain data."""
        return {"mood_scale": [part.tolist() for part in self.scale]}


# %%
def compile_listening(network):
    """Return a compiled function that reads windows of events of any length.

    From events before (streams, time, 9), past onsets and states to new states.
    """
    reader = network.get_layer("reader")

    def listen(before, onsets, states):
        was = tf.unstack(before, axis=2)
        return reader([*was[:6], *was[7:], onsets, *states], training=False)[2:]

    signature = [
        tf.TensorSpec((None, None, len(READ) + 2), tf.int32),
        tf.TensorSpec((None, None, MEMORY_CELLS), tf.float32),
        [tf.TensorSpec(state.shape) for state in network.inputs[3:]],
    ]
    return tf.function(listen, signature, autograph=False)


# %%
class ExpressivePredictor(ExpressiveWriter):
    """The expressive network at work: it judges known events, or writes new ones."""

    def write(self, seeds, length, sampling, generators, rhythm, moods=None,
              watch=None):  # fmt: skip
        """Return new events (streams, length), and how often each left a loop.

        `seeds`: EVENT windows; `moods`: (streams, 2), 0 for any; `rhythm`: not needed;
        `watch`: told the share that is done.
        """
        guided = moods is not None and bool(np.any(moods))
        moods = np.asarray(moods if guided else np.zeros((len(seeds), 2)), np.int32)
        if guided:  # each stream once more, without its mood
            moods = np.concatenate([moods, np.zeros_like(moods)])
        writer = self.compile_writer(*sampling[1:], guided)
        step = make_step(writer, moods, sampling[0], guided)
        told = [*seeds] * (1 + guided)
        states = zero_states(self.network, len(told))
        stage = read_seeds(self.listen, states, told, moods, self.vocabulary)
        history = np.array([seed["token"] for seed in seeds])
        rows, left = write_events(step, stage, history, length, generators, watch)
        return [make_events(row) for row in rows], left


# %%
def make_step(writer, moods, temperature, guided):
    """Return the step of `write_events` for a compiled writer, moods and settings."""
    temperatures = np.multiply(STREAM_TEMPERATURES, float(temperature))
    temperatures = tf.constant(temperatures, tf.float32)
    moods, compiled = tf.constant(moods, tf.int32), []

    def step(stage, uniforms, banned):
        banned = tf.constant(np.tile(banned, (1 + guided, 1)), tf.int32)
        inputs = (stage, moods, tf.constant(uniforms), banned, temperatures)
        if not compiled:  # looked up once, not at each event
            compiled.append(writer.get_concrete_function(*inputs))
        return compiled[0](*inputs)

    return step


# %%
def make_events(rows):
    """Return integers (events, 4) as an array of EVENT."""
    events = np.zeros(len(rows), dtype=EVENT)
    for column, stream in enumerate(("token", "step", "duration", "velocity")):
        events[stream] = rows[:, column]
    return events


# %% [markdown]
# ### Is it new?
#
# A model may copy. The *longest run* of a piece is the longest row of events that also
# stands in a training piece, in whatever key. Every generated piece carries its longest
# run, with the training piece and the bar; `LONGEST_COPY` sets a limit. Where a piece
# goes beyond it, it is taken back to just before and drawn anew from there.


# %%
def list_sonorities(piece):
    """Return the pitches that start together, low to high, for each event."""
    return [tuple(group) for _, group in list_groups(piece)]


def relative_events(piece):
    """Return each event with the one before it, the same in every key."""
    sonorities = list_sonorities(piece)
    shapes = [tuple(pitch - chord[0] for pitch in chord) for chord in sonorities]
    moves = [b[0] - a[0] for a, b in zip(sonorities, sonorities[1:])]
    return list(zip(moves, shapes, shapes[1:]))


# %%
class Sources:
    """Training pieces laid end to end, to find what was copied from them."""

    def __init__(self, pieces):
        self.pieces, places, size = list(pieces), {}, 0
        lengths = [len(group_notes(piece)[0]) for piece in pieces]
        self.ends = np.cumsum(lengths, dtype=np.int64)
        for piece, length in zip(pieces, lengths):
            for place, event in enumerate(relative_events(piece), size):
                places.setdefault(event, []).append(place)
            size += length
        self.places = {event: np.array(rows) for event, rows in places.items()}
        self.size = size

    def locate(self, run, place):
        """Return the shared run of so many relative events that ends at a place."""
        if not run:
            return SharedRun()
        number = int(np.searchsorted(self.ends, place, "right"))
        source, first = self.pieces[number], self.ends[number - 1] if number else 0
        cell = group_notes(source)[0][place - first - run + 1]
        beats, unit = source.metre
        return SharedRun(
            run + 1, source.name, 1 + int(cell // (GRID * beats * 4 / unit))
        )


# %%
def trace_runs(piece, sources):
    """Return (relative events, place) of the longest run up to each relative event."""
    nothing, rows = np.zeros(0, dtype=np.int64), []
    before, runs = nothing, np.zeros(sources.size + 1, dtype=np.int32)
    for event in relative_events(piece):
        places = sources.places.get(event, nothing)
        longer = runs[places] + 1  # runs[i]: that which ends at place i - 1
        runs[before] = 0
        before = places + 1
        runs[before] = longer
        best = int(longer.argmax()) if len(places) else 0
        rows.append((int(longer[best]), int(places[best])) if len(places) else (0, -1))
    return rows


def find_shared_run(piece, sources):
    """Return the longest run of events that a piece shares with its sources."""
    runs = trace_runs(piece, sources)
    return sources.locate(*max(runs, key=lambda row: row[0], default=(0, -1)))


# %%
def cut_before_copy(before, events, vocabulary, sources, limit):
    """Return how many events stand before the first run beyond a limit ends.

    None if there is none that ends in `events`; `before`: what they go on from.
    """
    events = np.concatenate([before, events])
    piece = Piece("", decode(events, vocabulary), 120.0)
    cells, runs = group_notes(piece)[0], trace_runs(piece, sources)
    numbers = np.searchsorted(np.cumsum(events["step"], dtype=np.int64), cells[1:])
    for number, (run, _) in zip(numbers.tolist(), runs):
        if run >= limit and number >= len(before):
            return number - len(before)
    return None


# %%
def keep_to_limit(events, seed, limit, write, model, joined):
    """Return events without runs beyond a limit, drawn anew where they had some.

    `write`: takes seeds and a length, gives the rows that go on from them; `joined`:
    runs that begin in the seed count.
    """
    known, past = (model.vocabulary, model.sources), seed if joined else seed[:0]
    for attempt in range(COPY_ATTEMPTS):
        kept = cut_before_copy(past, events, *known, limit)
        if kept is None:
            return events
        kept = max(0, kept - attempt % 10)
        before = np.concatenate([seed, events[:kept]])
        rows, _ = write([before], len(events) - kept)
        events = np.concatenate([events[:kept], rows[0]])
    raise NotebookError(
        f"Nothing was generated: {model.name} went beyond longest_copy={limit} "
        f"{COPY_ATTEMPTS} times; allow a longer run, or another seed."
    )


COPY_ATTEMPTS = 100  # times that a piece is drawn anew


# %%
def generate_pieces(model, seeds, length, *, sampling=None, generator, tempo=None,
                    moods=None, joined=False, longest_copy=None,
                    watch=None):  # fmt: skip
    """Return one new piece of `length` events for each seed, an array of EVENT.

    `sampling`: temperature, top_p, top_k; `tempo`: bpm; `moods`: energy and brightness
    (streams, 2), 1 to 3, 0 for any; `joined`: begin with the seed; `longest_copy`: see
    section 2, whose settings hold where None is given; `watch`: see `generate_music`.
    """
    sampling = sampling or (TEMPERATURE, TOP_P, TOP_K)
    limit = LONGEST_COPY if longest_copy is None else longest_copy
    generators = generator.spawn(len(seeds))
    moods = np.zeros((len(seeds), 2), np.int32) if moods is None else np.array(moods)
    write = partial(model.predictor.write, sampling=sampling, rhythm=model.rhythm)
    rows, loops = write(seeds, length, generators=generators, moods=moods, watch=watch)
    entropy, pieces = generator.bit_generator.seed_seq.entropy, []
    told = f"temperature {{}}, top_p {{}}, top_k {{}}, seed {entropy}"
    for i, (seed, events) in enumerate(zip(seeds, rows)):
        if limit:
            own = slice(i, i + 1)
            rest = {"generators": generators[own], "moods": moods[own]}
            again = partial(write, **rest, watch=watch)
            events = keep_to_limit(events, seed, limit, again, model, joined)
        remarks = f"loops left by drawing again: {loops[i]}" if loops[i] else ""
        piece = make_generated(model, seed, events, joined)
        pieces.append(replace(piece, name=f"{model.name} {i + 1}", remarks=remarks,
                              settings=told.format(*sampling),
                              tempo=tempo or model.tempo))  # fmt: skip
    return pieces


# %%
def make_generated(model, seed, events, joined):
    """Return events behind a seed as a piece, placed in the bar where the seed ends."""
    events = np.concatenate([seed, events])
    place = bar_places(events)[len(seed)]
    if not joined:
        events = events[len(seed) :]
        events["step"][0] = place
    piece = Piece(model.name, decode(events, model.vocabulary), model.tempo)
    return replace(piece, shared=find_shared_run(piece, model.sources))


# %% [markdown]
# ## 8 Cross-validation
#
# **How well does it predict unseen pieces?** And does what it writes resemble them? The
# published project names three measures and defines none. Here each compares two groups
# of pieces through a histogram of what stands in all of them:
#
# * `kl_divergence`: $D(\mathrm{real} \Vert \mathrm{generated})$ in nats over the 88
#   pitches, 0.5 added to each count; 0 is perfect;
# * `interval_similarity`: cosine between the histograms of the moves from one event's
#   highest note to the next one's, in semitones from −24 to 24, which hold all wider
#   ones; 1 is perfect. Where the left hand plays alone, its note counts;
# * `rhythm_similarity`: cosine between the histograms of the time between onsets, in
#   grid cells up to four quarter notes; 1 is perfect.


# %%
def count_pitches(piece):
    """Return how often each of the 88 pitches stands in a piece."""
    return np.bincount(piece.notes["pitch"] - LOWEST_PITCH, minlength=PITCHES)


def top_voice(piece):
    """Return the highest pitch of each event of a piece."""
    cells, numbers = group_notes(piece)
    top = np.zeros(len(cells), dtype=int)
    np.maximum.at(top, numbers, piece.notes["pitch"])
    return top


def count_intervals(piece):
    """Return counts of the top voice's intervals, −24 … 24 semitones, clipped."""
    return np.bincount(np.clip(np.diff(top_voice(piece)), -24, 24) + 24, minlength=49)


def count_steps(piece):
    """Return counts of the grid cells between onsets, 0 … 48, longer ones clipped."""
    steps = np.diff(group_notes(piece)[0])
    return np.bincount(np.minimum(steps, LONGEST_STEP), minlength=LONGEST_STEP + 1)


# %%
def divergence(real, generated):
    """Return the Kullback-Leibler divergence D(real‖generated) of counts, in nats.

    Sums over the last axis; 0.5 is added to each count. NaN where a side has no counts.
    """
    empty = (real.sum(-1) == 0) | (generated.sum(-1) == 0)
    p, q = (
        (counts + 0.5) / (counts + 0.5).sum(-1, keepdims=True)
        for counts in (real, generated)
    )
    return np.where(empty, np.nan, (p * np.log(p / q)).sum(-1))


def cosine(real, generated):
    """Return the cosine of counts, over the last axis; NaN where a side has none."""
    lengths = np.linalg.norm(real, axis=-1) * np.linalg.norm(generated, axis=-1)
    product = (real * generated).sum(-1)
    return np.divide(
        product, lengths, where=lengths > 0, out=np.full(np.shape(product), np.nan)
    )


# %%
HEADLINE_METRICS = {
    "kl_divergence": (count_pitches, divergence, "lower"),
    "interval_similarity": (count_intervals, cosine, "higher"),
    "rhythm_similarity": (count_steps, cosine, "higher"),
}


def compare(metric, real, generated):
    """Return a headline metric's value between two groups of pieces."""
    count, measure, _ = HEADLINE_METRICS[metric]
    sums = [
        np.sum([count(piece) for piece in pieces], axis=0)
        for pieces in (real, generated)
    ]
    value = float(measure(*sums)) if all(np.ndim(counts) for counts in sums) else np.nan
    if np.isnan(value):
        warnings.warn(
            f"{metric} is not defined: one side has nothing to count", stacklevel=2
        )
    return value


def kl_divergence(real, generated):
    """Return D(real‖generated) over the pitches of two groups of pieces, in nats."""
    return compare("kl_divergence", real, generated)


# %%
def interval_similarity(real, generated):
    """Return the cosine between two groups' histograms of the top voice's intervals."""
    return compare("interval_similarity", real, generated)


def rhythm_similarity(real, generated):
    """Return the cosine between two groups' histograms of steps between onsets."""
    return compare("rhythm_similarity", real, generated)


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
        place = bar_places(events)[start]
        events = events[start : start + length].copy()
        events["step"][0] = place  # so that beats stay beats
        excerpts.append(Piece(piece.name, decode(events, vocabulary), piece.tempo))
    return excerpts


def usual_length(pieces, vocabulary):
    """Return how many events excerpts of pieces have on average, to write as many."""
    lengths = [len(encode(piece, vocabulary)) for piece in pieces]
    return round(np.mean(np.minimum(lengths, GENERATED_EVENTS)))


def choose_seeds(pieces, vocabulary, count, generator):
    """Return `count` windows of events from random places of some pieces."""
    features, _ = make_windows(
        [encode(piece, vocabulary) for piece in pieces], SEQUENCE_LENGTH
    )
    return [features[i] for i in generator.integers(len(features), size=count)]


# %% [markdown]
# Each fold trains in a process of its own on one thread, so that side by side or one
# after the other give the same numbers. A fold that is finished is kept: stop the
# notebook anywhere, run it again, and it goes on with the folds that are missing. A fold
# is trained again when its pieces, its settings or the code that it runs have changed.

# %%
TRAINERS = {
    "uniform": train_uniform,
    "unigram": train_unigram,
    "ngram": train_ngram,
    "published": train_published,
    "expressive": train_expressive,
    "transformer": train_transformer,
}
FIXED_SCHEDULE = (
    "expressive",
    "transformer",
)  # trained for as many epochs as asked, never fewer
BASELINES = ("uniform", "unigram", "ngram")


@dataclass(frozen=True)
class Model:
    """A trained model: what predicts, its vocabulary, and what lends it rhythm."""

    name: str
    predictor: object
    vocabulary: Vocabulary
    rhythm: np.ndarray  # EVENT rows of the learning pieces
    tempo: float  # quarter notes a minute, of what it generates
    settings: dict
    sources: Sources = Sources([])  # the learning pieces


# %%
def train_fold(name, trainer, learning, stopping, seed, epochs):
    """Return a model trained on some pieces by a trainer, and its losses by epoch."""
    vocabulary = build_vocabulary(learning, VOCABULARY_SIZE)
    predictor, curve = trainer(learning, stopping, vocabulary, seed, epochs)
    rhythm = np.concatenate([encode(piece, vocabulary) for piece in learning])
    tempo = float(np.median([piece.tempo for piece in learning]))
    chosen = stopping and name not in FIXED_SCHEDULE  # else all epochs were used
    best = epochs if not chosen else int(np.argmin(curve)) + 1 if curve else 0
    settings = {"seed": seed, "epochs": best, "sequence_length": SEQUENCE_LENGTH}
    settings.update(predictor.describe())
    sources = Sources(learning)
    return Model(name, predictor, vocabulary, rhythm, tempo, settings, sources), curve


# %%
def run_fold(name, trainer, learning, stopping, held_out, seed):
    """Return a fold's row for the table of the cross-validation, and its losses."""
    started = time.perf_counter()
    epochs = EXPRESSIVE_FOLD_EPOCHS if name in FIXED_SCHEDULE else EPOCHS
    model, curve = train_fold(name, trainer, learning, stopping, seed, epochs)
    seconds = time.perf_counter() - started
    streams = score_streams(model.predictor, held_out, model.vocabulary)
    row = {
        "epochs": model.settings["epochs"],
        "seconds": round(seconds, 1),
        **streams["token"],
    }
    generator = np.random.default_rng(seed)
    real = cut_excerpts(held_out, model.vocabulary, GENERATED_EVENTS, generator)
    seeds = choose_seeds(learning, model.vocabulary, len(real), generator)
    length = usual_length(held_out, model.vocabulary)
    generated = generate_pieces(model, seeds, length, generator=generator)
    row.update(
        {metric: compare(metric, real, generated) for metric in HEADLINE_METRICS}
    )
    keras.utils.clear_session()  # the process goes on with another fold
    curve = [float(loss) for loss in curve]
    return {"row": row, "curve": curve, "streams": streams}


# %%
def list_fold_jobs(names, pieces, folds, seed):
    """Return the arguments of `run_fold` for each model and fold."""
    jobs = []
    for name, (number, (train, test)) in itertools.product(names, enumerate(folds)):
        parts = (*hold_back(train, seed + number), test)
        learning, stopping, held_out = ([pieces[i] for i in part] for part in parts)
        trainer = TRAINERS[name]
        jobs.append((name, trainer, learning, stopping, held_out, seed + number))
    return jobs


def cross_validate(names, pieces, folds, seed, cache_folder):
    """Return a table with a row a model and fold, and the losses by (model, fold).

    A third table has a row for each stream of events as well.
    """
    jobs = list_fold_jobs(names, pieces, folds, seed)
    results = run_cached(run_fold, jobs, cache_folder, "folds")
    rows, curves, streams = [], {}, []
    for (name, *_, held_out, fold_seed), result in zip(jobs, results):
        fold = fold_seed - seed + 1
        files = "; ".join(piece.name for piece in held_out)
        row = {"model": name, "fold": fold, "pieces_held_out": files}
        rows.append({**row, **result["row"]})
        curves[name, fold] = result["curve"]
        for stream, scores in result["streams"].items():
            place = {"model": name, "fold": fold, "stream": stream}
            streams.append({**place, **scores})
    return pd.DataFrame(rows), curves, pd.DataFrame(streams)


# %% tags=["active-ipynb"]
# fold_table, fold_curves, stream_table = cross_validate(
#     (*BASELINES, *MODELS), training_pieces, folds, SEED, CACHE_FOLDER
# )
# save_table(fold_table.assign(run=RUN_KIND), "cross_validation")
# save_table(stream_table.assign(run=RUN_KIND), "streams")
# shown = [
#     "pieces_held_out",
#     "epochs",
#     "nats_per_event",
#     "nats_per_note",
#     "accuracy",
#     *HEADLINE_METRICS,
# ]
# networks = fold_table[fold_table["model"].isin(MODELS)]
# networks.set_index(["model", "fold"])[shown].round(3)

# %% [markdown]
# `nats_per_event` and `accuracy` are those of the token, which all models predict. The
# expressive network is told the event's step first, and each fold trains it by a shorter
# schedule than the final model's.


# %%
def plot_curves(curves, name, ax):
    """Draw a model's losses by epoch, a thin line a fold; the mean while all train."""
    lines = [curve for (model, _), curve in curves.items() if model == name]
    for curve in lines:
        epochs = range(1, len(curve) + 1)
        ax.plot(epochs, curve, ".-", color=GENERATED, linewidth=0.6, markersize=2)
    shortest = min(map(len, lines))
    shared = np.array([curve[:shortest] for curve in lines])
    mean, spread = shared.mean(axis=0), shared.std(axis=0)
    epochs, band = np.arange(1, shortest + 1), {"color": GENERATED, "alpha": 0.2}
    ax.plot(epochs, mean, color=GENERATED, linewidth=2, label="mean of the folds")
    ax.fill_between(epochs, mean - spread, mean + spread, label="± one sd", **band)
    streams = "four streams" if name in FIXED_SCHEDULE else "token"
    title = f"{name}: pieces held back from learning"
    ax.set(title=title, xlabel="epoch", ylabel=f"nats an event, {streams}")
    ax.legend()
    return ax


# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(1, len(MODELS), figsize=WIDE, squeeze=False)
# for name, ax in zip(MODELS, axes.flat):
#     plot_curves(fold_curves, name, ax)
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
    return pd.DataFrame(
        {metric: compare(metric, *pair) for metric in HEADLINE_METRICS}
        for pair in itertools.permutations(groups, 2)
    )


# %% tags=["active-ipynb"]
# fold_means = fold_table.groupby("model", sort=False).mean(numeric_only=True)
# fold_floor = compare_folds(training_pieces, folds, vocabulary, SEED)
# fold_floor["model"] = "real against real"
# pd.concat([summarise_folds(fold_table), summarise_folds(fold_floor)]).fillna("")

# %% [markdown]
# The network that predicts best seems to write the worst pitches and rhythms. But a
# fold compares two pieces with two, and two pieces that keep a key and a groove of
# their own lie as far from two others as the last row says. Tables mix all keys and
# grooves, and so come near to every piece without sounding like any. Section 10
# compares at full size, with intervals.

# %% tags=["active-ipynb"]
# gain = fold_means.loc["unigram", "nats_per_event"] - fold_means["nats_per_event"]
# gains = [f"{name} **{gain[name]:+.2f}**" for name in (*MODELS, "ngram")]
# display(
#     Markdown(
#         f"Gains against the unigram, in nats an event: {', '.join(gains)} (means of "
#         f"{FOLDS} folds; below zero is worse)."
#     )
# )

# %% [markdown]
# A note is more than its token. The next table gives each stream its own column, in
# nats a note, so that they can be added up; the tables of section 6 predict each stream
# from its own past.


# %%
def summarise_streams(table):
    """Return each model's mean nats a note by stream, and their sum if it has all."""
    means = table.pivot_table("nats_per_note", "model", "stream", sort=False)
    both = means["token"] + means["step"]
    total = means.sum(axis=1, min_count=1 + len(STREAM_SIZES))
    return means.assign(**{"token + step": both, "sum": total})


# %% tags=["active-ipynb"]
# summarise_streams(stream_table).round(3)

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
# as one bundle: weights, vocabulary and settings, with checksums of each. Parts that do
# not belong together are refused by name; nothing in a bundle is ever executed.


# %%
def save_model(model, folder):
    """Keep a network's model as a bundle of files; its manifest is written last."""
    folder = Path(folder)
    learnt = [
        [piece.name, piece.metre, encode(piece, model.vocabulary).tolist()]
        for piece in model.sources.pieces
    ]
    parts = {
        "weights.keras": network_bytes(model.predictor.network),
        "vocabulary.json": json.dumps(model.vocabulary.chords).encode(),
        "sources.json": json.dumps(learnt).encode(),
    }
    for name, data in parts.items():
        write_whole(folder / name, data)
    manifest = {
        "name": model.name,
        "tempo": model.tempo,
        "settings": model.settings,
        "parts": {
            name: hashlib.sha256(data).hexdigest() for name, data in parts.items()
        },
    }
    write_whole(folder / "settings.json", json.dumps(manifest, indent=1).encode())


# %%
def network_bytes(network):
    """Return a Keras network as the bytes of a file."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.keras"
            network.save(path)
            return path.read_bytes()
    except OSError as error:
        raise cannot_write(tempfile.gettempdir(), error) from None


BUNDLE_PARTS = ("sources.json", "vocabulary.json", "weights.keras")


def refuse_model(folder, reason):
    """Return the error that says why a bundle cannot be used."""
    return NotebookError(f"The model in {folder} is refused: {reason}. Train it again.")


# %%
def read_bundle(folder):
    """Return a bundle's manifest and the bytes of its parts, each checked."""
    try:
        manifest = json.loads((folder / "settings.json").read_bytes())
        checksums = dict(manifest["parts"])
        if sorted(checksums) != list(BUNDLE_PARTS):
            words = f"it has {sorted(checksums)} in place of {list(BUNDLE_PARTS)}"
            raise refuse_model(folder, words)
        parts = {name: (folder / name).read_bytes() for name in BUNDLE_PARTS}
    except OSError as error:
        raise refuse_model(folder, f"{error.filename} cannot be read") from None
    except (ValueError, KeyError, TypeError):
        raise refuse_model(folder, "settings.json is damaged") from None
    for name, data in parts.items():
        if hashlib.sha256(data).hexdigest() != checksums[name]:
            raise refuse_model(folder, f"{name} does not belong to its settings.json")
    return manifest, parts


# %%
def load_network(path):
    """Return the Keras network in a file; raise NotebookError where there is none."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception:  # damaged archives make their readers raise errors of every kind
        words = f"{path.name} holds no network that is safe to load"
        raise refuse_model(path.parent, words) from None


def restore_predictor(network, vocabulary, settings):
    """Return how many tokens a loaded network knows, and the network at work."""
    if network.name in FIXED_SCHEDULE:
        size = network.output_shape[EVENT_ORDER.index("token")][-1]
        scale = MoodScale(*map(np.array, settings["mood_scale"]))
        return size, ExpressivePredictor(network, vocabulary, scale)
    size, length = network.output_shape[-1], int(settings["sequence_length"])
    return size, PublishedPredictor(network, size, length)


# %%
def read_sources(data, vocabulary, tempo):
    """Return what lends rhythm, and the sources, of the bytes in a bundle."""
    pieces, parts = [], []
    for name, metre, rows in json.loads(data):
        parts.append(np.array([tuple(row) for row in rows], dtype=EVENT))
        notes = decode(parts[-1], vocabulary)
        pieces.append(Piece(str(name), notes, tempo, tuple(metre)))
    return np.concatenate(parts), Sources(pieces)


# %%
def load_model(folder):
    """Return the model in a folder; raise NotebookError where its parts do not fit."""
    folder = Path(folder)
    manifest, parts = read_bundle(folder)
    try:
        name, tempo, settings = (manifest[key] for key in ("name", "tempo", "settings"))
        vocabulary = Vocabulary(json.loads(parts["vocabulary.json"]))
        rhythm, sources = read_sources(parts["sources.json"], vocabulary, tempo)
        network = load_network(folder / "weights.keras")
        size, predictor = restore_predictor(network, vocabulary, settings)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise refuse_model(folder, f"a part is damaged ({error!r:.80})") from None
    if size != len(vocabulary):
        words = f"weights.keras knows {size} tokens, vocabulary.json {len(vocabulary)}"
        raise refuse_model(folder, words)
    return Model(name, predictor, vocabulary, rhythm, tempo, settings, sources)


# %%
def final_model(name, pieces, epochs, seed, folder):
    """Return the model trained on all pieces: loaded where it fits, or else trained."""
    key = fingerprint(train_fold, TRAINERS[name], save_model, pieces, epochs, seed)
    if (Path(folder) / "settings.json").exists():
        try:
            model = load_model(folder)
            if model.settings.get("fingerprint") == key:
                print(f"The {name} model was there already.")
                return model
        except NotebookError as error:
            print(error)
    model, _ = train_fold(name, TRAINERS[name], pieces, [], seed, epochs)
    model.settings["fingerprint"] = key
    if name not in BASELINES:
        save_model(model, folder)
    return model


# %% tags=["active-ipynb"]
# models = {}
# for name in (*BASELINES[1:], *MODELS):
#     rows = fold_table[fold_table["model"] == name]
#     epochs = max(1, round(rows["epochs"].mean()))
#     epochs = EXPRESSIVE_EPOCHS if name in FIXED_SCHEDULE else epochs
#     models[name] = final_model(
#         name, training_pieces, epochs, SEED, Path(OUTPUT_FOLDER) / "models" / name
#     )
# model = models[MODELS[-1]]

# %% [markdown]
# ## 9 Generation
#
# **What does it write?** `generate_music` goes on from a seed, a window of events such as
# each of `features`, and returns a piece. It takes whatever the cell above left in
# `model`; try another one of `models`.


# %%
def is_table(value, kind):
    """Return whether a value is an array of rows of a kind, EVENT or NOTE."""
    return isinstance(value, np.ndarray) and value.dtype == kind and value.ndim == 1


def check_generation(seed, length, temperature, top_p, top_k):
    """Raise NotebookError where a setting of generation makes no sense."""
    a_seed = is_table(seed, EVENT)
    checks = (
        (a_seed and len(seed) > 0,
         "the seed must be a window of events, such as random.choice(features)"),
        (isinstance(length, Integral) and 1 <= length <= LONGEST_PIECE,
         f"length must be a whole number from 1 to {LONGEST_PIECE}, not {length!r}"),
        (isinstance(temperature, Real) and 0.01 <= temperature <= 100,
         f"temperature must be from 0.01 to 100, not {temperature!r}"),
        (isinstance(top_p, Real) and 0 < top_p <= 1,
         f"top_p must be above 0 and at most 1, not {top_p!r}"),
        (isinstance(top_k, Integral) and top_k >= 0,
         f"top_k must be 0 (all tokens) or a positive whole number, not {top_k!r}"),
    )  # fmt: skip
    for good, sentence in checks:
        if not good:
            raise NotebookError(f"Nothing was generated: {sentence}.")


# %%
def check_tokens(seed, vocabulary):
    """Raise NotebookError where a seed has tokens that a vocabulary lacks."""
    if not 0 <= seed["token"].min() <= seed["token"].max() < len(vocabulary):
        raise NotebookError("Encode the seed with the vocabulary of this model.")


def read_generator(given):
    """Return NumPy's generator: as given, from a seed, or by Python's `random`."""
    if isinstance(given, np.random.Generator):
        return given
    seed = random.getrandbits(64) if given is None else given
    if not (isinstance(seed, Integral) and seed >= 0):
        raise NotebookError(f"generator must be NumPy's or a seed, not {seed!r}.")
    return np.random.default_rng(seed)


def check_limit(limit):
    """Raise NotebookError unless a value can limit the length of shared runs."""
    if limit is not None and not (isinstance(limit, Integral) and limit >= 0):
        raise NotebookError(
            f"longest_copy must be 0 (any) or a positive whole number, not {limit!r}."
        )


LONGEST_PIECE = 100_000  # events


# %% [markdown]
# A mood is asked of the expressive model by name. It writes a few takes side by side, and
# the one whose measured mood comes nearest is returned.

# %%
MOOD_TAKES = 4  # pieces written for a requested mood, of which one is kept


def read_mood(energy, brightness):
    """Return energy and brightness as 1, 2 or 3 (low, middle, high), 0 for any."""
    for what, asked in (("energy", energy), ("brightness", brightness)):
        if asked is not None and asked not in MOODS:
            raise NotebookError(
                f"Nothing was generated: {what} must be one of {', '.join(MOODS)} "
                f"(or None for any), not {asked!r}."
            )
    return [1 + MOODS.index(mood) if mood else 0 for mood in (energy, brightness)]


def end_of_primer(seed):
    """Return the quarter lengths behind which stands what a model adds to a seed."""
    return (int(seed["step"].sum()) + 0.5) / GRID


def measure_mood(model, piece):
    """Return the measured energy and brightness of a piece, in a model's scale."""
    events = tabulate(encode(piece, model.vocabulary))
    measures = measure_events(events, multi_hot(model.vocabulary))
    return model.predictor.scale.score(measures)


# %%
def notes_from(piece, onset):
    """Return a piece without the notes before an onset; all of it if none is left."""
    notes = piece.notes[piece.notes["onset"] >= onset]
    return replace(piece, notes=notes) if len(notes) else piece


def nearest_mood(model, pieces, mood, onset=0.0):
    """Return the piece whose mood from an onset on is nearest to the one asked.

    `mood`: energy and brightness, 1 to 3, 0 for any.
    """
    low, high = model.predictor.scale.terciles
    aims = np.stack([low - 1, (low + high) / 2, high + 1])
    misses = []
    for piece in pieces:
        scores, miss = measure_mood(model, notes_from(piece, onset)), 0.0
        for column, asked in enumerate(mood):
            away = scores[column] - aims[asked - 1, column]
            beyond = (0, max(away, 0), abs(away), max(-away, 0))
            miss += beyond[asked]
        misses.append(miss)
    piece, settings = pieces[int(np.argmin(misses))], ""
    for name, asked in zip(("energy", "brightness"), mood):
        settings += f", {name} {MOODS[asked - 1]}" if asked else ""
    return replace(piece, name=f"{model.name} 1", settings=piece.settings + settings)


# %%
def check_tempo(tempo):
    """Raise NotebookError unless a tempo in quarter notes a minute can be played."""
    if not (isinstance(tempo, Real) and 4 <= tempo <= 1000):
        raise NotebookError(f"The tempo must be from 4 to 1000 bpm, not {tempo!r}.")


def check_notes(notes, tempo):
    """Raise NotebookError unless there are notes, and a tempo to play them at."""
    if not is_table(notes, NOTE):
        raise NotebookError(
            "This takes an array of notes, such as generated_music.notes, not "
            f"{type(notes).__name__}."
        )
    if not len(notes):
        raise NotebookError("There are no notes here: generate some first.")
    times, pitches = (0, LONGEST_QUARTERS), (LOWEST_PITCH, HIGHEST_PITCH)
    limits = {"onset": times, "duration": times, "pitch": pitches, "velocity": (1, 127)}
    for name, (least, most) in limits.items():
        if not np.all((notes[name] >= least) & (notes[name] <= most)):
            raise NotebookError(f"Each {name} must be from {least} to {most}.")
    check_tempo(tempo)


def choose_sampling(temperature, top_p, top_k):
    """Return temperature, top_p and top_k, section 2's where they are None."""
    given = zip((temperature, top_p, top_k), (TEMPERATURE, TOP_P, TOP_K))
    return tuple(default if value is None else value for value, default in given)


# %%
def generate_music(model, seed, length=100, *, temperature=None, top_p=None, top_k=None,
                   energy=None, brightness=None, longest_copy=None, generator=None,
                   tempo=None, joined=False, watch=None):  # fmt: skip
    """Return a new piece of `length` events that goes on from a seed.

    `seed`: an array of EVENT; `energy`, `brightness`: one of `MOODS`, None for any;
    `longest_copy`: events in a row that may stand in a training piece, 0 for any;
    `generator`: NumPy's, a seed for one, or None to draw one from Python's `random`;
    `tempo`: quarter notes a minute, the learning pieces' if None; `joined`: begin with
    the seed; `watch`: told the share that is done, may raise to stop, and nothing is
    printed; the rest: section 2's if None.
    """
    sampling = choose_sampling(temperature, top_p, top_k)
    check_generation(seed, length, *sampling)
    check_tokens(seed, model.vocabulary)
    mood = read_mood(energy, brightness)
    check_limit(longest_copy)
    if tempo is not None:
        check_tempo(tempo)
    takes = MOOD_TAKES if any(mood) else 1
    pieces = generate_pieces(
        model, [seed] * takes, length, sampling=sampling, tempo=tempo,
        generator=read_generator(generator), moods=[mood] * takes, joined=joined,
        longest_copy=longest_copy, watch=watch,
    )  # fmt: skip
    behind = end_of_primer(seed) if joined else 0.0
    piece = nearest_mood(model, pieces, mood, behind) if any(mood) else pieces[0]
    if piece.remarks and not watch:
        print(f"{piece.name}: {piece.remarks}")
    return piece


# %% tags=["active-ipynb"]
# seed = random.choice(features)
# generated_music = generate_music(model, seed, length=100)
# pd.DataFrame(generated_music.notes[:8]).round(2)

# %% [markdown]
# The first notes of a piece that nobody has played. The temperature sets how far it
# strays:

# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(3, 1, figsize=(10, 8.4), sharex=True)
# for ax, temperature in zip(axes, (0.5, 1.0, 1.5)):
#     take = generate_music(
#         model,
#         seed,
#         length=100,
#         temperature=temperature,
#         generator=np.random.default_rng(SEED),
#     )
#     plot_piano_roll(
#         take.notes, ax, f"{model.name}, temperature {temperature}", GENERATED, until=32
#     )
#     ax.label_outer()
# save_figure(figure, "temperatures")

# %% [markdown]
# Cold, it keeps to what it trusts most; hot, it leaps, and piles up what does not
# belong together.
#
# ### Going on from a piece of yours
#
# A *primer* is music that the model goes on from: any MIDI file, or a piece of the
# corpus. Its last events are the seed, its tempo is kept, and with `joined=True` what
# comes back begins with the primer's own notes and goes on in its bars. Here it is the
# beginning of a validation piece.

# %%
PRIMER_EVENTS = 128  # of a primer are read, its last ones


def read_primer(source, vocabulary):
    """Return the last events of a piece or a MIDI file as a seed, and its tempo."""
    try:
        piece = source if isinstance(source, Piece) else parse_midi(source)
    except (MidiFileError, TypeError) as error:
        raise NotebookError(f"The primer cannot be used: {error}.") from None
    events = encode(piece, vocabulary)
    if not len(events):
        raise NotebookError("The primer cannot be used: it has no notes.")
    place = bar_places(events)[-PRIMER_EVENTS:][0]
    events = events[-PRIMER_EVENTS:].copy()
    events["step"] = np.minimum(events["step"], LONGEST_STEP)
    events["step"][0] = place  # so that bars stay bars
    return events, piece.tempo


# %% tags=["active-ipynb"]
# whole = validation_pieces[0]
# until = whole.notes["onset"][0] + 32  # quarter lengths
# opening = replace(whole, notes=whole.notes[whole.notes["onset"] < until])
# primer, primer_tempo = read_primer(opening, model.vocabulary)
# continued = generate_music(
#     model, primer, length=100, tempo=primer_tempo, joined=True, generator=SEED
# )
# new = continued.notes["onset"] >= end_of_primer(primer)
# figure, ax = plt.subplots(figsize=WIDE)
# plot_piano_roll(continued.notes[new], ax, "", GENERATED)
# title = f"{whole.name}, continued by {model.name}"
# plot_piano_roll(continued.notes[~new], ax, title, REAL)
# save_figure(figure, "continued")

# %% [markdown]
# Blue is the primer, orange what the model adds.
#
# ### Asking for a mood


# %%
def try_moods(model, seeds, length, generator):
    """Return requested and measured moods of new pieces, a row each.

    Every one of the nine requests is tried with each seed, as by `generate_music`.
    """
    numbers = range(1, 1 + len(MOODS))
    requests = list(itertools.product(numbers, numbers, seeds, range(MOOD_TAKES)))
    asked, seeds = [request[:2] for request in requests], [row[2] for row in requests]
    takes = generate_pieces(model, seeds, length, generator=generator, moods=asked)
    rows = []
    for i in range(0, len(takes), MOOD_TAKES):
        piece, row = nearest_mood(model, takes[i : i + MOOD_TAKES], asked[i]), {}
        scores = measure_mood(model, piece)
        found = model.predictor.scale.classify(scores)
        for j, name in enumerate(("energy", "brightness")):
            row[name], row[f"{name}_score"] = MOODS[asked[i][j] - 1], scores[j]
            row[f"measured_{name}"] = MOODS[found[j] - 1]
        rows.append(row)
    return pd.DataFrame(rows)


# %% tags=["active-ipynb"]
# if isinstance(model.predictor, ExpressivePredictor):
#     length = GENERATED_EVENTS // 4
#     generator = np.random.default_rng(SEED)
#     seeds = choose_seeds(training_pieces, model.vocabulary, 3, generator)
#     moods = try_moods(model, seeds, length, generator)
#     save_table(moods.assign(run=RUN_KIND), "moods")
#     for name in ("energy", "brightness"):
#         right = (moods[name] == moods[f"measured_{name}"]).mean()
#         print(f"{name}: {right:.0%} of the requests are met")
#     display(
#         moods.pivot_table("energy_score", "energy", "brightness")
#         .loc[list(MOODS), list(MOODS)]
#         .round(2)
#     )

# %% [markdown]
# Rows are the energy asked for, numbers the energy measured, in standard deviations of
# the corpus, means of three pieces: they should rise from row to row whatever the
# brightness. A request is met when the piece falls into the third of the corpus that
# was asked for, which chance alone would do one time in three.
#
# ### A set of pieces
#
# Now each model, and each baseline, writes a whole set of pieces. They go on from seeds
# of the training pieces and are judged against pieces that none of them has heard.

# %% tags=["active-ipynb"]
# pieces_each = min(GENERATED_PIECES, len(training_pieces), len(validation_pieces))
# generated = {}
# for name, each in models.items():
#     generator = np.random.default_rng(SEED)
#     seeds = choose_seeds(training_pieces, each.vocabulary, pieces_each, generator)
#     length = usual_length(validation_pieces, each.vocabulary)
#     generated[name] = generate_pieces(each, seeds, length, generator=generator)
# loops = {
#     name: sum(bool(p.remarks) for p in pieces) for name, pieces in generated.items()
# }
# print(f"{pieces_each} pieces each; pieces in which the guard met a loop: {loops}")

# %% [markdown]
# ## 10 Evaluation
#
# **Is it like the music it never heard?** No number means anything by itself. Beside
# each stands its *floor*: the same measure between groups of real pieces, dealt at
# random from all pieces, each of the same size. Within the floor's range a model is as
# near to real music as other real music; a value beyond it, on the good side, says no
# more. Beside the models stand things that are no model at all: training pieces with
# their events shuffled, training pieces with one constant rhythm, and training pieces
# themselves.


# %%
def count_pitch_classes(piece):
    """Return how often each of the 12 pitch classes stands in a piece."""
    return np.bincount(piece.notes["pitch"] % 12, minlength=12)


def count_piece_tokens(vocabulary, piece):
    """Return how often each token of a vocabulary stands in a piece."""
    return count_tokens([encode(piece, vocabulary)], len(vocabulary))


def count_durations(piece):
    """Return counts of durations in grid cells, 0 … 48, longer ones clipped."""
    cells = np.rint(piece.notes["duration"] * GRID).astype(int)
    return np.bincount(np.minimum(cells, LONGEST_STEP), minlength=LONGEST_STEP + 1)


def count_beat_places(piece):
    """Return how often notes start in each grid cell of a quarter note."""
    return np.bincount(group_notes(piece)[0] % GRID, minlength=GRID)


def reverse_divergence(real, generated):
    """Return D(generated‖real) of counts, in nats."""
    return divergence(generated, real)


# %%
def jensen_shannon(real, generated):
    """Return the Jensen-Shannon divergence of counts, in nats from 0 to ln 2."""
    p, q = (
        (counts + 0.5) / (counts + 0.5).sum(-1, keepdims=True)
        for counts in (real, generated)
    )
    middle = (p + q) / 2
    empty = (real.sum(-1) == 0) | (generated.sum(-1) == 0)
    value = (p * np.log(p / middle) + q * np.log(q / middle)).sum(-1) / 2
    return np.where(empty, np.nan, value)


HISTOGRAM_METRICS = {
    **HEADLINE_METRICS,
    "kl_reverse": (count_pitches, reverse_divergence, "lower"),
    "jensen_shannon": (count_pitches, jensen_shannon, "lower"),
    "kl_pitch_class": (count_pitch_classes, divergence, "lower"),
    "duration_similarity": (count_durations, cosine, "higher"),
    "beat_place_similarity": (count_beat_places, cosine, "higher"),
}


# %% [markdown]
# The divergence of pitches the other way round, and symmetric; of pitch classes, and
# later of tokens; the likeness of durations and of places in the beat.
#
# Some properties are one number a piece: how mixed its pitch classes are
# (`pitch_class_entropy`, bits), how wide its range (`pitch_range`, semitones), how
# dense (`note_density`, notes a quarter), how steady its groove from bar to bar
# (`groove_consistency`; Wu and Yang, 2020), how many notes sound at once (`polyphony`),
# how far it swings (`swing_ratio`; even eighths are 1), how varied its touch
# (`velocity_spread`), and what share of its rows of eight events come twice
# (`repetition`).


# %%
def entropy_bits(counts):
    """Return the entropy of counts in bits; NaN where there are none."""
    return float(scipy.stats.entropy(counts, base=2)) if counts.sum() else np.nan


def groove_consistency(piece):
    """Return one minus the share of cells in which neighbouring 4/4 bars differ."""
    cells = group_notes(piece)[0]
    bars = np.zeros((cells.max() // BAR + 1, BAR), dtype=bool)
    bars[cells // BAR, cells % BAR] = True
    return 1 - float((bars[1:] != bars[:-1]).mean()) if len(bars) > 1 else np.nan


def polyphony(piece):
    """Return the mean number of notes that sound together, silence left out."""
    starts, lengths = piece.notes["onset"], piece.notes["duration"]
    reached = np.maximum.accumulate(starts + lengths)
    gaps = np.maximum(starts[1:] - reached[:-1], 0).sum()
    sounding = reached[-1] - starts[0] - gaps
    return float(lengths.sum() / sounding) if sounding > 0 else np.nan


def swing_ratio(piece):
    """Return how long a swung beat's first half is, the second being 1; NaN if none."""
    places = group_notes(piece)[0] % GRID
    late = places[(places > GRID / 3) & (places < 5 * GRID / 6)]
    return float(late.mean() / (GRID - late.mean())) if len(late) else np.nan


# %%
def repetition(piece, width=8):
    """Return the share of windows of `width` events that stand in the piece twice."""
    sonorities = list_sonorities(piece)
    windows = Counter(
        tuple(sonorities[i : i + width]) for i in range(len(sonorities) - width + 1)
    )
    repeated = sum(count for count in windows.values() if count > 1)
    return repeated / windows.total() if windows else np.nan


def describe_music(piece):
    """Return the properties of a piece that are one number, by name."""
    pitches, classes = count_pitches(piece), count_pitch_classes(piece)
    quarters = np.ptp(piece.notes["onset"]) + 1 / GRID
    return {
        "pitch_class_entropy": entropy_bits(classes),
        "pitch_range": float(np.ptp(np.flatnonzero(pitches))),
        "note_density": len(piece.notes) / quarters,
        "groove_consistency": groove_consistency(piece),
        "polyphony": polyphony(piece),
        "swing_ratio": swing_ratio(piece),
        "velocity_spread": float(piece.notes["velocity"].std()),
        "repetition": repetition(piece),
    }


# %% [markdown]
# ### How new is it?
#
# Two numbers say how much a piece shares with the training pieces, in whatever key: its
# longest run of events, and its *shared 8-grams*, the share of all rows of eight events
# that stand in a training piece too. Real pieces share a few events with each other,
# which is the floor.


# %%
def measure_novelty(pieces, training_pieces):
    """Return the longest run and the 8-grams that pieces share with training."""
    sources, rows = Sources(training_pieces), []
    for piece in pieces:
        runs = np.array([run for run, _ in trace_runs(piece, sources)], dtype=int)
        longest, windows = runs.max(initial=0), runs[6:] >= 7
        rows.append(
            {
                "longest_run": longest + (longest > 0),
                "shared_8grams": windows.mean() if len(windows) else np.nan,
            }
        )
    return rows


# %% tags=["active-ipynb"]
# novelty = pd.DataFrame(
#     [
#         {"model": name, "take": piece.name, **piece.shared._asdict()}
#         for name, pieces in generated.items()
#         for piece in pieces
#     ]
# )
# save_table(novelty.assign(run=RUN_KIND), "novelty")
# novelty[novelty["model"] == model.name].sort_values("events").tail()

# %% [markdown]
# Each generated piece names the training piece and the bar with which it shares most;
# here are the five pieces of the last model that share the longest runs.

# %% [markdown]
# ### Can a machine tell?
#
# Each measure so far looks at one side of music. A random forest looks at some twenty
# at once: given excerpts of 100 events it learns to tell generated from real ones, and
# is tried on pieces that it has not seen. Its *AUC* is 0.5 where it can only guess,
# give or take a tenth or more with so few pieces, and 1 where it is never wrong.


# %%
def excerpt_features(piece):
    """Return numbers that sum up an excerpt: pitch, time, touch and texture."""
    notes, (cells, numbers) = piece.notes, group_notes(piece)
    sizes = np.bincount(numbers)
    moves, steps = np.diff(top_voice(piece)), np.diff(cells)
    touch = np.bincount(numbers, notes["velocity"]) / sizes
    return [
        *mean_and_spread(notes["pitch"]), np.ptp(notes["pitch"]),
        entropy_bits(count_pitch_classes(piece)), entropy_bits(count_pitches(piece)),
        np.abs(moves).mean(), (moves == 0).mean(), (np.abs(moves) <= 2).mean(),
        (np.abs(moves) > 7).mean(), sizes.mean(), (sizes > 1).mean(), sizes.max(),
        *mean_and_spread(steps), (steps <= 2).mean(),
        entropy_bits(np.bincount(np.minimum(steps, LONGEST_STEP))),
        *mean_and_spread(notes["duration"]), polyphony(piece),
        *mean_and_spread(touch), np.abs(np.diff(touch)).mean(),
    ]  # fmt: skip


def mean_and_spread(values):
    """Return the mean and the standard deviation of some numbers."""
    return values.mean(), values.std()


# %%
def split_piece(piece, length):
    """Return the successive excerpts of `length` events of a piece."""
    numbers = group_notes(piece)[1]
    return [
        Piece(piece.name, piece.notes[numbers // length == part], piece.tempo)
        for part in range((numbers.max() + 1) // length)
    ]


def forest_scores(features, labels, groups, seed):
    """Return how generated each excerpt looks to a forest that never saw its piece."""
    folds = min(5, *(len(set(groups[labels == label])) for label in (0, 1)))
    scores = np.zeros(len(labels))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(features, labels, groups):
        forest = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed)
        forest.fit(features[train], labels[train])
        scores[test] = forest.predict_proba(features[test])[:, 1]
    return scores


# %%
def two_sample_auc(real, generated, seeds):
    """Return the forest's AUC over seeds, and 95 % bounds from a bootstrap over pieces.

    Excerpts have 100 events, or half of the shortest piece; pieces of under 20 events
    are left out. NaN with under two pieces on a side.
    """
    real, generated = (
        [piece for piece in pieces if len(group_notes(piece)[0]) >= 20]
        for pieces in (real, generated)
    )
    if min(len(real), len(generated)) < 2:
        warnings.warn("two_sample_auc needs two pieces on each side", stacklevel=2)
        return np.nan, np.nan, np.nan
    pieces = [*real, *generated]
    length = min(100, min(len(group_notes(piece)[0]) for piece in pieces) // 2)
    parts = [split_piece(piece, length) for piece in pieces]
    features = np.array([excerpt_features(part) for row in parts for part in row])
    groups = np.repeat(np.arange(len(parts)), [len(row) for row in parts])
    labels = (groups >= len(real)).astype(int)
    scores = [forest_scores(features, labels, groups, seed) for seed in seeds]
    value = mean_auc(labels, np.array(scores))
    return (value, *bootstrap_auc(labels, np.array(scores), groups))


def mean_auc(labels, scores):
    """Return the mean AUC of rows of scores (seeds, excerpts)."""
    return np.mean([roc_auc_score(labels, row) for row in scores])


# %%
def bootstrap_auc(labels, scores, groups):
    """Return 95 % bounds of the AUC when pieces (groups) are drawn anew, 200 times."""
    generator, values = np.random.default_rng(0), []
    kinds = [np.unique(groups[labels == label]) for label in (0, 1)]
    rows = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    for _ in range(200):
        drawn = np.concatenate([generator.choice(kind, len(kind)) for kind in kinds])
        chosen = np.concatenate([rows[group] for group in drawn])
        values.append(mean_auc(labels[chosen], scores[:, chosen]))
    return np.percentile(values, [2.5, 97.5])


# %% [markdown]
# ### All together
#
# Intervals are 95 % bounds from a bootstrap over pieces: whole pieces are drawn anew,
# since the notes of one piece resemble each other. Floors are given as median and 5th to
# 95th percentile; for properties and novelty, groups of real pieces are drawn with
# replacement.


# %%
def resample(count, repeats, generator):
    """Return `repeats` rows of `count` indices drawn with replacement."""
    return generator.integers(count, size=(repeats, count))


def evaluate_histograms(real, generated, pool, metrics, repeats, generator):
    """Return a row for each histogram metric: value, bounds and floor."""
    rows, size = [], min(len(generated), len(pool) // 2)
    deals = np.array([generator.permutation(len(pool)) for _ in range(repeats)])
    for metric, (count, measure, direction) in metrics.items():
        ours, theirs, all_real = (
            np.array([count(piece) for piece in pieces])
            for pieces in (generated, real, pool)
        )
        drawn = measure(
            theirs[resample(len(theirs), repeats, generator)].sum(1),
            ours[resample(len(ours), repeats, generator)].sum(1),
        )
        floor = measure(
            all_real[deals[:, :size]].sum(1), all_real[deals[:, size : 2 * size]].sum(1)
        )
        value = measure(theirs.sum(0), ours.sum(0))
        bounds = bounds_of(value, drawn)
        if direction == "higher":
            bounds = np.minimum(bounds, 1)
        rows.append(make_row(metric, value, bounds, floor, direction))
    return rows


# %%
def bounds_of(value, drawn):
    """Return 95 % bounds from values of a bootstrap, moved to lie about the true value.

    Pieces that are drawn twice make a sample less varied; the move takes that bias out.
    """
    low, middle, high = np.nanpercentile(drawn, [2.5, 50, 97.5])
    return np.maximum(0, value + low - middle), value + high - middle


def make_row(metric, value, bounds, floor, direction):
    """Return a row of the evaluation; `floor` holds all real-versus-real values."""
    low, median, high = np.nanpercentile(floor, [5, 50, 95])
    return {
        "metric": metric,
        "value": float(value),
        "low": bounds[0],
        "high": bounds[1],
        "floor_low": low,
        "floor_median": median,
        "floor_high": high,
        "direction": direction,
    }


# %%
def evaluate_properties(generated, pool, repeats, generator):
    """Return a row for each property: the mean over pieces, its bounds and its floor.

    `generated`, `pool`: a dictionary of numbers for each generated and each real piece.
    """
    rows, (ours, theirs) = [], (pd.DataFrame(table) for table in (generated, pool))
    for name in ours:
        values, real = ours[name].to_numpy(float), theirs[name].to_numpy(float)
        if np.isnan(values).all() or np.isnan(real).all():
            warnings.warn(f"{name} is not defined for any piece", stacklevel=2)
            continue
        drawn = np.nanmean(values[resample(len(values), repeats, generator)], axis=1)
        groups = generator.integers(len(real), size=(repeats, len(values)))
        rows.append(
            make_row(
                name,
                np.nanmean(values),
                bounds_of(np.nanmean(values), drawn),
                np.nanmean(real[groups], axis=1),
                "near the floor",
            )
        )
    return rows


# %%
def alter_pieces(pieces, vocabulary, kind, generator):
    """Return real pieces with their events shuffled, or with one constant rhythm."""
    altered = []
    for piece in pieces:
        events = encode(piece, vocabulary)
        if kind == "shuffled":
            events = generator.permutation(events)
        else:
            events["step"] = np.where(events["step"] > 0, GRID // 2, 0)
        altered.append(
            Piece(f"{piece.name}, {kind}", decode(events, vocabulary), piece.tempo)
        )
    return altered


# %%
def evaluate(generated, real, pool, training_pieces, chords, auc_floor, repeats, seed):
    """Return the evaluation's rows for one model's pieces.

    `real`: held-out excerpts; `pool`: excerpts of all real pieces, for the floors;
    `chords`: those of a vocabulary; `auc_floor`: AUCs between real groups.
    """
    generator = np.random.default_rng(seed)
    novelty, known = (
        measure_novelty(each, training_pieces) for each in (generated, real)
    )
    ours, theirs = (
        [describe_music(piece) for piece in each] for each in (generated, pool)
    )
    tokens = partial(count_piece_tokens, Vocabulary(chords))
    metrics = {**HISTOGRAM_METRICS, "kl_token": (tokens, divergence, "lower")}
    seeds = range(seed, seed + max(1, min(5, repeats // 20)))
    auc, *bounds = two_sample_auc(real, generated, seeds)
    rows = [
        *evaluate_histograms(real, generated, pool, metrics, repeats, generator),
        *evaluate_properties(ours, theirs, repeats, generator),
        *evaluate_properties(novelty, known, repeats, generator),
        make_row("two_sample_auc", auc, bounds, auc_floor, "near 0.5"),
    ]
    events = sum(len(group_notes(piece)[0]) for piece in generated)
    return [{**row, "n_pieces": len(generated), "n_events": events} for row in rows]


# %%
def auc_between_real(pool, size, seed):
    """Return the forest's AUC between two groups of real pieces dealt at random."""
    deal = np.random.default_rng(seed).permutation(len(pool))
    groups = ([pool[i] for i in deal[:size]], [pool[i] for i in deal[size : 2 * size]])
    return float(two_sample_auc(*groups, [seed])[0])


# %%
def summarise_evaluation(table):
    """Return metric × (floor, each model) as text: values with their 95 % bounds."""
    columns = ["value", "low", "high"]
    shown = table.assign(text=bracket(table[columns]))
    shown = shown.pivot(index="metric", columns="model", values="text")
    floors = table.groupby("metric")[["floor_median", "floor_low", "floor_high"]].mean()
    shown.insert(0, "real against real", bracket(floors))
    shown.insert(0, "better", table.groupby("metric")["direction"].first())
    columns = ["better", "real against real", *table["model"].unique()]
    return shown.loc[table["metric"].unique(), columns]


def bracket(numbers):
    """Return each row of three columns as text: value [low, high]."""
    rows = [f"{v:.3f} [{low:.3f}, {high:.3f}]" for v, low, high in numbers.to_numpy()]
    return pd.Series(rows, numbers.index)


# %% tags=["active-ipynb"]
# generator = np.random.default_rng(SEED)
# excerpts = [
#     cut_excerpts(pieces, vocabulary, GENERATED_EVENTS, generator)[:pieces_each]
#     for pieces in (training_pieces, validation_pieces)
# ]
# contestants = {
#     **generated,
#     "training_copy": excerpts[0],
#     "shuffled": alter_pieces(excerpts[0], vocabulary, "shuffled", generator),
#     "constant_rhythm": alter_pieces(
#         excerpts[0], vocabulary, "constant rhythm", generator
#     ),
# }

# %% tags=["active-ipynb"]
# pool = excerpts[0] + excerpts[1]
# deals = [(pool, pieces_each, SEED + i) for i in range(max(2, FLOOR_REPEATS // 10))]
# auc_floor = run_cached(auc_between_real, deals, CACHE_FOLDER, "floors")
# shared = (excerpts[1], pool, training_pieces, vocabulary.chords, auc_floor)
# jobs = [(pieces, *shared, FLOOR_REPEATS, SEED) for pieces in contestants.values()]
# results = run_cached(evaluate, jobs, CACHE_FOLDER, "evaluations")
# rows = [
#     {"model": name, **row} for name, rows in zip(contestants, results) for row in rows
# ]
# evaluation = pd.DataFrame(rows)
# save_table(evaluation.assign(run=RUN_KIND), "evaluation")
# summary = summarise_evaluation(evaluation)
# summary.loc[[*HEADLINE_METRICS, "two_sample_auc"]]

# %% tags=["active-ipynb"]
# summary.drop([*HEADLINE_METRICS, "two_sample_auc"])

# %% [markdown]
# Borrowed rhythm shows here: the onsets of the published model and of the tables lie in
# the wrong places of the beat, their groove is unsteady and hardly swings. The
# expressive network stays within the floor, but uses a wider range of the keyboard than
# real pieces.


# %%
def plot_evaluation(table, metric, ax):
    """Draw each model's value of a metric with its bounds, and the floor as a band."""
    rows = table[table["metric"] == metric].iloc[::-1]
    colours = [GENERATED if name in MODELS else BASELINE for name in rows["model"]]
    places = np.arange(len(rows))
    ax.axvspan(
        rows["floor_low"].median(),
        rows["floor_high"].median(),
        color=REAL,
        alpha=0.25,
        label="real against real",
    )
    ax.hlines(places, rows["low"], rows["high"], color=colours, linewidth=2)
    ax.scatter(rows["value"], places, color=colours, zorder=3)
    ax.set_yticks(places, [plain(name).replace("_", " ") for name in rows["model"]])
    ax.set_title(f"{metric}: {rows['direction'].iloc[0]} is better")
    return ax


# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(2, 2, figsize=TALL)
# for ax, metric in zip(axes.flat, (*HEADLINE_METRICS, "two_sample_auc")):
#     plot_evaluation(evaluation, metric, ax)
# axes[0, 1].legend(loc="lower left")
# save_figure(figure, "evaluation")

# %% [markdown]
# Points are values, lines their 95 % intervals, the blue band is what real music scores
# against real music. On the shipped pieces the expressive network lies inside the band
# in all four panels; the published one has the right pitches, the wrong intervals, and
# is told from real music nearly always. The trivial entries keep one honest: shuffled
# music has every note and no melody; a constant rhythm keeps every interval; copies of
# training pieces pass all of this and are still no compositions, which only the novelty
# measures show. The rhythm of the published model, the unigram and the n-gram is
# borrowed from real events, so a high rhythm similarity there is the corpus's merit,
# not theirs.


# %%
def plot_histograms(real, models, axes):
    """Draw pitches, intervals and steps of real and generated pieces on shared axes."""
    panels = (
        (count_pitches, LOWEST_PITCH, "pitch, MIDI number", "Pitches"),
        (count_intervals, -24, "interval, semitones (±24: and more)", "Top note"),
        (count_steps, 0, f"step, 1/{GRID} quarter notes", "Rhythm"),
    )
    networks = [name for name in reversed(models) if name not in BASELINES]
    colours = dict(zip(networks, (GENERATED, THIRD, SECOND)))
    lines = zip(models.items(), itertools.cycle(("-.", "--", ":")))
    shown = [("held-out", real, REAL, "-")]
    for (name, pieces), line in lines:
        shown.append((name, pieces, colours.get(name, BASELINE), line))
    for ax, (count, first, label, title) in zip(axes, panels):
        for name, pieces, colour, line in shown:
            counts = np.sum([count(piece) for piece in pieces], axis=0)
            ax.plot(
                np.arange(len(counts)) + first,
                counts / counts.sum(),
                line,
                color=colour,
                linewidth=1.3,
                label=plain(name),
            )
        ax.set(title=title, xlabel=label, ylabel="share")
    axes[-1].legend()
    return axes


# %% tags=["active-ipynb"]
# figure, axes = plt.subplots(1, 3, figsize=WIDE)
# compared = dict.fromkeys((*MODELS, "ngram"))
# plot_histograms(excerpts[1], {name: generated[name] for name in compared}, axes)
# save_figure(figure, "histograms")

# %% [markdown]
# The published model's pitches fit. Its melody does not: in real music the highest note
# mostly moves by one to three semitones, or leaps from hand to hand, which the ends of
# the middle panel hold; the published model leaps anywhere. A model of all streams has
# to fit on all three panels by itself, the rhythm included.

# %% [markdown]
# ## 11 Listen, look, play
#
# **Can I hear it?** And see it, and play with it: sound, score, a panel, a web page, all
# offline and from Python packages alone.
#
# ### Notes as a MIDI file
#
# The synthesiser reads the bytes that music21 writes; section 12 stores the same.

# %%
TICKS = 480  # a quarter note, in the files that are written
RELEASE = 0.5  # seconds in which the last notes ring out


def midi_message(kind, data=None, pitch=None, velocity=None):
    """Return a music21 event on channel 1."""
    event = music21.midi.MidiEvent(type=kind, channel=1)
    if data is None:
        event.pitch, event.velocity = pitch, velocity
    else:
        event.data = data
    return event


# %%
def list_messages(notes, tempo, title, comments):
    """Return (tick, rank, music21 event) rows for a track; lower ranks come first."""
    microseconds = round(60e6 / tempo).to_bytes(3, "big")
    texts = [
        (MetaEvents.SEQUENCE_TRACK_NAME, title),
        *((MetaEvents.TEXT_EVENT, comment) for comment in comments),
    ]
    rows = [
        (0, 0, midi_message(kind, text.encode("utf-8", "replace")))
        for kind, text in texts
    ]
    rows += [
        (0, 0, midi_message(MetaEvents.SET_TEMPO, microseconds)),
        (0, 0, midi_message(ChannelVoiceMessages.PROGRAM_CHANGE, 0)),
    ]
    for onset, duration, pitch, velocity in notes.tolist():
        start = round(onset * TICKS)
        end = max(round((onset + duration) * TICKS), start + 1)
        strike = midi_message(ChannelVoiceMessages.NOTE_ON, None, pitch, velocity)
        release = midi_message(ChannelVoiceMessages.NOTE_OFF, None, pitch, 0)
        rows += [(start, 2, strike), (end, 1, release)]
    last = max(tick for tick, _, _ in rows) + round(RELEASE * tempo / 60 * TICKS)
    return sorted(
        [*rows, (last, 3, midi_message(MetaEvents.END_OF_TRACK, b""))],
        key=lambda row: row[:2],
    )


# %%
def midi_bytes(notes, tempo, title, comments):
    """Return notes as the bytes of a MIDI file, written by music21."""
    file, track, last = music21.midi.MidiFile(), music21.midi.MidiTrack(1), 0
    for tick, _, event in list_messages(notes, tempo, title, comments):
        wait = music21.midi.DeltaTime(track, time=tick - last, channel=1)
        event.track, last = track, tick
        track.events += [wait, event]
    file.tracks, file.ticksPerQuarterNote, file.format = [track], TICKS, 0
    return file.writestr()


# %%
RESERVED_NAMES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"com{i}" for i in range(1, 10)),
    *(f"lpt{i}" for i in range(1, 10)),
}


def safe_file_name(title):
    """Return a title as a file name that every system takes, without an ending."""
    name = re.sub(r"[^A-Za-z0-9_.,()+-]+", "_", str(title)).strip("._ ")[:80]
    name = name.rstrip("._ ") or "piece"
    return f"_{name}" if name.split(".")[0].lower() in RESERVED_NAMES else name


# %%
def describe_copy(piece):
    """Return a generated piece's longest shared run as a sentence."""
    if not piece.shared.events:
        return "no event is shared with a training piece"
    events, name, bar = piece.shared
    return f"longest run shared with training: {events} events of {name}, bar {bar}"


# %% [markdown]
# ### Sound
#
# A synthesiser plays the MIDI on a sampled piano, and an MP3 of it goes into the
# notebook: no system library, nothing from the network. Where one of its packages is
# missing, a simple tone generator takes over and says so.

# %%
LONGEST_SOUND = 60  # seconds that a player holds


class Sound(NamedTuple):
    """Music as a browser plays it."""

    media: str  # audio/mpeg or audio/wav
    data: bytes
    remarks: str  # what a listener should know


# %%
def play_piano(midi):
    """Return samples (time,) of a MIDI file on a sampled piano, and their rate.

    None where midirenderer, or the SoundFont in pretty_midi, is not installed.
    """
    synthesiser = find_package("midirenderer")
    package = importlib.util.find_spec("pretty_midi")
    font = Path(package.origin).with_name("TimGM6mb.sf2") if package else None
    if not (synthesiser and font and font.exists()):
        return None
    wave = synthesiser.render_wave_from(font.read_bytes(), midi)
    rate, samples = scipy.io.wavfile.read(io.BytesIO(wave))
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2 * samples.shape[1])
    return pairs.mean(axis=1), rate // 2  # a piano has little above 12 kHz


# %%
TONE_RATE = 22_050  # samples a second
HARMONICS = np.arange(1, 7)[:, None]


def play_tones(notes, tempo):
    """Return samples (time,) of notes as decaying sums of sines, and their rate."""
    starts = (notes["onset"] * 60 / tempo * TONE_RATE).astype(int)
    seconds = notes["duration"] * 60 / tempo + RELEASE
    sizes = (seconds * TONE_RATE).astype(int)
    sound = np.zeros(np.max(starts + sizes))
    for start, size, pitch, force in zip(
        starts, sizes, notes["pitch"].tolist(), notes["velocity"] / 127
    ):
        time = np.arange(size) / TONE_RATE
        waves = 440 * 2 ** ((pitch - 69) / 12) * HARMONICS
        waves = np.sin(2 * np.pi * waves * time) * (waves < TONE_RATE / 2)
        tone = (waves * np.exp(-1.5 * HARMONICS * time) / HARMONICS**1.5).sum(axis=0)
        release = np.minimum((size - np.arange(size)) / (RELEASE * TONE_RATE), 1)
        sound[start : start + size] += force**1.5 * tone * release
    return sound, TONE_RATE


# %%
def encode_sound(samples, rate):
    """Return the media type and the bytes of samples (time,): MP3, or else WAV."""
    samples = 0.8 * samples / max(np.abs(samples).max(), 1e-9)
    buffer, writer = io.BytesIO(), find_package("soundfile")
    if writer:
        quality = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
        writer.write(buffer, samples, rate, format="MP3", **quality)
        return "audio/mpeg", buffer.getvalue()
    scipy.io.wavfile.write(buffer, rate, (32767 * samples).astype(np.int16))
    return "audio/wav", buffer.getvalue()


def render_sound(notes, tempo):
    """Return `LONGEST_SOUND` seconds of notes, from the first one on, as a Sound."""
    until, remarks = LONGEST_SOUND * tempo / 60, []
    notes = notes.copy()
    notes["onset"] -= notes["onset"].min()
    if (notes["onset"] + notes["duration"]).max() > until:
        remarks.append(f"the first {LONGEST_SOUND} seconds")
        notes = notes[notes["onset"] < until]
        notes["duration"] = np.minimum(notes["duration"], until - notes["onset"])
    played = play_piano(midi_bytes(notes, tempo, "", ()))
    if played is None:
        remarks.append(
            "a tone generator stands in for the piano: pip install midirenderer "
            "pretty_midi brings it"
        )
    sound = encode_sound(*(played or play_tones(notes, tempo)))
    return Sound(*sound, "; ".join(remarks))


# %%
def as_data(media, data):
    """Return bytes as the address of a page's own content."""
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def show_sound(sound, title):
    """Return a Sound as HTML: a caption and an audio player."""
    title = html.escape(title)
    words = f"{title} ({html.escape(sound.remarks)})" if sound.remarks else title
    return (
        f'<figure class="tex2jax_ignore" style="margin: 4px 0">'
        f"<figcaption>{words}</figcaption>"
        f'<audio controls preload="metadata" aria-label="{title}" style="width: 100%; '
        f'max-width: 480px" src="{as_data(sound.media, sound.data)}"></audio></figure>'
    )


def play(notes, *, tempo=120.0, title="Music"):
    """Return an audio player of notes (an array of NOTE), to be shown by a cell.

    `tempo`: quarter notes a minute. At most `LONGEST_SOUND` seconds are rendered.
    """
    check_notes(notes, tempo)
    return HTML(show_sound(render_sound(notes, tempo), title))


# %% tags=["active-ipynb"]
# likeness = partial(compare, "interval_similarity", excerpts[1])
# best = [
#     max(generated[name], key=lambda piece: likeness([piece]))
#     for name in dict.fromkeys(("ngram", *MODELS))
# ]
# for piece in (training_pieces[0], *best):
#     display(play(piece.notes, tempo=piece.tempo, title=piece.name))

# %% [markdown]
# A training piece, then from the n-gram and from each model the piece whose melody is
# most like the held-out music: let your ears judge beside the tables.

# %% [markdown]
# ### Score
#
# For the eye, time is simplified: each quarter note is written in halves, thirds or
# quarters, whichever comes nearest to what is played, and swung eighths as plain ones.
# Notes from middle C up go to the right hand.

# %%
WRITINGS = (  # twelfths of a quarter note: where it is heard, where written, its cost
    ((0, 6, 12), (0, 6, 12), 0),
    ((0, 8, 12), (0, 6, 12), 0),  # swing
    ((0, 3, 6, 9, 12), (0, 3, 6, 9, 12), 1),
    ((0, 4, 8, 12), (0, 4, 8, 12), 1.5),
)


def write_beat(cells):
    """Return where the onsets of a quarter note, in twelfths, stand in a score."""
    choices = []
    for heard, written, cost in WRITINGS:
        places = np.abs(np.subtract.outer(cells, heard)).argmin(axis=1)
        away = np.abs(cells - np.take(heard, places)).sum()
        merged = len(cells) - len(np.unique(places))
        choices.append((away + cost + 4 * merged, np.take(written, places).tolist()))
    return min(choices)[1]


def write_onsets(onsets):
    """Return onsets in quarter lengths as twelfths in a score, in the same order."""
    heard = np.rint(np.asarray(onsets) * 12).astype(int)
    written = {}
    for beat, cells in itertools.groupby(np.unique(heard), lambda cell: cell // 12):
        cells = np.array(list(cells))
        places = write_beat(cells - 12 * beat)
        written.update(zip(cells.tolist(), (12 * beat + place for place in places)))
    return np.array([written[cell] for cell in heard.tolist()], dtype=int)


# %%
def write_hand(starts, ends, pitches, length):
    """Return one hand as (start, end, pitches), rests without pitches, in twelfths.

    A chord lasts until the next one, unless it is let go of well before.
    """
    rows, at = [], 0
    onsets = np.unique(starts).tolist()
    for onset, after in zip(onsets, [*onsets[1:], length]):
        here = starts == onset
        let_go = -(-int(ends[here].max()) // 12) * 12
        held = after - onset <= 12 or 2 * (ends[here].max() - onset) >= after - onset
        end = after if held else min(after, max(let_go, onset + 1))
        rows += [(at, onset, [])] if at < onset else []
        rows.append((onset, end, sorted(set(pitches[here].tolist()))))
        at = end
    return rows + ([(at, length, [])] if at < length else [])


def split_times(start, end, bar):
    """Return a span as spans that can be written: none crosses a bar line.

    Where triplets are involved, none crosses a beat.
    """
    widths, cuts = [bar, 12] if start % 3 or end % 3 else [bar], {start, end}
    for width in widths:
        cuts.update(range((start // width + 1) * width, end, width))
    return list(itertools.pairwise(sorted(cuts)))


# %%
def spell_pitch(pitch, key):
    """Return a MIDI number as a music21 pitch, by the key's place among the fifths."""
    lowest = key.sharps - (3 if key.mode == "minor" else 5)
    fifths = lowest + (7 * pitch - lowest) % 12
    alteration, letter = divmod(fifths + 1, 7)
    natural = pitch - alteration
    return music21.pitch.Pitch(
        step="FCGDAEB"[letter], accidental=alteration or None, octave=natural // 12 - 1
    )


def make_chord(pitches, cells, key):
    """Return a music21 rest, note or chord that lasts some twelfths."""
    names = [spell_pitch(pitch, key) for pitch in pitches]
    kinds = (music21.note.Rest, music21.note.Note, music21.chord.Chord)
    kind, length = kinds[min(len(names), 2)], Fraction(cells, 12)
    if kind is music21.chord.Chord:
        return kind(names, quarterLength=length)
    return kind(*names, quarterLength=length)


# %%
def make_staff(rows, clef, key, metre):
    """Return the rows of one hand as a music21 staff, in bars."""
    staff = music21.stream.PartStaff()
    signs = (clef, copy.copy(key), music21.meter.TimeSignature("{}/{}".format(*metre)))
    for sign in signs:
        staff.insert(0, sign)
    bar = 48 * metre[0] // metre[1]
    for start, end, pitches in rows:
        spans = split_times(start, end, bar)
        for number, (first, last) in enumerate(spans):
            chord = make_chord(pitches, last - first, key)
            if pitches and len(spans) > 1:
                kinds = ["start", *["continue"] * (len(spans) - 2), "stop"]
                chord.tie = music21.tie.Tie(kinds[number])
            staff.insert(Fraction(first, 12), chord)
    return staff.makeNotation()


# %%
def make_score(notes, tempo, metre, bars):
    """Return notes, from the bar of the first one on, as a music21 score.

    A metre whose bars are no sixteenths is written as 4/4.
    """
    metre = metre if 16 * metre[0] % metre[1] == 0 else (4, 4)
    bar = 48 * metre[0] // metre[1]
    onsets = notes["onset"] - notes["onset"].min() // (bar / 12) * (bar / 12)
    notes, onsets = (rows[onsets * 12 < bars * bar - 2] for rows in (notes, onsets))
    starts = write_onsets(onsets)
    ends = np.maximum(np.rint(12 * (onsets + notes["duration"])), starts + 1)
    length = int(max(-(-(starts.max() + 1) // bar), 1) * bar)
    ends = np.minimum(ends, length).astype(int)
    key = find_key(notes)
    right, staves = notes["pitch"] >= 60, []
    clefs = (music21.clef.TrebleClef(), music21.clef.BassClef())
    for hand, clef in zip((right, ~right), clefs):
        rows = write_hand(starts[hand], ends[hand], notes["pitch"][hand], length)
        staves.append(make_staff(rows, clef, key, metre))
    mark = music21.tempo.MetronomeMark(number=round(tempo))
    next(staves[0].getElementsByClass("Measure")).insert(0, mark)
    brace = music21.layout.StaffGroup(staves, symbol="brace")
    return music21.stream.Score([*staves, brace])


# %%
def find_key(notes):
    """Return the key of some notes, by music21's analysis."""
    stream = music21.stream.Stream()
    for onset, duration, pitch, _ in notes.tolist():
        stream.insert(onset, music21.note.Note(pitch, quarterLength=duration))
    return stream.analyze("key")


# %%
SCORE_BARS = 16  # engraved at most
ENGRAVING = {
    "pageWidth": 2200,
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "scale": 40,
    "header": "none",
    "footer": "none",
    "svgViewBox": True,
    "xmlIdSeed": 1,
}


def engrave(notes, tempo, metre, bars):
    """Return the first bars of notes as SVG, engraved by Verovio; "" without it."""
    verovio = find_package("verovio")
    if not verovio:
        return ""
    score = make_score(notes, tempo, metre, bars)
    toolkit = verovio.toolkit(False)  # its fonts are looked up for each thread
    toolkit.setResourcePath(str(Path(verovio.__file__).with_name("data")))
    toolkit.setOptions(ENGRAVING)
    exporter = music21.musicxml.m21ToXml.GeneralObjectExporter(score)
    toolkit.loadData(exporter.parse().decode())
    return toolkit.renderToSVG(1)


# %%
def show_score(notes, *, tempo=120.0, metre=(4, 4), bars=None):
    """Return the first bars of notes (an array of NOTE) as a grand staff.

    `bars`: how many, `SCORE_BARS` if None.
    """
    check_notes(notes, tempo)
    svg = engrave(notes, tempo, metre, SCORE_BARS if bars is None else bars)
    words = svg or "No score: pip install verovio brings the engraver."
    return HTML(
        f'<div role="img" aria-label="Score" style="background: white">{words}</div>'
    )


# %% tags=["active-ipynb"]
# show_score(generated_music.notes, tempo=generated_music.tempo)

# %% [markdown]
# The first bars of `generated_music`, written in section 9.
#
# ### Piano roll, with bars and borrowed passages


# %%
def find_copy(piece, sources):
    """Return the first and the last onset of the longest run shared with sources."""
    runs = [run for run, _ in trace_runs(piece, sources)]
    if not any(runs):
        return None
    last = int(np.argmax(runs)) + 1
    cells = group_notes(piece)[0][[last - max(runs), last]]
    return tuple((cells / GRID).tolist())


def plot_take(piece, ax, *, primer=0.0, copied=None):
    """Draw a piece with its bars on `ax`; return `ax`.

    `primer`: quarter lengths that it begins with, in their own colour; `copied`: the
    onsets between which a passage is marked.
    """
    old = piece.notes["onset"] < primer
    plot_piano_roll(piece.notes[~old], ax, piece.name, GENERATED)
    if old.any():
        plot_piano_roll(piece.notes[old], ax, f"{piece.name}, from a primer", REAL)
    if copied:
        words = "also in a training piece"
        ax.axvspan(*copied, color=SECOND, alpha=0.25, label=words)
        ax.legend(loc="upper right")
    bar = 4 * piece.metre[0] / piece.metre[1]
    bars = math.ceil((piece.notes["onset"] + piece.notes["duration"]).max() / bar)
    shown = np.arange(0, bars, max(1, math.ceil(bars / 16)))
    ax.set_xticks(bar * shown, [str(number + 1) for number in shown])
    ax.set(xlabel="bar", xlim=(0, bars * bar))
    return ax


# %% tags=["active-ipynb"]
# figure, ax = plt.subplots(figsize=WIDE)
# plot_take(generated_music, ax, copied=find_copy(generated_music, model.sources))
# ax.set_title(plain(f"generated_music: {describe_copy(generated_music)}"))
# save_figure(figure, "take")

# %% [markdown]
# Where the model came nearest to a training piece, in whatever key, is shaded green.

# %% [markdown]
# ### The same as a web page
#
# `voila Music_Generation_LSTM.ipynb` serves this notebook as a page: the report of the
# last run and the Studio below, without code.


# %%
def show_report(folder):
    """Display the figures and the main tables that the last run left in a folder."""
    folder = Path(folder)
    display(Markdown("# Jazz Piano Music Generation Using LSTM\n\nWhat each model "
                     "scores; the band is real music against real music."))  # fmt: skip
    for name in ("evaluation", "histograms"):
        path = folder / "figures" / f"{name}.png"
        if path.exists():
            source = as_data("image/png", path.read_bytes())
            style = "width: 100%; max-width: 900px"
            display(HTML(f'<img alt="{name}" style="{style}" src="{source}">'))
    path = folder / "tables" / "cross_validation.csv"
    if path.exists():
        display(summarise_folds(pd.read_csv(path)))
    else:
        display(Markdown("*There is no report yet: run the notebook first.*"))


# %%
class StoredModels(Mapping):
    """The models of the last run by name, each loaded when it is first asked for.

    Where there is none, one is trained for a moment and not kept.
    """

    def __init__(self, names, pieces, folder):
        self.names, self.pieces, self.folder = tuple(names), pieces, Path(folder)
        self.loaded = {}

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, name):
        if name not in self.loaded:
            self.loaded[name] = self.open(name)
        return self.loaded[name]

    def open(self, name):
        """Return a model as the last run left it, or else trained for a moment."""
        try:
            return load_model(self.folder / name)
        except NotebookError:
            return train_fold(name, TRAINERS[name], self.pieces, [], SEED, 1)[0]


# %%
def list_missing(names, folder):
    """Return a sentence for each model in a folder that will have to be trained."""
    rows = []
    for name in names:
        try:
            read_bundle(Path(folder) / name)
        except NotebookError as error:
            rows.append(f"{error} Here one epoch must do: it will not play well.")
    return rows


# %% tags=["active-ipynb"]
# # needed by the page
# if AS_PAGE:
#     display(HTML("<style>.jp-MarkdownCell { display: none }</style>"))
#     cache = Path(OUTPUT_FOLDER) / "cache"
#     training_pieces, _ = load_corpus(TRAINING_FOLDER, "training", cache, {})
#     validation_pieces, _ = load_corpus(VALIDATION_FOLDER, "validation", cache, {})
#     show_report(OUTPUT_FOLDER)
#     folder = Path(OUTPUT_FOLDER) / "models"
#     models = StoredModels(MODELS, training_pieces, folder)
#     for sentence in list_missing(MODELS, folder):
#         display(HTML(f"<p><em>{html.escape(sentence)}</em></p>"))

# %% [markdown]
# ### Studio
#
# A panel to play with: choose who writes and what to go on from, press Generate, listen,
# look, compare two takes, keep the MIDI. The same random seed and settings give the same
# file. Models count in four, so every take is notated in 4/4.


# %%
@dataclass(frozen=True)
class Request:
    """What is asked of the Studio; the same request gives the same take."""

    model: str
    start: str  # the piece whose random place the model goes on from
    length: int = 100
    temperature: float = 1.0
    top_p: float = 1.0
    energy: str = "any"
    brightness: str = "any"
    tempo: int = 0  # quarter notes a minute; 0: as the piece it starts from
    seed: int = 1
    primer: Piece | None = None  # takes the place of `start`

    def list_settings(self):
        """Return the settings as one line each, a primer by its name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if primer := values.pop("primer"):
            values["start"] = f"primer {primer.name}"
        return [f"{name} {value}" for name, value in values.items()]


# %%
@dataclass(frozen=True)
class Take:
    """A piece that the Studio has written."""

    request: Request
    piece: Piece
    primer: float = 0.0  # quarter lengths of the primer that it begins with

    def written(self):
        """Return the piece without the primer's notes; all if there are no others."""
        return notes_from(self.piece, self.primer)

    def as_midi(self):
        """Return the bytes of the take's MIDI file."""
        comments = [describe_copy(self.piece), *self.request.list_settings()]
        return midi_bytes(self.piece.notes, self.piece.tempo, self.piece.name, comments)


# %%
def make_take(request, models, pieces, watch=None):
    """Return the take that a request asks for.

    `models` and `pieces` by name; `watch`: told the share that is done.
    """
    model, primer = models[request.model], 0.0
    generator = np.random.default_rng(request.seed)
    if request.primer:
        seed, tempo = read_primer(request.primer, model.vocabulary)
        primer = end_of_primer(seed)
        source = request.primer
    else:
        source = pieces[request.start]
        (seed,) = choose_seeds([source], model.vocabulary, 1, generator)
        tempo = source.tempo
    moods = [None if m == "any" else m for m in (request.energy, request.brightness)]
    piece = generate_music(
        model, seed, request.length, temperature=request.temperature,
        top_p=request.top_p, energy=moods[0], brightness=moods[1],
        tempo=request.tempo or tempo, generator=generator,
        joined=request.primer is not None, watch=watch,
    )  # fmt: skip
    take = Take(
        request, replace(piece, name=f"{model.name} after {source.name}"), primer
    )
    shared = find_shared_run(take.written(), model.sources)
    return replace(take, piece=replace(take.piece, shared=shared))


# %%
def compare_take(piece, pieces, vocabulary):
    """Return a table of a piece's figures beside those of real excerpts as long.

    `pieces`: held-out ones; the band holds nine of ten of them.
    """
    generator = np.random.default_rng(SEED)
    real = cut_excerpts(pieces, vocabulary, len(encode(piece, vocabulary)), generator)
    with warnings.catch_warnings():
        # a short take may have nothing to count
        warnings.filterwarnings("ignore", ".* is not defined|All-NaN")
        rows = {
            metric: (
                compare(metric, real, [piece]),
                [compare(metric, real[:i] + real[i + 1 :], [each])
                 for i, each in enumerate(real)],
            )
            for metric in HEADLINE_METRICS
        }  # fmt: skip
        others = [describe_music(each) for each in real]
        for name, value in describe_music(piece).items():
            rows[name] = (value, [each[name] for each in others])
        bands = [np.nanquantile(band, (0.05, 0.95)) for _, band in rows.values()]
    table = pd.DataFrame(bands, list(rows), ["real, from", "to"]).round(3)
    table.insert(0, "this take", [round(value, 3) for value, _ in rows.values()])
    return table.rename(index=lambda name: name.replace("_", " "))


# %%
def draw_roll(take, sources, marked):
    """Return a take's piano roll as HTML; `marked`: shade what is in a source."""
    figure = plt.matplotlib.figure.Figure(figsize=WIDE, layout="constrained")
    copied = find_copy(take.written(), sources) if marked else None
    plot_take(take.piece, figure.add_subplot(), primer=take.primer, copied=copied)
    source = as_data("image/png", figure_bytes(figure))
    words = html.escape(f"Piano roll of {take.piece.name}")
    return f'<img alt="{words}" style="width: 100%" src="{source}">'


def offer_file(take):
    """Return a link to download a take's MIDI file, as HTML."""
    name = f"{safe_file_name(take.piece.name)}_seed_{take.request.seed}.mid"
    source = as_data("audio/midi", take.as_midi())
    return f'<p><a download="{name}" href="{source}"><u>Download the MIDI</u></a></p>'


# %%
def render_heard(take, name):
    """Return a take's player and the link to its file, as HTML by part."""
    title = f"{name}: {take.piece.name}, seed {take.request.seed}"
    sound = render_sound(take.piece.notes, take.piece.tempo)
    return {"sound": show_sound(sound, title) + offer_file(take)}


def render_seen(take, model, held_out, marked):
    """Return the figures and the pictures of a take, as HTML by part."""
    piece = take.piece
    figures = compare_take(take.written(), held_out, model.vocabulary)
    words = describe_copy(piece)
    words = html.escape(words[0].upper() + words[1:])
    score = show_score(piece.notes, tempo=piece.tempo, metre=piece.metre)
    return {
        "facts": f"<p>{words}.</p>{figures.to_html(border=0, col_space=80)}",
        "roll": draw_roll(take, model.sources, marked),
        "score": score.data,
    }


# %%
class TakeView:
    """Where the Studio shows one take, beside the other one."""

    def __init__(self, name):
        self.name, self.take = name, None
        names = ("sound", "roll", "score", "facts")
        self.parts = {part: widgets.HTML() for part in names}
        for part, box in self.parts.items():
            box.add_class(f"studio-{part}")
            box.layout.overflow = "auto hidden"
        layout = widgets.Layout(flex="1 1 340px", min_width="0", width="auto")
        self.box = widgets.VBox([*self.parts.values()], layout=layout)
        self.box.add_class(f"studio-take-{name.lower()}")
        self.show(None, {})

    def show(self, take, contents):
        """Show a take's HTML in the parts that are named; a new take empties all."""
        if take is None or take is not self.take:
            contents = {**dict.fromkeys(self.parts, ""), **contents}
        self.take, self.box.layout.display = take, "flex" if take else "none"
        for part, content in contents.items():
            self.parts[part].value = content


# %%
def make_choice(words, options, value=None):
    """Return a drop-down list with a label."""
    value = options[0] if value is None else value
    return widgets.Dropdown(options=options, value=value, description=words)


def make_controls(models, pieces):
    """Return the Studio's controls, by name, with good defaults."""
    moods = ("any", *MOODS)
    controls = {
        "model": make_choice("Model", list(models), list(models)[-1]),
        "start": make_choice("Go on from", list(pieces)),
        "length": widgets.BoundedIntText(100, 1, 1000, 20, description="Events"),
        "temperature": widgets.BoundedFloatText(
            value=1.0, min=0.1, max=3.0, step=0.05, description="Temperature"
        ),
        "top_p": make_choice("Top-p", [1.0, 0.98, 0.95, 0.9, 0.8]),
        "energy": make_choice("Energy", moods),
        "brightness": make_choice("Brightness", moods),
        "tempo": widgets.BoundedIntText(0, 0, 400, description="Tempo, 0: same"),
        "seed": widgets.BoundedIntText(1, 0, 10**9, description="Random seed"),
    }
    for control in controls.values():
        control.style.description_width = "110px"
        control.layout = widgets.Layout(width="auto", max_width="420px")
    return controls


# %%
def make_buttons():
    """Return what the Studio is worked with beside its controls, by name."""
    return {
        "primer": widgets.FileUpload(
            accept=",".join(MIDI_ENDINGS), description="MIDI primer"
        ),
        "drop": widgets.Button(description="No primer", disabled=True),
        "generate": widgets.Button(description="Generate", button_style="primary"),
        "cancel": widgets.Button(description="Cancel", disabled=True),
        "progress": widgets.FloatProgress(max=1.0, description="Progress"),
        "status": widgets.HTML(),
        "a": widgets.Dropdown(description="Take A"),
        "b": widgets.Dropdown(description="Take B"),
        "marked": widgets.Checkbox(description="Mark borrowed passages", indent=False),
    }


def read_upload(upload):
    """Return an uploaded MIDI file as a piece; NotebookError says what is wrong."""
    name, content = readable(Path(str(upload["name"])).stem), bytes(upload["content"])
    if len(content) > LARGEST_FILE:
        raise NotebookError(f"{name} is larger than 1 MB: choose a shorter MIDI file.")
    try:
        return parse_bytes(content, name)
    except MidiFileError as error:
        raise NotebookError(f"{name} cannot be used: {error}.") from None


# %%
class Cancelled(Exception):
    """Raised in a generation that its listener has stopped."""


# %%
class StudioWork:
    """How the Studio works beside the page, so that its buttons stay alive."""

    def start(self, job):
        """Let a coroutine run beside the page."""
        task = asyncio.get_running_loop().create_task(job)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def work(self, function, *arguments):
        """Return what a function gives, called in a thread, one call at a time."""
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self.thread, partial(function, *arguments))
        while not job.done():
            await asyncio.wait([job], timeout=0.1)
            self.buttons["progress"].value = self.share
        return job.result()

    def watch(self, share):
        """Note how much is done; stop the generation that calls if it was cancelled."""
        self.share = share
        if self.cancelled:
            raise Cancelled("Cancelled; nothing was kept.")

    def say(self, words):
        """Show a sentence to the reader, as text."""
        self.buttons["status"].value = f'<p role="status">{html.escape(words)}</p>'


# %%
class StudioTakes(StudioWork):
    """What the Studio knows: its takes, its primer, and what its controls ask for."""

    def read_request(self):
        """Return the request that the controls stand for."""
        values = {name: each.value for name, each in self.controls.items()}
        return Request(**values, primer=self.primer)

    def keep(self, take):
        """Add a take to the history, choose it as take A, and return it."""
        self.takes.append(take)
        names = [
            (f"{number}: {each.piece.name}, seed {each.request.seed}", number)
            for number, each in enumerate(self.takes, 1)
        ]
        other, self.listening = self.buttons["b"].value or 0, False
        lists = {"a": (names, len(names)), "b": ([("none", 0), *names], other)}
        for button, (options, value) in lists.items():
            self.buttons[button].options = options
            self.buttons[button].value = value
        self.listening = True
        return take


# %%
class StudioState(StudioTakes):
    """Whether the Studio is at work, and what its music goes on from."""

    def set_busy(self, busy):
        """Open or close the buttons for a generation."""
        self.busy, self.cancelled, self.share = busy, False, 0.0
        self.buttons["progress"].value = 0.0
        self.buttons["generate"].disabled = busy
        self.buttons["cancel"].disabled = not busy

    def use_primer(self, piece):
        """Take a piece as the primer, or none."""
        self.primer = piece
        self.controls["start"].disabled = piece is not None
        self.buttons["drop"].disabled = piece is None
        self.buttons["primer"].value = ()

    def drop(self, button=None):
        """Go on without the primer."""
        self.use_primer(None)
        self.say("The music will go on from the piece in the list.")

    async def upload(self, uploaded):
        """Take an uploaded file as the primer, or none if it cannot be used."""
        self.use_primer(None)
        self.use_primer(await self.work(read_upload, uploaded))
        self.say(f"The music will go on from {self.primer.name}.")


# %%
class StudioActions(StudioState):
    """What happens when something is generated or chosen."""

    async def show(self, view, take):
        """Show a take: first what is heard, then what is seen."""
        view.ticket = ticket = object()  # a later choice takes its place
        heard = await self.work(render_heard, take, view.name)
        if view.ticket is ticket:
            view.show(take, heard)
        model, marked = self.models[take.request.model], self.buttons["marked"].value
        seen = await self.work(render_seen, take, model, self.held_out, marked)
        if view.ticket is ticket:
            view.show(take, seen)

    async def compose(self):
        """Write a take as the controls ask, keep it and show it as take A."""
        self.say("Writing …")
        request = self.read_request()
        take = await self.work(make_take, request, self.models, self.pieces, self.watch)
        await self.show(self.views["a"], self.keep(take))
        self.say(f"Here it is. {take.piece.remarks}".strip())

    async def attempt(self, job):
        """Do a job; whatever fails, say it in a sentence and go on."""
        try:
            await job
        except (Cancelled, NotebookError) as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"That failed ({error!r}). Change a setting and try again.")


# %%
class StudioEvents(StudioActions):
    """What the Studio's buttons do."""

    async def generate(self):
        """Compose, unless that is under way."""
        if not self.busy:
            self.set_busy(True)
            await self.attempt(self.compose())
            self.set_busy(False)

    async def choose(self, view, number):
        """Show the take of that number, or none."""
        if number:
            return await self.show(view, self.takes[number - 1])
        view.ticket = None
        view.show(None, {})

    async def mark(self):
        """Draw the piano rolls again, with or without what was borrowed."""
        for view in self.views.values():
            if take := view.take:
                sources = self.models[take.request.model].sources
                marked = self.buttons["marked"].value
                roll = await self.work(draw_roll, take, sources, marked)
                if view.take is take:
                    view.show(take, {"roll": roll})


# %%
class Studio(StudioEvents):
    """A panel to generate, hear, see, compare and keep music.

    `models` by name; `pieces`: what the music may go on from; `held_out`: real pieces
    that its figures are compared with.
    """

    def __init__(self, models, pieces, held_out):
        self.models, self.held_out = models, held_out
        self.pieces = name_pieces(pieces)
        self.takes, self.primer, self.tasks, self.listening = [], None, set(), True
        self.thread = ThreadPoolExecutor(1)
        self.controls, self.buttons = make_controls(models, self.pieces), make_buttons()
        self.views = {"a": TakeView("A"), "b": TakeView("B")}
        self.set_busy(False)
        connect(self)
        self.panel = lay_out(self.controls, self.buttons, self.views)

    def open_with(self, request):
        """Show a first take at once."""
        take = self.keep(make_take(request, self.models, self.pieces))
        model, held_out = self.models[request.model], self.held_out
        heard, seen = render_heard(take, "A"), render_seen(take, model, held_out, False)
        self.views["a"].show(take, {**heard, **seen})

    def _repr_mimebundle_(self, **options):
        """Return the panel, and a sentence where there is no kernel to serve it."""
        words = "The Studio opens here when this cell is run."
        return {**self.panel._repr_mimebundle_(**options), "text/plain": words}


# %%
def name_pieces(pieces):
    """Return the pieces that are long enough to go on from, by names of their own."""
    named = {}
    for piece in pieces:
        name, number = piece.name, 1
        while name in named:
            number += 1
            name = f"{piece.name} ({number})"
        if len(group_notes(piece)[0]) > SEQUENCE_LENGTH:
            named[name] = piece
    return named


# %%
def connect(studio):
    """Connect a Studio's buttons with what they do."""
    buttons = studio.buttons

    def choose(view, change):
        if studio.listening:
            studio.start(studio.attempt(studio.choose(view, change["new"])))

    def upload(change):
        for uploaded in change["new"][-1:]:
            studio.start(studio.attempt(studio.upload(uploaded)))

    buttons["generate"].on_click(lambda _: studio.start(studio.generate()))
    buttons["cancel"].on_click(lambda _: setattr(studio, "cancelled", True))
    buttons["drop"].on_click(studio.drop)
    buttons["primer"].observe(upload, "value")
    buttons["marked"].observe(
        lambda _: studio.start(studio.attempt(studio.mark())), "value"
    )
    for name, view in studio.views.items():
        buttons[name].observe(partial(choose, view), "value")


# %%
def lay_out(controls, buttons, views):
    """Return the widgets of a Studio as one that suits any width."""
    wrap = widgets.Layout(flex_flow="row wrap", width="100%")
    columns = "repeat(auto-fit, minmax(min(320px, 100%), 1fr))"
    grid = widgets.Layout(display="grid", grid_template_columns=columns)

    def line(*names):
        return widgets.HBox([buttons[name] for name in names], layout=wrap)

    panel = widgets.VBox([
        widgets.GridBox([*controls.values()], layout=grid),
        line("primer", "drop"), line("generate", "cancel", "progress"),
        buttons["status"], line("a", "b", "marked"),
        widgets.HBox([view.box for view in views.values()], layout=wrap),
    ])  # fmt: skip
    panel.add_class("studio")
    return panel


# %% tags=["active-ipynb"]
# # needed by the page
# studio = Studio(models, validation_pieces + training_pieces, validation_pieces)
# if AS_PAGE:
#     studio.start(studio.generate())  # it is there a moment after the page
# else:
#     studio.open_with(studio.read_request())
# studio

# %% [markdown]
# ## 12 Export
#
# **Where is my music?** In `outputs/midi`. Each file holds its title, model, seed and
# settings as text, is read back and compared note for note. No file is ever overwritten
# by other music: a new one gets a number, and the notebook says so.


# %%
def free_path(path, data):
    """Return the path, or one with a number where other content stands there."""
    path, number = Path(path), 1
    place = path
    while place.exists() and not (place.is_file() and place.read_bytes() == data):
        number += 1
        place = path.with_stem(f"{path.stem}-{number}")
    if place != path:
        print(f"{path.name} holds other music; this is kept as {place.name}.")
    return place


# %%
def write_midi(notes, path, *, tempo, title, comments=()):
    """Write notes to a MIDI file, read it back, compare, and return the path written.

    `notes`: an array of NOTE; `tempo`: quarter notes a minute; `comments`: text kept
    inside. Another file's content is never replaced: see `free_path`.
    """
    check_notes(notes, tempo)
    data = midi_bytes(notes, tempo, title, comments)
    written = sorted_ticks(parse_bytes(data, title).notes)
    if not np.array_equal(written, sorted_ticks(notes)):
        raise NotebookError(f"{path} was not written: its notes would not read back.")
    return write_whole(free_path(path, data), data)


def sorted_ticks(notes):
    """Return notes in order: onset and duration in ticks, pitch and velocity."""
    onset = np.rint(notes["onset"] * TICKS)
    duration = np.rint((notes["onset"] + notes["duration"]) * TICKS) - onset
    rows = np.column_stack(
        [onset, np.maximum(duration, 1), notes["pitch"], notes["velocity"]]
    )
    return rows[np.lexsort((rows[:, 2], rows[:, 0]))]


# %% tags=["active-ipynb"]
# MIDI_FOLDER = Path(OUTPUT_FOLDER) / "midi"
# made_by = f"{RUN_KIND} run of Music_Generation_LSTM.ipynb"
# chosen = [(name, piece) for name in generated for piece in generated[name][:3]]
# written = [
#     write_midi(
#         piece.notes,
#         MIDI_FOLDER / f"{safe_file_name(piece.name)}.mid",
#         tempo=piece.tempo,
#         title=piece.name,
#         comments=(f"model {name}", piece.settings, describe_copy(piece), made_by),
#     )
#     for name, piece in chosen
# ]
# rows = [
#     {**describe_piece(piece), "longest run": piece.shared.events} for _, piece in chosen
# ]
# pd.DataFrame(rows, [path.name for path in written])

# %% [markdown]
# And this is the cell to change when you play with the notebook: what `generate_music`
# wrote last, under a name of your own.

# %% tags=["active-ipynb"]
# write_midi(
#     generated_music.notes,
#     MIDI_FOLDER / "my_music.mid",
#     tempo=generated_music.tempo,
#     title="My music",
#     comments=(
#         f"model {model.name}",
#         generated_music.settings,
#         describe_copy(generated_music),
#         made_by,
#     ),
# )

# %% [markdown]
# ## 13 Conclusions
#
# **What was learnt?**


# %%
def conclude(means, values, name):
    """Return the findings on a model as Markdown, each with the numbers of this run."""

    def both(metric):
        row = values.loc[(name, metric)]
        return f"{row['value']:.3f} (real against real {row['floor_median']:.3f})"

    nats, own = means["nats_per_event"], name in FIXED_SCHEDULE
    measured = values.loc[name]
    outside = measured[
        ~measured["value"].between(measured["floor_low"], measured["floor_high"])
    ]
    findings = [
        f"On unseen pieces its token costs {nats[name]:.3f} nats an event"
        f"{', once the step is known' if own else ''}; counting costs "
        f"{nats['unigram']:.3f}, the n-gram {nats['ngram']:.3f}.",
        f"Its pitches diverge by {both('kl_divergence')} nats; its intervals reach "
        f"{both('interval_similarity')}; its {'own' if own else 'borrowed'} rhythm "
        f"{both('rhythm_similarity')}.",
        "A random forest tells its music from real music with an AUC of "
        f"{both('two_sample_auc')}; 0.5 is a guess, 1 is never wrong.",
        "Its longest run shared with a training piece has, in events, "
        f"{both('longest_run')}.",
        f"Of {len(measured)} measures {len(measured) - len(outside)} lie within what "
        f"real music scores against real music. Outside: "
        f"{', '.join(outside.index) or 'none'}.",
    ]
    return "\n".join(f"{i}. {finding}" for i, finding in enumerate(findings, 1))


# %% tags=["active-ipynb"]
# values = evaluation.set_index(["model", "metric"])
# for name in MODELS:
#     display(Markdown(f"**{name}**\n\n{conclude(fold_means, values, name)}"))

# %% [markdown]
# **Limits.** Twenty pieces are few; every number has its interval to show for it. The
# grid rounds time to 1/12 of a quarter note, and one event has one velocity, so that a
# melody cannot stand out from its chord. Histograms know nothing of form: a piece may
# match all of them and go nowhere. Mood is measured, not felt: density, force, mode and
# register stand for it. The shipped pieces were composed by a program; how the recipe
# does on performances of a pianist, the README tells.
#
# **Next.** A sense of form beyond the running averages; a velocity for each note.
#
# **References.** Hochreiter and Schmidhuber (1997), *Long short-term memory*. Witten
# and Bell (1991), *The zero-frequency problem*. Cuthbert and Ariza (2010), *music21*.
# Krumhansl and Kessler (1982), *Tracing the dynamic changes in perceived tonal
# organization*. Wu and Yang (2020), *The Jazz Transformer on the front line*. Yang and
# Lerch (2020), *On the evaluation of generative models in music*. Okabe and Ito (2008),
# *Color universal design*.

# %% tags=["active-ipynb"]
# memory = psutil.Process().memory_info().rss / 2**30
# print(
#     f"{RUN_KIND} run in {(time.perf_counter() - RUN_STARTED) / 60:.1f} minutes, "
#     f"{'from the beginning' if first_run else 'with results that were there already'}; "
#     f"{memory:.1f} GiB of memory in this process."
# )
