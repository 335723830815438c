"""The description of an image that ``files`` with ``metadata: yaml`` or ``json`` puts into the image itself.

It has the form upstream writes, except that ``mounts`` and ``resources`` keep the names and values of the YAML
(upstream writes its program's internal names, with nulls, which its own reader refuses).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, Literal, cast

import yaml

from thanos_tui.linuxkit import schema
from thanos_tui.linuxkit.model import Config, Namespaces, Volume
from thanos_tui.linuxkit.spec import to_json
from thanos_tui.yaml12 import is_text

_SECTIONS = ("onboot", "onshutdown", "services", "files", "volumes")


def metadata(config: Config, form: Literal["yaml", "json"], expand: Callable[[str], str]) -> bytes:
    """The configuration as upstream describes it in an image.

    expand: makes an image's full name of the one in the YAML (``redis`` to ``docker.io/library/redis``); volumes keep
        theirs, as upstream has it.
    """
    tree: dict[str, Any] = {
        "kernel": {"image": "", **_tree(replace(config.kernel, image=_expanded(config.kernel.image, expand)), form)},
        "init": [expand(reference) for reference in config.init],
    }
    for name in _SECTIONS:
        tree[name] = [
            _tree(replace(item, image=_expanded(item.image, expand)) if _runs(name) else item, form)
            for item in getattr(config, name)
        ]
    if form == "json":
        return to_json({name: value or None if isinstance(value, list) else value for name, value in tree.items()})
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text.encode()


def _runs(section: str) -> bool:
    return section in ("onboot", "onshutdown", "services")


def _expanded(reference: str, expand: Callable[[str], str]) -> str:
    return expand(reference) if reference else ""


def _tree(item: Any, form: str) -> Any:
    """What is given, and numbers and booleans always: so Go's encoders take it."""
    if is_dataclass(item):
        found = {}
        for rule in schema.keys(cast(Hashable, type(item))).values():
            value = getattr(item, rule.attribute)
            if value == rule.default and (value in (None, "", ()) or isinstance(item, Volume)):
                continue
            if form == "yaml" and value == Namespaces():
                continue
            found[rule.name] = _tree(value, form)
        return found
    if isinstance(item, tuple):
        return [_tree(entry, form) for entry in item]
    return dict(sorted(item.items())) if isinstance(item, Mapping) else item


class _Dumper(yaml.SafeDumper):
    """Chooses quotes as upstream's encoder does. (Never libyaml's dumper: the bytes must not depend on the machine.)"""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None if is_text(text) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)
