"""Others' sessions are named, and ended only when that is asked for."""

from contextlib import closing

from served import Served
from server import Server
from shop import Project


def test_a_session_that_is_in_the_way_is_named_and_ended_when_asked(
    stocked_server: Served, server: Server, each_served: Served
) -> None:
    project = each_served
    project.stock(stocked_server)
    before = project.content()
    project.ok("just", "backup")
    with closing(server.connect(project.name)) as other:
        other.execute("SET application_name = 'a report'")
        other.execute("BEGIN")
        other.execute("UPDATE items SET name = 'half done'")
        [pid] = other.execute("SELECT pg_backend_pid()").fetchone() or [0]
        named = project.just("status").out
        assert f"a report as postgres, idle in transaction (pid {pid})" in named
        done = project.just("nuke-db", "--disconnect")
        assert done.code == 0, done
        assert f"disconnected: a report as postgres, idle in transaction (pid {pid})" in done.err
    assert not project.exists()
    project.ok("just", "undo", "--disconnect")
    assert project.content() == before  # what was not committed is gone


def test_a_file_has_no_sessions_to_end(stocked: Project) -> None:
    done = stocked.just("nuke-db", "--disconnect")
    assert done.code == 2
    assert stocked.exists()
