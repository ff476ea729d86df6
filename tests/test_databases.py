"""A project with several databases: each has a name, and every step says which one it is about.

The two of these tests have files of the same name, and one folder of backups.
"""

import json
import os
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import hook
from djangos import HERE, SIZED, SQLITE, Djangos
from djangos import SETTINGS as DJANGO
from pair import LOST, SECOND, SETTINGS, Pair
from shop import content
from test_init import Elsewhere

from undrop import settings
from undrop.errors import LiveMovedError, UsageError
from undrop.steps import backup, guarded
from undrop.store.lock import Lock, locked
from undrop.store.log import After

AGES = "ALTER TABLE people ADD COLUMN age INTEGER"


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    made = Pair(tmp_path / "shop")
    monkeypatch.setenv("XDG_STATE_HOME", made.environment["XDG_STATE_HOME"])
    return made


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Another program that reads, and lets nobody write meanwhile."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        yield


# Which one is meant.


def test_the_option_goes_before_the_variable_and_that_before_the_default(pair: Pair) -> None:
    pair.ok("undrop", "backup", "one")
    pair.ok("undrop", "backup", "two", UNDROP_DB="users")
    pair.ok("undrop", "backup", "--db", "default", "three", UNDROP_DB="users")
    pair.ok("undrop", "backup", "--db=users", "four")
    assert [path.stem.rsplit("-", 1)[1] for path in pair.saved("main")] == ["one", "three"]
    assert [path.stem.rsplit("-", 1)[1] for path in pair.saved("users")] == ["two", "four"]


def test_a_name_that_there_is_not_is_answered_with_those_that_there_are(pair: Pair) -> None:
    for told in (
        pair.run("undrop", "status", "--db", "user"),
        pair.run("undrop", "status", UNDROP_DB="user"),
        pair.run("just", "undo", "--db", "user"),
    ):
        assert told.code == 2
        assert "'user' in undrop.toml: users, default" in told.err
    assert not pair.backups.exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[databases.default]\nurl = "sqlite:///b.db"', "'default' is the one at the top"),
        ('[databases."a b"]\nurl = "sqlite:///b.db"', "'a b' is no plain word"),
        ('[databases.--db]\nurl = "sqlite:///b.db"', "'--db' is no plain word"),
        ('[databases.b]\nbackups = "b"', "databases.b of undrop.toml has backups"),
        ("[databases.b]\nurl = 1", "url in databases.b of undrop.toml must be text"),
        ("[databases]\nb = 1", "databases in undrop.toml must be tables"),
        ('[databases.b]\nurl = "sqlite:///./app.db"', "default and b in undrop.toml are one"),
        ('[databases.b]\nurl = "sqlite:///link.db"', "default and b in undrop.toml are one"),
        ('[databases.b]\nenv-file = ".env"', "env-file of b in undrop.toml"),
    ],
)
def test_what_means_no_database_of_its_own_is_refused(
    tmp_path: Path, table: str, said: str
) -> None:
    pair = Pair(tmp_path / "shop", f'url = "sqlite:///app.db"\n\n{table}\n')
    os.link(pair.main, pair.root / "link.db")
    wanted = "b" if "env-file" in table else "default"
    told = pair.run("undrop", "backup", "--db", wanted)
    assert (told.code, said in told.err) == (2, True), told


def test_one_without_a_url_here_leaves_the_others_guarded(tmp_path: Path) -> None:
    """Its variable is set where the application runs, and not in this shell."""
    table = 'url = "sqlite:///app.db"\n[databases.users]\nurl-variable = "USERS_URL"\n'
    pair = Pair(tmp_path / "shop", table)
    pair.ok("undrop", "backup")
    told = pair.run("undrop", "list", "--json")
    assert told.code == 4
    assert "USERS_URL is not in the environment" in told.err
    assert len(json.loads(told.out)["backups"]) == 1
    refused = pair.run("undrop", "run", "true")
    assert (refused.code, "USERS_URL" in refused.err) == (2, True)
    pair.ok("undrop", "backup", "--db", "users", USERS_URL="sqlite:///people/app.db")
    [kept] = pair.saved("users")
    assert content(kept) == content(pair.users)


def test_it_may_be_in_a_dotenv_file_of_its_own(tmp_path: Path) -> None:
    table = (
        'url = "sqlite:///app.db"\n[databases.users]\nurl-variable = "U"\nenv-file = ".env.users"\n'
    )
    pair = Pair(tmp_path / "shop", table)
    (pair.root / ".env.users").write_text("U=sqlite:///people/app.db\n")
    pair.ok("undrop", "backup", "--db", "users")
    assert content(pair.saved("users")[0]) == content(pair.users)


# One at a time.


@pytest.mark.more
def test_every_step_is_about_the_one_that_is_named_and_leaves_the_other(pair: Pair) -> None:
    before, [main, _] = pair.contents()[1], pair.contents()
    pair.ok("undrop", "backup")
    pair.ok("just", "backup", "--db", "users", "first")
    pair.sql("users", "DELETE FROM people")
    changed = pair.contents()[1]
    pair.ok("just", "recover", "--db", "users", "rows", "people")
    assert pair.contents() == [main, before]
    pair.ok("just", "undo", "--db", "users")
    assert pair.contents() == [main, changed]
    pair.ok("just", "restore", "--db", "users", "1")
    assert pair.contents() == [main, before]
    pair.sql("users", "DELETE FROM people")
    pair.ok("just", "backup", "newer, of the other one")
    pair.ok("just", "restore", "latest", "--db", "users")
    assert pair.contents() == [main, before]
    pair.ok("just", "nuke-db", "--db", "users")
    assert pair.contents() == [main, []]
    told = pair.run("undrop", "undo")
    assert (told.code, "nothing to undo" in told.err) == (4, True)
    assert "; or, of another database: just undo --db users\n" in told.err
    pair.ok("undrop", "undo", UNDROP_DB="users")
    assert pair.contents() == [main, before]
    assert len(pair.saved("main")) == 2  # what was asked for


def test_the_recipes_backup_is_of_the_one_that_the_step_is_about(pair: Pair) -> None:
    """The dependency takes it, not the step: ``before-undo`` is in its name, and no other."""
    pair.ok("undrop", "run", *pair.emptied("users", "people"))
    pair.sql("users", "INSERT INTO people (name) VALUES ('late')")
    told = pair.run("just", "undo", "--db=users")
    assert told.code == 4
    assert "before-undo" in pair.saved("users")[-1].name
    assert "before-undo" not in " ".join(path.name for path in pair.saved("main"))
    pair.ok("just", "undo", "--whole", "--db", "users")


def test_a_backup_of_another_one_is_refused_with_the_line_that_puts_it_there(pair: Pair) -> None:
    pair.ok("undrop", "backup", "--db", "users")
    [kept] = pair.saved("users")
    rows = pair.contents()
    pair.sql("users", "DELETE FROM people")
    told = pair.run("undrop", "restore", kept.name)
    assert told.code == 4
    line = f"just restore --db users {kept.name}"
    assert line in told.err
    pair.ok(*shlex.split(line))
    assert pair.contents() == rows
    pair.users.unlink()  # it is not that the default lay elsewhere before
    assert pair.run("undrop", "restore", kept.name).code == 4


@pytest.mark.more
def test_what_is_to_be_typed_next_names_it(pair: Pair) -> None:
    pair.sql("users", "UPDATE people SET mail = 'a@b'")
    pair.revise("a2", LOST)
    stopped = pair.run("just", "migrate", "--db", "users", "--json")
    [following] = json.loads(stopped.out)["next_actions"]
    words = [following["name"], *following["arguments"]]
    assert words == ["migrate", "--db", "users", "head", "--accept-loss"]
    assert "just migrate --db users head --accept-loss" in stopped.err
    done = pair.done("just", *words)
    assert "to go back: just undo --db users" in done.err
    told = pair.done("undrop", "undo", "--list", UNDROP_DB="users")
    assert "just undo --db users" in told.out
    pair.ok("just", "undo", "--db", "users")
    assert "--db" not in pair.run("undrop", "status", "--db", "default").out


# All of them.


@pytest.mark.more
def test_looking_shows_all_the_default_first_and_what_each_has_by_its_name(pair: Pair) -> None:
    pair.ok("undrop", "backup")
    told = pair.run("undrop", "status")
    assert told.code == 4  # one is not covered
    first, second = told.out.split("\n\n")
    assert first.startswith("default:\n")
    assert "\ncovered    yes" in first
    assert second.startswith("users:\n")
    assert "no: just backup --db users" in second
    assert pair.run("undrop", "status", "--db", "default").code == 0
    pair.ok("undrop", "backup", "--db", "users")
    facts = json.loads(pair.ok("undrop", "status", "--json"))
    assert facts["database"] == str(pair.main)
    assert facts["databases"]["users"]["database"] == str(pair.users)
    assert facts["unguarded"] == []
    listed = json.loads(pair.ok("undrop", "list", "--json"))
    assert [each["path"] for each in listed["backups"]] == [str(pair.saved("main")[0])]
    theirs = listed["databases"]["users"]["backups"]
    assert [each["path"] for each in theirs] == [str(pair.saved("users")[0])]
    lines = pair.ok("undrop", "list").splitlines()[1:]
    rows = [[*line.split()[:2], line.split()[-1]] for line in lines]
    assert rows[1] == ["default", "1", pair.saved("main")[0].name]
    assert rows[3] == ["users", "1", pair.saved("users")[0].name]
    alone = json.loads(pair.ok("undrop", "list", "--json", "--db", "users"))
    assert alone == theirs_alone(listed)


def theirs_alone(listed: dict[str, Any]) -> dict[str, Any]:
    alone = listed["databases"]["users"]
    assert isinstance(alone, dict)
    return alone


def test_everything_is_checked_of_all_and_each_finding_is_mended_where_it_is(pair: Pair) -> None:
    pair.ok("undrop", "backup")
    pair.ok("undrop", "backup", "--db", "users")
    told = json.loads(pair.ok("undrop", "audit", "--json"))
    names = [each["name"] for each in told["checked"]]
    assert names[:2] == [str(pair.main), str(pair.users)]
    assert {"default: log of steps", "users: log of steps"} <= {*names}
    pair.users.write_bytes(b"no database")
    found = pair.run("undrop", "audit", "--json")
    assert found.code == 4
    [finding] = [each for each in json.loads(found.out)["checked"] if each["finding"]]
    assert finding["next_actions"] == [{"name": "list", "arguments": ["--db", "users"]}]
    verified = json.loads(pair.ok("undrop", "verify", "--json"))["verified"]
    assert {each["path"] for each in verified} == {
        str(pair.saved(name)[0]) for name in ("main", "users")
    }
    alone = json.loads(pair.ok("undrop", "verify", "--db", "users", "--json"))["verified"]
    assert [each["path"] for each in alone] == [str(pair.saved("users")[0])]


def test_a_command_of_ones_own_is_a_step_of_each_that_it_changed(pair: Pair) -> None:
    before = pair.contents()
    pair.ok("just", "run", *pair.emptied("users", "people"))
    assert len(pair.saved("main")) == 1
    assert pair.run("undrop", "undo").code == 4  # it changed nothing there
    pair.ok("undrop", "undo", "--db", "users")
    assert pair.contents() == before
    pair.sql("main", "INSERT INTO items (name) VALUES ('more')")
    pair.ok("undrop", "run", "--db", "users", *pair.emptied("users", "people"))
    assert len(pair.saved("main")) == 1  # somebody said which


def test_an_agents_call_is_covered_in_all_and_told_by_name(pair: Pair) -> None:
    before = pair.contents()

    def says(event: str, **more: object) -> str:
        told = {"session_id": "one", "cwd": str(pair.root), "hook_event_name": event, **more}
        answer = hook(pair, told)  # type: ignore[arg-type]  # it asks a runner only
        return str(answer.get("hookSpecificOutput", {}).get("additionalContext", "")) + str(
            answer.get("systemMessage", "")
        )

    started = says("SessionStart", source="startup")
    assert f"the database {pair.main} and users (every line takes --db NAME)" in started
    call = {
        "tool_name": "Bash",
        "tool_input": {"command": "python tidy.py"},
        "tool_use_id": "toolu_1",
    }
    told = says("PreToolUse", **call)
    assert "undrop: default: the state before this" in told
    assert "undrop: users: the state before this" in told
    assert "just undo --db users" in told
    pair.sql("users", "DELETE FROM people")
    ended = says("PostToolUse", **call, tool_response={})
    assert "undrop: users: people: 2 rows gone" in ended.replace("removed", "gone") or (
        "undrop: users: people" in ended
    )
    assert "default" not in ended
    assert "just undo --db users takes it back" in ended
    told = says("PreToolUse", **{**call, "tool_use_id": "toolu_2"})
    assert "undrop: users: WARNING: had rows before and have none now: people" in told
    says("PostToolUse", **{**call, "tool_use_id": "toolu_2"}, tool_response={})
    assert "undrop: users: since this session began" in says("SessionEnd", reason="other")
    pair.ok("undrop", "undo", "--db", "users")
    assert pair.contents() == before


def test_a_killed_runs_copies_are_swept_of_all(pair: Pair) -> None:
    left = [
        pair.root / ".app.db.999999.undrop-work",
        pair.root / "people/.app.db.999999.undrop-work",
    ]
    for path in left:
        path.touch()
    pair.ok("undrop", "backup")
    assert not any(path.exists() for path in left)


# One env.py that migrates them.


def test_alembics_own_command_backs_up_each_that_it_goes_to(pair: Pair) -> None:
    before = pair.contents()
    pair.revise()
    done = pair.done("alembic", "upgrade", "head")
    assert pair.revisions() == ["a2", "a2"]
    assert "ANOTHER DATABASE" not in done.err
    assert [content(pair.saved(name)[0]) for name in ("main", "users")] == before
    pair.ok("undrop", "undo", "--db", "users")
    assert pair.revisions() == ["a2", "a1"]
    pair.ok("undrop", "undo")
    assert pair.contents() == before


def test_one_run_migrates_a_copy_of_each_and_each_is_a_step(pair: Pair) -> None:
    before = pair.contents()
    pair.revise()
    assert "it would succeed: just migrate head" in pair.done("just", "rehearse").err
    assert pair.contents() == before
    done = pair.done("just", "migrate")
    assert done.out == "default: a1 -> a2\nusers: a1 -> a2\n"
    after = pair.contents()
    assert pair.revisions() == ["a2", "a2"]
    facts = json.loads(pair.ok("undrop", "migrate", "--json"))
    assert (facts["database"], facts["migrations"]) == (str(pair.main), 0)
    pair.ok("just", "undo", "--db", "users")
    assert pair.contents() == [after[0], before[1]]
    told = json.loads(pair.ok("just", "migrate", "--json"))
    assert told["migrations"] == 0
    assert told["databases"]["users"]["to"] == ["a2"]
    pair.ok("just", "undo")
    pair.ok("just", "undo", "--db", "users")
    assert pair.contents() == before
    assert not [*pair.root.rglob("*undrop-work*")]


def test_a_loss_in_one_of_them_changes_none(pair: Pair) -> None:
    pair.sql("users", "UPDATE people SET mail = 'a@b'")
    before = pair.contents()
    pair.revise("a2", LOST)
    rehearsed = pair.run("just", "rehearse")
    assert (rehearsed.code, "people.mail" in rehearsed.out) == (4, True)
    stopped = pair.run("just", "migrate")
    assert stopped.code == 4
    assert "users: people.mail" in stopped.err
    assert 'accepts_loss = ["people.mail"]' in stopped.err
    facts = json.loads(pair.run("undrop", "migrate", "--json").out)
    assert facts["losses"] == []
    assert facts["databases"]["users"]["losses"][0]["lost"] == 2
    assert pair.contents() == before
    pair.ok("just", "migrate", "--accept-loss")
    assert pair.revisions() == ["a2", "a2"]


def test_a_failure_in_the_second_changes_none(pair: Pair) -> None:
    before = pair.contents()
    pair.revise("a2", {"main": ["CREATE TABLE more (id)"], "users": [AGES, "no SQL at all"]})
    failed = pair.run("just", "migrate")
    assert (failed.code, "was not changed" in failed.err) == (1, True)
    assert pair.contents() == before


def test_where_the_second_cannot_be_replaced_the_first_is_done_and_goes_back(pair: Pair) -> None:
    before = pair.contents()
    pair.revise()
    with reading(pair.users):
        failed = pair.impatient("migrate")
    assert failed.code == 3
    assert "migrate is done on default and not on users" in failed.err
    assert "back to before it on what is done: just undo" in failed.err
    assert pair.revisions() == ["a2", "a1"]
    pair.ok("just", "undo")
    assert pair.contents() == before
    pair.ok("just", "migrate")
    assert pair.revisions() == ["a2", "a2"]


def test_who_writes_to_the_second_meanwhile_keeps_that_and_it_is_tried_again(pair: Pair) -> None:
    pair.ok("undrop", "backup", "--db", "users")
    project = settings.load(pair.root)
    tries: list[int] = []

    def change(attempts: list[guarded.Attempt]) -> list[guarded.Outcome | None]:
        tries.append(1)
        first, second = attempts
        if len(tries) > 1:
            first.end(None)
            with second.changing():
                return [None, guarded.Outcome(0.0, [], After(None, ""))]
        with first.changing():
            pair.sql("main", "INSERT INTO items (name) VALUES ('by the step')")
            first.lock.session.changed = True
        first.end(guarded.Outcome(1.0, [], After(None, "")))
        second.has_moved = True
        raise LiveMovedError("somebody wrote", "the same again")

    with locked(project, print) as lock:
        other = Lock(settings.another(project, "users"))
        done = guarded.together([lock, other], "migrate", change)
    assert len(tries) == 2
    assert [each.seconds for each in done] == [1.0, 0.0]
    assert [each.moved_from for each in done] == ["", pair.saved("users")[0].name]


@pytest.mark.more
def test_one_that_is_named_is_migrated_alone(pair: Pair) -> None:
    [main, _] = pair.contents()
    pair.revise()
    assert pair.done("just", "rehearse", "--db", "users").out.startswith("a1 -> a2\n")
    assert pair.ok("just", "migrate", "--db", "users") == "a1 -> a2\n"
    assert pair.revisions() == ["a1", "a2"]
    assert pair.contents()[0] == main
    pair.ok("just", "reset-db", "--db", "users")
    assert pair.sql("users", "SELECT count(*) FROM people") == [(0,)]
    assert pair.contents()[0] == main


@pytest.mark.parametrize("step", ["migrate", "rehearse", "reset-db"])
def test_migrations_do_not_run_on_one_that_nothing_shows_they_are_for(
    pair: Pair, step: str
) -> None:
    """They would make their tables in a cache, where env.py takes whatever it is handed."""
    pair.sql("users", "DROP TABLE alembic_version")
    before = pair.contents()
    pair.revise()
    refused = pair.run("just", step, "--db", "users")
    assert (refused.code, "users has tables and no revision" in refused.err) == (2, True)
    assert pair.contents() == before
    assert "just migrate" not in pair.run("undrop", "status", "--db", "users").out


@pytest.mark.more
def test_an_empty_database_at_head_is_made_of_each_that_is_migrated(pair: Pair) -> None:
    before = pair.contents()
    pair.ok("just", "reset-db")
    assert pair.sql("main", "SELECT count(*) FROM items") == [(0,)]
    assert pair.sql("users", "SELECT count(*) FROM people") == [(0,)]
    pair.ok("just", "undo")
    pair.ok("just", "undo", "--db", "users")
    assert pair.contents() == before
    ini = (pair.root / "alembic.ini").read_text()
    (pair.root / "alembic.ini").write_text(ini.replace("main, users", "main"))
    pair.ok("just", "reset-db")
    assert pair.sql("main", "SELECT count(*) FROM items") == [(0,)]
    assert pair.contents()[1] == before[1]  # nothing migrates that one


def test_a_migration_that_reaches_a_live_one_by_itself_is_refused(pair: Pair) -> None:
    """SQLAlchemy's engines get the copies; a file that is opened by its name is live."""
    before = pair.contents()
    statement = "!sqlite3.connect('people/app.db').execute('DELETE FROM people')"
    pair.revise("a2", {"main": [statement], "users": []})
    failed = pair.run("just", "migrate")
    assert failed.code == 1
    assert f"would change {pair.users} (DELETE people)" in failed.err
    assert "just run alembic upgrade head" in failed.err
    assert pair.contents() == before


def test_a_file_that_has_no_name_in_the_settings_is_not_gone_to(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "shop", SETTINGS.partition("\n\n")[0])
    before = pair.contents()
    pair.revise()
    failed = pair.run("just", "migrate")
    assert failed.code == 1
    assert "each needs a name in the settings" in failed.err
    assert "Traceback" not in failed.err
    assert pair.contents() == before


def test_each_may_be_read_from_a_variable_of_its_own(tmp_path: Path) -> None:
    table = (
        'url = "sqlite:///app.db"\nurl-variable = "MAIN_URL"\n'
        '[databases.users]\nurl = "sqlite:///people/app.db"\nurl-variable = "USERS_URL"\n'
    )
    pair = Pair(tmp_path / "shop", table)
    env = pair.root / "migrations/env.py"
    text = env.read_text().replace("import logging\n", "import logging, os\n")
    read = "dict(context.config.get_section(name, {}), **own(name))"
    own = (
        "def own(name):\n    url = os.environ.get(f'{name.upper()}_URL')\n"
        "    return {'sqlalchemy.url': url} if url else {}\n\n\ndef run_migrations_online"
    )
    text = text.replace("context.config.get_section(name, {})", read)
    env.write_text(text.replace("def run_migrations_online", own))
    row = "INSERT INTO people (name) VALUES ('by its variable')"
    opened = f"sqlite3.connect(os.environ['USERS_URL'].partition(':///')[2]).execute({row!r})"
    pair.revise("a2", {**SECOND, "main": [f"!{opened}.connection.commit()"]})
    names = "SELECT name FROM people"
    pair.ok("just", "rehearse", USERS_URL="sqlite:///people/app.db")
    assert ("by its variable",) not in pair.sql("users", names)
    pair.ok("just", "migrate", USERS_URL="sqlite:///people/app.db")
    assert pair.revisions() == ["a2", "a2"]
    assert ("by its variable",) in pair.sql("users", names)


def test_in_one_process_the_database_that_is_asked_for_is_another(pair: Pair) -> None:
    project = settings.load(pair.root)
    assert project.names == ["default", "users"]
    assert [each.source for each in settings.every(project)] == ["app.db", "people/app.db"]
    users = settings.another(project, "users")
    assert users == settings.another(users, "users")
    assert settings.another(users, "default").source == "app.db"
    with pytest.raises(UsageError):
        settings.another(project, "nobody")
    with locked(users, print) as lock:
        assert backup.take(lock, backup.Purpose("one", "")) is not None
    assert pair.saved("main") == []


# init.


@pytest.mark.more
def test_init_names_each_that_env_py_goes_to_and_proves_the_guard_of_each(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "shop", "")
    before = snapshot(pair)
    told = pair.run("undrop", "init")
    assert snapshot(pair) == before
    (pair.root / "main.sql").write_text("-- mine\n")
    before = snapshot(pair)
    assert told.code == 2  # which one is the default?
    assert "undrop init --url sqlite:///people/app.db" in told.err
    done = pair.done("undrop", "init", "--url", "sqlite:///app.db")
    assert "Guarded: alembic" in done.out
    assert "NOT guarded" not in done.out
    wanted = '[databases.users]\nurl = "sqlite:///people/app.db"\n'
    assert wanted in (pair.root / "undrop.toml").read_text()
    assert len(pair.saved("main")) == len(pair.saved("users")) == 1
    adopted = snapshot(pair)
    assert pair.done("undrop", "init").out.count("+++") == 0
    assert snapshot(pair) == adopted
    pair.ok("undrop", "init", "--remove")
    assert snapshot(pair) == before


def snapshot(pair: Pair) -> dict[str, tuple[int, bytes]]:
    """Every file of the project, but for the backups."""
    return {
        str(path.relative_to(pair.root)): (path.stat().st_mode, path.read_bytes())
        for path in pair.root.rglob("*")
        if path.is_file()
        and not path.is_relative_to(pair.backups)
        and "__pycache__" not in path.parts
    }


def test_init_says_which_one_the_guard_does_not_hold_for(tmp_path: Path) -> None:
    """The call comes when the first is under way already."""
    pair = Pair(tmp_path / "shop")
    env = pair.root / "migrations/env.py"
    text = env.read_text().replace("backup_before(context)\n", "")
    call = "context.run_migrations(engine_name=name)\n"
    env.write_text(text.replace(call, f"{call}            backup_before(context)\n"))
    told = pair.run("undrop", "init", "--check")
    assert told.code == 4
    assert "no backup was there when env.py configured Alembic" in told.out
    assert "no backup of users" not in told.out


def test_init_says_which_one_is_not_backed_up(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "shop")
    env = pair.root / "migrations/env.py"
    blind = "from undrop import hook\nhook.Run.elsewhere = lambda *_: ''\n"
    text = env.read_text().replace("backup_before(context)\n", f"{blind}backup_before(context)\n")
    env.write_text(text)
    told = pair.run("undrop", "init", "--check")
    assert told.code == 4
    assert "NOT guarded: alembic, because no backup of users was there" in told.out
    assert all("-undrop-init" in path.name for path in pair.saved("users"))


# Django's.


@pytest.mark.more
def test_each_alias_of_django_is_migrated_by_its_name(tmp_path: Path) -> None:
    names = "".join(
        SQLITE.format(alias=alias, name=HERE.format(f"{file}.db"), more="")
        for alias, file in (("default", "app"), ("users", "users"))
    )
    django = Djangos(tmp_path / "theirs", DJANGO.format(databases=names))
    manage = (sys.executable, "manage.py", "migrate")
    django.ok(*manage, "--database", "users")
    django.ok("undrop", "init")
    before = content(django.root / "users.db")
    django.migration("0002_size", SIZED, needs="0001_items")
    done = django.done(*manage, "--database", "users")
    assert "ANOTHER DATABASE" not in done.err
    after = content(django.root / "users.db")
    assert after != before
    django.ok("undrop", "undo", "--db", "users")
    assert content(django.root / "users.db") == before
    django.ok("just", "migrate", "--db", "users")
    assert [line for line in content(django.root / "users.db") if "size" in line]
    assert not (django.root / "app.db").exists()
    django.ok("just", "undo", "--db", "users")
    assert content(django.root / "users.db") == before


@pytest.mark.parametrize("command", ["migrate", pytest.param("rehearse", marks=pytest.mark.more)])
def test_of_one_that_is_damaged_the_line_to_type_is_about_that_one(
    pair: Pair, command: str
) -> None:
    pair.ok("undrop", "backup", "--db", "users")
    pair.revise()
    spoil(pair)
    told = pair.run("undrop", command)
    assert told.code == 4, told
    assert "restore --db users latest" in told.err
    told = pair.run("undrop", command, "--db", "users")
    assert told.code == 4, told
    assert "restore --db users latest" in told.err


@pytest.mark.more
def test_of_one_that_is_damaged_the_others_are_shown_all_the_same(pair: Pair) -> None:
    pair.ok("undrop", "backup")
    pair.ok("undrop", "backup", "--db", "users")
    spoil(pair)
    seen = pair.run("undrop", "status")
    assert seen.code == 4, seen
    assert "damaged" in seen.out
    assert "undo --db users" in seen.out
    assert str(pair.root / "app.db") in seen.out
    assert pair.run("undrop", "audit").code == 4


def spoil(pair: Pair) -> None:
    """Overwrite the page that has the revision, which every look reads."""
    users = pair.root / "people/app.db"
    with closing(sqlite3.connect(users)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'alembic_version'"
        [(page,)] = connection.execute(sql)
        [(size,)] = connection.execute("PRAGMA page_size")
    with users.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 200)


BOTH = """
import os, sqlite3
for variable, file in (("APP_DB", "app.db"), ("USERS_DB", "users.db")):
    with sqlite3.connect(os.environ.get(variable, file)) as connection:
        connection.executescript("DROP TABLE IF EXISTS t; CREATE TABLE more (n)")
"""


@pytest.fixture
def both(tmp_path: Path) -> Elsewhere:
    """A project whose own tool migrates two databases, and is led by a variable to one."""
    there = Elsewhere(tmp_path / "theirs")
    there.write("migrate.py", BOTH)
    for name in ("app", "users"):
        with closing(sqlite3.connect(there.root / f"{name}.db")) as connection, connection:
            connection.executescript("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2)")
    there.write(
        "undrop.toml",
        "url = 'sqlite:///app.db'\nurl-variable = 'APP_DB'\nmigrate-url = '{path}'\n"
        "migrate-command = 'python migrate.py'\n[databases.users]\nurl = 'sqlite:///users.db'\n",
    )
    return there


@pytest.mark.parametrize("command", ["rehearse", pytest.param("migrate", marks=pytest.mark.more)])
def test_a_command_that_goes_to_another_of_the_databases_is_caught_and_undone(
    both: Elsewhere, command: str
) -> None:
    rows = content(both.root / "users.db")
    app = content(both.root / "app.db")
    caught = both.run("undrop", command, "--accept-loss")
    assert caught.code == 3, caught
    assert "users: the schema of the live database itself was changed" in caught.err
    assert "undo --db users" in caught.err
    assert content(both.root / "app.db") == app
    both.ok("undrop", "undo", "--db", "users")
    assert content(both.root / "users.db") == rows


@pytest.mark.more
def test_the_trial_of_such_a_command_is_behind_a_backup_of_each(both: Elsewhere) -> None:
    """Where its own words lead to the live database, wherever it is started."""
    users = both.root / "users.db"
    both.write("migrate.py", BOTH.replace('"users.db"', repr(str(users))))
    both.run("undrop", "init")
    with closing(sqlite3.connect(users)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
        connection.execute("INSERT INTO t VALUES ('after the last backup')")
    rows = content(users)
    tried = both.run("undrop", "init", "--check")
    assert tried.code == 4, tried
    assert "undo --db users takes that back" in tried.out
    both.ok("undrop", "undo", "--db", "users")
    assert content(users) == rows


@pytest.mark.more
def test_init_says_of_such_a_command_that_it_is_not_guarded(both: Elsewhere) -> None:
    tried = both.run("undrop", "init")
    assert tried.code == 4, tried
    assert "it goes to users.db as well, whatever it is led to" in tried.out
    assert content(both.root / "users.db") == content(both.root / "app.db")


@pytest.mark.more
def test_a_command_that_does_not_start_for_one_of_them_is_no_step_of_the_others(
    pair: Pair,
) -> None:
    users = pair.root / "people/app.db"
    with closing(sqlite3.connect(users, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        told = pair.impatient("run", "echo", "hello")
    assert told.code == 1, told
    assert "hello" not in told.out
    assert "not seen to end" not in pair.ok("undrop", "undo", "--list")


@pytest.mark.more
def test_one_whose_folder_is_not_there_is_said_to_be_so(pair: Pair) -> None:
    shutil.rmtree(pair.root / "people")
    told = pair.run("undrop", "migrate")
    assert told.code == 1, told
    assert "mkdir -p" in told.err


@pytest.mark.more
def test_one_that_is_not_made_yet_is_not_told_to_be_gone(pair: Pair) -> None:
    later = '[databases.later]\nurl = "sqlite:///later.db"\n'
    (pair.root / "undrop.toml").write_text(f"{SETTINGS}\n{later}")
    pair.ok("undrop", "backup")
    call = {"hook_event_name": "PreToolUse", "session_id": "s", "tool_name": "Bash"}
    told = {**call, "tool_input": {"command": "rm something"}, "cwd": str(pair.root)}
    said = hook(pair, told)  # type: ignore[arg-type]  # it asks a runner only
    assert "GONE" not in str(said)
    for path in ("app.db", "people/app.db"):
        (pair.root / path).unlink()
    said = hook(pair, told)  # type: ignore[arg-type]  # likewise
    assert "users: the command before this: the database is gone" in str(said)
    assert "later" not in str(said)


@pytest.mark.more
def test_a_backup_of_another_one_is_not_forgotten_by_the_way(pair: Pair) -> None:
    pair.ok("undrop", "backup", "--db", "users", "mine")
    [mine] = pair.saved("users")
    refused = pair.run("undrop", "forget", mine.name)
    assert refused.code == 2, refused
    assert f"forget --db users {mine.name}" in refused.err
    assert mine.exists()
    pair.ok("undrop", "forget", "--db", "users", mine.name)
