"""What agents have done to databases, played: first the hook, then bash, then the way back.

The incidents are those that people reported in public (``hook_inputs.jsonl`` says where).
"""

import re
import shutil
import sqlite3
from contextlib import closing, suppress
from copy import copy
from pathlib import Path

import pytest
from agents import CALL, SESSION, ended, hook
from forks import Done
from shop import REPOSITORY, Project, content, some
from tally import cannot

RESET = """\
import os, sqlite3
os.unlink("quartermaster.db")
sqlite3.connect("quartermaster.db").execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
"""
SQL = 'python -c "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])"'
LOSSES = {
    "the file deleted": "rm quartermaster.db",
    "deleted with what SQLite puts beside it": "rm -f quartermaster.db{,-wal,-shm,-journal}",
    "deleted by a script": "python reset.py",
    "deleted by find": "find . -maxdepth 1 -name '*.db' -delete",
    "deleted in a loop": 'for f in *.db; do rm -f "$f"; done',
    "emptied by a redirection": ": > quartermaster.db",
    "emptied by truncate": "truncate -s 0 quartermaster.db",
    "an empty file copied over it": "touch empty.db && cp empty.db quartermaster.db",
    "zeros written over it": "dd if=/dev/zero of=quartermaster.db bs=4096 count=2 conv=notrunc",
    "another text in it": "echo '{}' > quartermaster.db",
    "moved away": "mv quartermaster.db ..",
    "downgraded": "alembic downgrade base",
    "downgraded through python": "python -m alembic downgrade base",
    "rows deleted": f"{SQL} quartermaster.db 'DELETE FROM stock_movements'",
    "a table dropped": f"{SQL} quartermaster.db 'DROP TABLE stock_movements'",
    "all rows updated": f"{SQL} quartermaster.db \"UPDATE items SET name = 'x'\"",
    "dropped by python that stands in the line": """python - <<'PY'
import sqlite3
with sqlite3.connect("quartermaster.db") as c:
    c.execute("PRAGMA foreign_keys = OFF")
    c.execute("DROP TABLE stock_movements")
    c.execute("DELETE FROM items")
PY""",
    "just nuke-db": "just nuke-db",
    "just reset-db": "just reset-db",
    "just run": "just run rm quartermaster.db",
    "in a branch of the agent's own": "git checkout -q -b try && git clean -fdx -e backups",
    "sqlite3 is told to": """sqlite3 quartermaster.db <<'SQL'
PRAGMA foreign_keys = OFF;
DROP TABLE stock_movements;
DELETE FROM items;
SQL""",
}
IN_WAL = (
    "the file deleted",
    "emptied by a redirection",
    "zeros written over it",
    "downgraded",
    "rows deleted",
    "a table dropped",
    "just reset-db",
)
IN_STEPS = {
    "deleted and made anew": "rm quartermaster.db && alembic upgrade head",
    "downgraded and upgraded": "alembic downgrade base && alembic upgrade head",
    "made anew by our own": "just nuke-db && just migrate",
}
DENIED = {
    "git clean": ("git clean -fdx", "git clean -fdx -e backups -e '*.db'"),
    "all of it": ("rm -rf backups && rm quartermaster.db", "rm quartermaster.db"),
}
PLACES = ("the project", "a folder in it", "a worktree")


def ask(project: Project, said: dict[str, object]) -> dict[str, str]:
    """What the hook decides, asked as Claude Code asks it."""
    answer = hook(
        project, {"cwd": str(project.root), "session_id": SESSION, "tool_use_id": CALL, **said}
    )
    return dict(answer.get("hookSpecificOutput", {}))


def agent(project: Project, command: str) -> Done | None:
    """One call of an agent's Bash tool; None when it was denied, and so did not run."""
    if "permissionDecision" in ask_before(project, command):
        return None
    done = project.run("bash", "-c", command)
    ended(project, command)
    return done


def ask_before(project: Project, command: str) -> dict[str, str]:
    call = {"tool_name": "Bash", "tool_input": {"command": command}}
    return ask(project, {"hook_event_name": "PreToolUse", **call})


def lost(project: Project, before: list[str]) -> bool:
    try:
        return content(project.database) != before
    except sqlite3.Error:
        return True


@pytest.fixture
def agents(stocked: Project) -> Project:
    """A stocked project under git, its database and backups ignored, and a script that resets."""
    (stocked.root / "tools").unlink()  # git need not look into this repository
    imported = "tools/undrop/adopt/undrop.just"
    (stocked.root / imported).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / imported, stocked.root / imported)
    (stocked.root / "reset.py").write_text(RESET)
    shutil.copy(REPOSITORY / ".gitignore", stocked.root)
    for command in ("init", "add -A", "commit -m all"):
        who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        stocked.ok("git", *who, *command.split(), "-q" if command != "add -A" else "-v")
    return stocked


@pytest.mark.parametrize("kind", some(LOSSES))
def test_one_undo_gives_every_row_back(agents: Project, kind: str) -> None:
    one_undo(agents, LOSSES[kind], wal=False)


@pytest.mark.parametrize("kind", IN_WAL)
def test_one_undo_gives_every_row_back_in_wal_mode(agents: Project, kind: str) -> None:
    one_undo(agents, LOSSES[kind], wal=True)


def one_undo(agents: Project, command: str, *, wal: bool) -> None:
    if command.startswith("sqlite3") and shutil.which("sqlite3") is None:
        cannot("the sqlite3 command is not installed")
    if wal:
        with closing(sqlite3.connect(agents.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    before = content(agents.database)
    assert any("stock_movements" in line and "INSERT" in line for line in before)
    done = agent(agents, command)
    assert done is not None
    assert done.code == 0, done
    assert lost(agents, before)
    agents.ok("just", "undo")
    assert content(agents.database) == before


@pytest.mark.parametrize("kind", [*LOSSES])
def test_what_the_agent_is_told_takes_it_back_and_keeps_what_came_since(
    agents: Project, kind: str
) -> None:
    """Wherever the call runs; where others worked since, the line names the one that keeps that."""
    there, place = agents, PLACES[[*LOSSES].index(kind) % len(PLACES)]
    if place == "a worktree":
        tree = agents.root.parent / "tree"
        agents.ok("git", "worktree", "add", "-q", "-b", "tried", str(tree))
        for name in ("quartermaster.db", "reset.py"):
            shutil.copy(agents.root / name, tree / name)
        there = copy(agents)
        there.root, there.database = tree, tree / "quartermaster.db"
    elsewhere = content(agents.database) if there is not agents else None
    folder = there.root / "alembic" if place == "a folder in it" else there.root
    before, first = content(there.database), there.root.parent / "first.db"
    shutil.copy(there.database, first)
    command = f"cd {there.root} && {LOSSES[kind]}" if folder != there.root else LOSSES[kind]
    call = {"tool_name": "Bash", "tool_input": {"command": command}, "cwd": str(folder)}
    where = {"CLAUDE_PROJECT_DIR": str(agents.root)}
    said = {"session_id": SESSION, "tool_use_id": CALL, **call}
    asked = hook(there, {**said, "hook_event_name": "PreToolUse"}, **where)
    assert "permissionDecision" not in asked.get("hookSpecificOutput", {})
    there.run("bash", "-c", command, cwd=folder)
    answer = hook(there, {**said, "hook_event_name": "PostToolUse", "tool_response": {}}, **where)
    told = answer["hookSpecificOutput"]["additionalContext"]
    line = re.search(r"(?:; |, )([^;]*) takes it back", told)
    assert line, told
    since = "INSERT INTO locations (id, code) VALUES (999, 'since then')"
    with suppress(sqlite3.Error), closing(sqlite3.connect(there.database)) as connection:
        connection.execute(since)
        connection.commit()
    done = there.run("bash", "-c", line[1], cwd=folder)
    if done.code == 4:
        there.ok("just", "undo", "--keep")
        assert plain(content(there.database)) == plain(with_row(first, since))
    else:
        assert done.code == 0, done
        assert content(there.database) == before
    assert elsewhere in (None, content(agents.database))


def plain(rows: list[str]) -> list[str]:
    """Without the order of definitions, and what a full-text index keeps for itself."""
    return sorted(row for row in rows if not re.match(r'INSERT INTO "?item_search_', row))


def with_row(database: Path, statement: str) -> list[str]:
    """What a database holds after another statement."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)
    return content(database)


@pytest.mark.parametrize("command", IN_STEPS.values(), ids=IN_STEPS)
def test_a_loss_in_several_steps_is_taken_back_by_what_the_agent_was_told(
    agents: Project, command: str
) -> None:
    """Alembic and our own commands take steps themselves; ``undo`` takes back the last of them."""
    rows = content(agents.database)
    told = ask_before(agents, command)["additionalContext"]
    agents.ok("bash", "-c", command)
    assert lost(agents, rows)
    agents.ok(*told.rpartition("or ")[2].split())
    assert content(agents.database) == rows


@pytest.mark.parametrize(("command", "safer"), DENIED.values(), ids=DENIED)
def test_what_would_take_the_backups_too_does_not_run(
    agents: Project, command: str, safer: str
) -> None:
    before = content(agents.database)
    ask(agents, {"hook_event_name": "SessionStart", "source": "startup"})
    kept = agents.saved()
    assert agent(agents, command) is None
    assert content(agents.database) == before
    assert agent(agents, safer) is not None
    assert agents.saved() == kept
    if lost(agents, before):
        agents.ok("just", "undo")
    assert content(agents.database) == before


@pytest.mark.parametrize("command", [command for command, _ in DENIED.values()])
def test_what_is_denied_and_runs_all_the_same_loses_nothing(agents: Project, command: str) -> None:
    """In another terminal, or by an agent that no hook guards: the vault has what backups/ had."""
    before = content(agents.database)
    ask(agents, {"hook_event_name": "SessionStart", "source": "startup"})
    agents.ok("bash", "-c", command.replace("git ", "git -c user.name=me -c user.email=me@x.org "))
    assert agents.saved() == []
    agents.ok("just", "restore", "latest")
    assert content(agents.database) == before


def test_a_day_of_losses_is_taken_back_to_any_of_its_states(agents: Project) -> None:
    states = [content(agents.database)]
    for number in range(3):
        agent(
            agents, f"{SQL} quartermaster.db 'DELETE FROM stock_movements WHERE id % 5 = {number}'"
        )
        states.append(content(agents.database))
    agent(agents, "rm quartermaster.db")
    kept = {tuple(content(path)) for path in agents.saved()}
    assert kept == set(map(tuple, states))
    agents.ok("just", "undo")
    assert content(agents.database) == states[-1]


def test_a_folder_in_the_databases_place_is_said_to_be_in_the_way(agents: Project) -> None:
    before = content(agents.database)
    agent(agents, "rm quartermaster.db && mkdir quartermaster.db")
    done = agents.just("undo")
    assert done.code != 0
    assert str(agents.database) in done.err
    agents.ok("rmdir", "quartermaster.db")
    agents.ok("just", "undo")
    assert content(agents.database) == before


def test_reading_all_day_takes_no_backup(agents: Project) -> None:
    for command in ("ls -la", "git status", "cat alembic.ini", "just list"):
        assert agent(agents, command) is not None
    assert agents.saved() == []


def test_what_the_application_wrote_meanwhile_is_kept(agents: Project) -> None:
    """It was no step's: ``undo`` stops, and takes both back when it is told to."""
    agent(agents, f"{SQL} quartermaster.db 'DELETE FROM stock_movements WHERE id % 2 = 0'")
    with closing(sqlite3.connect(agents.database)) as connection, connection:
        connection.execute("INSERT INTO locations (code) VALUES ('since then')")
    done = agents.just("undo")
    assert done.code == 4
    assert "locations: 1 added" in done.err
    done = agents.just("undo", "--whole")
    assert done.code == 0
    assert "locations: 1 added" in done.err
    assert any("since then" in "".join(content(path)) for path in agents.saved())
