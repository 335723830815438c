"""The image store: an OCI image layout on disk, kept the way LinuxKit keeps its own cache.

One directory holds ``oci-layout``, ``index.json`` and ``blobs/sha256/…`` (OCI image layout 1.0.0). An entry of
``index.json`` names its image by the annotation ``org.opencontainers.image.ref.name``, with the reference written
out in full; so ``linuxkit build --cache DIR`` reads the directory as it is, and ours reads LinuxKit's.

Blobs are named by their hash and written beside, then renamed: no reader ever sees half of one. Changes of
``index.json`` happen under LinuxKit's own lock (a POSIX record lock on ``.lock``). Reading needs no lock and no right
to write. What is read is hashed while it passes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError
from thanos_tui.files import remove_left_over, replacing, stamp, unwritable
from thanos_tui.images import reference as references

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

INDEXES = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
LAYERS = (LAYER, f"{LAYER}+gzip", f"{LAYER}+zstd", "application/vnd.docker.image.rootfs.diff.tar.gzip")
_NAME = "org.opencontainers.image.ref.name"
# LinuxKit's containerd-based parts look for this one as well.
_CONTAINERD_NAME = "io.containerd.image.name"
_SUBJECT = "vnd.docker.reference.digest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The largest manifest or image configuration that is read: registries accept 4 MiB, no honest one comes near it.
_DOCUMENT = 8 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Descriptor:
    """A blob of the store: its digest (``sha256:…``), size in bytes and media type.

    diff_id: for a layer, the digest of its uncompressed archive, where it is known.
    """

    digest: str
    size: int
    media_type: str
    diff_id: str = ""


@dataclass(frozen=True)
class Image:
    """An image for one architecture.

    reference: its full name. digest: that of its manifest. arch: Go's name (``amd64``).
    config: the run configuration: ``Entrypoint``, ``Cmd``, ``Env``, ``WorkingDir``, ``Labels``, … as the OCI image
    specification has them. layers: lowest first.
    """

    reference: str
    digest: str
    arch: str
    config: Mapping[str, Any]
    layers: tuple[Descriptor, ...]


class Damaged(IntegrityError):
    """A blob was not what its name says; it is gone now, so that its image counts as missing."""


# Record locks belong to a process, not to a thread, and closing any descriptor of the file gives them up: within this
# process a lock per directory does what they cannot.
_threads: dict[Path, threading.RLock] = {}
_threads_guard = threading.Lock()


class Store:
    """The images under one directory, which need not exist yet: the first write makes it.

    own: False for somebody else's, of which nothing is changed: no time of use, and no damaged blob removed.

    Raises InputError where the path is something else than an image store, or a store of a later version.
    """

    def __init__(self, path: Path, *, own: bool = True) -> None:
        self.path = path.absolute()
        self._own = own
        self._check()

    def _check(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path} is not a directory, so it cannot be the image store")
        marker = self.path / "oci-layout"
        try:
            version = json.loads(marker.read_bytes())["imageLayoutVersion"]
        except FileNotFoundError:
            # A directory just made by someone else's first write may hold only its lock and blobs.
            known = {".lock", "blobs", "ingest", "index.json", "lost+found"}
            strange = sorted({item.name for item in self.path.iterdir()} - known)
            strange = [name for name in strange if not name.endswith(".part")]
            if strange:
                raise InputError(
                    f"{self.path} is not an image store: it holds {strange[0]} and no oci-layout",
                    hint="name an empty or a new directory, or LinuxKit's cache (~/.linuxkit/cache)",
                ) from None
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(
                f"{marker} cannot be read: {error}", hint="remove it if the directory is an OCI image layout"
            ) from error
        if version != "1.0.0":
            raise InputError(f"{self.path} is an image layout of version {version}; only 1.0.0 is known")

    # Looking things up

    def find(self, reference: str, arch: str) -> Image | None:
        """The image of that name for ``arch``, whole: with its configuration and every layer; else None.

        Raises IntegrityError where a blob on the way is damaged.
        """
        entry = self._entry(reference)
        if entry is None:
            return None
        with contextlib.suppress(OSError):  # a store that is only to be read
            if self._own:
                os.utime(self._blob(entry["digest"]))
        full = references.expand(reference)
        return next((image for image in self._images(entry, full, arch) if self._complete(image)), None)

    def get(self, reference: str, arch: str) -> Image:
        """As :meth:`find`, but raises BuildError that says what is missing: the image, the architecture or a part."""
        image = self.find(reference, arch)
        if image is not None:
            return image
        full = references.expand(reference)
        entry = self._entry(reference)
        if entry is None:
            raise BuildError(
                f"the image {full} is not in the store {self.path}",
                hint="check its name, or bring it there: linuxkit cache pull, or a recipe of that name",
            )
        if next(self._images(entry, full, arch), None) is not None:
            raise BuildError(f"the image {full} for {arch} is in the store {self.path} only in part")
        others = (
            ", ".join(sorted({found.arch for found in self._images(entry, full, None)})) or "no architecture at all"
        )
        raise BuildError(
            f"the image {full} is not there for {arch}, only for {others}",
            hint=f"bring the one for {arch} there (linuxkit cache pull), or build for another architecture",
        )

    def platforms(self, reference: str) -> tuple[str, ...]:
        """The architectures that an image is there for, sorted; empty where the reference is unknown."""
        entry = self._entry(reference)
        if entry is None:
            return ()
        return tuple(sorted({image.arch for image in self._images(entry, references.expand(reference), None)}))

    def references(self) -> dict[str, str]:
        """Every image by its full name, with the digest that the name stands for."""
        return {
            entry["annotations"][_NAME]: entry["digest"]
            for entry in self._index()["manifests"]
            if _NAME in (entry.get("annotations") or {})
        }

    def last_used(self) -> dict[str, float]:
        """When each image was looked for last (seconds since the epoch), by its full name; 0 for what is not there."""
        times = {}
        for name, digest in self.references().items():
            try:
                times[name] = self._blob(digest).stat().st_mtime
            except OSError:
                times[name] = 0.0
        return times

    def root(self, reference: str) -> Descriptor | None:
        """The descriptor that a name stands for: an index of platforms, or a bare manifest."""
        entry = self._entry(reference)
        return None if entry is None else descriptor(entry)

    def manifests(self, digest: str) -> list[dict[str, Any]]:
        """The entries of the index ``digest``, as they are written there, attestations included."""
        return _entries(self.document(digest), digest)

    def document(self, digest: str) -> dict[str, Any]:
        """A manifest, an index or a configuration, parsed and checked against its digest."""
        with self.open_blob(digest) as stream:
            data = stream.read(_DOCUMENT + 1)
            if len(data) > _DOCUMENT:
                raise BuildError(f"the document {digest} in {self.path} is larger than {_DOCUMENT >> 20} MiB")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BuildError(f"the document {digest} in {self.path} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BuildError(f"the document {digest} in {self.path} is not a JSON object")
        return value

    def open_blob(self, digest: str) -> io.BufferedReader:
        """The content of a blob, hashed while it is read; once for all readings while its file stays as it is.

        One that needs no hashing any more can be sought in. Reading to the end raises IntegrityError where the content
        does not match; the damaged copy is then removed, so that the image counts as missing. Raises BuildError where
        the blob is not there.
        """
        path = self._blob(digest)
        try:
            file = path.open("rb", buffering=0)
            status = os.fstat(file.fileno())
            known = _hashed.get(path) == (status.st_dev, *stamp(status))
            raw = file if known else _Verified(file, status, path, digest, self._own)
            return io.BufferedReader(raw, _CHUNK)
        except FileNotFoundError:
            raise BuildError(
                f"the blob {digest} is missing from the image store {self.path}", hint="bring the image there again"
            ) from None
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror}") from error

    def has_blob(self, blob: Descriptor) -> bool:
        """Whether the store holds the blob with the size that its descriptor says; its content is not looked at."""
        try:
            return self._blob(blob.digest).stat().st_size == blob.size
        except OSError:
            return False

    # Adding

    def put_blob(self, chunks: Iterable[bytes], media_type: str, *, expected: str = "") -> Descriptor:
        """Store what ``chunks`` yield and return its descriptor; what is there already is renewed, not doubled.

        expected: the digest that it has to have. Raises IntegrityError where it has another one; nothing stays then.
        """
        self._create()
        digest = hashlib.sha256()
        size = 0
        with _writing(self.path):
            remove_left_over(self.path / "blob")
            number, temporary = tempfile.mkstemp(prefix=f".blob.{os.getpid()}.", suffix=".part", dir=self.path)
        try:
            with os.fdopen(number, "wb") as stream:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    with _writing(self.path):
                        stream.write(chunk)
                name = f"sha256:{digest.hexdigest()}"
                if expected not in ("", name):
                    raise IntegrityError(
                        f"what came for {expected[:19]} is something else: {name[:19]}",
                        hint="nothing of it was used; try again later, or take it from somewhere else",
                    )
                with _writing(self.path):
                    stream.flush()
                    os.fchmod(stream.fileno(), 0o644)
                    os.fsync(stream.fileno())
            # Renamed over an existing blob on purpose: same name means same content, unless that one was damaged.
            with _writing(self.path):
                Path(temporary).rename(self._blob(name))
        finally:
            Path(temporary).unlink(missing_ok=True)
        return Descriptor(name, size, media_type, name if media_type == LAYER else "")

    def add_image(self, reference: str, arch: str, config: Mapping[str, Any], layers: Sequence[Descriptor]) -> Image:
        """Give stored layers (lowest first) a run configuration and a name; the name's other architectures stay.

        The layers are plain archives (``LAYER``) from :meth:`put_blob`, or have a ``diff_id``. Same arguments, same
        manifest digest: the documents hold no times.
        """
        full = references.expand(reference)
        # Refuses what no reader would find again.
        references.split(full)
        if not all(layer.diff_id for layer in layers):
            raise ValueError("a compressed layer without a diff_id")
        document = {
            "architecture": arch,
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _entry_of(self._put_document(document, OCI_CONFIG)),
            "layers": [_entry_of(layer) for layer in layers],
        }
        stored = self._put_document(manifest, OCI_MANIFEST)
        platform = {"architecture": arch, "os": "linux"}
        with self._locked():
            before = self._entry(full)
            others = []
            if before is not None and before.get("mediaType") in INDEXES and self.has_blob(descriptor(before)):
                entries = self.manifests(before["digest"])
                replaced = {entry["digest"] for entry in entries if _arch(entry) == arch} - {stored.digest}
                # An attestation goes with the image that it speaks of.
                others = [
                    entry
                    for entry in entries
                    if _arch(entry) != arch and (entry.get("annotations") or {}).get(_SUBJECT) not in replaced
                ]
            entries = [*others, {**_entry_of(stored), "platform": platform}]
            entries.sort(key=lambda entry: (_arch(entry) == "unknown", _arch(entry), entry["digest"]))
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            root = self._put_document(index, OCI_INDEX)
            self._replace_entry(full, _entry_of(root))
        return Image(full, stored.digest, arch, dict(config), tuple(layers))

    def name(self, reference: str, root: Descriptor) -> None:
        """Give a stored index or manifest, and so the image that it is, a name; it means nothing else from now on."""
        full = references.expand(reference)
        with self._locked():
            self._replace_entry(full, _entry_of(root))

    def prune(self, keep: Collection[str], grace: float = 3600, *, dry_run: bool = False) -> int:
        """Remove every image whose name is not in ``keep``, and all blobs that nothing leads to any more.

        Blobs younger than ``grace`` seconds stay: another process may be about to name them. dry_run: remove nothing.
        Returns the bytes freed.
        """
        if not self.path.exists():
            return 0
        wanted = {references.expand(name) for name in keep}
        freed = 0
        with self._locked():
            index = self._index()
            index["manifests"] = [
                entry for entry in index["manifests"] if (entry.get("annotations") or {}).get(_NAME) in wanted
            ]
            if not dry_run:
                self._write_index(index)
            needed: set[str] = set()
            for entry in index["manifests"]:
                self._reach(entry, needed)
            old = time.time() - grace
            candidates = [path for path in self.path.glob("blobs/sha256/*") if f"sha256:{path.name}" not in needed]
            for path in [*candidates, *self.path.glob(".*.part")]:
                with contextlib.suppress(FileNotFoundError):
                    facts = path.stat()
                    if facts.st_mtime <= old:
                        if not dry_run:
                            path.unlink()
                        freed += facts.st_size
        return freed

    # The inside

    def _blob(self, digest: str) -> Path:
        if not is_digest(digest):
            # Also what keeps a hostile manifest from naming a file elsewhere.
            raise BuildError(f"{digest!r} in the image store {self.path} is not a sha256 digest")
        return self.path / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _create(self) -> None:
        if (self.path / "index.json").exists() and (self.path / "oci-layout").exists():
            return
        with _writing(self.path):
            (self.path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not (self.path / "oci-layout").exists():
                with replacing(self.path / "oci-layout") as stream:
                    stream.write(b'{"imageLayoutVersion":"1.0.0"}')
            if not (self.path / "index.json").exists():
                self._write_index({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store alone, among processes and among threads."""
        with _threads_guard:
            lock = _threads.setdefault(self.path.resolve(), threading.RLock())
        with lock:
            with _writing(self.path):
                number = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.lockf(number, fcntl.LOCK_EX)
                yield
            finally:
                os.close(number)

    def _index(self) -> dict[str, Any]:
        path = self.path / "index.json"
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise IntegrityError(
                f"the index of the image store {self.path} is damaged: {error}",
                hint=f"remove {self.path}: what it held is fetched and made again",
            ) from error
        _entries(value, str(path))
        return dict(value)

    def _write_index(self, index: Mapping[str, Any]) -> None:
        with replacing(self.path / "index.json") as stream:
            stream.write(json.dumps(index, indent=2).encode() + b"\n")

    def _replace_entry(self, full: str, entry: Mapping[str, Any]) -> None:
        index = self._index()
        others = [old for old in index["manifests"] if (old.get("annotations") or {}).get(_NAME) != full]
        others.append({**entry, "annotations": {_NAME: full, _CONTAINERD_NAME: full}})
        # Sorted, so that the file does not tell in which order things were built.
        index["manifests"] = sorted(others, key=lambda item: str((item.get("annotations") or {}).get(_NAME, "")))
        self._write_index(index)

    def _entry(self, reference: str) -> dict[str, Any] | None:
        """The entry of index.json that a reference means: by its full name, else by the digest it pins."""
        full = references.expand(reference)
        digest = references.split(full).digest
        entries: list[dict[str, Any]] = self._index()["manifests"]
        by_name = [entry for entry in entries if (entry.get("annotations") or {}).get(_NAME) == full]
        by_digest = [entry for entry in entries if digest and entry["digest"] == digest]
        if digest:
            by_name = [entry for entry in by_name if entry["digest"] == digest]
        return next(iter(by_name or by_digest), None)

    def _images(self, entry: Mapping[str, Any], full: str, arch: str | None, depth: int = 0) -> Iterator[Image]:
        """The images below an entry, in their order; only those for ``arch`` unless it is None."""
        kind = entry.get("mediaType")
        if not self.has_blob(descriptor(entry)):
            return
        if kind in INDEXES:
            if depth == 8:
                raise BuildError(f"the image {full} is an index of indexes that goes too deep")
            for inner in self.manifests(entry["digest"]):
                # What has a platform is believed; the rest is opened to see what it was made for.
                if _arch(inner) in (arch or _arch(inner), "") and _arch(inner) not in ("other", "unknown"):
                    yield from self._images(inner, full, arch, depth + 1)
        elif kind in MANIFESTS and _arch(entry) != "unknown":
            image = self._image(entry, full)
            if image is not None and (arch is None or image.arch in (arch, "")):
                yield image if image.arch else Image(full, image.digest, arch or "", image.config, image.layers)
        elif kind not in MANIFESTS:
            raise BuildError(f"the image {full} has a manifest of a kind that is not known: {kind}")

    def _image(self, entry: Mapping[str, Any], full: str) -> Image | None:
        manifest = self.document(entry["digest"])
        try:
            config = descriptor(manifest["config"])
            layers = [descriptor(layer) for layer in manifest["layers"]]
            if not self.has_blob(config):
                return None
            document = self.document(config.digest)
            arch = _arch(entry) or str(document.get("architecture") or "")
            diff_ids = (document.get("rootfs") or {}).get("diff_ids") or []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BuildError(f"the manifest {entry['digest']} of {full} is not a manifest of an image") from error
        if arch == "unknown":
            return None
        if len(diff_ids) == len(layers):
            layers = [
                Descriptor(layer.digest, layer.size, layer.media_type, str(diff_id))
                for layer, diff_id in zip(layers, diff_ids, strict=True)
            ]
        return Image(full, entry["digest"], arch, document.get("config") or {}, tuple(layers))

    def _complete(self, image: Image) -> bool:
        return all(self.has_blob(layer) for layer in image.layers)

    def _put_document(self, document: Mapping[str, Any], media_type: str) -> Descriptor:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return self.put_blob([text.encode()], media_type)

    def _reach(self, entry: Mapping[str, Any], needed: set[str]) -> None:
        if entry["digest"] in needed:
            return
        needed.add(entry["digest"])
        if not self.has_blob(descriptor(entry)):
            return
        if entry.get("mediaType") in INDEXES:
            for inner in self.manifests(entry["digest"]):
                self._reach(inner, needed)
        elif entry.get("mediaType") in MANIFESTS:
            manifest = self.document(entry["digest"])
            for part in [manifest.get("config") or {}, *(manifest.get("layers") or [])]:
                needed.add(str(part.get("digest")))


# File systems take times from a clock that ticks a hundred times a second, or more often.
_CLOCK_NS = 100_000_000
# The files that this process has found to have the right content, as they were then: device and stamp.
_hashed: dict[Path, tuple[int, ...]] = {}


class _Verified(io.RawIOBase):
    """A blob's file, whose end is only reached if the content has the right hash."""

    def __init__(self, file: io.FileIO, status: os.stat_result, path: Path, digest: str, own: bool) -> None:
        self._own = own
        self._file = file
        self._found = (status.st_dev, *stamp(status))
        self._changed = status.st_ctime_ns
        self._opened = time.time_ns()
        self._path = path
        self._digest = digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        if count:
            self._hash.update(memoryview(buffer)[:count])
        elif len(buffer) and f"sha256:{self._hash.hexdigest()}" == self._digest:
            # One that was changed just before it was opened could be changed again, and have the same times.
            if self._opened - self._changed > _CLOCK_NS:
                _hashed[self._path] = self._found
        elif len(buffer):
            message = f"the blob {self._path} is damaged: its content does not have the hash in its name"
            if not self._own:
                raise IntegrityError(message, hint="get it again from where it came from")
            with contextlib.suppress(OSError):
                self._path.unlink()
            raise Damaged(message, hint="the damaged copy was removed; build again to make or fetch the image anew")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing below ``path`` into an error that says so."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def _entries(value: Any, what: str) -> list[dict[str, Any]]:
    """The manifests that an index lists; raises IntegrityError where it is not an index."""
    entries = value.get("manifests") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("digest"), str) and isinstance(entry.get("size"), int)
        for entry in entries
    ):
        raise IntegrityError(f"{what} is not an OCI image index")
    return entries


def is_digest(text: str) -> bool:
    """Whether this is a digest as blobs are named by."""
    return _DIGEST.fullmatch(text) is not None


def descriptor(entry: Mapping[str, Any]) -> Descriptor:
    return Descriptor(str(entry["digest"]), int(entry["size"]), str(entry.get("mediaType")))


def _entry_of(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def _arch(entry: Mapping[str, Any]) -> str:
    """The architecture an entry says it is for; ``""`` where it does not, or where it is not for Linux."""
    platform = entry.get("platform") or {}
    if platform.get("os", "linux") not in ("linux", "unknown"):
        return "other"
    return str(platform.get("architecture") or "")
