"""The twin's rules, and that the committed notebook is a run of it."""

import ast
import builtins
import dis
import inspect
import subprocess
import sys
import types

import jupytext
import nbformat
import pytest
from helpers import ROOT

from refresh import NOTEBOOK, STAMP, TWIN, code_hash

SOURCE = TWIN.read_text(encoding="utf-8")
TREE = ast.parse(SOURCE)
CELLS = jupytext.read(TWIN, fmt="py:percent").cells
LONGEST = 30  # lines of a cell or a function
FUNCTIONS = [
    node
    for node in ast.walk(TREE)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
]


def is_environment(node):
    """Tell whether a statement is os.environ.setdefault(...)."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith(
        "os.environ.setdefault("
    )


def constant_names(node):
    """Return the names that an assignment gives values to."""
    return [
        part.id
        for target in node.targets
        for part in ast.walk(target)
        if isinstance(part, ast.Name)
    ]


def test_top_level_only_defines():
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for node in TREE.body:
        if isinstance(node, ast.Assign):
            assert all(name.isupper() for name in constant_names(node)), node.lineno
        else:
            assert isinstance(node, allowed) or is_environment(node), node.lineno


def test_environment_is_set_before_tensorflow():
    imports = [
        node.lineno
        for node in TREE.body
        if isinstance(node, ast.Import)
        and {name.name for name in node.names} & {"tensorflow", "keras"}
    ]
    lines = [node.lineno for node in TREE.body if is_environment(node)]
    assert lines and max(lines) < min(imports)


def test_nothing_local_is_imported():
    local = {path.stem for path in (ROOT / "dev").rglob("*.py")} | {"composer"}
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & local
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module.split(".")[0] not in local


def test_no_name_is_undefined():
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821"]
    result = subprocess.run([*command, str(TWIN)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_functions_see_no_lower_case_globals(notebook):
    """A name that a function takes from outside is a definition or a constant."""
    codes = [compile(SOURCE, str(TWIN), "exec")]
    while codes:
        code = codes.pop()
        codes += [part for part in code.co_consts if inspect.iscode(part)]
        if code.co_flags & inspect.CO_NEWLOCALS:
            for name in global_names(code):
                value = getattr(notebook, name, getattr(builtins, name, None))
                kinds = (type, types.ModuleType, types.FunctionType)
                known = name.isupper() or isinstance(value, kinds) or callable(value)
                assert known, f"{code.co_name} uses {name}"


def global_names(code):
    """Return the names that a code object looks up outside of itself."""
    return {step.argval for step in dis.get_instructions(code)
            if step.opname == "LOAD_GLOBAL"}  # fmt: skip


def test_no_default_is_a_setting_or_mutable():
    for function in FUNCTIONS:
        given = [*function.args.defaults, *function.args.kw_defaults]
        for default in filter(None, given):
            parts = list(ast.walk(default))
            names = [part.id for part in parts if isinstance(part, ast.Name)]
            mutable = (ast.List, ast.Dict, ast.Set, ast.Call, ast.ListComp)
            assert not any(map(str.isupper, names)), (function.name, names)
            assert not any(isinstance(part, mutable) for part in parts), function.name


def test_no_function_is_too_long():
    long = {f.name: f.end_lineno - f.lineno + 1 for f in FUNCTIONS}
    assert {name: lines for name, lines in long.items() if lines > LONGEST} == {}


def test_no_cell_is_too_long():
    """Count the lines of code cells; the table of parameters may say more."""
    long = [
        (len(cell.source.splitlines()), cell.source.splitlines()[0])
        for cell in CELLS
        if cell.cell_type == "code"
        and "parameters" not in cell.metadata.get("tags", [])
        and len(cell.source.splitlines()) > LONGEST
    ]  # fmt: skip
    assert long == []


def test_everything_public_has_a_docstring():
    kinds = (ast.FunctionDef, ast.ClassDef)
    bare = [
        node.name
        for node in TREE.body
        if isinstance(node, kinds) and not ast.get_docstring(node)
    ]
    methods = [
        f"{node.name}.{method.name}"
        for node in TREE.body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        and not method.name.startswith("__")
        and not ast.get_docstring(method)
    ]
    assert bare + methods == []


def test_lines_are_short():
    """Count the lines of code and prose; a table's row cannot be broken."""
    lines = [line for cell in CELLS for line in cell.source.splitlines()]
    assert [x for x in lines if len(x) > 88 and not x.startswith("|")] == []


def test_parameters_are_one_tagged_cell_of_constants(notebook):
    cells = [c for c in CELLS if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    names = [
        name
        for node in ast.parse(cells[0].source).body
        for name in constant_names(node)
    ]
    assert {"QUICK_RUN", "SEQUENCE_LENGTH", "FOLDS", "SEED"} <= set(names)
    assert all(name.isupper() for name in names)
    assert sorted(names) == sorted(notebook.PARAMETER_NAMES)
    assert (notebook.SEQUENCE_LENGTH, notebook.VOCABULARY_SIZE) == (40, 548)
    assert (notebook.GRID, notebook.FOLDS, notebook.QUICK_RUN) == (12, 10, False)


def test_parameters_have_a_comment_each():
    (cell,) = (c for c in CELLS if "parameters" in c.metadata.get("tags", []))
    lines = [line for line in cell.source.splitlines() if " = " in line]
    assert all("  # " in line for line in lines)


def test_importing_prints_and_runs_nothing(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(TWIN.parent)!r}); "
    result = subprocess.run(
        [sys.executable, "-c", code + "import Music_Generation_LSTM"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


# The committed notebook.


@pytest.fixture(scope="module")
def committed():
    """Return the committed notebook."""
    if not NOTEBOOK.exists():
        pytest.fail("there is no notebook: run dev/tools/refresh.py")
    return nbformat.read(NOTEBOOK, as_version=4)


def contents(cells):
    """Return what must agree: each cell's type, source and tags."""
    return [
        (cell.cell_type, cell.source.rstrip(), sorted(cell.metadata.get("tags", [])))
        for cell in cells
    ]


def test_twin_and_notebook_say_the_same(committed):
    mine, theirs = contents(CELLS), contents(committed.cells)
    for number, (here, there) in enumerate(zip(mine, theirs, strict=False)):
        assert here == there, f"cell {number}"
    assert len(mine) == len(theirs)


def test_notebook_is_valid(committed):
    nbformat.validate(committed)


def test_every_code_cell_was_run_in_order(committed):
    counts = [c.execution_count for c in committed.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def outputs_of(notebook):
    """Yield all outputs of a notebook."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def test_no_cell_shows_an_error(committed):
    outputs = list(outputs_of(committed))
    assert outputs and all(output.output_type != "error" for output in outputs)
    assert not any("Traceback" in output.get("text", "") for output in outputs)


def test_notebook_was_run_from_this_source(committed):
    assert committed.metadata.get(STAMP) == code_hash(committed)


def test_notebook_is_a_full_run(committed):
    tagged = [c for c in committed.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1 and "QUICK_RUN = False" in tagged[0].source
    shown = "".join(output.get("text", "") for output in outputs_of(committed))
    assert "full run" in shown and "quick run" not in shown


def test_notebook_knows_no_folder_of_its_maker(committed):
    text = nbformat.writes(committed)
    assert str(ROOT) not in text and "/home/" not in text
