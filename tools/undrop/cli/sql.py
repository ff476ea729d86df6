"""``undrop sql``: a query, or a shell, on a backup or the live database."""

import math
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from undrop.cli import tables
from undrop.cli.answer import Answer, Run
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action
from undrop.steps.live import LIVE

if TYPE_CHECKING:
    from undrop.values import Result

NAME = re.compile(r"[\w.:/~+-]+")
"""What a backup may be called, and no query is."""
STATEMENTS = {"ANALYZE", "BEGIN", "COMMIT", "END", "REINDEX", "ROLLBACK", "VACUUM"}
"""Of one word; they are refused, and no backups."""
QUOTE = '"'
ASK = (Action("sql", "--csv", "FILE", "'SELECT …'", typed=False),)


def sql(run: Run) -> Answer:
    """Print what QUERY gives of FILE or the live database; without QUERY, start a shell on it."""
    from undrop.steps import query as core

    arguments = run.arguments
    if arguments.csv and arguments.json:
        raise UsageError("it prints CSV, or JSON", *ASK)
    file, query = LIVE if arguments.file is None else arguments.file, arguments.query
    if query is None and not _is_file(run, file):
        file, query = LIVE, file
    if query is None:
        return _shell(run, file)
    with core.query(run.settings, file, run.standing, query) as found:
        if arguments.json:
            rows = [[plain(value) for value in row] for row in found.rows]
            result = {"columns": found.columns, "rows": rows}
            return Answer(result, notes=tuple(found.notes))
        notes = [*found.notes]
        with tables.reader_may_leave(sys.stdout):
            count = _csv(found) if arguments.csv else _table(found)
            notes += ["no rows"] * (not count)
        return Answer({}, notes=tuple(notes))


def _is_file(run: Run, word: str) -> bool:
    """Whether a word alone is a backup, or live. Raises UsageError where it can be nothing else."""
    from undrop.steps import choose

    if word == LIVE:
        return True
    try:
        choose.find(run.settings, word, run.standing)
    except UsageError:
        if NAME.fullmatch(word) and word.upper() not in STATEMENTS:
            raise
        return False
    return True


def _shell(run: Run, file: str) -> Answer:
    """The first of the programs that is installed; its exit code is ours."""
    from undrop.steps import query as core
    from undrop.steps.run import code

    if run.arguments.csv or run.arguments.json:
        raise UsageError("a shell prints as it likes", *ASK)
    with core.shells(run.settings, file, run.standing) as shells:
        for shell in shells:
            if shutil.which(shell.command[0]):
                environment = {**os.environ, **shell.environment}
                return Answer({}, code=code(shell.command, run.standing, environment))
        names = " or ".join(shell.command[0] for shell in shells)
        raise UndropError(
            f"no shell for it is on PATH ({names})", f"install {names}, or give a query"
        )


def _csv(found: "Result") -> int:
    """Print RFC 4180: NULL is nothing, an empty text ``""``, but where a line would be empty."""
    alone, count = len(found.columns) == 1, 0
    print(",".join(map(_field, found.columns)), end="\r\n")
    for row in found.rows:
        print(",".join(map(_field, row)) or QUOTE * 2 * alone, end="\r\n")
        count += 1
    return count


def _field(value: object) -> str:
    text = "" if value is None else shown(value)
    if value is None or (text and not {*text} & {*',"\r\n'}):
        return text
    return f"{QUOTE}{text.replace(QUOTE, QUOTE * 2)}{QUOTE}"


def _table(found: "Result") -> int:
    return tables.stream(found.columns, ([cell(value) for value in row] for row in found.rows))


def cell(value: object) -> str:
    """A value for people, NULL told from every text."""
    if value is None:
        return "NULL"
    return "'NULL'" if value == "NULL" else shown(value)


def shown(value: object) -> str:
    """A value that is not NULL as a text, all of it."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a database holds
    """A value as JSON has it."""
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        return shown(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
