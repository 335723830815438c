"""What ``${option | filter}`` in a template can do with a value; files are read relative to the profile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from thanos_tui import keys
from thanos_tui.errors import InputError
from thanos_tui.options import apps, asound, docker, xorg
from thanos_tui.options.templates import NOTHING, Filter
from thanos_tui.options.values import split_extra_file

# Text up to this size is written into the config itself, so that one file holds everything; what is larger, or no
# text, is named by its path.
LARGEST_CONTENTS = 64 * 1024
# Whoever means more than this many has named the wrong directory, or wants an image.
MOST_FILES = 10_000

_MAKE_KEY = (
    "make one with `ssh-keygen -t ed25519`, or let ThanOS make one for this profile: --set sshd.generate-key=true"
)


@dataclass(frozen=True)
class Surroundings:
    """What a profile's paths and references are relative to.

    directory: where the profile is. profile_key: the key pair made for this profile, if there is one.
    need_key: whether it is an error that there is no key at all to log in with.
    """

    directory: Path
    home: Path = field(default_factory=Path.home)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    profile_key: Path | None = None
    need_key: bool = True

    def path(self, text: str) -> Path:
        """The file that a path in the profile names."""
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return self.directory / text


def public_keys(given: list[str], surroundings: Surroundings) -> list[str]:
    """The lines of authorized_keys: public keys as given, and those in the files that paths and patterns name.

    A pattern may match files that sshd would not take (certificates, old key types): they are left out as long as
    another key is found. A private key is refused wherever it is. Raises InputError, too, when no key is left but one
    is needed.
    """
    lines: dict[str, str] = {}
    refused: InputError | None = None
    for item in given:
        is_key = " " in item.strip() and not item.startswith(("/", "~", "."))
        if is_key:
            line = keys.check_public(item, "sshd.authorized-keys")
            lines.setdefault(keys.fingerprint(line), line)
            continue
        path = surroundings.path(item)
        is_pattern = any(character in item for character in "*?[")
        found = sorted(path.parent.glob(path.name)) if is_pattern else [path]
        for file in found:
            try:
                for fingerprint, line in _key_lines(file):
                    lines.setdefault(fingerprint, line)
            except InputError as error:
                if not is_pattern or isinstance(error, PrivateKey):
                    raise
                refused = refused or error
    if surroundings.profile_key is not None:
        line = keys.public_line(surroundings.profile_key)
        lines.setdefault(keys.fingerprint(line), line)
    if not lines and surroundings.need_key:
        if refused is not None:
            raise refused
        shown = ", ".join(given) or "sshd.authorized-keys is empty"
        raise InputError(f"there is no SSH key to log in with ({shown})", hint=_MAKE_KEY)
    return list(lines.values())


class PrivateKey(InputError):
    """A private key where only public ones may be."""


def _key_lines(file: Path) -> Iterator[tuple[str, str]]:
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_CONTENTS + 1)
    except FileNotFoundError:
        raise InputError(f"there is no key file {file}", hint=_MAKE_KEY, where="sshd.authorized-keys") from None
    except OSError as error:
        raise InputError(f"cannot read the key file {file}: {error.strerror}", where="sshd.authorized-keys") from None
    text = data.decode(errors="replace")
    if keys.is_private(text):
        raise PrivateKey(
            f"{file} is a private key; it must never go into an image",
            hint=f"name the public key instead: {file}.pub (`ssh-keygen -y -f {file} > {file}.pub` writes it)",
            where="sshd.authorized-keys",
        )
    if len(data) > LARGEST_CONTENTS:
        raise InputError(f"{file} is too large to be a file of public keys", where="sshd.authorized-keys")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            checked = keys.check_public(line, f"{file}:{number}")
            yield keys.fingerprint(checked), checked


def extra_files(given: list[str], surroundings: Surroundings) -> list[dict[str, Any]]:
    """LinuxKit ``files`` for ``PATH=SOURCE[:MODE]``; a directory gives everything in it, links as they are.

    Directories on the way are stated, too: LinuxKit would otherwise give them the mode of the first file within.
    """
    entries: dict[str, dict[str, Any]] = {}
    for item in given:
        target, source, mode = split_extra_file(item)
        path = surroundings.path(source)
        try:
            # What is named may be a link to the thing; links inside a directory stay links.
            for name, file, is_link in _tree(target.strip("/"), path):
                _add_parents(entries, name)
                link = {"path": name, "symlink": str(file.readlink())} if is_link else None
                entries[name] = link or _file_entry(name, file, mode)
                if len(entries) > MOST_FILES:
                    raise InputError(
                        f"{path} holds more than {MOST_FILES} files", hint="make an image of them", where="extra.files"
                    )
        except OSError as error:
            raise InputError(f"cannot read {error.filename or path}: {error.strerror}", where="extra.files") from None
    return list(entries.values())


def _tree(name: str, path: Path, is_link: bool = False) -> Iterator[tuple[str, Path, bool]]:
    """A file, or a directory and everything below it, by their names in the OS and in an order that never changes."""
    is_directory = not is_link and stat.S_ISDIR(path.stat().st_mode)
    yield name, path, is_link
    if is_directory:
        for child in sorted(path.iterdir(), key=lambda child: child.name):
            yield from _tree(f"{name}/{child.name}", child, child.is_symlink())


def _add_parents(entries: dict[str, dict[str, Any]], name: str) -> None:
    parts = name.split("/")
    for end in range(1, len(parts)):
        parent = "/".join(parts[:end])
        mode = "0700" if parts[0] == "root" else "0755"
        entries.setdefault(parent, {"path": parent, "directory": True, "mode": mode})


def _file_entry(name: str, path: Path, mode: str) -> dict[str, Any]:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return {"path": name, "directory": True, "mode": "0755"}
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is neither a file nor a directory", where="extra.files")
    with path.open("rb") as stream:
        data = stream.read(LARGEST_CONTENTS + 1)
    if keys.is_private(data.decode(errors="replace")):
        raise InputError(
            f"{path} holds a private key; whoever has the image would have it",
            hint="copy it to the running machine instead: thanos-tui cp",
            where="extra.files",
        )
    # Git keeps of a file's mode only whether it may be run, so only that may matter: the same profile, the same bytes.
    mode = mode or ("0755" if status.st_mode & 0o100 else "0644")
    text = _plain_text(data)
    if text is None:
        return {"path": name, "source": str(path.absolute()), "mode": mode}
    return {"path": name, "contents": text, "mode": mode}


def _plain_text(data: bytes) -> str | None:
    """The text that can stand in the config itself; None for what is too large, or not plain text."""
    if len(data) > LARGEST_CONTENTS:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\n\t" for character in text) else None


def secret(reference: str, surroundings: Surroundings) -> Any:
    """What a reference to a secret leads to, as one line. Raises InputError; its messages never show the secret."""
    if not reference:
        return NOTHING
    if reference.startswith("$"):
        value = surroundings.environment.get(reference[1:])
        if not value:
            raise InputError(f"the environment variable {reference[1:]} is not set", hint="export it, then try again")
        text = value
    else:
        path = surroundings.path(reference)
        try:
            text = path.read_text()
        except OSError as error:
            raise InputError(f"cannot read the secret in {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"the secret in {path} is no text") from None
    text = text.strip()
    if not text or not text.isprintable():
        raise InputError(f"the secret that {reference} leads to must be one line of text")
    return text


def xorg_sections(given: list[str], surroundings: Surroundings) -> str:
    """The content of files with sections of xorg.conf(5), one after another. Raises InputError."""
    texts: list[str] = []
    for item in given:
        path = surroundings.path(item)
        try:
            with path.open("rb") as stream:
                text = _plain_text(stream.read(LARGEST_CONTENTS + 1))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", where="x11.extra") from None
        if text is None:
            raise InputError(f"{path} is too large, or no text", where="x11.extra")
        xorg.check_sections(text, path)
        texts.append(text.rstrip("\n") + "\n")
    return "".join(texts)


def vnc_password(text: str) -> str:
    """A password that VNC can ask for."""
    if not text.isascii() or len(text) > 8:
        raise InputError(
            "x11.vnc.password must lead to at most 8 characters, ASCII ones: VNC looks at no more",
            hint="reach the screen by SSH if that is too weak a password",
        )
    return text


def tls_files(given: Mapping[str, str], surroundings: Surroundings) -> list[dict[str, Any]]:
    """The files of Docker's TCP port, from the paths of certificates and key (``docker.tls_files``)."""
    return docker.tls_files({name: surroundings.path(text) for name, text in given.items()})


def crypt_hash(text: str) -> str:
    """A password's hash as crypt(5) knows them; a password itself is refused."""
    import re

    if not re.fullmatch(r"\$(y|gy|7|2[abxy]|6|5)\$[./A-Za-z0-9$=,]+", text):
        raise InputError(
            "getty.password must lead to the hash of a password, not to a password",
            hint="make one with `openssl passwd -6`",
        )
    return text


def _join(value: Any, separator: str | None) -> str:
    return (separator or "").join(map(str, value))


def _each(value: Any, pattern: str | None) -> list[str]:
    return [(pattern or "%").replace("%", str(element)) for element in value]


def _flag(value: Any, name: str | None) -> list[str]:
    """Each element with ``name`` before it, as programs take repeated arguments."""
    return [word for element in value for word in (name or "", str(element))]


def make_filters(surroundings: Surroundings) -> Mapping[str, Filter]:
    """Every filter, by name."""

    return {
        "app-files": lambda value, _argument: apps.files(value),
        "app-volumes": lambda value, _argument: apps.volumes(value),
        "asound-conf": lambda value, _argument: asound.configuration(value),
        "join": _join,
        "each": _each,
        "flag": _flag,
        "daemon-json": lambda value, _argument: docker.daemon_json(value),
        "crypt-hash": lambda value, _argument: value if value is NOTHING else crypt_hash(value),
        "vnc-password": lambda value, _argument: value if value is NOTHING else vnc_password(value),
        "xkb-variant": lambda value, _argument: xorg.variant(value),
        "xorg-conf": lambda value, _argument: xorg.configuration(value),
        **{name: partial(_with_surroundings, filter_, surroundings) for name, filter_ in _READING.items()},
    }


def _with_surroundings(
    filter_: Callable[[Any, Surroundings], Any], surroundings: Surroundings, value: Any, _argument: str | None
) -> Any:
    return filter_(value, surroundings)


_READING: Mapping[str, Callable[[Any, Surroundings], Any]] = {
    "public-keys": public_keys,
    "extra-files": extra_files,
    "secret": secret,
    "tls-files": tls_files,
    "xorg-sections": xorg_sections,
}
READING = frozenset(_READING)
"""The filters that read files, or the environment: what they give may be another thing each time."""
NAMES = READING | {
    *("app-files", "app-volumes", "asound-conf", "crypt-hash", "daemon-json"),
    *("each", "flag", "join", "vnc-password", "xkb-variant", "xorg-conf"),
}
