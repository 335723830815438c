"""Images of a Docker engine: those that it holds or pulls, and stark, which it builds by ``stark/Dockerfile``.

What the engine has is copied into the store and is then an image like any other. Built images do not come out the
same twice: a lock holds for the copy in the store, and where that has gone it has to be renewed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thanos_tui import tarball
from thanos_tui.errors import BuildError, HostError, InputError, Interrupted, ThanosError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import cache_dir, stark_dir
from thanos_tui.images import archives, imports, manifests, recipes
from thanos_tui.images.interruptible import interruptible
from thanos_tui.images.store import Image, Store
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
    purpose = (
        "stark is to be built by one",
        "start the engine or name it in DOCKER_HOST; stark.source=recipe needs none",
    )
    with reporter.step(f"images/{reference.removeprefix(PREFIX)}", title) as step, _engine(*purpose) as api:
        found = _built(api, chosen, arch, base, step)
        return _exported(api, found, reference, arch, store, step)


def bring(
    wanted: Collection[str], arch: str, store: Store, reporter: Reporter, *, pull: bool, again: bool
) -> tuple[dict[str, Image], dict[str, ThanosError]]:
    """Those images of ``wanted`` that an engine holds for ``arch`` (Go's name), put into the store; and why not others.

    pull: what it lacks, or holds for another architecture, it is told to pull. again: everything it is told to pull.

    Raises HostError where no engine answers, Interrupted.
    """
    found: dict[str, Image] = {}
    problems: dict[str, ThanosError] = {}
    purpose = (
        "images are to be taken from one",
        "start the engine, name it in DOCKER_HOST, or leave it out of the sources",
    )
    with _engine(*purpose) as api:
        for reference in wanted:
            name = imports.normal(reference)
            with reporter.step(f"images/docker/{name}", f"Take {reference} from Docker", unit="bytes") as step:
                try:
                    problem = None if again else _lacking(api, name, arch)
                    if pull and (again or problem is not None):
                        _pull(api, name, arch, step)
                        problem = _lacking(api, name, arch)
                    if problem is None:
                        found[reference] = _exported(api, name, reference, arch, store, step)
                    else:
                        problems[reference] = problem
                        step.note = "not there"
                except Interrupted:
                    raise
                except ThanosError as error:
                    problems[reference] = error
                    step.note = "failed"
    return found, problems


def _lacking(api: APIClient, name: str, arch: str) -> ThanosError | None:
    """Why the engine cannot give an image for ``arch``, if it cannot."""
    from docker.errors import ImageNotFound

    try:
        facts = api.inspect_image(name)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return BuildError(f"the Docker engine does not hold {name}", hint=f"docker pull {name}")
    made_for = f"{facts.get('Os') or 'linux'}/{facts.get('Architecture') or arch}"
    if made_for != f"linux/{arch}":
        return BuildError(
            f"the Docker engine holds {name} for {made_for}, not for linux/{arch}",
            hint=f"docker pull --platform linux/{arch} {name}",
        )
    return None


def _pull(api: APIClient, name: str, arch: str, step: Step) -> None:
    """Have the engine pull an image. Raises BuildError with what it says where it cannot."""
    from docker.errors import APIError

    done: dict[str, int] = {}
    try:
        answers: Iterable[Mapping[str, Any]] = api.pull(name, platform=f"linux/{arch}", stream=True, decode=True)
        for answer in interruptible(answers, step.reporter.check):
            if "error" in answer:
                raise BuildError(f"Docker cannot pull {name}: {printable(str(answer['error']).strip())}")
            current = (answer.get("progressDetail") or {}).get("current")
            if answer.get("status") == "Downloading" and isinstance(current, int):
                layer = str(answer.get("id"))
                step.advance(max(0, current - done.get(layer, 0)))
                done[layer] = current
    except APIError as error:
        raise BuildError(f"Docker cannot pull {name}: {printable(str(error.explanation or error))}") from error


def _exported(api: APIClient, name: str, reference: str, arch: str, store: Store, step: Step) -> Image:
    """An image of the engine, by the archive that ``docker save`` would write, put into the store as ``reference``."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache_dir()) as archive:
        for chunk in interruptible(api.get_image(name, _CHUNK), step.reporter.check):
            archive.write(chunk)
        archive.flush()
        source = archives.archive(Path(archive.name))
        try:
            (image, *_) = manifests.loadable(archives.read(source, step), arch)
        except InputError as error:
            raise BuildError(f"Docker gave an image that cannot be used: {error.message}") from error
        step.note = f"{sum(piece.size for piece in image.layers) >> 20} MiB"
        return imports.keep(source, {reference: image}, arch, store, step)[reference]


@contextmanager
def _engine(purpose: str, hint: str) -> Iterator[APIClient]:
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
            f"no Docker engine answers at {where}, and {purpose}",
            hint=hint,
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
    for answer in interruptible(answers, step.reporter.check):
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
