"""Turn the tables that a run leaves in outputs/ into the README's results."""

import pandas as pd

MARKERS = "<!-- results: written by dev/tools/refresh.py -->", "<!-- end of results -->"
PREDICTION = {
    "nats_per_note": "nats a note",
    "when": "when and which",
    "accuracy": "accuracy",
}
EVALUATION = {
    "two_sample_auc": "two-sample AUC",
    "interval_similarity": "interval similarity",
    "rhythm_similarity": "rhythm similarity",
    "structureness_16": "structureness, 16 bars and more",
    "longest_run": "longest shared run",
}


def markdown_table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def prediction_table(folder):
    """Return the cross-validation's means and standard deviations, best model first."""
    table = pd.read_csv(folder / "cross_validation.csv").set_index(["model", "fold"])
    streams = pd.read_csv(folder / "streams.csv")
    streams = streams.pivot_table("nats_per_note", ["model", "fold"], "stream")
    table["when"] = streams["token"] + streams["step"]
    groups = table.groupby("model")[[*PREDICTION]]
    mean, spread = groups.mean().sort_values("nats_per_note"), groups.std()
    rows = []
    for model, row in mean.iterrows():
        pairs = zip(row, spread.loc[model], strict=True)
        cells = [f"{value:.3f} ± {each:.3f}" for value, each in pairs]
        cells = [cell.replace("nan ± nan", "") for cell in cells]
        rows.append([model.replace("_", " "), *cells])
    return markdown_table(["unseen pieces", *PREDICTION.values()], rows)


def evaluation_table(folder):
    """Return each contestant's main metrics with their bounds, nearest AUC first."""
    table = pd.read_csv(folder / "evaluation.csv").set_index(["model", "metric"])
    auc = table.xs("two_sample_auc", level="metric")["value"]
    floors = table.loc[auc.index[0]]
    text = "*{floor_median:.3f} ({floor_low:.3f}–{floor_high:.3f})*"
    cells = [text.format(**floors.loc[metric]) for metric in EVALUATION]
    rows = [["*real against real*", *cells]]
    for model in (auc - 0.5).clip(0).sort_values(kind="stable").index:
        cells = [
            "{value:.3f} ({low:.3f}–{high:.3f})".format(**table.loc[(model, metric)])
            for metric in EVALUATION
        ]
        rows.append([model.replace("_", " "), *cells])
    return markdown_table(["generated music", *EVALUATION.values()], rows)


def likeness_table(folder):
    """Return the three published measures, averaged over the folds."""
    table = pd.read_csv(folder / "likeness.csv", dtype=str).drop(columns="run")
    header = [name.replace("_", " ") for name in table.columns]
    return markdown_table(header, table.values.tolist())


def changes_table(folder):
    """Return how music follows its changes, the mean over pieces."""
    table = pd.read_csv(folder / "changes.csv").drop(columns="run")
    means = table.groupby("music", sort=False).mean()
    rows = [[name, *map("{:.3f}".format, row)] for name, row in means.iterrows()]
    return markdown_table(["over changes", *means.columns.str.replace("_", " ")], rows)


def results_of(folder):
    """Return the tables of a run, given its folder of tables."""
    makers = prediction_table, likeness_table, evaluation_table, changes_table
    return "\n\n".join(make(folder) for make in makers)


def fill_readme(text, tables):
    """Return the README's text with the results of a run, the folder of its tables."""
    start, end = (text.index(marker) for marker in MARKERS)
    return f"{text[: start + len(MARKERS[0])]}\n{results_of(tables)}\n{text[end:]}"
