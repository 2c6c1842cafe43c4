# %% [markdown]
# ## 20 Take it home
#
# **Where is my music?** In `outputs/midi`. Each file holds its title, model, seed and
# settings as text, and is read back and compared note for note. No file is ever
# overwritten by other music: a new one gets a number, and the notebook says so.

# %% tags=["active-py"]
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .corpus import parse_bytes
from .hearing import Markers, Metre, Notes, Tempo, in_ticks, midi_bytes
from .machinery import write_whole
from .settings import NotebookError, checked


# %%
@checked
def write_midi(notes: Notes, path: str | Path, *, tempo: Tempo, title: str,
               comments: str | Sequence[str] = (), metre: Metre = ((0.0, 4, 4),),
               markers: Markers = ()):
    """Write notes to a new MIDI file, read it back, compare, and return its path.

    `notes`: an array of NOTE; `tempo`: quarter notes a minute; `comments`: text inside;
    `metre`: a piece's `metres`, or beats and unit; `markers`: a piece's.
    """
    comments = [comments] if isinstance(comments, str) else comments
    data = midi_bytes(notes, tempo, title, comments, metre, markers)
    playable, ticks, cut = in_ticks(notes, metre)
    back = parse_bytes(data, title).notes
    for name in ("onset", "duration"):
        back[name] = np.rint(back[name] * ticks)
    path = place = Path(path)
    if not path.name or not np.array_equal(back, playable):
        why = "its notes would not read back" if path.name else "it has no name"
        raise NotebookError(f"{path} was not written: {why}.")
    if cut:
        print(f"{path.name}: notes cut where their key is struck again: {cut}.")
    numbers = itertools.count(2)
    while os.path.exists(place) and (not place.is_file() or place.read_bytes() != data):
        place = path.with_stem(f"{path.stem}-{next(numbers)}")
    if place != path:
        print(f"{path.name} is taken; this is kept as {place.name}.")
    return write_whole(place, data)


# %% tags=["active-ipynb", "hide-input"]
# MIDI_FOLDER = Path(OUTPUT_FOLDER) / "midi"
# made_by = f"{RUN_KIND} run of Music_Generation_LSTM.ipynb"
# rows = []
# for name, piece in [(name, p) for name in generated for p in generated[name][:3]]:
#     path = MIDI_FOLDER / f"{safe_file_name(piece.name)}.mid"
#     told = (f"model {name}", piece.settings, describe_copy(piece), made_by)
#     path = write_midi(piece.notes, path, tempo=piece.tempo, title=piece.name,
#                       comments=told, metre=piece.metres, markers=piece.markers)
#     rows.append({"file": path.name, **describe_piece(piece),
#                  "longest run": piece.shared.events})
# pd.DataFrame(rows).set_index("file")

# %% tags=["active-ipynb"]
# print(f"{RUN_KIND} run in {(time.perf_counter() - RUN_STARTED) / 60:.1f} minutes, "
#       f"{'from the beginning' if first_run else 'with results from the cache'}; "
#       f"{psutil.Process().memory_info().rss / 2**30:.1f} GiB in this process.")

# %% [markdown]
# And this is the cell to change when you play with the notebook: what `generate_music`
# wrote last, under a name of your own.

# %% tags=["active-ipynb"]
# write_midi(generated_music.notes, MIDI_FOLDER / "my_music.mid",
#            tempo=generated_music.tempo, title="My music", metre=generated_music.metres,
#            markers=generated_music.markers,
#            comments=(f"model {model.name}", generated_music.settings,
#                      describe_copy(generated_music), made_by))
