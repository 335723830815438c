"""Archives of images as `docker save` and others write them, honest or not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(**files: bytes) -> bytes:
    """A layer with files by name."""
    return tar({name.replace("_", "/"): data for name, data in files.items()})


def tar(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    """An archive of files, and of symbolic links by name."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return made.getvalue()


@dataclass
class Made:
    """An image to be written as an archive. layers: uncompressed. pack: how they are compressed in an OCI layout."""

    layers: list[bytes] = field(default_factory=lambda: [layer(bin_sh=b"#!"), layer(etc_motd=b"hello\n")])
    arch: str = "amd64"
    names: list[str] = field(default_factory=lambda: ["localhost/thanos/made:base"])
    pack: Callable[[bytes], bytes] = lambda data: data
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> bytes:
        rootfs = {"type": "layers", "diff_ids": [sha256(each) for each in self.layers]}
        return json.dumps(
            {"architecture": self.arch, "os": "linux", "config": {"Cmd": ["/bin/sh"]}, "rootfs": rootfs, **self.config}
        ).encode()

    def saved(self) -> dict[str, bytes]:
        """The files of a `docker save` archive."""
        names = [f"{sha256(each)[7:]}/layer.tar" for each in self.layers]
        config = f"{sha256(self.configuration)[7:]}.json"
        entry = {"Config": config, "RepoTags": self.names, "Layers": names}
        files = dict(zip(names, self.layers, strict=True))
        files |= {name.replace("layer.tar", "VERSION"): b"1.0" for name in names}
        return {**files, config: self.configuration, "manifest.json": json.dumps([entry]).encode()}

    def laid_out(self, nested: bool = False) -> dict[str, bytes]:
        """The files of an OCI image layout. nested: with an index of platforms, as most images have one."""
        blobs: dict[str, bytes] = {}

        def put(data: bytes, kind: str) -> dict[str, Any]:
            blobs[f"blobs/sha256/{sha256(data)[7:]}"] = data
            return {"mediaType": kind, "digest": sha256(data), "size": len(data)}

        layers = [put(self.pack(each), "application/vnd.oci.image.layer.v1.tar") for each in self.layers]
        config = put(self.configuration, "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        entry = put(json.dumps(manifest).encode(), MANIFEST)
        entry["platform"] = {"architecture": self.arch, "os": "linux"}
        if nested:
            # The other platform is not in the archive, and attestations are of none.
            other = {**entry, "digest": sha256(b"other"), "platform": {"architecture": "s390x", "os": "linux"}}
            odd = {**entry, "digest": sha256(b"odd"), "platform": {"architecture": "unknown", "os": "unknown"}}
            entry = put(json.dumps({"schemaVersion": 2, "manifests": [other, entry, odd]}).encode(), INDEX)
        if self.names:
            entry["annotations"] = {"org.opencontainers.image.ref.name": self.names[0]}
        index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **blobs}


def write(path: Path, files: Mapping[str, bytes], *, zipped: bool = False) -> Path:
    data = tar(files)
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


def spread(directory: Path, files: Mapping[str, bytes]) -> Path:
    """The files in a directory."""
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory
