"""What an agent's call did, said after it, and whose doing it counts as: the hook's other half.

Through the real command line, in both of SQLite's modes; a real change between the two events.
"""

import fcntl
import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from agents import hook
from shop import Project, content, make, uncheckpointed

from undrop import settings
from undrop.steps import changed
from undrop.store import calls, log

Change = Callable[[Project], object]


class Agent:
    """An agent's session; its calls have ids, unless it is one that gives none."""

    def __init__(self, project: Project, session: str = "one", *, ids: bool = True) -> None:
        self.project, self.session, self.ids = project, session, ids
        self.number = 0

    def says(self, event: str, **more: object) -> dict[str, Any]:
        """What the hook answers to an event."""
        told = {"session_id": self.session, "cwd": str(self.project.root), **more}
        return hook(self.project, {"hook_event_name": event, **told})

    def begins(self, line: str, **what: object) -> "Running":
        """A call of Bash."""
        self.number += 1
        call = {"tool_name": "Bash", "tool_input": {"command": line, **what}}
        if self.ids:
            call["tool_use_id"] = f"toolu_{self.session}_{self.number}"
        return Running(self, call, self.says("PreToolUse", **call))

    def does(self, line: str, change: Change = lambda _: None) -> str:
        """A whole call; what the agent is told after it."""
        call = self.begins(line)
        change(self.project)
        return call.ends()


class Running(NamedTuple):
    """A call that began."""

    agent: Agent
    call: dict[str, Any]
    answer: dict[str, Any]
    """What the hook said before it."""

    @property
    def told(self) -> str:
        """What of that the agent reads."""
        return context(self.answer)

    def ends(self, event: str = "PostToolUse", **response: object) -> str:
        """What the agent is told after it."""
        answer = self.agent.says(event, **self.call, tool_response={"stdout": "", **response})
        assert answer.keys() <= {"hookSpecificOutput"}
        return context(answer)


def context(answer: dict[str, Any]) -> str:
    return str(answer.get("hookSpecificOutput", {}).get("additionalContext", ""))


def runs(*statements: str) -> Change:
    """Somebody's program on the database."""

    def run(project: Project) -> None:
        with closing(sqlite3.connect(project.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return run


@pytest.fixture(params=["delete", pytest.param("wal", marks=pytest.mark.more)])
def shop(request: pytest.FixtureRequest, stocked: Project) -> Project:
    """The sample's stock, in both of SQLite's modes."""
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
    return stocked


def chain(project: Project) -> list[tuple[str, str, str]]:
    """Kinds, lines and ends of the steps, oldest first."""
    return [(s.kind, s.command, s.phase) for s in log.steps(settings.load(project.root))]


def undone(project: Project) -> str:
    """What undo says that it took back."""
    done = project.undrop("undo")
    assert done.code == 0, done
    return done.err


def is_others_work(project: Project) -> str:
    """Undo stops, blames nobody, and changes nothing."""
    return project.refused(4, "undrop", "undo").err


GONE = runs("DELETE FROM stock_movements WHERE id <= 7", "UPDATE items SET name = 'x' WHERE id = 1")
INSERT = runs("INSERT INTO suppliers (name) VALUES ('new')")


def test_an_agent_is_told_what_its_call_did_and_the_line_takes_it_back(shop: Project) -> None:
    before = content(shop.database)
    told = Agent(shop).does("python x.py", GONE)
    assert told == (
        "undrop: stock_movements: 7 rows gone, items: 1 changed; just undo takes it back"
    )
    shop.ok("just", "undo")
    assert content(shop.database) == before


def test_what_is_only_in_the_wal_is_told_too(project: Project) -> None:
    make(project.database, wal=True)
    agent = Agent(project)
    with uncheckpointed(project.database) as connection:
        call = agent.begins("python x.py")
        with connection:
            connection.execute("DELETE FROM t WHERE id <= 3")
        assert call.ends() == "undrop: t: 3 rows gone; just undo takes it back"


def test_a_call_that_failed_may_have_done_something(shop: Project) -> None:
    call = Agent(shop).begins("python x.py")
    GONE(shop)
    assert "stock_movements: 7 rows gone" in call.ends("PostToolUseFailure", error="exit code 1")


def test_nothing_is_said_or_written_where_nothing_changed(shop: Project) -> None:
    agent = Agent(shop)
    assert agent.does("make") == ""
    steps = (shop.backups / log.NAME).read_bytes()
    assert len(steps.splitlines()) == 1
    for line in ("make test", "make lint"):
        assert agent.does(line) == ""
    assert (shop.backups / log.NAME).read_bytes() == steps
    assert len(shop.saved()) == 1
    assert agent.says("Stop") == {}


def test_where_nothing_changed_the_end_of_a_call_waits_for_nobody(
    stocked: Project,
) -> None:
    """Not for another undrop, nor for a program that holds a lock and has written nothing."""
    agent = Agent(stocked)
    note = stocked.backups / "covered.json"
    for _ in range(50):  # until the files' times tell that nothing was written
        agent.does("make")
        if note.exists():
            break
    call = agent.begins("make")
    with (stocked.backups / ".lock").open("w") as lock, stocked.locked():
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call.ends() == ""


SAME: dict[str, Change] = {
    "touched": lambda project: project.database.touch(),
    "analysed": runs("ANALYZE"),
    "a row came and went": lambda project: [
        INSERT(project),
        runs("DELETE FROM suppliers WHERE name = 'new'")(project),
    ],
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_other_bytes_are_no_change_and_no_call_is_blamed_for_them(
    shop: Project, change: Change
) -> None:
    agent = Agent(shop)
    before = content(shop.database)
    agent.does("python first.py", GONE)
    assert agent.does("python second.py", change) == ""
    said = undone(shop)
    assert "undone: agent (python first.py)" in said
    assert content(shop.database) == before or "sqlite_stat1" in "".join(before)


SCHEMA = {
    "a column": ("ALTER TABLE items ADD COLUMN colour TEXT", "items: column colour added"),
    "a table": ("DROP TABLE supplier_contacts", "table supplier_contacts gone"),
    "an index": ("CREATE INDEX mine ON items (price_cents)", "index mine added"),
    "a table's name": ("ALTER TABLE suppliers RENAME TO firms", "table suppliers now firms"),
    "a column's name": (
        "ALTER TABLE items RENAME COLUMN name TO title",
        "items: column name now title",
    ),
    "a revision": (
        "UPDATE alembic_version SET version_num = '0005'",
        "revision 0006 -> 0005",
    ),
}


@pytest.mark.parametrize(("sql", "words"), SCHEMA.values(), ids=SCHEMA)
def test_another_schema_or_revision_is_said_in_words(
    stocked: Project, sql: str, words: str
) -> None:
    told = Agent(stocked).does("python x.py", runs("PRAGMA foreign_keys = OFF", sql))
    assert words in told
    assert told.endswith("; just undo takes it back")


def test_a_migration_by_the_agent_is_told_with_its_revision(stocked: Project) -> None:
    before = content(stocked.database)

    def downgrade(project: Project) -> None:
        project.ok("alembic", "downgrade", "-1")

    told = Agent(stocked).does("alembic downgrade -1", downgrade)
    assert "revision 0006 -> 0005" in told
    assert "undone: " in undone(stocked)
    assert content(stocked.database) == before


def test_five_tables_are_named_the_greatest_losses_first(project: Project) -> None:
    make(project.database)
    runs(*(f"CREATE TABLE t{n} (v)" for n in range(9)))(project)
    runs(*(f"INSERT INTO t{n} VALUES (1), (2)" for n in range(9)))(project)
    changes = [f"INSERT INTO t{n} VALUES (3)" for n in range(8)]
    told = Agent(project).does("python x.py", runs(*changes, "DELETE FROM t8"))
    assert told == (
        "undrop: t8: 2 rows gone, t0: 1 added, t1: 1 added, t2: 1 added, t3: 1 added, 4 more; "
        "just undo takes it back"
    )


def test_a_database_that_is_gone_damaged_or_new_is_said(shop: Project) -> None:
    agent = Agent(shop)
    before = content(shop.database)
    told = agent.does("rm quartermaster.db", Project.lose)
    assert told == "undrop: the database is gone; just undo takes it back"
    shop.ok("just", "undo")
    assert content(shop.database) == before
    told = agent.does("echo > x", lambda project: project.database.write_text("no database"))
    assert "THE DATABASE IS DAMAGED" in told
    shop.ok("just", "undo")
    assert content(shop.database) == before


def test_one_that_was_made_anew_is_said(stocked: Project) -> None:
    agent = Agent(stocked)
    agent.does("rm quartermaster.db", Project.lose)
    told = agent.does("python make.py", lambda project: make(project.database))
    assert told == "undrop: there is a database now; just undo takes it back"


def test_a_large_database_is_told_by_the_counts_in_the_records(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison row by row would keep the agent waiting."""
    agent = Agent(shop)
    agent.does("python x.py", runs("DELETE FROM stock_movements WHERE id <= 7"))
    agent.does("python y.py", runs("UPDATE items SET name = 'x' WHERE id = 1"))
    project = settings.load(shop.root)
    first, second, third = (path.name for path in shop.saved())
    monkeypatch.setattr(changed, "LOOKED_AT", 1)
    told = changed.between(project, first, second)
    assert told is not None
    old, new = told.rows["stock_movements"]
    assert old is not None
    assert new == old - 7
    assert told.comparison is None
    told = changed.between(project, second, third)
    assert told == changed.Changed("other")  # which says that it changed, and the line for more
    again = shop.ok("undrop", "backup").strip().rpartition("/")[2]
    assert changed.between(project, third, again) is None


def test_a_comparison_that_takes_long_is_given_up(
    stocked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent waits: the records tell what they can. Here every row of many is another."""
    runs("CREATE TABLE big (a, b)")(stocked)
    fill = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
        "INSERT INTO big SELECT hex(randomblob(8)), i % 7 FROM n"
    )
    runs(fill)(stocked)
    agent = Agent(stocked)
    agent.begins("make")
    runs("UPDATE big SET a = a || 'x'", "DELETE FROM suppliers WHERE id = 1")(stocked)
    agent.begins("make")
    first, second = (path.name for path in stocked.saved())
    monkeypatch.setattr(changed, "SECONDS", 0.0)
    told = changed.between(settings.load(stocked.root), first, second)
    assert told is not None
    assert told.comparison is None
    assert told.rows.keys() == {"suppliers"}


def test_what_cannot_be_held_is_said_and_fails_no_call(stocked: Project) -> None:
    call = Agent(stocked).begins("python x.py")
    GONE(stocked)
    with stocked.locked():
        answer = call.agent.says("PostToolUse", **call.call)
    assert "what this call changed is not known" in answer["systemMessage"]
    assert "same command again" not in answer["systemMessage"]
    assert "agent (python x.py), not seen to end" in stocked.ok("undrop", "undo", "--list")


EMPTY = runs("DELETE FROM stock_movements")


def test_an_emptied_table_is_said_before_the_next_command_with_the_full_backup(
    shop: Project,
) -> None:
    agent = Agent(shop)
    before = content(shop.database)
    told = agent.does("python x.py", EMPTY)
    assert "stock_movements: " in told
    full, emptied = shop.saved()
    call = agent.begins("python y.py")
    for text in (call.told, call.answer["systemMessage"]):
        assert "WARNING: had rows before and have none now: stock_movements" in text
        assert f"just restore {full.name}" in text
        assert emptied.name not in text
    call.ends()
    again = agent.begins("python z.py")
    assert "systemMessage" not in again.answer
    assert "WARNING" not in again.told
    assert again.told.endswith("to go back: just undo")  # and that is all
    assert f"restore {emptied.name}" not in again.told
    line = call.told.partition(f"just restore {full.name}")[1]
    shop.ok(*line.split())
    assert content(shop.database) == before


def test_every_agent_hears_of_it_once_and_nobody_when_it_was_meant(stocked: Project) -> None:
    one, two = Agent(stocked), Agent(stocked, "two")
    one.does("python x.py", EMPTY)
    assert "WARNING" in one.begins("make").told
    assert "WARNING" in two.begins("make").told
    for agent in (one, two, one, two):
        assert "WARNING" not in agent.begins("make").told
    stocked.ok("just", "backup", "sold out", "--accept-shrink")
    INSERT(stocked)
    assert "WARNING" not in one.begins("make").told
    start = Agent(stocked, "three").says("SessionStart", source="startup")
    assert "WARNING" not in context(start)


def test_a_session_that_starts_on_an_emptied_table_hears_of_it_at_once(stocked: Project) -> None:
    Agent(stocked).does("python x.py", EMPTY)
    agent = Agent(stocked, "two")
    start = agent.says("SessionStart", source="startup")
    assert "had rows before and have none now: stock_movements" in context(start)
    assert "WARNING" not in agent.begins("make").told


def test_rows_that_come_back_are_no_alarm(stocked: Project) -> None:
    agent = Agent(stocked)
    agent.does("python x.py", EMPTY)
    stocked.ok("just", "undo")
    assert "WARNING" not in agent.begins("make").told


def test_the_alarm_recovers_the_rows_alone(stocked: Project) -> None:
    agent = Agent(stocked)
    before = content(stocked.database)
    agent.does("python x.py", EMPTY)
    told = agent.begins("make").told
    line = told[told.index("just recover") :].partition(" brings back")[0]
    stocked.ok(*line.split())
    assert sorted(content(stocked.database)) == sorted(before)


def test_calls_that_overlap_are_one_step_with_all_their_lines(shop: Project) -> None:
    """Both began on one state; the first to end was not the only one that wrote."""
    agent = Agent(shop)
    before = content(shop.database)
    one, two = agent.begins("python one.py"), agent.begins("python two.py")
    GONE(shop)
    assert "7 rows gone" in one.ends()
    INSERT(shop)
    back = "just undo takes it back, with the calls beside it"
    assert two.ends() == f"undrop: suppliers: 1 added; {back}"
    assert chain(shop) == [("agent", "python one.py; python two.py", "done")]
    assert "agent (python one.py; python two.py)" in shop.ok("undrop", "log", "suppliers")
    assert "undone: agent (python one.py; python two.py)" in undone(shop)
    assert content(shop.database) == before


def test_one_that_ends_later_and_did_no_more_has_its_line_there_too(shop: Project) -> None:
    """Nobody knows which of them it was."""
    agent = Agent(shop)
    one, two = agent.begins("python one.py"), agent.begins("python two.py")
    GONE(shop)
    assert "7 rows gone" in two.ends()
    assert one.ends() == ""
    assert chain(shop) == [("agent", "python two.py; python one.py", "done")]


@pytest.mark.parametrize("again", [False, True])
def test_calls_that_began_on_two_states_and_overlap_are_taken_back_as_one(
    shop: Project, *, again: bool
) -> None:
    """Also where the later one left all as it was when it began: that is the state after both."""
    agent = Agent(shop)
    before = content(shop.database)
    one = agent.begins("python one.py")
    GONE(shop)
    two = agent.begins("python two.py")
    between = shutil.copy(shop.database, shop.root / "between")
    INSERT(shop)
    assert "suppliers: 1 added" in one.ends()
    if again:
        shutil.copy(between, shop.database)
    assert ("suppliers: 1 added" in two.ends()) != again
    said = undone(shop)
    assert "python one.py" in said
    assert "python two.py" in said
    assert content(shop.database) == before


def test_two_agents_that_take_turns_write_no_line_for_each_call(stocked: Project) -> None:
    agents = Agent(stocked), Agent(stocked, "two")
    for _ in range(3):
        for agent in agents:
            agent.does("make")
    assert len((stocked.backups / log.NAME).read_text().splitlines()) == 2
    assert "7 rows gone" in agents[0].does("python x.py", GONE)
    assert ("agent", "python x.py", "done") in chain(stocked)


def test_a_call_that_was_refused_is_blamed_for_nothing(shop: Project) -> None:
    """The user said no: the hook is not told. What others wrote then is others' work."""
    agent = Agent(shop)
    agent.does("make build")
    agent.begins("rm -rf dist")
    INSERT(shop)
    agent.does("make")
    said = is_others_work(shop)
    assert "suppliers: 1 added" in said
    assert "takes back agent" not in said
    table = shop.ok("undrop", "undo", "--list")
    assert "agent (rm -rf dist), not seen to end" in table
    assert "others' work" in table
    assert "agent (make), changed nothing" in table


def test_the_call_after_a_refused_one_is_a_step_of_its_own(shop: Project) -> None:
    agent = Agent(shop)
    agent.begins("rm -rf dist")
    agent.does("python x.py", GONE)
    assert chain(shop) == [("agent", "python x.py", "done")]


BACKGROUND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it was asked": ({"run_in_background": True}, {}),
    "as another agent calls it": ({"is_background": True}, {}),
    "as the user moved it there": ({}, {"backgroundTaskId": "b1"}),
}


@pytest.mark.parametrize(("what", "response"), BACKGROUND.values(), ids=BACKGROUND)
def test_what_goes_on_in_the_background_has_an_unknown_end(
    shop: Project, what: dict[str, Any], response: dict[str, Any]
) -> None:
    """Its own end comes at once, or too early; what came since may be anybody's."""
    agent = Agent(shop)
    server = agent.begins("python serve.py", **what)
    INSERT(shop)
    assert server.ends(**response) == ""
    assert chain(shop) == [("agent", "python serve.py", "open")]
    assert "others' work" in is_others_work(shop)
    assert agent.does("python x.py", GONE) != ""
    said = undone(shop)
    assert "undone: agent (python x.py)" in said
    assert shop.sql("SELECT count(*) FROM suppliers WHERE name = 'new'") == [(1,)]
    assert "agent (python serve.py), not seen to end" in shop.ok("undrop", "undo", "--list")


def test_a_call_that_two_hooks_report_is_one_step_one_backup_and_told_once(
    shop: Project,
) -> None:
    """The hook stands in settings.json and in settings.local.json: both are called at once."""
    agent = Agent(shop)
    begun = {
        "tool_name": "Bash",
        "tool_input": {"command": "python x.py"},
        "tool_use_id": "toolu_1",
    }

    def twice(event: str) -> list[str]:
        with ThreadPoolExecutor(2) as pool:
            said = [pool.submit(agent.says, event, **begun) for _ in range(2)]
        return sorted(context(answer.result()) for answer in said)

    silent, told = twice("PreToolUse")
    assert silent == ""
    assert "the state before this is kept in" in told
    assert len(shop.saved()) == 1
    GONE(shop)
    silent, told = twice("PostToolUse")
    assert silent == ""
    assert "stock_movements: 7 rows gone" in told
    assert chain(shop) == [("agent", "python x.py", "done")]
    assert len(shop.saved()) == 2


def test_the_session_end_says_in_one_line_what_it_changed(shop: Project) -> None:
    agent = Agent(shop)
    before = content(shop.database)
    agent.says("SessionStart", source="startup")
    assert agent.says("Stop") == {}
    agent.does("python x.py", GONE)
    agent.does("python y.py", INSERT)
    answer = agent.says("Stop")
    assert answer.keys() == {"systemMessage"}
    said = answer["systemMessage"]
    assert said.startswith(
        "undrop: since this session began: stock_movements: 7 rows gone, items: 1 changed, "
        "suppliers: 1 added; "
    )
    assert "\n" not in said
    assert agent.says("Stop") == {}  # that was said
    assert agent.says("SessionEnd", reason="exit") == {}
    assert Agent(shop, "two").says("SessionEnd") == {}
    line = said[said.index("just restore") :].partition(" goes back")[0]
    shop.ok(*line.split())
    assert content(shop.database) == before


def test_a_session_whose_work_was_taken_back_has_changed_nothing(stocked: Project) -> None:
    agent = Agent(stocked)
    agent.does("python x.py", GONE)
    stocked.ok("just", "undo")
    agent.does("make")
    assert agent.says("SessionEnd", reason="exit") == {}


def test_the_end_of_a_session_takes_no_backup_and_no_lock(stocked: Project) -> None:
    agent = Agent(stocked)
    agent.does("python x.py", GONE)
    INSERT(stocked)
    saved = stocked.saved()
    with stocked.locked():
        said = agent.says("Stop")["systemMessage"]
    assert "stock_movements: 7 rows gone, items: 1 changed; " in said
    assert stocked.saved() == saved


def test_without_an_after_event_the_next_call_closes_the_step_and_undo_takes_it_back(
    shop: Project,
) -> None:
    agent = Agent(shop, ids=False)
    before = content(shop.database)
    agent.begins("make")
    agent.begins("python x.py")
    GONE(shop)
    told = agent.begins("make lint").told
    assert "the command before this: stock_movements: 7 rows gone, items: 1 changed;" in told
    assert chain(shop)[0] == ("agent", "python x.py", "done")
    agent.begins("just undo")
    assert "undone: agent (python x.py)" in undone(shop)
    assert content(shop.database) == before


def test_the_end_of_its_session_closes_it_too(stocked: Project) -> None:
    agent = Agent(stocked, ids=False)
    before = content(stocked.database)
    agent.begins("python x.py")
    GONE(stocked)
    assert "stock_movements: 7 rows gone" in agent.says("Stop")["systemMessage"]
    assert "undone: agent (python x.py)" in undone(stocked)
    assert content(stocked.database) == before
    saved = stocked.saved()
    INSERT(stocked)
    assert agent.says("Stop") == {}  # that was others' work
    assert stocked.saved() == saved


@pytest.mark.parametrize("what", [{"run_in_background": True}, {}])
def test_the_next_call_takes_no_blame_for_what_ran_in_the_background(
    stocked: Project, what: dict[str, Any]
) -> None:
    agent = Agent(stocked, ids=False)
    agent.begins("python serve.py", **what)
    INSERT(stocked)
    agent.begins("make")
    if what:
        assert "others' work" in is_others_work(stocked)
    else:
        assert "undone: agent (python serve.py)" in undone(stocked)


def test_an_agent_without_ids_that_tells_of_ends_has_them_paired_by_the_line(
    stocked: Project,
) -> None:
    agent = Agent(stocked, ids=False)
    assert "7 rows gone" in agent.does("python x.py", GONE)
    agent.begins("rm x")  # which the user refused
    INSERT(stocked)
    agent.does("make")
    assert "others' work" in is_others_work(stocked)


@pytest.mark.parametrize("next_session", ["one", "two"])
def test_an_agent_that_was_killed_leaves_an_unknown_end(
    stocked: Project, next_session: str
) -> None:
    """Nobody knows how far its command came, nor what others did since: undo asks."""
    Agent(stocked).begins("python x.py")
    GONE(stocked)
    agent = Agent(stocked, next_session)
    agent.number = 7
    assert agent.does("make") == ""
    said = is_others_work(stocked)
    assert "agent (python x.py) was not seen to end" in said
    before = next(path for path in stocked.saved() if "before-an-agent" in path.name)
    assert f"restore {before.name}" in said


def test_an_end_is_paired_though_the_calls_went_with_the_backups(stocked: Project) -> None:
    """The vault has the log of steps."""
    before = content(stocked.database)

    def wipe(project: Project) -> None:
        shutil.rmtree(project.backups)
        GONE(project)

    assert "stock_movements: 7 rows gone" in Agent(stocked).does("python wipe.py", wipe)
    assert "undone: agent (python wipe.py)" in undone(stocked)
    assert content(stocked.database) == before


def test_steps_that_changed_nothing_are_passed_over_and_named_so(shop: Project) -> None:
    agent = Agent(shop)
    before = content(shop.database)
    agent.does("python x.py", GONE)
    agent.does("make test")
    table = shop.ok("undrop", "undo", "--list").splitlines()
    assert "agent (make test), changed nothing" in table[2]
    assert "agent (python x.py)" in table[3]
    assert "goes back there" in table[3]
    said = undone(shop)
    assert "undone: agent (python x.py)" in said
    assert "passed over: agent (make test)" in said
    assert "not seen to end" not in said
    assert content(shop.database) == before


@pytest.mark.parametrize("text", ["", "{", "[[1], []]", "[[], [[7, 1]]]", "7", "[" * 5000])
def test_notes_that_are_something_else_confuse_nothing(stocked: Project, text: str) -> None:
    agent = Agent(stocked)
    agent.does("make")
    (stocked.backups / calls.NAME).write_text(text)
    stocked.ok("undrop", "undo", "--list")
    call = agent.begins("python x.py")
    (stocked.backups / calls.NAME).write_text(text)
    GONE(stocked)
    assert "7 rows gone" in call.ends()
    assert agent.does("python y.py", INSERT).startswith("undrop: suppliers: 1 added")


def test_notes_are_bounded_whatever_is_said(stocked: Project) -> None:
    project = settings.load(stocked.root)
    stocked.ok("undrop", "backup")
    for number in range(3 * calls.MOST):
        call = calls.call(
            "s" * 9999 + str(number), f"{number}{'i' * 9999}", "\N{PILE OF POO}" * 9999
        )
        assert calls.begin(project, call)
        if number % 2:
            assert calls.end(project, call) == call
    waiting = calls.waiting(project)
    assert waiting is not None
    assert len(waiting) <= calls.MOST
    assert (stocked.backups / calls.NAME).stat().st_size < calls.BYTES


def test_notes_that_are_written_at_once_are_all_kept(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    project = settings.load(stocked.root)
    every = [calls.call("one", str(number), "make") for number in range(calls.MOST)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda call: calls.begin(project, call), every))
    waiting = calls.waiting(project)
    assert waiting is not None
    assert sorted(waiting) == sorted(every)


def test_calls_that_begin_at_once_are_all_known(stocked: Project) -> None:
    """Each is a process of its own; none is lost because two wrote at once."""
    agent = Agent(stocked)
    agent.does("make")
    with ThreadPoolExecutor(6) as pool:
        running = list(pool.map(agent.begins, [f"python {n}.py" for n in range(6)]))
    known = calls.waiting(settings.load(stocked.root))
    assert known is not None
    assert {call.command for call in known} == {f"python {n}.py" for n in range(6)}
    GONE(stocked)
    assert sum("7 rows gone" in call.ends() for call in running) == 1
    [step] = [step for step in chain(stocked) if step[2] == "done"]
    assert all(f"python {n}.py" in step[1] for n in range(6))


def test_a_session_whose_first_state_was_forgotten_is_still_told_of(stocked: Project) -> None:
    agent = Agent(stocked)
    agent.does("python x.py", GONE)
    stocked.ok("undrop", "forget", stocked.saved()[0].name)
    said = agent.says("Stop")["systemMessage"]
    assert said == (
        "undrop: since this session began: the database changed; just undo --list has its steps"
    )


def test_of_many_emptied_tables_the_first_are_named(project: Project) -> None:
    make(project.database)
    runs(*(f"CREATE TABLE t{n} (v)" for n in range(9)))(project)
    runs(*(f"INSERT INTO t{n} VALUES (1)" for n in range(9)))(project)
    agent = Agent(project)
    agent.does("python x.py", runs(*(f"DELETE FROM t{n}" for n in range(9))))
    told = agent.begins("make").told
    assert "have none now: t0, t1, t2, t3, t4 and 4 more; " in told
    assert "; just recover shows what is lacking; if it was meant:" in told


def test_an_agent_without_an_after_event_hears_that_the_database_is_gone(stocked: Project) -> None:
    agent = Agent(stocked, ids=False)
    agent.begins("rm quartermaster.db")
    stocked.lose()
    told = agent.begins("make").told
    assert told == (
        "undrop: the command before this: the database is gone; just undo takes it back."
    )


def test_a_table_that_was_renamed_is_not_called_emptied(shop: Project) -> None:
    agent = Agent(shop)
    agent.does("python x.py", runs("ALTER TABLE stock_movements RENAME TO movements"))
    for _ in range(2):
        call = agent.begins("python y.py")
        assert "had rows before and have none now" not in call.told
        call.ends()


def test_an_emptied_table_is_said_once_in_a_session(shop: Project) -> None:
    agent = Agent(shop)
    agent.does("python x.py", EMPTY)
    for number in range(3):
        call = agent.begins("python y.py")
        assert ("had rows before and have none now" in call.told) == (number == 0)
        runs(f"UPDATE items SET name = '{number}'")(shop)
        call.ends()


def test_a_refused_call_of_an_agent_that_gives_no_ids_is_not_blamed(shop: Project) -> None:
    """Its agent tells of ends; what came since is the application's."""
    said = {"sessionId": "s", "timestamp": 1, "cwd": str(shop.root), "toolName": "bash"}
    given = {**said, "toolArgs": json.dumps({"command": "sqlite3 x 'delete from items'"})}
    shop.told(json.dumps(given).encode(), "undrop", "agent-hook", "--for", "copilot")
    runs("UPDATE items SET name = 'theirs'")(shop)
    other = {**said, "toolArgs": json.dumps({"command": "touch n"})}
    done = shop.told(json.dumps(other).encode(), "undrop", "agent-hook", "--for", "copilot")
    assert "takes it back" not in done.out
    before = content(shop.database)
    shop.refused(4, "undrop", "undo")
    assert content(shop.database) == before


def test_a_database_that_went_between_two_calls_is_said_before_the_next(shop: Project) -> None:
    agent = Agent(shop)
    agent.does("python x.py", INSERT)
    before = content(shop.database)
    shop.database.unlink()
    call = agent.begins("python y.py")
    assert f"THE DATABASE {shop.database} IS GONE; just undo brings it back" in call.told
    call.ends()
    assert "IS GONE" not in agent.does("python z.py")
    shop.ok("just", "undo")
    assert content(shop.database) == before


def test_a_database_that_was_removed_on_purpose_is_not_missed(shop: Project) -> None:
    agent = Agent(shop)
    agent.does("python x.py", INSERT)
    shop.ok("undrop", "nuke-db")
    assert "IS GONE" not in agent.begins("python y.py").told
