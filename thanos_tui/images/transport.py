"""Registries over HTTP: connections that log in, try again, go on where an answer broke off, and say what is wrong.

After the OCI Distribution Specification 1.1 and Docker's token authentication ("Token Authentication Specification").
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import ssl
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import requests
import urllib3
from requests.adapters import HTTPAdapter

from thanos_tui.errors import BuildError, HostError, InputError, IntegrityError, Interrupted, ThanosError
from thanos_tui.events import Reporter
from thanos_tui.images.interruptible import interruptible
from thanos_tui.words import printable

_TIMEOUT = (10, 30)  # seconds: to connect, and of silence
_ATTEMPTS = 5
_PAUSE = 0.25  # seconds before the second attempt; each further one waits twice as long
_PATIENCE = 30.0  # seconds: who wants us to wait longer is not asked again
_REDIRECTS = 5
_CHUNK = 1 << 18
# Registries accept manifests of 4 MiB.
_DOCUMENT = 4 << 20
_LATER = (408, 429, 500, 502, 503, 504)
_CLIENT = "thanos-tui"
# The one registry whose name is not its address.
_ADDRESSES = {"docker.io": "registry-1.docker.io"}


class Absent(BuildError):
    """The registry does not have what was asked for."""


class Session(requests.Session):
    """Connections that trust the system's authorities and those in the files ``certificates``.

    Raises InputError for a file that holds no certificates.
    """

    def __init__(self, certificates: Sequence[Path]) -> None:
        super().__init__()
        context = ssl.create_default_context()
        for path in certificates:
            try:
                context.load_verify_locations(path)
            except (OSError, ssl.SSLError) as error:
                raise InputError(f"{path} holds no certificates that can be used: {error}") from error
        self.mount("https://", _Adapter(context))
        self.max_redirects = _REDIRECTS
        self.headers["User-Agent"] = _CLIENT
        # As it is stored: what is hashed must not have been unpacked on the way.
        self.headers["Accept-Encoding"] = "identity"


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *words: Any, **more: Any) -> None:
        super().init_poolmanager(*words, **more, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, **more, ssl_context=self._context)


class Connection:
    """A registry, or the mirror of one.

    registry: its name in image references. url: where it is asked; what stands behind the host goes in front of the
    names of images there (``https://mirror.example.com/hub`` is asked for ``hub/library/redis``).
    """

    def __init__(self, registry: str, url: str, session: Session, reporter: Reporter) -> None:
        parts = urllib.parse.urlsplit(url)
        self.registry = registry
        self._scheme = parts.scheme
        self.host = parts.netloc
        self._prefix = parts.path.strip("/")
        self._session = session
        self._reporter = reporter
        self._authorisations: dict[str, str] = {}

    @property
    def what(self) -> str:
        """How errors call it."""
        plain = self.host in (self.registry, _ADDRESSES.get(self.registry))
        return f"the registry {self.registry}" if plain else f"{self.host}, a mirror of {self.registry},"

    def manifest(self, repository: str, target: str, accepted: Sequence[str]) -> tuple[bytes, str, str]:
        """A manifest or an index by tag or digest: its bytes, media type and the digest the registry states or ``""``.

        Raises Absent, IntegrityError for one that is too large, HostError where it cannot be had.
        """
        what = f"{repository}{'@' if ':' in target else ':'}{target}"
        with self._get(repository, f"manifests/{target}", what, {"Accept": ", ".join(accepted)}) as response:
            data = _read(response, what, self._reporter.check)
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
            return data, kind, response.headers.get("Docker-Content-Digest", "")

    def blob(self, repository: str, digest: str, size: int, check: Callable[[], None] | None = None) -> Iterator[bytes]:
        """The bytes of a blob; where the connection breaks, the rest is asked for.

        check: raises what stops it, if not a cancel alone.

        Raises as :meth:`manifest`; IntegrityError where there are more bytes than ``size``.
        """
        got = failures = 0
        what = f"{digest[:19]} of {repository}"
        while got < size or not size:
            headers = {"Range": f"bytes={got}-"} if got else {}
            before = got
            with self._get(repository, f"blobs/{digest}", what, headers) as response:
                # A registry that knows no ranges sends all of it again.
                known = got if response.status_code == 200 else 0
                if not known and got and not response.headers.get("Content-Range", "").startswith(f"bytes {got}-"):
                    raise HostError(f"{self.what} sends another part of {what} than was asked for")
                reason = "the answer is too short"
                try:
                    for chunk in _body(response, check or self._reporter.check):
                        fresh = chunk[known:]
                        known = max(0, known - len(chunk))
                        got += len(fresh)
                        if got > size:
                            raise IntegrityError(f"{self.what} sends more than the {size} bytes of {what}")
                        if fresh:
                            yield fresh
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    reason = printable(str(error))
            if got == size:
                return
            failures = 1 if got - before >= _CHUNK else failures + 1
            if failures == _ATTEMPTS:
                raise HostError(
                    f"{self.what} breaks off again and again in {what}: {reason}", hint="check the network, try later"
                )
            self._wait(failures - 1)

    # Asking

    def _get(self, repository: str, path: str, what: str, headers: Mapping[str, str]) -> requests.Response:
        """An answer with status 200 or 206. Waits and tries again where that makes sense."""
        name = f"{self._prefix}/{repository}" if self._prefix else repository
        logged_in = False
        attempt = 0
        while True:
            self._reporter.check()
            url = f"{self._scheme}://{self.host}/v2/{name}/{path}"
            try:
                response = self._ask(url, headers, self._authorisations.get(name, ""))
            except requests.RequestException as error:
                if self._speaks_plainly(error):
                    self._scheme = "http"
                    continue
                failure = self._unreachable(error)
                if attempt + 1 == _ATTEMPTS or _settled(error):
                    raise failure from error
                self._wait(attempt)
                attempt += 1
                continue
            if response.status_code in (200, 206):
                return response
            with response:
                if response.status_code == 401 and not logged_in:
                    # Tokens end after some minutes: the one of an earlier answer may be too old by now.
                    self._authorisations[name] = self._log_in(response, name)
                    logged_in = True
                    continue
                wait = _seconds(response.headers.get("Retry-After", ""))
                last = attempt + 1 == _ATTEMPTS or wait > _PATIENCE
                if response.status_code not in _LATER or last:
                    raise self._refused(response, what)
            self._wait(attempt, wait)
            attempt += 1

    def _ask(self, url: str, headers: Mapping[str, str], authorisation: str) -> requests.Response:
        given = _Authorisation(authorisation)
        response = self._answer(
            lambda: self._session.get(url, headers=headers, auth=given, stream=True, timeout=_TIMEOUT)
        )
        if self._scheme == "https" and not response.url.startswith("https://"):
            response.close()
            raise HostError(f"{self.what} leads on to an address without encryption: {response.url[:200]}")
        return response

    def _answer(self, ask: Callable[[], requests.Response]) -> requests.Response:
        """What ``ask`` gives. A cancel does not wait for a server that accepts a connection and then says nothing."""
        return next(interruptible((ask() for _ in range(1)), self._reporter.check))

    def _wait(self, attempt: int, least: float = 0.0) -> None:
        until = time.monotonic() + max(least, _PAUSE * 2**attempt)
        while time.monotonic() < until:
            self._reporter.check()
            time.sleep(0.05)

    # Logging in

    def _log_in(self, response: requests.Response, name: str) -> str:
        """The value of the header that answers a challenge (RFC 9110, section 11)."""
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        user, secret, refresh = self._credentials
        if scheme.lower() == "basic":
            if not user:
                raise self._refused(response, name)
            return _basic(user, secret)
        challenge = parse_keqv_list([part for part in parse_http_list(rest) if "=" in part])
        realm = challenge.get("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise HostError(f"{self.what} wants a login of a kind that is not known: {printable(scheme)[:40]}")
        if self._scheme == "https" and not realm.startswith("https://"):
            raise HostError(f"{self.what} wants a login without encryption, at {printable(realm)[:200]}")
        asked = {"scope": challenge.get("scope") or f"repository:{name}:pull"}
        asked |= {"service": challenge["service"]} if "service" in challenge else {}
        try:
            if refresh:
                form = {**asked, "grant_type": "refresh_token", "refresh_token": refresh, "client_id": _CLIENT}
                answer = self._answer(
                    lambda: self._session.post(realm, form, auth=_Authorisation(""), stream=True, timeout=_TIMEOUT)
                )
            else:
                given = _Authorisation(_basic(user, secret) if user else "")
                answer = self._answer(
                    lambda: self._session.get(realm, params=asked, auth=given, stream=True, timeout=_TIMEOUT)
                )
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        with answer:
            if answer.status_code != 200:
                raise self._refused(answer, name)
            try:
                value = json.loads(_read(answer, "the token", self._reporter.check))
                token = value.get("token") or value["access_token"]
            except (ValueError, RecursionError, KeyError, AttributeError) as error:
                raise HostError(f"{self.what} gives no token for {name}") from error
        return f"Bearer {token}"

    @cached_property
    def _credentials(self) -> tuple[str, str, str]:
        """User, password and refresh token, from what ``docker login`` has kept; each may be empty."""
        from docker import auth, errors

        # A mirror has credentials of its own; docker.io is kept under the name that people use.
        name = next((name for name, address in _ADDRESSES.items() if address == self.host), self.host)
        try:
            # Of a helper that is not there it warns on stderr, and raises too.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept = auth.load_config().resolve_authconfig(name) or {}
        except (errors.DockerException, OSError, ValueError, TypeError, AttributeError) as error:
            raise HostError(
                f"what docker login has kept for {name} cannot be read: {printable(str(error))}",
                hint=f"log in again: docker login {name}",
            ) from error
        values = {str(key).lower(): str(value) for key, value in kept.items() if value}
        return values.get("username", ""), values.get("password", ""), values.get("identitytoken", "")

    # What is wrong

    def _refused(self, response: requests.Response, what: str) -> ThanosError:
        status = response.status_code
        said = _said(response, self._reporter.check)
        if status in (401, 403):
            given = bool(self._credentials[0] or self._credentials[2])
            return HostError(
                f"{self.what} refuses {what}: "
                + ("its login does not suffice" if given else "it wants a login")
                + (f" ({said})" if said else ""),
                hint=f"check the image's name; docker login {self.registry if self._is_itself else self.host}",
            )
        if status == 404:
            return Absent(
                f"{self.what} does not have {what}", hint="check the image's name and tag, and who may read it"
            )
        if status == 429:
            wait = _seconds(response.headers.get("Retry-After", ""))
            return HostError(
                f"{self.what} has had too many requests from here" + (f" ({said})" if said else ""),
                hint=(f"try again in {wait:.0f} s, " if wait else "try again later, ")
                + f"docker login {self.registry}, which raises the limit, or name a mirror",
            )
        return HostError(
            f"{self.what} answers {status} {printable(response.reason or '')}".rstrip()
            + f" to the request for {what}"
            + (f" ({said})" if said else ""),
            hint="try again later, or name a mirror",
        )

    @property
    def _is_itself(self) -> bool:
        return self.what.startswith("the registry")

    def _speaks_plainly(self, error: requests.RequestException) -> bool:
        """Whether this is a registry on this machine without TLS, as people run one for trying things out."""
        reason = _reason(error)
        tls = isinstance(error, requests.exceptions.SSLError) and not isinstance(reason, ssl.SSLCertVerificationError)
        return tls and self._scheme == "https" and self._is_itself and _is_loopback(self.host)

    def _unreachable(self, error: requests.RequestException) -> ThanosError:
        reason = _reason(error)
        # A token may come from somewhere else than images.
        asked = error.request.url if error.request is not None else None
        host = urllib.parse.urlsplit(asked or "").netloc or self.host
        if isinstance(error, requests.exceptions.SSLError):
            if isinstance(reason, ssl.SSLCertVerificationError):
                return HostError(
                    f"the certificate of {host} cannot be trusted: {reason.verify_message}",
                    hint="name the file with its authority's certificate among the certificates of image sources",
                )
            return HostError(
                f"{host} does not speak TLS: {printable(str(reason))[:200]}",
                hint=f"if it is meant to be reached without: name a mirror {self.registry}=http://{host}",
            )
        if isinstance(error, requests.exceptions.ProxyError):
            return HostError(
                f"the proxy on the way to {host} does not answer",
                hint="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            )
        if isinstance(error, requests.exceptions.TooManyRedirects):
            return HostError(f"{self.what} sends us from one address to the next")
        if isinstance(reason, urllib3.exceptions.NameResolutionError):
            return HostError(
                f"the name {host.partition(':')[0]} is not known to the network",
                hint="check the image's name and the network, or name a mirror of the registry",
            )
        if isinstance(error, requests.exceptions.Timeout):
            return HostError(f"{self.what} does not answer in time", hint="check the network, or try later")
        said = re.sub(r"\[Errno -?\d+\] ", "", printable(str(reason))).rpartition(": ")[2]
        return HostError(f"{self.what} cannot be reached: {said}", hint="check its name and the network")


def connections(
    registry: str, mirrors: Sequence[tuple[str, str]], session: Session, reporter: Reporter
) -> list[Connection]:
    """Where to ask for the images of a registry, in this order; its mirrors first.

    mirrors: each the registry's name (``""`` for every one that has none of its own) and a URL.
    """
    own = [url for name, url in mirrors if name == registry] or [url for name, url in mirrors if not name]
    address = _ADDRESSES.get(registry, registry)
    return [Connection(registry, url, session, reporter) for url in (*own, f"https://{address}")]


class _Authorisation(requests.auth.AuthBase):
    """The value of a header, or nothing; given in either case, as requests would else take one from ~/.netrc."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


def _basic(user: str, secret: str) -> str:
    # RFC 7617; requests' own knows Latin-1 only.
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def _body(response: requests.Response, check: Callable[[], None]) -> Iterator[bytes]:
    """The bytes of an answer as they come; what ``check`` raises ends the wait for them."""

    def hang_up() -> None:
        with suppress(ValueError, RuntimeError, OSError):  # of an answer that has ended meanwhile
            response.raw.shutdown()

    return interruptible(response.raw.stream(_CHUNK, decode_content=False), check, hang_up)


def _read(response: requests.Response, what: str, check: Callable[[], None]) -> bytes:
    data = b""
    try:
        for chunk in _body(response, check):
            data += chunk
            if len(data) > _DOCUMENT:
                raise IntegrityError(f"the registry's answer about {what} is larger than {_DOCUMENT >> 20} MiB")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise HostError(f"the registry's answer about {what} broke off", hint="try again") from error
    return data


def _said(response: requests.Response, check: Callable[[], None]) -> str:
    """What a registry says about an error, if it says so as the specification has it."""
    try:
        message = json.loads(_read(response, "an error", check))["errors"][0].get("message", "")
    except Interrupted:
        raise
    except (ThanosError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""
    return printable(str(message))[:200]


def _reason(error: BaseException) -> BaseException:
    """What lies below an error of requests: urllib3's, ssl's or the system's."""
    found: BaseException = error
    for _ in range(8):
        inner = getattr(found, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((one for one in found.args if isinstance(one, BaseException)), None)
        if inner is None:
            break
        found = inner
    return found


def _settled(error: requests.RequestException) -> bool:
    """Whether trying again at once would end alike: no such host, nobody there, nobody to be trusted, no way."""
    hopeless = (
        requests.exceptions.SSLError,
        requests.exceptions.ProxyError,
        requests.exceptions.TooManyRedirects,
        requests.exceptions.InvalidURL,
    )
    nobody = (urllib3.exceptions.NameResolutionError, ConnectionRefusedError, urllib3.exceptions.NewConnectionError)
    return isinstance(error, hopeless) or isinstance(_reason(error), nobody)


def _is_loopback(host: str) -> bool:
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0
