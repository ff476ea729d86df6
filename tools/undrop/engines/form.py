"""How tools other than SQLAlchemy name a database: ``file:./app.db``, ``postgres://…``, a path.

A form is a text with ``{path}`` in it, or with ``{url}`` for SQLAlchemy's own URL.
"""

import re
from urllib.parse import unquote

PATH, URL = "{path}", "{url}"
SCHEME = re.compile(r"[a-zA-Z][\w+.-]+:")
SIMPLE = re.compile(r"[\w./-]+", re.ASCII)
SERVERS = {"postgres", "psql", "pgsql", "postgis"}
"""How others call what is postgresql:// to SQLAlchemy (dj-database-url, django-environ, libpq)."""
MARKS = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})
"""What would end the path in a URL."""


def read(given: str, form: str) -> str:
    """SQLAlchemy's URL for what a tool is ``given`` in that ``form``; any other text as it is."""
    path = _path(given, form) if PATH in form else None
    if path is not None:
        return _of_file(path)
    scheme, mark, rest = given.partition("://")
    return _of_server(rest) if mark and scheme in SERVERS else given


def _of_server(rest: str) -> str:
    """A server's URL; a socket's folder may stand where the host does, each slash as %2F."""
    user, host, more = re.fullmatch(r"([^@/?]*@)?([^/?]*)(.*)", rest, re.DOTALL).groups("")  # type: ignore[union-attr]  # any text
    if not host.lower().startswith("%2f"):
        return f"postgresql://{rest}"
    return f"postgresql://{user}{more}{'&' if '?' in more else '?'}host={unquote(host)}"


def filled(form: str, path: str) -> str:
    """The ``form`` with the path of a file in it."""
    is_url = SCHEME.match(form)
    return form.replace(PATH, path.translate(MARKS) if is_url else path)


def _path(given: str, form: str) -> str | None:
    before, _, after = form.partition(PATH)
    is_url = SCHEME.match(form)
    if not given.startswith(before) or (not is_url and SCHEME.match(given)):
        return None
    path = given[len(before) :]
    if after and path.endswith(after):
        path = path[: -len(after)]
    return unquote(re.split(r"[?#]", path, maxsplit=1)[0]) if is_url else path


def _of_file(path: str) -> str:
    if SIMPLE.fullmatch(path):
        return f"sqlite:///{path}"
    from sqlalchemy import engine  # which signs its releases read in another way, it knows

    return engine.URL.create("sqlite", database=path).render_as_string(hide_password=False)
