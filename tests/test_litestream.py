"""Where Litestream replicates the database, a change starts only when the replica is current."""

import json
import os
import re
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from shop import Project, content
from streamed import FOUND, Stream


@pytest.fixture
def streamed(stocked: Project) -> Iterator[tuple[Project, Stream]]:
    """Filled Quartermaster with one migration to come, its daemon running."""
    stocked.environment["PATH"] = f"{Path(str(FOUND)).parent}:{stocked.environment['PATH']}"
    stocked.ok("undrop", "migrate", "0005", "--accept-loss")
    with tempfile.TemporaryDirectory(prefix="undrop-") as folder:  # a socket's path is short
        stream = Stream(stocked.root, stocked.database, Path(folder, "s"))
        stream.start()
        yield stocked, stream
        stream.stop()


def commit(project: Project, note: str) -> None:
    """As an application that stays open would; the -wal is checkpointed at its end."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("UPDATE stock_movements SET note = ? WHERE id = 1", [note])


def notes(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute("SELECT note FROM stock_movements WHERE id = 1").fetchone()
        return str(row[0])


def test_with_litestream_running_migrate_proceeds_and_the_replica_gets_it(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    commit(project, "just before")
    done = project.just("migrate")
    assert done.code == 0, done
    assert "the replica holds transaction" in done.err
    seen = json.loads(project.undrop("status", "--json").out)
    assert seen["revisions"] == ["0006"]
    assert seen["replicated"] is True
    assert project.just("verify", "--litestream").code == 0
    stream.stop()
    shutil.rmtree(project.backups)
    project.ok("just", "restore", "--from-litestream")
    assert notes(project.database) == "just before"


def test_stopped_with_pending_writes_it_is_refused_with_the_line_to_run(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    stream.stop()
    commit(project, "unseen")
    before = content(project.database)
    for command in (("migrate",), ("reset-db",)):
        done = project.just(*command)
        assert done.code == 1, done
        assert f"litestream replicate -config {stream.config} -once" in done.err
        assert "--without-replica" in done.err
        assert "The live database was not changed." in done.err
        assert content(project.database) == before
    assert "NOT CURRENT" in project.just("status").out
    assert json.loads(project.just("status", "--json").out)["replicated"] is False
    drill = project.just("verify", "--litestream")
    assert drill.code == 4
    assert "stock_movements" in drill.out
    project.ok("just", "migrate", "--without-replica")
    assert notes(project.database) == "unseen"


def test_the_line_that_a_refusal_tells_makes_it_current(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    stream.stop()
    commit(project, "unseen")
    line = project.just("migrate").err.split("Next: ")[1].split(", then")[0]
    project.ok(*line.split())
    project.ok("just", "migrate")
    assert stream.daemon is None


def test_a_deleted_replica_is_refused(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    shutil.rmtree(stream.replica)
    before = content(project.database)
    done = project.just("migrate")
    assert done.code == 1, done
    assert content(project.database) == before


@pytest.mark.smoke
def test_the_replica_brings_back_every_committed_row_when_all_else_is_gone(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    commit(project, "the last one")
    project.ok("just", "migrate")
    stream.stop()
    before = content(project.database)
    remove(project)
    shutil.rmtree(project.backups)
    shutil.rmtree(project.environment["XDG_STATE_HOME"])
    project.ok("just", "restore", "--from-litestream")
    assert content(project.database) == before
    assert project.litter() == [".quartermaster.db-litestream"]  # the daemon's own


def test_an_earlier_moment_can_be_asked_for_and_undone(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    commit(project, "good")
    project.ok("just", "verify", "--litestream")  # the daemon has it by now
    when = datetime.now(UTC).isoformat()
    commit(project, "bad")
    project.ok("just", "verify", "--litestream")
    project.ok("just", "restore", "--from-litestream", "--timestamp", when)
    assert notes(project.database) == "good"
    project.ok("just", "undo")
    assert notes(project.database) == "bad"
    assert stream.daemon is not None


def test_says_what_the_running_daemon_does_next(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    project.ok("just", "backup")
    commit(project, "later")
    assert "litestream runs" in project.just("restore", "latest").err
    assert "litestream runs" in project.just("reset-db").err
    stream.stop()
    assert "litestream runs" not in project.just("restore", "latest").err


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("reset-db",), marks=pytest.mark.smoke),
        ("undo",),
        ("restore", "plain"),
        ("migrate",),
    ],
    ids=" ".join,
)
def test_whatever_a_step_puts_in_place_the_daemon_goes_on(
    stocked: Project, command: tuple[str, ...]
) -> None:
    """Also with a state of before the daemon came, which has no table of Litestream's."""
    project = stocked
    project.environment["PATH"] = f"{Path(str(FOUND)).parent}:{project.environment['PATH']}"
    project.ok("undrop", "migrate", "0005", "--accept-loss")
    project.ok("undrop", "backup", "plain")
    with tempfile.TemporaryDirectory(prefix="undrop-") as folder:
        stream = Stream(project.root, project.database, Path(folder, "s"))
        text = stream.config.read_text()
        checkpoint = "    min-checkpoint-page-count: 12\n    replica:"  # so that one comes
        stream.config.write_text(text.replace("    replica:", checkpoint))
        stream.start()
        if command != ("undo",):
            commit(project, "later")
        done = project.just(*command)
        assert done.code == 0, done
        assert "litestream runs: the replica holds transaction" in done.err
        with closing(sqlite3.connect(project.database, isolation_level=None)) as application:
            application.execute("CREATE TABLE acknowledged (id INTEGER PRIMARY KEY)")
            for _ in range(5):
                application.execute("INSERT INTO acknowledged DEFAULT VALUES")
            sync = ("sync", "-wait", "-socket", str(stream.socket), str(project.database))
            project.ok("litestream", *sync)
            stream.stop(kill=True)
            before = theirs(project)
        remove(project)
        shutil.rmtree(project.backups)
        shutil.rmtree(project.environment["XDG_STATE_HOME"])
        project.ok("just", "restore", "--from-litestream")
        assert theirs(project) == before
        assert project.sql("SELECT count(*) FROM acknowledged") == [(5,)]


def theirs(project: Project) -> list[str]:
    """What is in the database but for Litestream's own."""
    return [line for line in project.content() if "_litestream_" not in line]


def test_behind_a_stopped_daemon_a_step_leaves_the_replica_behind_and_says_so(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    project.ok("just", "verify", "--litestream")
    stream.stop()
    done = project.just("migrate")
    assert done.code == 0, done
    assert "the replica is behind now" in done.err
    [line] = re.findall("litestream replicate .* -force-snapshot", done.err)
    assert project.just("verify", "--litestream").code == 4
    project.ok(*line.split())
    project.ok("just", "verify", "--litestream")
    assert "the replica is behind now" in project.just("undo").err


def test_a_replica_that_never_answers_does_not_keep_status(stocked: Project) -> None:
    project = stocked
    theirs = {key: "" for key in project.environment if key.startswith("AWS_")}
    path = f"{Path(str(FOUND)).parent}:{project.environment['PATH']}"
    project.environment = {**project.environment, **theirs, "PATH": path}
    with closing(socket.create_server(("127.0.0.1", 0))) as endpoint:
        port = endpoint.getsockname()[1]
        (project.root / "litestream.yml").write_text(
            f"access-key-id: a\nsecret-access-key: b\ndbs:\n  - path: {project.database}\n"
            "    replica:\n      type: s3\n      bucket: b\n      path: p\n      region: r\n"
            f"      endpoint: http://127.0.0.1:{port}\n      force-path-style: true\n"
        )
        done = project.undrop("status", "--json")
        assert json.loads(done.out)["replicated"] is None, json.loads(done.out)["replica"]
        assert "not known" in (told := project.just("status").out)
        assert "just verify --litestream tells" in told


def test_where_a_migration_has_nothing_to_do_the_replica_is_not_asked(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    project.ok("just", "migrate")
    stream.stop()
    commit(project, "unseen")
    for revision in ("head", "heads", "0006"):
        done = project.just("migrate", revision)
        assert done.code == 0, done
        assert "nothing to do" in done.err
        assert "replica" not in done.err
    assert project.just("migrate", "-1", "--accept-loss").code == 1


@pytest.mark.parametrize("when", ["2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"])
def test_a_moment_that_the_replica_does_not_have_is_refused_with_those_that_it_has(
    streamed: tuple[Project, Stream], when: str
) -> None:
    project, _ = streamed
    commit(project, "x")
    before = content(project.database)
    done = project.just("restore", "--from-litestream", "--timestamp", when)
    assert done.code == 1
    times = re.findall(r"earliest state is of (\S+), its latest of (\S+)", done.err)[0]
    assert [datetime.fromisoformat(time).year for time in times] == [datetime.now(UTC).year] * 2
    assert content(project.database) == before


def test_another_applications_database_at_the_replica_is_refused(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    stream.stop()
    ours = project.export(project.root / "ours.db")
    remove(project)
    project.script(
        "PRAGMA journal_mode = WAL; CREATE TABLE theirs (a); INSERT INTO theirs DEFAULT VALUES"
    )
    once = ("replicate", "-config", str(stream.config), "-once", "-force-snapshot")
    project.ok("litestream", *once)
    remove(project)
    ours.rename(project.database)
    before = project.content()
    done = project.just("restore", "--from-litestream")
    assert done.code == 4, done
    assert "may be another application's" in done.err
    assert "just restore --from-litestream --foreign" in done.err
    assert project.content() == before
    project.ok("just", "restore", "--from-litestream", "--foreign")
    assert project.sql("SELECT count(*) FROM theirs") == [(1,)]


def test_without_a_config_nothing_is_asked(stocked: Project) -> None:
    done = stocked.just("restore", "--from-litestream")
    assert done.code == 2
    assert "no litestream.yml names" in done.err
    assert stocked.just("restore", "latest", "--from-litestream").code == 2
    assert stocked.just("restore", "--timestamp", "2026-01-01T00:00:00Z").code == 2
    assert "replica" not in stocked.ok("just", "status")


def test_a_config_elsewhere_is_named_in_the_settings(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    moved = project.root / "ops" / "ls.yml"
    moved.parent.mkdir()
    stream.config.rename(moved)
    assert "replica" not in project.just("status").out
    file = project.root / "pyproject.toml"
    setting = '[tool.undrop]\nlitestream = "ops/ls.yml"'
    file.write_text(file.read_text().replace("[tool.undrop]", setting))
    assert "the replica holds" in project.just("status").out


def remove(project: Project) -> None:
    for path in project.root.glob("quartermaster.db*"):
        path.unlink()


def test_a_file_replaced_under_the_daemon_is_not_taken_for_replicated(
    streamed: tuple[Project, Stream],
) -> None:
    """It follows the new -wal, never reads the new file, and says that all is well."""
    project, stream = streamed
    project.ok("just", "backup")
    commit(project, "only the replica has this")
    project.ok("just", "verify", "--litestream")
    remove(project)
    said = project.just("restore", "latest").err
    assert "may have the file open that was there before" in said
    with closing(sqlite3.connect(project.database, isolation_level=None)) as application:
        application.execute("PRAGMA journal_mode = WAL")
        application.execute("UPDATE stock_movements SET note = 'after' WHERE id = 3")
        done = project.just("migrate")
        if done.code == 0:  # the daemon has found out by itself
            project.ok("just", "verify", "--litestream")
            return
        assert done.code == 1, done
        assert "--without-replica" in done.err
        assert application.execute("SELECT version_num FROM alembic_version").fetchone() == (
            "0005",
        )
    [line] = re.findall("litestream replicate .* -force-snapshot", said)
    stream.stop()
    project.ok(*line.split())
    stream.start()
    project.ok("just", "migrate")
    project.ok("just", "verify", "--litestream")


def test_a_replica_that_cannot_be_restored_is_not_current(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    os.truncate(max(stream.snapshots.glob("*.ltx")), 0)
    before = content(project.database)
    done = project.just("migrate")
    assert done.code == 1, done
    assert "replica" in done.err
    assert content(project.database) == before
    assert "NOT CURRENT" in project.just("status").out


def test_nuke_says_that_the_daemon_has_to_be_stopped(streamed: tuple[Project, Stream]) -> None:
    project, stream = streamed
    commit(project, "x")
    project.ok("just", "verify", "--litestream")
    done = project.just("nuke-db")
    assert done.code == 1, done
    assert "litestream runs: stop it first" in done.err
    stream.stop()
    project.ok("just", "nuke-db")


def test_status_needs_no_backups_to_look_at_the_replica(streamed: tuple[Project, Stream]) -> None:
    project, _ = streamed
    shutil.rmtree(project.backups)
    done = project.undrop("status")
    assert "the replica holds transaction" in done.out
    assert done.code == 4  # not covered
    assert not project.backups.exists()


@pytest.mark.parametrize("when", ["", "soon", "2026-01-01T00:00:00"])
def test_a_moment_is_a_time_with_its_zone(stocked: Project, when: str) -> None:
    done = stocked.undrop("restore", "--from-litestream", "--timestamp", when)
    assert done.code == 2
    assert "no time with a time zone" in done.err


def test_a_drill_takes_no_file(stocked: Project) -> None:
    stocked.ok("undrop", "backup")
    assert stocked.undrop("verify", "--litestream", stocked.saved()[0].name).code == 2


def test_a_named_config_that_names_another_database_is_said(
    streamed: tuple[Project, Stream],
) -> None:
    project, stream = streamed
    stream.configure(name="/nowhere/app.db")
    assert "nothing replicates it" not in project.just("status").out  # it may be another's
    file = project.root / "pyproject.toml"
    setting = '[tool.undrop]\nlitestream = "litestream.yml"'
    file.write_text(file.read_text().replace("[tool.undrop]", setting))
    assert "nothing replicates it" in project.just("status").out
    done = project.just("migrate")
    assert done.code == 0
    assert "nothing replicates it" in done.err
