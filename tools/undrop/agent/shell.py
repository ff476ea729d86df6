"""A shell's command line as its simple commands, as far as the standard library splits it."""

import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

LONGEST = 5_000  # characters of a command line that are looked at
SIGNS = "();<>|&\n`"
QUOTED = {ord(sign): 0xE000 + at for at, sign in enumerate(SIGNS + "$*?[~{'\"\\")}
"""What is quoted stands for itself: until the words are known it is something else."""
IN_DOUBLE = {sign: to for sign, to in QUOTED.items() if chr(sign) not in '$`"\\'}
PLAIN = {to: sign for sign, to in QUOTED.items()}
LITERAL = re.compile(r"""\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)"|(?<![^ \t\n;&|()])#[^\n]*""", re.S)
NESTED = re.compile(r"[`$(){}]|<[<>(]")
HERE_DOCUMENT = re.compile(r"(?<!<)<<(?!<)[^\n]*\n")
DESCRIPTOR = re.compile(r"(?<![^ \t\n;&|()])\d+(?=[<>])")
OPERATOR = re.compile(r"&?[<>]+[&|]?|.", re.DOTALL)
HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
AROUND = re.compile(
    r"((sudo|doas|env|nohup|time|nice|command|exec|timeout|xargs|(just|undrop|uv|poetry) run"
    r"|\{|!|if|then|elif|else|while|until|do|\w+=\S*)( (-\S*|\d+[smhd]?))* )*"
)


class Word(str):
    """A word as the command gets it, as far as it stands there."""

    path: Path | None  # the file that it would name; None where only the shell knows


class Simple(NamedTuple):
    """One simple command."""

    words: list[Word]
    writes: list[tuple[str, Word]]  # operators and files of redirections that write
    folder: Path | None  # where it runs, as far as ``cd`` tells

    def text(self) -> str:
        """Its words with one blank between them, and none inside."""
        return " ".join(re.sub(r"\s", "_", word) for word in self.words)

    def bare(self) -> "Simple":
        """It without ``sudo``, ``then``, ``X=1`` and the like before it."""
        around = AROUND.match(self.text())
        return self._replace(words=self.words[around[0].count(" ") if around else 0 :])


def split(text: str, folder: Path) -> tuple[list[Simple], bool]:
    """A line's simple commands before any here-document, and whether more is in it (ValueError)."""
    masked = DESCRIPTOR.sub("", LITERAL.sub(_mask, text[: LONGEST * 20]) + "\n")
    here = HERE_DOCUMENT.search(masked)
    known = masked[: here.end() if here else None]
    if len(known) > LONGEST or len(text) > LONGEST * 20:
        raise ValueError("it is too long to be looked at")
    lexer = shlex.shlex(known, posix=True, punctuation_chars=SIGNS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    commands: list[Simple] = []
    now, sign = Simple([], [], folder), ""
    for token in lexer:
        if not token or token[0] not in SIGNS:
            word = _word(token, now.folder)
            if not sign:
                now.words.append(word)
            elif ">" in sign and not re.fullmatch(r".*& (\d+|-)", f"{sign} {word}"):
                now.writes.append((sign, word))
            sign = ""
            continue
        for operator in OPERATOR.findall(token):
            sign = operator if {*operator} & {*"<>"} else ""
            if not sign:
                commands += [now] if now.words or now.writes else []
                now = Simple([], [], folder if operator == ")" else _left_in(now))
    return commands, bool(NESTED.search(masked))


def _mask(literal: re.Match[str]) -> str:
    escaped, single, double = literal.groups()
    if double is not None:
        return f'"{double.translate(IN_DOUBLE)}"'
    quoted = single if escaped is None else escaped
    return "" if quoted is None or escaped == "\n" else f"'{quoted.translate(QUOTED)}'"


def _word(token: str, folder: Path | None) -> Word:
    word = Word(token.translate(PLAIN))
    if home := HOME.match(token):
        token = os.path.expanduser("~") + token[home.end() :]  # noqa: PTH111 - never raises
    absolute = token[:1] == "/"
    known = token and not set(token) & {*"$`{"} and (absolute or (folder and token[0] != "~"))
    path = os.path.normpath("/" + (token if absolute else f"{folder}/{token}").lstrip("/"))
    word.path = Path(path.translate(PLAIN)) if known else None
    return word


def _left_in(simple: Simple) -> Path | None:
    name, *rest = simple.bare().words or [Word("")]
    to = [word for word in rest if not word.startswith("-")]
    return (to[0].path if to else None) if name in {"cd", "pushd", "popd"} else simple.folder
