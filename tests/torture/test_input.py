"""Hostile input: reasons and URLs that somebody made up.

Each check was seen failing with the product broken on purpose: ``{{ reason }}`` in the justfile's
recipe, the slug not reduced, the record's reason cleaned (reasons); ``settings`` cutting the URL by
hand at ``?`` and ``#``, or ``connect`` in a mode that creates (URLs).
"""

import itertools
import json
import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from shop import Project, content, make
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool
from tally import FULL, Tally

from undrop import settings
from undrop.steps import backup
from undrop.store.lock import locked

HOSTILE = [
    *("; touch canary;", "$(touch canary)", "`touch canary`", "| touch canary", "&& touch canary"),
    *(
        "{{`touch canary`}}",
        "{{reason}}",
        "../",
        "..",
        "/",
        "\n",
        "\r\n",
        "\t",
        " ",
        "'",
        '"',
        "\\",
    ),
    *("--", "-x", "--before=restore", "--json", "%20", "?", "#", "&", "*", "~", "=", "A=b", "@"),
    *("\x1b[31m", "😀", "é", "\u202e", "\ufeff", "a" * 300, "$HOME", "${x:=y}", "\x7f", ":"),
]
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
PIECES = st.lists(st.sampled_from(HOSTILE) | st.text(ANY, max_size=20), max_size=6).map("".join)
REASONS = PIECES.filter(lambda text: text != "--")  # just's


def often(full: int, sample: int) -> examples:
    """A Hypothesis profile: always the same examples in a sample."""
    return examples(
        max_examples=full if FULL else sample,
        deadline=None,
        derandomize=not FULL,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def tree(project: Project) -> set[str]:
    """Every file around the project but its backups and undrop's own state."""
    folders = os.walk(project.root.parent)
    files = {f"{folder}/{name}" for folder, below, names in folders for name in [*below, *names]}
    ours = (str(project.backups), project.environment["XDG_STATE_HOME"])
    return {file for file in files if not file.startswith(ours)}


def badly_kept(project: Project, path: Path, reason: str, before: set[Path]) -> list[str]:
    """What is wrong with the one new backup that ``reason`` made."""
    problems = []
    if set(project.saved()) - before != {path} or path.parent != project.backups:
        problems.append(f"not one new file in backups/: {set(project.saved()) - before}")
    if not re.fullmatch(r"quartermaster-\d{8}-\d{6}-[a-z0-9-]{1,60}(-\d+)?\.db", path.name):
        problems.append(f"named {path.name!r}")
    record = path.with_suffix(".json")
    if not record.is_file() or json.loads(record.read_text())["reason"] != reason:
        problems.append("the record has another reason")
    return [f"{reason!r}: {problem}" for problem in problems]


@pytest.mark.smoke
def test_a_reason_is_data_all_the_way_through_just(project: Project, tally: Tally) -> None:
    make(project.database)
    project.ok("just", "backup")
    around, found, tried = tree(project), list[str](), itertools.count()

    @often(100, 12)
    @given(reason=REASONS)
    def check_one(reason: str) -> None:
        next(tried)
        before = set(project.saved())
        done = project.just("backup", *(["--"] if reason.startswith("-") else []), reason)
        if done.code != 0 or tree(project) != around:
            found.append(f"{reason!r}: {done}, {tree(project) ^ around}")
        found.extend(badly_kept(project, Path(done.out.strip("\n")), reason, before))
        found.extend(f"{reason!r}: canary" for _ in project.root.parent.rglob("*canary*/"))

    check_one()
    tally("input: reasons", next(tried), found)


def test_a_reason_with_nul_or_half_a_character_is_data_too(project: Project, tally: Tally) -> None:
    make(project.database)
    config, found = settings.load(project.root), list[str]()
    tried = itertools.count()

    @often(300, 25)
    @given(reason=st.text(max_size=80) | PIECES.map(lambda text: f"\0{text}\0"))
    def check_one(reason: str) -> None:
        next(tried)
        before = set(project.saved())
        with locked(config, print) as lock:
            taken = backup.take(lock, backup.Purpose(reason, ""))
        assert taken is not None
        found.extend(badly_kept(project, taken.path, reason, before))

    check_one()
    done = project.run("undrop", "backup", os.fsdecode(b"not utf-8: \xff"))
    assert done.code == 0
    tally("input: reasons", next(tried) + 1, found)


def test_a_url_names_the_file_that_sqlalchemy_opens_and_looking_makes_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.chdir(project.root)
    found, tried = list[str](), itertools.count()
    names = PIECES.map(lambda text: text.replace("/", "_")[:60]).filter(
        lambda name: name.strip(". ") and not name.startswith(":")
    )

    @often(40, 5)
    @given(name=names, prefix=st.sampled_from(["./", "", f"{project.root}/"]))
    def check_one(name: str, prefix: str) -> None:
        url = URL.create("sqlite", database=f"{prefix}{name} {next(tried)}").render_as_string()
        around = tree(project)
        done = project.undrop("backup", QUARTERMASTER_DB_URL=url)
        if done.code or done.out or tree(project) != around:
            found.append(f"{url}: looking did something: {done}")
        mark = f"mark {random.random()}"  # noqa: S311
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (v)")
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (mark,))
        done = project.undrop("backup", QUARTERMASTER_DB_URL=url)
        saved = Path(done.out.strip("\n"))
        if done.code or saved.parent != project.backups or mark not in "".join(content(saved)):
            found.append(f"{url}: another file was backed up: {done}")

    check_one()
    tally("input: URLs", next(tried), found)
