"""Volumes that hold an image as Docker keeps it, so that a Docker engine has it without loading it.

`docker load` writes an image twice, into a temporary directory and from there into its layers: on a machine whose
disk is its memory the image is then there three times, with the archive that it came from. Here its files lie
unpacked in the volume, and what Docker notes down of an image and its layers lies beside them:

    image        the image's ID
    reference    its name
    rootfs/      the files of all its layers, for Docker as one layer
    store/       what belongs below /var/lib/docker, but for the layer's files: rootfs/ is bound to LAYER

LAYER is ``overlay2/CACHE/diff``, the one such directory in store/. The layout is that of Docker's graph driver
overlay2, the same since Docker 1.10 (https://github.com/moby/moby: layer/filestore.go, image/fs.go and
daemon/graphdriver/overlay2).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from thanos_tui.build import trees
from thanos_tui.errors import BuildError
from thanos_tui.images import layers
from thanos_tui.images.store import Image, Store
from thanos_tui.tree import MTIME, Member


@dataclass(frozen=True)
class Kept:
    """An image as Docker keeps it.

    document: its configuration, whose hash is its ID. layer: the hash (hex) of its one layer. size: bytes of content.
    """

    image: Image
    document: bytes
    layer: str
    size: int

    @property
    def id(self) -> str:
        """The image's ID without ``sha256:``."""
        return hashlib.sha256(self.document).hexdigest()


def plan(store: Store, image: Image, size: int) -> Kept:
    """How Docker keeps the image; ``size``: bytes of content.

    An image of one layer keeps its ID. The layers of others become one here, and their ID another one's.
    Raises BuildError where the image's configuration does not name its layers.
    """
    digest = store.document(image.digest)["config"]["digest"]
    described = store.document(digest)
    if not image.layers or not all(layer.diff_id for layer in image.layers):
        raise BuildError(f"the configuration of the image {image.reference} does not say what its layers are")
    # The name of a stack of layers (OCI image specification, "ChainID"). For one layer it is that layer's own; as the
    # name of one that is made of several it stands for the same files.
    chain = image.layers[0].diff_id
    for layer in image.layers[1:]:
        chain = "sha256:" + hashlib.sha256(f"{chain} {layer.diff_id}".encode()).hexdigest()
    if len(image.layers) == 1:
        with store.open_blob(digest) as stream:
            return Kept(image, stream.read(), chain.partition(":")[2], size)
    described = {key: value for key, value in described.items() if key != "history"}
    described["rootfs"] = {"type": "layers", "diff_ids": [chain]}
    document = json.dumps(described, sort_keys=True, separators=(",", ":")).encode()
    return Kept(image, document, chain.partition(":")[2], size)


def members(store: Store, kept: Kept, lower: str) -> Iterator[Member]:
    """The volume's files below ``lower``. Raises as :func:`layers.flatten` does."""
    yield from trees.way(lower)
    yield trees.file(f"{lower}/image", f"sha256:{kept.id}\n".encode())
    # Docker gives no image a name with a digest.
    yield trees.file(f"{lower}/reference", f"{kept.image.reference.partition('@')[0]}\n".encode())
    yield from trees.with_parents(_notes(kept, f"{lower}/store"))
    root = f"{lower}/rootfs"
    yield trees.directory(root)
    for member in layers.flatten(store, kept.image):
        if member.name == ".":
            continue
        link = f"{root}/{member.linkname}" if member.kind == "hardlink" else member.linkname
        yield replace(member, name=f"{root}/{member.name}", linkname=link)


def _notes(kept: Kept, store: str) -> Iterator[Member]:
    driver = f"{store}/image/overlay2"
    yield trees.file(f"{driver}/imagedb/content/sha256/{kept.id}", kept.document, 0o600)
    layer = {"cache-id": kept.layer, "diff": f"sha256:{kept.layer}", "size": str(kept.size)}
    for name, text in layer.items():
        yield trees.file(f"{driver}/layerdb/sha256/{kept.layer}/{name}", text.encode())
    # A short name: those of all layers of a container have to fit into the one page that mount(2) takes.
    link = base64.b32encode(bytes.fromhex(kept.layer)).decode()[:26]
    yield trees.file(f"{store}/overlay2/{kept.layer}/link", link.encode())
    yield trees.directory(f"{store}/overlay2/{kept.layer}/diff")
    yield Member(f"{store}/overlay2/l/{link}", "symlink", mtime=MTIME, linkname=f"../{kept.layer}/diff")
