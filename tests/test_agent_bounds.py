"""Nothing that a payload says makes the judge run for long, take much memory or start a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shop import Project
from tally import FULL

MANY = 10_000 if FULL else 300


def test_no_payload_takes_long_or_much_memory_or_starts_a_process(project: Project) -> None:
    """Counted by the system, which ends a process that takes more."""
    script = Path(__file__).with_name("fuzzed.py")
    fuzzed = subprocess.Popen(
        [sys.executable, script, project.root, str(MANY), "20"],
        cwd=project.root,
        env={**project.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    said, _ = fuzzed.communicate()
    assert (fuzzed.returncode, said) == (0, f"{MANY} payloads\n".encode())
    with pytest.raises(ProcessLookupError):
        os.killpg(fuzzed.pid, 0)
