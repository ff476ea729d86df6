"""Random schemas, a random loss: ``recover`` brings back a random part of it, and nothing else.

Rows that come back are the backup's, value for value; every other row is as it was, but for the
parents that a foreign key needs.

Seen failing with the product broken on purpose: all rows brought back, whatever was asked for; no
parents.
"""

import random
from contextlib import closing

import pytest
from hypothesis import given
from random_steps import Cell, Maker, Names, Picture, Step, changes, opened, picture, q, whole_row
from tally import FULL
from test_merge_property import (
    RANDOM,
    SOME,
    World,
    all_rows,
    definitions,
    exact,
    examples,
    full_text,
    is_sound,
    left_alone,
    named,
    strays,
    world,
)

from undrop import settings
from undrop.compare.refused import NO_PARENT
from undrop.compare.wishes import Request
from undrop.errors import UsageError
from undrop.steps import recover, undo
from undrop.store.lock import locked

MANY = 1000 if FULL else 12
Key = tuple[Cell, ...]


def lost_part(rnd: random.Random, *, schema: bool) -> None:
    """A step that loses rows, others' work since, and some of the rows brought back."""
    with world(rnd) as made, closing(made.connect()) as application:
        step = made.step(application, schema=schema, losing=True)
        for _ in range(rnd.randint(0, 4)):
            made.others_write(step, application)
        names = step.names
        with opened(made.before) as before:
            held = picture(before, names, before=True, computed=False)
        now = picture(application, names, computed=False)
        lost: dict[str, list[Key]] = {}
        for each in names:
            was, still = held[each.before], now[each.before]
            if keys := [key for key in map(as_key, was) if key and key not in still]:
                lost[each.before] = keys
        if not lost:
            return
        name = rnd.choice([*lost])
        chosen = next(each for each in names if each.before == name)
        asked, request = lost[name], Request(())
        typed = [key for key in asked if can_be_typed(key)]
        if typed and rnd.random() < 0.7:
            asked = rnd.sample(typed, rnd.randint(1, len(typed)))
            request = Request((), where=where(chosen, asked))
        check(made, step, chosen, asked, request, held, now)


def as_key(key: object) -> Key:
    """The cells of a key; nothing where it is none."""
    return key if isinstance(key, tuple) and not whole_row(key) else ()


def can_be_typed(key: Key) -> bool:
    """Whether there is a literal for it."""
    return all(not isinstance(value, bytes) or b"\0" not in value for _, value in key)


def where(names: Names, keys: list[Key]) -> str:
    """SQL for these rows of the backup."""
    columns = [q(names.columns[c.name]) for c in names.table.columns[: names.table.key]]
    return " OR ".join(
        "("
        + " AND ".join(
            f"{column} IS {literal(cell)} COLLATE BINARY"
            for column, cell in zip(columns, key, strict=True)
        )
        + ")"
        for key in keys
    )


def literal(cell: Cell) -> str:
    kind, value = cell
    if isinstance(value, bytes):
        if kind == b"blob":
            return f"x'{value.hex()}'"
        return "'" + value.decode().replace("'", "''") + "'"
    return repr(value).replace("inf", "9e999")


def check(
    made: World,
    step: Step,
    chosen: Names,
    asked: list[Key],
    request: Request,
    held: Picture,
    now: Picture,
) -> None:
    """Bring it back, and look at every row."""
    left = made.copy("left")
    unchanged = left_alone(made)
    try:
        with locked(settings.load(made.folder), print) as lock:
            source = recover.chosen(lock.settings, str(made.kept), made.folder)
            done = recover.recover(lock, source, [f"rows {chosen.before}"], request)
    except UsageError:  # its table had to be told by its rows, which are gone
        assert left_alone(made) == unchanged
        return
    told = {named(each, step.names) for each in done.conflicts}
    refused = {each[:2] for each in told}
    result = made.copy("result")
    with opened(result) as got, opened(left) as was:
        came = changes(now, picture(got, step.names, computed=False))
        assert got.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert strays(got) <= strays(was)
        assert definitions(got) == definitions(was)
        for name in made.maker.logs:
            assert all_rows(got, name) == all_rows(was, name)
        for name in full_text(made):
            assert is_sound(got, name) or not is_sound(was, name)
        with opened(made.before) as first:
            orphans = [each for each in done.conflicts if each.why.startswith(NO_PARENT)]
            # What a row needs that points somewhere comes along, if nothing refuses that.
            assert len(orphans) < len(done.conflicts) or not orphans or strays(first), orphans
    above = parents(made.maker, chosen.before)
    for table, key, before, after in came:
        assert before is None, (table, key, before, after)
        assert after is not None
        due = held[table][key]
        bare = tuple(value for _, value in as_key(key)) or key
        for name, cell in due.items():
            # Nothing tells what a column is called now whose values all changed: that is said.
            no_place = (table, bare, name) in told and after[name][1] is None
            assert after[name] == cell or no_place, (table, key, name, cell, after[name])
        assert (table == chosen.before and key in asked) or table in above, (table, key)
    back = {(each.table, each.key) for each in came}
    for key in asked:
        bare = chosen.before, tuple(value for _, value in key)
        assert (chosen.before, key) in back or bare in refused, (key, done.conflicts)
    if back:
        with locked(settings.load(made.folder), print) as lock:
            undo.undo(lock)
        with opened(left) as was, opened(made.live) as again:
            assert exact(again) == exact(was)


def parents(maker: Maker, name: str) -> set[str]:
    """Tables that a table's rows point to, and that these do."""
    by_name = {table.name: table for table in maker.tables}
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for column in by_name[waiting.pop()].columns:
            if column.parent and column.parent not in found:
                found.add(column.parent)
                waiting.append(column.parent)
    return found


@examples(SOME)
@given(RANDOM)
def test_a_part_of_a_loss_comes_back_and_nothing_else(rnd: random.Random) -> None:
    lost_part(rnd, schema=False)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_parts_of_many_losses_come_back_and_nothing_else(rnd: random.Random) -> None:
    lost_part(rnd, schema=False)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_parts_of_losses_come_back_into_another_schema(rnd: random.Random) -> None:
    lost_part(rnd, schema=True)
