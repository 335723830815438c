"""`build` takes what `linuxkit build` takes: its flags, its inputs, its names."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from thanos_tui import builds, cli
from thanos_tui.commands import machines
from thanos_tui.linuxkit import config as language

ONE = 'services: [{name: one, image: "conformance/shell:1"}]\n'
TWO = """
kernel: {image: "conformance/kernel:1", cmdline: quiet}
services: [{name: two, image: "conformance/shell:1", cwd: /tmp}]
"""

Build = Callable[..., int]


@pytest.fixture
def build(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LINUXKIT_CACHE", str(layout))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yml").write_text(ONE)
    (tmp_path / "two.yml").write_text(TWO)
    return lambda *words: cli.main(["build", "--offline", "--arch", "amd64", *map(str, words)])


def test_names_are_the_last_files(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build("one.yml", "two.yml", "-f", "tar,kernel+initrd", "--dir", "out", "--no-sbom=true", "--pull=false") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"two{end}" for end in (".tar", "-kernel", "-initrd.img", "-cmdline")
    }
    with tarfile.open(tmp_path / "out/two.tar") as archive:
        names = archive.getnames()
    assert {"containers/services/one", "containers/services/two"} <= set(names)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ONE.encode())))
    assert build("-", "--format", "tar") == 0
    assert (tmp_path / "moby.tar").exists()


def test_what_boots_is_compressed_as_hard_as_asked(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = []
    (tmp_path / "text").write_text("".join(f"{number * number} " for number in range(99_999)))
    with (tmp_path / "two.yml").open("a") as yaml:
        yaml.write("files: [{path: text, source: text}]\n")
    for words in ([], ["--compression", "2"], ["--compression=19"]):
        assert build("two.yml", *words) == 0
        sizes.append((tmp_path / "two-initrd.img").stat().st_size)
    assert sizes[0] == sizes[1] > sizes[2]
    with pytest.raises(SystemExit) as caught:
        build("two.yml", "--compression", "20")
    assert caught.value.code == 2
    assert "--compression" in capsys.readouterr().err


def test_a_build_is_remembered(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert build("two.yml", "-f", "tar,kernel+initrd", "--dir", "out") == 0
    # An archive for a stream is no machine to run; the earlier one stays what `run` takes.
    assert build("one.yml", "-f", "tar", "-o", "one.tar") == 0
    archive, machine = builds.builds()
    assert (archive.name, archive.outputs) == ("one", ())
    assert (machine.name, machine.profile, machine.architecture) == ("two", "", "amd64")
    assert machine.outputs == (str(tmp_path / "out/two-kernel"),)
    assert [part.name for part in machine.parts] == ["kernel", "two"]
    assert builds.config_of(machine) == language.read_files(["two.yml"])
    boot, found = machines._which(None)
    assert (boot.kernel, found) == (tmp_path / "out/two-kernel", machine)


def test_a_home_that_cannot_be_written_is_no_reason_to_fail(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert build("one.yml", "-f", "tar") == 0
    assert "`thanos-tui run` does not know of this build" in capsys.readouterr().err
    assert (tmp_path / "one.tar").exists()


def test_one_archive_goes_where_it_is_told(
    build: Build, layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("one.yml", "--format=tar", "--dir", "out") == 0
    wanted = (tmp_path / "out/one.tar").read_bytes()
    capsys.readouterr()
    assert build("one.yml", "--o", "any.name", "--json") == 0
    assert (tmp_path / "any.name").read_bytes() == wanted
    made = [
        event for line in capsys.readouterr().out.splitlines() if (event := json.loads(line))["event"] == "artefact"
    ]
    assert made == [
        {
            "event": "artefact",
            "path": "any.name",
            "format": "tar",
            "size": len(wanted),
            "sha256": hashlib.sha256(wanted).hexdigest(),
        }
    ]
    words = [sys.executable, "-m", "thanos_tui", "build", "--offline", "--arch", "amd64", "--cache", layout, "-o", "-"]
    done = subprocess.run([*words, "one.yml"], capture_output=True, check=True)
    assert done.stdout == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--o", "x", "--name", "n"), "leave out --name"),
        (("--o", "x", "--dir", "d"), "leave out --dir"),
        (("--o", "x", "--format", "tar", "--format", "docker"), "one file cannot hold several formats"),
        (("--o", "x", "--format", "vhd"), "not a single archive"),
        (("--o", "-", "--json"), "cannot both go to stdout"),
        (("--size", "10K"), "is no size"),
        (("--format", "vdh"), "did you mean vhd?"),
        (("--cert-file", "nowhere.pem"), "nowhere.pem"),
        (("--mirror", "ftp://x"), "ftp://x"),
    ],
)
def test_what_does_not_go_together_is_told(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    before = set(tmp_path.iterdir())
    assert build(*words, "one.yml") == 2
    assert said in capsys.readouterr().err
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}


def test_a_dry_run_prints_what_all_files_stand_for(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--dry-run", "one.yml", "two.yml") == 0
    read = language.read(capsys.readouterr().out, "printed")
    assert [service.name for service in read.services] == ["one", "two"]
    assert read == language.read_files(["one.yml", "two.yml"])
    assert not (tmp_path / "cache").exists()


def test_an_image_that_is_nowhere_is_told_with_its_place(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yml").write_text('services:\n  - name: a\n    image: "conformance/absent:1"\n')
    assert build("bad.yml") == 3
    assert "bad.yml:3:12: the image" in capsys.readouterr().err


def test_quiet_and_verbose(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("one.yml", "--format", "tar", "-q", "--dir", "quiet") == 0
    assert capsys.readouterr().err == ""
    assert build("one.yml", "--format", "tar", "-v", "0", "--sbom-output", "x", "--dir", "zero") == 0
    assert "warning: no list of software" in capsys.readouterr().err
    assert build("one.yml", "--format", "tar", "-v", "1", "--dir", "one") == 0
    assert "Write one.tar" in capsys.readouterr().err


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a web server for the test's directory."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_yaml_comes_from_urls_too(
    build: Build, served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert build("one.yml", f"{served}/two.yml", "--format", "tar") == 0
    assert (tmp_path / "two.tar").exists()
    assert build(f"{served}/three.yml") == 3
    assert f"cannot fetch {served}/three.yml: " in capsys.readouterr().err
    assert build("http://127.0.0.1:1/x.yml") == 3
    (tmp_path / "bad.yml").write_text("service: []\n")
    assert build(f"{served}/bad.yml") == 2
    assert f"{served}/bad.yml:1:1: " in capsys.readouterr().err
