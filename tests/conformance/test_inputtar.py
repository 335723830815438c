"""``--input-tar``: what is taken from an earlier archive, what is not, and archives that nobody should trust."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from thanos_tui import cli

YAML = """\
kernel: {image: "conformance/kernel:1", cmdline: console=ttyS0}
init: ["conformance/init:1", "conformance/runc:1"]
volumes: [{name: data, image: "conformance/shell:1"}]
onboot:
  - {name: first, image: "conformance/shell:1", binds: ["data:/data"]}
services:
  - {name: app, image: "conformance/configured:1"}
  - {name: twin, image: "conformance/configured:1"}
files:
  - {path: etc/linuxkit.yml, metadata: FORM}
"""

Build = Callable[..., int]


@pytest.fixture
def build(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds a YAML text as NAME.tar; from an archive alone, without any image, unless the layout is asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LINUXKIT_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(name: str, text: str, *words: str, images: bool = False) -> int:
        (tmp_path / f"{name}.yml").write_text(text)
        store = str(layout) if images else str(tmp_path / "none")
        given = ["--arch", "amd64", "--offline", "--cache", store, "--format", "tar"]
        return cli.main(["build", *given, *words, f"{name}.yml"])

    return run


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_without_any_image_the_same_comes_out(build: Build, tmp_path: Path, form: str) -> None:
    text = YAML.replace("FORM", form)
    assert build("old", text, images=True) == 0
    assert build("new", text, "--input-tar", "old.tar") == 0
    assert (tmp_path / "new.tar").read_bytes() == (tmp_path / "old.tar").read_bytes()
    # And over itself.
    assert build("old", text, "--input-tar", "old.tar") == 0
    assert (tmp_path / "new.tar").read_bytes() == (tmp_path / "old.tar").read_bytes()


def test_only_what_changed_needs_its_image(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = YAML.replace("FORM", "yaml")
    changed = text.replace("name: twin,", "name: twin, hostname: other,")
    assert build("old", text, images=True) == 0
    capsys.readouterr()
    # Containers that share an image go together; others stay.
    assert build("new", changed, "--input-tar", "old.tar") != 0
    said = capsys.readouterr().err
    assert "conformance/configured:1" in said
    assert "conformance/kernel:1" not in said
    assert build("new", changed, "--input-tar", "old.tar", images=True) == 0
    assert build("plain", changed, images=True) == 0
    assert (tmp_path / "new.tar").read_bytes() == (tmp_path / "plain.tar").read_bytes()


def test_numbers_that_names_stand_for_are_not_taken_from_another_order(build: Build, tmp_path: Path) -> None:
    before = YAML.replace("FORM", "yaml").replace("name: app,", "name: app, uid: app,")
    after = before.replace("onboot:\n", 'onboot:\n  - {name: zeroth, image: "conformance/unconfigured:1"}\n')
    assert build("old", before, images=True) == 0
    assert build("new", after, "--input-tar", "old.tar", images=True) == 0
    assert build("plain", after, images=True) == 0
    assert (tmp_path / "new.tar").read_bytes() == (tmp_path / "plain.tar").read_bytes()


def test_without_a_description_nothing_is_taken(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    text = YAML.partition("files:")[0]
    assert build("old", text, images=True) == 0
    assert build("new", text, "--input-tar", "old.tar", images=True) == 0
    assert "a `metadata` file of its own" in capsys.readouterr().err
    assert build("new", YAML.replace("FORM", "yaml"), "--input-tar", "old.tar", images=True) == 0
    assert "there is no etc/linuxkit.yml" in capsys.readouterr().err


def rewritten(path: Path, change: Callable[[tarfile.TarInfo], None]) -> None:
    """Change the members of an archive."""
    data = io.BytesIO(path.read_bytes())
    with tarfile.open(fileobj=data) as old, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as new:
        for member in old:
            content = old.extractfile(member) if member.isfile() else None
            change(member)
            new.addfile(member, content)


def climb(member: tarfile.TarInfo) -> None:
    if member.name.endswith("app/config.json"):
        member.name = "../../etc/passwd"


def intrude(member: tarfile.TarInfo) -> None:
    if member.name.endswith("app/config.json"):
        member.name = "etc/passwd"


def link_out(member: tarfile.TarInfo) -> None:
    if member.name.endswith("app/config.json"):
        member.type, member.linkname, member.size = tarfile.LNKTYPE, "etc/inittab", 0


def scatter(member: tarfile.TarInfo) -> None:
    if member.name == "etc/inittab":
        member.pax_headers = {**member.pax_headers, "LINUXKIT.location": "services[0]"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (climb, "leads out of the tree"),
        (intrude, "etc/passwd does not belong to services[0]"),
        (link_out, "is a hard link out of services[0]"),
        (scatter, "do not stand together"),
    ],
    ids=["climbs", "intrudes", "links out", "scattered"],
)
def test_hostile_archives_are_refused(
    build: Build,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[tarfile.TarInfo], None],
    words: str,
) -> None:
    text = YAML.replace("FORM", "yaml")
    assert build("old", text, images=True) == 0
    rewritten(tmp_path / "old.tar", change)
    assert build("new", text, "--input-tar", "old.tar", images=True) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new.tar").exists()


def test_what_is_no_archive_is_told(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = YAML.replace("FORM", "yaml")
    assert build("new", text, "--input-tar", "nowhere.tar") == 2
    (tmp_path / "text.tar").write_text("words " * 200)
    assert build("new", text, "--input-tar", "text.tar") == 1
    assert "this is not a tar archive" in capsys.readouterr().err
    assert build("new", text, "--input-tar", "text.tar", "--pull") == 2


@pytest.mark.skipif(shutil.which("linuxkit") is None, reason="upstream's program linuxkit is not on PATH")
def test_upstreams_archives_are_taken_too(build: Build, layout: Path, tmp_path: Path) -> None:
    text = YAML.replace("FORM", "yaml")
    (tmp_path / "old.yml").write_text(text)
    words = ["linuxkit", "build", "--no-sbom", "--cache", str(layout), "--arch", "amd64", "--format", "tar", "old.yml"]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    assert build("new", text, "--input-tar", "old.tar") == 0
    with tarfile.open(tmp_path / "old.tar") as old, tarfile.open(tmp_path / "new.tar") as new:
        assert {member.name for member in old} <= {member.name for member in new}
