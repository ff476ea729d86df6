"""The short list of what only reads, and needs no backup before it."""

import re

from undrop import recipes
from undrop.agent import shell
from undrop.agent.call import Call
from undrop.agent.shell import Simple

READERS = {
    "ls", "cat", "head", "tail", "wc", "pwd", "cd", "echo", "printf", "true", "false", ":", "test",
    "[", "stat", "du", "df", "which", "type", "grep", "egrep", "fgrep", "cut", "tr", "column", "jq",
    "diff", "cmp", "id", "whoami", "uname", "ps", "sleep", "basename", "dirname", "realpath",
    "readlink", "sha256sum", "md5sum",
}  # fmt: skip
READING = {
    "find": r"( (?!-(delete|exec|ok|fprint|fls))\S*)*",
    "sort": r"( (?!-\w*o|--o|--comp)\S*)*",
    "uniq": r"( -\S*)*",  # without its second file
    "date": r"( \+\S*)?",
    "rg": r"( (?!--(pre|host))\S*)*",
    "git": r"( --no-pager| -C \S*)? ((status|log|diff|show|blame|rev-parse|rev-list|ls-files"
    r"|ls-tree|describe|cat-file|show-ref|grep)( (?!--(ou|ext-d|textc|open)|-\w*O)\S*)*"
    r"|branch( -a| -v+| --show-current)?|remote( -v)?|stash list|worktree list|tag)",
    "docker": r" (ps|images|logs|inspect|version|compose ps|volume ls|network ls)( .*)?",
    "just": r" (--list|-l|--summary|--show|--version)( .*)?",
    "sed": r" -n [\d,$;p]+( [^-]\S*)*",
    "sqlite3": r"(?=.* -readonly )( -(readonly|json|csv|box|line|column|header))* [^-]\S*"
    r" (?i:(?!\S*(_\.|writefile|load_ext|edit\())(select|explain|with|\.(schema|tables|dump)))\S*",
    "undrop": r" ((list|status|verify|audit|diff|history|log|find)( .*)?"
    r"|sql (.* )?(?i:select|with|explain|values|pragma)_.*)",  # without a query it is a shell
}
"""What may follow: words, with a blank before each and none inside."""


def reads(call: Call) -> bool:
    """Whether the call plainly only reads."""
    # PowerShell quotes otherwise: what looks like a word there may be a command.
    if call.problem or call.kind != "shell" or call.tool.lower() in {"powershell", "pwsh"}:
        return call.kind == "reads" and not call.problem
    try:
        commands, nested = shell.split(call.command, call.folder)
    except ValueError:
        return False
    return bool(commands) and not nested and all(map(_reads, commands))


def _reads(simple: Simple) -> bool:
    name, blank, rest = simple.text().partition(" ")
    if name == "just" and simple.folder and not rest.startswith("-"):
        recipe, between, given = rest.partition(" ")
        name, rest = "undrop", recipes.command_of(recipe, simple.folder) + between + given
    following = READING.get(name, r"(?!)")
    is_reader = name in READERS or re.fullmatch(following, blank + rest)
    unsaid = all(re.fullmatch(r"/dev/(null|std(out|err))", word) for _, word in simple.writes)
    return bool(is_reader) and unsaid
