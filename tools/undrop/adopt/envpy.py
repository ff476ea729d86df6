"""One import and one call in somebody's ``env.py``."""

import libcst as cst
from libcst import BaseStatement, SimpleStatementLine

from undrop.errors import UsageError

MODULE = "undrop.alembic"
IMPORT = f"from {MODULE} import backup_before"
CALL = "backup_before({context})"
PASSED_OVER = (cst.FunctionDef, cst.ClassDef)


def guarded(source: str) -> bool:
    """Whether it imports undrop already."""
    return MODULE in source


def add(source: str) -> str:
    """``env.py`` with the import beside Alembic's own and the call before anything migrates.

    Raises UsageError saying which lines to add by hand when it is not clear where.
    """
    by_hand = f"add  {IMPORT}  and, before it migrates,  {CALL.format(context='context')}"
    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise UsageError(f"env.py cannot be read: {error.message}", by_hand) from None
    body = list(module.body)
    contexts = [(at, name) for at, each in enumerate(body) if (name := _context(each))]
    last = max((at for at, each in enumerate(body) if _acts(each)), default=-1)
    if not contexts or last <= contexts[0][0]:
        raise UsageError("env.py does not import Alembic's context at its top", by_hand)
    at, name = contexts[0]
    blank = [cst.EmptyLine(indent=False, newline=cst.Newline())]
    call = cst.parse_statement(CALL.format(context=name), config=module.config_for_parsing)
    body.insert(last, call.with_changes(leading_lines=blank))
    body.insert(at + 1, cst.parse_statement(IMPORT, config=module.config_for_parsing))
    return module.with_changes(body=body).code


def remove(source: str) -> str:
    """``env.py`` as it was before."""
    module = cst.parse_module(source)
    names = [name for each in module.body if (name := _context(each))]
    ours = {IMPORT, *(CALL.format(context=name) for name in names)}
    body = [
        each
        for each in module.body
        if not isinstance(each, SimpleStatementLine) or _code(module, each) not in ours
    ]
    return module.with_changes(body=body).code


def _code(module: cst.Module, statement: SimpleStatementLine) -> str:
    return module.code_for_node(statement.with_changes(leading_lines=[])).strip()


def _context(statement: BaseStatement | cst.SimpleStatementLine) -> str:
    """By which name a statement imports Alembic's context; empty when it does not."""
    if not isinstance(statement, SimpleStatementLine):
        return ""
    for part in statement.body:
        if not isinstance(part, cst.ImportFrom) or isinstance(part.names, cst.ImportStar):
            continue
        if not isinstance(part.module, cst.Name) or part.module.value != "alembic":
            continue
        for alias in part.names:
            if alias.name.value == "context":
                return alias.evaluated_alias or "context"
    return ""


def _acts(statement: BaseStatement | cst.SimpleStatementLine) -> bool:
    """Whether a statement at the top does something: no definition, import or assignment."""
    if isinstance(statement, SimpleStatementLine):
        return any(
            isinstance(part, cst.Expr) and isinstance(part.value, cst.Call)
            for part in statement.body
        )
    return not isinstance(statement, PASSED_OVER)
