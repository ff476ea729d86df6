"""One marked block in somebody's ``env.py``, before the first statement that can migrate."""

import ast
import re
import sys
import warnings
from collections.abc import Iterator

from undrop.adopt import blocks
from undrop.errors import UsageError

MODULE, FUNCTION = "undrop.alembic", "backup_before"
WHAT = "a verified backup before anything is migrated"
MISSING = "NO BACKUP IS TAKEN BEFORE A MIGRATION"
"""What the block says where undrop is not installed."""
CALL = f"""\
try:
    from undrop.alembic import backup_before
except ImportError as undrop_missing:
    print(
        f"undrop: {MISSING}: {{undrop_missing}}",
        file=__import__("sys").stderr,
    )
else:
"""
BOUND = "    backup_before({context})\n"
UNBOUND = """\
    from alembic import context as undrop_context

    backup_before(undrop_context)
"""
BY_HAND = (
    "add  from undrop.alembic import backup_before  and, before it migrates,  "
    "backup_before(context)  by hand"
)
MIGRATING = {"run_migrations", "begin_transaction", "is_offline_mode"}
"""What of Alembic's context only somebody names who is about to migrate."""
CHANGING = {"create_all", "drop_all", "exec_driver_sql", "execute"}
"""What of SQLAlchemy's changes a database without Alembic."""
HARMLESS = {*sys.stdlib_module_names, "alembic", "dotenv"}
"""Packages of which nothing that is called migrates by itself."""
LONE = re.compile(r"\r(?!\n)")

Function = ast.FunctionDef | ast.AsyncFunctionDef
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ASSIGNED = (ast.Assign, ast.AnnAssign, ast.AugAssign)


def guarded(source: str) -> bool:
    """Whether it calls ``backup_before`` already, in our block or in lines of the user's own."""
    try:
        nodes = [*ast.walk(_parsed(source))]
    except UsageError:
        return False
    names = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == MODULE
        for alias in node.names
        if alias.name == FUNCTION
    }
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    return any(
        (isinstance(func, ast.Name) and func.id in names)
        or (isinstance(func, ast.Attribute) and func.attr == FUNCTION)
        for func in called
    )


def add(source: str) -> str:
    """``env.py`` with our block before the first statement at its top that can migrate.

    That is one which names what only migrating needs, or what changes a database by itself
    (``create_all``), directly or through functions and classes of the file. Where nothing does, it
    is the first that calls what the file imported, and where there is none of those either, the
    first that calls anything behind the imports. Too early costs nothing; too late would be a
    backup of what has been migrated already.

    Raises UsageError saying which lines to add by hand when it is not clear where.
    """
    module = _parsed(source)
    at = _Statements(module).first()
    if at is None:
        raise UsageError("env.py has no statement at its top that migrates", BY_HAND)
    if LONE.search(source):
        raise UsageError("env.py has ends of lines that are none elsewhere", BY_HAND)
    lines = source.split("\n")
    line = _line(module.body, at, lines)
    place = sum(len(each) + 1 for each in lines[:line])
    name = _context([each for each in module.body if _end(each) <= line])
    body = CALL + (BOUND.format(context=name) if name else UNBOUND)
    added = blocks.insert(source, place, body, WHAT)
    _parsed(added)
    return added


def remove(source: str) -> str:
    """``env.py`` as it was before; lines that were not put in by our block stay."""
    return blocks.remove(source) or ""


def _parsed(source: str) -> ast.Module:
    """Raises UsageError."""
    data = source.encode("utf-8", "surrogateescape")  # the file's own bytes: it may say which code
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about their code
            module = ast.parse(data)
            compile(data, "env.py", "exec", dont_inherit=True)  # knows where __future__ may stand
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"env.py cannot be read: {error}", BY_HAND) from None
    return module


class _Statements:
    """The statements at the top of a file, and the rules for the first that can migrate."""

    def __init__(self, module: ast.Module) -> None:
        self.body = module.body
        nodes = [*ast.walk(module)]
        self._contexts, self._configures = _contexts(nodes)
        self._imported = _imported(nodes)
        self._bodies: dict[str, list[ast.AST]] = {}
        for node in nodes:
            if isinstance(node, Function | ast.ClassDef):
                self._bodies.setdefault(node.name, []).append(node)

    def first(self) -> int | None:
        """Which one it is."""
        imports = (at for at, each in enumerate(self.body) if isinstance(each, IMPORTS))
        behind = max(imports, default=-1) + 1
        for start, rule in ((0, self._migrates), (0, self._hands_over), (behind, self._calls)):
            for at in range(start, len(self.body)):
                if rule(self.body[at]):
                    return at
        return None

    def _migrates(self, statement: ast.stmt) -> bool:
        seen: set[str] = set()
        nodes = [*_executed(statement)]
        while nodes:
            node = nodes.pop()
            if self._names_migrating(node):
                return True
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                bodies = self._bodies.get(node.id, [])
                nodes += [inner for body in bodies for inner in ast.walk(body)]
        return False

    def _names_migrating(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id in MIGRATING | self._configures
        if not isinstance(node, ast.Attribute):
            return False
        of_context = node.attr == "configure" and ast.unparse(node.value) in self._contexts
        return node.attr in MIGRATING | CHANGING or of_context

    def _hands_over(self, statement: ast.stmt) -> bool:
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        calls = [node.func for node in _executed(statement) if isinstance(node, ast.Call)]
        roots = {_root(func) for func in (*calls, *decorators)}
        return not isinstance(statement, ASSIGNED) and bool(self._imported & roots)

    def _calls(self, statement: ast.stmt) -> bool:
        return not isinstance(statement, DEFINED) and any(
            isinstance(node, ast.Call) for node in _executed(statement)
        )


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a statement does: all in it but the bodies of functions."""
    yield node
    inner: Iterator[ast.AST] | list[ast.expr] = ast.iter_child_nodes(node)
    if isinstance(node, Function):
        inner = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    for each in inner:
        yield from _executed(each)


def _contexts(nodes: list[ast.AST]) -> tuple[set[str], set[str]]:
    """What Alembic's context is called in the file, and what its ``configure`` is."""
    contexts, configures = {"context", "alembic.context"}, set[str]()
    for node in nodes:
        for alias in node.names if isinstance(node, IMPORTS) else []:
            name = alias.asname or alias.name
            module = _module(node)
            if alias.name == "alembic":
                contexts.add(f"{name}.context")
            elif (module, alias.name) == ("alembic", "context") or alias.name == "alembic.context":
                contexts.add(name)
            elif (module, alias.name) == ("alembic.context", "configure"):
                configures.add(name)
    return contexts, configures


def _imported(nodes: list[ast.AST]) -> set[str]:
    """Names for what comes from somewhere that may do anything."""
    names = set[str]()
    for node in nodes:
        for alias in node.names if isinstance(node, IMPORTS) else []:
            package = (_module(node) or alias.name).partition(".")[0]  # empty: a relative one
            if package not in HARMLESS:
                names.add(alias.asname or alias.name.partition(".")[0])
    return names


def _module(statement: ast.AST) -> str:
    """From where it imports; empty for another statement than ``from … import …``."""
    if not isinstance(statement, ast.ImportFrom):
        return ""
    return "." * statement.level + (statement.module or "")


def _root(func: ast.expr) -> str:
    """The name that a dotted or called name begins with."""
    while isinstance(func, ast.Attribute | ast.Call | ast.Subscript):
        func = func.func if isinstance(func, ast.Call) else func.value
    return func.id if isinstance(func, ast.Name) else ""


def _context(before: list[ast.stmt]) -> str:
    """By which name these statements have Alembic's context; empty when by none, or perhaps."""
    name = ""
    for statement in before:
        for node in _executed(statement):
            name = "" if _binds(node) == name.partition(".")[0] else name
        module = _module(statement)
        for alias in statement.names if isinstance(statement, IMPORTS) else []:
            if (module, alias.name) == ("alembic", "context"):
                name = alias.asname or alias.name
            elif not module and alias.name == "alembic":
                name = f"{alias.asname or alias.name}.context"
            elif not module and alias.name == "alembic.context":
                name = alias.asname or alias.name
            elif not module and alias.name.startswith("alembic.") and not alias.asname:
                name = "alembic.context"
    return name


def _binds(node: ast.AST) -> str | None:
    """Which name a node gives another meaning."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    name: str | None = getattr(node, "asname", None) or getattr(node, "name", None)
    return name


def _line(body: list[ast.stmt], at: int, lines: list[str]) -> int:
    """Behind how many lines the block goes: before the comment above the statement, too."""
    while at and _end(body[at - 1]) >= _begin(body[at]):  # on one line
        at -= 1
    line, end = _begin(body[at]) - 1, _end(body[at - 1]) if at else 0
    while line > max(end, 2) and lines[line - 1].startswith("#"):  # 2: which code it is in
        line -= 1
    return line


def _begin(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _end(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno
