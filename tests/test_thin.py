"""thin: what the user's rules no longer keep goes, and nothing that a way back needs."""

import itertools
import json
import random
import re
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import inside
import pytest
from agents import bash
from hypothesis import given
from shop import Project, content
from tally import FULL
from test_merge_property import RANDOM, examples

from undrop import settings
from undrop.errors import CheckError, UndropError, UsageError
from undrop.record import Record
from undrop.steps import backup, choose, cover, needed, pack, restore, thin, undo, verify
from undrop.store import catalog, log, retention, shrink, unpacked
from undrop.store.catalog import Backup
from undrop.store.timeline import Timeline
from undrop.values import Session

FULL_DAY = timedelta(days=1)
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def keep(project: Project, rules: str) -> None:
    """Set the rules: lines of their table."""
    file = project.root / "pyproject.toml"
    file.write_text(f"{file.read_text('utf-8')}\n[tool.undrop.keep]\n{rules}\n", "utf-8")


def some_steps(project: Project, count: int) -> None:
    """A step each, that changes a row."""
    for _ in range(count):
        project.ok("undrop", "run", *project.client("INSERT INTO t (v) VALUES ('x')"))


def names(project: Project) -> list[str]:
    """Of all backups, packed ones too, oldest first."""
    return [backup.path.name for backup in catalog.backups(settings.load(project.root))]


def test_without_yes_thin_says_what_would_go_and_touches_nothing(project: Project) -> None:
    project.make()
    some_steps(project, 4)
    said = project.done("just", "thin")
    assert (said.out, said.err) == (
        "",
        "undrop: every backup is kept; to change that, set "
        '`keep = {agent = "7d", automatic = "30 daily, 12 monthly"}` in [tool.undrop] of '
        "pyproject.toml\n",
    )
    keep(project, 'automatic = "2 last"')
    before = project.tree()
    told = json.loads(project.ok("just", "thin", "--json"))
    said = project.done("just", "thin")
    assert project.tree() == before
    first, second, third, *_ = names(project)
    going = [Path(each["path"]).name for each in told["backups"]]
    assert going == [first, second, third]
    assert re.search(rf"^just now +\S+ kB +a step +before \S* +{first}$", said.out, re.M)
    assert said.err.endswith("; to do that: just thin --yes\n")
    used = sum(each["frees"] for each in told["backups"])
    free = disk_used(project)
    gone = json.loads(project.ok("just", "thin", "--yes", "--json"))
    assert gone == {**told, "gone": True}
    assert free - disk_used(project) == used == told["frees"], "not a byte more than was said"
    assert names(project) == names(project)[-2:]
    assert not [path for path in vault(project).iterdir() if path.stem in str(going)]
    assert project.done("just", "thin", "--yes").err == "undrop: nothing is left that would go\n"


def vault(project: Project) -> Path:
    folder = settings.load(project.root).vault_folder
    assert folder
    return folder


def disk_used(project: Project) -> int:
    """Bytes on the disk, of backups and their records alone."""
    files = [*project.backups.glob("quarter*"), *vault(project).glob("quarter*")]
    blocks = {(s.st_dev, s.st_ino): s.st_blocks for s in (path.lstat() for path in files)}
    return 512 * sum(blocks.values())


def test_what_has_a_reason_of_its_own_goes_by_its_name_alone(project: Project) -> None:
    """And names of one state free nothing until the last of them goes."""
    project.make()
    mine = [Path(project.ok("just", "backup", reason).strip()).name for reason in ("one", "two")]
    some_steps(project, 3)
    keep(project, 'automatic = "1 last"\nagent = "1 last"')
    assert project.ok("just", "thin", "--yes")
    assert {*mine} < {*names(project)}
    [first] = json.loads(project.ok("just", "thin", mine[0], "--json"))["backups"]
    assert (first["taken_for"], first["frees"]) == ("own", 4096 * bool(first["frees"]))
    both = json.loads(project.ok("just", "thin", *mine, "--json"))["backups"]
    assert both[0]["frees"] > 2 * both[1]["frees"] > 0, "the last that goes is the oldest"
    project.ok("just", "thin", mine[0], Path(mine[1]).stem, "--yes")
    assert not {*mine} & {*names(project)}
    newest = names(project)[-1]
    refused = project.refused(4, "just", "thin", newest)
    assert f"{newest} stays: " in refused.err
    assert f"Next: just forget {newest} removes it all the same" in refused.err
    assert project.refused(2, "just", "thin", "no such backup")


def test_a_line_of_the_log_tells_of_each_and_is_no_step(project: Project) -> None:
    project.make()
    some_steps(project, 3)
    keep(project, 'automatic = "1 last"')
    before, after = project.content(), log.steps(settings.load(project.root))
    going = json.loads(project.ok("just", "thin", "--yes", "--json"))["backups"]
    for folder in (project.backups, vault(project)):
        lines = [json.loads(line) for line in (folder / log.NAME).read_text().splitlines()]
        thinned = [line["before"] for line in lines if line["kind"] == "thin"]
        assert thinned == [Path(each["path"]).name for each in going]
    assert log.steps(settings.load(project.root)) == after
    project.ok("just", "undo")
    assert project.content() != before
    project.ok("just", "undo")
    assert project.content() == before
    assert project.run("just", "audit").code == 0


def test_only_a_person_lets_backups_go(stocked: Project) -> None:
    for line in ("just thin --yes", "undrop thin NAME --yes"):
        said = bash(stocked, line)["hookSpecificOutput"]
        assert said["permissionDecision"] == "deny"
        assert "a person types that; just thin says what would go" in str(said)
    assert "deny" not in str(bash(stocked, "just thin"))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            'automatic = "30"',
            "'30' in keep.automatic is none of the rules: it takes all, or a span",
        ),
        ('agent = "7d, 2 fortnightly"', "'2 fortnightly' in keep.agent is none of the rules"),
        ('agent = ""', "keep.agent = '' is none of the rules"),
        ('agent = "0 daily"', "'0 daily' in keep.agent is none of the rules"),
        ('agent = "99999y"', "'99999y' in keep.agent is none of the rules"),
        ("agent = 7", "agent in keep of [tool.undrop] of pyproject.toml must be text, not 7"),
        ('run = "7d"', "has run: it may have agent, automatic"),
    ],
)
def test_a_rule_that_is_none_is_named(project: Project, rules: str, said: str) -> None:
    project.make()
    keep(project, rules)
    assert said in project.refused(2, "undrop", "thin").err


def aged(*hours: float) -> list[Backup]:
    """Backups that were taken that many hours before noon of a Sunday."""
    record = Record("", "before run", "run", "quartermaster.db", check="ok")
    taken = [(NOON - timedelta(hours=each)).isoformat() for each in hours]
    return [
        Backup(Path(f"{each:g}.db"), record._replace(created=time), sequence=0)
        for each, time in zip(hours, taken, strict=True)
    ]


@pytest.mark.parametrize(
    ("rule", "stay"),
    [
        ("2 last", [1, 2]),
        ("2h", [1, 2, 3]),
        ("1d", [1, 2, 3, 13, 25]),
        ("1d1h", [1, 2, 3, 13, 25, 26]),
        ("2 hourly", [1, 2]),
        ("2 daily", [1, 13]),  # of today, and of yesterday the newest
        ("3 daily", [1, 13, 37]),
        ("2 weekly", [1, 800]),  # a week begins on Monday, and one that has none does not count
        ("1 monthly", [1]),
        ("2 monthly", [1, 800]),
        ("9 monthly", [1, 800, 9000, 9001]),  # too few have one: the oldest as well
        ("9 yearly", [1, 9000, 9001]),
        ("2h, 2 monthly", [1, 2, 3, 800]),
    ],
)
def test_a_rule_keeps_what_restic_and_borg_would(rule: str, stay: list[float]) -> None:
    ages = [1, 2, 3, 13, 25, 26, 37, 800, 9000, 9001]
    read = retention.rule(rule, "keep.agent")
    assert read
    for now in (NOON, NOON + 1000 * FULL_DAY):  # a project that rests loses nothing
        for backups in (aged(*ages), aged(*reversed(ages))):
            assert retention.kept(read, backups, now) == {f"{each:g}.db" for each in stay}


def test_a_clock_that_went_wrong_lets_nothing_go() -> None:
    """A span counts from the newest that is not of a time to come."""
    read = retention.rule("7d", "keep.agent")
    assert read
    backups = aged(24 * -4000, 1, 24 * 6, 24 * 9)
    assert retention.kept(read, backups, NOON) == {"-96000.db", "1.db", "144.db"}


class History:
    """A random one of a small database, and what could be asked about it."""

    TABLES = ("t", "u")

    def __init__(self, root: Path, rnd: random.Random) -> None:
        self.rnd, self.numbers = rnd, itertools.count()
        self.session = Session()  # what one has unpacked, another in this process would sweep
        self.project = Project(root)
        keep(self.project, 'agent = "1 last"\nautomatic = "1 last"')
        file = self.project.root / "pyproject.toml"
        file.write_text(file.read_text().replace("[tool.undrop]\n", "[tool.undrop]\nplain = 1\n"))
        self.project.sql(["CREATE TABLE t (v)", " CREATE TABLE u (v)"][0])
        self.project.sql("CREATE TABLE u (v)")
        self.open: list[tuple[cover.Watched, cover.Covered]] = []
        for _ in range(rnd.randint(1, 15)):
            with suppress(UndropError):
                rnd.choice(self.deeds)()

    @property
    def deeds(self) -> list[Callable[[], object]]:
        return [
            self.write,
            self.write,
            self.step,
            self.step,
            self.call,
            self.call,
            self.begin,
            self.own,
            self.pack,
            self.put_back,
            self.undo,
            self.lose,
        ]

    @property
    def settings(self) -> settings.Settings:
        return settings.load(self.project.root, self.session)

    def write(self) -> None:
        """Somebody, or nobody, who often leaves a state that there was before."""
        table = self.rnd.choice(self.TABLES)
        number = next(self.numbers)
        line = self.rnd.choice(
            [
                f"DELETE FROM {table}",
                f"INSERT INTO {table} VALUES ({self.rnd.randint(0, 2)})",
                f"INSERT INTO {table} VALUES ({number})",
                "ANALYZE",
                f"PRAGMA user_version = {self.rnd.randint(0, 3)}",
            ]
        )
        if self.project.exists():
            with closing(sqlite3.connect(self.project.database)) as live, live:
                live.execute(line)

    def watched(self, kind: str) -> tuple[cover.Watched, cover.Covered]:
        number = f"toolu_{next(self.numbers)}" if kind == "agent" else ""
        asked = cover.Watched(kind, f"before {kind}", "x", "one" * (kind == "agent"), number)
        return asked, cover.begin(self.settings, asked)

    def step(self) -> None:
        asked, covered = self.watched(self.rnd.choice(["run", "alembic"]))
        for _ in range(self.rnd.randint(0, 2)):
            self.write()
        cover.end(self.settings, asked, covered)

    def call(self) -> None:
        asked, covered = self.watched("agent")
        if self.rnd.random() < 0.4:
            self.write()
        cover.end(self.settings, asked, covered)

    def begin(self) -> None:
        """One that nobody sees the end of."""
        self.watched(self.rnd.choice(["run", "agent"]))

    def own(self) -> None:
        if self.project.exists():
            with inside.command(self.project, self.session) as lock:
                backup.take(lock, backup.Purpose("mine", ""))

    def pack(self) -> None:
        with inside.command(self.project, self.session) as lock:
            pack.pack(lock)

    def put_back(self) -> None:
        wanted = self.rnd.choice(["latest", *names(self.project)])
        inside.put_back(self.project, wanted, self.session)

    def undo(self) -> None:
        with inside.command(self.project, self.session) as lock:
            undo.undo(lock, whole=True)

    def lose(self) -> None:
        """By a step, or by somebody's hand."""
        if self.rnd.random() < 0.5:
            with inside.command(self.project, self.session) as lock:
                restore.nuke(lock)
        else:
            self.project.lose()

    def answers(self) -> dict[str, Any]:
        """What the next undo would do, what ``latest`` is, what would be an alarm."""
        project = self.settings
        told: dict[str, Any] = {
            "undo": self.undone(whole=False),
            "undo --whole": self.undone(whole=True),
            "latest": None,
        }
        with suppress(UsageError):
            latest = choose.latest(project)
            name = latest.backup and latest.backup.path.name
            told["latest"] = name, latest.in_place, latest.older
            told["diff latest"] = choose.find(project, "latest", project.root).path.name
        ours = [b for b in catalog.backups(project) if catalog.is_of(project, b)]
        told["expected"] = shrink.expected(project, ours)
        for filled in ([], ["t"], ["u"]):
            missing = shrink.missing(project, ours, filled)
            told[f"alarm {filled}"] = missing, missing and shrink.full(project, ours, missing)
        return told

    def undone(self, *, whole: bool) -> object:
        project = self.settings
        line = Timeline(project)
        present = undo.look(project, line)
        try:
            plan = undo.planned(project, line, present, whole=whole)
        except undo.OthersWorkError as stopped:
            return stopped.what, stopped.since and stopped.since.name
        except CheckError as error:
            return error.what
        after = plan.after and plan.after.name
        steps = [[step.id for step in each] for each in (plan.taken_back, plan.passed_over)]
        return plan.target.name, plan.target.content, steps, after, plan.others


def thinned(rnd: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        history = History(Path(folder) / "shop", rnd)
        stack.callback(history.session.close)
        project = history.settings
        ours = [b for b in catalog.backups(project) if catalog.is_of(project, b)]
        told, stay = history.answers(), needed.names(project, ours)
        by_name = [b.path.name for b in ours if b.path.name not in stay]
        asked = [] if rnd.random() < 0.3 else by_name
        mine = {b.path.name for b in ours if b.record and not b.record.automatic}
        with inside.command(history.project, history.session) as lock:
            going = {each.backup.path.name for each in thin.thin(lock, asked)}
        left = {b.path.name for b in catalog.backups(project)}
        assert left == {b.path.name for b in ours} - going
        assert not asked or going == {*asked}
        assert asked or not going & mine
        assert history.answers() == told
        project = history.settings
        proofs = [p for b in catalog.backups(project) for p in verify.prove(project, b)]
        assert not [proof.problem for proof in proofs if proof.problem]
        plan = told["undo --whole"]
        target = plan[0] if isinstance(plan, tuple) and len(plan) > 2 else None
        if target:
            with inside.command(history.project, history.session) as lock:
                undo.undo(lock, whole=True)
            project = history.settings
            whole = catalog.known_as(project, target)
            assert whole
            assert history.project.content() == content(unpacked.plain(project, whole))


@examples(5)
@given(RANDOM)
def test_whatever_goes_every_way_back_is_what_it_was(rnd: random.Random) -> None:
    thinned(rnd)


@pytest.mark.more
@examples(1000 if FULL else 25)
@given(RANDOM)
def test_whatever_goes_of_many_histories_every_way_back_is_what_it_was(rnd: random.Random) -> None:
    thinned(rnd)
