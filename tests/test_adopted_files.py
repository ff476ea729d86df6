"""What ``undrop init`` writes into somebody's files, and that it goes again."""

import io
import json
import shlex
import sys
import tomllib
import types
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from agents import judged
from shop import BIN, make
from test_init import Elsewhere

from undrop import settings as projects
from undrop.adopt import agents, envpy, hooks, jsontext, plan
from undrop.adopt.project import Project
from undrop.errors import UsageError
from undrop.recipes import Prompt

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


MAKING = {
    "tables": ("", "Base.metadata.create_all(engine)\n"),
    "a function": ("def anew():\n    metadata.drop_all(engine)\n", "anew()\n"),
    "a statement": ("", "with engine.begin() as writer:\n    writer.execute('DELETE …')\n"),
    "the driver's": ("", "engine.connect().exec_driver_sql('DELETE …')\n"),
}


@pytest.mark.parametrize("kind", MAKING)
def test_the_backup_comes_before_what_env_py_changes_by_itself(kind: str) -> None:
    defined, making = MAKING[kind]
    assert placed(f"{TOP}{defined}{making}online()\n") == (TOP + defined, f"{making}online()\n")


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
        "from undrop.alembic import database_url\ndatabase_url(context)",
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


# The project around env.py.


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    made = Elsewhere(tmp_path / "theirs")
    made.ok("git", "init", "-q")
    return made


def modes(root: Path) -> dict[str, int]:
    """Every file's and folder's mode, but for the backups, the database and git's own."""
    return {
        str(path.relative_to(root)): path.lstat().st_mode
        for path in root.rglob("*")
        if not {".git", "backups", "__pycache__"} & {*path.relative_to(root).parts}
    }


def with_table(elsewhere: Elsewhere, name: str = "app.db") -> Path:
    """A database that Alembic knows nothing of."""
    database = elsewhere.root / name
    make(database)
    return database


def test_a_project_of_requirements_txt_gets_undrop_toml(elsewhere: Elsewhere) -> None:
    with_table(elsewhere)
    elsewhere.write("requirements.txt", "flask\n")
    before, was = elsewhere.tree(), modes(elsewhere.root)
    elsewhere.ok("undrop", "init")
    settings = elsewhere.root / "undrop.toml"
    assert tomllib.loads(settings.read_text()) == {"url": "sqlite:///app.db"}
    assert not (elsewhere.root / "pyproject.toml").exists()
    adopted = elsewhere.tree()
    elsewhere.ok("undrop", "init")
    assert elsewhere.tree() == adopted
    elsewhere.ok("undrop", "init", "--remove")
    assert elsewhere.tree() == before
    assert modes(elsewhere.root) == was


def test_settings_that_are_there_are_respected(elsewhere: Elsewhere) -> None:
    with_table(elsewhere, "mine.db")
    with_table(elsewhere, "other.db")
    for name, text in {
        "pyproject.toml": '[tool.undrop]\nurl = "sqlite:///mine.db"\n',
        "undrop.toml": 'url = "sqlite:///mine.db"\n',
    }.items():
        file = elsewhere.write(name, text)
        elsewhere.ok("undrop", "init", "--url", "sqlite:///mine.db")
        assert file.read_text() == text
        elsewhere.ok("undrop", "init", "--remove")
        assert file.read_text() == text
        file.unlink()


def test_a_url_from_a_dotenv_file_is_not_written_down(tmp_path: Path) -> None:
    """Only where it stands: the file is ignored by git, and what it says may change."""
    project = Project(
        tmp_path, {}, None, None, "sqlite:///app.db", "DATABASE_URL", [], [], env_file=".env"
    )
    written = {path.name: text for path, _, text in plan.adopt(project)}
    table = tomllib.loads(str(written["undrop.toml"]))
    assert table == {"url-variable": "DATABASE_URL", "env-file": ".env"}


LEAVES = ("migrate", "rehearse", "reset-db")


def recipes(elsewhere: Elsewhere) -> set[str]:
    return set(elsewhere.ok("just", "--summary").split())


@pytest.mark.more
def test_without_alembic_nothing_is_promised_that_cannot_work(elsewhere: Elsewhere) -> None:
    """And it comes as soon as there is Alembic."""
    database = with_table(elsewhere)
    elsewhere.write("CLAUDE.md", "# Rules\r\n")
    elsewhere.write("justfile", "migrate:\n    @echo theirs\n")
    before = elsewhere.tree()
    assert "your recipe migrate" not in elsewhere.done("undrop", "init").err
    assert not {*LEAVES, "undrop-migrate"} & recipes(elsewhere) - {"migrate"}
    assert {"backup", "run", "undo", "nuke-db", "restore"} <= recipes(elsewhere)
    rule = elsewhere.root / "CLAUDE.md"
    assert "just run" in rule.read_text()
    assert "migrate" not in rule.read_text() + (elsewhere.root / "AGENTS.md").read_text()
    elsewhere.ok("just", "run", "rm", "app.db")
    elsewhere.ok("just", "undo")
    database.unlink()
    written = rule.read_bytes()
    rule.write_bytes(written + b"More.\r\n")
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.ok("undrop", "init")
    assert {"undrop-migrate", "rehearse", "reset-db"} <= recipes(elsewhere)
    assert "`just undrop-migrate`, never by hand" in rule.read_text()
    assert rule.read_bytes().endswith(b"More.\r\n")
    assert rule.read_bytes().count(b"\n") == rule.read_bytes().count(b"\r\n")
    adopted = elsewhere.tree()
    elsewhere.ok("undrop", "init")
    assert elsewhere.tree() == adopted
    rule.write_bytes(rule.read_bytes().removesuffix(b"More.\r\n"))
    elsewhere.ok("undrop", "init", "--remove")
    assert {name: elsewhere.tree()[name] for name in before} == before


@pytest.mark.more
def test_a_rule_that_somebody_has_edited_stays(elsewhere: Elsewhere) -> None:
    with_table(elsewhere)
    elsewhere.ok("undrop", "init")
    rule = elsewhere.root / "CLAUDE.md"
    rule.write_text(mine := rule.read_text().replace("Something is lost?", "Lost something?"))
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.ok("undrop", "init")
    assert rule.read_text() == mine


def ignored(elsewhere: Elsewhere) -> bool:
    """Whether git leaves everything in backups/ alone."""
    return "backups" not in elsewhere.ok("git", "status", "--porcelain", "-uall")


def test_backups_stay_ignored_when_undrop_is_taken_out(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write(".gitignore", "*.pyc\n")
    before = elsewhere.tree()
    elsewhere.ok("undrop", "init")
    shown = elsewhere.done("undrop", "init", "--remove", "--dry-run")
    assert "b/backups/.gitignore" in shown.out
    assert not (elsewhere.root / "backups/.gitignore").exists()
    said = elsewhere.done("undrop", "init", "--remove").err
    assert "git goes on to ignore the backups" in said
    assert elsewhere.tree() == before
    assert ignored(elsewhere)
    assert "nothing to take out" in elsewhere.done("undrop", "init", "--remove").err
    elsewhere.ok("undrop", "init")
    assert ignored(elsewhere)
    for command in ("list", "verify", "status", "audit", "history"):
        seen = elsewhere.run("undrop", command)
        assert (seen.code, "gitignore" in seen.out + seen.err) == (0, False), seen
    elsewhere.ok("just", "nuke-db")
    elsewhere.ok("just", "undo")
    assert (elsewhere.root / "backups/.gitignore").read_text() == "*\n"
    assert not list(Path(elsewhere.environment["XDG_STATE_HOME"]).rglob(".gitignore"))
    elsewhere.ok("undrop", "init", "--remove")
    assert elsewhere.tree() == before


@pytest.mark.parametrize(
    ("backups", "line"),
    [("keep/them", "/keep/them/\n"), ("./kept/", "/kept/\n"), ("{above}/kept", "")],
)
def test_git_ignores_backups_where_the_settings_have_them(
    elsewhere: Elsewhere, backups: str, line: str
) -> None:
    with_table(elsewhere, "app.db")
    backups = backups.format(above=elsewhere.root.parent)
    elsewhere.write("undrop.toml", f'url = "sqlite:///app.db"\nbackups = "{backups}"\n')
    elsewhere.ok("git", "init", "-q")
    elsewhere.ok("undrop", "init")
    assert next((elsewhere.root / backups).glob("*.db"))
    assert "undrop-init" not in elsewhere.ok("git", "status", "--porcelain", "-uall")
    ignored = (elsewhere.root / ".gitignore").read_text()
    assert ignored.splitlines(keepends=True)[1:-2] == ([line] if line else [])


def test_a_folder_of_backups_with_nothing_in_it_is_left_alone(elsewhere: Elsewhere) -> None:
    elsewhere.ok("undrop", "init", "--url", "sqlite:///later.db", "--dry-run")
    elsewhere.write("undrop.toml", 'url = "sqlite:///later.db"\nbackups = "kept"\n')
    (elsewhere.root / "kept").mkdir()
    elsewhere.ok("undrop", "init", "--url", "sqlite:///later.db")
    elsewhere.ok("undrop", "init", "--remove")
    assert not (elsewhere.root / "backups").exists()
    assert {each.name for each in (elsewhere.root / "kept").iterdir()} <= {".lock", ".gitignore"}


@pytest.mark.more
@pytest.mark.parametrize("mode", [0o755, 0o600])
def test_lines_of_the_users_own_stay_and_it_is_said(elsewhere: Elsewhere, mode: int) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    env = elsewhere.root / "migrations/env.py"
    call = "from undrop.alembic import backup_before\n\nbackup_before(context)\n"
    text = env.read_text().replace("if context.is_offline", f"{call}if context.is_offline")
    env.write_text(text)
    env.chmod(mode)
    elsewhere.ok("undrop", "init")
    assert env.read_text() == text
    said = elsewhere.done("undrop", "init", "--remove").err
    assert "migrations/env.py still calls undrop" in said
    assert env.read_text() == text
    env.write_text(text.replace(call, ""))
    elsewhere.ok("undrop", "init")
    assert "# >>> undrop" in env.read_text()
    assert env.stat().st_mode & 0o777 == mode
    assert "still calls" not in elsewhere.done("undrop", "init", "--remove").err
    assert env.read_text() == text.replace(call, "")
    assert env.stat().st_mode & 0o777 == mode


def test_an_environment_called_venv_is_found(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """By the recipes, by the lines that are said, and by the hook."""
    with_table(elsewhere)
    elsewhere.ok("undrop", "init")
    (elsewhere.root / "venv").symlink_to(BIN.parent)
    path = tmp_path / "bin"
    path.mkdir()
    (path / "just").symlink_to(BIN / "just")
    bare = f"{path}:/usr/bin:/bin"
    assert "covered" in elsewhere.ok("just", "status", PATH=bare)
    assert Prompt(elsewhere.root, elsewhere.root, "/usr/bin").program == "venv/bin/undrop"
    answer = hooked(elsewhere, elsewhere.root, "SessionStart", PATH=f"{tmp_path}:/usr/bin:/bin")
    told = answer["hookSpecificOutput"]["additionalContext"]
    assert "`venv/bin/undrop undo`" in told


PLAIN = "rm -rf backups api/backups my\\ back\\'end/backups"


def hooked(
    elsewhere: Elsewhere, top: Path, event: str, number: int = 0, **variables: str
) -> dict[str, Any]:
    """What the hook answers that an agent finds which is started in ``top``."""
    written = json.loads((top / ".claude/settings.json").read_text())
    line = [group["hooks"][0]["command"] for group in written["hooks"][event]][number]
    call = {"tool_name": "Bash", "tool_input": {"command": PLAIN}, "cwd": str(top)}
    said = json.dumps({"hook_event_name": event, "session_id": "1", "tool_use_id": "2", **call})
    done = elsewhere.told(
        said.encode(), "/bin/sh", "-c", line, CLAUDE_PROJECT_DIR=str(top), **variables
    )
    assert done.code == 0, done
    return dict(json.loads(done.out))


def below(elsewhere: Elsewhere, *names: str) -> None:
    """Projects in folders of one repository."""
    for name in names:
        (elsewhere.root / name).mkdir()
        with_table(elsewhere, f"{name}/app.db")


@pytest.mark.more
@pytest.mark.parametrize("tree", ["repository", "worktree"])
def test_an_agent_at_the_top_of_the_repository_is_guarded(elsewhere: Elsewhere, tree: str) -> None:
    """It reads the settings of the folder that it is started in."""
    if tree == "worktree":
        commit = ("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x", "--allow-empty")
        elsewhere.ok("git", *commit)
        elsewhere.ok("git", "worktree", "add", "-q", "../tree")
        elsewhere.root = elsewhere.root.parent / "tree"
        assert (elsewhere.root / ".git").is_file()
    below(elsewhere, "my back'end", "api")
    before = elsewhere.tree()
    for name in ("my back'end", "api"):
        elsewhere.ok("undrop", "init", cwd=elsewhere.root / name)
        adopted = elsewhere.tree()
        elsewhere.ok("undrop", "init", cwd=elsewhere.root / name)
        assert elsewhere.tree() == adopted
    assert ignored(elsewhere)
    for number, name in enumerate(("my back'end", "api")):
        start = hooked(elsewhere, elsewhere.root, "SessionStart", number)
        told = start["hookSpecificOutput"]["additionalContext"]
        assert f"{name}/app.db" in told
        assert f"`cd {shlex.quote(str(elsewhere.root / name))} && just undo`" in told
        answer = hooked(elsewhere, elsewhere.root, "PreToolUse", number)
        assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
        assert hooked(elsewhere, elsewhere.root / name, "SessionStart")
    elsewhere.ok("undrop", "init", "--remove", cwd=elsewhere.root / "my back'end")
    assert "api/app.db" in str(hooked(elsewhere, elsewhere.root, "SessionStart"))
    elsewhere.ok("undrop", "init", "--remove", cwd=elsewhere.root / "api")
    assert elsewhere.tree() == before


TEXTS = [
    "{}",
    '{\n "model": "x"\n}\n',
    '{"hooks": {"Stop": []}}',
    '{"version": 1, "hooks": {"preToolUse" :[ {"command": "x"} ], "AfterTool": [ ]} }',
    None,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("agent", agents.names())
def test_each_of_several_projects_takes_out_its_own_hook(
    agent: str, text: str | None, first: str
) -> None:
    """In whichever order they go; what is the user's own stays."""
    if agent == "opencode":
        text = None  # a file of its own
    both = hooks.add(agent, hooks.add(agent, text, "a"), "b")
    assert hooks.add(agent, hooks.add(agent, both, "a"), "b") == both
    second = "b" if first == "a" else "a"
    left = hooks.remove(agent, both, first)
    assert own(left, first) not in str(left)
    assert own(left, second) in str(left)
    assert agent == "opencode" or json.loads(str(left))
    assert hooks.remove(agent, left, second) == text
    assert hooks.remove(agent, both, "c") == both


def own(text: str | None, project: str) -> str:
    """What of a file is about the project in that folder."""
    return f'["{project}"]' if "PROJECTS" in str(text) else f"/{project} undrop"


def test_the_hook_at_the_top_is_the_guards_setting(elsewhere: Elsewhere) -> None:
    """An agent takes it out no more than that in the project."""
    below(elsewhere, "api")
    elsewhere.ok("undrop", "init", cwd=elsewhere.root / "api")
    file = elsewhere.root / ".claude/settings.json"
    project = projects.load(elsewhere.root / "api")
    given = {"file_path": str(file), "content": "{}"}
    assert judged(project, "Write", given, elsewhere.root).kind == "denied"
    own = {"file_path": str(elsewhere.root / "api/undrop.toml"), "content": "url = 'sqlite://'"}
    assert judged(project, "Write", own, elsewhere.root).kind == "denied"


def test_a_home_that_is_a_repository_gets_no_hook_for_everything(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    below(elsewhere, "api")
    monkeypatch.setenv("HOME", str(elsewhere.root))
    elsewhere.ok("undrop", "init", cwd=elsewhere.root / "api", HOME=str(elsewhere.root))
    assert not (elsewhere.root / ".claude").exists()


@pytest.mark.parametrize("events", hooks.EARLIER["claude"])
@pytest.mark.parametrize("line", [hooks.OLDER, agents.command("claude")])
def test_a_hook_of_an_older_undrop_is_renewed_and_taken_out(
    events: dict[str, str], line: str
) -> None:
    new, old = json.dumps(agents.command("claude")), json.dumps(line)
    older = hooks._own("claude", [""], events).replace(new, old)
    assert hooks.add("claude", older) == hooks.add("claude", None)
    assert hooks.remove("claude", older) is None
    theirs = '{"model": "x"}'
    ours = hooks._all_events("claude", "", {}, events).replace(new, old)
    older = jsontext.insert(theirs, [], ours)
    renewed = hooks.add("claude", older)
    assert json.loads(renewed) == {"model": "x", **json.loads(hooks.add("claude", None))}
    assert hooks.remove("claude", older) == hooks.remove("claude", renewed) == theirs


def test_a_backup_of_an_init_that_fails_is_nothing_for_git_either(elsewhere: Elsewhere) -> None:
    elsewhere.with_alembic("generic", "sqlite:///app.db")
    elsewhere.write("justfile", "this is: no justfile ((\n")
    elsewhere.ok("git", "init", "-q")
    assert elsewhere.run("undrop", "init").code == 2
    assert [*elsewhere.root.glob("backups/*.db")]
    assert ignored(elsewhere)
