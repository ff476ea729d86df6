"""What ``undrop init`` writes into somebody's files, and that it goes again."""

import io
import sys
import types
from contextlib import redirect_stderr

import pytest

from undrop.adopt import envpy
from undrop.errors import UsageError

TOP = """import asyncio
from logging.config import fileConfig

from alembic import context
from dotenv import load_dotenv

load_dotenv()
config = context.config
fileConfig(config.config_file_name)
config.set_main_option("sqlalchemy.url", "sqlite:///app.db")


def offline():
    context.configure(url="x")
    with context.begin_transaction():
        context.run_migrations()


def online():
    offline()


async def main():
    online()


class Migrator:
    def go(self):
        offline()


"""
ENDINGS = {
    "a log line behind it": (
        "if context.is_offline_mode():\n    offline()\nelse:\n    online()\nprint('done')\n"
    ),
    "two ifs": (
        "if context.is_offline_mode():\n    offline()\nif not context.is_offline_mode():\n"
        "    online()\n"
    ),
    "asyncio": "asyncio.run(main())\nprint('done')\n",
    "a function of functions": "online()\n",
    "a with": "with context.begin_transaction():\n    context.run_migrations()\n",
    "a for": "for each in (offline, online):\n    each()\n",
    "a try": "try:\n    online()\nfinally:\n    print('done')\n",
    "a class": "Migrator().go()\n",
    "an object": "migrator = Migrator()\nmigrator.go()\n",
    "a lambda": "run = lambda: context.run_migrations()\nrun()\n",
    "a decorated function": "@asyncio.run\n@main\ndef ready():\n    pass\n",
    "on one line": "print('a'); online()\n",
    "a comment above": "# Now for it.\nif True:\n    online()\n",
    "a return value": "done = online()\n",
}


def placed(source: str) -> tuple[str, str]:
    """What stands before our block, and what behind it; that it goes without a trace."""
    added = envpy.add(source)
    compile(added.encode("utf-8", "surrogateescape"), "env.py", "exec")
    assert envpy.guarded(added)
    assert not envpy.guarded(source)
    assert envpy.remove(added) == source
    before, _, rest = added.partition("# >>> undrop")
    return before, rest.partition("# <<< undrop")[2].lstrip("\r\n")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_backup_comes_before_the_first_line_that_can_migrate(ending: str) -> None:
    """And behind what says which database it is."""
    assert placed(TOP + ENDINGS[ending]) == (TOP, ENDINGS[ending])


HELPED = {
    "a helper of the project's": (
        "from alembic import context\nfrom dotenv import load_dotenv\n"
        "from app.migrating import run\nload_dotenv()\nconfig = context.config\n",
        "run(context)\nprint('done')\n",
    ),
    "a relative one": ("from . import go\n", "if True:\n    go.now()\n"),
    "a decorator": ("import app\nX = 1\n", "@app.migrate\ndef env():\n    pass\n"),
    "an instance": ("from app import Env\n", "Env().run()\nprint('done')\n"),
    "a return value": ("from app import run\nimport os\n", "code = run()\n"),
    "a file": ("import sys\nX = 1\n", "exec(open('other.py').read())\n"),
}


@pytest.mark.parametrize("kind", HELPED)
def test_what_migrates_may_be_somewhere_else(kind: str) -> None:
    top, ending = HELPED[kind]
    assert placed(top + ending) == (top, ending)


CONTEXTS = {
    "from alembic import context": "context",
    "from alembic import context as ctx, op": "ctx",
    "import alembic.context": "alembic.context",
    "import alembic.context as ctx": "ctx",
    "import alembic": "alembic.context",
    "import alembic as a": "a.context",
    "import alembic.op": "alembic.context",
    "from alembic import context\nfrom app import other as context": "undrop_context",
    "from alembic import context\nfor context in (1, 2):\n    pass": "undrop_context",
    "from alembic.context import configure": "undrop_context",
    "if TYPE_CHECKING:\n    from alembic import context": "undrop_context",
    "try:\n    from alembic import context\nexcept ImportError:\n    raise": "undrop_context",
    "from . import alembic": "undrop_context",
}


@pytest.mark.parametrize("line", CONTEXTS)
def test_the_context_has_the_name_that_the_file_gives_it(line: str) -> None:
    added = envpy.add(f"{line}\nrun_migrations()\n")
    assert f"\n    backup_before({CONTEXTS[line]})\n" in added
    assert ("import context as undrop_context" in added) == (CONTEXTS[line] == "undrop_context")


def test_a_context_that_comes_later_is_not_waited_for() -> None:
    late = (
        "try:\n    from alembic import context\n    context.run_migrations()\nfinally:\n    pass\n"
    )
    assert placed(late) == ("", late)


@pytest.mark.parametrize(
    "text",
    [
        "# é\nfrom alembic import context\ncontext.run_migrations()",
        "#!/usr/bin/python\r\n# -*- coding: latin-1 -*-\r\nX = '\udce9'\r\nrun_migrations()\r\n",
        "# -*- coding: latin-1 -*-\nrun_migrations()  # \udce9\n",
        "\ufeffX = '''\n\x0c\u2028'''\nrun_migrations()\n",
        "from __future__ import annotations\nrun_migrations()\n",
        "import app\n\n\n\n# fmt: off\nrun_migrations()\n\n\n\n",
    ],
)
def test_every_other_byte_of_env_py_stays(text: str) -> None:
    before, after = placed(text)
    assert before + after == text


@pytest.mark.parametrize(
    "text",
    [
        "def broken(:\n",
        "# -*- coding: nonsense -*-\nrun_migrations()\n",
        "'\udce9'\nrun_migrations()\n",
        "from __future__ import annotations; run_migrations()\n",
        "import app.env\n",
        "X = 1\rrun_migrations()\r",
        "",
    ],
)
def test_where_it_is_not_clear_the_lines_are_said(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        envpy.add(text)
    assert "backup_before(context)" in caught.value.next_step


@pytest.mark.parametrize(
    "line",
    [
        "from undrop.alembic import backup_before\nbackup_before(context)",
        "from undrop.alembic import backup_before as first\nif True:\n    first(context)",
        "import undrop.alembic\nundrop.alembic.backup_before(context)",
        "from undrop import alembic as guard\nguard.backup_before(context)",
    ],
)
def test_lines_of_the_users_own_are_enough(line: str) -> None:
    source = f"from alembic import context\n{line}\ncontext.run_migrations()\n"
    assert envpy.guarded(source)
    assert envpy.remove(source) == source


@pytest.mark.parametrize(
    "line",
    [
        "# from undrop.alembic import backup_before; backup_before(context)",
        "from undrop.alembic import database_url",
        "from undrop.alembic import backup_before",
    ],
)
def test_a_mention_is_no_guard(line: str) -> None:
    assert not envpy.guarded(f"{line}\nrun_migrations()\n")


def test_without_undrop_it_is_one_line_and_the_migration_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in production after ``uv sync --no-dev``; no name of the file's is another one then."""
    monkeypatch.setitem(sys.modules, "undrop.alembic", None)
    source = (
        "sys = error = 'theirs'\nmigrated = []\ndef run_migrations():\n    migrated.append(sys)\n"
    )
    names: dict[str, object] = {}
    with redirect_stderr(io.StringIO()) as said:
        exec(envpy.add(f"{source}run_migrations()\n"), names)  # noqa: S102 - what it writes
    assert names["migrated"] == ["theirs"]
    assert names["error"] == "theirs"
    [line] = said.getvalue().splitlines()
    assert line.startswith("undrop: NO BACKUP IS TAKEN BEFORE A MIGRATION: ")


def test_the_call_gets_alembics_context(monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import context

    called: list[object] = []
    stand_in = types.ModuleType("undrop.alembic")
    stand_in.backup_before = called.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "undrop.alembic", stand_in)
    for line in CONTEXTS:
        if "app" not in line and "from ." not in line:
            source = (
                f"TYPE_CHECKING = False\n{line}\ndef run_migrations(): pass\nrun_migrations()\n"
            )
            exec(envpy.add(source), {})  # noqa: S102 - what it writes
            assert called.pop() is context
