"""Programs that the machine lacks, fetched without root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from thanos_tui import programs
from thanos_tui.errors import BuildError, HostError
from thanos_tui.events import Reporter
from thanos_tui.images import apt, data, tools
from thanos_tui.images.package import Origin

INSTALLED = """Package: present
Status: install ok installed
Version: 1
Architecture: amd64
Maintainer: x
Description: x

"""


@pytest.fixture
def archive(mirror: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An archive with tools, and a machine that has one package installed and takes this archive for its own."""
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg is not installed")
    if subprocess.run(["dpkg", "--print-architecture"], capture_output=True).stdout.strip() != b"amd64":
        pytest.skip("the test's packages are for amd64")
    status = tmp_path / "status"
    status.write_text(INSTALLED)
    monkeypatch.setattr(apt, "STATUS", status)
    original = apt.Apt.__init__

    def init(self: apt.Apt, arch: str, *_: Any, **more: Any) -> None:
        original(self, arch, Origin(mirrors=(mirror.line(),), keyring=mirror.keyring), **more)

    monkeypatch.setattr(apt.Apt, "__init__", init)
    script = (
        b'#!/bin/sh\necho "$0 $*"\nhelper-of-test\necho "$LD_LIBRARY_PATH"\ncat "$(dirname "$0")/../share/zz/data"\n'
    )
    mirror.add("present", {"usr/bin/present-tool": b"#!/bin/sh\n"})
    mirror.add("libzz", {"usr/lib/x86_64-linux-gnu/libzz.so.1": b"library", "usr/share/doc/libzz/copyright": b"c"})
    mirror.add(
        "zz",
        {
            "usr/bin/zz-tool": script,
            "usr/bin/zz-link": "zz-tool",
            "usr/bin/zz-away": "/etc/passwd",
            "sbin/helper-of-test": b"#!/bin/sh\necho helped\n",
            "usr/share/zz/data": b"data\n",
            "usr/share/zz/unexecutable": b"",
        },
        depends="libzz, present",
    )
    mirror.publish()
    monkeypatch.setattr(programs, "PACKAGES", {"zz-tool": "zz", "zz-link": "zz", "gone-tool": "zz"})
    return mirror


def test_fetches_what_is_missing(archive: Any) -> None:
    assert programs.find("zz-tool") is None
    tools.ensure(["sh", "zz-tool"], Reporter())
    found = programs.find("zz-tool")
    assert found is not None
    root = found.parents[1]
    said = programs.run(["zz-tool", "a b", "c"]).stdout.decode().splitlines()
    assert said == [
        f"{root}/usr/bin/zz-tool a b c",
        "helped",
        f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib",
        "data",
    ]
    assert programs.run(["zz-link"]).stdout.decode().startswith(f"{root}/usr/bin/zz-link")
    assert not (root / "usr/share/doc").exists()
    assert not any("present" in path for path, _ in archive.seen), "what is installed is not fetched"
    archive.seen.clear()
    tools.ensure(["zz-tool", "zz-link"], Reporter())
    assert archive.seen == []
    assert [path.name for path in programs.tools_dir().iterdir()] == [root.name], "nothing half-made is left"


def test_what_the_user_installs_wins(archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.ensure(["zz-tool"], Reporter())
    own = tmp_path / "bin" / "zz-tool"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    assert programs.find("zz-tool") == own


def test_says_what_cannot_be_had(archive: Any) -> None:
    with pytest.raises(HostError, match="the package zz has no program gone-tool"):
        tools.ensure(["gone-tool"], Reporter())
    with pytest.raises(BuildError, match="has no package nonesuch"):
        tools.ensure(["nonesuch"], Reporter())
    shutil.rmtree(programs.tools_dir())
    shutil.rmtree(programs.cache_dir() / "packages")
    with pytest.raises(HostError, match="offline"):
        tools.ensure(["zz-tool"], Reporter(), offline=True)


def test_another_c_library_is_refused(archive: Any) -> None:
    archive.add("libc6", version="9")
    archive.add("zz", {"usr/bin/zz-tool": b"#!/bin/sh\n"}, depends="libc6 (>= 9)")
    archive.publish()
    with pytest.raises(HostError, match="needs a newer C library"):
        tools.ensure(["zz-tool"], Reporter())


def test_a_package_cannot_write_elsewhere(archive: Any, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    archive.add("zz", {"usr/bin/zz-tool": b"#!/bin/sh\n", "usr/share/out": str(victim), "usr/share/out/file": b"x"})
    archive.publish()
    with pytest.raises(HostError, match="leads elsewhere"):
        tools.ensure(["zz-tool"], Reporter())
    assert list(victim.iterdir()) == []
    assert list(programs.tools_dir().iterdir()) == []


def test_an_interrupted_fetch_leaves_nothing(archive: Any) -> None:
    from thanos_tui.errors import Interrupted
    from thanos_tui.events import StepStarted

    reporter = Reporter()

    def cancel(event: object) -> None:
        if isinstance(event, StepStarted) and event.step == "tools":
            reporter.cancel()

    reporter._listener = cancel
    with pytest.raises(Interrupted):
        tools.ensure(["zz-tool"], reporter)
    assert list(programs.tools_dir().iterdir()) == []
    tools.ensure(["zz-tool"], Reporter())
    assert programs.find("zz-tool")


def test_files_that_are_no_programs_are_brought_too(archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add("firmware-zz", {"usr/share/zz/code": b"code"}, depends="present, nowhere-at-all | libzz")
    archive.add("later-zz", {"usr/share/zz/later": b"later"})
    archive.publish()
    sources = {
        "code": {"amd64": data.Source("firmware-zz", "usr/share/zz/code", "later-firmware-zz")},
        "later": {"amd64": data.Source("firmware-zz", "usr/share/zz/later", "later-zz")},
        "gone": {"amd64": data.Source("firmware-zz", "usr/share/zz/gone")},
    }
    monkeypatch.setattr(data, "SOURCES", sources)
    with pytest.raises(HostError, match="/usr/share/zz/code is not installed"):
        data.require("code", "amd64")
    data.ensure(["code", "later"], "amd64", Reporter())
    assert data.require("code", "amd64").read_bytes() == b"code"
    assert data.require("later", "amd64").read_bytes() == b"later"
    assert not any("libzz" in path for path, _ in archive.seen), "data needs nothing of what its package depends on"
    archive.seen.clear()
    data.ensure(["code", "later"], "amd64", Reporter())
    assert archive.seen == []
    with pytest.raises(BuildError, match=r"firmware-zz .* has no file /usr/share/zz/gone"):
        data.ensure(["gone"], "amd64", Reporter())
