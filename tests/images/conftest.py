"""Packages, signed archives and a mirror, all made by the tests themselves."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.compress(data),
}


def ar(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """An ar archive, as deb(5) wants it."""
    out = b"!<arch>\n"
    for name, data in parts:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def make_tar(entries: Mapping[str, bytes | str | tarfile.TarInfo | None]) -> bytes:
    """A tar archive: bytes are a file, a text is a symbolic link's target, None is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(f"./{name}")
            info.mtime = 1700000000
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_deb(
    entries: Mapping[str, bytes | str | tarfile.TarInfo | None], suffix: str = ".xz", control: str = ""
) -> bytes:
    """A package with these entries in its data.tar."""
    data = PACKERS[suffix](make_tar(entries))
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", PACKERS[".gz"](make_tar({"control": control.encode()}))),
            (f"data.tar{suffix}", data),
        ]
    )


@dataclass
class Mirror:
    """A package archive in a directory, served on the loopback address.

    cut: paths (their ends) whose next answer stops after so many bytes. seen: (path, Range header) of every request.
    """

    root: Path
    url: str
    keyring: Path
    home: Path
    cut: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        entries: Mapping[str, bytes | str | tarfile.TarInfo | None] | None = None,
        version: str = "1.0",
        depends: str = "",
        recommends: str = "",
        suffix: str = ".xz",
    ) -> Path:
        """Put a package into the archive (the index knows it after the next :meth:`publish`)."""
        facts = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Test <test@localhost>"}
        facts |= {"Description": "test"} | ({"Depends": depends} if depends else {})
        facts |= {"Recommends": recommends} if recommends else {}
        control = "".join(f"{key}: {value}\n" for key, value in facts.items())
        data = make_deb(entries or {f"usr/share/{name}": name.encode()}, suffix, control)
        path = self.root / "pool" / f"{name}_{version.replace(':', '%3a')}_amd64.deb"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        facts |= {
            "Filename": f"pool/{path.name}",
            "Size": str(len(data)),
            "SHA256": hashlib.sha256(data).hexdigest(),
        }
        self.packages[name] = facts
        return path

    def publish(self, suite: str = "test", origin: str = "Debian", sign: bool = True, home: Path | None = None) -> None:
        """Write and sign the index of what has been added."""
        index = "\n".join("".join(f"{k}: {v}\n" for k, v in facts.items()) for facts in self.packages.values()).encode()
        dists = self.root / "dists" / suite
        (dists / "main" / "binary-amd64").mkdir(parents=True, exist_ok=True)
        (dists / "main" / "binary-amd64" / "Packages").write_bytes(index)
        digest = hashlib.sha256(index).hexdigest()
        release = (
            f"Origin: {origin}\nLabel: {origin}\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
            f"Components: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages\n"
        )
        target = dists / "InRelease"
        target.unlink(missing_ok=True)
        (dists / "Release").write_text(release)
        if sign:
            gpg(home or self.home, "--clearsign", "--output", str(target), stdin=release.encode())

    def line(self, suite: str = "test") -> str:
        return f"{self.url} {suite} main"


def gpg(home: Path, *words: str, stdin: bytes = b"") -> bytes:
    argv = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--yes",
        "--passphrase",
        "",
        "--pinentry-mode",
        "loopback",
        *words,
    ]
    done = subprocess.run(argv, input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def keys() -> Iterator[Callable[[str], tuple[Path, bytes]]]:
    """Signing keys by name, made once: gpg's directory and the public key."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed, and the archive has to be signed")
    # Sockets have short names.
    base = Path(tempfile.mkdtemp(prefix="keys", dir="/tmp"))
    made: dict[str, tuple[Path, bytes]] = {}

    def get(name: str) -> tuple[Path, bytes]:
        if name not in made:
            home = base / name
            home.mkdir(mode=0o700)
            gpg(home, "--quick-gen-key", f"{name} <{name}@localhost>", "rsa2048", "sign", "never")
            made[name] = (home, gpg(home, "--export"))
        return made[name]

    yield get
    for name in made:
        subprocess.run(["gpgconf", "--homedir", str(base / name), "--kill", "all"], check=False)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the program, and no proxy between it and the loopback address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "thanos-tui"


@pytest.fixture
def mirror(tmp_path: Path, keys: Callable[[str], tuple[Path, bytes]], cache: Path) -> Iterator[Mirror]:
    """An empty archive and its server."""
    if shutil.which("apt-get") is None:
        pytest.skip("apt is not installed")
    home, public = keys("good")
    keyring = tmp_path / "archive.gpg"
    keyring.write_bytes(public)
    root = tmp_path / "archive"
    root.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Mirror(root, f"http://127.0.0.1:{server.server_address[1]}", keyring, home)
    server.mirror = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Files with ranges, and answers that break off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        import urllib.parse

        mirror: Mirror = self.server.mirror  # type: ignore[attr-defined]
        path = mirror.root / urllib.parse.unquote(self.path).lstrip("/")
        wanted = self.headers.get("Range", "")
        mirror.seen.append((self.path, wanted))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Last-Modified", self.date_time_string(int(path.stat().st_mtime)))
        self.end_headers()
        body = data[start:]
        for end in list(mirror.cut):
            if self.path.endswith(end):
                self.wfile.write(body[: mirror.cut.pop(end)])
                self.close_connection = True
                return
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def debs() -> Any:
    """The makers above, for tests of the reader: ``debs.make_deb``, ``debs.ar``, ``debs.make_tar``."""

    class Makers:
        pass

    makers = Makers()
    vars(makers).update(make_deb=make_deb, ar=ar, make_tar=make_tar, PACKERS=PACKERS)
    return makers
