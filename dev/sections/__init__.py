"""The sections of the notebook in their order, each a py:percent file.

A section imports from those before it alone. `dev/tools/refresh.py` assembles them.
"""

SECTIONS = (
    "settings",
    "machinery",
    "corpus",
    "encoding",
    "hearing",
    "baselines",
    "folds",
    "lstm",
    "expressive",
    "writing",
    "novelty",
    "validation",
    "generation",
    "evaluation",
    "studio",
    "export",
)
