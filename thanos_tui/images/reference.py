"""Image references: what a name in a config means, and its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from thanos_tui.errors import InputError

_DIGEST = r"sha256:[0-9a-f]{64}"
_FORM = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]+(?=/))?(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    rf"(?:@(?P<digest>{_DIGEST}))?"
)


@dataclass(frozen=True)
class Reference:
    """A reference taken apart: ``name[:tag][@digest]``. ``tag`` and ``digest`` are empty where not given."""

    name: str
    tag: str
    digest: str


def expand(text: str) -> str:
    """The full name of an image, by the rules of LinuxKit (which are Docker's, without a default tag).

    ``redis`` is ``docker.io/library/redis``; ``a/b`` is ``docker.io/a/b`` unless ``a`` is a host: it has a dot or a
    colon, or is ``localhost``. Everything else is complete as it is.
    """
    parts = text.split("/")
    if len(parts) == 1:
        return f"docker.io/library/{text}"
    if len(parts) == 2 and not ("." in parts[0] or ":" in parts[0] or parts[0] == "localhost"):
        return f"docker.io/{text}"
    return text


def split(text: str) -> Reference:
    """Take a reference apart. Raises InputError where it is not of the form ``name[:tag][@sha256:…]``."""
    found = _FORM.fullmatch(text)
    if not found:
        raise InputError(
            f"{text!r} is not the name of an image",
            hint="image names look like linuxkit/sshd:1, registry.example.com/team/tool:2.0 or name@sha256:…",
        )
    return Reference(found["name"], found["tag"] or "", found["digest"] or "")
