"""Copying files both ways, and a machine that tries to write where it should not."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from waiting import LIMIT

from thanos_tui.console import copy, machine_of
from thanos_tui.errors import ConsoleError, HostError, InputError, Interrupted
from thanos_tui.events import Event, LogLine, Progress, Reporter, StepFinished


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory on the machine, which is this one."""
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def tree(root: Path) -> dict[str, str]:
    """What a directory holds: names to contents, links shown as ``-> target``."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_text() if path.is_file() else "/"
    return found


def plant(root: Path) -> dict[str, str]:
    (root / "sub/deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a").write_text("first")
    (root / "sub/deep/b").write_text("second")
    (root / "sub/ü \udcff").write_text("odd")  # a name that is no UTF-8
    (root / "relative").symlink_to("sub/deep/b")
    (root / "dangling").symlink_to("/nowhere/at all")
    (root / "up").symlink_to("..")
    return tree(root)


# The arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "destination", "machine"),
    [
        (["a"], "m1:b", "m1"),
        (["m1:a", "m1:/b"], "c", "m1"),
        (["a"], ":b", ""),
        ([":a"], "b", ""),
        (["./a:b", "/c:d"], "m:", "m"),
    ],
)
def test_the_machine_is_read_from_the_arguments(sources, destination, machine):
    assert machine_of(sources, destination) == machine


@pytest.mark.parametrize(
    ("sources", "destination"),
    [
        (["a"], "b"),
        (["m:a"], "n:b"),
        (["m:a"], "m:b"),
        (["m:a", "n:b"], "c"),
        (["m:a", "b"], "c"),
        ([], "m:c"),
    ],
)
def test_arguments_that_make_no_copy(sources, destination):
    with pytest.raises(InputError):
        machine_of(sources, destination)


# Both ways ------------------------------------------------------------------------------------------------------


def test_files_go_there_and_back(openssh, here, there):
    content = bytes(range(256)) * 20_000  # 5 MB, several requests
    (here / "file").write_bytes(content)
    copy(openssh.target, [str(here / "file")], f":{there}/other")
    assert (there / "other").read_bytes() == content
    copy(openssh.target, [f":{there}/other"], str(here))
    assert (here / "other").read_bytes() == content


def test_trees_go_there_and_back(openssh, here, there):
    (here / "tree").mkdir()
    planted = plant(here / "tree")
    copy(openssh.target, [str(here / "tree")], f":{there}", recursive=True)
    assert tree(there / "tree") == planted
    copy(openssh.target, [f":{there}/tree/."], str(here), recursive=True)
    (here / "again").mkdir()
    copy(openssh.target, [f":{there}/tree"], str(here / "again"), recursive=True)
    assert tree(here / "again/tree") == planted
    copy(openssh.target, [f":{there}/tree"], str(here / "new"), recursive=True)
    assert tree(here / "new") == planted
    # Once more over what is there: the same result.
    copy(openssh.target, [f":{there}/tree/."], str(here / "new"), recursive=True)
    assert tree(here / "new") == planted
    copy(openssh.target, [f"{here}/new/."], f":{there}/tree", recursive=True)
    assert tree(there / "tree") == planted


def test_times_and_permissions_are_kept_on_request(openssh, here, there):
    (there / "tree/closed").mkdir(parents=True)
    for path, mode in (("tree/closed/file", 0o604), ("tree/closed", 0o555), ("tree", 0o711)):
        if path.endswith("file"):
            (there / path).write_text("text")
        (there / path).chmod(mode)
        os.utime(there / path, (1_000_000_000, 1_100_000_000))
    copy(openssh.target, [f":{there}/tree"], str(here), recursive=True, preserve=True)
    copy(openssh.target, [str(here / "tree")], f":{there}/back", recursive=True, preserve=True)
    for root in (here / "tree", there / "back"):
        for path, mode in (("", 0o711), ("closed", 0o555), ("closed/file", 0o604)):
            status = (root / path).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (mode, 1_100_000_000)
    for path in (there / "tree/closed", here / "tree/closed", there / "back/closed"):
        path.chmod(0o755)


def test_without_it_the_umask_counts_and_setuid_never_comes_over(openssh, here, there):
    (there / "program").write_text("text")
    (there / "program").chmod(0o4777)
    before = os.umask(0o027)
    try:
        copy(openssh.target, [f":{there}/program"], str(here / "one"))
        copy(openssh.target, [f":{there}/program"], str(here / "two"), preserve=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((here / "one").stat().st_mode) == 0o750
    assert stat.S_IMODE((here / "two").stat().st_mode) == 0o777


def test_files_that_claim_to_be_empty_are_read_to_their_end(openssh, here):
    copy(openssh.target, [":/proc/meminfo"], str(here))
    assert "MemTotal" in (here / "meminfo").read_text()


def test_relative_remote_paths_start_at_home(openssh, here):
    home = Path(pwd.getpwnam(openssh.target.user).pw_dir)
    (here / "probe-of-thanos-tui").write_text("text")
    try:
        copy(openssh.target, [str(here / "probe-of-thanos-tui")], ":")
        assert (home / "probe-of-thanos-tui").read_text() == "text"
        copy(openssh.target, [":~/probe-of-thanos-tui"], str(here / "back"))
        assert (here / "back").read_text() == "text"
    finally:
        (home / "probe-of-thanos-tui").unlink(missing_ok=True)


def test_a_pipe_or_device_named_as_destination_is_written_to(openssh, here, there):
    (there / "file").write_text("text")
    os.mkfifo(here / "pipe")
    reader = os.open(here / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    copy(openssh.target, [f":{there}/file"], str(here / "pipe"))
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)


def test_a_link_named_as_destination_leads_to_its_file(openssh, here, there):
    (there / "file").write_text("new")
    (here / "real").write_text("old")
    (here / "link").symlink_to("real")
    copy(openssh.target, [f":{there}/file"], str(here / "link"))
    assert ((here / "real").read_text(), (here / "link").is_symlink()) == ("new", True)


def test_progress_ends_at_the_total(openssh, here, there):
    for name in ("one", "two"):
        (there / name).write_bytes(bytes(3_000_000))
    events: list[Event] = []
    copy(openssh.target, [f":{there}/one", f":{there}/two"], str(here), reporter=Reporter(events.append))
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert (last.done, last.total) == (6_000_000, 6_000_000)
    assert isinstance(events[-1], StepFinished)


def test_special_files_in_a_tree_are_left_out_and_told(openssh, here, there):
    (there / "tree").mkdir()
    os.mkfifo(there / "tree/pipe")
    (there / "tree/file").write_text("text")
    for source, destination in ((f":{there}/tree", str(here / "new")), (str(there / "tree"), f":{here}/sent")):
        events: list[Event] = []
        copy(openssh.target, [source], destination, recursive=True, reporter=Reporter(events.append))
        assert ["left out pipe" in event.text for event in events if isinstance(event, LogLine)] == [True]
    assert tree(here / "new") == tree(here / "sent") == {"file": "text"}


# What goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "kind", "message"),
    [
        (":{there}/none", "{here}", InputError, "there is no .*none on the machine"),
        ("{here}/none", ":{there}", InputError, "cannot read .*none: No such file"),
        (":{there}", "{here}", InputError, "is a directory"),
        ("{here}", ":{there}", InputError, "is a directory"),
        (":/dev/null", "{here}", InputError, "neither a file nor a directory"),
        (":{there}/file", "{here}/none/", InputError, "is not a directory"),
        ("{there}/file", ":{here}/none/", InputError, "is not a directory"),
        (":{there}/file", "/proc/none/file", HostError, "cannot write /proc/none/file"),
        ("{there}/file", ":/proc/none", (ConsoleError, InputError), "/proc/none"),
        ("{there}/file", ":{there}/none/file", InputError, "there is no .*none/file on the machine"),
    ],
)
def test_paths_that_do_not_fit(openssh, here, there, source, destination, kind, message):
    (there / "file").write_text("text")
    names = {"here": here, "there": there}
    with pytest.raises(kind, match=message):
        copy(openssh.target, [source.format(**names)], destination.format(**names))


def test_several_sources_need_a_directory(openssh, here, there):
    (there / "file").write_text("text")
    with pytest.raises(InputError, match="is not a directory"):
        copy(openssh.target, [f":{there}/file", f":{there}/file"], str(here / "none"))


def test_an_interrupted_copy_leaves_the_old_file(openssh, here, there):
    (there / "big").write_bytes(bytes(30_000_000))
    (here / "big").write_text("old")
    reporter = Reporter(lambda event: isinstance(event, Progress) and event.done and reporter.cancel())
    with pytest.raises(Interrupted):
        copy(openssh.target, [f":{there}/big"], str(here), reporter=reporter)
    assert tree(here) == {"big": "old"}


def test_ctrl_c_leaves_the_old_file(server, here, tmp_path):
    (here / "big").write_text("old")
    (tmp_path / "big").write_bytes(bytes(5_000_000))
    reading = threading.Event()

    class Hangs(asyncssh.SFTPServer):
        async def read(self, _file_obj, _offset, _size):
            reading.set()
            await asyncio.sleep(1000)

    target = server.start(sftp=Hangs)
    code = (
        "import sys; from pathlib import Path; from thanos_tui.console import *\n"
        "from thanos_tui.errors import Interrupted\n"
        f"target = Target('127.0.0.1', {target.port}, {target.host_key!r}, 'root', (Path({str(server.identity)!r}),))\n"
        f"try: copy(target, [{f':{tmp_path}/big'!r}], {str(here)!r})\n"
        "except Interrupted: sys.exit(130)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert reading.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=LIMIT) == (None, b"")
    assert process.returncode == 130
    assert tree(here) == {"big": "old"}


@pytest.mark.parametrize("reset", [False, True])
def test_a_machine_that_dies_leaves_the_old_file(server, here, tmp_path, reset):
    (tmp_path / "big").write_bytes(bytes(5_000_000))
    (here / "big").write_text("old")

    class Dies(asyncssh.SFTPServer):
        def read(self, file_obj, offset, size):
            if offset > 1_000_000:
                server.cut(reset)
            return super().read(file_obj, offset, size)

    with pytest.raises(ConsoleError, match="was lost") as caught:
        copy(server.start(sftp=Dies), [f":{tmp_path}/big"], str(here))
    assert "thanos-tui logs m1" in str(caught.value.hint)
    assert tree(here) == {"big": "old"}


@pytest.mark.parametrize("reset", [False, True])
def test_a_machine_that_dies_while_it_is_written_to(server, here, tmp_path, reset):
    (here / "big").write_bytes(bytes(5_000_000))

    class Dies(asyncssh.SFTPServer):
        def write(self, file_obj, offset, data):
            if offset > 1_000_000:
                server.cut(reset)
            return super().write(file_obj, offset, data)

    with pytest.raises(ConsoleError, match="was lost"):
        copy(server.start(sftp=Dies), [str(here / "big")], f":{tmp_path}/big")


def test_a_machine_without_sftp(server, here):
    with pytest.raises(ConsoleError, match="offers no SFTP"):
        copy(server.start(lambda process: process.exit(0)), [":x"], str(here))


# A machine that means harm --------------------------------------------------------------------------------------


def entry(name: bytes, mode: int) -> asyncssh.SFTPName:
    return asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(permissions=mode, size=4, atime=0, mtime=0))


FILE, LINK, DIRECTORY = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755


def hostile(listing: list[tuple[bytes, int]], link: bytes = b"/nowhere") -> type[asyncssh.SFTPServer]:
    """A machine whose directory ``/evil`` lists these entries, each directory in it a file ``owned``."""

    class Hostile(asyncssh.SFTPServer):
        def stat(self, _path: bytes):
            return asyncssh.SFTPAttrs(permissions=DIRECTORY, size=0, atime=0, mtime=0)

        lstat = stat

        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            for name, mode in listing if path == b"/evil" else [(b"owned", FILE)]:
                yield entry(name, mode)

        def readlink(self, _path: bytes) -> bytes:
            return link

        def open(self, _path: bytes, _pflags: int, _attrs: asyncssh.SFTPAttrs):
            return Path("/etc/hostname").open("rb")

    return Hostile


@pytest.mark.parametrize(
    "name", [b"../owned", b"/tmp/owned", b"sub/owned", b"..//owned", b"", b"nul\0owned", b"x" * 5000]
)
def test_names_that_lead_elsewhere_are_refused(server, here, name):
    with pytest.raises(ConsoleError, match="a name that no file can have"):
        copy(server.start(sftp=hostile([(name, FILE)])), [":/evil"], str(here / "in"), recursive=True)
    assert tree(here.parent / "here") == {}
    assert not (here.parent / "owned").exists()


def test_a_listed_parent_directory_is_passed_over(server, here):
    listing = [(b".", DIRECTORY), (b"..", DIRECTORY), (b"ok", FILE)]
    copy(server.start(sftp=hostile(listing)), [":/evil"], str(here / "in"), recursive=True)
    assert list(tree(here)) == ["in", "in/ok"]


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_is_written_through_a_link_that_the_copy_made(server, here, tmp_path, order):
    outside = tmp_path / "outside"
    outside.mkdir()
    listing = [(b"x", LINK), (b"x", DIRECTORY)][::order]
    with pytest.raises(HostError, match="in/x"):
        copy(server.start(sftp=hostile(listing, os.fsencode(outside))), [":/evil"], str(here / "in"), recursive=True)
    assert tree(outside) == {}


def test_nor_through_one_that_an_earlier_copy_left(server, here, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (here / "in").mkdir()
    (here / "in/x").symlink_to(outside)
    (here / "in/y").symlink_to(outside / "file")
    with pytest.raises(HostError, match="in/x"):
        copy(server.start(sftp=hostile([(b"x", DIRECTORY)])), [":/evil/."], str(here / "in"), recursive=True)
    assert tree(outside) == {"file": "mine"}
    copy(server.start(sftp=hostile([(b"y", FILE)])), [":/evil/."], str(here / "in"), recursive=True)
    assert tree(outside) == {"file": "mine"}  # the link was replaced, not followed
    assert not (here / "in/y").is_symlink()


def test_directories_without_end_are_given_up(server, here):
    class Endless(hostile([])):  # type: ignore[misc]
        async def scandir(self, _path: bytes):
            yield entry(b"deeper" * 40, DIRECTORY)

    with pytest.raises(ConsoleError, match="a name that no file can have"):
        copy(server.start(sftp=Endless), [":/evil"], str(here / "in"), recursive=True)
    assert tree(here) == {}


def test_terminal_sequences_in_names_and_messages_are_shown_harmlessly(server, here):
    class Talks(asyncssh.SFTPServer):
        def stat(self, _path: bytes):
            raise asyncssh.SFTPFailure("\x1b]0;owned\x07")

    with pytest.raises(ConsoleError) as caught:
        copy(server.start(sftp=Talks), [":/e\x1bvil"], str(here))
    assert "\x1b" not in str(caught.value)
    assert "owned" in str(caught.value)
