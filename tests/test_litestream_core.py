"""The guard for a replicated database against a real litestream: a daemon and a file replica."""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamed import DEADLINE, FOUND, Stream

from undrop.engines.litestream import config, daemon, replica
from undrop.errors import UndropError, UsageError
from undrop.recipes import sentence


class Site(Stream):
    """A database, its config and the daemon, in one folder."""

    def __init__(self, root: Path, socket: Path) -> None:
        (root / "data").mkdir()
        super().__init__(root, root / "data" / "app.db", socket)

    def found(self) -> config.Replicated:
        found = config.find(self.root, None, self.live)
        assert found
        return found

    def check(self) -> str:
        return replica.check(self.found())

    def refused(self) -> UndropError:
        with pytest.raises(UndropError) as caught:
            self.check()
        assert caught.value.exit_code == 1
        assert "--without-replica" in caught.value.next_step
        return caught.value

    def insert(self, count: int = 1) -> None:
        """Commit ``count`` rows; where this is the last connection its close removes the -wal."""
        with closing(self.connect()) as connection:
            self.commit(connection, count)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.live, timeout=DEADLINE, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, text TEXT)")
        return connection

    @staticmethod
    def commit(connection: sqlite3.Connection, count: int = 1) -> None:
        for _ in range(count):
            connection.execute("INSERT INTO item(text) VALUES (hex(randomblob(300)))")

    def rows(self, path: Path | None = None) -> list[tuple[int, str]]:
        with closing(sqlite3.connect(path or self.live)) as connection:
            return connection.execute("SELECT id, text FROM item ORDER BY id").fetchall()

    def once(self, command: str) -> None:
        """Run the command that a refusal told."""
        subprocess.run(command, shell=True, check=True, capture_output=True, timeout=60)  # noqa: S602

    def caught_up(self) -> None:
        """Let the daemon bring everything to the replica."""
        self.check()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("PATH", f"{Path(str(FOUND)).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(config, "SYSTEM", tmp_path / "etc" / "litestream.yml")
    # A socket's path has to fit into 108 bytes, of which pytest's folders take many.
    with tempfile.TemporaryDirectory(prefix="ls") as short:
        made = Site(tmp_path, Path(short, "s"))
        try:
            yield made
        finally:
            made.stop(kill=True)


def once(refusal: UndropError) -> str:
    """The command in a refusal's advice."""
    return refusal.next_step.split(", then")[0]


@pytest.mark.smoke
def test_a_running_daemon_that_is_current_passes(site: Site) -> None:
    site.insert(5)
    site.start()
    assert "the replica holds transaction 0000" in site.check()


def test_pending_writes_are_brought_over_by_a_running_daemon(site: Site) -> None:
    site.config.write_text(
        site.config.read_text().replace("sync-interval: 20ms", "sync-interval: 3s")
    )
    site.insert(5)
    site.start()
    with closing(site.connect()) as connection:
        site.commit(connection, 3)
        site.check()
        site.stop(kill=True)
        replica.restore(site.found(), site.root / "out")
        assert site.rows(site.root / "out") == site.rows()


@pytest.mark.full
def test_a_daemon_without_a_socket_is_given_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.configure(socket=False)
    site.insert(5)
    site.start()
    with closing(site.connect()) as connection:
        assert site.daemon
        site.daemon.send_signal(19)  # SIGSTOP: it runs and does nothing
        site.commit(connection, 3)
        assert daemon.is_running(site.found())
        again = threading.Timer(3, site.daemon.send_signal, [18])
        again.start()
        assert "restored, it is the live database" in site.check()
        again.join()
        monkeypatch.setattr(daemon, "CATCH_UP", 1)
        site.daemon.send_signal(19)
        site.commit(connection, 1)
        assert "the litestream daemon" in site.refused().next_step
        site.daemon.send_signal(18)


@pytest.mark.full
def test_a_daemon_that_hangs_is_not_believed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "ANSWER", 1)
    monkeypatch.setattr(daemon, "CATCH_UP", 1)
    site.insert(5)
    site.start()
    site.caught_up()
    assert site.daemon
    site.daemon.send_signal(19)
    assert "restored, it is the live database" in site.check()
    site.insert()
    site.refused()
    site.daemon.send_signal(18)


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("closed", [False, True], ids=["in the -wal", "checkpointed"])
def test_pending_writes_behind_a_daemon_that_is_gone(
    site: Site, *, kill: bool, closed: bool
) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop(kill=kill)
    wal = site.live.with_name("app.db-wal")
    with closing(site.connect()) as connection:
        site.commit(connection)
        if closed:
            connection.close()
        assert wal.exists() is not closed
        content = wal.read_bytes() if not closed else b""
        refusal = site.refused()
        assert (wal.read_bytes() if not closed else b"") == content
        assert f"litestream replicate -config {site.config} -once" in refusal.next_step
        site.once(once(refusal))
        site.check()


def test_a_left_over_wal_is_not_checkpointed_by_looking(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop(kill=True)
    wal = site.live.with_name("app.db-wal")
    before = site.live.read_bytes(), wal.read_bytes()
    assert before[1]
    assert "restored, it is the live database" in site.check()
    assert (site.live.read_bytes(), wal.read_bytes()) == before


@pytest.mark.parametrize("closed", [False, True], ids=["in the -wal", "checkpointed"])
def test_nothing_pending_behind_a_killed_daemon_passes(site: Site, *, closed: bool) -> None:
    site.insert(5)
    site.start()
    site.insert(3)
    site.caught_up()
    site.stop(kill=True)
    if closed:
        site.connect().close()
        assert not site.live.with_name("app.db-wal").exists()
    assert "restored, it is the live database" in site.check()


@pytest.mark.smoke
def test_one_changed_byte_is_seen(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop()
    with closing(site.connect()) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert "is not what" in site.refused().what


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "deleted"])
def test_a_replica_that_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, running: bool, empty: bool
) -> None:
    monkeypatch.setattr(replica, "FIRST_SNAPSHOT", 0.5)
    site.insert(5)
    site.start()
    site.caught_up()
    if not running:
        site.stop()
    shutil.rmtree(site.replica)
    if empty:
        site.replica.mkdir()
    refusal = site.refused()
    assert "it is new, empty or gone" in refusal.what
    site.stop()
    site.once(once(site.refused()))
    site.check()


def test_a_replica_without_a_snapshot(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop()
    shutil.rmtree(site.snapshots)
    refusal = site.refused()
    assert "has no snapshot" in refusal.what
    site.once(once(refusal))
    site.check()


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_an_older_replica_put_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, running: bool
) -> None:
    monkeypatch.setattr(replica, "FIRST_SNAPSHOT", 0.5)
    site.insert(5)
    site.start()
    site.caught_up()
    shutil.copytree(site.replica, site.root / "older")
    site.insert(3)
    site.caught_up()
    if not running:
        site.stop()
    shutil.rmtree(site.replica)
    shutil.copytree(site.root / "older", site.replica)
    assert "it ends with transaction" in site.refused().what
    if running:
        # With one more transaction the highest number is right and there is a gap below it.
        site.insert()
        site.wait(lambda: len(list((site.replica / "ltx" / "0").iterdir())) > 1)
        site.refused()


def test_a_damaged_replica(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop()
    for file in site.replica.rglob("*.ltx"):
        file.write_bytes(file.read_bytes()[:-50])
    assert "is not whole: litestream restore says" in site.refused().what
    with pytest.raises(UndropError, match="litestream restore says"):
        replica.restore(site.found(), site.root / "never")
    assert not list(site.root.glob("never*"))


def test_a_database_that_is_gone_has_nothing_pending(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    site.stop()
    for file in site.live.parent.glob("app.db*"):
        file.unlink()
    assert "the replica holds" in site.check()
    site.live.with_name("app.db-wal").write_bytes(b"left over")
    site.refused()


def test_restore_after_everything_beside_the_replica_is_gone(site: Site) -> None:
    site.insert(5)
    site.start()
    site.insert(20)
    site.caught_up()
    site.stop(kill=True)
    rows = site.rows()
    shutil.rmtree(site.live.parent)
    target = site.root / "back"
    replica.restore(site.found(), target)
    assert len(rows) == 25
    assert site.rows(target) == rows
    assert target.stat().st_mode & 0o777 == 0o600
    assert not site.live.parent.exists()


def test_restore_to_a_timestamp(site: Site) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    rows = site.rows()
    time.sleep(1.1)  # some replicas keep whole seconds only
    now = datetime.now(UTC).isoformat()
    time.sleep(1.1)
    site.insert(3)
    site.caught_up()
    replica.restore(site.found(), site.root / "then", "-timestamp", now)
    assert site.rows(site.root / "then") == rows
    replica.restore(site.found(), site.root / "now")
    assert len(site.rows(site.root / "now")) == 8
    for outside in ("2001-01-01T00:00:00Z", "2101-01-01T00:00:00+02:00"):
        with pytest.raises(UndropError, match="is outside what the replica has") as caught:
            replica.restore_at(site.found(), site.root / "never", outside)
        earliest, latest = re.findall(r"state is of (\S+), its latest of (\S+)", caught.value.what)[
            0
        ]
        assert earliest < now < latest
        assert not list(site.root.glob("never*"))
    replica.restore_at(site.found(), site.root / "latest", latest)


def test_restore_overwrites_nothing(site: Site) -> None:
    site.insert(5)
    site.start()
    target = site.root / "mine"
    target.write_bytes(b"")
    with pytest.raises(UndropError, match="in the way"):
        replica.restore(site.found(), target)
    assert target.read_bytes() == b""


@pytest.mark.smoke
def test_which_config_counts(site: Site) -> None:
    found = site.found()
    assert (found.config, found.program) == (site.config, FOUND)
    site.configure(name=str(site.root / "other.db"))
    assert config.find(site.root, None, site.live) is None
    assert config.find(site.root, site.config, site.live) is None
    config.SYSTEM.parent.mkdir()
    site.configure()
    shutil.move(site.config, config.SYSTEM)
    assert site.found().config == config.SYSTEM
    with pytest.raises(UsageError, match="does not exist"):
        config.find(site.root, site.config, site.live)


def test_names_that_are_not_written_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "data")
    (site.root / "link").symlink_to("data")
    site.insert(5)
    for name in ("${WHERE}/app.db", "data/app.db", str(site.root / "link" / "app.db")):
        site.configure(name=name)
        assert site.found().live == site.live
    site.start()
    assert "restored, it is the live database" in site.check()


def test_a_config_that_litestream_cannot_read(site: Site) -> None:
    site.config.write_text("dbs: [")
    with pytest.raises(UndropError, match="litestream databases says"):
        config.find(site.root, None, site.live)
    config.SYSTEM.parent.mkdir()
    shutil.move(site.config, config.SYSTEM)
    assert config.find(site.root, None, site.live) is None  # about nothing of ours
    site.live.with_name(".app.db-litestream").mkdir()
    with pytest.raises(UndropError, match="litestream databases says"):
        config.find(site.root, None, site.live)


@pytest.mark.parametrize(
    "text",
    [
        "dbs:\n  - path: /data/app.db\n    replica:\n      url: s3://${NOT_SET_HERE}/app\n",
        "dbs:\n  - path: ${NOT_SET_HERE}/other.db\n    replica:\n      path: /x\n",
        "dbs:\n  - path: /data/app.db\n    replicas:\n      - path: /x\n      - path: /y\n",
    ],
)
def test_a_config_for_another_machine_is_no_obstacle(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    site.config.write_text(text)
    assert config.find(site.root, None, site.live) is None
    monkeypatch.setenv("PATH", str(site.root))  # without litestream
    assert config.find(site.root, None, site.live) is None
    site.config.write_text(text.replace("/data/app.db", str(site.live)))
    if str(site.live) in site.config.read_text():
        assert "no such program" in site.refused().what


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('dbs: [{path: "LIVE", replica: {path: /x}}]', True),
        ('{"dbs": [{"path": "LIVE"}]}', True),
        ("dbs:\n  - path:\n      >-\n      LIVE\n", True),
        ("dbs: [{path: ${NOT_SET_HERE}/app.db}]", True),
        ("dbs: [{path: $NOT_SET_HERE/app.db}]", True),
        ("# path: LIVE\ndbs: [{path: /x.db}]  # path: LIVE", False),
        ("dbs: [{path: /x.db, replica: {path: '${NOT_SET_HERE}/app.db'}}]", False),
        ("dbs: [{dir: /x, pattern: '*.db'}]", False),
        ("dbs: 2024-13-45", True),  # what cannot be read may be about it
        ("dbs: {path: LIVE}", False),
        ("dbs: [LIVE]", False),
    ],
)
def test_a_config_is_read_as_yaml_where_there_is_no_litestream(
    site: Site, monkeypatch: pytest.MonkeyPatch, text: str, *, named: bool
) -> None:
    site.config.write_text(text.replace("LIVE", str(site.live)))
    monkeypatch.setenv("PATH", str(site.root))
    found = config.find(site.root, None, site.live)
    assert (found == config.Replicated("", site.config, site.live, str(site.live))) == named


def test_the_socket_is_where_the_config_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.insert()
    site.start()
    text = site.config.read_text().partition("dbs:")[2]
    monkeypatch.setenv("SOCKET", str(site.socket))
    for block in ("{path: $SOCKET, enabled: true}", '\n  # path: /x\n  path: "${SOCKET}"'):
        site.config.write_text(f"socket: {block}\ndbs:{text}")
        assert daemon.socket(site.found()) == str(site.socket)
    site.config.write_text(f"dbs:{text}")
    assert daemon.socket(site.found()) == ""


def test_a_variable_that_is_not_set_does_not_turn_the_guard_off(site: Site) -> None:
    site.configure(name="${NOT_SET_HERE}/app.db")
    with pytest.raises(UndropError) as caught:
        config.find(site.root, None, site.live)
    assert "--without-replica" in caught.value.next_step


def test_a_replicated_folder_is_refused(site: Site) -> None:
    text = site.config.read_text().replace(f"path: {site.live}", f"dir: {site.live.parent}")
    site.config.write_text(text.replace("    monitor", "    pattern: '*.db'\n    monitor"))
    with pytest.raises(UndropError, match="as a folder"):
        config.find(site.root, None, site.live)


def test_no_litestream_on_the_path(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(site.root))
    assert "no such program" in site.refused().what
    with pytest.raises(UndropError, match="no litestream"):
        replica.restore(site.found(), site.root / "out")
    config.SYSTEM.parent.mkdir()
    shutil.move(site.config, config.SYSTEM)
    assert "no such program" in site.refused().what
    config.SYSTEM.write_text("dbs: []")
    assert config.find(site.root, None, site.live) is None


def after(site: Site, *, made: bool = False) -> str:
    """What is told after a step."""
    return sentence(replica.afterwards(site.found(), made=made))


def test_what_the_daemon_makes_of_a_step(site: Site) -> None:
    site.insert(5)
    assert not daemon.is_running(site.found())
    assert replica.before_removal(site.found()) == ""
    site.start()
    site.caught_up()
    assert daemon.is_running(site.found())
    assert "restored, it is the live database" in after(site)
    assert "stop it first" in replica.before_removal(site.found())
    with (
        closing(sqlite3.connect(":memory:")) as new,
        closing(sqlite3.connect(site.live, timeout=DEADLINE)) as live,
    ):
        new.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, text TEXT)")
        new.execute("INSERT INTO item VALUES (7, 'new')")
        new.commit()
        new.backup(live)
    site.caught_up()
    replica.restore(site.found(), site.root / "out")
    assert site.rows(site.root / "out") == [(7, "new")]


def test_what_was_not_seen_is_not_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.insert(5)
    site.start()
    site.caught_up()
    assert site.daemon
    monkeypatch.setattr(replica, "AFTERWARDS", 1)
    site.daemon.send_signal(19)  # SIGSTOP: it runs and does nothing
    assert "was not seen within 1 seconds" in after(site)
    site.daemon.send_signal(18)
    assert "may have the file open that was there before" in after(site, made=True)
    site.stop()
    assert "the replica is behind now" in after(site)


def test_a_daemon_whose_checkpoints_fail_is_said_to_need_a_restart(site: Site) -> None:
    site.config.write_text(
        site.config.read_text().replace(
            "    replica:", "    min-checkpoint-page-count: 12\n    replica:"
        )
    )
    site.insert(5)
    site.start()
    with closing(site.connect()) as connection:
        connection.execute("DROP TABLE _litestream_lock")
        site.commit(connection, 50)
        said = after(site)
    assert "was not seen to take the new content" in said
    assert "no such table: _litestream_lock" in said
    assert "Restart the litestream daemon" in said
    assert said.endswith("verify --litestream")


def test_what_no_waiting_changes_is_refused_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "FIRST_SNAPSHOT", 0)
    monkeypatch.setattr(daemon, "CATCH_UP", 10 * DEADLINE)
    site.configure(socket=False)
    site.insert(5)
    site.start()
    site.caught_up()
    shutil.rmtree(site.replica)
    refused: list[UndropError] = []
    asking = threading.Thread(target=lambda: refused.append(site.refused()), daemon=True)
    asking.start()
    asking.join(DEADLINE)
    assert "it is new, empty or gone" in "".join(error.what for error in refused)


def test_a_database_removed_under_the_daemon(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "FIRST_SNAPSHOT", 0.5)
    site.insert(5)
    site.start()
    site.caught_up()
    for file in site.live.parent.glob("app.db*"):
        file.unlink()
    assert "litestream sync says" in site.refused().what
    replica.restore(site.found(), site.root / "out")
    assert len(site.rows(site.root / "out")) == 5
    site.insert(3)
    site.stop()
    site.start()
    site.caught_up()
    assert len(site.rows()) == 3


def test_no_port_is_opened(site: Site) -> None:
    import psutil

    site.insert()
    site.start()
    assert site.daemon
    with suppress(psutil.AccessDenied):
        assert psutil.Process(site.daemon.pid).net_connections("inet") == []
