"""Two lines of each command that can be typed as they stand, for its help."""

EXAMPLES = {
    "backup": (
        ("undrop backup", "a checked copy in backups/"),
        ("undrop backup before lunch", "with a reason, which is part of its name"),
    ),
    "after-backup": (
        ("undrop after-backup", "hand on what was not taken yet"),
        ("undrop after-backup --json", "and what became of it, for a script"),
    ),
    "forget": (
        ("undrop list", "has the names"),
        ("undrop forget app-20260131-120000-manual.db", "that one, in the vault, too"),
    ),
    "pack": (
        ("undrop pack", "all that may be packed, at once"),
        ("undrop list", "what each takes on the disk"),
    ),
    "thin": (
        ("undrop thin", "what the rules no longer want; removes nothing"),
        ("undrop thin --yes", "remove it, everywhere"),
    ),
    "restore": (
        ("undrop restore latest --dry-run", "what it would cost and bring"),
        ("undrop restore 3", "by its number in the list"),
    ),
    "migrate": (
        ("undrop migrate", "to head"),
        ("undrop migrate -- dbmate up", "by another tool, on a copy first"),
    ),
    "rehearse": (
        ("undrop rehearse", "to head; nothing stays"),
        ("undrop rehearse 0006 --json", "to a revision, for a script"),
    ),
    "reset-db": (
        ("undrop reset-db", "empty, at head"),
        ("undrop undo", "and back"),
    ),
    "nuke-db": (
        ("undrop nuke-db", "no database at all"),
        ("undrop undo", "and back"),
    ),
    "undo": (
        ("undrop undo --list", "what was done, and what undo would do"),
        ("undrop undo --keep", "the step alone: others' work since stays"),
    ),
    "recover": (
        ("undrop recover", "what live lacks"),
        ("undrop recover 'rows items' --dry-run", "what would come back of a table's rows"),
    ),
    "list": (
        ("undrop list -n 5", "the five newest"),
        ("undrop list --json", "all of them, for a script"),
    ),
    "verify": (
        ("undrop verify", "every backup"),
        ("undrop verify latest", "that one"),
    ),
    "status": (
        ("undrop status", "is it whole, is it backed up, what can be typed"),
        ("undrop status --json", "for a prompt or a script"),
    ),
    "audit": (
        ("undrop audit", "all that can be checked; exit 4 with what to do"),
        ("undrop audit --json", "for a schedule"),
    ),
    "diff": (
        ("undrop diff", "what changed since the latest backup"),
        ("undrop diff 2 3 --rows items", "the rows of a table, between two backups"),
    ),
    "sql": (
        ("undrop sql 'SELECT count(*) FROM items'", "on live, read only"),
        ("undrop sql latest 'SELECT * FROM items' --csv", "on a backup, as CSV"),
    ),
    "history": (
        ("undrop history", "a table by time"),
        ("undrop history --html history.html", "a page that shows what changed"),
    ),
    "log": (
        ("undrop log items", "the life of a table"),
        ("undrop log items 7", "of the row whose key is 7"),
    ),
    "find": (
        ("undrop find hex bolt", "which rows hold that text"),
        ("undrop find 4711 --json", "numbers are text, too"),
    ),
    "run": (
        ("undrop run -- rm app.db", "any command, behind a backup"),
        ("undrop run -- python fix.py --all", "with options of its own"),
    ),
    "init": (
        ("undrop init --dry-run", "only show what would change"),
        ("undrop init --url sqlite:///app.db", "where the database is not found"),
    ),
    "agent-hook": (
        ("undrop agent-hook --explain 'rm app.db'", "what an agent's call would be told"),
        ("undrop agent-hook --for claude", "what a hook calls, with JSON on stdin"),
    ),
    "completion": (
        ('eval "$(undrop completion bash)"', "in ~/.bashrc; zsh likewise, in ~/.zshrc"),
        ("undrop completion fish", "into ~/.config/fish/completions/undrop.fish"),
    ),
}
"""By command: what is typed, and what it does."""


def told(command: str) -> str:
    """The end of a command's help."""
    lines = EXAMPLES[command]
    width = max(len(line) for line, _ in lines)
    return "\nexamples:\n" + "".join(f"  {line:<{width}}  {what}\n" for line, what in lines)
