"""The log's index: what a command reads in place of thousands of lines tells the same as they."""

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop import Project, content

from undrop import __version__, settings
from undrop.settings import Settings
from undrop.store import log, log_index
from undrop.store.step import Phase, Step, Told

PHASES: list[Phase] = ["open", "done", "same", "failed"]


@pytest.fixture
def long(stocked: Project) -> Project:
    """A project whose log is worth an index, which its last command has written."""
    stocked.ok("undrop", "run", "true")
    with closing(loaded(stocked).engine.session):
        ours = loaded(stocked)
        [step] = log.steps(ours)
        texts = []
        for number in range(log_index.WORTH // 300):
            opened = 10 + 2 * number
            own = step._replace(id=f"{number:016x}", sequence=opened + 1)
            begun = own._replace(phase="open", sequence=opened)
            texts += [f"{json.dumps(each.to_dict())}\n" for each in (begun, own)]
        for folder in ours.folders:
            with (folder / log.NAME).open("a") as file:
                file.writelines(texts)
    assert not index(stocked).exists()
    stocked.ok("undrop", "run", "true")
    assert index(stocked).exists()
    return stocked


def loaded(project: Project) -> Settings:
    return settings.load(project.root)


def index(project: Project) -> Path:
    return project.backups / log_index.NAME


def told(project: Project) -> list[Step]:
    """The steps, read by a process that has read nothing yet."""
    log._READ.clear()
    return log.steps(loaded(project))


def without_index(project: Project) -> list[Step]:
    index(project).rename(project.root / "aside")
    try:
        return told(project)
    finally:
        (project.root / "aside").rename(index(project))


def test_it_tells_what_the_lines_tell(long: Project) -> None:
    steps = told(long)
    assert len(steps) == 2 + log_index.WORTH // 300
    assert steps == without_index(long)
    long.ok("undrop", "run", "true")  # behind the index
    assert told(long) == without_index(long) != steps


def test_it_is_what_a_command_goes_by(long: Project) -> None:
    """Else it would be read for nothing: where it tells of a step less, so do commands."""
    head, _, steps = index(long).read_bytes().partition(b"\n")
    fewer = json.dumps(json.loads(steps)[1:]).encode()
    of = (long.backups / log.NAME).read_bytes()[: json.loads(head)["bytes"]]
    index(long).write_bytes(json.dumps(log_index._head(of, fewer)).encode() + b"\n" + fewer)
    assert len(told(long)) == len(without_index(long)) - 1


@pytest.mark.parametrize("odd", ["", "{}\n[]", '{"bytes": -1}\n', '{"bytes": "x"}', "[1]", "\0"])
def test_what_is_no_index_is_passed_over(long: Project, odd: str) -> None:
    steps = told(long)
    index(long).write_text(odd)
    assert told(long) == steps
    long.ok("undrop", "undo", "--list")


def test_one_of_another_log_is_passed_over(long: Project) -> None:
    """The log was cut, a line of it was changed, or the index has lost a step."""
    file = long.backups / log.NAME
    whole, kept = file.read_bytes(), index(long).read_bytes()
    vaults = loaded(long).vault_folder
    assert vaults is not None
    for text in (whole[: len(whole) // 2], whole.replace(b'"same"', b'"done"', 1), b""):
        for folder in (long.backups, vaults):
            (folder / log.NAME).write_bytes(text)
        assert told(long) == without_index(long)
    for folder in (long.backups, vaults):
        (folder / log.NAME).write_bytes(whole)
    index(long).write_bytes(kept[:-400])
    assert told(long) == without_index(long)


def test_a_copy_that_was_lost_is_told_by_the_other_and_written_again(long: Project) -> None:
    steps = told(long)
    lines = (long.backups / log.NAME).read_text().splitlines(keepends=True)
    (long.backups / log.NAME).write_text("".join(lines[:-30]))
    assert told(long) == steps
    long.ok("undrop", "run", "true")
    assert told(long)[:-1] == steps
    vault = loaded(long).vault_folder
    assert vault is not None
    assert (vault / log.NAME).read_bytes() == (long.backups / log.NAME).read_bytes()


def test_only_a_command_that_writes_a_line_writes_it(long: Project) -> None:
    index(long).unlink()
    for command in ("status", "list", "history", "undo --list", "audit", "verify", "backup"):
        long.undrop(*command.split())
        assert not index(long).exists(), command
    long.ok("undrop", "run", "true")
    assert index(long).exists()
    assert index(long).stat().st_mode & 0o777 == 0o600


def test_a_folder_of_backups_that_was_copied_with_it_works_as_it_is(long: Project) -> None:
    """It is none of the things that say that a folder is not ours."""
    old = content(long.database)
    moved = long.root / "elsewhere"
    moved.mkdir(0o700)
    for file in long.backups.iterdir():
        if file.name != ".lock":
            shutil.copy(file, moved)
    shutil.rmtree(long.backups)
    moved.rename(long.backups)
    long.ok("undrop", "nuke-db")
    long.ok("undrop", "undo")
    assert content(long.database) == old


def test_it_takes_no_room_that_backups_will_need(
    long: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = loaded(long)
    told = Told()
    told.read(((long.backups / log.NAME).read_bytes(),))
    index(long).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(log_index, "SPARE", 2**50)  # no disk has that much
        log_index.write(kept, told)
    assert not index(long).exists()
    log_index.write(kept, told)
    assert index(long).exists()


def test_a_last_line_without_its_end_is_not_in_it(long: Project) -> None:
    """The log may be put back as it was before that."""
    told = Told()
    whole = (long.backups / log.NAME).read_bytes()
    told.read((whole.removesuffix(b"\n"),))
    index(long).unlink()
    log_index.write(loaded(long), told)
    assert not index(long).exists()


def line(step: Step) -> bytes:
    return f"{json.dumps(step.to_dict())}\n".encode()


@st.composite
def written(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """The lines of two copies: each has most of them, in its own order, among nonsense."""
    at = "2026-01-01T00:00:00+00:00"
    count = draw(st.integers(1, 12))
    lines = []
    for place in range(1, count + 1):
        name = draw(st.sampled_from(["", "a", "b", "c"]))
        phase = draw(st.sampled_from(PHASES))
        step = Step(at, f"kind {place}", "db", "", phase=phase, id=name, sequence=place)
        lines.append(line(step))
    nonsense = [b"\n", b'{"id": "a"\n', b"{}{}\n", b"\xff\n", b"[]\n"]
    lines += draw(st.lists(st.sampled_from(nonsense)))
    lines += [f'{{"id": "{n}", "sequence": {s}}}\n'.encode() for n, s in (("a", 0), ("b", -1))]
    orders = [draw(st.permutations(lines)) for _ in range(2)]
    left_out = draw(st.sets(st.integers(0, count), max_size=2))
    return orders[0], [each for n, each in enumerate(orders[1]) if n not in left_out]


@given(written(), st.integers(0, 12))
def test_however_the_lines_are_read_they_tell_the_same(
    copies: tuple[list[bytes], list[bytes]], cut: int
) -> None:
    """In one piece or in two, and in whatever order they stand there."""
    whole = tuple(b"".join(lines) for lines in copies)
    at_once, parts = Told(), Told()
    at_once.read(whole)
    first = tuple(b"".join(lines[:cut]) for lines in copies)
    parts.read(first)
    assert parts.goes_on(whole)
    parts.read(whole)
    known = Told(parts.copies, at_once.steps)
    known.read(whole)
    steps = sorted(at_once.steps, key=lambda step: step.sequence)
    assert steps == sorted(parts.steps, key=lambda step: step.sequence)
    assert steps == sorted(known.steps, key=lambda step: step.sequence)
    # Each step is told as its newest line has it, and since when it was there.
    sound = [json.loads(each) for each in {*copies[0], *copies[1]} if b'"at"' in each]
    for name in {fields["id"] for fields in sound} - {""}:
        of_one = sorted((f["sequence"], f["kind"]) for f in sound if f["id"] == name)
        [step] = [step for step in steps if step.id == name]
        assert (step.sequence, step.kind) == of_one[-1]
        assert step.opened == of_one[0][0]


def test_one_of_another_undrop_is_passed_over(long: Project) -> None:
    """It may have known less of what stands in a line."""
    of, _, steps = index(long).read_bytes().partition(b"\n")
    fields = {**json.loads(of), "undrop": "0.0.1"}
    index(long).write_bytes(json.dumps(fields).encode() + b"\n" + b"[]")
    assert told(long) == without_index(long) != []
    index(long).write_bytes(json.dumps(fields).encode() + b"\n" + steps)
    long.ok("undrop", "run", "true")
    assert json.loads(index(long).read_bytes().partition(b"\n")[0])["undrop"] == __version__


@pytest.mark.parametrize("odd", ["torn", "middle", "order", "endings"])
def test_copies_that_came_apart_are_alike_again_and_lose_no_line(long: Project, odd: str) -> None:
    """What cannot be read stays a line, too."""
    ours, steps = long.backups / log.NAME, told(long)
    lines = ours.read_bytes().splitlines(keepends=True)
    newer = b'{"id": "z", "phase": "of an undrop to come"}\n'
    ours.write_bytes(
        {
            "torn": b"".join(lines) + newer[:30],
            "middle": b"".join([*lines[:40], newer, *lines[41:]]),
            "order": b"".join(lines[::-1]),
            "endings": b"".join(lines).replace(b"\n", b"\r\n"),
        }[odd]
    )
    assert told(long) == steps
    long.ok("undrop", "run", "true")
    vault = loaded(long).vault_folder
    assert vault is not None
    assert ours.read_bytes() == (vault / log.NAME).read_bytes()
    assert told(long)[:-1] == steps
    assert newer[:30] in ours.read_bytes() or odd in {"order", "endings"}
    before = index(long).stat().st_ino
    long.ok("undrop", "run", "true")
    assert told(long) == without_index(long)
    assert index(long).stat().st_ino == before, "it is used again"


def test_no_damage_is_a_fault_of_ours(long: Project) -> None:
    """Lines that are as many values as lines when they are read at once; pipes in the way."""
    with (long.backups / log.NAME).open("a") as file:
        file.write('{"a":1},5,{"b":2}\n{"x":[{}\n{}\n{}]}\n')
    assert "fault" not in long.done("undrop", "undo", "--list").err
    index(long).unlink()
    os.mkfifo(index(long))
    long.ok("undrop", "run", "true")


@pytest.mark.parametrize("ending", [b"\r\n", b" \n", b"\n\n", b"\t\r\n"])
def test_an_editor_s_line_endings_hide_no_line(ending: bytes) -> None:
    step = Step("2026-01-01T00:00:00+00:00", "run", "db", "")
    lines = [line(step._replace(id=name, sequence=n)) for n, name in enumerate(("", "a", "b"))]
    told = Told()
    told.read((b"".join(each.replace(b"\n", ending) for each in lines),))
    assert [each.id for each in told.steps] == ["", "a", "b"]


def test_a_line_that_is_half_written_is_read_when_it_is_whole() -> None:
    step = Step("2026-01-01T00:00:00+00:00", "run", "db", "", id="a", sequence=1)
    told = Told()
    told.read((line(step)[:50],))
    assert told.steps == []
    told.read((line(step),))
    assert [each.id for each in told.steps] == ["a"]
