# ruff: noqa: PTH103, PTH118, PTH123
"""Write small OCI image layouts, byte for byte reproducible.

Everything that ends up in a blob (tar headers, gzip and zstd framing, JSON) is
produced here rather than by the standard library's archive modules, because
their output changes between Python and zlib versions and a changed byte means a
changed digest.  Only the real deflate stream of ``gzip`` layers comes from zlib;
images whose digests matter must use ``stored`` layers instead.
"""

import hashlib
import json
import os
import posixpath
import struct
import zlib

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

LABEL = "org.mobyproject.config"
EPOCH = 1577836800  # 2020-01-01T00:00:00Z, first mtime handed out by a layer

REG, LINK, SYM, CHR, BLK, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


def blob_of_bytes(length, seed):
    """Deterministic bytes that do not compress well."""
    out = b""
    counter = 0
    while len(out) < length:
        out += hashlib.sha256(f"{seed}:{counter}".encode()).digest()
        counter += 1
    return out[:length]


class Layer:
    """An ordered list of tar members.

    Each member gets its own mtime (a minute after the previous one) unless one
    is given, so that an engine that mixes up timestamps is noticed.
    ``flavour`` selects how long names are written: ``pax`` or ``gnu``.
    ``prefix`` is put before every member name (some tools write ``./``).
    """

    def __init__(self, packing="gzip", flavour="pax", prefix=""):
        self.packing = packing
        self.flavour = flavour
        self.prefix = prefix
        self._members = []

    def _add(self, kind, name, mode, data=b"", link="", uid=0, gid=0, mtime=None, dev=(0, 0)):
        if mtime is None:
            mtime = EPOCH + 60 * len(self._members)
        self._members.append((kind, name, mode, data, link, uid, gid, mtime, dev))
        return self

    def dir(self, name, mode=0o755, **kw):
        return self._add(DIR, name.rstrip("/") + "/", mode, **kw)

    def dirs(self, names, mode=0o755, **kw):
        for name in names.split():
            self.dir(name, mode, **kw)
        return self

    def file(self, name, data="", mode=0o644, **kw):
        if isinstance(data, str):
            data = data.encode()
        return self._add(REG, name, mode, data=data, **kw)

    def symlink(self, name, target, mode=0o777, **kw):
        return self._add(SYM, name, mode, link=target, **kw)

    def hardlink(self, name, target, mode=0o644, **kw):
        return self._add(LINK, name, mode, link=target, **kw)

    def char(self, name, major, minor, mode=0o600, **kw):
        return self._add(CHR, name, mode, dev=(major, minor), **kw)

    def block(self, name, major, minor, mode=0o600, **kw):
        return self._add(BLK, name, mode, dev=(major, minor), **kw)

    def fifo(self, name, mode=0o600, **kw):
        return self._add(FIFO, name, mode, **kw)

    def whiteout(self, path):
        head, tail = posixpath.split(path)
        return self._add(REG, posixpath.join(head, ".wh." + tail), 0o600)

    def opaque(self, path):
        return self._add(REG, posixpath.join(path, ".wh..wh..opq"), 0o600)

    def tar(self):
        """The uncompressed archive."""
        out = []
        for kind, name, mode, data, link, uid, gid, mtime, dev in self._members:
            name = self.prefix + name
            if kind == LINK:
                link = self.prefix + link
            out.append(_entry(self.flavour, kind, name, mode, data, link, uid, gid, mtime, dev))
        out.append(b"\0" * 1024)
        return b"".join(out)

    def packed(self):
        """(media type suffix, stored bytes, uncompressed bytes)."""
        raw = self.tar()
        if self.packing == "none":
            return "", raw, raw
        if self.packing == "gzip":
            return "+gzip", gzip_bytes(raw, deflate=True), raw
        if self.packing == "stored":
            return "+gzip", gzip_bytes(raw, deflate=False), raw
        if self.packing == "members":  # several gzip members one after the other
            half = len(raw) // 2
            return "+gzip", gzip_bytes(raw[:half], True) + gzip_bytes(raw[half:], True), raw
        if self.packing == "zstd":
            return "+zstd", zstd_bytes(raw), raw
        raise ValueError(self.packing)


def _pad(data):
    return data + b"\0" * (-len(data) % 512)


def _header(kind, name, mode, size, link, uid, gid, mtime, dev):
    def octal(value, width):
        return b"%0*o\0" % (width - 1, value)

    header = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            octal(mode, 8),
            octal(uid, 8),
            octal(gid, 8),
            octal(size, 12),
            octal(mtime, 12),
            b" " * 8,
            kind,
            link[:100].ljust(100, b"\0"),
            b"ustar\00000",
            b"\0" * 64,
            octal(dev[0], 8),
            octal(dev[1], 8),
            b"\0" * 155,
        )
    ).ljust(512, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _record(key, value):
    """One PAX record; its length counts the digits of the length itself."""
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def _entry(flavour, kind, name, mode, data, link, uid, gid, mtime, dev):
    name, link = name.encode(), link.encode()
    seconds = int(mtime)
    before = b""
    if flavour == "gnu":
        for letter, text in ((b"K", link), (b"L", name)):
            if len(text) > 100:
                text += b"\0"
                before += _header(letter, b"././@LongLink", 0, len(text), b"", 0, 0, 0, (0, 0))
                before += _pad(text)
    else:
        records = []
        if len(name) > 100 or not name.isascii():
            records.append(("path", name))
        if len(link) > 100 or not link.isascii():
            records.append(("linkpath", link))
        if uid > 0o7777777:
            records.append(("uid", b"%d" % uid))
        if gid > 0o7777777:
            records.append(("gid", b"%d" % gid))
        if mtime != seconds:
            records.append(("mtime", repr(mtime).encode()))
        if records:
            body = b"".join(_record(key, value) for key, value in records)
            before = _header(b"x", b"PaxHeaders/entry", 0o644, len(body), b"", 0, 0, 0, (0, 0))
            before += _pad(body)
    uid = uid if uid <= 0o7777777 else 0
    gid = gid if gid <= 0o7777777 else 0
    return before + _header(kind, name, mode, len(data), link, uid, gid, seconds, dev) + _pad(data)


def gzip_bytes(raw, deflate):
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    tail = struct.pack("<II", zlib.crc32(raw), len(raw) & 0xFFFFFFFF)
    if deflate:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return head + packer.compress(raw) + packer.flush() + tail
    blocks = []
    for start in range(0, max(len(raw), 1), 0xFFFF):
        part = raw[start : start + 0xFFFF]
        last = start + 0xFFFF >= len(raw)
        blocks.append(struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part)
    return head + b"".join(blocks) + tail


def zstd_bytes(raw):
    """A zstd frame made of raw and run-length blocks only."""
    runs = []
    pos = start = 0
    while pos < len(raw):
        if not raw[pos]:
            end = pos
            while end < len(raw) and not raw[end]:
                end += 1
            if end - pos >= 64:
                if start < pos:
                    runs.append((0, raw[start:pos], pos - start))
                runs.append((1, b"\0", end - pos))
                start = end
            pos = end
        else:
            pos += 1
    if start < len(raw):
        runs.append((0, raw[start:], len(raw) - start))
    blocks = []
    limit = 1 << 16
    for kind, data, length in runs:
        for offset in range(0, length, limit):
            size = min(limit, length - offset)
            body = data if kind else data[offset : offset + size]
            blocks.append((kind, size, body))
    out = [b"\x28\xb5\x2f\xfd\xa0", struct.pack("<I", len(raw))]
    for number, (kind, size, body) in enumerate(blocks):
        word = (number == len(blocks) - 1) | kind << 1 | size << 3
        out.append(struct.pack("<I", word)[:3] + body)
    return b"".join(out)


class Image:
    """One platform's image: layers plus the run configuration.

    ``config`` holds image-spec keys (Entrypoint, Cmd, Env, WorkingDir, User);
    ``label`` is the content of the org.mobyproject.config label, given as an
    object (written as JSON) or as ready text.
    """

    def __init__(self, *layers, label=None, docker=False, arch="amd64", **config):
        self.layers = layers
        self.docker = docker
        self.arch = arch
        self.config = dict(config)
        labels = {"maintainer": "conformance"}
        if label is not None:
            labels[LABEL] = label if isinstance(label, str) else json.dumps(label)
        self.config["Labels"] = labels


class Layout:
    """An OCI layout directory whose index names every image by reference."""

    def __init__(self, path):
        self.path = path
        self.descriptors = []
        os.makedirs(os.path.join(path, "blobs", "sha256"), exist_ok=True)

    def blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.path, "blobs", "sha256", digest), "wb") as out:
            out.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def json_blob(self, value):
        return self.blob(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())

    def manifest(self, image):
        """Store one image and return the descriptor of its manifest."""
        layers, diff_ids = [], []
        for layer in image.layers:
            suffix, packed, raw = layer.packed()
            media = DOCKER_LAYER if image.docker else OCI_LAYER + suffix
            layers.append(dict(self.blob(packed), mediaType=media))
            diff_ids.append("sha256:" + hashlib.sha256(raw).hexdigest())
        config = {
            "architecture": image.arch,
            "os": "linux",
            "created": "2020-01-01T00:00:00Z",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "conformance"} for _ in diff_ids],
        }
        body = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if image.docker else OCI_MANIFEST,
            "config": dict(
                self.json_blob(config),
                mediaType=DOCKER_CONFIG if image.docker else OCI_CONFIG,
            ),
            "layers": layers,
        }
        return dict(self.json_blob(body), mediaType=body["mediaType"])

    def add(self, ref, *images, bare=False, attest=False, platforms=True, also=(), by_digest=False):
        """Store images (one per platform) under a fully expanded reference.

        ``bare`` lets the reference point straight at the manifest, without an
        index in between.  ``attest`` adds the build attestation entry that
        modern builders put beside the image.  ``platforms`` says whether the index
        tells the platform of its entries.  ``also`` lists further names.
        Returns the digest the reference resolves to.
        """
        entries = []
        for image in images:
            entry = self.manifest(image)
            platform = {"os": "linux", "architecture": image.arch}
            if image.arch == "arm64":
                platform["variant"] = "v8"
            entries.append(dict(entry, platform=platform) if platforms else entry)
        if attest:
            entries.append(self._attestation(entries[0]["digest"]))
        if bare:
            (entry,) = entries
            top = {key: entry[key] for key in ("mediaType", "digest", "size")}
        else:
            media = DOCKER_INDEX if images[0].docker else OCI_INDEX
            index = {"schemaVersion": 2, "mediaType": media, "manifests": entries}
            top = dict(self.json_blob(index), mediaType=media)
        names = [ref, *also]
        if by_digest:
            repository = ref.rpartition(":")[0]
            names += [repository + "@" + top["digest"], ref + "@" + top["digest"]]
        for name in names:
            annotations = {
                "org.opencontainers.image.ref.name": name,
                "io.containerd.image.name": name,
            }
            self.descriptors.append(dict(top, annotations=annotations))
        return top["digest"]

    def _attestation(self, subject):
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "predicate": {},
        }
        layer = dict(self.json_blob(statement), mediaType="application/vnd.in-toto+json")
        config = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        body = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": dict(self.json_blob(config), mediaType=OCI_CONFIG),
            "layers": [layer],
        }
        return dict(
            self.json_blob(body),
            mediaType=OCI_MANIFEST,
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": subject,
            },
        )

    def close(self):
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.descriptors}
        with open(os.path.join(self.path, "index.json"), "w", encoding="utf-8") as out:
            json.dump(index, out, indent=1, sort_keys=True)
            out.write("\n")
        with open(os.path.join(self.path, "oci-layout"), "w", encoding="utf-8") as out:
            out.write('{"imageLayoutVersion": "1.0.0"}')
