# %% [markdown]
# # Jazz Piano Music Generation Using LSTM
#
# This notebook reads jazz piano from MIDI files, trains neural networks on it, lets them
# write music, and measures honestly how good that music is. Everything happens in the
# cells below, and every cell may be changed.

# %% [markdown]
# ## 1 Listen
#
# **What does it sound like?** The first clip is one of the forty pieces that come with
# the notebook. A program composed them: they are free to use, but no pianist played
# them. The second is the *published recipe*, the stacked LSTM of a student project:
# common notes, no key, no melody, a borrowed rhythm. The third is the *expressive*
# network that this notebook builds from it. It writes rhythm and touch too, keeps a
# groove and a key for some bars, then wanders. In the fourth it was given the
# *changes*, a blues in F, as chord symbols. Each clip is the first of its kind, not the
# best.

# %% tags=["active-ipynb"]
# from base64 import b64encode
# from pathlib import Path
#
# from IPython.display import HTML, display
#
# for name in ("shipped", "published", "expressive", "changes"):
#     sound, roll = (Path("outputs/audio", f"{name}.{kind}") for kind in ("mp3", "png"))
#     if sound.exists() and roll.exists():
#         sound, roll = (b64encode(path.read_bytes()).decode() for path in (sound, roll))
#         display(HTML(
#             f'<p>{name}</p><audio controls aria-label="{name}" '
#             f'src="data:audio/mpeg;base64,{sound}"></audio><br>'
#             f'<img alt="Piano roll of {name}" src="data:image/png;base64,{roll}">'))

# %% [markdown]
# **What comes out.** The published recipe, built to the letter, predicts unseen jazz no
# better than a table that counts how often each note occurs. The expressive network
# predicts it far better than any table, writes all of the music by itself, takes a mood,
# plays over your changes and goes on from any MIDI file. Left alone, it lacks form.
#
# **Running it.** Keep the forty pieces, or put MIDI files of your own into
# `jazz_sample_files/` and `Validation_samples/`, and run all cells. The run stored here
# took 35 minutes on two slow CPU cores without a GPU; with `QUICK_RUN = True` it takes a
# few minutes. Finished results are kept in `outputs/`: a second run takes a few minutes
# too, and one that was cut short goes on where it stopped. The longest waits are
# sections 14 and 15; what comes before them is there within a few minutes.
#
# | § | question | answer |
# | --- | --- | --- |
# | [2 Settings](#2-Settings) | What may I change? On what does it run? | one cell; any laptop |
# | [3 Machinery](#3-Machinery) | How are results kept, and work shared out? | by fingerprint; on all cores |
# | [4 From files to notes](#4-From-files-to-notes) | What music is there? | whatever you put in |
# | [5 Hearing and seeing](#5-Hearing-and-seeing) | Can I hear it? | one call, `show(piece)` |
# | [6 From notes to numbers](#6-From-notes-to-numbers) | Does music survive as integers? | every pitch and onset |
# | [7 Guessing the next note](#7-Guessing-the-next-note) | How far does one get without a network? | one note of context helps |
# | [8 How to fool yourself](#8-How-to-fool-yourself) | Which pieces are unseen? | those that no window touches |
# | [9 The published LSTM, slowly](#9-The-published-LSTM,-slowly) | What is an LSTM, and what does this one learn? | what is frequent |
# | [10 Changes](#10-Changes) | Which chord sounds here? | the symbol tells |
# | [11 A network that hears](#11-A-network-that-hears) | What do time and touch take? | five heads and a memory |
# | [12 One event after the other](#12-One-event-after-the-other) | How does it learn and write? | piece by piece |
# | [13 Is it new?](#13-Is-it-new?) | Did it write this, or remember it? | each piece says |
# | [14 Ten folds](#14-Ten-folds) | How well does each predict unseen pieces? | see the table |
# | [15 What each idea adds](#15-What-each-idea-adds) | Why does the recipe fail, and what helps? | a staircase |
# | [16 Writing](#16-Writing) | What does it write? | listen |
# | [17 Does it sound real?](#17-Does-it-sound-real?) | Is it like the music that it never heard? | for some bars |
# | [18 Does it go anywhere?](#18-Does-it-go-anywhere?) | Has it form? What was learnt? | over changes |
# | [19 Play](#19-Play) | May I try? | yes |
# | [20 Take it home](#20-Take-it-home) | Where is my music? | in `outputs/midi` |
