"""Apps as Docker's containers: started with their wiring, listed, listened to, stopped and removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from thanos_tui import appwords, wiring
from thanos_tui.apps.engine import Engine
from thanos_tui.errors import AppError, InputError, ThanosError, nearest
from thanos_tui.vm.serial import clean
from thanos_tui.words import printable

if TYPE_CHECKING:
    from docker.models.containers import Container

    from thanos_tui.wiring import App

STOP_LIMIT = 10  # seconds an app has to end by itself, as Docker gives it
_SETTLED = 3.0  # seconds after which an app counts as one that runs
_POLL = 0.25
_LAST = 10  # lines of its log that are shown of an app that ended at once
_LONGEST = 1 << 16  # bytes after which a line is broken


@dataclass(frozen=True)
class AppState:
    """An app as it was found.

    state: Docker's word: ``created``, ``running``, ``restarting``, ``exited``, ``paused``, ``dead``. status: the same
    for people, with since when. ports: which lead into it. created: ISO 8601, UTC.
    """

    name: str
    id: str
    image: str
    command: str
    state: str
    status: str
    ports: tuple[str, ...]
    created: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return asdict(self)


class Log(Iterator[str]):
    """The lines of an app's log; the next one may have to be waited for.

    close: ends them, as if the app had ended; may be called from any thread.
    """

    def __init__(self, lines: Iterator[str], close: Callable[[], None]) -> None:
        self._lines = lines
        self.close = close

    def __next__(self) -> str:
        return next(self._lines)


def apps(engine: Engine) -> tuple[AppState, ...]:
    """Every app of the machine, running or not, by name; other containers are not among them."""
    labels = [f"{key}={value}" for key, value in wiring.labels().items()]
    with engine.asking():
        found = engine.api.containers(all=True, filters={"label": labels})
    return tuple(sorted((_state(each) for each in found), key=lambda app: app.name))


def _state(entry: dict[str, Any]) -> AppState:
    names = entry.get("Names") or [str(entry["Id"])[:12]]
    return AppState(
        name=printable(names[0].removeprefix("/")),
        id=str(entry["Id"]),
        image=printable(str(entry.get("Image", ""))),
        command=printable(str(entry.get("Command", ""))),
        state=str(entry.get("State", "")),
        status=printable(str(entry.get("Status", ""))),
        ports=tuple(_port(port) for port in entry.get("Ports") or ()),
        created=datetime.fromtimestamp(entry.get("Created", 0), UTC).isoformat(timespec="seconds"),
    )


def _port(port: dict[str, Any]) -> str:
    inner = f"{port.get('PrivatePort')}/{port.get('Type')}"
    return f"{port.get('IP')}:{port['PublicPort']}->{inner}" if "PublicPort" in port else inner


def find(engine: Engine, name: str | None = None) -> AppState:
    """An app by its name; without one the only app there is. Raises InputError."""
    known = apps(engine)
    if name is None:
        if len(known) == 1:
            return known[0]
        if not known:
            raise InputError(f"there is no app on {engine.target}", hint="start one: `thanos-tui app run IMAGE`")
        raise InputError(
            f"there are several apps on {engine.target}", hint=f"say which: {', '.join(app.name for app in known)}"
        )
    for app in known:
        if app.name == name:
            return app
    close = nearest(name, (app.name for app in known))
    hint = f"did you mean {close}?" if close else "`thanos-tui app ls` lists them"
    raise InputError(f"there is no app {name} on {engine.target}", hint=hint)


def free_name(engine: Engine, image: str) -> str:
    """A name for an app of an image, from the image's own, that no container has yet."""
    base = appwords.name_of(image)
    with engine.asking():
        taken = {name for each in engine.api.containers(all=True) for name in each.get("Names") or ()}
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if f"/{name}" not in taken)


def parts(engine: Engine) -> frozenset[str]:
    """What of ``x11`` and ``sound`` the machine has for apps."""
    signs = wiring.signs()
    return frozenset(part for part, paths in signs.items() if engine.tunnel.exists(*paths))


def run(engine: Engine, app: App) -> AppState:
    """Make an app and start it, and see for a moment that it runs.

    Raises AppError, with the last lines of its log, for one that ends at once with another status than 0; InputError or
    MachineError for one that Docker does not start, which is then not kept.
    """
    container = _create(engine, app)
    _begin(engine, container)
    _see_it_run(engine, container)
    return find(engine, container.name)


def start(engine: Engine, name: str) -> AppState:
    """Start an app that has ended, with the wiring it was made with; one that runs is left alone.

    Raises InputError for a name that no app has, and AppError as :func:`run` does.
    """
    app = find(engine, name)
    if app.state == "running":
        return app
    with _starting(engine):
        engine.api.start(app.id)
    return _started(engine, app)


def restart(engine: Engine, name: str, patience: int = STOP_LIMIT) -> AppState:
    """End an app as :func:`stop` does, if it runs, and start it again. Raises as :func:`start` does."""
    app = find(engine, name)
    with _starting(engine):
        engine.api.restart(app.id, timeout=patience)
    return _started(engine, app)


def _started(engine: Engine, app: AppState) -> AppState:
    with engine.asking():
        container = engine.client.containers.get(app.id)
    _see_it_run(engine, container)
    return find(engine, app.name)


def attached(engine: Engine, app: App, say: Callable[[str, bool], None], *, keep: bool = True) -> int:
    """Start an app, follow what it says until it ends, and return its status; on KeyboardInterrupt it is stopped.

    say: takes each line, and whether it came from stderr. keep: leave the ended container there.
    Raises as :func:`run` does for one that does not start, and ConsoleError if the connection is lost: the app then
    goes on.
    """
    container = _create(engine, app)
    try:
        with engine.asking():
            # Before its start, so that nothing is missed.
            output = engine.api.attach(str(container.id), stream=True, demux=True)
        _begin(engine, container)
        for line, is_error in _lines(engine, output):
            say(line, is_error)
        with engine.asking():
            status = int(container.wait()["StatusCode"])
    except KeyboardInterrupt:
        with engine.asking():
            container.stop(timeout=STOP_LIMIT)
        _let_go(engine, container, keep)
        raise
    _let_go(engine, container, keep)
    return status


def _let_go(engine: Engine, container: Container, keep: bool) -> None:
    if not keep:
        with engine.asking():
            container.remove(v=True)


def _create(engine: Engine, app: App) -> Container:
    with engine.asking():
        # Proxies that this user's Docker configuration names are those of this host, not of the machine.
        return engine.client.containers.create(**wiring.create_options(app), use_config_proxy=False)


def _begin(engine: Engine, container: Container) -> None:
    try:
        with _starting(engine):
            container.start()
    except ThanosError:
        with engine.asking():
            container.remove(force=True, v=True)
        raise


@contextmanager
def _starting(engine: Engine) -> Iterator[None]:
    """As engine.asking(); a wiring that the machine cannot give is told in our words."""
    try:
        with engine.asking():
            yield
    except ThanosError as error:
        if "/dev/snd" in error.message:
            hint = "run the app without sound: `thanos-tui app run --no-sound`"
            raise InputError(f"{engine.target} has no sound card", hint=hint) from error
        raise


def _see_it_run(engine: Engine, container: Container) -> None:
    ends = time.monotonic() + _SETTLED
    while True:
        with engine.asking():
            container.reload()
        state = container.attrs["State"]
        again = bool(state["Restarting"])
        if again or state["Status"] in ("exited", "dead"):
            break
        if time.monotonic() > ends:
            return
        time.sleep(_POLL)
    status = int(state["ExitCode"])
    if status == 0 and not again:
        return
    name = container.name or ""
    cause = "for want of memory" if state.get("OOMKilled") else f"with status {status}"
    said = last_lines(engine, name) or ["(it said nothing)"]
    there = f"it is still there: `thanos-tui app logs {name}`; `thanos-tui app rm --force {name}`"
    raise AppError(
        f"the app {name} ended at once {cause}{', and is started again and again' if again else ''}",
        hint="\n  ".join([*said, there]),
    )


def follow(engine: Engine, name: str, *, on: bool = False, tail: int | None = None) -> Log:
    """The lines of an app's log. on: also those to come, until it ends. tail: begin with so many of the last ones."""
    with engine.asking():
        output = engine.api.logs(name, stream=True, follow=on, tail="all" if tail is None else tail)

    def close() -> None:
        # The SDK does not expect the other side to have ended it a moment before.
        with suppress(OSError, AttributeError):
            output.close()

    return Log((line for line, _ in _lines(engine, ((data, None) for data in output))), close)


def last_lines(engine: Engine, name: str, count: int = _LAST) -> list[str]:
    """The last lines of an app's log."""
    return list(follow(engine, name, tail=count))


def _lines(engine: Engine, output: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[tuple[str, bool]]:
    """What an app writes to stdout and stderr, in whole lines without control characters, and whether it is stderr."""
    rest = [b"", b""]
    with engine.asking():
        for pair in output:
            for number, data in enumerate(pair):
                *lines, rest[number] = (rest[number] + (data or b"")).split(b"\n")
                if len(rest[number]) > _LONGEST:
                    lines, rest[number] = [*lines, rest[number]], b""
                for line in lines:
                    yield clean(line), number == 1
    for number, line in enumerate(rest):
        if line:
            yield clean(line), number == 1


def stop(engine: Engine, name: str, patience: int = STOP_LIMIT) -> None:
    """Ask an app to end, and kill it after so many seconds; one that does not run stays as it is. Raises InputError."""
    app = find(engine, name)
    with engine.asking():
        engine.api.stop(app.id, timeout=patience)


def remove(engine: Engine, name: str, *, force: bool = False) -> None:
    """Remove an app and its log. Raises InputError for one that runs, unless by ``force``."""
    app = find(engine, name)
    if app.state in ("running", "restarting", "paused") and not force:
        raise InputError(f"the app {name} runs", hint=f"stop it first: `thanos-tui app stop {name}`; or add --force")
    with engine.asking():
        # With the volumes that nobody gave a name: they would take memory and never be found again.
        engine.api.remove_container(app.id, force=force, v=True)
