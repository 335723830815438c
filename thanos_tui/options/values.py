"""Whether a value fits an option: its type, range, pattern and format; and values as text for the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thanos_tui.errors import InputError, nearest
from thanos_tui.options.catalogue import Option
from thanos_tui.options.expressions import Value


class ValueProblem(ValueError):
    """A value does not fit. ``message`` reads after the option's name; ``element`` is the list element at fault."""

    def __init__(self, message: str, *, hint: str | None = None, element: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.element = element


def check(option: Option, raw: Any) -> Value:
    """The value that plain data (from YAML or JSON) is for this option. Raises ValueProblem.

    Only what is true of the value by itself is checked here; what depends on other options (conditional ranges,
    values on offer) is for :func:`thanos_tui.options.resolve.resolve`.
    """
    match option.type:
        case "bool":
            if not isinstance(raw, bool):
                raise ValueProblem(f"must be true or false, not {_shown(raw)}")
            return raw
        case "int":
            if not isinstance(raw, int) or isinstance(raw, bool):
                raise ValueProblem(f"must be a whole number, not {_shown(raw)}")
            if option.ranges and not any(bounds.low <= raw <= bounds.high for bounds in option.ranges):
                low, high = min(r.low for r in option.ranges), max(r.high for r in option.ranges)
                raise ValueProblem(f"must be from {low} to {high}, not {raw}")
            return raw
        case "choice":
            return _check_choice(option, _text(raw))
        case "string":
            return _check_text(option, _text(raw))
        case "list":
            if not isinstance(raw, list | tuple):
                raise ValueProblem(f"must be a list, not {_shown(raw)}", hint=f"write it as [{_shown(raw)}]")
            return _check_elements(option, raw)


def _check_elements(option: Option, raw: Sequence[Any]) -> tuple[str, ...]:
    elements: list[str] = []
    for index, item in enumerate(raw):
        try:
            text = _text(item)
            element = _check_choice(option, text) if option.values else _check_text(option, text)
        except ValueProblem as problem:
            raise ValueProblem(f"element {index + 1} {problem.message}", hint=problem.hint, element=index) from None
        if not element:
            raise ValueProblem(f"element {index + 1} is empty", element=index)
        if element in elements:
            raise ValueProblem(f"has {_shown(element)} twice", element=index)
        elements.append(element)
        if option.format in NAMES:
            _check_name(NAMES[option.format], elements)
    return tuple(elements)


def _check_name(name: Callable[[str], str], elements: Sequence[str]) -> None:
    """Refuse the last of ``elements`` where one before has its name."""
    *before, last = map(name, elements)
    if last in before:
        raise ValueProblem(
            f"element {len(elements)} has the name of element {before.index(last) + 1}, {last}",
            hint="give it another one",
            element=len(before),
        )


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        hint = f'write it in quotes: "{raw}"' if isinstance(raw, int | float) and not isinstance(raw, bool) else None
        raise ValueProblem(f"must be text, not {_shown(raw)}", hint=hint)
    if not raw.isprintable() and not all(character.isprintable() or character in "\n\t" for character in raw):
        raise ValueProblem("must not hold control characters")
    return raw


def _check_choice(option: Option, text: str) -> str:
    offered = [choice.value for choice in option.values]
    if text in offered:
        return text
    close = nearest(text, offered)
    raise ValueProblem(
        f"must be one of {', '.join(offered)}, not {_shown(text)}", hint=f"did you mean {close}?" if close else None
    )


def _check_text(option: Option, text: str) -> str:
    if not text:
        return text
    if option.secret:
        _check_secret_reference(text)
    if option.pattern is not None and not option.pattern.fullmatch(text):
        raise ValueProblem(f"must be {option.pattern_help}, not {_shown(text)}")
    if option.format:
        FORMATS[option.format](text)
    return text


def _check_secret_reference(text: str) -> None:
    # The value itself is never repeated: it may be the secret.
    if re.fullmatch(r"\$[A-Za-z_][A-Za-z0-9_]*", text) or re.match(r"(~?|\.{1,2})/[^\s]", text):
        return
    raise ValueProblem(
        "must say where the secret is, not be the secret",
        hint="give a path that begins with /, ./ or ~/, or the name of an environment variable such as $NAME",
    )


def _check_address(text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueProblem(f"must be an IP address such as 192.0.2.1, not {_shown(text)}") from None


def _check_interface_address(text: str) -> None:
    import ipaddress

    try:
        if "/" not in text:
            raise ValueError
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueProblem(
            f"must be an address with its prefix length such as 192.0.2.10/24, not {_shown(text)}"
        ) from None
    network = interface.network
    if network.num_addresses > 2 and interface.ip in (network.network_address, _broadcast(network)):
        raise ValueProblem(f"must be a machine's address, and {interface.ip} is the network's own or its broadcast")


def _broadcast(network: Any) -> Any:
    return network.broadcast_address if network.version == 4 else None


def _check_host(text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        numbers_only = re.fullmatch(r"[0-9.]+", text)  # a mistyped address, never a name (RFC 1123, section 2.1)
        if len(text) > 253 or numbers_only or not re.fullmatch(rf"{label}(\.{label})*\.?", text):
            raise ValueProblem(f"must be a host name or an IP address, not {_shown(text)}") from None


def _check_path(text: str) -> None:
    if "\n" in text or "\r" in text:
        raise ValueProblem("must be a path on one line")


def _check_extra_file(text: str) -> None:
    split_extra_file(text)


def split_extra_file(text: str) -> tuple[str, str, str]:
    """(path in the OS, source, mode or "") of ``PATH=SOURCE[:MODE]``. Raises ValueProblem."""
    path, equals, source = text.partition("=")
    match = re.fullmatch(r"(.+):(0?[0-7]{3,4})", source, re.DOTALL)
    source, mode = (match[1], match[2].zfill(4)[-4:]) if match else (source, "")
    if not equals or not source:
        raise ValueProblem(f"must be PATH=SOURCE or PATH=SOURCE:MODE, not {_shown(text)}")
    parts = path.strip("/").split("/")
    if not path.startswith("/") or not path.strip("/"):
        raise ValueProblem(f"must begin with the full path the file gets in the OS, not {_shown(path)}")
    if any(part in ("", ".", "..") for part in parts) or not path.isprintable():
        raise ValueProblem(f"must not use {_shown(path)} as a path")
    if parts[0] in ("run", "tmp", "var", "dev", "proc", "sys"):
        raise ValueProblem(
            f"cannot put a file below /{parts[0]}: another file system covers it while the OS runs",
            hint="choose a path such as /etc/NAME or /usr/local/NAME",
        )
    return path, source, mode


def _check_archive(text: str) -> None:
    uri, *rest = text.split(" ")
    if re.match(r"[a-z+]+://[^/@]*:[^/@]+@", uri):
        raise ValueProblem(
            "must not hold a password",
            hint="put the password into apt's own /etc/apt/auth.conf.d/, which is used here as well",
        )
    if not re.fullmatch(r"[a-z][a-z+]*:/[^\s\[\]]+", uri) or not all(
        re.fullmatch(r"[\w./+~-]+", word) for word in rest
    ):
        raise ValueProblem(f"must be the URL of a package archive, or URL SUITE COMPONENT…, not {_shown(text)}")


def _check_resolution(text: str) -> None:
    if text == "auto":
        return
    match = re.fullmatch(r"([1-9][0-9]{2,4})x([1-9][0-9]{2,4})", text)
    if not match:
        raise ValueProblem(f"must be WIDTHxHEIGHT such as 1280x800, or auto, not {_shown(text)}")
    width, height = int(match[1]), int(match[2])
    if not (320 <= width <= 7680 and 200 <= height <= 4320):
        raise ValueProblem(f"must be from 320x200 to 7680x4320, not {text}")
    if width % 8:
        # The timings count in characters of 8 pixels, and the graphics card of QEMU does.
        below = width // 8 * 8
        raise ValueProblem(
            f"must have a width that is a multiple of 8, not {width}",
            hint=f"take {below}x{height} or {below + 8}x{height}; with auto a screen of {text} is used in full",
        )


def _check_json_object(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueProblem(f"must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueProblem(f'must be an object in JSON such as {{"key": "value"}}, not {_shown(value)}')


def _check_network_pool(text: str) -> None:
    import ipaddress

    base, _, size = text.partition(" ")
    try:
        network = ipaddress.ip_network(base)
    except ValueError:
        raise ValueProblem(
            f"must be a network and a prefix length such as '10.99.0.0/16 24', not {_shown(text)}"
        ) from None
    if not re.fullmatch(r"[0-9]{1,3}", size) or not network.prefixlen <= int(size) <= network.max_prefixlen - 2:
        raise ValueProblem(
            f"must end with the prefix length of the networks made from {base}, "
            f"from {network.prefixlen} to {network.max_prefixlen - 2}, not {_shown(size)}"
        )


def _check_arguments(text: str) -> None:
    if not text.isprintable():
        raise ValueProblem("must be one line without control characters")
    if len(text.encode()) > 2047:
        # COMMAND_LINE_SIZE is 2048 with its end mark, on x86 and arm64 alike.
        raise ValueProblem("must not be longer than the 2047 bytes a kernel takes")


def _check_app(text: str) -> None:
    from thanos_tui import appwords

    try:
        appwords.read(text)
    except InputError as error:
        hint = error.hint or "write it as behind `thanos-tui app run`: [OPTION]… IMAGE [COMMAND…]"
        raise ValueProblem(f"is no app: {error.message}", hint=hint) from None


def _app_name(text: str) -> str:
    from thanos_tui import appwords

    return appwords.read(text).name


FORMATS: Mapping[str, Callable[[str], None]] = {
    "address": _check_address,
    "address-prefix": _check_interface_address,
    "app": _check_app,
    "archive": _check_archive,
    "arguments": _check_arguments,
    "extra-file": _check_extra_file,
    "host": _check_host,
    "json-object": _check_json_object,
    "network-pool": _check_network_pool,
    "path": _check_path,
    "resolution": _check_resolution,
}
"""What ``format:`` in the catalogue may say; each raises ValueProblem."""

NAMES: Mapping[str, Callable[[str], str]] = {"app": _app_name}
"""What of an element in a list no other element may have, for the formats that have such a thing."""


def _shown(raw: Any) -> str:
    if raw is None:
        return "nothing"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, list):
        return "a list"
    text = json.dumps(raw, ensure_ascii=False) if isinstance(raw, bool | int | float | str) else str(raw)
    return text if len(text) <= 60 else f"{text[:57]}…"


def from_text(option: Option, text: str) -> Value:
    """The value that ``text`` from a command line is for this option. Raises ValueProblem.

    A list is its elements with commas between them, or JSON (``["a,b"]``) where elements hold commas themselves.
    """
    raw: Any = text
    match option.type:
        case "bool":
            # A command line has no quotes to tell words from values, so the usual words all serve.
            words = {"true": True, "yes": True, "on": True, "y": True, "false": False, "no": False, "off": False}
            raw = {**words, "n": False}.get(text.strip().lower(), text)
        case "int":
            raw = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()) else text
        case "list":
            if text.lstrip().startswith("["):
                try:
                    raw = json.loads(text)
                except ValueError:
                    raise ValueProblem("must be a list in JSON if it begins with [") from None
            else:
                raw = [element.strip() for element in text.split(",")] if text.strip() else []
        case "choice" | "string":
            pass
    return check(option, raw)


def to_text(value: Value) -> str:
    """The text that :func:`from_text` reads as ``value``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        plain = all(e == e.strip() and e and "," not in e for e in value) and not (value and value[0].startswith("["))
        return ",".join(value) if plain else json.dumps(list(value), ensure_ascii=False)
    return str(value)
