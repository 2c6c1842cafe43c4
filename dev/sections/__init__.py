"""The sections of the notebook in their order, each a py:percent file.

A section imports from those before it alone. `dev/tools/refresh.py` assembles them.
"""

SECTIONS = (
    "listen",
    "settings",
    "machinery",
    "corpus",
    "hearing",
    "encoding",
    "baselines",
    "folds",
    "lstm",
    "harmony",
    "expressive",
    "writing",
    "novelty",
    "validation",
    "staircase",
    "generation",
    "evaluation",
    "form",
    "studio",
    "export",
)
