"""Train the event models on real performances and measure what they must hold.

Usage: python dev/benchmarks/expressive.py
Trains on the twenty files of ../shared/corpora/performances/train and tests on those of
valid; the corpus is not shipped. Writes expressive.md.
"""

import sys
import time

import numpy as np
import report

import definitions as notebook
from results import markdown_table

SEED = 7
PIECES, EVENTS, SEED_EVENTS = 20, 400, 64
MANY = 100  # pieces for collapse and novelty
REQUESTS = 10  # pieces for each of the nine moods
DRAWS = 5  # sets of pieces compared, each with other excerpts of the held-out ones
LONGER = 48  # epochs of a second training
EVENT_MODELS = ("expressive", "transformer")


def load(split):
    """Return the pieces of a folder of performances."""
    paths = notebook.find_midi_files(report.PERFORMANCES / split)
    return [notebook.parse_midi(path) for path in paths]


def train(name, learning, vocabulary, epochs):
    """Return a model trained by the notebook, and the seconds that it took."""
    started = time.perf_counter()
    predictor, _ = notebook.TRAINERS[name](learning, [], vocabulary, SEED, epochs)
    seconds = time.perf_counter() - started
    rhythm = np.concatenate([notebook.encode(piece, vocabulary) for piece in learning])
    sources = notebook.Sources(learning)
    model = notebook.Model(name, predictor, vocabulary, rhythm, 120.0, {}, sources)
    print(f"{name}: {epochs} epochs in {seconds:.0f} s", flush=True)
    return model, seconds


def score(model, pieces):
    """Return nats a note by stream, and pitch + step together."""
    table = notebook.score_streams(model.predictor, pieces, model.vocabulary)
    nats = {stream: row["nats_per_note"] for stream, row in table.items()}
    return {**nats, "both": nats["token"] + nats["step"]}


def best_ngram(learning, held_out, vocabulary):
    """Return the least nats a note of n-grams of orders 1 to 5, in all twelve keys."""
    tables, _ = notebook.train_ngram(learning, [], vocabulary, SEED, 5)
    scores = [
        notebook.score_streams(tables.shorten(order), held_out, vocabulary)
        for order in range(1, 6)
    ]
    return min(score["token"]["nats_per_note"] for score in scores)


def compare_prediction(model, seconds, learning, held_out):
    """Return figures on the prediction of held-out pieces, by row."""
    ours = score(model, held_out)
    counted, _ = notebook.train_unigram(learning, [], model.vocabulary, SEED, 0)
    counted = notebook.score_streams(counted, held_out, model.vocabulary)
    ngram = best_ngram(learning, held_out, model.vocabulary)
    figures = {
        "seconds of training": f"{seconds:.0f}",
        "pitch + step, nats a note": f"{ours['both']:.3f}",
        "pitch below the best n-gram": f"{ngram - ours['token']:.3f}",
    }
    for stream in ("duration", "velocity", "lower_velocity"):
        saved = 1 - ours[stream] / counted[stream]["nats_per_note"]
        figures[f"{stream} below its unigram"] = f"{saved:.1%}"
    return figures


def write(model, pieces, count, generator):
    """Return new pieces that go on from random places of some pieces."""
    rows = [notebook.encode(piece, model.vocabulary) for piece in pieces]
    windows, _ = notebook.make_windows(rows, SEED_EVENTS)
    seeds = [windows[i] for i in generator.integers(len(windows), size=count)]
    return notebook.generate_pieces(model, seeds, EVENTS, generator=generator)


def compare_music(write_set, pieces, vocabulary):
    """Return figures on the likeness of sets of music to held-out pieces, by row.

    `write_set`: a function of a generator, which returns a set of pieces.
    """
    figures = {}
    for draw in range(DRAWS):
        generator = np.random.default_rng(SEED + draw)
        real = notebook.cut_excerpts(pieces, vocabulary, EVENTS, generator)
        written = write_set(generator)
        for metric in notebook.HEADLINE_METRICS:
            value = notebook.compare(metric, real, written)
            figures.setdefault(metric, []).append(value)
        auc = notebook.two_sample_auc(real, written, range(3))[0]
        figures.setdefault("two_sample_auc", []).append(auc)
    return {
        metric: f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        for metric, values in figures.items()
    }


def compare_novelty(model, learning):
    """Return figures on many pieces, alike, in a loop, copied, by row."""
    pieces = write(model, learning, MANY, np.random.default_rng(SEED + 1))
    alike = MANY - len({piece.notes.tobytes() for piece in pieces})
    loops = sum(bool(piece.remarks) for piece in pieces)
    classes = [len(np.unique(piece.notes["pitch"] % 12)) for piece in pieces]
    return {
        f"of {MANY} pieces, alike": f"{alike}",
        f"of {MANY} pieces, the guard met a loop": f"{loops}",
        f"of {MANY} pieces, fewest pitch classes": f"{min(classes)}",
        "longest shared run, events": f"{max(p.shared.events for p in pieces)}",
    }


def compare_moods(model, learning):
    """Return figures on requested against measured mood, 3 × 3 requests, by row."""
    generator = np.random.default_rng(SEED + 2)
    rows = [notebook.encode(piece, model.vocabulary) for piece in learning]
    windows, _ = notebook.make_windows(rows, SEED_EVENTS)
    seeds = [windows[i] for i in generator.integers(len(windows), size=REQUESTS)]
    table, figures = notebook.try_moods(model, seeds, EVENTS, generator), {}
    for mood in ("energy", "brightness"):
        right = (table[mood] == table[f"measured_{mood}"]).mean()
        means = table.groupby(mood)[f"{mood}_score"].mean()[list(notebook.MOODS)]
        figures[f"right tercile of {mood}"] = f"{right:.0%}"
        text = ", ".join(f"{mean:.2f}" for mean in means)
        figures[f"mean {mood}, low to high"] = text
    return figures


def measure_speed(model, learning):
    """Return events a second of 16 streams, once the step is compiled, by row."""
    rates = []
    for turn in range(10):
        generator, started = np.random.default_rng(turn), time.perf_counter()
        write(model, learning, 16, generator)
        rates.append(16 * EVENTS / (time.perf_counter() - started))
    return {"events a second, 16 streams": f"{np.median(rates[1:]):,.0f}"}


def measure(learning, held_out, vocabulary):
    """Return a column of figures for each model, by name."""
    columns = {}

    def liken(model):
        return compare_music(
            lambda generator: write(model, learning, PIECES, generator),
            held_out,
            vocabulary,
        )

    for name in EVENT_MODELS:
        epochs = notebook.EXPRESSIVE_EPOCHS
        model, seconds = train(name, learning, vocabulary, epochs)
        columns[name] = {
            **compare_prediction(model, seconds, learning, held_out),
            **liken(model),
            **compare_novelty(model, learning),
            **compare_moods(model, learning),
            **measure_speed(model, learning),
        }
    for name, epochs in (("ngram", 2), ("published", 10)):
        columns[name] = liken(train(name, learning, vocabulary, epochs)[0])
    columns["real"] = compare_music(
        lambda generator: notebook.cut_excerpts(
            learning, vocabulary, EVENTS, generator
        ),
        held_out,
        vocabulary,
    )
    sources = notebook.Sources(learning)
    runs = [notebook.find_shared_run(piece, sources).events for piece in held_out]
    columns["real"]["longest shared run, events"] = f"{max(runs)}"
    return columns


LIMITS = {
    "seconds of training": "≤ 120",
    "pitch + step, nats a note": "≤ 4.20",
    "pitch below the best n-gram": "≥ 0.65",
    "duration below its unigram": "≥ 15 %",
    "velocity below its unigram": "≥ 15 %",
    "lower_velocity below its unigram": "",
    "kl_divergence": "≤ 0.05",
    "interval_similarity": "≥ 0.98",
    "rhythm_similarity": "≥ 0.98",
    "two_sample_auc": "≤ 0.75",
    f"of {MANY} pieces, alike": "0",
    "longest shared run, events": "≤ 2 × real",
    "right tercile of energy": "≥ 80 %",
    "right tercile of brightness": "≥ 70 %",
    "mean energy, low to high": "rising",
    "mean brightness, low to high": "rising",
    "events a second, 16 streams": "≥ 4,000",
}


def main():
    """Measure everything and write expressive.md."""
    if not report.PERFORMANCES.is_dir():
        sys.exit(f"There is no folder {report.PERFORMANCES}: nothing was measured.")
    learning, held_out = load("train"), load("valid")
    vocabulary = notebook.build_vocabulary(learning, notebook.VOCABULARY_SIZE)
    columns = measure(learning, held_out, vocabulary)
    longer, seconds = train("expressive", learning, vocabulary, LONGER)
    rows = [
        [figure, LIMITS.get(figure, ""), *(c.get(figure, "") for c in columns.values())]
        for figure in columns["expressive"]
    ]
    table = markdown_table(["figure", "must be (expressive)", *columns], rows)
    more = score(longer, held_out)["both"]
    text = (
        f"{notebook.EXPRESSIVE_EPOCHS} epochs; `real` are the training pieces. "
        f"Likeness to the held-out pieces is the mean of {DRAWS} sets of {PIECES} "
        f"pieces of {EVENTS} events, ± one standard deviation.\n\n{table}\n\nWith "
        f"{LONGER} epochs ({seconds:.0f} s) the expressive model's pitch + step comes "
        f"to {more:.3f}."
    )
    title = "The event models on 20 + 20 performances of a jazz pianist (not shipped)"
    report.write_report("expressive", title, text)


if __name__ == "__main__":
    main()
