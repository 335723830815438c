"""The catalogue: what can be configured, what each option depends on, and its resolved value with its origin."""

from __future__ import annotations

from functools import cache

from thanos_tui.files import assets_dir
from thanos_tui.options import kept
from thanos_tui.options.catalogue import Catalogue, Menu, Option
from thanos_tui.options.reading import read_catalogue
from thanos_tui.options.render import (
    as_arguments,
    as_command,
    changed,
    make_profile_key,
    plain_name,
    preview,
    profile_key,
    profile_keys,
    render,
    settings,
)
from thanos_tui.options.resolve import (
    Assignment,
    Assignments,
    Edited,
    Facts,
    InProfile,
    OnCommandLine,
    Resolved,
    State,
    resolve,
    resolve_after,
    visible,
    why_not,
)

__all__ = [
    "Assignment",
    "Assignments",
    "Catalogue",
    "Edited",
    "Facts",
    "InProfile",
    "Menu",
    "OnCommandLine",
    "Option",
    "Resolved",
    "State",
    "as_arguments",
    "as_command",
    "changed",
    "load",
    "make_profile_key",
    "plain_name",
    "preview",
    "profile_key",
    "profile_keys",
    "read_catalogue",
    "render",
    "resolve",
    "resolve_after",
    "settings",
    "visible",
    "why_not",
]


@cache
def load() -> Catalogue:
    """The catalogue of this program. Raises InputError for a mistake in it."""
    return kept.catalogue(assets_dir() / "linuxkit" / "catalogue")
