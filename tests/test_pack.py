"""Older backups take the room of what changed, and every one of them stays what it was."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import inside
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shop import Project, content

from undrop import settings
from undrop.errors import CheckError
from undrop.record import Record
from undrop.steps import backup, pack, verify
from undrop.store import catalog, forget, packing, unpacked, vault

ROWS = 2000


class Lived:
    """A project whose database had several states, each with a backup that undrop took."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.bytes: dict[str, bytes] = {}
        """What each backup had when it was taken, by name."""

    def live(self, states: int) -> None:
        """Come to that many more states, each one's backup before the next."""
        for _ in range(states):
            self.change(f"UPDATE t SET v = v || 'x' WHERE id % 97 = {len(self.bytes)}")

    def change(self, statement: str, reason: str = "before an agent's call") -> Path:
        """Another state, and its backup."""
        self.project.sql(statement)
        taken = inside.back_up(self.project, reason, "" if reason == "mine" else "agent")
        self.bytes.setdefault(taken.name, taken.read_bytes())
        return taken

    def again(self) -> None:
        """Another backup of the state that there is."""
        with inside.command(self.project) as lock:
            taken = backup.take(lock, backup.Purpose("again", "agent", fresh=True))
        assert taken
        self.bytes.setdefault(taken.path.name, taken.path.read_bytes())

    def pack(self) -> pack.Packed:
        """What ``undrop pack`` does."""
        with inside.command(self.project) as lock:
            return pack.pack(lock)

    def all_are_what_they_were(self) -> None:
        """Every state that had a name can be had."""
        loaded = settings.load(self.project.root)
        known = catalog.backups(loaded)
        assert {each.path.name for each in known} >= set(self.bytes)
        with closing(loaded.engine.session):
            for each in known:
                plain = unpacked.plain(loaded, each).read_bytes()
                assert plain == self.bytes.setdefault(each.path.name, plain), each

    def is_live(self, name: str) -> bool:
        """Whether live is what that backup was; its file tells how often it was written to."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "one.db")
            file.write_bytes(self.bytes[name])
            return content(file) == self.project.content()

    def here(self) -> list[str]:
        """The names of what is in ``backups/``."""
        every = catalog.backups(settings.load(self.project.root))
        return sorted(each.path.name for each in every if not each.only_in_vault)

    def files(self, ending: str) -> list[str]:
        """Names in ``backups/`` and in the vault that end so, which must be the same."""
        here = sorted(path.name for path in self.project.backups.glob(f"*{ending}"))
        vault = settings.load(self.project.root).vault_folder
        assert vault is not None
        assert sorted(path.name for path in vault.glob(f"*{ending}")) == here
        return here


@pytest.fixture
def lived(project: Project) -> Lived:
    project.make(ROWS)
    return Lived(project)


def records(project: Project) -> Iterator[tuple[str, Record]]:
    """All records, by their backups' names."""
    for each in catalog.backups(settings.load(project.root)):
        assert each.record
        yield each.path.name, each.record


def test_commands_pack_what_is_older_and_everything_goes_on_with_it(stocked: Project) -> None:
    """All that a user types where FILE goes, with one that has no plain file any more."""
    shop = stocked
    for number in range(7):
        shop.ok("just", "run", *shop.client(f"UPDATE items SET name = 'n{number}' WHERE id = 1"))
    plain = [path.name for path in shop.backups.glob("*.db")]
    packed = [*shop.backups.glob("*.db.zst")]
    assert len(packed) >= 3
    assert len(plain) == 4  # the newest three, and the one that the others are packed against
    assert len(list(shop.backups.glob("quartermaster-*.json"))) == len(plain) + len(packed)
    name = sorted(packed)[1].name.removesuffix(".zst")
    assert name not in plain
    listed = json.loads(shop.ok("undrop", "list", "--json"))["backups"]
    [of_it] = [each for each in listed if each["path"].endswith(name)]
    assert of_it["disk_bytes"] < of_it["bytes"] / 5
    assert name in shop.ok("undrop", "list")
    seen = json.loads(shop.ok("undrop", "status", "--json"))
    assert seen["held_bytes"] > seen["used"]

    assert "whole" in shop.ok("undrop", "verify", name)
    looks = [
        ("sql", name, "SELECT name FROM items WHERE id = 1"),
        ("diff", name, "live"),
        ("restore", name, "--dry-run"),
        ("log", "items", "1"),
        ("find", "n1"),
        ("history",),
        ("audit",),
    ]
    before = shop.tree()
    for words in looks:
        assert shop.ok("undrop", *words), words
    assert shop.tree() == before  # a look leaves nothing, and changes nothing
    wanted = shop.ok("undrop", "sql", name, "SELECT name FROM items WHERE id = 1")
    shop.ok("undrop", "restore", f"backups/{name}.zst")
    assert shop.ok("undrop", "sql", "live", "SELECT name FROM items WHERE id = 1") == wanted
    shop.ok("undrop", "undo")
    shop.sql("DELETE FROM stock_movements")
    shop.sql("DELETE FROM items")
    shop.ok("undrop", "recover", "rows items", "--from", name)
    assert shop.ok("undrop", "sql", "live", "SELECT name FROM items WHERE id = 1") == wanted
    assert shop.litter() == []


def test_what_backup_prints_is_a_plain_file(lived: Lived) -> None:
    """Also where the present state is one that only a frame holds; and it stays for a while."""
    lived.live(6)
    lived.pack()
    first = lived.files(".db.zst")[0].removesuffix(".zst")
    inside.put_back(lived.project, first)
    with (
        inside.command(lived.project) as lock,
        backup.covered(lock, backup.Purpose("before undo", "undo")) as state,
    ):
        again = state.path
    assert again
    assert again.name == first
    printed = Path(lived.project.ok("undrop", "backup").strip())
    assert again.read_bytes() == printed.read_bytes() == lived.bytes[first]
    lived.pack()
    assert again.exists()
    with inside.command(lived.project) as lock:
        forget.forget(lock, printed.name)
    lived.live(3)
    lived.pack()
    assert not again.exists()
    lived.all_are_what_they_were()


def test_the_zstd_command_unpacks_with_the_line_in_the_record(lived: Lived) -> None:
    if not shutil.which("zstd"):
        assert "UNDROP_CI" not in os.environ
        pytest.skip("the zstd command is not installed")
    lived.live(15)
    lived.pack()
    for name, record in records(lived.project):
        if line := str(record.packed.get("unpack", "")):
            folder = lived.project.root / "by hand"
            shutil.copytree(lived.project.backups, folder)
            base = folder / str(record.packed["base"])
            if not base.exists():
                base.write_bytes(lived.bytes[base.name])
            subprocess.run(["sh", "-ec", line], cwd=folder, check=True, capture_output=True)
            assert (folder / name).read_bytes() == lived.bytes[name]
            shutil.rmtree(folder)


def test_a_state_with_several_names_is_packed_with_its_newest(lived: Lived) -> None:
    lived.live(2)
    with inside.command(lived.project) as lock:
        purpose = backup.Purpose("again", "agent", fresh=True)
        taken = backup.take(lock, purpose)
    assert taken
    lived.bytes[taken.path.name] = taken.path.read_bytes()
    lived.live(2)
    assert lived.pack().states == 0  # the first is the base; of the second a name is new enough
    lived.live(1)
    assert lived.pack().states == 1
    frames = [lived.project.backups / name for name in lived.files(".db.zst")]
    assert len(frames) == 2
    assert frames[0].samefile(frames[1])
    lived.all_are_what_they_were()


def test_a_reason_of_somebodys_own_keeps_a_backup_plain_for_a_month(lived: Lived) -> None:
    lived.live(1)
    mine = lived.change("UPDATE t SET v = 'mine' WHERE id = 1", "mine")
    lived.live(5)
    lived.pack()
    assert mine.exists()
    note = mine.with_suffix(".json")
    old = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    note.write_text(json.dumps({**json.loads(note.read_text()), "created": old}))
    lived.pack()
    assert not mine.exists()
    lived.all_are_what_they_were()


def test_what_is_packed_against_a_forgotten_backup_is_made_anew(lived: Lived) -> None:
    """The secret is gone from all files, and nothing else is lost."""
    secret = "s3cret" * 200
    lived.live(10)
    base = lived.change(f"UPDATE t SET v = '{secret}' WHERE id = 5")
    lived.change("UPDATE t SET v = 'harmless' WHERE id = 5")
    lived.live(14)
    lived.pack()
    names = dict(records(lived.project))
    needy = [name for name, record in names.items() if record.packed.get("base") == base.name]
    assert len(needy) > 5, "it is a base"
    with inside.command(lived.project) as lock:
        forget.forget(lock, base.name)
    del lived.bytes[base.name]
    lived.all_are_what_they_were()
    assert all(record.packed.get("base") != base.name for _, record in records(lived.project))
    loaded = settings.load(lived.project.root)
    with closing(loaded.engine.session):
        for each in catalog.backups(loaded):
            assert secret.encode() not in unpacked.plain(loaded, each).read_bytes()
    anchor = next(name for name, record in names.items() if record.packed.get("number") == 0)
    with inside.command(lived.project) as lock:
        forget.forget(lock, anchor)
    del lived.bytes[anchor]
    lived.all_are_what_they_were()
    lived.pack()
    lived.all_are_what_they_were()
    assert lived.project.litter() == []


def test_a_flipped_bit_in_a_base_is_found_and_the_vaults_copy_is_used(lived: Lived) -> None:
    lived.live(8)
    lived.pack()
    vault = settings.load(lived.project.root).vault_folder
    assert vault
    base = next(name for name, record in records(lived.project) if record.packed["number"] == 0)
    for folder in (vault, lived.project.backups):  # no links to the same bytes
        broken = folder / base
        data = bytearray(broken.read_bytes())
        broken.unlink()
        broken.write_bytes(data)
        broken.chmod(0o400)
    data[len(data) // 2] ^= 1
    broken.chmod(0o600)
    broken.write_bytes(data)
    done = lived.project.run("undrop", "verify")
    assert done.code == 4, done
    assert f"{base}: " in done.out
    assert done.out.count("differs") == 1, done.out
    name = lived.files(".db.zst")[2].removesuffix(".zst")
    inside.put_back(lived.project, name)
    assert lived.is_live(name)
    (vault / base).unlink()
    done = lived.project.run("undrop", "verify", name)
    assert done.code == 4, done
    lived.project.refused(4, "undrop", "restore", name)


def test_a_frame_that_was_changed_is_found(lived: Lived) -> None:
    lived.live(6)
    lived.pack()
    loaded = settings.load(lived.project.root)
    frame = lived.project.backups / lived.files(".db.zst")[0]
    frame.chmod(0o600)
    data = bytearray(frame.read_bytes())
    data[len(data) // 2] ^= 4
    frame.write_bytes(data)
    chosen = catalog.named(loaded, frame.name)
    with (
        closing(loaded.engine.session),
        pytest.raises(CheckError, match=r"unpacked|what its record says"),
    ):
        verify.verify(loaded, chosen)
    done = lived.project.run("undrop", "audit")
    assert done.code == 4
    assert frame.name.removesuffix(".zst") in done.out


def test_backups_that_were_copied_elsewhere_work_as_they_are(lived: Lived, tmp_path: Path) -> None:
    lived.live(13)
    lived.pack()
    names = lived.files(".db.zst")
    elsewhere = tmp_path / "copied"
    shutil.copytree(lived.project.backups, elsewhere)
    shutil.rmtree(lived.project.backups)
    shutil.rmtree(lived.project.environment["XDG_STATE_HOME"])
    for name in names[:3]:
        for typed in (name, name.removesuffix(".zst")):
            lived.project.ok("undrop", "restore", str(elsewhere / typed))
            assert lived.is_live(name.removesuffix(".zst"))


def test_the_vault_alone_brings_everything_back(lived: Lived) -> None:
    lived.live(13)
    lived.pack()
    shutil.rmtree(lived.project.backups)
    lived.project.lose()
    name = next(name for name, record in records(lived.project) if record.packed.get("base"))
    lived.all_are_what_they_were()
    lived.project.ok("undrop", "restore", name)
    assert lived.is_live(name)


def test_what_is_larger_than_the_limit_is_packed_alone(lived: Lived) -> None:
    toml = lived.project.root / "pyproject.toml"
    toml.write_text(toml.read_text().replace("[tool.undrop]", "[tool.undrop]\npack-limit = 1000"))
    lived.live(5)
    assert lived.pack().states == 2
    assert all(not record.packed.get("base") for _, record in records(lived.project))
    lived.all_are_what_they_were()


def test_of_a_state_with_two_names_one_can_go_and_frames_stay(lived: Lived) -> None:
    """What is packed against it is from then on against the other, which has its number."""
    lived.live(1)
    with inside.command(lived.project) as lock:
        again = backup.take(lock, backup.Purpose("again", "agent", fresh=True))
    assert again
    lived.bytes[again.path.name] = again.path.read_bytes()
    lived.live(8)
    lived.pack()
    frames = lived.files(".db.zst")
    base = next(
        str(each.packed["base"]) for _, each in records(lived.project) if "base" in each.packed
    )
    with inside.command(lived.project) as lock:
        catalog.amend(lock, again, packed={})  # as one that was taken later
        assert forget.forget(lock, base).same
    del lived.bytes[base]
    assert lived.files(".db.zst") == frames
    lived.all_are_what_they_were()
    lived.live(14)
    lived.pack()
    lived.all_are_what_they_were()
    assert again.path.exists(), "it stays plain, as the first did"


def test_a_plain_file_that_was_changed_is_not_what_a_forgotten_base_leaves(lived: Lived) -> None:
    lived.live(8)
    lived.pack()
    base = next(name for name, each in records(lived.project) if each.packed["number"] == 0)
    name = lived.files(".db.zst")[1].removesuffix(".zst")
    with inside.command(lived.project) as lock:
        packing.make_plain(lock, catalog.named(lock.settings, name))
    changed = lived.project.backups / name
    changed.chmod(0o600)
    data = bytearray(lived.bytes[name])
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with inside.command(lived.project) as lock:
        forget.forget(lock, base)
    del lived.bytes[base]
    lived.all_are_what_they_were()
    assert lived.project.litter() == []


HOSTILE: list[dict[str, object]] = [
    {"base": ".."},
    {"base": "steps.jsonl"},
    {"base": "a\0b.db"},
    {"base": f"{'x' * 300}.db"},
    {"base": "nothing.db"},
    {"base": 7, "digest": None},
    {"base": "its own"},
    {"base": "one against it"},
    {"number": -7, "bytes": -8},
    {"number": 10**30},
    {"folder": True},
]


@pytest.mark.more
@pytest.mark.parametrize("fields", HOSTILE, ids=str)
def test_a_record_that_somebody_edited_spoils_its_own_backup_at_most(
    lived: Lived, fields: dict[str, object]
) -> None:
    lived.live(7)
    lived.pack()
    known = dict(records(lived.project))
    names = [name for name, each in known.items() if each.packed.get("base")]
    turned = {"its own": names[0], "one against it": names[1]}.get(str(fields.get("base")), "")
    if turned:
        edit(lived, names[0], base=turned, base_digest=known[turned].digest)
        edit(lived, turned, base=names[0], base_digest=known[names[0]].digest)
    else:
        edit(lived, names[0], **fields)
    for name in {names[0], turned} - {""}:
        assert lived.project.run("undrop", "verify", name).code in {0, 4}
    spoilt = {names[0], turned} if lived.project.run("undrop", "verify", names[0]).code else set()
    lived.bytes = {name: data for name, data in lived.bytes.items() if name not in spoilt}
    lived.live(3)
    lived.pack()
    if not turned:
        with inside.command(lived.project) as lock:
            forget.forget(lock, names[0])
        lived.bytes.pop(names[0], None)
        lived.all_are_what_they_were()
    assert lived.project.litter() == []


def edit(lived: Lived, name: str, **fields: object) -> None:
    """Somebody writes into a record, in ``backups/`` and in the vault."""
    with inside.command(lived.project) as lock:
        known = catalog.named(lock.settings, name)
        assert known.record
        catalog.amend(lock, known, packed={**known.record.packed, **fields})


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "dangling"])
def test_what_is_planted_as_a_frame_stops_nothing(lived: Lived, kind: str) -> None:
    lived.live(6)
    lived.pack()
    shutil.rmtree(lived.project.environment["XDG_STATE_HOME"])
    frame = sorted(lived.project.backups.glob("*.zst"))[0]
    frame.unlink()
    plant = {"pipe": os.mkfifo, "folder": os.mkdir}.get(kind)
    if plant:
        plant(frame)
    else:
        frame.symlink_to("/etc/passwd" if kind == "link" else "/nowhere")
    done = lived.project.run("undrop", "verify")
    assert done.code == 4, done
    assert done.out.count("whole") == len(lived.bytes) - 1, done
    assert lived.project.run("undrop", "audit").code == 4
    lived.live(1)
    lived.pack()
    with inside.command(lived.project) as lock:
        forget.forget(lock, frame.name)
    lived.bytes.pop(frame.name.removesuffix(".zst"))
    lived.all_are_what_they_were()


DOES = ("live", "live", "mine", "again", "pack", "forget", "back", "lose", "swap")


@pytest.mark.more
@given(st.lists(st.sampled_from(DOES), min_size=8, max_size=30), st.randoms())
@hypothesis_settings(max_examples=25, deadline=None)
def test_whatever_happens_each_state_that_has_a_name_can_be_had(
    does: list[str], random: Random
) -> None:
    """Packed, forgotten, made plain, lost in one of the two places, in any order."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        project = Project(Path(folder, "shop"))
        patch.setenv("XDG_STATE_HOME", project.environment["XDG_STATE_HOME"])
        toml = project.root / "pyproject.toml"
        toml.write_text(toml.read_text().replace("[tool.undrop]", "[tool.undrop]\nplain = 1"))
        project.make(50)
        lived = Lived(project)
        for at, what in enumerate(does):
            names = sorted(lived.bytes)
            if what == "live" or not names:
                lived.change(f"UPDATE t SET v = 'state {at}' WHERE id = {1 + at % 7}")
            elif what == "mine":
                lived.change(f"UPDATE t SET v = 'state {at}'", "mine")
            elif what == "again":
                lived.again()
            elif what == "pack":
                lived.pack()
            elif what == "back":
                inside.put_back(project, random.choice(names))
            elif what == "forget" and len(names) > 1:
                with inside.command(project) as lock:
                    forget.forget(lock, name := random.choice(names))
                del lived.bytes[name]
            elif what == "lose" and not vault.missing(settings.load(project.root)):
                shutil.rmtree(project.backups, ignore_errors=True)
            elif what == "swap" and names == lived.here():  # the vault is what is lost
                shutil.rmtree(project.environment["XDG_STATE_HOME"], ignore_errors=True)
            lived.all_are_what_they_were()
            assert project.litter() == []
