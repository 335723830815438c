"""Packages from the mirror into the cache: in parallel, by apt's own methods, and checked by us.

apt's download helper knows the machine's proxies, credentials and kinds of URL, and goes on where a cut-off download
stopped. What it brings counts only after its SHA256 has been compared here; the cache is checked again at every use.
"""

from __future__ import annotations

import fcntl
import hashlib
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path

from thanos_tui.errors import BuildError, HostError, IntegrityError
from thanos_tui.events import Reporter, Step
from thanos_tui.files import cache_dir, unwritable, wait_for_lock
from thanos_tui.images.apt import Apt, together
from thanos_tui.images.package import Package, cached, mark_used
from thanos_tui.words import counted

_PARALLEL = 4
_ROUNDS = 3


class Gone(BuildError):
    """The archive does not have a package any more."""


def fetch(packages: Iterable[Package], apt: Apt, reporter: Reporter, *, offline: bool = False) -> dict[Package, Path]:
    """The verified file of every package, downloaded where the cache does not have it.

    Raises IntegrityError where the mirror's file is not the one that was asked for, BuildError where the mirror does
    not have it (any more), HostError where the mirror cannot be reached, or offline where something is missing.
    """
    wanted = list(dict.fromkeys(packages))
    missing = [package for package in wanted if not _verified(package)]
    if missing and offline:
        names = ", ".join(map(str, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise HostError(f"offline, and not in the cache: {names}", hint="run once without `--offline`")
    if missing:
        directory = cache_dir() / "packages"
        try:
            (directory / "partial").mkdir(parents=True, exist_ok=True)
            with (directory / "lock").open("w") as stream:
                wait_for_lock(stream.fileno(), fcntl.LOCK_EX, reporter.check)
                # Another process may have brought some of them while this one waited.
                missing = [package for package in missing if not _verified(package)]
                if missing:
                    _download(missing, apt, reporter)
        except OSError as error:
            raise unwritable(directory, error) from error
    mark_used(wanted)
    return {package: cached(package) for package in wanted}


def _verified(package: Package) -> bool:
    """Whether the cache has the package whole; a file that is not what its name says is removed."""
    path = cached(package)
    if not path.exists():
        return False
    if _sha256(path) == package.sha256:
        return True
    path.unlink(missing_ok=True)
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _partial(package: Package) -> Path:
    return cache_dir() / "packages" / "partial" / f"{package.sha256}.deb"


def _download(missing: Sequence[Package], apt: Apt, reporter: Reporter) -> None:
    total = sum(package.size for package in missing)
    packages = counted(len(missing), "package")
    with reporter.step("images/packages", f"Download {packages}", total, "bytes") as step:
        step.note = packages
        left = list(missing)
        said = ""
        for _ in range(_ROUNDS):
            for base in [None] if all(package.uri for package in left) else apt.bases():
                said += _round(left, base, apt, missing, step)
                left = [package for package in left if not cached(package).exists()]
                if not left:
                    return
            if not _worth_another(said):
                break
        raise _failed(left, said)


def _round(left: Sequence[Package], base: str | None, apt: Apt, all_: Sequence[Package], step: Step) -> str:
    """Try every package of ``left`` once; those that came whole are moved into the cache. Returns what apt said."""
    groups: list[list[Package]] = [[] for _ in range(min(_PARALLEL, len(left)))]
    for package in sorted(left, key=lambda package: -package.size):
        min(groups, key=lambda group: sum(member.size for member in group)).append(package)
    commands = [[_helper(), "-q", "download-file", *_triples(group, base)] for group in groups]

    def tick() -> None:
        done = 0
        for package in all_:
            size = 0
            for place in (_partial(package), cached(package)):
                if place.exists():
                    size = min(place.stat().st_size, package.size)
                    break
            done += size
            if 0 < size < package.size:
                under_way.add(package)
                step.item(str(package), size, package.size)
            elif package in under_way:
                under_way.remove(package)
                step.item(str(package), package.size, package.size)
        step.advance(max(0, done - step.done))

    under_way: set[Package] = set()
    finished = together(commands, apt.environment, tick)
    for package in left:
        _accept(package)
    tick()
    return "\n".join(one.stdout.decode(errors="replace") for one in finished)


def _helper() -> str:
    path = Path("/usr/lib/apt/apt-helper")
    if not path.exists():
        raise HostError(
            "apt's download helper is not there (/usr/lib/apt/apt-helper)", hint="reinstall the package apt"
        )
    return str(path)


def _triples(group: Sequence[Package], base: str | None) -> list[str]:
    words: list[str] = []
    for package in group:
        uri = package.uri if base is None else f"{base}/{urllib.parse.quote(package.path, safe='/+~:')}"
        words += [uri, str(_partial(package)), f"SHA256:{package.sha256}"]
    return words


def _accept(package: Package) -> None:
    """Move a download into the cache if it is what was asked for; what is damaged goes, what is short stays to be
    resumed.
    """
    path = _partial(package)
    path.with_name(path.name + ".FAILED").unlink(missing_ok=True)
    if not path.exists():
        return
    if path.stat().st_size < package.size and not path.is_symlink():
        return
    if _sha256(path) != package.sha256:
        path.unlink()
        return
    target = cached(package)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        # From a file: URL apt makes a link; the cache keeps a copy of its own.
        _copy(path, target)
        path.unlink()
    else:
        path.replace(target)


def _copy(source: Path, target: Path) -> None:
    import shutil

    from thanos_tui.files import replacing

    with source.open("rb") as stream, replacing(target) as out:
        shutil.copyfileobj(stream, out)


def _worth_another(said: str) -> bool:
    return "404" not in said


def _failed(left: Sequence[Package], said: str) -> Exception:
    names = ", ".join(map(str, left[:3])) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    lines = [line.strip() for line in said.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    first = lines[-1] if lines else said.strip().rpartition("\n")[2]
    if "Hash Sum mismatch" in said or "unexpected size" in said:
        return IntegrityError(
            f"the mirror sent something else than the signed index names: {names}",
            hint="nothing of it was used; try again later or choose another mirror",
        )
    if "404" in said or "File not found" in said:
        return Gone(f"the mirror does not have {names} any more", hint="renew the lock with `--update`")
    if "No space left" in said:
        return HostError(f"no space for packages in {cache_dir()}", hint="free some space on that disk")
    return HostError(f"could not download {names}: {first}", hint="check the network and apt's proxy settings")
