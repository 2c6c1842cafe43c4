# %% [markdown]
# ## 2 Settings
#
# **What may I change? On what does it run?** On the packages of `requirements.txt` and
# Python 3.11, 3.12 or 3.13. We silence TensorFlow's logs and give each process one
# thread: folds are trained side by side in processes of their own, which uses the cores
# better than one fold on all of them, and gives the same numbers on any number of cores.

# %% tags=["hide-input"]
import sys

if sys.version_info >= (3, 14):
    raise SystemExit(
        f"TensorFlow has no package for Python {sys.version[:4]} yet. Make the "
        "environment with 3.13: pip install uv && uv venv --python 3.13 --seed .venv")

import base64
import contextlib
import copy
import gc
import gzip
import html
import importlib.metadata
import inspect
import io
import itertools
import json
import math
import os
import platform
import random
import re
import struct
import tempfile
import time
import warnings
import zipfile
import zlib
from bisect import bisect
from collections import Counter, defaultdict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal
from unittest import mock

# %% tags=["hide-input"]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # else only on newer processors
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # it calls nobody
os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # less memory in the folds' processes


@contextlib.contextmanager
def quiet():
    """Keep off the screen what packages say as they start, and collect no garbage."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with quiet():
    import keras
    import tensorflow as tf

import joblib
import matplotlib.pyplot as plt
import music21
import numpy as np
import pandas as pd
import psutil
import pychord
import pydantic
import scipy
import sklearn
from IPython.display import HTML, Image, Markdown, display
from keras import Sequential, layers, ops
from keras.layers import LSTM, Dense, Dropout
from keras.optimizers import Adamax
from music21.midi import ChannelVoiceMessages, MetaEvents, getVariableLengthNumber
from pydantic import AfterValidator, BeforeValidator, Field
from sklearn import ensemble, metrics, model_selection
from tqdm import tqdm

# Without a file to look into, Gradio does not write type hints, as it would each time.
with quiet(), mock.patch("inspect.getfile", side_effect=FileNotFoundError):
    import gradio as gr

# %% tags=["active-ipynb"]
# RUN_STARTED = time.perf_counter()
# packages = (music21, tf, keras, np, scipy, sklearn, pd, joblib)
# pd.DataFrame({"": {package.__name__: package.__version__ for package in packages} | {
#     "Python": platform.python_version(), "cores": psutil.cpu_count(),
#     "system": f"{platform.system()} {platform.machine()}",
#     "memory, GiB": round(psutil.virtual_memory().total / 2**30),
#     "GPUs": len(tf.config.list_physical_devices("GPU"))}})

# %% [markdown]
# Everything in the cell after the next one may be changed. Where you make a mistake that
# you can mend, the notebook says so in one sentence.

# %% tags=["hide-input"]
class NotebookError(Exception):
    """A mistake that the reader can mend, shown as one sentence without a traceback."""

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


def in_a_sentence(prefix, validate, /, *arguments, **named):
    """Return what `validate` gives; what pydantic finds wrong is a NotebookError."""
    try:
        return validate(*arguments, **named)
    except pydantic.ValidationError as error:
        first, names = error.errors()[0], [*inspect.signature(validate).parameters]
        place, *_ = first["loc"]  # a name, or a number where it was given without
        name = names[place] if place in range(len(names)) else place
        words = re.sub(r"^(Value error, )?(Input|Value|It|List)\b", "it", first["msg"])
        found = f"{first['input']!r:.60}: {words}"
        found = "missing" if first["type"].startswith("missing") else found
        raise NotebookError(f"{prefix}{name} is {found}.") from None


def checked(function):
    """Return a function whose arguments are checked against its annotations."""
    settings = {"strict": True, "arbitrary_types_allowed": True}
    validated = pydantic.validate_call(function, config=settings)
    return wraps(function)(partial(in_a_sentence, f"{function.__name__}: ", validated))


def differ(names):
    if len(set(names)) < len(names):
        raise ValueError("It names a model twice")
    return names


NUMPY = BeforeValidator(lambda x: x.item() if isinstance(x, np.generic) else x)
Count = Annotated[int, NUMPY, Field(ge=1, le=10**9)]
CountOrZero = Annotated[int, NUMPY, Field(ge=0, le=10**9)]
Temperature = Annotated[float, NUMPY, Field(ge=0.01, le=100)]
Share = Annotated[float, NUMPY, Field(ge=1e-6, le=1)]
Folder = Annotated[str, Field(min_length=1)] | Path
SizeOfVocabulary = Annotated[int, Field(ge=88, le=6000)]  # five fit into 64 bits
Cells = Annotated[int, Field(ge=12, le=96, multiple_of=12)]
Rate = Annotated[float, Field(gt=0, le=10)]
RandomSeed = Annotated[int, Field(ge=0, le=10**6)]
ModelName = Literal["published", "expressive", "transformer"]
Models = Annotated[Sequence[ModelName], Field(min_length=1), AfterValidator(differ)]


def check_settings(settings, kinds):
    """Raise NotebookError where a setting, by name, is not of its kind."""
    model = pydantic.create_model("Settings", **kinds)
    in_a_sentence("", model.model_validate, settings, strict=True)


WIDE, TALL = (6.5, 2.6), (6.5, 4.6)  # inches: readable on a phone as on a screen
REAL, GENERATED, BASELINE = "#0072B2", "#D55E00", "#7F7F7F"
SECOND, THIRD = "#009E73", "#CC79A7"
PLOT_STYLE = {"figure.figsize": WIDE, "figure.constrained_layout.use": True,
              "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
              "grid.alpha": 0.3, "axes.titlesize": 10, "font.size": 10,
              "legend.frameon": False, "legend.fontsize": 9, "savefig.dpi": 130}
plt.rcParams.update(PLOT_STYLE)
pd.set_option("display.html.use_mathjax", False, "display.max_colwidth", 80)

# %% tags=["parameters"]
QUICK_RUN: bool = False  # True: a few minutes, to try things out (from 2)

TRAINING_FOLDER: Folder = "jazz_sample_files"  # MIDI files to learn from (from 4)
VALIDATION_FOLDER: Folder = "Validation_samples"  # MIDI files to compare with (from 4)
OUTPUT_FOLDER: Folder = "outputs"  # where results go (from 4)

SEQUENCE_LENGTH: Count = 40  # events that a model sees before it predicts (from 6)
VOCABULARY_SIZE: SizeOfVocabulary = 548  # 88 single notes, the rest chords (from 6)
GRID: Cells = 12  # a quarter note: for triplets and sixteenths (from 4)

FOLDS: Count = 10  # parts of the training pieces, each held out once (from 8)
MODELS: Models = ("published", "expressive")  # and "transformer": networks (from 14)
TRAINING_MODE: Literal["every_step", "last_step"] = "every_step"  # last: slow (from 9)
EPOCHS: Count = 40  # of the published network, at most (from 9)
PATIENCE: Count = 5  # epochs without improvement before training stops (from 9)
BATCH_SIZE: Count = 256  # windows an update, a quarter with every_step (from 9)
LEARNING_RATE: Rate = 0.01  # of Adamax (from 9)
EXPRESSIVE_EPOCHS: Count = 20  # of the final expressive model (from 14)
EXPRESSIVE_FOLD_EPOCHS: Count = 6  # of the expressive model in each fold (from 14)
STAIRCASE_FOLDS: Count = 3  # folds on which each idea is tried (from 15)
WORKERS: CountOrZero = 0  # processes; 0: as cores and memory allow (from 4)
SEED: RandomSeed = 2024  # of every random choice (from 7)

LONGEST_COPY: CountOrZero = 0  # events in a row from a training piece, 0: any (from 14)
TEMPERATURE: Temperature = 1.0  # below 1 safer, above 1 wilder (from 14)
TOP_P: Share = 1.0  # draw from the likeliest tokens with this total share (from 14)
TOP_K: CountOrZero = 0  # draw from so many likeliest tokens; 0: from all (from 14)
GENERATED_PIECES: Count = 20  # pieces a model writes for the evaluation (from 16)
GENERATED_EVENTS: Count = 400  # events a piece, one a token (from 14)
FLOOR_REPEATS: Count = 200  # real-vs-real deals a range, a tenth for AUC (from 17)

# %% [markdown]
# `QUICK_RUN` replaces the costly settings by small ones. Its numbers say that the
# notebook works, nothing about music; the tables say which kind of run they come from.


# %% tags=["active-ipynb"]
# check_settings(globals(), __annotations__)
# if QUICK_RUN:
#     FOLDS, FLOOR_REPEATS, GENERATED_PIECES, GENERATED_EVENTS = min(FOLDS, 2), 4, 3, 100
#     STAIRCASE_FOLDS = 1
#     EPOCHS = PATIENCE = EXPRESSIVE_EPOCHS = EXPRESSIVE_FOLD_EPOCHS = 1
# RUN_KIND = "quick" if QUICK_RUN else "full"
# keras.utils.set_random_seed(SEED)  # and NumPy's, and Python's own
# print(f"A {RUN_KIND} run")

# %% [markdown]
# Every plot uses one style, few sizes and one colour a role: blue is real music, orange
# is generated (a second network's is purple), the others are grey and green. The palette
# (Okabe and Ito's) can be told apart by colour-blind readers.

