"""The files that depmod(8) makes for a directory of kernel modules, made here from the modules alone.

The Debian kernel package brings none of them. Making them here needs no program, works for any architecture, and gives
the same bytes whichever version of kmod a machine has. The text files are those of modules.dep(5); the ``.bin`` files
are libkmod's index: a radix tree of big-endian offsets, written children first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thanos_tui.errors import BuildError

_MAGIC, _VERSION = 0xB007F457, 0x00020001
_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000
_SHT_SYMTAB = 2


@dataclass(frozen=True)
class Module:
    """A module's own statements.

    path: inside lib/modules/VERSION, without compression (``kernel/fs/ext4/ext4.ko``). info: the ``.modinfo`` records
    by key, in order. exports: the symbols it gives to others.
    """

    path: str
    info: Mapping[str, tuple[str, ...]]
    exports: tuple[str, ...]

    @property
    def name(self) -> str:
        return module_name(self.path)

    @property
    def depends(self) -> tuple[str, ...]:
        """The modules that must be there before it, by name."""
        return tuple(normal(name) for text in self.info.get("depends", ()) for name in text.split(",") if name)

    @property
    def wishes(self) -> tuple[str, ...]:
        """The modules it would like to have (soft and weak dependencies); they need not exist."""
        words = [word for key in ("softdep", "weakdep") for text in self.info.get(key, ()) for word in text.split()]
        return tuple(normal(word) for word in words if not word.endswith(":"))


def normal(name: str) -> str:
    """A module's name as the kernel has it: with underscores."""
    return name.replace("-", "_")


def module_name(path: str) -> str:
    """``kernel/fs/nfs-ssc.ko`` -> ``nfs_ssc``."""
    return normal(path.rpartition("/")[2].partition(".ko")[0])


def read(data: bytes, path: str) -> Module:
    """The statements of a decompressed module. Raises BuildError where it is none."""
    try:
        sections = _sections(data)
        info: dict[str, list[str]] = {}
        for record in sections.get(".modinfo", (b"", 0))[0].split(b"\0"):
            key, equals, value = record.decode("utf-8", "replace").partition("=")
            if equals:
                info.setdefault(key, []).append(value)
        return Module(path, {key: tuple(values) for key, values in info.items()}, _exports(data, sections))
    except (struct.error, ValueError, IndexError) as error:
        raise BuildError(f"{path} is not a kernel module ({error})") from error


def _sections(data: bytes) -> dict[str, tuple[bytes, int]]:
    """Sections by name: their content and type."""
    if data[:4] != b"\x7fELF":
        raise ValueError("no ELF file")
    order = "<" if data[5] == 1 else ">"
    if data[4] == 2:
        start, entry, count, names_at = (
            *struct.unpack_from(order + "Q", data, 40),
            *struct.unpack_from(order + "HHH", data, 58),
        )
        shape = order + "IIQQQQ"
    else:
        start, entry, count, names_at = (
            *struct.unpack_from(order + "I", data, 32),
            *struct.unpack_from(order + "HHH", data, 46),
        )
        shape = order + "IIIIII"
    headers = [struct.unpack_from(shape, data, start + index * entry) for index in range(count)]
    strings = data[headers[names_at][4] : headers[names_at][4] + headers[names_at][5]]
    found = {}
    for name, kind, _flags, _address, offset, size in headers:
        if kind != 8:  # SHT_NOBITS has no bytes in the file
            found[_string(strings, name)] = (data[offset : offset + size], kind)
    return found


def _exports(data: bytes, sections: Mapping[str, tuple[bytes, int]]) -> tuple[str, ...]:
    table, kind = sections.get(".symtab", (b"", 0))
    strings = sections.get(".strtab", (b"", 0))[0]
    if kind != _SHT_SYMTAB or b"__ksymtab_" not in strings:
        return ()
    order = "<" if data[5] == 1 else ">"
    size = 24 if data[4] == 2 else 16
    names = (_string(strings, struct.unpack_from(order + "I", table, at)[0]) for at in range(0, len(table), size))
    return tuple(sorted({name[len("__ksymtab_") :] for name in names if name.startswith("__ksymtab_")}))


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode("utf-8", "replace")


def files(modules: Iterable[Module], order: Sequence[str], builtin: Sequence[str], about: bytes) -> dict[str, bytes]:
    """The files of lib/modules/VERSION that modprobe(8) reads, by name.

    order: the lines of modules.order, which say which of several modules for one device is tried first. builtin: the
    lines of modules.builtin. about: modules.builtin.modinfo.
    """
    place = {path: number for number, path in enumerate(order)}
    chosen = sorted(modules, key=lambda module: (place.get(module.path, len(place)), module.path))
    by_name = {module.name: module for module in chosen}
    dependencies = {module.name: _all_dependencies(module, by_name) for module in chosen}
    lines: dict[str, list[str]] = {
        "modules.dep": [],
        "modules.alias": ["# Aliases extracted from modules themselves."],
        "modules.softdep": ["# Soft dependencies extracted from modules themselves."],
        "modules.symbols": ["# Aliases for symbols, used by symbol_request()."],
        "modules.devname": [],
        "modules.order": [module.path for module in chosen],
        "modules.builtin": list(builtin),
    }
    depended, aliases, symbols = _Index(), _Index(), _Index()
    for number, module in enumerate(chosen):
        needs = " ".join(by_name[name].path for name in dependencies[module.name])
        line = f"{module.path}: {needs}".rstrip() if needs else f"{module.path}:"
        lines["modules.dep"].append(line)
        depended.add(module.name, line, number)
        for alias in module.info.get("alias", ()):
            lines["modules.alias"].append(f"alias {alias} {module.name}")
            aliases.add(_normal_alias(alias), module.name, number)
        lines["modules.softdep"] += [f"softdep {module.name} {text}" for text in module.info.get("softdep", ())]
        for symbol in module.exports:
            lines["modules.symbols"].append(f"alias symbol:{symbol} {module.name}")
            symbols.add(f"symbol:{symbol}", module.name, number)
        lines["modules.devname"] += _device_names(module)
    if lines["modules.devname"]:
        lines["modules.devname"].insert(0, "# Device nodes to trigger on-demand module loading.")
    built, built_aliases = _Index(), _Index()
    for path in builtin:
        built.add(module_name(path), "", 0)
    for record in about.split(b"\0"):
        name, _, statement = record.decode("utf-8", "replace").partition(".")
        key, _, value = statement.partition("=")
        if key == "alias":
            built_aliases.add(_normal_alias(value), normal(name), 0)
    result = {name: "".join(f"{line}\n" for line in text).encode() for name, text in lines.items()}
    indices = {"dep": depended, "alias": aliases, "symbols": symbols, "builtin": built, "builtin.alias": built_aliases}
    return {**result, **{f"modules.{name}.bin": index.dump() for name, index in indices.items()}}


def _all_dependencies(module: Module, by_name: Mapping[str, Module]) -> list[str]:
    """Everything a module needs; what needs others comes before them, as modprobe inserts from the end."""
    done: list[str] = []
    seen = {module.name}

    def visit(current: Module) -> None:
        for name in current.depends:
            if name not in seen and name in by_name:
                seen.add(name)
                visit(by_name[name])
                done.append(name)

    visit(module)
    return done[::-1]


def _device_names(module: Module) -> list[str]:
    name = kind = number = ""
    for alias in module.info.get("alias", ()):
        if alias.startswith("devname:"):
            name = alias.removeprefix("devname:")
        elif matched := re.fullmatch(r"(char|block)-major-(\d+)-(\d+)", alias):
            kind, number = matched[1][0], f"{matched[2]}:{matched[3]}"
    return [f"{module.name} {name} {kind}{number}"] if name and kind else []


def _normal_alias(alias: str) -> str:
    """Underscores for dashes, except inside of brackets: as libkmod looks aliases up."""
    return "".join(
        part if part.startswith("[") else part.replace("-", "_") for part in re.split(r"(\[[^\]]*\])", alias)
    )


class _Index:
    """libkmod's index: keys to values, each with a priority (smaller first)."""

    def __init__(self) -> None:
        self._values: dict[bytes, list[tuple[int, bytes]]] = {}

    def add(self, key: str, value: str, priority: int) -> None:
        self._values.setdefault(key.encode(), []).append((priority, value.encode()))

    def dump(self) -> bytes:
        out = bytearray(struct.pack(">III", _MAGIC, _VERSION, 0))
        root = self._node(sorted(self._values), 0, b"", out)
        out[8:12] = struct.pack(">I", root)
        return bytes(out)

    def _node(self, keys: Sequence[bytes], depth: int, prefix: bytes, out: bytearray) -> int:
        """Write the node of ``keys``, which agree in their first ``depth`` bytes and in ``prefix``; returns its
        offset.
        """
        at = depth + len(prefix)
        children: dict[int, list[bytes]] = {}
        for key in keys:
            if len(key) > at:
                children.setdefault(key[at], []).append(key)
        offsets = {}
        for first, group in children.items():
            shared = _shared(group[0], group[-1], at + 1)
            offsets[first] = self._node(group, at + 1, shared, out)
        offset = len(out)
        if prefix:
            out += prefix + b"\0"
            offset |= _PREFIX
        if offsets:
            low, high = min(offsets), max(offsets)
            out += bytes((low, high))
            out += b"".join(struct.pack(">I", offsets.get(byte, 0)) for byte in range(low, high + 1))
            offset |= _CHILDREN
        values = self._values.get(keys[0], []) if keys and len(keys[0]) == at else []
        if values:
            out += struct.pack(">I", len(values))
            # Of equal priorities libkmod keeps the last first.
            for number in sorted(range(len(values)), key=lambda number: (values[number][0], -number)):
                priority, value = values[number]
                out += struct.pack(">I", priority) + value + b"\0"
            offset |= _VALUES
        return offset


def _shared(first: bytes, last: bytes, start: int) -> bytes:
    """What two keys share from ``start`` on; of sorted keys the first and the last share least."""
    end = start
    while end < len(first) and end < len(last) and first[end] == last[end]:
        end += 1
    return first[start:end]
