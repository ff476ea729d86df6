"""``backups/`` as a collection: names never taken twice, what is whose, what is forgotten."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import inside
import pytest
from shop import Project, add, content, make

from undrop import settings
from undrop.errors import UsageError
from undrop.record import Record
from undrop.steps import choose
from undrop.store import catalog, forget, log, vault
from undrop.store.lock import Lock


def entry(reason: str = "manual") -> Record:
    return Record(
        created="2026-11-26T08:00:00.123456+00:00",
        reason=reason,
        next_step="",
        source="quartermaster.db",
    )


def published(project: Project, text: str, record: Record | None = None) -> Path:
    """A backup of that second, whatever there is by that name already."""
    loaded = settings.load(project.root)
    loaded.backups.mkdir(exist_ok=True)
    work = loaded.backups / ".1.partial"
    work.write_text(text)
    return catalog.publish(Lock(loaded), work, record or entry(), ".db").path


def test_a_reason_of_somebodys_own_is_told_from_one_that_undrop_gave(stocked: Project) -> None:
    """``after run`` that a person typed is theirs; so is all that is older than that is known."""
    stocked.ok("just", "backup", "after migrate")
    stocked.ok("just", "run", *stocked.client("DELETE FROM stock_movements"))
    stocked.ok("just", "rehearse")
    stocked.ok("just", "reset-db")
    records = [b.record for b in catalog.backups(settings.load(stocked.root)) if b.record]
    told = [(record.reason, record.automatic) for record in records]
    assert told == [
        ("after migrate", False),
        ("after run", True),
        ("after reset-db", True),
    ], told


def test_no_name_is_taken_twice_though_only_part_of_it_is_left(project: Project) -> None:
    """Backups of one second, of which somebody removes the record, the file, or both."""
    first = published(project, "first")
    assert first.name == "quartermaster-20261126-080000-manual.db"
    assert published(project, "second").name == "quartermaster-20261126-080000-manual-2.db"
    first.with_suffix(".json").unlink()
    third = published(project, "third")
    assert third.name == "quartermaster-20261126-080000-manual-3.db"
    third.unlink()
    fourth = published(project, "fourth")
    assert fourth.name == "quartermaster-20261126-080000-manual-4.db"
    shutil.rmtree(project.backups)  # what the vault has is a name as well
    fifth = published(project, "fifth")
    assert fifth.name == "quartermaster-20261126-080000-manual-5.db"
    loaded = settings.load(project.root)
    kept = loaded.vault_folder
    assert kept is not None
    texts = {path.read_text() for path in kept.glob("*.db")}
    assert texts == {"first", "second", "third", "fourth", "fifth"}
    assert len({each.path.name for each in catalog.backups(loaded)}) == 5


def test_a_name_that_comes_to_nothing_is_free_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Path, _target: Path) -> Path:
        raise OSError("the disk went away")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="went away"):
            published(project, "first")
    assert not list(project.backups.glob("*.json"))
    assert published(project, "first").name == "quartermaster-20261126-080000-manual.db"


def test_a_record_is_nobody_elses_to_read(project: Project) -> None:
    saved = published(project, "text")
    assert saved.with_suffix(".json").stat().st_mode & 0o777 == 0o600


def test_what_was_just_taken_is_in_the_folder(project: Project) -> None:
    make(project.database)
    saved = inside.back_up(project)
    loaded = settings.load(project.root)
    [found] = catalog.backups(loaded)
    assert choose.find(loaded, str(saved), project.root).only_in_vault is False
    assert (found.path, found.only_in_vault) == (saved, False)


SLUGS = {
    "x" * 60: "x" * 60,
    "x" * 61: "x" * 60,
    "y" * 59 + " and more": "y" * 59,
    "Käse für Ödön": "kase-fur-odon",
    "Vor dem Upgrade!": "vor-dem-upgrade",
    "../../etc": "etc",
    "日本": "manual",
    "": "manual",
}


@pytest.mark.parametrize(("reason", "slug"), SLUGS.items())
def test_a_reason_becomes_a_name_of_sixty_characters_at_most(reason: str, slug: str) -> None:
    assert catalog.slug(reason) == slug


def test_a_record_and_a_line_changed_in_place_are_seen_by_who_has_read_them(
    stocked: Project,
) -> None:
    """Of the same length, with the times that they had: the bytes tell, in one process too."""
    inside.back_up(stocked, "one")
    loaded = settings.load(stocked.root)
    log.begin(loaded, "run", "", log.Known(command="one"))
    [backup] = catalog.backups(loaded)
    assert backup.record
    [step] = log.steps(loaded)
    assert (backup.record.reason, step.command) == ("one", "one")
    folders = filter(None, (loaded.backups, loaded.vault_folder))
    logs = [folder / log.NAME for folder in folders]
    for path in (backup.path.with_suffix(".json"), *logs):
        times = path.stat()
        path.write_bytes(path.read_bytes().replace(b'"one"', b'"two"'))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    [backup] = catalog.backups(loaded)
    assert backup.record
    [step] = log.steps(loaded)
    assert (backup.record.reason, step.command) == ("two", "two")
    logs[0].write_text("no line of ours\n")
    assert [known.command for known in log.steps(loaded)] == ["two"]
    backup.path.with_suffix(".json").write_text("none")
    assert catalog.backups(loaded)[0].record is None


def test_a_copy_without_a_record_is_as_old_as_its_name_says(project: Project) -> None:
    make(project.database)
    saved = inside.back_up(project)
    named = saved.with_name("quartermaster-20200102-030405-manual.db")
    shutil.copy(saved, named)
    other = Path(shutil.copy(saved, saved.with_name("usb-stick.db")))
    odd = Path(shutil.copy(saved, named.with_name("quartermaster-20209999-030405-manual.db")))
    loaded = settings.load(project.root)
    created = {each.path: each.created for each in catalog.backups(loaded)}
    assert created[named] == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    for path in (other, odd):
        assert created[path] == datetime.fromtimestamp(path.stat().st_mtime, UTC)
    [oldest, *_] = catalog.backups(loaded)
    assert oldest.path == named


def test_without_a_record_a_backup_is_of_the_database_that_its_name_begins_with(
    project: Project,
) -> None:
    loaded = settings.load(project.root)
    for name, ours in (
        ("quartermaster-20200102-030405-manual.db", True),
        ("quartermaster2-20200102-030405-manual.db", False),
        ("shop-20200102-030405-manual.db", False),
    ):
        assert catalog.is_of(loaded, catalog.Backup(project.backups / name, None)) is ours


def test_latest_knows_by_the_log_what_a_restore_left(project: Project) -> None:
    """Not by the reason: a state that is held already gets no new name."""
    make(project.database)
    loaded = settings.load(project.root)
    older = inside.back_up(project)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    left = inside.back_up(project, "before a restore that came to nothing", "restore")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    assert choose.find(loaded, "latest", project.root).path == left
    inside.put_back(project, older.name)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    assert choose.find(loaded, "latest", project.root).path == older


PASSED_OVER = {
    "before a restore": {"next_step": "restore"},
    "before an undo": {"next_step": "undo"},
    "a table shrank": {"shrunk": ["t"]},
    "both": {"next_step": "undo", "shrunk": ["t"]},
    "not checked": {"check": ""},
    "not whole": {"check": "damaged: it is not a SQLite database"},
    "of another": {"source": "x.db"},
}


@pytest.mark.parametrize("fields", PASSED_OVER.values(), ids=PASSED_OVER)
def test_latest_passes_over_what_nobody_wants_back(
    project: Project, fields: dict[str, Any]
) -> None:
    loaded = settings.load(project.root)
    good = entry()._replace(
        check="ok, not all of it could be checked", next_step="nuke-db", digest="1"
    )
    saved = published(project, "good", good)
    for hour in "01", "02":
        newer = good._replace(created=f"2099-01-01T{hour}:00:00+00:00", digest="2", **fields)
        published(project, "bad", newer)
    found = choose.find(loaded, "latest", project.root)
    assert (found.path, found.verified, found.is_set) == (saved, True, False)


def test_a_name_is_looked_for_in_the_backups_alone(project: Project) -> None:
    make(project.database)
    saved = inside.back_up(project)
    loaded = settings.load(project.root)
    for wanted in (saved.name, saved.stem, str(saved), f"backups/{saved.name}"):
        assert choose.find(loaded, wanted, project.root).path == saved
    for wanted in ("", "no such", f"../{saved.name}"):
        with pytest.raises(UsageError, match="there is no backup"):
            choose.find(loaded, wanted, project.root)


def forgotten(project: Project, name: str) -> list[str]:
    with inside.command(project) as loaded:
        return forget.forget(loaded, name).same


def write(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)


def test_forgetting_names_those_that_hold_the_same_bytes_and_no_others(project: Project) -> None:
    make(project.database)
    first, same = inside.back_up(project, "first"), inside.back_up(project, "same")
    write(project)
    other = inside.back_up(project, "other")
    unknown = Path(shutil.copy(other, project.backups / "unknown.db"))
    assert forgotten(project, first.name) == [same.name]
    assert forgotten(project, same.name) == []
    assert forgotten(project, unknown.name) == []  # without a record nobody knows
    assert [each.name for each in project.saved()] == [other.name]
    assert content(other) == content(project.database)


def test_what_only_the_vault_has_is_forgotten_there(project: Project) -> None:
    make(project.database)
    saved = inside.back_up(project)
    shutil.rmtree(project.backups)
    loaded = settings.load(project.root)
    kept = loaded.vault_folder
    assert kept is not None
    assert (kept / saved.name).exists()
    assert forget.forget(Lock(loaded), saved.name).same == []
    assert catalog.backups(loaded) == []
    assert [path.name for path in kept.iterdir()] == [vault.SIGNATURE]


def test_without_a_vault_there_is_nothing_to_forget_there(project: Project) -> None:
    pyproject = project.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace("[tool.undrop]", "[tool.undrop]\nvault = false"))
    make(project.database)
    saved = inside.back_up(project)
    assert forgotten(project, saved.name) == []
    assert not saved.exists()


def test_a_link_to_a_folder_is_forgotten_and_the_folder_is_not(
    project: Project, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("text")
    project.backups.mkdir()
    link = project.backups / "old.damaged"
    link.symlink_to(precious)
    assert forgotten(project, link.name) == []
    assert not link.is_symlink()
    assert (precious / "file").read_text() == "text"
