"""Images that a Docker engine builds: stark on top of Docker's own image, by ``stark/Dockerfile``.

What the engine has built is copied into the store and is then an image like any other. Such images do not come out the
same twice: a lock holds for the copy in the store, and where that has gone it has to be renewed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from thanos_tui import tarball
from thanos_tui.errors import BuildError, HostError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import cache_dir, stark_dir
from thanos_tui.images import recipes
from thanos_tui.images.store import LAYER, Descriptor, Image, Store
from thanos_tui.tree import Member, content
from thanos_tui.words import printable

if TYPE_CHECKING:
    from docker import APIClient

PREFIX = "localhost/dockerfile/"
BASE = "docker:dind"
# What the build needs of stark's directory.
_CONTEXT = ("Dockerfile", "stark.sh", "log.sh", "containerd.toml", "sv")
_CHUNK = 1 << 20
_TIMEOUT = 600  # seconds of silence: a step of the build may say nothing for long
_KEPT_LINES = 5  # of what was said before an error


def features(reference: str) -> tuple[str, ...] | None:
    """The features of ``localhost/dockerfile/stark:TAG``; None for any other reference."""
    name, _, tag = reference.removeprefix(PREFIX).partition(":")
    if not reference.startswith(PREFIX) or name != "stark" or not tag:
        return None
    return () if tag == recipes.BASE else tuple(tag.split("-"))


def key(reference: str, arch: str, base: str) -> str:
    """What an image is built from, as one hash; that of the packages is not known."""
    total = hashlib.sha256("\n".join((reference, arch, base)).encode())
    for member in _context():
        total.update(f"{member.name}\0{member.mode}\0".encode())
        if member.kind == "file":
            for data in content(member):
                total.update(data)
    return total.hexdigest()


def build(reference: str, arch: str, base: str, store: Store, reporter: Reporter) -> Image:
    """Have a Docker engine build the image on top of the image ``base``, and put it into the store as ``reference``.

    arch: Go's name. The engine is the one that the ``docker`` command would talk to (``DOCKER_HOST``).

    Raises HostError where no engine answers, BuildError where it cannot build the image, Interrupted.
    """
    chosen = features(reference) or ()
    title = f"Build the image {reference.removeprefix(PREFIX)} on top of {base}"
    with reporter.step(f"images/{reference.removeprefix(PREFIX)}", title) as step, _engine() as api:
        found = _built(api, chosen, arch, base, step)
        with tempfile.TemporaryFile(dir=cache_dir()) as archive:
            for chunk in api.get_image(found, _CHUNK):
                reporter.check()
                archive.write(chunk)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as saved:
                return _stored(saved, reference, arch, store, step)


@contextmanager
def _engine() -> Iterator[APIClient]:
    import docker
    from docker.errors import APIError, DockerException
    from docker.utils import kwargs_from_env
    from requests.exceptions import RequestException

    where = "the Docker engine"
    try:
        settings = kwargs_from_env()
        where = str(settings.get("base_url") or "unix:///var/run/docker.sock")
        api = docker.APIClient(version="auto", timeout=_TIMEOUT, **settings)
    except (DockerException, RequestException) as error:
        raise HostError(
            f"no Docker engine answers at {where}, and stark is to be built by one",
            hint="start the engine or name it in DOCKER_HOST; stark.source=recipe needs none",
        ) from error
    try:
        yield api
    except APIError as error:
        raise BuildError(f"Docker at {where} refuses: {printable(str(error.explanation or error))}") from error
    except (DockerException, RequestException) as error:
        raise BuildError(f"Docker at {where} ended in the middle of an answer: {printable(str(error))}") from error
    finally:
        api.close()


def _context() -> Iterator[Member]:
    """The files that the Dockerfile copies; programs by their ``#!``, as the recipe takes them."""
    top = stark_dir()
    paths = {path for name in _CONTEXT for path in ((top / name), *(top / name).rglob("*"))}
    for path in sorted(paths):
        name = str(path.relative_to(top))
        if path.is_dir():
            yield Member(name, "dir", mode=0o755)
        else:
            data = path.read_bytes()
            mode = 0o755 if data.startswith(b"#!") else 0o644
            yield Member(name, "file", mode=mode, size=len(data), open=partial(io.BytesIO, data))


def _built(api: APIClient, chosen: tuple[str, ...], arch: str, base: str, step: Step) -> str:
    """The id of the image that the engine has built; everything it says is in the step's log."""
    label = dict(recipes.load(stark_dir()).base.label)
    # Programs that the recipe leaves out, as the system has them; Docker's image brings its own.
    label["binds"] = [bind for bind in label["binds"] if not bind.startswith("/usr/")]
    answers = api.build(
        fileobj=io.BytesIO(b"".join(tarball.chunks(_context()))),
        custom_context=True,
        buildargs={"BASE": base, "FEATURES": " ".join(chosen)},
        labels={"org.mobyproject.config": json.dumps(label, sort_keys=True)},
        platform=None if api.version()["Arch"] == arch else f"linux/{arch}",
        rm=True,
        forcerm=True,
        decode=True,
    )
    said: list[str] = []
    found = ""
    for answer in answers:
        step.reporter.check()
        if "error" in answer:
            raise BuildError(
                f"Docker cannot build stark on top of {base}: {printable(str(answer['error']).strip())}",
                hint="\n  ".join(said[-_KEPT_LINES:]) or None,
            )
        found = (answer.get("aux") or {}).get("ID") or found
        for line in str(answer.get("stream", "")).splitlines():
            if line.strip():
                said.append(printable(line))
                step.log(printable(line))
    if not found:
        raise BuildError("Docker has built no image and said nothing of why", hint="\n  ".join(said[-_KEPT_LINES:]))
    return str(found)


def _stored(saved: tarfile.TarFile, reference: str, arch: str, store: Store, step: Step) -> Image:
    """Put the image of an archive as ``docker save`` writes it into the store."""
    try:
        (manifest,) = json.loads(_read(saved, "manifest.json"))
        described: Mapping[str, Any] = json.loads(_read(saved, manifest["Config"]))
        diff_ids = described["rootfs"]["diff_ids"]
        layers = [_layer(saved, name, store, step) for name in manifest["Layers"]]
    except (KeyError, ValueError, TypeError) as error:
        raise BuildError(f"Docker gave an image that cannot be read: {error}") from error
    if [layer.diff_id for layer in layers] != diff_ids:
        raise BuildError("Docker gave an image whose layers are others than it says")
    step.note = f"{sum(layer.size for layer in layers) >> 20} MiB"
    return store.add_image(reference, arch, described.get("config") or {}, layers)


def _read(saved: tarfile.TarFile, name: str) -> bytes:
    stream = saved.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is no file")
    with stream:
        return stream.read()


def _layer(saved: tarfile.TarFile, name: str, store: Store, step: Step) -> Descriptor:
    stream = saved.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is no file")

    def chunks() -> Iterator[bytes]:
        while chunk := stream.read(_CHUNK):
            step.reporter.check()
            yield chunk

    with stream:
        return store.put_blob(chunks(), LAYER)
