"""Values that fit an option and values that do not; and their text on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thanos_tui.options import Catalogue, load
from thanos_tui.options.values import FORMATS, ValueProblem, check, from_text, split_extra_file, to_text


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("sshd", 1, "must be true or false, not 1"),
        ("sshd", "yes", 'must be true or false, not "yes"'),
        ("machine.cpus", "2", "must be a whole number"),
        ("machine.cpus", True, "must be a whole number, not true"),
        ("machine.cpus", 2.5, "must be a whole number"),
        ("machine.cpus", 0, "must be from 1 to 255, not 0"),
        ("hostname", 12, "must be text, not 12"),
        ("hostname", None, "must be text, not nothing"),
        ("hostname", "a_b", "must be letters, digits and '-'"),
        ("hostname", "a\nb", "must be letters"),
        ("kernel.cmdline", "a\tb", "must be one line without control characters"),
        ("kernel.cmdline", "a\x00b", "must not hold control characters"),
        ("kernel.cmdline", "é" * 1024, "2047 bytes"),
        ("network", "wifi", "must be one of dhcp, static, none"),
        ("output.formats", "vhd", "must be a list"),
        ("output.formats", ["vhdx"], "element 1 must be one of"),
        ("output.formats", ["vhd", "vhd"], 'has "vhd" twice'),
        ("output.formats", [["vhd"]], "element 1 must be text, not a list"),
        ("ntp.servers", ["a", ""], "element 2 is empty"),
        ("ntp.servers", ["192.0.2"], "element 1 must be a host name or an IP address"),
        ("ntp.servers", ["-x"], "element 1 must be a host name"),
        ("network.addresses", ["192.0.2.10"], "with its prefix length"),
        ("network.addresses", ["192.0.2.0/24"], "the network's own or its broadcast"),
        ("network.addresses", ["192.0.2.255/24"], "the network's own or its broadcast"),
        ("network.gateways", ["router"], "must be an IP address"),
        ("packages.mirrors", ["debian"], "must be the URL of a package archive"),
        ("packages.mirrors", ["http://h/debian [trusted=yes]"], "must be the URL"),
        ("extra.files", ["motd"], "must be PATH=SOURCE"),
        ("extra.files", ["etc/motd=motd"], "must begin with the full path"),
        ("extra.files", ["/etc/../x=motd"], "must not use"),
        ("extra.files", ["/tmp/x=motd"], "another file system covers it"),
        ("kernel.consoles", ["screen"], "must be a terminal such as"),
    ],
)
def test_what_does_not_fit(name: str, raw: Any, message: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        check(load().options[name], raw)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("network.addresses", ["2001:db8::5/64"]),
        ("network.addresses", ["192.0.2.10/32"]),
        ("network.addresses", ["192.0.2.0/31"]),  # both addresses of a point-to-point link are machines (RFC 3021)
        ("ntp.servers", ["ntp.example.org", "192.0.2.1", "2001:db8::1", "localhost"]),
        ("packages.mirrors", ["http://mirror.example/debian", "https://m.example/d trixie main contrib"]),
        ("packages.mirrors", ["file:/srv/mirror"]),
        ("kernel.consoles", ["tty0", "ttyS0,115200n8", "ttyAMA0", "hvc0"]),
        ("getty.password", "$ROOT_HASH"),
        ("getty.password", "./hash"),
        ("getty.password", "~/hash"),
        ("hostname", "x"),
    ],
)
def test_what_fits(name: str, raw: Any) -> None:
    assert check(load().options[name], raw) == (tuple(raw) if isinstance(raw, list) else raw)


@pytest.mark.parametrize("secret", ["hunter2", "$6$salt$longhash", "correct horse", "$NAME with more", "$1"])
def test_a_secret_is_refused_and_never_repeated(secret: str) -> None:
    with pytest.raises(ValueProblem, match="must say where the secret is") as caught:
        check(load().options["getty.password"], secret)
    assert secret not in caught.value.message + (caught.value.hint or "")


def test_a_password_in_a_mirror_is_not_repeated() -> None:
    with pytest.raises(ValueProblem, match="must not hold a password") as caught:
        check(load().options["packages.mirrors"], ["https://me:hunter2@m.example/debian"])
    assert "hunter2" not in caught.value.message


def test_every_format_is_used_and_takes_no_nonsense() -> None:
    used = {option.format for option in load().options.values()} - {""}
    assert used == set(FORMATS)
    for name, check_format in FORMATS.items():
        with pytest.raises(ValueProblem):
            check_format("\n" if name in ("path", "arguments") else "¿nonsense?\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/etc/motd=motd", ("/etc/motd", "motd", "")),
        ("/usr/bin/x=a=b:0755", ("/usr/bin/x", "a=b", "0755")),
        ("/usr/bin/x=x:755", ("/usr/bin/x", "x", "0755")),
        ("/etc/x=c:d", ("/etc/x", "c:d", "")),
        ("/usr/bin/x=x:04755", ("/usr/bin/x", "x", "4755")),
    ],
)
def test_extra_files(text: str, expected: tuple[str, str, str]) -> None:
    assert split_extra_file(text) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sshd", "true", True),
        ("sshd", "off", False),
        ("sshd", "No", False),
        ("machine.cpus", "4", 4),
        ("ntp.servers", "a.example, b.example", ("a.example", "b.example")),
        ("ntp.servers", "", ()),
        ("kernel.consoles", '["ttyS0,115200"]', ("ttyS0,115200",)),
        ("hostname", "true", "true"),
    ],
)
def test_from_the_command_line(name: str, text: str, expected: object) -> None:
    assert from_text(load().options[name], text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sshd", "maybe"),
        ("machine.cpus", "two"),
        ("machine.cpus", "9" * 5000),
        ("ntp.servers", "[a"),
        ("ntp.servers", "[1]"),
    ],
)
def test_nonsense_from_the_command_line(name: str, text: str) -> None:
    with pytest.raises(ValueProblem):
        from_text(load().options[name], text)


@given(
    elements=st.lists(st.text(min_size=1), unique=True),
    text=st.text(),
    number=st.integers(-1000, 1000),
    switch=st.booleans(),
)
def test_text_and_back(elements: list[str], text: str, number: int, switch: bool) -> None:
    catalogue = _plain()
    for name, raw in (("items", elements), ("text", text), ("number", number), ("switch", switch)):
        option = catalogue.options[name]
        try:
            value = check(option, raw)
        except ValueProblem:
            continue
        assert from_text(option, to_text(value)) == value


def _plain() -> Catalogue:
    from thanos_tui.options import read_catalogue

    kinds = {"items": "list", "text": "string", "number": "int", "switch": "bool"}
    items = [
        {"option": n, "type": t, "prompt": "P", "help": "H.", "default": {"int": 0}.get(t)} for n, t in kinds.items()
    ]
    for item in items:
        if item["default"] is None:
            del item["default"]
    return read_catalogue([("plain.yml", json.dumps({"menu": "Plain", "items": items}))])


def test_a_range_only_of_conditions_is_checked_by_its_outer_ends(make_catalogue: Callable[[str], Catalogue]) -> None:
    catalogue = make_catalogue(
        """\
        menu: Test
        items:
          - {option: a, type: bool, prompt: A, help: A.}
          - option: n
            type: int
            prompt: N
            help: N.
            default: 5
            range: [{from: 1, to: 10, if: a}, {from: 5, to: 100}]
        """
    )
    assert check(catalogue.options["n"], 100) == 100
    with pytest.raises(ValueProblem, match="from 1 to 100"):
        check(catalogue.options["n"], 101)
