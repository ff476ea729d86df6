# undrop: before anything changes the schema or destroys data, a verified backup exists.
# The recipes of that are those that every project gets; here stand only this repository's own.

set positional-arguments

import 'tools/undrop/adopt/undrop.just'

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")
export UNDROP_INSTALL := "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'"

# Show this menu
[private]
default:
    @just --list --unsorted

# The whole thing on a throw-away database, in under a minute
[group("example")]
[no-exit-message]
tour: _undrop
    @python tools/quartermaster/tour.py

# Fill Quartermaster with that many rows of made-up stock
[group("example")]
[no-exit-message]
sample $rows="1000": (backup "before sample")
    @python tools/quartermaster/sample.py "$rows"

# All tests of SQLite and a smoke part of the rest, in parallel; arguments go to pytest
[group("develop")]
[no-exit-message]
test *args: _undrop
    @python -m pytest -n auto -m "not more" "$@"

# Every test: PostgreSQL, Litestream and a sample of the torture suite too
[group("develop")]
[no-exit-message]
test-all *args: _undrop
    @python -m pytest -n auto "$@"

# The tests of the core and of SQLite with branch coverage, at least 95 %
[group("develop")]
[no-exit-message]
cover: _undrop
    @coverage erase && coverage run -m pytest -q -n auto --ignore=tests/torture --ignore=tests/test_incidents.py --ignore=tests/postgres -k "not postgresql" && coverage combine -q && coverage report --omit='*/undrop/engines/postgres/*'

# The torture suite, all of it: crashes, power loss, faults, locks, hostile input
[group("develop")]
[no-exit-message]
torture *args: _undrop
    @UNDROP_TORTURE=full python -m pytest -q -n auto tests/torture tests/postgres/test_pg_kill.py tests/test_alike.py tests/test_loss_property.py tests/test_agent_bounds.py "$@"

# Adopt real applications from PyPI, migrate their old databases, undo (needs a network)
[group("develop")]
[no-exit-message]
wild *args: _undrop
    @UNDROP_WILD=1 python -m pytest -q tests/wild "$@"

# Speed, next to the obvious alternatives in the same run (--profile, --json, sizes)
[group("develop")]
[no-exit-message]
bench *args: _undrop
    @python bench "$@"

# Small faults in the modules that matter: which do the tests notice? (FILE…, --count, --seed)
[group("develop")]
[no-exit-message]
mutants *args: _undrop
    @python tests/mutants.py "$@"

# Write the tables of commands and of their keys in docs/reference.md anew
[group("develop")]
[no-exit-message]
reference: _undrop
    @PYTHONPATH=tools python tests/reference.py

# Format, lint and types
[group("develop")]
[no-exit-message]
lint: _undrop
    @ruff format --check . && ruff check . && mypy
