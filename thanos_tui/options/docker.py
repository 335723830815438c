"""Docker's configuration (daemon.json) from the options, and the certificates of its TCP port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thanos_tui.errors import InputError
from thanos_tui.keys import is_private

TLS_DIRECTORY = "/etc/stark/tls"
# What decides who reaches the engine, and what stark's own services rely on: no text of the user's may say it.
_OURS = frozenset(
    {"containerd", "data-root", "exec-root", "group", "hosts", "pidfile"}
    | {"tls", "tlscacert", "tlscert", "tlskey", "tlsverify"}
)


def daemon_json(given: Mapping[str, Any]) -> str:
    """The text of daemon.json from the keys that the options give, and ``extra``, a JSON object with further ones.

    Address pools are given as ``BASE SIZE``. Raises InputError where ``extra`` says what options say.
    """
    settings = {key: value for key, value in given.items() if key != "extra" and value != []}
    pools = [text.split() for text in settings.pop("default-address-pools", ())]
    if pools:
        settings["default-address-pools"] = [{"base": base, "size": int(size)} for base, size in pools]
    # Docker wants texts here, numbers as well.
    settings["log-opts"] = {key: str(value) for key, value in settings["log-opts"].items()}
    extra: dict[str, Any] = json.loads(given.get("extra") or "{}")
    for key in extra:
        if key in _OURS or key in settings:
            raise InputError(
                f"docker.settings must not say {key!r}: another option does",
                hint="leave it out here, and set the option: `thanos-tui options docker` lists them",
                where="docker.settings",
            )
    return json.dumps({**settings, **extra}, indent=2, sort_keys=True) + "\n"


def tls_files(given: Mapping[str, Path]) -> list[dict[str, Any]]:
    """The entries of ``files`` for the certificates and the key of Docker's TCP port.

    given: ``authority`` (whose certificates clients need), ``certificate`` (of the machine, with those it was signed
    by), ``key``: the files they are in. Raises InputError where they are not what they should be, or do not belong
    together; no message shows what a key holds.
    """
    texts = {name: _read(path, f"docker.tls.{name}") for name, path in given.items()}
    for name in ("authority", "certificate"):
        if is_private(texts[name]):
            raise InputError(f"{given[name]} holds a private key, not only certificates", where=f"docker.tls.{name}")
    _check_pair(texts, given)
    top = TLS_DIRECTORY.strip("/")
    names = {"authority": "ca.pem", "certificate": "cert.pem", "key": "key.pem"}
    files = [{"path": f"{top}/{names[name]}", "contents": text, "mode": "0600"} for name, text in texts.items()]
    return [{"path": top, "directory": True, "mode": "0700"}, *files]


def _read(path: Path, option: str) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", where=option) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not in PEM, which is text", where=option) from None
    return text.replace("\r\n", "\n")


def _check_pair(texts: Mapping[str, str], given: Mapping[str, Path]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chains = {}
    for name in ("authority", "certificate"):
        try:
            chains[name] = x509.load_pem_x509_certificates(texts[name].encode())
        except ValueError:
            raise InputError(f"{given[name]} holds no certificate in PEM", where=f"docker.tls.{name}") from None
    try:
        key = load_pem_private_key(texts["key"].encode(), None)
    except TypeError:
        raise InputError(
            f"the key in {given['key']} has a passphrase, which nobody types in when the machine starts",
            where="docker.tls.key",
        ) from None
    except ValueError:
        raise InputError(f"{given['key']} holds no private key in PEM", where="docker.tls.key") from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != chains["certificate"][0].public_key().public_bytes(*form):
        raise InputError(
            f"{given['key']} is not the key of the first certificate in {given['certificate']}",
            where="docker.tls.key",
        )
