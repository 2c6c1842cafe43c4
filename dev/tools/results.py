"""Turn the tables that a run leaves in outputs/ into the README's results."""

import re

import pandas as pd

MARKERS = "<!-- results: written by dev/tools/refresh.py -->", "<!-- end of results -->"
QUOTED = ("benchmarks", "growth", "performances")  # benchmarks in the README
PREDICTION = {
    "nats_per_event": "nats an event",
    "nats_per_note": "nats a note",
    "accuracy": "accuracy",
}
EVALUATION = {
    "kl_divergence": "KL divergence",
    "interval_similarity": "interval similarity",
    "rhythm_similarity": "rhythm similarity",
    "two_sample_auc": "two-sample AUC",
    "longest_run": "longest shared run",
}


def markdown_table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def prediction_table(folder):
    """Return the cross-validation's means and standard deviations as Markdown."""
    table = pd.read_csv(folder / "cross_validation.csv")
    streams = pd.read_csv(folder / "streams.csv")
    streams = streams.pivot_table("nats_per_note", ["model", "fold"], "stream")
    both, rows = streams["token"] + streams["step"], []
    for model, group in table.groupby("model", sort=False):
        cells = [
            f"{group[column].mean():.3f} ± {group[column].std():.3f}"
            for column in PREDICTION
        ]
        when = both[model].dropna()
        cells.append(f"{when.mean():.3f} ± {when.std():.3f}" if len(when) else "")
        rows.append([model, *cells])
    header = ["unseen pieces", *PREDICTION.values(), "when and which, nats a note"]
    return markdown_table(header, rows)


def evaluation_table(folder):
    """Return each contestant's main metrics with their bounds as Markdown."""
    table = pd.read_csv(folder / "evaluation.csv").set_index(["model", "metric"])
    models = table.index.unique("model")
    floors = table.loc[models[0]]
    rows = [
        ["*real against real*"]
        + [
            "*{floor_median:.3f} [{floor_low:.3f}, {floor_high:.3f}]*".format(
                **floors.loc[metric]
            )
            for metric in EVALUATION
        ]
    ]
    for model in models:
        cells = [
            "{value:.3f} [{low:.3f}, {high:.3f}]".format(**table.loc[(model, metric)])
            for metric in EVALUATION
        ]
        rows.append([model.replace("_", " "), *cells])
    return markdown_table(["generated music", *EVALUATION.values()], rows)


def results_of(folder):
    """Return both tables of a run, given its folder of tables."""
    return f"{prediction_table(folder)}\n\n{evaluation_table(folder)}"


def replace_between(text, markers, new):
    """Return a text with the part between two markers replaced."""
    start, end = (text.index(marker) for marker in markers)
    return f"{text[: start + len(markers[0])]}\n{new}\n{text[end:]}"


def tables_in(report):
    """Return the Markdown tables of a benchmark's report, a blank line between."""
    lines = [line if line.startswith("|") else "" for line in report.splitlines()]
    return re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()


def fill_readme(text, tables, benchmarks):
    """Return the README's text with the results of a run and of the benchmarks.

    `tables`, `benchmarks`: the folders outputs/tables and dev/benchmarks.
    """
    text = replace_between(text, MARKERS, results_of(tables))
    for name in QUOTED:
        markers = f"<!-- {name} -->", f"<!-- end of {name} -->"
        report = benchmarks / f"{name}.md"
        if report.exists() and markers[0] in text:
            text = replace_between(text, markers, tables_in(report.read_text("utf-8")))
    return text
