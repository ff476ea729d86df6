"""What an agent is told after its call: on a server by the records, no dump is loaded for it."""

from pg_rich import Rich
from test_agent_ends import Agent


def test_an_agent_is_told_by_the_counts_and_undo_takes_it_back(pg: Rich) -> None:
    pg.make(20)
    agent = Agent(pg)
    before = pg.exactly()
    told = agent.does("psql -f x.sql", lambda _: pg.psql("DELETE FROM t WHERE id <= 3"))
    assert told == "undrop: t: 3 fewer rows; just undo takes it back"
    assert agent.does("make") == ""
    said = agent.says("Stop")["systemMessage"]
    assert said.startswith("undrop: since this session began: t: 3 fewer rows; ")
    done = pg.undrop("undo")
    assert "undone: agent (psql -f x.sql)" in done.err
    assert pg.exactly() == before


def test_values_that_changed_are_said_with_the_line_that_tells_more(pg: Rich) -> None:
    pg.make(20)
    agent = Agent(pg)
    told = agent.does("psql -f x.sql", lambda _: pg.psql("UPDATE t SET v = 'x' WHERE id = 1"))
    first, second = (path.name for path in pg.saved())
    more = f"just diff {first} {second}"
    assert told == f"undrop: the database changed; {more} tells more, just undo takes it back"
    assert "t: 1 changed" not in told
    table = pg.ok(*more.split())
    assert " t " in f" {table}".replace("\n", " ")
    told = agent.does("psql -f y.sql", lambda _: pg.psql("ALTER TABLE t ADD COLUMN w TEXT"))
    assert "the schema is another" in told


def test_an_emptied_table_is_said_though_an_older_backup_holds_that_very_state(pg: Rich) -> None:
    """What a state is goes by its content there: the backup of it bears no mark."""
    pg.make(0)
    agent = Agent(pg)
    agent.does("make")
    agent.does("python fill.py", lambda _: pg.psql("INSERT INTO t (id, v) VALUES (1, 'x')"))
    full = pg.saved()[-1]
    agent.does("psql -f x.sql", lambda _: pg.psql("DELETE FROM t"))
    assert len(pg.saved()) == 2
    told = agent.begins("make").told
    assert "had rows before and have none now: t; " in told
    assert f"just restore {full.name} gets the rows back" in told
