"""The process in which project code runs: Alembic on one database and no other."""

import configparser
import importlib
import os
import shlex
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.script.revision import MultipleHeads, ResolutionError, RevisionError
from alembic.util import CommandError

from undrop.engines import registry
from undrop.errors import UndropError, UnknownRevisionError
from undrop.migrations import alembic_private, flask_app, inside, own_command
from undrop.migrations.message import Reply, Request, Revision
from undrop.recipes import CHOICE
from undrop.values import UNMOVED, Moved, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alembic.runtime.migration import MigrationContext

    from undrop.engines.protocol import Migrating
    from undrop.engines.sqlite.fence import Fence

PROBE = "undrop_probe"  # the key by which it learns that nothing is migrated
WORK_COPY = "undrop_work_copy"  # the key in ``config.attributes`` by which env.py learns of it

NEWEST = {"head", "heads"}  # which is where a project's own command goes by itself


class WrongError(inside.WrongError):
    """Alembic cannot use what it was given, and says why; no migration is at fault."""

    def __init__(self, error: Exception) -> None:
        cause = error.__cause__
        why = f" ({cause})" if isinstance(cause, ResolutionError) else ""  # which it may have been
        super().__init__(", ".join(str(error).splitlines()) + why)
        several = isinstance(cause, MultipleHeads)
        named = "heads" if several else "revision"
        self.what = named if isinstance(cause, RevisionError) else "configuration"


@contextmanager
def _configured(
    asked: Request, target: "Target", guard: "Migrating", fence: "Fence"
) -> "Iterator[Config]":
    """The project's configuration with the target as its database, for as long as it lasts."""
    address = guard.target_url(asked.url, target)
    config = Config(**asked.config)  # type: ignore[arg-type]  # each by its name
    own = config.get_main_option("sqlalchemy.url") or ""
    if own.startswith(f"{address.drivername}+"):
        address = address.set(drivername=own.partition(":")[0])  # the one that env.py can use
    url = address.render_as_string(hide_password=False)
    if asked.variable:
        os.environ[asked.variable] = url
    if asked.name:
        os.environ[CHOICE] = asked.name
    for other in target.beside:
        if other.variable:
            there = guard.target_url(other.url, Target(other.database))
            os.environ[other.variable] = there.render_as_string(hide_password=False)
    with ExitStack() as stack:
        flask = None if asked.command else flask_app.folder(asked.config)
        if flask or asked.reroute or target.beside:
            scratch = stack.enter_context(TemporaryDirectory())
            turn = guard.divert(fence, target, scratch)
            if flask:
                config = stack.enter_context(flask_app.context(flask))
            turn()
        if own or flask or not asked.variable:  # else env.py makes it of the variable, its own way
            config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        config.attributes[WORK_COPY] = target
        yield config


def bring(asked: Request, target: "Target", fence: "Fence", line: inside.Line) -> Moved:
    """Run the migrations that are asked for and say what was done."""
    guard = registry.migrating(asked.kind)
    ran: dict[str, Moved] = {}
    """By the target's databases, those that env.py has gone to."""
    runs: list[list[Any]] = []
    ways = _Ways()

    def told(server: list[str]) -> Moved:
        beside = [ran.get(each.database, UNMOVED) for each in target.beside]
        moved = ran.get(target.database, UNMOVED)
        moved = moved._replace(outside=guard.report(), commits=guard.commits())
        return moved._replace(beside=beside, server=server, runs=runs)

    live = target.live
    run = _Run(fence, line, told)
    run.left = sum(steps for *_, steps in live.tried) if live else 0

    def steps(
        script: ScriptDirectory,
        plans: "alembic_private.Plans",
        current: tuple[str, ...],
        context: "MigrationContext",
    ) -> list[Any]:
        database = guard.prepare(context.connection, target, run)
        known = {each.revision for each in script.walk_revisions()}
        if unknown := sorted(set(current) - known):
            raise UnknownRevisionError(unknown)
        plan = list(plans(current, context))
        for step in plan:
            if module := _module(step):
                alembic_private.announce(step, str(module.__file__), fence.enter)
        run.left += 0 if live else len(plan)
        place = database, context.version_table_schema or ""
        runs.append([place[1], sorted(current), len(plan)])
        ways.reach(place, current)

        def reach(heads: set[str]) -> None:
            run.left -= 1
            ways.reach(place, heads)
            ran[database] = ran[database]._replace(revisions_after=ways.of(database)[1])

        alembic_private.watch_heads(context, reach)
        accepts = [name for step in plan for name in inside.accepts_loss(_module(step))]
        table, before = context.version_table, ran.get(database, UNMOVED)
        if before.steps and not plan:  # env.py ran some already, by another context
            return plan
        accepts = [*before.accepts, *accepts]
        count = before.steps + len(plan)
        ran[database] = Moved(*ways.of(database), count, accepts, table, [], 0.0)
        if live and live.tried[: len(runs)] != runs:
            _, stood, ran_there = [*live.tried, *runs][len(runs) - 1]
            raise RuntimeError(
                f"the copy was at {stood} and took {ran_there} migration(s), the live database is"
                f" at {sorted(current)} and would take {len(plan)}"
            )
        return plan

    try:
        with _configured(asked, target, guard, fence) as config:
            (_run_own if asked.command else _run)(asked, config, steps)
    except (CommandError, configparser.Error) as error:
        if any(moved.steps for moved in ran.values()):
            raise  # a migration raised it, or what comes behind them
        raise WrongError(error) from error
    return told([])


def _run(asked: Request, config: "Config", steps: "Callable[..., list[Any]]") -> None:
    """Run Alembic as it runs by itself."""
    script = ScriptDirectory.from_config(config)

    def plans(current: tuple[str, ...], _context: "MigrationContext") -> list[Any]:
        return alembic_private.planned(script, asked.revision, current)

    fn = partial(steps, script, plans)
    with EnvironmentContext(config, script, fn=fn, destination_rev=asked.revision):
        script.run_env()


def _run_own(asked: Request, config: "Config", steps: "Callable[..., list[Any]]") -> None:
    """Run the project's own command, whose Alembic is led to the target, and its plan told.

    A revision that was asked for by name is gone to in place of the command's. Raises UndropError.
    """
    url, led = config.get_main_option("sqlalchemy.url"), False
    named = None if asked.revision in NEWEST else asked.revision

    def enters(environment: EnvironmentContext) -> None:
        nonlocal led
        environment.config.attributes.update(config.attributes)
        if url and environment.config.get_main_option("sqlalchemy.url"):
            environment.config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        if plans := alembic_private.plans(environment, named):
            environment.context_opts["fn"] = partial(steps, environment.script, plans)
            led = True

    try:
        with own_command.watched(enters=enters):
            own_command.run(asked.command)
    except own_command.OwnCommandError as error:
        raise UndropError(str(error), "") from None
    if not led:
        line = shlex.join(asked.command)
        raise UndropError(f"`{line}` migrated nothing by Alembic in its own process", "")


class _Ways:
    """From where to where revisions went, by database and the version table's schema."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, str], tuple[set[str], set[str]]] = {}

    def reach(self, place: tuple[str, str], heads: "Iterable[str]") -> None:
        """Where it stands by now."""
        began, _ = self._ways.get(place, (set(heads), set()))
        self._ways[place] = began, set(heads)

    def of(self, database: str) -> tuple[list[str], list[str]]:
        """Of all schemas of a database."""
        ways = [way for (there, _), way in self._ways.items() if there == database]
        began, ended = (set().union(*sides) for sides in zip(*ways, strict=True))
        return sorted(began), sorted(ended)


class _Run:
    """A run of Alembic's (``protocol.MigrationRun``)."""

    def __init__(
        self, fence: "Fence", line: inside.Line, told: "Callable[[list[str]], Moved]"
    ) -> None:
        self._fence, self._line, self._told = fence, line, told
        self.left = 0
        """Migrations that are still to run."""

    def is_through(self) -> bool:
        """Whether all migrations have run that were to."""
        return self.left == 0

    def stay(self, ask: "Callable[[str], Iterable[Any]]", server: list[str]) -> NoReturn:
        """Have undrop ask the transaction, and end with this process."""
        if refused := self._fence.refused():
            raise RuntimeError(refused[0])
        self._line.say(Reply(self._told(server), made=self._fence.left(), is_open=True).to_json())
        self._line.serve(ask)


def known(asked: Request) -> Reply:
    """The project's revisions: loads every file of them."""
    sys.dont_write_bytecode = True  # it is only looked at
    config = Config(**asked.config)  # type: ignore[arg-type]  # each by its name
    if flask := flask_app.folder(asked.config):
        config.set_main_option("script_location", str(flask))
    script = ScriptDirectory.from_config(config)
    if "version_locations" in Path(script.env_py_location).read_text("utf-8", "replace"):
        config.attributes[PROBE] = True
        environment = EnvironmentContext(
            config, script, fn=_nothing, as_sql=True, destination_rev="head"
        )
        with environment, redirect_stdout(StringIO()):
            script.run_env()
    revisions = [
        Revision(each.revision, alembic_private.below(each), each.doc)
        for each in script.walk_revisions()
    ]
    return Reply(revisions=revisions[::-1], heads=sorted(script.get_heads()))


def _nothing(_current: object, _context: object) -> list[Any]:
    return []


def _module(step: Any) -> Any:  # noqa: ANN401 - RevisionStep or StampStep, which has none
    return getattr(getattr(step, "revision", None), "module", None)


def _answer(asked: Request, fence: "Fence", line: inside.Line) -> Reply:
    if asked.target is None:
        return known(asked)
    return Reply(bring(asked, asked.target, fence, line))


def main() -> NoReturn:
    """Answer on stdout in JSON what the pipe asks."""
    if kind := sys.argv[2]:  # nobody has asked yet: load what will be needed
        registry.migrating(kind)
        importlib.import_module("sqlalchemy.orm")  # env.py's models have it
    inside.main(Request.of_json, _answer)


if __name__ == "__main__":
    main()
