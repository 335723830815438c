"""The catalogue as it was read last: to read a thousand options from YAML takes ten times as long as to load them."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from thanos_tui import errors, yaml12
from thanos_tui.errors import HostError
from thanos_tui.files import cache_dir, replacing
from thanos_tui.options.catalogue import Catalogue
from thanos_tui.options.reading import read_catalogue

_DIGEST = hashlib.sha256().digest_size


def catalogue(directory: Path) -> Catalogue:
    """The catalogue of the files in a directory: as it is kept, if that was made from just these; else read and kept.

    A cache that is missing, damaged or cannot be written costs time and nothing else. Raises InputError for a mistake
    in the files.
    """
    files = sorted(directory.glob("*.yml"))
    # One for each directory: several checkouts would else take turns in replacing it.
    name = hashlib.sha256(str(directory).encode(errors="surrogateescape")).hexdigest()
    path = cache_dir() / f"catalogue-{name[:16]}.pickle"
    made_from = _digest_of([*_program(), *files])
    if made_from is None:
        return read_catalogue(files)
    # Pickles can do harm; this directory, which programs are run from as well, is only the user's own. The digests make
    # sure that it is whole, and that the classes are those that it was written with.
    with suppress(OSError):
        data = path.read_bytes()
        head, kept = data[: 2 * _DIGEST], data[2 * _DIGEST :]
        if head == made_from + hashlib.sha256(kept).digest():
            found: Catalogue = pickle.loads(kept)  # noqa: S301
            return found
    found = read_catalogue(files)
    kept = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
    with suppress(OSError, HostError), replacing(path, 0o600) as stream:
        stream.write(made_from + hashlib.sha256(kept).digest() + kept)
    return found


def _program() -> Sequence[Path]:
    """The sources that decide what the catalogue is read as."""
    return [*sorted(Path(__file__).parent.glob("*.py")), Path(yaml12.__file__), Path(errors.__file__)]


def _digest_of(files: Sequence[Path]) -> bytes | None:
    """Of the contents of the files, and their places, which errors name; None where one cannot be read."""
    digest = hashlib.sha256(sys.version.encode())
    with suppress(OSError):
        for file in files:
            data = file.read_bytes()
            digest.update(f"{str(file)!r} {len(data)}\n".encode(errors="surrogateescape") + data)
        return digest.digest()
    return None
