"""Values for the catalogue's options that no list offers, and the files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import certificates

from thanos_tui.options import Catalogue, expressions
from thanos_tui.options.expressions import AnyOf, Compare, Expression, IsOn, Not, Value, conjuncts

# What strings and lists can be: another value than the default for each.
EXAMPLES: Mapping[str, Value] = {
    "alsa.card-name": "USB-Audio",
    "docker.address-pools": ("10.99.0.0/16 24",),
    "docker.dns": ("192.0.2.53",),
    "docker.insecure-registries": ("registry.example:5000",),
    "docker.registry-mirrors": ("https://mirror.example",),
    "docker.settings": '{"max-concurrent-downloads": 1}',
    "docker.tls.address": "192.0.2.10",
    "docker.tls.authority": "ca.pem",
    "docker.tls.certificate": "cert.pem",
    "docker.tls.key": "key.pem",
    "extra.files": ("/etc/motd=motd", "/opt=tree"),
    "extra.yaml": ("more.yml",),
    "firefox.url": "https://www.example.org/",
    "getty.password": "./hash",
    "hostname": "box",
    "images.certificates": ("authority.pem",),
    "images.mirrors": ("docker.io=https://mirror.example", "http://127.0.0.1:5000"),
    "images.sources": ("store", "./images.tar", "docker"),
    "kernel.cmdline": "debug",
    "kernel.consoles": ("ttyS0,115200",),
    "network.addresses": ("192.0.2.10/24",),
    "network.dns": ("192.0.2.53", "192.0.2.54"),
    "network.gateways": ("192.0.2.1",),
    "network.interface": "enp0s3",
    "network.search": ("example.org",),
    "ntp.servers": ("192.0.2.123",),
    "output.name": "box",
    "packages.keyring": "keys.gpg",
    "packages.mirrors": ("http://mirror.example/debian",),
    "packages.suite": "trixie",
    "sshd.authorized-keys": ("other.pub",),
    "stark.apps": (
        "--memory 64 localhost/thanos/demo:base",
        "--name tone --no-x11 localhost/thanos/demo:base demo 880",
    ),
    "stark.base-image": "registry.example/dind:1",
    "stark.memory": "512",
    "sysctl.settings": ("vm.swappiness=10",),
    "x11.background": "#204060",
    "x11.extra": ("more.conf",),
    "x11.keyboard.layout": "de",
    "x11.keyboard.model": "pc104",
    "x11.keyboard.options": ("ctrl:nocaps",),
    "x11.keyboard.variant": "nodeadkeys",
    "x11.output-names": ("HDMI-1", "DP-1"),
    "x11.resolution": "1024x768",
    "x11.vnc.address": "192.0.2.10",
    "x11.vnc.password": "./word",
}

# Where an option must have a value and has no default, its example is compared with this.
SECOND: Mapping[str, Value] = {
    "alsa.card-name": "HDA Intel PCH",
    "docker.tls.authority": "ca2.pem",
    "docker.tls.certificate": "cert2.pem",
    "docker.tls.key": "key2.pem",
    "firefox.url": "about:license",
    "network.addresses": ("192.0.2.11/24",),
    "x11.vnc.password": "./word2",
}


def write_files(directory: Path, public_key: str) -> None:
    """The files that the examples name, relative to a profile in this directory."""
    (directory / "motd").write_text("Hello\n")
    (directory / "more.conf").write_text('Section "Files"\nEndSection\n')
    (directory / "word").write_text("geheim\n")
    (directory / "word2").write_text("secret\n")
    (directory / "tree").mkdir()
    (directory / "tree" / "a").write_text("a\n")
    (directory / "more.yml").write_text("kernel: {cmdline: more}\nservices: [{name: more, image: more:1}]\n")
    (directory / "hash").write_text("$6$salt$hash\n")
    (directory / "keys.gpg").write_bytes(b"\x99")
    (directory / "other.pub").write_text(f"no-pty {public_key}\n")
    certificates.write(directory)


def companions(catalogue: Catalogue, given: Mapping[str, Value]) -> dict[str, Value]:
    """Values for what these assignments make required, and nobody has given."""
    values = {name: given.get(name, option.defaults[-1].value) for name, option in catalogue.options.items()}
    return {
        option.name: EXAMPLES[option.name]
        for option in catalogue.options.values()
        if option.required and not values[option.name] and expressions.holds(option.depends, values)
    }


def needed(catalogue: Catalogue, expression: Expression) -> dict[str, Value]:
    """Values under which an expression holds."""
    found: dict[str, Value] = {}
    for part in conjuncts(expression):
        match part:
            case IsOn(name):
                found[name] = True if catalogue.options[name].type == "bool" else EXAMPLES[name]
            case Not(IsOn(name)):
                found[name] = False
            case Compare(name, "=", literal):
                found[name] = literal
            case Compare(name, "<=", literal):
                found[name] = int(literal)
            case Compare(name, ">", literal):
                found[name] = int(literal) + 1
            case Compare(name, "!=", literal):
                offered: list[Value] = [choice.value for choice in catalogue.options[name].values] or [EXAMPLES[name]]
                found[name] = next(value for value in offered if value != literal)
            case AnyOf((first, *_)):
                found |= needed(catalogue, first)
            case _:
                raise AssertionError(f"teach the tests about {part}")
    for name in list(found):
        found = {**needed(catalogue, catalogue.options[name].depends), **found}
    return found
