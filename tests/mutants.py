"""``just mutants``: small faults in the modules that matter, each of which a test should notice.

cosmic-ray makes the faults and runs the tests, in copies of the checkout. It is a measurement: a
mutant that survives is a line that no test in its row asks about, or a fault that changes nothing
anybody could see; which of the two, a person has to say.
"""

import argparse
import ast
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from importlib.util import cache_from_source
from itertools import islice
from pathlib import Path
from typing import NamedTuple

try:
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_and_test, mutate_code
    from cosmic_ray.plugins import get_operator, operator_names
    from cosmic_ray.testing import run_tests
    from cosmic_ray.work_item import MutationSpec
except ModuleNotFoundError:
    sys.exit("cosmic-ray is not installed here. Run:  .venv/bin/pip install -e '.[dev,mutants]'")

REPOSITORY = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")  # noqa: S108 - fsync costs nothing there; a folder of our own in it

SQLITE = "not postgresql"
PYTEST = shlex.join((sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"))
COMPARE = (
    "compare/comparison compare/ddl compare/files compare/guarantees compare/losses"
    " compare/pairing compare/rows"
)
ROWS = {
    "store/catalog": "tests/test_catalog.py tests/test_vault.py tests/engines/test_vault.py"
    " tests/engines/test_backup.py tests/engines/test_looks.py tests/engines/test_restore.py"
    f" -k '{SQLITE} and (test_catalog or test_vault or test_backup or list_shows or record"
    " or latest or not_there)'",
    "store/vault": "tests/test_vault.py tests/engines/test_vault.py",
    "steps/guarded": "tests/test_guarded.py tests/test_steps.py tests/test_moving_targets.py"
    " tests/test_busy.py",
    "engines/sqlite/swap engines/sqlite/replace engines/sqlite/livefiles": "tests/test_swap.py"
    " tests/test_space.py tests/test_restore.py tests/test_moving_targets.py",
    COMPARE: "tests/test_comparison.py tests/test_loss_words.py tests/test_full_text.py"
    " tests/test_large_tables.py tests/test_loss.py"
    " tests/engines/test_diff.py",
}
TESTS = {
    f"tools/undrop/{name}.py": f"{PYTEST} --hypothesis-seed=0 -k '{SQLITE}' {row}"
    for names, row in ROWS.items()
    for name in names.split()
}
"""The command that runs what should notice a fault in a module, the quickest tests first."""

OPERATORS = re.compile(
    r"core/(AddNot|Replace(And|Or|True|False|Break|Continue)With\w+|ZeroIterationForLoop"
    r"|(Number|Exception)Replacer|RemoveDecorator|Replace\w+_(Delete_\w+|Eq_NotEq|NotEq_Eq|Lt_LtE"
    r"|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is|Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul"
    r"|BitAnd_BitOr|BitOr_BitAnd))"
)
"""cosmic-ray puts every operator in another's place: the nearest will do. ``/`` joins paths."""

UNSEEN = {
    r"strict=False": "two lists of one length, made side by side",
    r"(fetchone\(\)|ask\(.*\)(\[0\])?|rows: .*found\[[01]\])\[-1\]": "one row, or one column",
    r"connections\[-?1\]": "two connections that are alike",
    r"(STEP|CACHE|CHUNK|LARGE) = ": "how much at a time, and from when on: speed alone",
    r"STEM_LENGTH = ": "any that leaves room for the rest of a file's name",
    r'progress\("compare", ': "a sign of life; how far it is, SQLite does not tell",
    r"files: return found\[-1\]": "there is one comparison",
    r"files: alike = .* < new": "tables with the same columns are told apart before",
    r"guarantees: .*like\[-1\]": "there is one such key, or any of several will do",
    r"pairing: continue": "a place in a key is one column's: no other takes it",
    r"pairing: .*old\[-1\]": "a key that is the rowid has one column",
    r"pairing: .*new\[-1\]": "in a key that was found no column is NULL",
    r"rows: .*found\[- 0\]\.lost": "the least loss is taken in the end, too",
    r"rows: (if not high or |middle = |.*ThreadPool)": "which thread counts a row: speed alone",
    r"rows: .* rowid else \((0, -?1|-?1, 0)\)": "without a rowid: a span too short to be cut",
    r"replace: umask = ": "set back in the next line",
    r"swap: .*monotonic\(\) >= deadline": "the clock goes on",
    r"swap: .*sleep= ?1": "a lock is asked for less often",
    r"swap: pages = max\((0,|.*count - 2)": "a source has two pages; a smaller step is a step",
    r"vault: .*follow_symlinks=True": "Linux's link(2) follows none either",
}
"""Faults that nobody can see are not drawn: what the line becomes, after its module, and why."""


class Mutant(NamedTuple):
    """One fault: where it is, and how cosmic-ray makes it."""

    path: str
    line: int
    operator: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operator.removeprefix('core/')}"


Answer = tuple[str, float, str]
"""What the tests said to a mutant: how they ended, after how many seconds; the mutant as a diff."""


class Bare(ast.NodeTransformer):
    """Takes away what no test is to notice: annotations, code for type checkers only, messages."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        match node:
            case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
                return None
            case ast.arg() | ast.AnnAssign():
                node.annotation = ast.Constant(None)
            case ast.FunctionDef():
                node.returns = None
            case ast.Raise():
                for text in ast.walk(node):
                    if isinstance(text, ast.JoinedStr):
                        text.values = []
        return self.generic_visit(node)


def bare(code: str) -> str:
    """What is left of a module; raises SyntaxError."""
    return ast.dump(Bare().generic_visit(ast.parse(code)))


def mutants(paths: list[str], seed: int) -> Iterator[Mutant]:
    """Every mutant of these modules that can be seen, in an order that ``seed`` decides."""
    code = {path: (REPOSITORY / path).read_text("utf-8") for path in paths}
    names = sorted(filter(OPERATORS.fullmatch, operator_names()))
    every = []
    for path, text in code.items():
        nodes = list(ast_nodes(get_ast(text)))
        for name in names:
            operator = get_operator(name)()
            places = [place for node in nodes for place in operator.mutation_positions(node)]
            every += [Mutant(path, line, name, at) for at, ((line, _), _) in enumerate(places)]
    random.Random(seed).shuffle(every)  # noqa: S311 - a draw, no secret
    plain = {path: bare(text) for path, text in code.items()}
    for mutant in every:
        changed = mutate_code(code[mutant.path], get_operator(mutant.operator)(), mutant.occurrence)
        with suppress(SyntaxError):  # the bare * among parameters passes for an operator
            if bare(changed) != plain[mutant.path] and not unseen(mutant, code, changed):
                yield mutant


def unseen(mutant: Mutant, code: dict[str, str], changed: str) -> bool:
    """Whether a mutant is one of those that are known to change nothing."""
    lines = zip(code[mutant.path].splitlines(), changed.splitlines(), strict=False)
    line = next((new for old, new in lines if old != new), "")
    tight = re.sub(r"(?<=[\[(]) ", "", line.strip())
    return any(re.search(known, f"{Path(mutant.path).stem}: {tight}") for known in UNSEEN)


def enter(folder: Path) -> None:
    """Give this process a copy of the checkout, which the tests and their children then run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: what is under way comes to its end
    copy, temporary = folder / str(os.getpid()), folder / f"{os.getpid()}-tmp"
    temporary.mkdir()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=REPOSITORY, text=True).split("\0"):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    os.chdir(copy)
    # This comes before the checkout, which is installed for this Python.
    os.environ.update(PYTHONPATH=str(copy / "tools"), TMPDIR=str(temporary))
    look = [sys.executable, "-P", "-c", "import undrop; print(undrop.__file__)"]
    if not subprocess.check_output(look, text=True).startswith(str(copy)):
        raise RuntimeError("a child process of the tests would not run the copy")


def unmutated(tests: str) -> float:
    """How many seconds the tests take; raises ValueError with their output when they fail."""
    start = time.monotonic()
    outcome, output = run_tests(tests, 600)
    if outcome != "survived":
        raise ValueError(f"without a mutant, this fails: {tests}\n{output}")
    return time.monotonic() - start


def tried(mutant: Mutant, limit: float) -> Answer:
    """Run the tests on a mutant, for at most ``limit`` seconds."""
    start = time.monotonic()
    spec = MutationSpec(mutant.path, mutant.operator, mutant.occurrence, (0, 0), (0, 1))
    compiled = Path(cache_from_source(mutant.path))
    # conftest.py compiles the package, and Python would run what it made of another mutant that
    # has the same size and was written in the same second.
    compiled.unlink(missing_ok=True)
    result = mutate_and_test([spec], TESTS[mutant.path], limit)
    compiled.unlink(missing_ok=True)
    ended = result.test_outcome.value if result.test_outcome else "incompetent"
    outcome = "timeout" if result.output == "timeout" else ended
    return outcome, time.monotonic() - start, "@@" + str(result.diff).partition("@@")[2]


def measure(drawn: list[Mutant], folder: Path, jobs: int) -> Iterator[tuple[Mutant, Answer]]:
    """Try them all; ends early, with what is known by then, on Ctrl-C."""
    with ProcessPoolExecutor(jobs, initializer=enter, initargs=(folder,)) as pool:
        needed = list(dict.fromkeys(TESTS[mutant.path] for mutant in drawn))
        took = dict(zip(needed, pool.map(unmutated, needed), strict=True))
        print(f"without a mutant: {', '.join(f'{seconds:.0f} s' for seconds in took.values())}")
        running: dict[Future[Answer], Mutant] = {
            pool.submit(tried, mutant, 3 * took[TESTS[mutant.path]] + 10): mutant
            for mutant in drawn
        }
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)


def main() -> None:
    asked = argparse.ArgumentParser(prog="just mutants", description=__doc__)
    asked.add_argument("files", nargs="*", metavar="FILE", help="all mutants of these (none: 200)")
    asked.add_argument("--count", type=int, help="how many to draw")
    asked.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = asked.parse_args()
    paths = [path for path in TESTS if any(path.endswith(name) for name in given.files or [""])]
    for name in given.files:
        if not any(path.endswith(name) for path in paths):
            asked.error(f"{name} has no row in {Path(__file__).name}: which tests are its?")
    drawn = list(islice(mutants(paths, given.seed), given.count or (None if given.files else 200)))
    print(f"{len(drawn)} mutants of {len(paths)} modules, --seed {given.seed}", flush=True)
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > given.jobs * 10**9
    answers = []
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=MEMORY if roomy else None) as folder:
        for mutant, (outcome, seconds, diff) in measure(drawn, Path(folder), given.jobs):
            answers.append((mutant, outcome, diff))
            print(f"{outcome:11} {seconds:5.1f} s  {mutant}", flush=True)
    for mutant, outcome, diff in sorted(answers):
        if outcome == "survived":
            print(f"\nSURVIVED {mutant}\n{diff}")
    of = Counter(outcome for _, outcome, _ in answers)
    noticed = of["killed"] + of["timeout"]
    print(
        f"\nseed {given.seed}: {len(drawn)} drawn, {len(answers)} tried, {of['killed']} killed,"
        f" {of['timeout']} timed out, {of['survived']} survived, {of['incompetent']} incompetent:"
        f" {100 * noticed / max(1, noticed + of['survived']):.0f} % killed"
    )


if __name__ == "__main__":
    main()
