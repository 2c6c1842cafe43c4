"""The rules of the sections, and that the committed notebook is a run of them."""

import ast
import builtins
import dis
import inspect
import re
import subprocess
import sys
import types
from collections import Counter

import nbformat
import pytest
from helpers import ROOT

import assembly
from assembly import FOLDER, SECTIONS, read_section, section_text, tags_of
from refresh import NOTEBOOK, STAMP, code_hash, set_parameters, strip

SOURCE = assembly.definitions()
TREE = ast.parse(SOURCE)
CELLS = assembly.assemble().cells
CODE = [cell for cell in CELLS if cell.cell_type == "code"]
PARAMETERS = [cell for cell in CODE if "parameters" in tags_of(cell)]
TEXTS = {name: (FOLDER / f"{name}.py").read_text("utf-8") for name in SECTIONS}
LONGEST_CELL, LONGEST_FUNCTION, LONGEST_SECTION = 60, 50, 600  # lines
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


def is_gate(node):
    """Tell whether a statement ends the program, or makes it a page where it is one."""
    page = isinstance(node, ast.If) and "'In' in globals()" in ast.unparse(node.test)
    ends = isinstance(node, ast.If) and all(isinstance(x, ast.Raise) for x in node.body)
    return page or ends


def is_style(node):
    """Tell whether a statement says how plots and tables look."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith(
        ("plt.rcParams.update(", "pd.set_option(")
    )


def only_imports(node):
    """Tell whether a statement imports packages under some condition."""
    return isinstance(node, ast.With) and all(
        isinstance(x, ast.Import) for x in node.body
    )


def assigned_names(node):
    """Return the names that an assignment gives values to."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    parts = [part for target in targets if target for part in ast.walk(target)]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def defined_names(tree):
    """Return the names that a module's functions, classes and assignments define."""
    names = []
    for node in tree.body:
        own = getattr(node, "name", None)  # of a function or a class
        names += [own] if own else assigned_names(node)
    return names


def undefined(text):
    """Return what ruff says about names of a source that nothing defines."""
    command = "ruff check --isolated --select F821 --output-format concise -".split()
    result = subprocess.run(
        [sys.executable, "-m", *command], input=text, capture_output=True, text=True
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


# Definitions.


def test_top_level_only_defines():
    """A constant is a name in capitals, a namedtuple or an annotation."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for node in TREE.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            value = ast.unparse(node.value)
            kind = value.startswith(("namedtuple(", "Annotated[", "Literal["))
            names = assigned_names(node)
            assert kind or all(name.isupper() for name in names), node.lineno
        else:
            known = is_environment(node) or is_gate(node) or only_imports(node)
            known = known or is_style(node)
            assert known or isinstance(node, allowed), node.lineno


def test_environment_is_set_before_tensorflow():
    imports = [
        node.lineno
        for node in ast.walk(TREE)
        if isinstance(node, ast.Import)
        and {name.name for name in node.names} & {"tensorflow", "keras"}
    ]
    lines = [node.lineno for node in TREE.body if is_environment(node)]
    assert lines and max(lines) < min(imports)


def test_nothing_local_is_imported():
    """What the notebook imports are packages, in its first section alone."""
    local = {path.stem for path in (ROOT / "dev").rglob("*.py")} | {"composer"}
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & local
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module.split(".")[0] not in local


def test_nothing_is_defined_twice():
    counts = Counter(defined_names(TREE))
    assert [name for name, count in counts.items() if count > 1] == []


def test_run_cells_overwrite_no_definition_but_settings(notebook):
    defined = set(defined_names(TREE)) - set(notebook.__annotations__)
    for cell in CODE:
        if "active-ipynb" in tags_of(cell):
            nodes = ast.walk(ast.parse(cell.source))
            names = [node for node in nodes if isinstance(node, ast.Name)]
            stored = {each.id for each in names if isinstance(each.ctx, ast.Store)}
            assert not stored & defined, cell.source[:80]


def test_no_name_is_undefined():
    """Definitions and run cells, in the notebook's order, are enough by themselves."""
    text = "\n".join(cell.source for cell in CODE)
    assert undefined(f"from IPython import get_ipython\n{text}") == ""


def test_functions_see_no_lower_case_globals(notebook):
    """A name that a function takes from outside is a definition or a constant."""
    codes = [compile(SOURCE, "definitions", "exec")]
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
            if ast.unparse(default) == "gr.Progress()":  # which Gradio looks for
                continue
            parts = list(ast.walk(default))
            names = [part.id for part in parts if isinstance(part, ast.Name)]
            mutable = (ast.List, ast.Dict, ast.Set, ast.Call, ast.ListComp)
            assert not any(map(str.isupper, names)), (function.name, names)
            assert not any(isinstance(part, mutable) for part in parts), function.name


def test_no_function_is_too_long():
    long = {f.name: f.end_lineno - f.lineno + 1 for f in FUNCTIONS}
    assert {name: n for name, n in long.items() if n > LONGEST_FUNCTION} == {}


def test_no_cell_is_too_long():
    """Count lines that are not blank, without parameters and a cell's only class."""
    long = {}
    for cell in CODE:
        lines = cell.source.splitlines()
        nodes = ast.parse(cell.source).body
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        kept = list(lines)
        for one in classes if len(classes) == 1 else ():
            del kept[one.lineno - 1 : one.end_lineno]
        count = sum(bool(line.strip()) for line in kept)
        if count > LONGEST_CELL and cell not in PARAMETERS:
            long[lines[0]] = count
    assert long == {}


def test_what_is_not_plain_has_a_docstring():
    """That is each class, and each function or method of three or more arguments."""
    classes = [node for node in ast.walk(TREE) if isinstance(node, ast.ClassDef)]
    inner = [node for one in [TREE, *classes] for node in one.body if node in FUNCTIONS]
    bare = [node.name for node in classes if not ast.get_docstring(node)]
    for node in inner:
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([each for each in given if each.arg != "self"])
        if count >= 3 and node.name != "__init__" and not ast.get_docstring(node):
            bare.append(node.name)
    assert bare == []


def test_lines_are_short():
    """Count the lines of code and prose; a table's row cannot be broken."""
    lines = [line for cell in CELLS for line in cell.source.splitlines()]
    assert [x for x in lines if len(x) > 88 and not x.startswith("|")] == []


# Parameters.


def test_annotations_of_one_cell_are_the_list_of_parameters(notebook):
    (cell,) = PARAMETERS
    nodes = ast.parse(cell.source).body
    assert {type(node) for node in nodes} == {ast.AnnAssign}
    names = [name for node in nodes for name in assigned_names(node)]
    assert names == list(notebook.__annotations__)
    assert {"QUICK_RUN", "SEQUENCE_LENGTH", "FOLDS", "SEED"} <= set(names)
    assert all(name.isupper() for name in names)
    assert (notebook.SEQUENCE_LENGTH, notebook.VOCABULARY_SIZE) == (40, 548)
    assert (notebook.GRID, notebook.FOLDS, notebook.QUICK_RUN) == (12, 10, False)
    settings = {name: getattr(notebook, name) for name in names}
    notebook.check_settings(settings, notebook.__annotations__)


def test_parameters_have_a_comment_each():
    (cell,) = PARAMETERS
    lines = cell.source.splitlines()
    nodes = ast.parse(cell.source).body
    assert all("  # " in lines[node.end_lineno - 1] for node in nodes)


# Sections.


def test_each_section_can_be_imported_alone(tmp_path):
    """In silence; a section is forgotten again, with all that it brought."""
    code = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT / "dev")!r})
for name in {SECTIONS}:
    importlib.import_module("sections." + name)
    for known in [known for known in sys.modules if known.startswith("sections")]:
        del sys.modules[known]
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_uses_nothing_that_it_neither_has_nor_imports(name):
    assert undefined(TEXTS[name]) == ""


def test_no_section_is_too_long():
    lines = {name: len(text.splitlines()) for name, text in TEXTS.items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_SECTION} == {}


def test_sections_import_by_name_from_those_before():
    """And what they name is defined there, once."""
    defined = {name: set(defined_names(ast.parse(TEXTS[name]))) for name in SECTIONS}
    for number, name in enumerate(SECTIONS):
        assert not re.search(r"(from|import) +sections", TEXTS[name]), name
        for node in ast.walk(ast.parse(TEXTS[name])):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and node.module in SECTIONS[:number], name
                wanted = {alias.name for alias in node.names}
                assert wanted <= defined[node.module], (name, node.module)
                assert not any(alias.asname for alias in node.names), name


def test_imports_between_sections_stand_in_cells_of_their_own():
    """They are what the notebook leaves out, and nothing else is."""
    for name in SECTIONS:
        for cell in read_section(name):
            if "active-py" in tags_of(cell):
                kinds = {type(node) for node in ast.parse(cell.source).body}
                assert kinds <= {ast.Import, ast.ImportFrom}, name
            elif cell.cell_type == "code":
                assert "from ." not in cell.source, name


def test_sections_are_all_there_is():
    names = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert names == set(SECTIONS) and len(SECTIONS) == len(names)
    headings = [c.source.splitlines()[0] for c in CELLS if c.cell_type == "markdown"]
    numbers = [line.split()[1] for line in headings if line.startswith("## ")]
    assert numbers == [str(number) for number in range(1, len(SECTIONS) + 1)]


# From sections to the notebook and back.


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_written_as_it_was_read(name):
    assert section_text(read_section(name)) == TEXTS[name]


def run_once(notebook):
    """Return a notebook as if it had been run and saved."""
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell.execution_count = number + 1
        cell.outputs = [nbformat.v4.new_output("stream", text="words\n")]
        cell.metadata["execution"] = {"started": "now"}
    return nbformat.reads(nbformat.writes(notebook), as_version=4)


def test_the_notebook_is_taken_apart_into_the_same_sections():
    assert assembly.take_apart(assembly.assemble()) == TEXTS
    assert assembly.take_apart(run_once(assembly.assemble())) == TEXTS


def test_one_edited_cell_changes_its_section_alone():
    notebook = run_once(assembly.assemble())
    for name, old, new in (
        ("settings", ': Folder = "jazz_sample', ': Folder = "other_sample'),
        ("folds", "## 8 How to fool", "## 8 How not to fool"),
        ("export", 'title="My music"', 'title="Mine"'),
    ):
        (cell,) = (cell for cell in notebook.cells if old in cell.source)
        cell.source = cell.source.replace(old, new)
        texts = assembly.take_apart(notebook)
        assert [each for each in SECTIONS if texts[each] != TEXTS[each]] == [name]
        assert texts[name] == TEXTS[name].replace(old, new) and old in TEXTS[name]
        cell.source = cell.source.replace(new, old)
    assert assembly.take_apart(notebook) == TEXTS


def test_parameters_put_in_do_not_reach_the_sections():
    notebook = set_parameters(assembly.assemble(), QUICK_RUN=True)
    assert assembly.take_apart(notebook) == TEXTS


def test_stripping_keeps_tags_and_hidden_sources():
    kept = [cell.metadata for cell in strip(run_once(assembly.assemble())).cells]
    assert kept == [cell.metadata for cell in CELLS]
    hidden = [data for data in kept if data.get("tags") == ["hide-input"]]
    assert hidden and all(data["jupyter"]["source_hidden"] for data in hidden)


# The committed notebook.


@pytest.fixture(scope="module")
def committed():
    """Return the committed notebook."""
    if not NOTEBOOK.exists():
        pytest.fail("there is no notebook: run dev/tools/refresh.py")
    return nbformat.read(NOTEBOOK, as_version=4)


def contents(cells):
    """Return what must agree: each cell's type, source and tags."""
    return [(cell.cell_type, cell.source, tags_of(cell)) for cell in cells]


def test_the_committed_cells_are_those_of_the_sections(committed):
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
    tagged = [cell for cell in committed.cells if "parameters" in tags_of(cell)]
    assert len(tagged) == 1 and "QUICK_RUN: bool = False" in tagged[0].source
    shown = "".join(output.get("text", "") for output in outputs_of(committed))
    assert "full run" in shown and "quick run" not in shown


def test_notebook_knows_no_folder_of_its_maker(committed):
    text = nbformat.writes(committed)
    assert str(ROOT) not in text and "/home/" not in text
