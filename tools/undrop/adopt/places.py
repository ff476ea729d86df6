"""Where Alembic's configuration is: beside the project, in a folder of it, in pyproject.toml."""

import configparser
from pathlib import Path
from typing import NamedTuple, Self

from alembic.config import Config

from undrop import folders, settings
from undrop.migrations import flask_app

INI, TOML = "alembic.ini", "pyproject.toml"
SECTION = "alembic"
"""The section that Alembic reads where nobody says ``-n``."""


class Place(NamedTuple):
    """A configuration of Alembic's."""

    file: Path
    sections: tuple[str, ...] = (SECTION,)
    """Those of the file that say where migrations are, Alembic's own first."""
    flask: bool = False
    """Whether it is Flask-Migrate's: its env.py lies beside it, and the application says all."""

    def with_section(self, name: object) -> Self:
        """The same with a section first, where the file has it."""
        if name not in self.sections:
            return self
        return self._replace(sections=(str(name), *(s for s in self.sections if s != name)))

    @property
    def config(self) -> dict[str, str]:
        """What ``alembic.config.Config`` takes to read it."""
        toml = self.file.with_name(TOML)
        files = {"file_": str(self.file)} if self.file != toml else {}
        if SECTION in settings.tools(self.file.parent):
            files["toml_file"] = str(toml)  # since Alembic 1.16
        if self.sections[0] != SECTION:
            files["ini_section"] = self.sections[0]
        return files

    def scripts(self, root: Path) -> set[Path]:
        """Folders with an ``env.py`` that it may mean: where Alembic is called from is not told."""
        if self.flask:
            return {self.file.parent}
        config = Config(**self.config, ini_section=self.sections[0])  # type: ignore[arg-type]
        name = config.get_main_option("script_location") or ""
        folders = {Path(folder, name).resolve() for folder in (self.file.parent, root)}
        return {folder for folder in folders if (folder / "env.py").is_file()}


def at(file: Path) -> Place | None:
    """What a file is; None when no migrations are to be found by it."""
    in_toml = SECTION in settings.tools(file.parent)
    if file.name == TOML or not file.is_file():
        return Place(file.with_name(TOML)) if in_toml else None
    if not in_toml and flask_app.folder({"file_": str(file)}):
        return Place(file, flask=True)
    sections = _sections(file)
    if SECTION in sections or in_toml:
        return Place(file, (SECTION, *(name for name in sections if name != SECTION)))
    if sections:
        return Place(file, tuple(sections))
    return None


def every(root: Path) -> list[Place]:
    """All that lie in a project, nearest first. Raises UsageError."""
    places = []
    for folder, files in folders.below(root):
        names = {file.name for file in files}
        if found := at(folder / INI) if INI in names else None:
            places.append(found)
        elif TOML in names and (in_toml := at(folder / TOML)):
            places.append(in_toml)
    return places


def _sections(ini: Path) -> list[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(ini, "utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return [SECTION]  # Alembic says what is wrong with it
    return [name for name in parser.sections() if parser.has_option(name, "script_location")]
