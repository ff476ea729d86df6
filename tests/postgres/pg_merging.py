"""A merge on a server, as ``undo --keep`` has it done, without the steps around."""

from typing import NamedTuple

import inside
from pg_rich import Rich

from undrop.compare import three_way
from undrop.compare.merge import Conflict, Prefer, Sources
from undrop.steps import guarded
from undrop.store.log import After


class Kept(NamedTuple):
    """What came of it."""

    conflicts: list[Conflict]
    set_aside: list[str]
    counts: dict[str, dict[str, int]]

    @property
    def why(self) -> list[str]:
        """What is said of the conflicts."""
        return sorted({each.why for each in self.conflicts})


def keep(
    pg: Rich,
    of_step: str,
    of_others: str,
    prefer: Prefer = None,
    *,
    schema: bool = False,
    triggers: bool = False,
    force: bool = False,
) -> Kept:
    """Take a step back and keep what others did since; with conflicts only when ``force``d.

    ``schema``: the step changed that, so that others' work is done to the state before it.
    """
    before = pg.export(pg.root / "before.pgdump")
    pg.psql(of_step)
    after = pg.export(pg.root / "after.pgdump")
    pg.psql(of_others)
    sources = Sources(before, after, None) if schema else Sources(None, after, before)
    return merged(pg, sources, prefer, triggers=triggers, force=force)


def merged(
    pg: Rich,
    sources: Sources,
    prefer: Prefer = None,
    *,
    triggers: bool = False,
    force: bool = False,
) -> Kept:
    """Merge three states, and put that in place."""
    found: list[Kept] = []

    def change(attempt: guarded.Attempt) -> guarded.Outcome | None:
        engine = attempt.lock.settings.engine
        engine.session.trust_file = True  # the test has made them
        with engine.merge(
            attempt.state,
            sources,
            lambda sides: three_way.work_out(sides, prefer),
            triggers=triggers,
        ) as done:
            found.append(Kept(done.conflicts, done.set_aside, done.counts))
            if done.conflicts and not (force or prefer):
                return None
            seconds = attempt.put_in_place(done)
            return guarded.Outcome(seconds, sorted(done.facts.filled), After("", ""))

    with inside.command(pg) as lock:
        guarded.run(lock, "undo", change)
    return found[-1]


def rows(pg: Rich) -> list[str]:
    """Every definition and every row, but not where sequences stand."""
    return [line for line in pg.exactly() if "_seq (" not in line]


def expected(pg: Rich, *scripts: str, owner: str = "postgres") -> list[str]:
    """The same of a database that only these scripts made."""
    name = f"{pg.name} expected"
    pg.server.sql(f'CREATE DATABASE "{name}" OWNER {owner}')
    mine, pg.name = pg.name, name
    try:
        for script in scripts:
            pg.psql(f"SET ROLE {owner};\n{script}")
        return rows(pg)
    finally:
        pg.lose()
        pg.name = mine
