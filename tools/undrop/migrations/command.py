"""A migration tool of any make: a command that is led to the work copy by a variable, or a word.

Nothing is known of what it does but by looking: no fence is around it, and which migrations ran
nobody tells. ``steps.strayed`` looks whether it went to the live database instead.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from undrop import durable, folders
from undrop.engines import registry
from undrop.errors import UndropError, UsageError
from undrop.migrations.flask_app import LOADING
from undrop.recipes import Action, Setting, standing
from undrop.values import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from undrop.settings import Settings
    from undrop.values import Target

URL = "{url}"
PLACES = ("{path}", URL)
"""What is filled in: the absolute path of the work copy, or SQLAlchemy's URL of it."""
CREATE = "migrate-create"
UNKNOWN = Moved([], [], 1, [], "", [], 0.0)
"""What is known of a run by itself."""
PATIENCE = 300  # seconds, where nobody looks on
OPERATORS = "();<>|&"  # of a shell's
DOOR = 3  # words by which a command is known
AGAIN = "correct that, then the same command again"


class Command:
    """One run of the project's own migration command, or of one that was typed (``tool.Tool``).

    Raises UsageError for what cannot be started, and for what nothing leads to the work copy.
    """

    in_place = False
    fenced = False
    together = False
    reads_accepts_loss = False
    rows = None

    def __init__(
        self,
        settings: "Settings",
        words: "Sequence[str]",
        *,
        typed: bool = False,
        output: "IO[bytes] | None" = None,
    ) -> None:
        """``typed``: it was, and is not the settings'. ``output``: where what it says goes.

        With an ``output`` it is asked nothing, and has PATIENCE seconds.
        """
        self.settings, self._words, self._typed = settings, [*words], typed
        self._output = output
        self.goes_to: list[str] | None = []
        self.name = shlex.join(words)
        self._create = split(settings.migrate_create, CREATE) if settings.migrate_create else []
        self._folder = standing() if typed else settings.root
        for command, folder in ((self._words, self._folder), (self._create, settings.root)):
            if command and not _is_there(command[0], folder):
                raise UsageError(f"there is no command {command[0]}", "install it, or correct that")
        form = settings.migrate_url or URL
        if not _has_place([form]):
            raise UsageError(
                f"migrate-url is {form!r}, in which there is no place for the database",
                Setting('migrate-url = "file:{path}"'),
                ", or with {url}",
            )
        if not (settings.variable or _has_place(self._words)):
            raise UsageError(
                f"nothing leads `{self.name}` to the work copy",
                Setting('url-variable = "DATABASE_URL"'),
                ", the variable that it reads; or put {path} or {url} where it takes the database",
            )

    @property
    def door(self) -> str:
        """Its first words, which are what is typed by hand as well."""
        plain = (word for word in self._words if word[:1] != "-" and not _has_place([word]))
        return " ".join(islice(plain, DOOR))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def typed(self, *options: str) -> Action:
        """The same asked for once more, with such options."""
        return Action("migrate", *options, *(["--", *self._words] if self._typed else []))

    def run(self, target: "Target") -> Moved:
        """Run it on ``target``, which it is told of in its own form; ``steps`` is 1.

        Raises UsageError, and UndropError with its exit code when it fails.
        """
        began = time.monotonic()
        environment = {**os.environ, LOADING: "1"}  # env.py's hook takes the copy for the database
        if variable := self.settings.variable:
            form = self.settings.migrate_url or URL
            environment[variable] = self._filled(form, target, plain=False)
        files_before = written(self.settings)
        try:
            if self._create and self._is_file and not durable.size(Path(target.database)):
                Path(target.database).unlink()
                self._start(self._create, self.settings.root, target, environment)
            self._start(self._words, self._folder, target, environment)
        finally:
            self._tell(files_before)
        if self._is_file and not Path(target.database).is_file():
            raise UndropError(f"`{self.name}` took away the copy that it was led to", AGAIN)
        table = self.settings.engine.session.version_table
        return UNKNOWN._replace(version_table=table, seconds=time.monotonic() - began)

    def roll_back(self) -> None:
        """Nothing: it has committed what it did."""

    def discard(self) -> None:
        """Nothing: what it made beside the work copy is not known."""

    @property
    def _is_file(self) -> bool:
        return self.settings.engine.file is not None

    def _filled(self, text: str, target: "Target", *, plain: bool) -> str:
        kind, url = self.settings.engine.kind, self.settings.url
        return registry.named(text, kind, url, target, is_file=self._is_file, plain=plain)

    def _start(
        self, words: "Sequence[str]", folder: Path, target: "Target", environment: dict[str, str]
    ) -> None:
        filled = [self._filled(word, target, plain=True) for word in words]
        asked, ask = os.pipe()
        try:
            with subprocess.Popen(  # noqa: S603 - our own module, and the user's command
                [sys.executable, "-P", "-m", "undrop.migrations.leash", str(asked), *filled],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL if self._output else None,
                stdout=self._output or 2,
                stderr=self._output,
                pass_fds=[asked],
            ) as process:
                try:
                    code = process.wait(PATIENCE if self._output else None)
                except subprocess.TimeoutExpired:
                    raise UndropError(
                        f"`{shlex.join(words)}` did not come to an end in {PATIENCE} seconds", AGAIN
                    ) from None
                finally:  # before it is waited for
                    os.close(ask)
                    ask = -1
        finally:
            os.close(asked)
            if ask >= 0:
                os.close(ask)
        if code:
            raise UndropError(f"`{shlex.join(words)}` ended with {code}", AGAIN)

    def _tell(self, files_before: dict[str, tuple[int, ...]]) -> None:
        """Have the session say which of the project's files were written meanwhile."""
        files = written(self.settings)
        changed = {name for name, facts in files.items() if files_before.get(name) != facts}
        self.settings.engine.session.wrote.update(changed | (files_before.keys() - files.keys()))


def of_settings(
    settings: "Settings", words: "Sequence[str]" = (), output: "IO[bytes] | None" = None
) -> Command:
    """The project's own. Raises UsageError, also for words, of which it would know nothing."""
    command = split(settings.migrate_command, "migrate-command")
    if words:
        raise UsageError(
            f"migrate-command is `{settings.migrate_command}`, and takes no {' '.join(words)}",
            Action("migrate", "--", *command),
            ", with what it is to do",
        )
    return Command(settings, command, output=output)


def written(settings: "Settings") -> dict[str, tuple[int, ...]]:
    """Files of the project's by their names, and what changes when one is written.

    A bounded look (``folders``): not what is hidden, nor databases and their backups.
    """
    engine, files = settings.engine, dict[str, tuple[int, ...]]()
    live = f"{engine.file}" if engine.file else "\0"
    for folder, children in folders.below(settings.root, apart=[settings.backups]):
        for child in children:
            path = folder / child.name
            if child.name.startswith(".") or str(path).startswith(live):
                continue
            with suppress(OSError):
                facts = child.stat(follow_symlinks=False)
                is_known = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                files[str(path.relative_to(settings.root))] = is_known
    return files


def split(line: str, setting: str) -> list[str]:
    """The words of a ``setting``'s line. Raises UsageError for what no shell will read."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        if signs := [word for word in lexer if word and {*word} <= {*OPERATORS}]:
            raise UsageError(
                f"{setting} has {signs[0]} in it, and no shell reads it",
                "put what it is to do into a script",
            )
        if words := shlex.split(line):
            return words
    except ValueError as error:
        raise UsageError(f"{setting} is no command's line: {error}", "correct it") from None
    raise UsageError(f"{setting} is empty", "correct it")


def _is_there(program: str, folder: Path) -> bool:
    """Whether it can be started in that folder."""
    if "/" in program:
        return os.access(folder / program, os.X_OK)
    return shutil.which(program) is not None


def _has_place(words: "Sequence[str]") -> bool:
    return any(place in word for word in words for place in PLACES)
