"""Every line that a page says to type ends as the page says.

Those in blocks, and those of ``just`` and ``undrop`` in the text, each where something was backed
up and a step lost rows: in the worked example, and in a project that was adopted.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import REPOSITORY, Project

PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")])
PAGES += [REPOSITORY / "backups/README.md", REPOSITORY / "CLAUDE.md"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARKED = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)

Block = tuple[tuple[str, str], ...]
LOSS = "DELETE FROM stock_movements WHERE item_id IN (9, 42)"
VALUES = {
    "just restore NAME": "just restore stocktaking",
    "just restore PATH": "just restore backups/*stocktaking.db",
    "just restore FILE": "just restore latest",
    "just verify [FILE]": "just verify latest",
    "just recover NAME": "just recover stock_movements",
    "just forget NAME": 'just forget "$(basename backups/*stocktaking.db)"',
    "just log TABLE": "just log items",
    "just log TABLE KEY": "just log items 42",
    "just log TABLE [KEY…]": "just log items 42",
    "just log stock 3 berlin": "just log items 3",
    "just find TEXT": "just find bolt",
    "just run COMMAND…": "just run true",
    "just run COMMAND": "just run true",
    "just migrate [revision]": "just migrate head",
    "just rehearse [revision]": "just rehearse head",
    "just backup [reason…]": "just backup before lunch",
    "just sql [FILE] [QUERY]": "just sql latest 'SELECT 1'",
    "just diff [A] [B]": "just diff latest live",
    "just recover [NAME…]": "just recover stock_movements",
    "undrop COMMAND --help": "undrop status --help",
    "undrop init --url URL": "undrop init --url sqlite:///quartermaster.db",
}
"""What is put in the place of a word in capitals."""

CODES = {
    "just recover": 4,  # it only says what live lacks
    "undrop recover": 4,
    "just recover items.price_cents": 4,  # two values stay as live has them
    "just recover table supplier_contacts": 2,  # the schema has no place for it
    "undrop restore nowhere": 2,
    'just sql "DELETE FROM items"': 2,
}
"""How a line ends that does not end with 0."""

BEFORE = {
    "just run rm quartermaster.db": "UPDATE items SET price_cents = 7 WHERE id = 1",
    "just backup": "DELETE FROM stock_movements",
    "just recover": "INSERT INTO locations (code) VALUES ('NEW')",
    "just recover items.price_cents": "UPDATE items SET price_cents = "
    "CASE WHEN id IN (50, 51) THEN 1 END WHERE id > 40",
    "just recover table supplier_contacts": "DROP TABLE supplier_contacts",
}
"""What happens before a line is typed that shows what is said then."""

SHOWN = {
    *BEFORE.keys(),
    *("just undo", "just recover rows stock_movements", "undrop restore nowhere"),
    *(f"undrop agent-hook --explain {each}" for each in ("'rm quartermaster.db'", "ls")),
    *("undrop agent-hook --explain 'git clean -fdx'", 'just sql "DELETE FROM items"'),
}
"""Lines whose output on a page is compared; where it is of another database, it is not."""
OF_OTHERS = {("migrations.md", "just undo")}

LEFT = {
    r"just (test|test-all|lint|cover|torture|wild|bench|mutants|reference|tour)\b": "CI's",
    r"(just|undrop) (run|restore|forget|log|find|agent-hook)$|undrop forget NAME": "a name",
    r".* ?…$": "a name",
    r"python3 -m venv|cd your-project|pip install|uvx|.*\b(npx|airflow|buildbot)\b": "a network",
    r".*\bmanage.py|just migrate (stock|\[APP)": "Django: tests/test_django.py",
    r"cd (FOLDER|backend) ": "a project that is not at the top: tests/wild",
    r".*--db ": "several databases: tests/test_databases.py",
    r".*litestream": "Litestream: tests/test_litestream.py",
    r"just sample": "the example's own: tests/test_sample.py",
    r"export .*postgresql|.*\bpsql\b": "a server: tests/postgres",
    r"restic|rclone|age|mkdir -p backups|for file": "tests/test_off_the_machine.py",
    r"undrop after-backup": "tests/test_after_backup.py",
    r"cd backups|python3 -c|zstd": "tests/test_pack.py",
    r"undrop migrate -- COMMAND": "tests/test_command.py",
}
"""What is not typed here, by how it begins; and what types it, or why."""


def is_left(line: str) -> bool:
    return line not in VALUES and any(re.match(pattern, line) for pattern in LEFT)


def blocks(page: Path) -> Iterator[Block]:
    """What a page says to type: lines that belong together, each with what it says, if shown."""
    text = MARKED.sub("", page.read_text("utf-8"))
    for kind, block in FENCED.findall(text):
        if kind == "sh":
            yield tuple((line.partition(" #")[0].rstrip(), "") for line in block.splitlines())
        else:
            typed = [each.partition("\n") for each in f"\n{block}".split("\n$ ")[1:]]
            yield tuple((line, said) for line, _, said in typed)
    for words in re.findall(r"`([^`]+)`", FENCED.sub("", text)):
        line = " ".join(words.split())
        if re.match(r"(.* && )?(just|undrop) ", line):
            yield ((line, ""),)


EVERY = {
    block: page.name
    for page in reversed(PAGES)
    for block in blocks(page)
    if block and not any(is_left(line) for line, _ in block)
}


def alike(text: str) -> set[str]:
    """The lines of it without what differs each time: folders, names, ages, numbers."""
    for what, same in (
        (r"/[^ ']*/(?=quartermaster|backups)", ""),
        (r"quartermaster-[\w-]+\.db", "BACKUP"),
        (r"just now|\d+ \w+ ago", "AGO"),
        (r"\d[\d,.]*", "0"),
    ):
        text = re.sub(what, same, text)
    return {" ".join(line.split()) for line in text.splitlines()}


@pytest.fixture(scope="session", params=["example", "adopted"])
def lived(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Path]:
    """A project that something happened in, and a copy of all its files."""
    made = Project(tmp_path_factory.mktemp("typed") / "shop")
    made.environment["HOME"] = str(made.root)  # a line may go there
    made.ok("just", "migrate")
    made.ok("just", "--no-deps", "sample", "500")
    if request.param == "adopted":
        for name in ("justfile", "pyproject.toml"):
            (made.root / name).unlink()
        made.ok("undrop", "init")
    made.ok("just", "backup", "stocktaking")
    made.ok("just", "run", *made.client(LOSS))
    (made.root / "reset.py").touch()
    copy = made.root.parents[1] / f"copy of {request.param}"
    made.ok("cp", "-a", str(made.root.parent), str(copy))
    return made, copy


@pytest.fixture
def shop(lived: tuple[Project, Path]) -> Project:
    """The same anew, in the same folder: in another one it would be another project."""
    made, copy = lived
    for folder in (made.root, Path(made.environment["XDG_STATE_HOME"])):
        made.ok("find", str(folder), "-mindepth", "1", "-delete", cwd=copy)
        made.ok("cp", "-a", f"{copy / folder.name}/.", str(folder), cwd=copy)
    return made


@pytest.mark.more
@pytest.mark.parametrize("block", EVERY, ids=lambda block: f"{EVERY[block]}: {block[0][0]}")
def test_a_line_on_a_page_ends_as_the_page_says(shop: Project, block: Block) -> None:
    for line, said in block:
        if line in BEFORE:
            shop.sql(BEFORE[line])
        done = shop.run("/bin/sh", "-c", VALUES.get(line, line))
        assert done.code == CODES.get(line, 0), (line, done)
        if line in SHOWN and (EVERY[block], line) not in OF_OTHERS:
            assert alike(said) <= alike(done.out + done.err) | {""}, (line, done)
