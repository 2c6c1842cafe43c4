"""Original jazz piano, composed by rule and given away (CC0).

`python -m composer`, started in `dev/`, writes the forty pieces of the catalogue:
twenty to `jazz_sample_files/`, twenty to `Validation_samples/`. With
`--pieces N --seed S --out FOLDER` it writes N others. The same command always writes
the same bytes.

| module | what it knows |
| --- | --- |
| `harmony` | chord symbols, their tones and scales, how a chord may be coloured |
| `voicings` | pitches for a hand: shells, rootless, tenths, fourths, block chords |
| `forms` | blues, rhythm changes, 32-bar and other forms, and their changes |
| `score` | the written notes, chords and sections, in ticks of 1/480 quarter |
| `melody` | heads: a motif and how it is developed |
| `improvisation` | phrases whose lines aim at chord tones |
| `left_hand`, `montuno`, `texture` | manners of the left hand and of the right |
| `styles`, `catalogue` | fourteen styles; forty titled pieces and any number more |
| `arrangement` | intro, head, choruses, head out, ending |
| `performance` | swing, placement, touch, pedal; what ten fingers can hold |
| `midi_file`, `command_line` | writing files, and saying what is wrong |

A file is of format 1 with three tracks: a conductor's track (title, CC0 notice, tempo,
metre, key, markers), `Piano right hand` and `Piano left hand`. Each hand's track
carries the pedal, so that it sounds right alone. Markers are of two kinds:

- a chord change is the bare symbol: `Dm7`, `G7b9`, `C/E` (see `harmony.QUALITIES`);
- a section begins with the word Section: `Section Intro`, `Section Head A`,
  `Section Chorus 2 B`, `Section Head out A`, `Section Ending`.

Markers stand where the score has them; the notes around them are swung and placed as
a player does, so a chord may sound a little before or after its marker.
"""
