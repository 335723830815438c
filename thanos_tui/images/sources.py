"""The package sources of this machine, cut down to the distribution's own.

Images are made from what the distribution signed. A machine often has more sources than that (a browser, an editor, a
vendor's driver); those must not change what an image holds, so a source is taken only if its suite and components are
the distribution's, and kept only if the signed index then says the same (see :mod:`thanos_tui.images.apt`). The syntax
is that of sources.list(5): one line per source, or deb822 stanzas.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thanos_tui.errors import InputError

_COMPONENTS = {"main", "contrib", "non-free", "non-free-firmware", "restricted", "universe", "multiverse"}
# Names of suites that move on with each release.
_MOVING = {"stable", "oldstable", "oldoldstable", "testing", "unstable", "sid", "devel"}
_SUFFIXES = ("", "-updates", "-security", "/updates")
# Options that say how a source is reached and trusted. Those that narrow it (architectures, languages, targets) are the
# host's business and are left out.
_KEPT = {
    "signed-by": "Signed-By",
    "trusted": "Trusted",
    "check-valid-until": "Check-Valid-Until",
    "valid-until-min": "Valid-Until-Min",
    "valid-until-max": "Valid-Until-Max",
    "check-date": "Check-Date",
    "date-max-future": "Date-Max-Future",
    "by-hash": "By-Hash",
    "inrelease-path": "InRelease-Path",
    "snapshot": "Snapshot",
}
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")


@dataclass(frozen=True)
class Source:
    """One archive and suite with its components; ``options`` by their deb822 names."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    def stanza(self) -> str:
        """The source as a deb822 stanza, which every apt since 1.1 reads."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suite}", f"Components: {' '.join(self.components)}"]
        return "\n".join([*lines, *(f"{name}: {value}" for name, value in sorted(self.options.items()))]) + "\n"


@dataclass(frozen=True)
class Distribution:
    """Which distribution, by os-release(5): its ID (``debian``, ``ubuntu``, …) and the release's code name."""

    id: str
    codename: str
    like: str = ""

    @property
    def family(self) -> str:
        """``ubuntu`` or ``debian``, whose package names the recipes know."""
        return "ubuntu" if "ubuntu" in (self.id, *self.like.split()) else "debian"


def distribution(root: Path = Path("/")) -> Distribution:
    """The distribution of the machine; ``debian`` without a code name where it does not say."""
    values: dict[str, str] = {}
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text(errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals:
                values[key.strip()] = "".join(shlex.split(value, comments=True))
        break
    # A derivative of Ubuntu or Debian uses its parent's archive under the parent's code name.
    codename = values.get("UBUNTU_CODENAME") or values.get("DEBIAN_CODENAME") or values.get("VERSION_CODENAME", "")
    return Distribution(values.get("ID", "debian"), codename, values.get("ID_LIKE", ""))


def read(sourcelist: Path, sourceparts: Path) -> list[Source]:
    """Every enabled binary source of a machine, in apt's order. Files that cannot be read are passed over, as apt
    does.
    """
    found: list[Source] = []
    parts = sorted(sourceparts.iterdir()) if sourceparts.is_dir() else []
    for path in [sourcelist, *parts]:
        # apt's rule for names in sources.list.d.
        if path != sourcelist and not re.fullmatch(r"[A-Za-z0-9_.-]+\.(list|sources)", path.name):
            continue
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        found += _stanzas(text) if path.suffix == ".sources" else _lines(text)
    return found


def own(found: list[Source], machine: Distribution, suite: str = "") -> list[Source]:
    """Those of ``found`` that can be the distribution's own; with ``suite``, the same archives for that release."""
    chosen: dict[tuple[str, str], Source] = {}
    for source in found:
        for suffix in _SUFFIXES:
            base = source.suite.removesuffix(suffix) if suffix else source.suite
            if base + suffix == source.suite and base in {machine.codename, *_MOVING} - {""}:
                break
        else:
            continue
        components = tuple(name for name in source.components if name in _COMPONENTS)
        # One foreign component, and the archive is somebody else's that only borrows the suite's name.
        if not components or components != source.components:
            continue
        wanted = suite + suffix if suite else source.suite
        before = chosen.get((source.uri, wanted), source)
        both = tuple(dict.fromkeys((*before.components, *components)))
        chosen[source.uri, wanted] = Source(source.uri, wanted, both, before.options)
    return list(chosen.values())


def given(mirrors: tuple[str, ...], suite: str, keyring: Path | None) -> list[Source]:
    """Sources a user names: each a URL, or ``URL SUITE COMPONENT…`` as in sources.list; main is the default
    component.
    """
    options = {"Signed-By": str(keyring.absolute())} if keyring else {}
    found = []
    for text in mirrors:
        uri, *rest = text.split()
        if not re.match(r"[a-z+]+:", uri):
            raise InputError(f"the mirror {uri!r} is not a URL", hint="write it as in sources.list: http://host/debian")
        if not rest and not suite:
            raise InputError(f"the mirror {uri} is given without a suite", hint="name the release, for example: trixie")
        found.append(Source(uri, rest[0] if rest else suite, tuple(rest[1:]) or ("main",), options))
    return found


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        matched = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if matched is None or matched["suite"].endswith("/"):
            continue
        options = {}
        for word in (matched["options"] or "").split():
            name, _, value = word.partition("=")
            if name.lower() in _KEPT:
                options[_KEPT[name.lower()]] = value.replace(",", " ")
        yield Source(matched["uri"], matched["suite"], tuple(matched["components"].split()), options)


def _stanzas(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                # Continued values (keys in Signed-By) are kept as they are.
                fields[last] = fields.get(last, "") + "\n" + line
            else:
                name, _, value = line.partition(":")
                last = name.strip().lower()
                fields[last] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off", "without", "disable")
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        options = {_KEPT[name]: value for name, value in fields.items() if name in _KEPT}
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if not suite.endswith("/"):
                    yield Source(uri, suite, tuple(fields.get("components", "").split()), options)
