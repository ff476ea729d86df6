# undrop: before anything changes the schema or destroys data, a verified backup exists.

set positional-arguments

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")
export UNDROP_INVOKED_FROM := invocation_directory()

# Show this menu
[private]
default:
    @just --list --unsorted

# A verified backup of the database; the reason becomes part of its name
[group("guard")]
[no-exit-message]
backup $reason="manual" $before="":
    @command -v undrop >/dev/null || exec just _ready; exec undrop backup --before="$before" -- "$reason"

# Put a backup back: a path, a name in backups/, or latest
[group("guard")]
[no-exit-message]
restore +file: (backup "before restore" "restore")
    @undrop restore "$@"

# Bring the schema to a revision (head), checked before it counts
[group("guard")]
[no-exit-message]
migrate *args: (backup "before migrate" "migrate")
    @undrop migrate "$@"

# What migrate would do and lose, tried on copies; exit 4 when data would be lost
[group("guard")]
[no-exit-message]
rehearse *args: _ready
    @undrop rehearse "$@"

# Any command, behind a backup: just run rm quartermaster.db
[group("guard")]
[no-exit-message]
run +command: _ready
    @undrop run -- "$@"

# Back to the state before the last step; twice is redo (--list)
[group("guard")]
[no-exit-message]
undo *args: (backup "before undo" "undo")
    @undrop undo "$@"

# An empty database at head
[group("guard")]
[no-exit-message]
reset-db *args: (backup "before reset-db" "reset-db")
    @undrop reset-db "$@"

# No database at all
[group("guard")]
[no-exit-message]
nuke-db *args: (backup "before nuke-db" "nuke-db")
    @undrop nuke-db "$@"

# The backups, newest first (--json)
[group("look")]
[no-exit-message]
list *args: _ready
    @undrop list "$@"

# Prove that a backup, or every one, is whole (--json)
[group("look")]
[no-exit-message]
verify *args: _ready
    @undrop verify "$@"

# Where things stand; exit 4 when the present state has no backup (--json)
[group("look")]
[no-exit-message]
status *args: _ready
    @undrop status "$@"

# Rows added, removed and changed between two backups, or since the latest (--json)
[group("look")]
[no-exit-message]
diff *args: _ready
    @undrop diff "$@"

# Size and rows over the backups, drawn as a chart
[group("look")]
[no-exit-message]
history *args: _ready
    @undrop history "$@"

# Remove a backup everywhere, on purpose
[group("look")]
[no-exit-message]
forget name: _ready
    @undrop forget -- "$@"

# The whole thing on a throw-away database, in under a minute
[group("example")]
[no-exit-message]
tour: _ready
    @python tools/quartermaster/tour.py

# Fill Quartermaster with that many rows of made-up stock
[group("example")]
[no-exit-message]
sample $rows="1000": (backup "before sample")
    @python tools/quartermaster/sample.py "$rows"

# All tests of SQLite and a smoke part of the rest, in parallel; arguments go to pytest
[group("develop")]
[no-exit-message]
test *args: _ready
    @python -m pytest -n auto -m "not more" "$@"

# Every test: PostgreSQL, Litestream and a sample of the torture suite too
[group("develop")]
[no-exit-message]
test-all *args: _ready
    @python -m pytest -n auto "$@"

# The tests of the core and of SQLite with branch coverage, at least 95 %
[group("develop")]
[no-exit-message]
cover: _ready
    @coverage erase && coverage run -m pytest -q -n auto --ignore=tests/torture --ignore=tests/test_incidents.py --ignore=tests/postgres -k "not postgresql" && coverage combine -q && coverage report --omit='*/undrop/engines/postgres/*'

# The torture suite, all of it: crashes, power loss, faults, locks, hostile input
[group("develop")]
[no-exit-message]
torture *args: _ready
    @UNDROP_TORTURE=full python -m pytest -q -n auto tests/torture tests/postgres/test_pg_kill.py "$@"

# Adopt real applications from PyPI, migrate their old databases, undo (needs a network)
[group("develop")]
[no-exit-message]
wild *args: _ready
    @UNDROP_WILD=1 python -m pytest -q tests/wild "$@"

# Speed, next to the obvious alternatives in the same run (--profile, --json, sizes)
[group("develop")]
[no-exit-message]
bench *args: _ready
    @python bench "$@"

# Small faults in the modules that matter: which do the tests notice? (FILE…, --count, --seed)
[group("develop")]
[no-exit-message]
mutants *args: _ready
    @python tests/mutants.py "$@"

# Write the table of commands in docs/reference.md anew from the command line
[group("develop")]
[no-exit-message]
reference: _ready
    @PYTHONPATH=tools python tests/reference.py

# Format, lint and types
[group("develop")]
[no-exit-message]
lint: _ready
    @ruff format --check . && ruff check . && mypy

[no-exit-message]
_ready:
    @command -v undrop >/dev/null || { echo "undrop is not installed here. Run:  python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'" >&2; exit 2; }
