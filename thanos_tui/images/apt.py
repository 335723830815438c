"""apt as a solver: which packages a set of names needs, without touching the machine's own package state.

Everything apt writes goes into a directory of ours; its configuration is made from the machine's (proxies, credentials,
keyrings, certificates), less what would run commands or change the machine. apt checks the signatures of the indices.

How fresh the indices are: they are renewed when asked for, when there are none, and when they are older than a day;
in the last case a mirror that cannot be reached is a warning, and the indices at hand are used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from thanos_tui import programs
from thanos_tui.errors import BuildError, HostError, IntegrityError, ThanosError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_dir, wait_for_lock, write_if_changed
from thanos_tui.images import sources
from thanos_tui.images.package import Origin, Package

FRESH_SECONDS = 24 * 3600
# What says on this machine which sources there are, and of which distribution it is.
_MACHINE = (Path("/etc/apt"), Path("/etc/os-release"))
_STATE = "state.json"  # in the directory of each set of sources: when its indices came, and what was left out
# What is installed on this machine, as dpkg records it.
STATUS = Path("/var/lib/dpkg/status")
# How often apt tries again when a connection fails, waiting longer each time.
RETRIES = 3

# A dash at the end would ask apt to remove the package.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")
_URI_LINE = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
# Go's names of architectures, which images use, where they differ from Debian's.
_DEBIAN_ARCH = {"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}


def debian_arch(arch: str) -> str:
    """Debian's name for an architecture that images call by Go's."""
    return _DEBIAN_ARCH.get(arch, arch)


class Apt:
    """An isolated apt for one architecture (Go's name) and origin.

    installed: solve against the packages of this machine, not for an empty system.
    Raises HostError where the machine has no apt, or names no source of its own distribution.
    """

    def __init__(
        self,
        arch: str,
        origin: Origin | None = None,
        *,
        machine: sources.Distribution | None = None,
        installed: bool = False,
    ) -> None:
        if programs.find("apt-get") is None:
            raise HostError(
                "this machine has no apt, and images are made from packages that apt finds and checks",
                hint="use a Debian or Ubuntu machine or container",
            )
        self.arch = debian_arch(arch)
        self.origin = origin or Origin()
        self.machine = machine or sources.distribution()
        # Both kinds share the indices, not what apt works out from them.
        self._kind = "-installed" if installed else ""
        self._host = _host_settings()
        self._sources = self._chosen()
        text = "\n".join(source.stanza() for source in self._sources)
        key = hashlib.sha256(f"{self.arch}\n{text}".encode()).hexdigest()[:16]
        self.directory = cache_dir() / "apt" / f"{self.arch}-{key}"
        self.environment = {
            "APT_CONFIG": str(self.directory / f"apt{self._kind}.conf"),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        self._prepare()

    @property
    def family(self) -> str:
        """``debian`` or ``ubuntu``: whose names of packages hold."""
        return str(self._state().get("family") or self.machine.family)

    @property
    def suite(self) -> str:
        """The release, for people: what was asked for, or the first source's suite."""
        return self.origin.suite or self._sources[0].suite

    def bases(self) -> list[str]:
        """The archives' URLs, without a slash at the end, in the order of the sources."""
        return list(dict.fromkeys(source.uri.rstrip("/") for source in self._kept()))

    # Indices

    def refresh(self, reporter: Reporter, *, force: bool = False, offline: bool = False) -> None:
        """Renew the indices where the rule at the top of this module says so.

        Raises HostError where the mirror cannot be reached, IntegrityError where what it sends is not signed or
        damaged.
        """
        with self._locked(fcntl.LOCK_EX, reporter.check):
            updated = self._state().get("updated", 0)
            if offline:
                if not updated:
                    raise HostError(
                        f"offline, and there are no package indices for {self.suite} ({self.arch}) yet",
                        hint="run once without `--offline`",
                    )
                return
            # An age below zero means the clock went back: then nothing is known about freshness.
            if not force and updated and 0 <= time.time() - updated < FRESH_SECONDS:
                return
            try:
                self._update(reporter)
            except HostError as error:
                if force or not updated:
                    raise
                reporter.log(f"{error.message}; going on with the package indices at hand", "warning")

    def _update(self, reporter: Reporter) -> None:
        for source in self._kept():
            if source.options.get("Trusted", "no").lower() in ("yes", "true", "1", "on"):
                reporter.log(f"the source {source.uri} is marked as trusted: its signature is not checked", "warning")
        with reporter.step("images/indices", f"Package indices of {self.suite} ({self.arch})") as step:
            done = together([["apt-get", "-q", "update"]], self.environment, reporter.check)[0]
            if done.status != 0:
                raise self._update_failed((done.stdout + done.stderr).decode(errors="replace"))
            foreign, origins = self._foreign()
            for uri, suite in foreign:
                reporter.log(f"left out the source {uri} {suite}: it is not the distribution's own", "debug")
            # A derivative that uses Ubuntu's archive has Ubuntu's package names.
            family = "ubuntu" if "Ubuntu" in origins else "debian" if "Debian" in origins else ""
            left_out = [*self._state().get("left_out", []), *foreign]
            self._save_state({"updated": time.time(), "family": family, "left_out": left_out})
            self._write_sources()
            shutil.rmtree(self.directory / "solved", ignore_errors=True)
            step.note = f"{len(self._kept())} sources"

    def _foreign(self) -> tuple[list[list[str]], set[str]]:
        """The sources (URL, suite) whose signed index names another origin than the distribution, and the origins.

        Sources that the user named for this are never foreign.
        """
        origins = {(uri.rstrip("/"), suite): origin for uri, suite, origin in self._index_targets()}
        if not origins:
            raise BuildError(
                f"the package sources have nothing for the architecture {self.arch}",
                hint="name a mirror that has it (Ubuntu keeps most architectures on its ports mirror)",
            )
        if self.origin.mirrors:
            return [], set(origins.values())
        accepted = {"debian", "ubuntu", self.machine.id.lower()}
        kept = self._kept()
        foreign = [s for s in kept if origins.get((s.uri.rstrip("/"), s.suite), "").lower() not in accepted]
        if len(foreign) == len(kept):
            raise _no_sources(self.machine)
        return [[source.uri, source.suite] for source in foreign], set(origins.values())

    def _index_targets(self) -> list[tuple[str, str, str]]:
        done = programs.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)\t$(RELEASE)\t$(ORIGIN)", "Created-By: Packages"],
            env=self.environment,
        )
        rows = [line.split("\t") for line in done.stdout.decode(errors="replace").splitlines()]
        return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]

    def _update_failed(self, said: str) -> ThanosError:
        lines = [line for line in said.splitlines() if line.startswith(("E:", "W:", "Err:"))]
        text = "\n".join(lines)
        first = next((re.sub(r"^(E|W|Err:?\d*): ?", "", line) for line in lines), "apt-get update failed")
        if re.search(r"GPG|PUBKEY|BADSIG|KEYSIG|OpenPGP|sqv|not signed|signature", text):
            return IntegrityError(
                f"the package index is not signed by a key that counts: {first}",
                hint="check the mirror and the keyring; nothing from it has been used",
            )
        if re.search(r"Hash Sum mismatch|unexpected size", text):
            return IntegrityError(
                f"the package index is not what its signature says: {first}",
                hint="a mirror that is being renewed mends itself within the hour; otherwise choose another one",
            )
        if re.search(r"expired|not valid yet|invalid for another", text):
            return HostError(f"the package index is out of date: {first}", hint="check this machine's clock")
        if "does not have a Release file" in text or "404" in text:
            return HostError(
                f"the mirror does not have {self.suite}: {first}", hint="check the mirror and the suite in the sources"
            )
        if "No space left" in text:
            return HostError(f"no space for package indices in {self.directory}", hint="free some space on that disk")
        return HostError(
            f"the package mirror cannot be reached: {first}",
            hint="check the network and apt's proxy settings, or work with `--offline`",
        )

    # Solving

    def solve(self, names: Sequence[str], check: Callable[[], None] = lambda: None) -> list[Package]:
        """The packages to be installed for ``names``, themselves included, sorted by name.

        A name with ``?`` behind it is one that not every release has: it counts where there is such a package.
        Recommended packages are not taken. ``check`` raises if waiting for others is to end. Raises BuildError naming
        the package that is unknown or cannot be had.
        """
        for name in names:
            if not _NAME.fullmatch(name.removesuffix("?")):
                raise BuildError(f"{name!r} is not a package name")
        asked = sorted(set(names))
        with self._locked(fcntl.LOCK_SH, check):
            memory = self._memory(asked)
            try:
                return [Package(**fields) for fields in json.loads(memory.read_bytes())]
            except (OSError, ValueError, TypeError):
                pass
            wanted = self._there(asked)
            command = ["apt-get", "-qq", "-y", "--print-uris", "install", *wanted]
            done = programs.run(command, env=self.environment, check=False)
            if done.status != 0:
                # Why, apt tells only in its chattier mode.
                command = ["apt-get", "-q", "-y", "-s", "install", *wanted]
                done = programs.run(command, env=self.environment, check=False)
                raise self._unsolved(names, (done.stdout + done.stderr).decode(errors="replace"))
            archives = sorted({uri for uri, _, _ in self._index_targets()}, key=len, reverse=True)
            matches = map(_URI_LINE.match, done.stdout.decode(errors="replace").splitlines())
            packages = [_package(matched, archives) for matched in matches if matched]
            packages.sort(key=lambda package: (package.name, package.arch))
            write_if_changed(memory, json.dumps([asdict(package) for package in packages]).encode())
        return packages

    def _there(self, names: Sequence[str]) -> list[str]:
        """The names without those with ``?`` that the release does not have."""
        found = [name for name in names if not name.endswith("?")]
        for name in (name.removesuffix("?") for name in names if name.endswith("?")):
            known = programs.run(["apt-cache", "pkgnames", name], env=self.environment).stdout.decode().split()
            found += [name] if name in known else []
        return found

    def _memory(self, names: Sequence[str]) -> Path:
        """Where the answer to a question is kept as long as the indices stay as they are."""
        installed = STATUS.stat().st_mtime_ns if self._kind else None
        stamp = json.dumps([self._state().get("updated", 0), installed, *names])
        return self.directory / "solved" / hashlib.sha256(stamp.encode()).hexdigest()[:32]

    def _unsolved(self, names: Sequence[str], said: str) -> BuildError:
        unknown = re.findall(
            r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate", said
        )
        if unknown:
            name = next(filter(None, unknown[0]))
            return BuildError(
                f"{self.suite} ({self.arch}) has no package {name}",
                hint="check the name, and that the package sources include the component it is in",
            )
        unmet = [line.strip() for line in said.splitlines() if " Depends:" in line or "but it is not" in line]
        return BuildError(
            f"the packages {', '.join(names)} cannot be had together in {self.suite}",
            hint="\n  ".join(unmet or said.strip().splitlines()[-4:]) or None,
        )

    # Our directory

    def _chosen(self) -> list[sources.Source]:
        if self.origin.mirrors:
            return sources.given(self.origin.mirrors, self.origin.suite or self.machine.codename, self.origin.keyring)
        found = sources.read(Path(self._host.places["SOURCELIST"]), Path(self._host.places["SOURCEPARTS"]))
        chosen = sources.own(found, self.machine, self.origin.suite)
        if self.origin.keyring:
            options = {"Signed-By": str(self.origin.keyring.absolute())}
            chosen = [sources.Source(s.uri, s.suite, s.components, {**s.options, **options}) for s in chosen]
        if not chosen:
            raise _no_sources(self.machine)
        return chosen

    def _prepare(self) -> None:
        lists = self.directory / "lists" / "partial"
        archives = self.directory / f"cache{self._kind}" / "archives" / "partial"
        try:
            lists.mkdir(parents=True, exist_ok=True)
            archives.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot write {self.directory}: {error.strerror}") from error
        # A file that is touched is a reason for apt to start over.
        write_if_changed(self.directory / "status", b"")
        write_if_changed(self.directory / f"apt{self._kind}.conf", self._configuration().encode())
        self._write_sources()

    def _configuration(self) -> str:
        settings = {
            # The machine's own files are read once, by us: its hooks and pins are not for images.
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": str(self.directory / "sources.sources"),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": self._host.places["TRUSTED"],
            "Dir::Etc::trustedparts": self._host.places["TRUSTEDPARTS"],
            "Dir::Etc::netrc": self._host.places["NETRC"],
            "Dir::Etc::netrcparts": self._host.places["NETRCPARTS"],
            "Dir::State": str(self.directory),
            "Dir::State::lists": str(self.directory / "lists"),
            "Dir::State::status": str(STATUS if self._kind else self.directory / "status"),
            "Dir::Cache": str(self.directory / f"cache{self._kind}"),
            # Only a first stage towards the other cache, and as large.
            "Dir::Cache::srcpkgcache": "",
            "Dir::Log": str(self.directory),
            "APT::Architecture": self.arch,
            "APT::Architectures": self.arch,
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            # Names are names, never regular expressions.
            "APT::Cmd::Pattern-Only": "true",
            # A source that cannot be had is an error, not a warning.
            "APT::Update::Error-Mode": "any",
            # apt's unprivileged user cannot write into our directory; an ordinary user is confined already.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Retries": str(RETRIES),
            "Acquire::GzipIndexes": "false",
            "Debug::NoLocking": "true",
        }
        lines = [f"{name} {_quoted(value)};" for name, value in settings.items()]
        return "\n".join([*lines, *self._host.lines]) + "\n"

    def _write_sources(self) -> None:
        write_if_changed(
            self.directory / "sources.sources", "\n".join(source.stanza() for source in self._kept()).encode()
        )

    def _kept(self) -> list[sources.Source]:
        left_out = self._state().get("left_out", [])
        return [source for source in self._sources if [source.uri, source.suite] not in left_out]

    def _state(self) -> dict[str, Any]:
        return _read_state(self.directory / _STATE)

    def _save_state(self, state: Mapping[str, Any]) -> None:
        write_if_changed(self.directory / _STATE, json.dumps(state).encode())

    @contextmanager
    def _locked(self, how: int, check: Callable[[], None]) -> Iterator[None]:
        """Wait for others, where apt's own lock would fail: an update has to be alone, solvers share."""
        with (self.directory / "lock").open("w") as stream:
            wait_for_lock(stream.fileno(), how, check)
            yield


@dataclass(frozen=True)
class _Host:
    """What is taken over from the machine's apt: settings, ready to be written, and where its files are."""

    lines: tuple[str, ...]
    places: Mapping[str, str]


_PLACES = {
    "SOURCELIST": "Dir::Etc::sourcelist/f",
    "SOURCEPARTS": "Dir::Etc::sourceparts/d",
    "TRUSTED": "Dir::Etc::trusted/f",
    "TRUSTEDPARTS": "Dir::Etc::trustedparts/d",
    "NETRC": "Dir::Etc::netrc/f",
    "NETRCPARTS": "Dir::Etc::netrcparts/d",
}


def _host_settings() -> _Host:
    shell = programs.run(["apt-config", "shell", *(word for pair in _PLACES.items() for word in pair)])
    places = dict.fromkeys(_PLACES, "/dev/null")
    for line in shell.stdout.decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        places[name] = "".join(shlex.split(value))
    dump = programs.run(["apt-config", "dump", "--no-empty", "--format", '%F "%v";%n']).stdout.decode(errors="replace")
    # How to reach and to check: Acquire (less the choice of indices and hooks) and the handling of keys.
    ours = r"IndexTargets|GzipIndexes|Languages|Retries(?!::)|ForceHash"  # Retries::Delay: how long apt waits between
    kept = re.compile(rf"(Acquire::(?!{ours})|APT::Key::|APT::Hashes::)")
    return _Host(tuple(line for line in dump.splitlines() if kept.match(line)), places)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def _states() -> list[Path]:
    """What is kept of every set of sources."""
    return list((cache_dir() / "apt").glob(f"*/{_STATE}"))


def decided_by() -> list[Path]:
    """The files here that decide which packages are found: while they stay as they are, so does the answer."""
    places = (path for top in _MACHINE for path in (top, *top.rglob("*")))
    return [*places, *_states()]


def fresh_until() -> float:
    """When the next of the indices here gets too old to be used unasked, in seconds since the epoch."""
    ends = []
    for path in _states():
        try:
            ends.append(float(_read_state(path).get("updated", 0)) + FRESH_SECONDS)
        except (ValueError, TypeError):
            continue  # it will be fetched anew before it is used
    return min((end for end in ends if end > time.time()), default=math.inf)


def together(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], tick: Callable[[], None]
) -> list[programs.Finished]:
    """Run programs side by side to their ends, calling ``tick`` about ten times a second.

    When ``tick`` raises, the programs are stopped before the error goes on.
    """
    running: list[tuple[tuple[str, ...], subprocess.Popen[bytes], BinaryIO]] = []
    try:
        for command in commands:
            words = (str(programs.require(command[0])) if "/" not in command[0] else command[0], *command[1:])
            said: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, after the process
            # Its own process group: Ctrl-C on the terminal reaches us, and we stop it in order.
            process = subprocess.Popen(
                words,
                env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            running.append((words, process, said))
        while any(process.poll() is None for _, process, _ in running):
            tick()
            time.sleep(0.05)
        tick()
        finished = []
        for words, process, said in running:
            said.seek(0)
            finished.append(programs.Finished(words, process.returncode, said.read(), b""))
        return finished
    finally:
        for _, process, said in running:
            if process.poll() is None:
                # apt's methods are its children; they end with the group.
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
            said.close()


def _package(matched: re.Match[str], archives: Sequence[str]) -> Package:
    # apt's own naming of files: name_version_arch.deb with what would be ambiguous in percent notation.
    name, version, arch = matched["file"].removesuffix(".deb").split("_")
    uri = matched["uri"]
    base = next((archive for archive in archives if uri.startswith(archive)), uri.rpartition("/")[0] + "/")
    return Package(
        name=urllib.parse.unquote(name),
        version=urllib.parse.unquote(version),
        arch=urllib.parse.unquote(arch),
        sha256=matched["sha256"],
        size=int(matched["size"]),
        path=urllib.parse.unquote(uri[len(base) :]),
        uri=uri,
    )


def _no_sources(machine: sources.Distribution) -> HostError:
    return HostError(
        f"apt on this machine names no package source of {machine.id} {machine.codename}".rstrip(),
        hint="add the distribution's own source to /etc/apt, or name a mirror in the profile",
    )


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
