"""From resolved options to what a build needs: the LinuxKit config, and the settings of the build itself."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from thanos_tui import files
from thanos_tui.errors import InputError
from thanos_tui.options import expressions, templates
from thanos_tui.options.filters import READING, Surroundings, make_filters
from thanos_tui.options.resolve import Resolved
from thanos_tui.options.values import to_text
from thanos_tui.settings import BuildSettings

if TYPE_CHECKING:
    from thanos_tui.linuxkit.config import Config
    from thanos_tui.options.catalogue import Contribution
    from thanos_tui.options.expressions import Value
    from thanos_tui.options.templates import Filter


SETTINGS = frozenset(field.name for field in fields(BuildSettings))


def settings(resolved: Resolved, directory: Path) -> BuildSettings:
    """The build settings; paths are relative to ``directory``, where the profile is."""
    given = {state.option.setting: state.value for state in resolved.states.values() if state.option.setting}
    keyring = given["keyring"]
    given["keyring"] = None
    made = BuildSettings(**cast(Any, given))
    surroundings = Surroundings(directory)

    def path(text: str) -> str:
        return str(surroundings.path(text).absolute())

    # What is no word of images.fetch is a path, which has one of these in it.
    sources = tuple(path(word) if set(word) & {"/", "."} else word for word in made.image_sources)
    made = replace(made, image_sources=sources, image_certificates=tuple(map(path, made.image_certificates)))
    if not keyring:
        return made
    found = surroundings.path(str(keyring))
    if not found.is_file():
        raise InputError(f"there is no keyring {found}", where="packages.keyring")
    return replace(made, keyring=found.absolute())


def plain_name(name: str) -> str:
    """A profile's name with what a file name had better not have (spaces, a dot in front) made dashes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:100] or "thanos"


def profile_key(profile_name: str) -> Path:
    """Where the private key made for a profile is; its public half is beside it (``.pub``)."""
    return files.data_dir() / "keys" / plain_name(profile_name) / "id_ed25519"


def profile_keys() -> list[Path]:
    """The private keys of all profiles that have one, by the profiles' names."""
    return sorted((files.data_dir() / "keys").glob("*/id_ed25519"))


def make_profile_key(profile_name: str) -> Path:
    """Make the profile's key pair unless it is there, and say where the private key is."""
    path = profile_key(profile_name)
    if not path.exists():
        from thanos_tui import keys

        keys.generate(path, f"thanos-tui {profile_name}")
    return path


Memo = dict[int, tuple[object, "Config"]]
"""Contributions as they were rendered last, by their number, each with what it was rendered from."""


def render(
    resolved: Resolved,
    directory: Path,
    profile_name: str,
    *,
    make_key: bool = True,
    need_key: bool = True,
    memo: Memo | None = None,
) -> Config:
    """The LinuxKit config of these options. The same options and files give the same config, always.

    directory: what the profile's paths are relative to. profile_name: whose key pair to authorize, if there is one.
    make_key: whether that pair is made where ``sshd.generate-key`` asks for it and it is missing; this is the only
    thing rendering ever writes. Without it the key is left out.
    need_key: whether it is an error that nobody's key is there to log in with; for a look at the config it is none.
    memo: the caller keeps it from one call to the next with this catalogue, so that only what has changed is made anew.

    Raises InputError for problems in the options and for files that cannot be used, HostError where the key cannot be
    written.
    """
    # Only here: the app shows its first menu without it.
    from thanos_tui.linuxkit import config

    resolved.check()
    key = profile_key(profile_name)
    if resolved.values.get("sshd.generate-key") and make_key:
        make_profile_key(profile_name)
    surroundings = Surroundings(directory, profile_key=key if key.exists() else None, need_key=need_key)
    rendered = _contributions(resolved, surroundings, f"{profile_name} as rendered", {} if memo is None else memo)
    extra = resolved.values.get("extra.yaml")
    paths = [surroundings.path(item) for item in extra] if isinstance(extra, tuple) else []
    # They join as several files do for `linuxkit build`: what is said of the kernel replaces, lists are appended.
    return config.merge([*rendered, *map(_read_yaml, paths)])


def _contributions(resolved: Resolved, surroundings: Surroundings, file: str, memo: Memo) -> Iterator[Config]:
    """The catalogue's contributions that hold, one after the other; ``file``: what errors call them."""
    from thanos_tui.linuxkit import config

    values, filters = resolved.values, make_filters(surroundings)
    for number, contribution in enumerate(resolved.catalogue.contributions):
        if not expressions.holds(contribution.condition, values):
            continue
        # What files say is looked up each time; everything else follows from the values.
        text = _filled(contribution, values, filters) if contribution.filters & READING else None
        given = (file, text or [values[name] for name in contribution.names])
        made_from, made = memo.get(number, (None, None))
        if made is None or made_from != given:
            made = config.read(text or _filled(contribution, values, filters), file)
            memo[number] = given, made
        yield made


def _filled(contribution: Contribution, values: Mapping[str, Value], filters: Mapping[str, Filter]) -> str:
    """A contribution as YAML. Control characters never get into it (values.py, filters.py), so JSON is YAML here."""
    return json.dumps(templates.fill(contribution.template, values, filters), ensure_ascii=False)


def _read_yaml(path: Path) -> Config:
    from thanos_tui.linuxkit import config

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", where="extra.yaml") from None
    return config.read(data, str(path))


def preview(resolved: Resolved, directory: Path, profile_name: str, memo: Memo | None = None) -> Config:
    """The config as far as it can be told now: nothing is written, and nobody's key being there is no error.

    Raises InputError as :func:`render` does for everything else.
    """
    return render(resolved, directory, profile_name, make_key=False, need_key=False, memo=memo)


def as_arguments(resolved: Resolved, base: Resolved) -> list[str]:
    """``--set`` arguments that lead from ``base`` (a profile as it is on disk, or the defaults) to ``resolved``."""
    arguments: list[str] = []
    for name in resolved.catalogue.options:
        state = resolved[name]
        there = base[name].value if base[name].active else state.default
        if state.active and not state.locked and state.value != there:
            arguments += ["--set", f"{name}={to_text(state.value)}"]
    return arguments


def as_command(resolved: Resolved, base: Resolved, profile: Path) -> str:
    """The shell command that builds exactly this, from the profile as it is on disk."""
    return shlex.join(["thanos-tui", "--replay", str(profile), *as_arguments(resolved, base)])


def changed(resolved: Resolved) -> dict[str, Value]:
    """What a profile has to say: the values that differ from the defaults, in the catalogue's order."""
    found: dict[str, Value] = {}
    for name in resolved.catalogue.options:
        state = resolved[name]
        if state.active and not state.locked and state.value != state.default:
            found[name] = state.value
    return found
