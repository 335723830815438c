"""Real registries on the loopback address, images pushed to them, and a way to them that is as bad as one likes.

A conftest or a test that wants these fixtures imports them.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certificates
import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from waiting import eventually

from thanos_tui import programs
from thanos_tui.errors import ThanosError
from thanos_tui.events import Reporter
from thanos_tui.images import tools

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
USER, PASSWORD = "reader", "correct hørse — 馬"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Registry:
    """A registry that runs: where it listens, what it stores in, and which authority has signed its certificate."""

    host: str
    storage: Path
    authority: Path | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{self.host}"

    def push_blob(self, repository: str, data: bytes) -> dict[str, Any]:
        """A blob by two requests, as the distribution specification has it; this registry must not want a login."""
        begun = requests.post(f"{self.url}/v2/{repository}/blobs/uploads/", timeout=60)
        begun.raise_for_status()
        there = urllib.parse.urljoin(self.url, begun.headers["Location"])
        requests.put(there, params={"digest": digest(data)}, data=data, timeout=60).raise_for_status()
        return {"digest": digest(data), "size": len(data)}

    def push_manifest(self, repository: str, tag: str, value: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(value).encode()
        kind = value["mediaType"]
        url = f"{self.url}/v2/{repository}/manifests/{tag or digest(data)}"
        requests.put(url, data=data, headers={"Content-Type": kind}, timeout=60).raise_for_status()
        return {"digest": digest(data), "size": len(data), "mediaType": kind}

    def head(self, repository: str, tag: str) -> dict[str, Any]:
        """The descriptor of a manifest that somebody else has pushed."""
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        found = requests.head(url, headers={"Accept": f"{MANIFEST}, {LIST}"}, timeout=60)
        found.raise_for_status()
        told = found.headers
        return {
            "digest": told["Docker-Content-Digest"],
            "size": int(told["Content-Length"]),
            "mediaType": told["Content-Type"],
        }

    def push(
        self,
        repository: str,
        tag: str,
        layers: Sequence[tuple[str, bytes]],
        arch: str = "amd64",
        config: Mapping[str, Any] | None = None,
        config_type: str = CONFIG,
    ) -> dict[str, Any]:
        """An image with layers, each a media type and its bytes; returns the descriptor of its manifest."""
        described = {"architecture": arch, "os": "linux", "config": config or {}, "rootfs": {"type": "layers"}}
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": config_type, **self.push_blob(repository, json.dumps(described).encode())},
            "layers": [{"mediaType": kind, **self.push_blob(repository, data)} for kind, data in layers],
        }
        return self.push_manifest(repository, tag, value)

    def push_list(self, repository: str, tag: str, images: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """An index of images by platform (``linux/arm64``)."""
        entries = []
        for platform, entry in images.items():
            os, arch, *variant = platform.split("/")
            known = {"os": os, "architecture": arch} | ({"variant": variant[0]} if variant else {})
            entries.append({**entry, "platform": known})
        return self.push_manifest(repository, tag, {"schemaVersion": 2, "mediaType": LIST, "manifests": entries})


@contextmanager
def serving(place: Path, storage: Path, tls: bool = False, auth: Mapping[str, Any] | None = None) -> Iterator[Registry]:
    """Debian's docker-registry on a free port; skips the test where there is none."""
    try:
        tools.ensure(["docker-registry"], Reporter())
    except ThanosError as error:
        pytest.skip(f"no registry can be had here: {error.message}")
    place.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": "127.0.0.1:0", "secret": "test"},
    }
    if tls:
        if not (place / "ca.pem").exists():
            certificates.write(place)
        settings["http"]["tls"] = {"certificate": str(place / "cert.pem"), "key": str(place / "key.pem")}
    if auth:
        settings["auth"] = dict(auth)
    (place / "config.yml").write_text(yaml.safe_dump(settings))
    log = place / "log"
    with log.open("wb") as out:
        argv = [str(programs.require("docker-registry")), "serve", str(place / "config.yml")]
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:

        def port() -> str:
            assert process.poll() is None, log.read_text()
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())
            return found[1] if found else ""

        eventually(port)
        yield Registry(f"127.0.0.1:{port()}", storage, place / "ca.pem" if tls else None)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without encryption and login, to push to; others serve what is in its storage."""
    place = tmp_path_factory.mktemp("registry")
    with serving(place, place / "storage") as registry:
        yield registry


@pytest.fixture(scope="session")
def guarded(plain: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The same images with TLS and a password (USER, PASSWORD)."""
    import bcrypt

    place = tmp_path_factory.mktemp("guarded")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (place / "htpasswd").write_text(f"{USER}:{hashed}\n")
    auth = {"htpasswd": {"realm": "test", "path": str(place / "htpasswd")}}
    with serving(place, plain.storage, tls=True, auth=auth) as registry:
        yield registry


@dataclass
class Way:
    """A proxy in front of a registry, with TLS, that does to answers about blobs what its fields say.

    cut: bytes after which the next answers break off, one each. flip: change a byte in the middle of every blob.
    slow: seconds between pieces. ranges: whether ``Range`` is passed on. refusals: (status, headers) to give first.
    silent: what an answer stops at until ``released``: ``head`` (all of it), ``blob`` or a digest (in its middle);
    ``waiting`` is set meanwhile, and after a long time it goes on by itself, which ``went_on`` tells.
    rewrite: by the end of a path, what is answered instead: (content type, body, headers).
    seen: path and Range of every request.
    """

    backend: str
    host: str = ""
    cut: list[int] = field(default_factory=list)
    flip: bool = False
    slow: float = 0.0
    silent: str = ""
    waiting: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    went_on: bool = False
    ranges: bool = True
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    rewrite: dict[str, tuple[str, bytes, dict[str, str]]] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def pause(self) -> None:
        """Say nothing until somebody allows it, or for so long that nobody can be waiting for a cancel any more."""
        self.waiting.set()
        self.went_on |= not self.released.wait(20)


def _handler(way: Way) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: it would be noise among the tests' results."""

        def do_GET(self) -> None:
            way.seen.append((self.path, self.headers.get("Range", "")))
            if way.silent == "head":
                way.pause()
            if way.refusals:
                status, headers = way.refusals.pop(0)
                self.answer(status, {**headers, "Content-Length": "0"}, b"")
                return
            for end, (kind, body, more) in way.rewrite.items():
                if self.path.endswith(end):
                    self.answer(200, {"Content-Type": kind, "Content-Length": str(len(body)), **more}, body)
                    return
            asked = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
            if not way.ranges:
                asked.pop("Range", None)
            backend = http.client.HTTPConnection(way.backend, timeout=60)
            backend.request("GET", self.path, headers=asked)
            given = backend.getresponse()
            data = given.read()
            headers = {key: value for key, value in given.getheaders() if key.lower() != "connection"}
            if "/blobs/" in self.path and way.flip and data:
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            self.answer(given.status, headers, data)
            backend.close()

        def answer(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            blob = "/blobs/" in self.path
            if way.silent and (self.path.endswith(way.silent) or (blob and way.silent == "blob")):
                self.wfile.write(data[: len(data) // 2])
                way.pause()
                data = data[len(data) // 2 :]
            if blob and way.cut and len(data) > way.cut[0]:
                self.wfile.write(data[: way.cut.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
            for piece in pieces:
                self.wfile.write(piece)
                if blob and way.slow:
                    time.sleep(way.slow)

    return Handler


@pytest.fixture(scope="session")
def _certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("certified")
    certificates.write(place)
    return place


@pytest.fixture
def way(plain: Registry, _certified: Path) -> Iterator[Way]:
    """A bad way to the plain registry; its authority is the fixture ``way_authority``."""
    found = Way(plain.host)
    with _https(_handler(found), _certified) as host:
        found.host = host
        yield found
        found.released.set()


@pytest.fixture
def way_authority(_certified: Path) -> Path:
    return _certified / "ca.pem"


@contextmanager
def _https(handler: type[http.server.BaseHTTPRequestHandler], place: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake in the request's own thread: one that fails must not end the server.
            try:
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)
            except OSError:
                pass

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: that clients hang up is what some of the tests are about."""

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Tokens:
    """A server that gives tokens for USER and PASSWORD, or for the refresh token ``refresh``.

    asked: scope and kind (``password``, ``refresh``, ``none``) of every request.
    """

    url: str = ""
    refresh: str = "a refresh token"
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def tokens(place: Path) -> Iterator[tuple[Tokens, dict[str, Any]]]:
    """A token server, and the settings of a registry that trusts it (docker-registry's ``auth``)."""
    top = certificates.authority()
    issuer = certificates.signed(top, "issuer")
    (place / "root.pem").write_text(top.certificate)
    chain = "".join(line for line in issuer.certificate.splitlines() if not line.startswith("-----"))
    found = Tokens()

    def token(scope: str) -> str:
        kind, name, actions = scope.split(":")
        now = int(time.time())
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        claims = {"iss": "test", "sub": USER, "aud": "registry", "nbf": now - 60, "iat": now, "exp": now + 300}
        header = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
        parts = [_encoded(json.dumps(part).encode()) for part in (header, {**claims, "jti": "1", "access": access})]
        signed = issuer.key.sign(".".join(parts).encode(), ec.ECDSA(SHA256()))
        r, s = decode_dss_signature(signed)
        return ".".join([*parts, _encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: it would be noise among the tests' results."""

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            kept = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            given = self.headers.get("Authorization")
            found.asked.append((query["scope"][0], "password" if given else "none"))
            self.answer("token", query["scope"][0] if given == kept else "")

        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            found.asked.append((form["scope"][0], "refresh"))
            self.answer("access_token", form["scope"][0] if form["refresh_token"] == [found.refresh] else "")

        def answer(self, key: str, scope: str) -> None:
            body = json.dumps({key: token(scope)} if scope else {"details": "no"}).encode()
            self.send_response(200 if scope else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _https(Handler, place) as host:
        found.url = f"https://{host}/token"
        realm = {"realm": found.url, "service": "registry", "issuer": "test", "rootcertbundle": str(place / "root.pem")}
        yield found, {"token": realm}
