"""The revisions in the project's migrations."""

import sys
from contextlib import chdir, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

    from undrop.settings import Settings


def heads(settings: "Settings") -> list[str] | None:
    """The newest revision(s) in the project's migrations; None when they cannot be read.

    Loads Alembic and every migration file, as ``alembic heads`` does.
    """
    script = _script(settings)
    return None if script is None else sorted(script.get_heads())


def unknown(settings: "Settings", asked: list[str]) -> list[str]:
    """Those of the revisions that the project's migrations do not know; none where nobody can tell.

    Loads them, if any are asked for.
    """
    script = _script(settings) if asked else None
    known = set(asked) if script is None else {each.revision for each in script.walk_revisions()}
    return [revision for revision in asked if revision not in known]


def pending(settings: "Settings", current: list[str]) -> list[str]:
    """The migrations between ``current`` and the head(s), the next one first; none if unknown."""
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    script = _script(settings)
    try:
        between = script.iterate_revisions("heads", tuple(current) or "base") if script else ()
        return [f"{each.revision} {each.doc}" for each in between][::-1]
    except (CommandError, RevisionError):  # a revision that the code does not have
        return []


def _script(settings: "Settings") -> "ScriptDirectory | None":
    if not (files := settings.alembic_files):
        return None
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # it is only looked at
    try:
        # A relative script_location is from where people stand who call alembic.
        with chdir(settings.alembic_ini.parent), redirect_stdout(sys.stderr):
            script = ScriptDirectory.from_config(Config(**files))
            script.get_heads()  # loads the files
            return script
    except (Exception, SystemExit):  # noqa: BLE001 - migrations are anybody's code; this is advice
        return None
    finally:
        sys.dont_write_bytecode = writing
