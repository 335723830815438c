"""SSH keys: made, recognised and checked. No message ever repeats what a private key says.

Formats: OpenSSH's ``authorized_keys`` (sshd(8)) and the key blobs of RFC 4253 section 6.6, RFC 5656, RFC 8709 and
OpenSSH's PROTOCOL.u2f. Checking needs no cryptography, so profiles are read without loading that library.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thanos_tui.errors import HostError, InputError, Where

# The fields that follow the type's own name in a key blob: a size in bytes where it is fixed, else None.
_FIELDS: dict[str, tuple[int | None, ...]] = {
    "ssh-ed25519": (32,),
    "ssh-rsa": (None, None),
    "ecdsa-sha2-nistp256": (8, 65),
    "ecdsa-sha2-nistp384": (8, 97),
    "ecdsa-sha2-nistp521": (8, 133),
    "sk-ssh-ed25519@openssh.com": (32, None),
    "sk-ecdsa-sha2-nistp256@openssh.com": (8, 65, None),
}
# sshd drops a line whose options it does not know, so a misspelt option would lock its owner out.
_OPTIONS: dict[str, bool] = {  # name in lower case: whether it takes a value
    "agent-forwarding": False,
    "cert-authority": False,
    "command": True,
    "environment": True,
    "expiry-time": True,
    "from": True,
    "no-agent-forwarding": False,
    "no-port-forwarding": False,
    "no-pty": False,
    "no-touch-required": False,
    "no-user-rc": False,
    "no-x11-forwarding": False,
    "permitlisten": True,
    "permitopen": True,
    "port-forwarding": False,
    "principals": True,
    "pty": False,
    "restrict": False,
    "tunnel": True,
    "user-rc": False,
    "verify-required": False,
    "x11-forwarding": False,
}

_PRIVATE = re.compile(
    r"BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"  # OpenSSH, PEM (RSA, DSA, EC), PKCS#8 plain and encrypted, SSH2, PGP
    r"|PuTTY-User-Key-File-\d"
    r"|SSH PRIVATE KEY FILE FORMAT"  # SSH 1
    r"|b3BlbnNzaC1rZXktdjEA"  # "openssh-key-v1" in base64: the body of an OpenSSH key without its header
)
_OPTION = re.compile(r'([A-Za-z0-9-]+)(?:=("(?:[^"\\]|\\.)*"))?(,|(?=[ \t]))')

_USE_PUBLIC = "give the public key: the file whose name ends in .pub (`ssh-keygen -y -f KEY > KEY.pub` writes it)"
_USE_KEYGEN = "a public key is one line such as `ssh-ed25519 AAAA… you@host`; `ssh-keygen -t ed25519` makes a pair"


@dataclass(frozen=True)
class _Line:
    type: str
    blob: bytes


def generate(path: Path, comment: str) -> str:
    """Make an ed25519 key pair in OpenSSH's format: ``path`` (mode 0600) and ``path.pub`` (0644).

    Returns the public line. The private key has no passphrase. Each file appears whole or not at all, the public
    half first: a private key without its public half is never left.

    Raises InputError where either file exists already, HostError where they cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not comment.isprintable():
        raise InputError("the comment of a key must be one printable line")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = f"{encoded.decode()} {comment}".strip()
    public = _public_path(path)
    if path.exists():
        raise _exists(path)
    with _new_file(public, f"{line}\n".encode(), 0o644), _new_file(path, private, 0o600):
        pass
    return line


def public_line(path: Path) -> str:
    """The public line of a key pair: of ``path`` itself if that is a public key, of ``path.pub``, or, where that is
    missing, of the private key.

    Raises InputError for a missing, unreadable or broken file, and for a private key that is locked by a passphrase
    and has no public half beside it.
    """
    text = _read(path)
    if not is_private(text):
        return check_public(text.strip(), str(path))
    beside = _public_path(path)
    if beside.exists():
        return check_public(_read(beside).strip(), str(beside))
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(text.encode(), password=None)
        encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The cause is dropped on purpose: a parser's message may quote what it read.
        raise InputError(
            "cannot take the public half from this private key (it may have a passphrase)",
            hint=f"write it beside the key: ssh-keygen -y -f {path} > {beside}",
            where=str(path),
        ) from None
    return encoded.decode()


def fingerprint(line: str) -> str:
    """``SHA256:…`` of a public line, as ssh-keygen -l shows it. Raises InputError for anything else."""
    return blob_fingerprint(_parse(line, None).blob)


def blob_fingerprint(blob: bytes) -> str:
    """``SHA256:…`` of a public key in its binary form."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def is_private(text: str) -> bool:
    """Whether a text holds a private key: OpenSSH, PEM, PKCS#8, PuTTY, SSH2, SSH1 or PGP."""
    return _PRIVATE.search(text) is not None


def check_public(line: str, where: Where | str | None = None) -> str:
    """Check one line of ``authorized_keys`` (options, type, key, comment) and return it without the space around it.

    Raises InputError at ``where`` unless sshd would take the line. Private keys are refused, and nothing of an
    unrecognised text is repeated in the message: it may be part of one.
    """
    _parse(line, where)
    return line.strip()


def _parse(line: str, where: Where | str | None) -> _Line:
    if is_private(line):
        raise InputError("this is a private key; it must stay where it is", hint=_USE_PUBLIC, where=where)
    text = line.strip()
    if not text or text.startswith("#"):
        raise InputError("an SSH public key is expected here", hint=_USE_KEYGEN, where=where)
    if any((ord(character) < 32 and character != "\t") or ord(character) == 127 for character in text):
        raise InputError("a public key is one line without control characters", hint=_USE_KEYGEN, where=where)
    rest = text
    if rest.split(None, 1)[0] not in _FIELDS:
        rest = _skip_options(text, where)
    words = rest.split(None, 2)
    if len(words) < 2:
        raise InputError("the public key is cut off after its type", hint=_USE_KEYGEN, where=where)
    kind, encoded = words[0], words[1]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if not _well_formed(kind, blob):
        raise InputError(
            f"the {kind} key is damaged or cut off", hint="copy the whole line from the .pub file again", where=where
        )
    return _Line(kind, blob)


def _skip_options(text: str, where: Where | str | None) -> str:
    """What follows the options that ``text`` begins with; raises InputError unless that begins with a key type."""
    names: list[tuple[str, bool]] = []
    position = 0
    while found := _OPTION.match(text, position):
        names.append((found[1], found[2] is not None))
        position = found.end()
        if found[3] != ",":
            break
    rest = text[position:].lstrip()
    kind = rest.split(None, 1)[0] if rest else ""
    first = text.split(None, 1)[0]
    for word in (first, kind):
        if word == "ssh-dss" or word.startswith(("ssh-dss-cert-", "ssh-rsa1")):
            raise InputError("DSA keys are no longer accepted by OpenSSH", hint=_USE_KEYGEN, where=where)
        if re.fullmatch(r"[a-z0-9-]+-cert-v\d\d@openssh\.com", word):
            raise InputError(
                "this is an SSH certificate, not a public key",
                hint="give the key it was made for, or the authority's key with the option cert-authority",
                where=where,
            )
    if kind not in _FIELDS:
        raise InputError("this is no SSH public key", hint=_USE_KEYGEN, where=where)
    for name, has_value in names:
        takes_value = _OPTIONS.get(name.lower())
        if takes_value == has_value:
            continue
        if takes_value is None:
            message = f"sshd knows no key option {name}"
        else:
            message = f"the key option {name} {'needs a' if takes_value else 'takes no'} value"
        raise InputError(message, hint="AUTHORIZED_KEYS FILE FORMAT in sshd(8) lists the options", where=where)
    return rest


def _well_formed(kind: str, blob: bytes) -> bool:
    """Whether a blob is a key of this type: its own name, then fields of the right sizes, and nothing after them."""
    fields: list[bytes] = []
    position = 0
    while position < len(blob):
        size = int.from_bytes(blob[position : position + 4], "big")
        field = blob[position + 4 : position + 4 + size]
        if len(blob) < position + 4 or len(field) != size:
            return False
        fields.append(field)
        position += 4 + size
    if not fields or fields[0] != kind.encode():
        return False
    expected = _FIELDS[kind]
    if len(fields) != 1 + len(expected):
        return False
    if any(len(field) == 0 or want not in (None, len(field)) for field, want in zip(fields[1:], expected, strict=True)):
        return False
    if "ecdsa-sha2-" in kind:
        curve = kind.partition("@")[0].rpartition("-")[2].encode()
        return fields[1] == curve and fields[2][0] == 4  # an uncompressed point, the only kind OpenSSH takes
    if kind == "ssh-rsa":
        return int.from_bytes(fields[2], "big").bit_length() >= 1024  # sshd's RequiredRSASize
    return True


def _public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def _read(path: Path) -> str:
    try:
        # No key is near this size; the limit keeps a mistaken path (a disk image, a device) from filling memory.
        with path.open("rb") as stream:
            return stream.read(1 << 16).decode(errors="replace")
    except FileNotFoundError:
        raise InputError(f"there is no key file {path}", hint=f"make one: ssh-keygen -t ed25519 -f {path}") from None
    except OSError as error:
        raise InputError(f"cannot read the key file {path}: {error.strerror}") from error


def _exists(path: Path) -> InputError:
    return InputError(f"{path} exists already and is not overwritten", hint="choose another name, or use that key")


@contextmanager
def _new_file(path: Path, data: bytes, mode: int) -> Iterator[None]:
    """Let a whole file appear under a name that must be free; take it away again if the body raises.

    files.replacing() renames over what is there; a hard link refuses, even if two processes come at once.
    """
    try:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(error.errno, f"{path.parent} is not a directory") from error
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
            os.link(stream.name, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise HostError(
            f"cannot write {path}: {error.strerror}", hint="choose a directory that you may write to"
        ) from error
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
