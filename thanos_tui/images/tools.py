"""Programs that this machine lacks, brought without root: from the distribution's packages, unpacked into the cache.

What is missing is solved against the packages that are installed here, so that only the rest is fetched; it is verified
like every package, and unpacked as data. Each program gets a small starter in ``TOOLS/bin``, which points the dynamic
linker at the libraries that came with it; :func:`thanos_tui.programs.find` looks there last, so that what the user
installs wins.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from thanos_tui import programs
from thanos_tui.errors import HostError
from thanos_tui.events import Reporter
from thanos_tui.files import cache_in_use, replacing, unwritable
from thanos_tui.images import elf
from thanos_tui.images.apt import Apt
from thanos_tui.images.download import fetch
from thanos_tui.images.package import Package
from thanos_tui.images.unpacked import Shelf, Tree, canonical
from thanos_tui.tree import Member

# Part of a directory's name: to be raised whenever the same packages are laid out differently.
_FORMAT = 3
# What packages only recommend, but their programs here need.
_COMPANIONS = {
    "syslinux": ["syslinux-common"],
    "qemu-system-x86": ["seabios", "ipxe-qemu"],
    "qemu-system-arm": ["ipxe-qemu"],
}
_LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/lintian/")
_BINARIES = ("usr/bin/", "usr/sbin/")
_FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu", "usr/share/qemu-efi-aarch64")


def ensure(names: Iterable[str], reporter: Reporter, *, offline: bool = False) -> None:
    """See to it that every program of ``names`` can be found, fetching what is missing.

    Raises HostError where that cannot be done: no apt, no network, or a package that does not fit what is installed.
    """
    missing = [name for name in dict.fromkeys(names) if programs.find(name) is None]
    if not missing:
        return
    wanted = sorted({programs.PACKAGES.get(name, name) for name in missing})
    with cache_in_use():
        _bring(missing, wanted, reporter, offline=offline)


def _bring(missing: Sequence[str], wanted: Sequence[str], reporter: Reporter, *, offline: bool) -> None:
    hint = f"install it: apt-get install {' '.join(wanted)}"
    if programs.find("apt-get") is None or programs.find("dpkg") is None:
        raise HostError(f"the program {missing[0]} is not installed, and there is no apt to bring it", hint=hint)
    arch = programs.run(["dpkg", "--print-architecture"]).stdout.decode().strip()
    apt = Apt(arch, installed=True)
    apt.refresh(reporter, offline=offline)
    asked = [*wanted, *(name for package in wanted for name in _COMPANIONS.get(package, ()))]
    packages = apt.solve(asked, reporter.check)
    if any(package.name in ("libc6", "libc6-i386") for package in packages):
        # A C library works with the dynamic linker of its own version only.
        raise HostError(
            f"{missing[0]} needs a newer C library than this machine has", hint="apt-get upgrade, then again"
        )
    files = fetch(packages, apt, reporter, offline=offline)
    install(packages, files, asked, arch, reporter)
    for name in missing:
        if programs.find(name) is None:
            raise HostError(f"the package {programs.PACKAGES.get(name, name)} has no program {name}", hint=hint)


def install(
    packages: Sequence[Package], files: dict[Package, Path], asked: Sequence[str], arch: str, reporter: Reporter
) -> None:
    """Unpack the packages into a directory named by what they are, whole or not at all.

    The programs of those that were ``asked`` for get starters. Raises HostError where that cannot be written.
    """
    words = [str(_FORMAT), *asked, *(package.sha256 for package in packages)]
    home = programs.tools_dir()
    target = home / hashlib.sha256("\n".join(words).encode()).hexdigest()[:20]
    if target.exists():
        return
    temporary: Path | None = None
    try:
        home.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new.", dir=home))
        with reporter.step("tools", f"Unpack {', '.join(asked)}") as step, Shelf(reporter.check) as shelf:
            step.note = f"{len(packages)} packages"
            members = {package: shelf.members(files[package], str(package)) for package in packages}
            tree = Tree(members.values())
            for name in tree.names():
                reporter.check()
                _unpack(tree, name, temporary)
            own = [member for package in packages if package.name in asked for member in members[package]]
            _starters(own, tree, temporary, target, arch)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            # Another process was faster; its directory holds the same.
            if not target.exists():
                raise
    except OSError as error:
        raise unwritable(home, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _unpack(tree: Tree, name: str, root: Path) -> None:
    member = tree.get(name)
    if member is None or name.startswith(_LEFT_OUT) or not name.startswith(("usr/", "etc/")):
        return
    path = root / name
    # A link may stand where a later name has a directory: following it must not lead out of here.
    parent = path.parent.resolve()
    if not parent.is_relative_to(root.resolve()):
        raise HostError(f"a package puts /{name} behind a link that leads elsewhere")
    parent.mkdir(parents=True, exist_ok=True)
    if member.kind == "dir":
        path.mkdir(exist_ok=True)
    elif member.kind == "symlink":
        found = tree.follow(name)
        # Links to what is not here are links to this machine's own files.
        inside = found.member is not None
        path.symlink_to(os.path.relpath(root / found.name, path.parent) if inside else member.linkname)
    elif member.kind == "file" and member.open is not None:
        with member.open() as stream, path.open("xb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
        path.chmod(member.mode & 0o755 | 0o600)


def _starters(own: Sequence[Member], tree: Tree, root: Path, target: Path, arch: str) -> None:
    """Write ``bin/NAME`` for the programs of the packages that were asked for."""
    directories = [f"usr/lib/{elf.TRIPLETS[arch]}"] if arch in elf.TRIPLETS else []
    directories.append("usr/lib")
    for name in tree.names():
        # Private libraries (a program's own directory) are found by absolute paths, which have to be moved here too.
        facts = tree.elf(name) if ".so" in name or name.startswith(_BINARIES) else None
        for entry in (*facts.rpath, *facts.runpath) if facts else ():
            if entry.startswith("/"):
                directories.append(tree.follow(entry).name)
    libraries = _present(root, target, directories)
    lines = ["#!/bin/sh"]
    if libraries:
        value = shlex.quote(":".join(libraries))
        lines.append(f"export LD_LIBRARY_PATH={value}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}")
    # Modules come in a package of their own, which may be installed where QEMU is not; it looks beside itself only.
    modules = f"{directories[0]}/qemu"
    for directory in _present(root, target, [modules]) or [f"/{modules}"]:
        lines.append(f"export QEMU_MODULE_DIR={shlex.quote(directory)}")
    # Programs that start others of the same packages find them.
    lines.append(f'export PATH="$PATH":{shlex.quote(str(target / "bin"))}')
    firmware = [f"-L {shlex.quote(place)}" for place in _present(root, target, _FIRMWARE)]
    (root / "bin").mkdir()
    # Programs look for their data beside themselves (../share, ../lib).
    for name in ("lib", "share"):
        if (root / "usr" / name).is_dir():
            (root / name).symlink_to(f"usr/{name}")
    for member in own:
        found = tree.follow(member.name)
        name = member.name.rpartition("/")[2]
        program = canonical(member.name)
        if not program.startswith(_BINARIES) or found.member is None or not found.member.mode & 0o111:
            continue
        # Not every version of QEMU looks for its firmware beside itself.
        words = [shlex.quote(str(target / program)), *(firmware if name.startswith("qemu-system-") else []), '"$@"']
        with replacing(root / "bin" / name, 0o755) as stream:
            stream.write("\n".join([*lines, f"exec {' '.join(words)}", ""]).encode())


def _present(root: Path, target: Path, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are directories in ``root``, by the paths they will have in ``target``."""
    return [str(target / name) for name in dict.fromkeys(names) if (root / name).is_dir()]
