"""Locks: exactly what a build was made from, so that it can be made again, byte for byte.

``x.thanos`` has its lock beside it, ``x.thanos.lock``: JSON, one package a line, made for version control. It names
every package by version and SHA256, and every image by the digest of its manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thanos_tui.errors import InputError
from thanos_tui.files import write_if_changed
from thanos_tui.images.package import Package

VERSION = 1


@dataclass(frozen=True)
class LockedImage:
    """An image as it was used: its manifest's digest and, where a recipe made it, from what.

    recipe: the key of the recipe's files, features and packages; ``""`` for images that came from elsewhere.
    family: whose package names the recipe used. requested: what the solver was asked for; packages: what it answered.
    """

    digest: str
    recipe: str = ""
    family: str = ""
    requested: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True)
class Lock:
    """The images of a build, by reference and architecture (Go's name)."""

    images: Mapping[tuple[str, str], LockedImage] = field(default_factory=dict)


def lock_path(profile: Path) -> Path:
    """Where the lock of a profile is."""
    return profile.with_name(profile.name + ".lock")


def load(path: Path) -> Lock | None:
    """The lock at ``path``, or None where there is none. Raises InputError where it cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the lock {path}: {error}") from error
    hint = "take it from version control again, or renew it with `--update`"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"the lock {path} is damaged: {error}", hint=hint) from None
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"the lock {path} was written by a later version of thanos-tui", hint="update thanos-tui, or renew the lock"
        )
    try:
        if version != VERSION:
            raise ValueError(f"its version is {version!r}")
        return _lock(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the lock {path} is damaged: {type(error).__name__} {error}", hint=hint) from None


def _lock(value: Mapping[str, Any]) -> Lock:
    packages = {}
    for line in value["packages"]:
        package = Package(
            name=str(line["name"]),
            version=str(line["version"]),
            arch=str(line["arch"]),
            sha256=_hex(line["sha256"]),
            size=int(line["size"]),
            path=_inside(line["path"]),
        )
        packages[_identity(package)] = package
    images = {}
    for reference, by_arch in value["images"].items():
        for arch, entry in by_arch.items():
            algorithm, _, digest = entry["digest"].partition(":")
            if algorithm != "sha256":
                raise ValueError(f"{entry['digest']!r} is not a sha256 digest")
            image = LockedImage(f"sha256:{_hex(digest)}")
            if "recipe" in entry:
                image = LockedImage(
                    digest=image.digest,
                    recipe=_hex(entry["recipe"]),
                    family=str(entry["family"]),
                    requested=tuple(map(str, entry["requested"])),
                    packages=tuple(packages[name] for name in entry["packages"]),
                )
            images[reference, arch] = image
    return Lock(images)


def _hex(text: str) -> str:
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not a sha256")
    return text


def _inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not a path inside an archive")
    return path


def _identity(package: Package) -> str:
    return f"{package.name}:{package.arch}={package.version}"


def dump(lock: Lock) -> str:
    """The lock as text: sorted, so that a change of one package is a change of one line."""
    packages: dict[str, Package] = {}
    images: dict[str, dict[str, Any]] = {}
    for (reference, arch), image in sorted(lock.images.items()):
        entry: dict[str, Any] = {"digest": image.digest}
        if image.recipe:
            entry |= {"recipe": image.recipe, "family": image.family, "requested": list(image.requested)}
            entry["packages"] = [_identity(package) for package in image.packages]
        images.setdefault(reference, {})[arch] = entry
        packages |= {_identity(package): package for package in image.packages}
    lines = []
    for _, package in sorted(packages.items()):
        facts = {key: getattr(package, key) for key in ("name", "version", "arch", "sha256", "size", "path")}
        lines.append("    " + json.dumps(facts, ensure_ascii=False))
    shown = json.dumps(images, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    separator = ",\n"
    block = f"\n{separator.join(lines)}\n  " if lines else ""
    return f'{{\n  "version": {VERSION},\n  "images": {shown},\n  "packages": [{block}]\n}}\n'


def save(path: Path, lock: Lock) -> None:
    """Write the lock, whole or not at all; a file that says the same already is left alone."""
    write_if_changed(path, dump(lock).encode())


def changes(old: Lock | None, new: Lock) -> tuple[str, ...]:
    """What differs, a line each, packages first: ``openssh-server 1:9.2p1-2 -> 1:9.2p1-3``, ``+ name``, ``- name``."""
    before, after = _versions(old or Lock()), _versions(new)
    lines = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        shown = name.removesuffix(":")
        lines.append(
            f"+ {shown} {now}" if was is None else f"- {shown} {was}" if now is None else f"{shown} {was} -> {now}"
        )
    references = {**(old.images if old else {}), **new.images}
    for key in sorted(references):
        was_image, now_image = (old.images.get(key) if old else None), new.images.get(key)
        if (
            was_image
            and now_image
            and was_image.digest != now_image.digest
            and was_image.packages == now_image.packages
        ):
            lines.append(f"{key[0]} ({key[1]}) {was_image.digest[:19]} -> {now_image.digest[:19]}")
    return tuple(lines)


def _versions(lock: Lock) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for (_, arch), image in lock.images.items():
        for package in image.packages:
            found.setdefault(f"{package.name} ({arch})", set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
