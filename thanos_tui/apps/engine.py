"""The Docker engine of a machine: reached through its socket, waited for, and what it refuses told in our words."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thanos_tui.console import Ask, Target, Tunnel, tunnel
from thanos_tui.errors import ConsoleError, InputError, MachineError, ThanosError
from thanos_tui.events import Progress, Reporter
from thanos_tui.words import printable

if TYPE_CHECKING:
    from docker import APIClient, DockerClient
    from docker.errors import APIError

SOCKET = "/run/docker.sock"
# Where a machine has its service stark, as its sshd sees it.
_STARK = "/containers/services/stark"
_POLL = 0.5  # seconds between two looks whether Docker is there
_FIRST_ANSWER = 20  # seconds for Docker to say its version once somebody listens
READY_LIMIT = 300.0  # seconds until Docker must be there: software emulation is slow


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers. arch: whose programs it runs (Go's name)."""

    client: DockerClient
    arch: str
    target: Target
    tunnel: Tunnel

    @property
    def api(self) -> APIClient:
        """Docker's interface one to one, where the SDK's objects hide what is wanted."""
        return self.client.api

    @contextmanager
    def asking(self) -> Iterator[None]:
        """What goes wrong with Docker inside the block becomes one of our errors."""
        import docker
        import requests
        import urllib3
        from docker.utils.socket import SocketError

        try:
            yield
        except docker.errors.APIError as error:
            raise self.refused(error.explanation or str(error), status(error)) from error
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
            SocketError,
            struct.error,  # the SDK's, of a message whose beginning was cut off
        ) as error:
            raise self.gone() from error

    def gone(self) -> ThanosError:
        """The error to raise where Docker did not answer as it should: is it itself that has gone, or the machine?"""
        if self.tunnel.lost():
            return ConsoleError(f"the connection to {self.target} was lost", hint=self.target.log_hint)
        return MachineError(f"Docker on {self.target} ended in the middle of an answer", hint=log_hint(self.target))

    def refused(self, said: str, code: int = 0) -> ThanosError:
        """The error to raise for what Docker said: what is wrong in our words, where they are better than its own."""
        said = printable(said.strip())
        if "no space left on device" in said:
            return MachineError(
                f"Docker's disk on {self.target} is full",
                hint="remove apps (`thanos-tui app rm`), or build with a larger disk for them: the option stark.disk",
            )
        if found := re.search(r"container name \"/?([^\"]+)\" is already in use", said):
            name = found[1]
            return InputError(
                f"there is an app {name} on {self.target} already",
                hint=f"remove it first: `thanos-tui app rm --force {name}`; or give the new one another name",
            )
        if found := re.search(r"bind source path does not exist: (\S+)", said):
            return InputError(f"there is no {found[1]} on {self.target} that an app could see")
        if found := re.search(
            r"Bind for (\S+) failed: port is already allocated|listen tcp4? (\S+): bind: address", said
        ):
            return InputError(f"something listens on {found[1] or found[2]} of {self.target} already")
        if found := re.search(r"exec: \\?\"([^\"\\]+)\\?\": (executable file not found|permission denied)", said):
            return InputError(f"the image has no program {found[1]!r} that could be run")
        kind = InputError if code in (400, 404, 409) else MachineError
        return kind(f"Docker on {self.target} refuses: {said}")


def status(error: APIError) -> int:
    """The status of Docker's answer, 0 if it had none."""
    return 0 if error.response is None else int(error.response.status_code)


def log_hint(target: Target) -> str:
    """Where Docker says what is wrong with it."""
    if not target.name:
        return target.log_hint
    return f"its log may say why: `thanos-tui exec {target.name} -- tail /var/log/stark.log`"


def without_stark(target: Target) -> InputError:
    """The error to raise for a machine that has no stark."""
    return InputError(
        f"{target} runs no Docker: it was built without stark",
        hint="build it again with stark=y in its profile; profiles/firefox-kiosk.thanos is one with it",
    )


@contextmanager
def connected(
    target: Target,
    reporter: Reporter,
    *,
    timeout: float = READY_LIMIT,
    socket: str = SOCKET,
    ask: Ask | None = None,
) -> Iterator[Engine]:
    """The Docker engine of a machine, once it answers; the connection is closed at the end of the block.

    timeout: seconds it may take until it does. socket: where it listens on the machine. ask: how to ask for the
    passphrase of a key, by default on the terminal.
    Raises ConsoleError if there is no session or it is lost, InputError for a machine without stark, MachineError if
    Docker does not answer in time.
    """
    with tunnel(target, socket, ask=ask) as way, through(way, reporter, timeout) as engine:
        yield engine


@contextmanager
def through(way: Tunnel, reporter: Reporter, timeout: float = READY_LIMIT) -> Iterator[Engine]:
    """The Docker engine at the other end of a tunnel, once it answers. Raises as :func:`connected` does."""
    api_version, arch = _wait_for(way, timeout, reporter)
    import docker

    # No limit of its own: an image may take as long to unpack as it takes, and a machine that hangs is noticed by the
    # connection.
    client = docker.DockerClient(f"unix://{way.path}", version=api_version, timeout=None)  # type: ignore[arg-type]
    try:
        yield Engine(client, arch, way.target, way)
    finally:
        client.close()


def _wait_for(way: Tunnel, timeout: float, reporter: Reporter) -> tuple[str, str]:
    """Wait for Docker's first answer: the version of its interface, and its architecture."""
    found = _first_answer(way)
    if found is not None:
        return found
    target = way.target
    if not way.exists(_STARK):
        raise without_stark(target)
    started = time.monotonic()
    with reporter.step("apps/ready", f"Waiting for Docker on {target}") as step:
        while time.monotonic() - started < timeout:
            reporter.check()
            found = _first_answer(way)
            if found is not None:
                return found
            reporter.report(Progress(step.path, int(time.monotonic() - started)))
            time.sleep(_POLL)
    raise MachineError(f"Docker on {target} did not answer within {timeout:.0f} s", hint=log_hint(target))


def _first_answer(way: Tunnel) -> tuple[str, str] | None:
    if not way.answers():
        return None
    import docker

    try:
        # "auto" asks for the version first.
        api = docker.APIClient(f"unix://{way.path}", version="auto", timeout=_FIRST_ANSWER)
        try:
            return api.api_version, str(api.version()["Arch"])
        finally:
            api.close()
    except (docker.errors.DockerException, OSError):
        if way.lost():
            raise ConsoleError(f"the connection to {way.target} was lost", hint=way.target.log_hint) from None
        return None
