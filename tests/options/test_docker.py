"""Docker's daemon.json, and the certificates of its TCP port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import certificates
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from thanos_tui import profile
from thanos_tui.errors import InputError
from thanos_tui.linuxkit.config import Config
from thanos_tui.options import render
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import to_text

TLS: Mapping[str, Value] = {
    "docker.tls": True,
    "docker.tls.authority": "ca.pem",
    "docker.tls.certificate": "cert.pem",
    "docker.tls.key": "key.pem",
}


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Path:
    certificates.write(tmp_path)
    return tmp_path


def rendered(place: Path, **options: Value) -> Config:
    values = {"stark": True, **{name.replace("_", "."): value for name, value in options.items()}}
    given = [f"{name}={to_text(value)}" for name, value in values.items()]
    return render(profile.override(profile.read("thanos: 1", "test"), given).resolved, place, "test")


def file(config: Config, path: str) -> Any:
    return next(each for each in config.files if each.path == path)


def daemon(config: Config) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(file(config, "etc/stark/daemon.json").contents)
    return settings


def test_the_default_is_the_socket_and_logs_with_a_limit(place: Path) -> None:
    settings = daemon(rendered(place))
    assert settings["hosts"] == ["unix:///run/docker.sock"]
    assert settings["log-opts"] == {"max-size": "10m", "max-file": "3"}
    assert not {key for key in settings if key.startswith("tls") or "registr" in key or key == "dns"}


def test_every_option_is_said_as_docker_wants_it(place: Path) -> None:
    options: dict[str, Value] = {
        "docker.registry-mirrors": ("https://mirror.example",),
        "docker.insecure-registries": ("registry.example:5000", "10.0.0.0/8"),
        "docker.dns": ("192.0.2.53",),
        "docker.address-pools": ("10.99.0.0/16 24",),
        "docker.live-restore": True,
        "docker.log-level": "debug",
        "docker.settings": '{"max-concurrent-downloads": 1}',
    }
    settings = daemon(rendered(place, **options))
    assert settings["registry-mirrors"] == ["https://mirror.example"]
    assert settings["insecure-registries"] == ["registry.example:5000", "10.0.0.0/8"]
    assert settings["dns"] == ["192.0.2.53"]
    assert settings["default-address-pools"] == [{"base": "10.99.0.0/16", "size": 24}]
    assert (settings["live-restore"], settings["log-level"]) == (True, "debug")
    assert settings["max-concurrent-downloads"] == 1


@pytest.mark.parametrize("key", ["hosts", "tls", "tlsverify", "data-root", "containerd", "log-opts", "pidfile"])
def test_further_settings_cannot_say_what_options_say(place: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"must not say '{key}'") as caught:
        rendered(place, **{"docker.settings": json.dumps({key: ["tcp://0.0.0.0:2375"]})})
    assert str(caught.value.where) == "docker.settings"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("docker.settings", "{", "must be JSON"),
        ("docker.settings", "[1]", "must be an object in JSON"),
        ("docker.address-pools", ("10.99.0.1/16 24",), "must be a network and a prefix length"),
        ("docker.address-pools", ("10.99.0.0/16 8",), 'from 16 to 30, not "8"'),
        ("docker.address-pools", ("10.99.0.0/16",), "must end with the prefix length"),
        ("docker.registry-mirrors", ("mirror.example",), "a URL of a host"),
        ("docker.registry-mirrors", ("https://me:word@mirror.example",), "a URL of a host"),
        ("docker.insecure-registries", ("http://registry.example",), "HOST, HOST:PORT"),
        ("stark.memory", "0%", "a share such as 50%"),
        ("stark.memory", "lots", "a share such as 50%"),
    ],
)
def test_what_cannot_be_is_refused(place: Path, option: str, value: Value, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rendered(place, **{option: value})


# --- by network ---


def test_tcp_is_with_certificates_and_from_the_machine_itself(place: Path) -> None:
    config = rendered(place, **TLS)
    settings = daemon(config)
    assert settings["hosts"] == ["unix:///run/docker.sock", "tcp://127.0.0.1:2376"]
    assert settings["tlsverify"] is True
    for key, name in {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}.items():
        stated = file(config, settings[key].lstrip("/"))
        assert (stated.contents, stated.mode) == ((place / name).read_text(), "0600")
    assert file(config, "etc/stark/tls").mode == "0700"


@pytest.mark.parametrize("missing", ["docker.tls.authority", "docker.tls.certificate", "docker.tls.key"])
def test_tcp_without_certificates_is_refused(place: Path, missing: str) -> None:
    with pytest.raises(InputError, match=f"{missing} must not be empty"):
        rendered(place, **{name: value for name, value in TLS.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("authority", "gone.pem", "cannot read"),
        ("authority", "key.pem", "holds a private key"),
        ("authority", "text.pem", "holds no certificate in PEM"),
        ("certificate", "key.pem", "holds a private key"),
        ("certificate", "binary.pem", "is not in PEM"),
        ("key", "cert.pem", "holds no private key in PEM"),
        ("key", "locked.pem", "has a passphrase"),
        ("certificate", "ca.pem", "is not the key of the first certificate"),
    ],
)
def test_certificates_that_will_not_do_are_named(place: Path, name: str, given: str, message: str) -> None:
    (place / "text.pem").write_text("certainly\n")
    (place / "binary.pem").write_bytes(b"\x30\x82\xff")
    key = certificates.authority().key
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (place / "locked.pem").write_bytes(locked)
    with pytest.raises(InputError, match=message) as caught:
        rendered(place, **{**TLS, f"docker.tls.{name}": given})
    assert str(caught.value.where).startswith("docker.tls.")
    assert "PRIVATE" not in str(caught.value)
