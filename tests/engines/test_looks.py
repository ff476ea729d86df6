"""``just list``, ``just verify``, ``just status`` on either engine: what is there, is it whole."""

import json
import os
import shutil
from pathlib import Path

import pytest
from shop import Project

RECORD = {
    "path",
    "created",
    "reason",
    "before",
    "source",
    "bytes",
    "digest",
    "revisions",
    "check",
    "filled",
    "shrunk",
    "version",
    "verified",
    "only_in_vault",
}
FAILURE = {"error", "live_changed", "next", "next_actions", "exit_code"}


def test_list_shows_the_live_database_then_the_newest(filled: Project) -> None:
    filled.ok("undrop", "backup", "first")
    filled.ok("undrop", "backup", "second one")
    lines = filled.ok("just", "list").splitlines()
    assert lines[0].split() == ["no", "age", "size", "disk", "revision", "reason", "check", "name"]
    assert lines[1].endswith(filled.source)
    assert "live" in lines[1]
    assert "second one" in lines[2]
    assert "first" in lines[3]
    for line in lines[2:]:
        assert line.split()[-2] == "ok"
        assert "0006" in line
    listed = json.loads(filled.ok("just", "list", "--json"))
    assert listed["database"] == filled.label
    assert listed["bytes"] > 0
    assert [entry["reason"] for entry in listed["backups"]] == ["second one", "first"]
    assert all(entry["verified"] for entry in listed["backups"])


def test_without_a_database_everything_looks_and_nothing_is_made(each: Project) -> None:
    done = each.just("backup")
    assert (done.code, done.out) == (0, "")
    assert "nothing to back up" in done.err
    assert "no database" in each.ok("just", "list")
    assert json.loads(each.ok("undrop", "list", "--json"))["backups"] == []
    assert "no backups" in each.just("verify").err
    done = each.just("status")
    assert done.code == 0
    assert "there is none" in done.out
    assert each.just("diff").code == 2
    assert each.just("history").code == 2
    assert not each.exists()
    assert not each.saved()


@pytest.mark.full("postgresql")
def test_a_broken_record_is_no_record(each: Project) -> None:
    each.make()
    each.ok("undrop", "backup")
    [saved] = each.saved()
    record = saved.with_suffix(".json")
    for broken in ("", "[]", "{}", '{"created": 1}', "\xff", record.read_text()[:99]):
        record.write_text(broken)
        assert json.loads(each.ok("undrop", "list", "--json"))["backups"][0]["verified"] is False
    assert "no record" in each.ok("undrop", "list")
    before = each.content()
    each.add(1)
    each.ok("undrop", "restore", saved.name)  # and is proved by reading it
    assert each.content() == before


@pytest.mark.full("postgresql")
def test_the_names_time_sorts_what_has_no_record(each: Project) -> None:
    each.make()
    each.ok("undrop", "backup")
    [saved] = each.saved()
    names = [
        f"{each.stem}-20250102-000000-b{each.suffix}",
        f"{each.stem}-20250101-000000-a{each.suffix}",
        f"x{each.suffix}",
    ]
    for name in names:
        shutil.copy(saved, each.backups / name)
    lines = each.ok("undrop", "list").splitlines()[2:]
    shown = [next(word for word in line.split() if word.endswith(each.suffix)) for line in lines]
    shown.remove(saved.name)
    assert shown == [names[2], *names[:2]]  # the first by its file's time, which is now


def test_verify_proves_all_or_names_the_bad_one(each: Project) -> None:
    each.make()
    each.ok("undrop", "backup", "one")
    each.add(1)
    each.ok("undrop", "backup", "two")
    assert each.ok("just", "verify").count(": whole\n") == 2
    bad, good = each.saved()
    bad.chmod(0o600)
    os.truncate(bad, bad.stat().st_size - 400)
    done = each.just("verify")
    assert done.code == 4
    assert done.out.count(": whole\n") == 1
    assert f"{good.name}: whole" in done.out
    answer = each.undrop("verify", "--json")
    assert answer.code == 4
    assert json.loads(answer.out)["damaged"] == 1
    assert each.just("verify", bad.name).code == 4
    assert each.just("verify", "latest").code == 0
    assert each.litter() == []


def spoil(backup: Path) -> bytes:
    """Turn a bit of a backup over; what it was before."""
    data = backup.read_bytes()
    backup.chmod(0o600)
    backup.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return data


def listed(project: Project) -> dict[str, dict[str, object]]:
    """What the list says of each backup, by its reason."""
    backups = json.loads(project.ok("undrop", "list", "--json"))["backups"]
    return {backup["reason"]: backup for backup in backups}


def test_a_backup_that_failed_stays_marked_until_it_is_whole_again(each: Project) -> None:
    """In the vault as well, and nothing is restored from it by itself."""
    each.make()
    each.ok("undrop", "backup", "good")
    wanted = each.content()
    each.add(1)
    each.ok("undrop", "backup", "spoilt")
    good, spoilt = each.saved()
    each.add(1)
    whole = spoil(spoilt)
    assert "ok" in each.ok("just", "list").splitlines()[2]  # nobody looked yet
    assert each.just("verify").code == 4
    line = each.ok("just", "list").splitlines()[2]
    assert "spoilt" in line
    assert "failed verify: " in line
    assert listed(each)["spoilt"]["verified"] is False
    assert listed(each)["good"]["check"] == "ok"
    for record in (spoilt.with_suffix(".json"), *kept(each, f"{spoilt.stem}.json")):
        assert json.loads(record.read_text())["check"].startswith("failed verify: ")
        assert record.stat().st_mode & 0o777 == 0o600
    times = spoilt.with_suffix(".json").stat().st_mtime_ns
    assert each.undrop("verify", spoilt.name).code == 4
    assert spoilt.with_suffix(".json").stat().st_mtime_ns == times
    each.ok("just", "restore", "latest")
    assert each.content() == wanted
    spoilt.write_bytes(whole)
    each.ok("undrop", "verify", spoilt.name)
    assert listed(each)["spoilt"]["check"] == "ok"
    assert [json.loads(record.read_text())["check"] for record in kept(each, "*.json")].count(
        "ok"
    ) == len(kept(each, "*.json"))
    assert each.litter() == []
    assert good.exists()


def kept(project: Project, pattern: str) -> list[Path]:
    """Files in the vault."""
    return [*Path(project.environment["XDG_STATE_HOME"]).rglob(pattern)]


def test_a_state_whose_backup_failed_is_backed_up_anew(each: Project) -> None:
    """Nothing counts on it any more: status, a step, the agents' cheap answer."""
    each.make()
    each.ok("undrop", "run", "--", "true")
    [saved] = each.saved()
    whole = spoil(saved)
    each.undrop("verify")
    saved.write_bytes(whole)
    assert each.undrop("status").code == 4
    each.ok("undrop", "run", "--", "true")
    assert len(each.saved()) == 2


def test_status_says_covered_or_not_by_content(filled: Project) -> None:
    done = filled.just("status")
    assert done.code == 4
    assert "no: just backup" in done.out
    filled.ok("undrop", "backup")
    assert "covered    yes" in filled.ok("just", "status")
    filled.sql("UPDATE items SET name = 'changed' WHERE id = 1")
    assert filled.undrop("status").code == 4
    assert filled.litter() == []


def test_a_schedule_asks_how_old_the_newest_verified_backup_is(filled: Project) -> None:
    """What was written since is no finding then: on a server something always is."""
    asked = ("just", "status", "--max-age", "24h")
    done = filled.run(*asked)
    assert done.code == 4
    assert "TOO OLD    no verified backup of the last 24h: just backup" in done.out
    filled.ok("undrop", "backup")
    filled.sql("UPDATE items SET name = 'changed' WHERE id = 1")
    assert "TOO OLD" not in filled.ok(*asked)
    shown = json.loads(filled.ok(*asked, "--json"))
    assert 0 <= shown["age_seconds"] < 3600
    assert (shown["too_old"], shown["covered"]) == (False, False)
    done = filled.undrop("status", "--max-age", "0s", "--json")
    assert (done.code, json.loads(done.out)["too_old"]) == (4, True)
    for wrong in ("24", "h", "-1h", "1.5h", "1y"):
        assert filled.undrop("status", f"--max-age={wrong}").code == 2
    filled.lose()
    assert filled.run(*asked).code == 4


def test_status_is_not_fooled_by_a_record_without_its_bytes(filled: Project) -> None:
    filled.ok("undrop", "backup")
    [saved] = filled.saved()
    saved.chmod(0o600)
    data = saved.read_bytes()
    saved.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert filled.undrop("status").code == 4


def test_status_names_who_has_it_open_and_what_is_pending(filled: Project) -> None:
    filled.ok("alembic", "downgrade", "-1")
    with filled.connected() as (ask, pid):
        ask("SELECT 1 FROM items")
        done = filled.just("status", "--json")
    shown = json.loads(done.out)
    assert done.code == 0
    assert shown["pending"] is True
    assert shown["revisions"] == ["0005"]
    assert shown["heads"] == ["0006"]
    assert pid in [holder["pid"] for holder in shown["open_in"]]
    assert "just migrate" in filled.undrop("status").out


def test_answers_in_json_have_stable_keys(filled: Project) -> None:
    def answer(*words: str, code: int = 0) -> dict[str, object]:
        done = filled.undrop(*words, "--json")
        assert done.code == code, done
        return dict(json.loads(done.out))

    assert answer("backup").keys() >= {"backup", "verified"}
    [entry] = json.loads(filled.ok("undrop", "list", "--json"))["backups"]
    assert entry.keys() >= RECORD
    assert answer("list").keys() >= {"database", "bytes", "backups"}
    assert answer("status").keys() >= {
        *("exists", "bytes", "mode", "revisions", "heads", "open_in", "last", "covered", "damage"),
        *("vault", "not_in_vault", "pending", "shrunk", "used", "undo", "database"),
        "pending_migrations",
    }
    assert answer("migrate").keys() >= {
        *("database", "from", "to", "migrations", "backup", "seconds_locked", "losses"),
        *("warnings", "changes", "tables"),
    }
    assert answer("history").keys() >= {"backups"}
    filled.sql("DELETE FROM stock_movements")
    diff = answer("diff")
    assert diff.keys() >= {"before", "after", "same", "tables", "schema"}
    assert answer("verify").keys() >= {"verified", "damaged"}
    assert answer("restore", "latest").keys() >= {"restored", "backup", "seconds_locked"}
    assert answer("undo").keys() >= {"undone", "backup", "seconds_locked"}
    assert answer("undo", "--list").keys() >= {"steps", "undo"}
    failure = answer("restore", "nothing", code=2)
    assert failure.keys() == FAILURE
    assert (failure["exit_code"], failure["live_changed"]) == (2, False)
