"""The same root filesystem as upstream's program: small YAML files, and what `linuxkit build` made of each.

A case is a directory of YAML files, with `args` (more arguments), `home` (becomes the home directory), and one of
`expect-error` (what is wrong with it) and `quirk` (what upstream gets wrong). `recorded.json` holds, for each, what is
left of upstream's archive when it is unpacked; `images.py` makes the images.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from unpacking import unpacked

from thanos_tui import cli
from thanos_tui.build import compare

HERE = Path(__file__).parent
CASES = {path.name: path for path in sorted((HERE / "cases").iterdir())}
RECORDED: dict[str, Any] = json.loads((HERE / "recorded.json").read_text())
BUILT = [name for name in CASES if not name.startswith(("bad-", "quirk-"))]
REFUSED = [name for name in CASES if name.startswith("bad-")]
# Documents whose meaning is upstream's, and whose bytes are not (docs/linuxkit-compat.md).
DOCUMENTS = re.compile("containers/volumes/[^/]+/lower/(index.json|oci-layout)")


@dataclass(frozen=True)
class Run:
    """How a build ended: its status, what it said, and its directory of outputs."""

    status: int
    said: str
    out: Path


@pytest.fixture
def build(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    def run(name: str, form: str = "tar", *words: str) -> Run:
        work = tmp_path / "work"
        if not work.exists():
            shutil.copytree(CASES[name], work)
        monkeypatch.chdir(work)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("HOME", str(work / "home" if (work / "home").is_dir() else tmp_path))
        monkeypatch.delenv("LINUXKIT_CACHE", raising=False)
        args = shlex.split((work / "args").read_text()) if (work / "args").exists() else []
        if "--arch" not in args:
            args += ["--arch", "amd64"]
        files = sorted(path.name for path in work.glob("*.yml"))
        out = tmp_path / "out"
        given = ["--no-sbom", "--offline", "--cache", str(layout), "--format", form, "--name", name, "--dir", str(out)]
        status = cli.main(["build", *given, *args, *words, *files])
        captured = capsys.readouterr()
        return Run(status, captured.err, out)

    return run


def in_words(state: compare.State) -> dict[str, str]:
    found = {}
    for name, entry in state.items():
        mode = "-" if entry.kind == "symlink" else f"{entry.mode:04o}"
        device = f" {entry.device[0]} {entry.device[1]}" if entry.kind in ("char", "block") else ""
        last = entry.content[:16] or entry.link or "-"
        found[name] = f"{entry.kind} {mode} {entry.uid} {entry.gid} {entry.mtime} {last}{device}"
    return found


def unlike(ours: dict[str, str], theirs: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """The names at which the two differ; directories that upstream only implies may be there."""
    implied = {str(parent) for path in theirs for parent in Path(path).parents}
    return {
        path: (ours.get(path), theirs.get(path))
        for path in sorted({*ours, *theirs})
        if ours.get(path) != theirs.get(path)
        and not DOCUMENTS.fullmatch(path)
        and not (path not in theirs and path in implied and ours[path].startswith("dir "))
    }


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("compat", ["fixed", "upstream"])
def test_the_root_filesystem_is_upstreams(build: Callable[..., Run], name: str, compat: str) -> None:
    done = build(name, "tar", "--compat", compat)
    assert done.status == 0, done.said
    assert unlike(unpacked(done.out / f"{name}.tar"), RECORDED[name]["tar"]) == {}


@pytest.mark.parametrize("name", [name for name in BUILT if "initrd" in RECORDED[name]])
def test_the_initrd_is_upstreams(build: Callable[..., Run], name: str) -> None:
    recorded = RECORDED[name]
    done = build(name, "kernel+initrd")
    assert done.status == 0, done.said
    files, state = compare.kernel_initrd(done.out, name)
    found = hashlib.sha256(files["kernel"]).hexdigest() if "kernel" in files else None
    assert found == recorded["kernel"]
    assert files.get("cmdline", b"").decode() == (recorded["cmdline"] or "")
    theirs = recorded["initrd"]
    # Upstream writes symlinks for hard links. Microcode stands before everything else, in an archive of its own.
    linked = {path: line for path, line in recorded["tar"].items() if theirs.get(path, "").startswith("symlink ")}
    ours = {path: line for path, line in in_words(state).items() if not path.startswith("kernel/x86")}
    ours = {path: theirs[path] if linked.get(path) == line else line for path, line in ours.items()}
    assert unlike(ours, theirs).keys() <= {"kernel"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_upstream_refuses_is_refused_and_named(build: Callable[..., Run], name: str) -> None:
    wrong = (CASES[name] / "expect-error").read_text()
    done = build(name)
    assert done.status in (1, 2, 3)
    assert [word for word in re.findall("`([^`]+)`", wrong) if word not in done.said] == []
    assert not done.out.exists() or list(done.out.iterdir()) == []


# What is done about each quirk: by default, and with `--compat upstream`. A text is a word of the refusal.
QUIRKS: dict[str, tuple[str, str]] = {
    "quirk-all-and-one-more": ("better", "better"),
    "quirk-at-sign": ("better", "same"),
    "quirk-container-name": ("cannot be named", "cannot be named"),
    "quirk-file-kinds": ("has contents and symlink", "same"),
    "quirk-file-path": ("cannot have the path", "cannot have the path"),
    "quirk-id-mappings": ("better", "same"),
    "quirk-id-range": ("must be from 0 to", "same"),
    "quirk-indented-block": ("better", "better"),
    "quirk-index-platform": ("better", "better"),
    "quirk-layer-escape": ("leads out of the tree", "leads out of the tree"),
    "quirk-layer-repeats": ("better", "same"),
    "quirk-linked-whiteout": ("better", "better"),
    "quirk-namespace-none": ("better", "same"),
    "quirk-opaque-whiteout": ("better", "same"),
    "quirk-recreated-directory": ("better", "same"),
    "quirk-resolv-symlink": ("better", "better"),
    "quirk-resource-names": ("better", "same"),
    "quirk-ucode-missing": ("holds no file", "same"),
    "quirk-volume-earlier-file": ("better", "better"),
    "quirk-volume-in-label": ("better", "same"),
    "quirk-volume-in-mounts": ("better", "same"),
    "quirk-volume-readonly-options": ("better", "better"),
    "quirk-volume-twice-merged": ("is used twice", "is used twice"),
}


def test_every_quirk_is_decided() -> None:
    assert list(QUIRKS) == [name for name in CASES if name.startswith("quirk-")]


@pytest.mark.parametrize(("name", "compat"), [(name, compat) for name in QUIRKS for compat in ("fixed", "upstream")])
def test_quirks(build: Callable[..., Run], name: str, compat: str) -> None:
    wanted = QUIRKS[name][compat == "upstream"]
    done = build(name, "tar", "--compat", compat)
    if wanted not in ("better", "same"):
        assert done.status in (1, 2, 3)
        assert wanted in done.said
        return
    assert done.status == 0, done.said
    theirs = RECORDED[name]
    if "error" in theirs:
        assert wanted == "better"
        return
    found = unlike(unpacked(done.out / f"{name}.tar"), theirs["tar"])
    assert (found == {}) == (wanted == "same"), found
