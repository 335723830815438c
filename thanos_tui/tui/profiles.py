"""The app and its profile's file: open, save, save as, leave, and what was left unsaved.

Every function that asks something waits for the answer: to be called from a worker of the app.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from thanos_tui.editing import recent, recovery
from thanos_tui.editing.disk import fingerprint
from thanos_tui.editing.document import Document, write
from thanos_tui.editing.recovery import Keeper, Left
from thanos_tui.errors import ThanosError
from thanos_tui.options.expressions import Value
from thanos_tui.profile import SUFFIX
from thanos_tui.tui.look import look
from thanos_tui.tui.profiles_words import ago, differences, place
from thanos_tui.tui.work import perform
from thanos_tui.words import counted

if TYPE_CHECKING:
    from thanos_tui.tui.app import ThanosApp

_RECENT = 9  # profiles offered; the file chooser has the others
_ROW = 58  # characters of a choice that fit on one line
_WATCH = 2.0  # seconds between two looks at the profile's file


@dataclass
class _Session:
    """What is remembered beside the app's document.

    seen: the file's fingerprint at the last look. told: the one that the user has been asked about.
    busy: whether a question about the file is open, or it is being written. warned: whether it was said that unsaved
    changes cannot be kept.
    """

    keeper: Keeper
    seen: str = ""
    told: str = ""
    busy: bool = False
    warned: bool = False


_sessions: WeakKeyDictionary[ThanosApp, _Session] = WeakKeyDictionary()


def _session(app: ThanosApp) -> _Session:
    session = _sessions.get(app)
    if session is None or session.keeper.document is not app.document:
        if session is not None:
            session.keeper.close()
        session = _sessions[app] = _Session(Keeper(app.document))
        # However the app ends, as long as Python does in order, what is due is written.
        atexit.register(session.keeper.flush)
    return session


async def start(app: ThanosApp) -> None:
    """Begin to keep what is unsaved and to look after the file; offer what an earlier app left unsaved."""
    changed(app)
    app.set_interval(_WATCH, lambda: app.run_worker(_watch(app), group="watch", exit_on_error=False))
    if app.document.path is not None:
        await _remember(app, app.document.path)
    await offer_recovery(app)


def changed(app: ThanosApp) -> None:
    """The document has another state. Returns at once."""
    _session(app).keeper.changed()


def stop(app: ThanosApp) -> None:
    """The app ends: what is unsaved, if anything, stays to be offered at the next start."""
    session = _sessions.pop(app, None)
    if session is not None:
        session.keeper.close()
        atexit.unregister(session.keeper.flush)


# Saving


async def save(app: ThanosApp) -> bool:
    """Save to the profile's file, or ask for one. Returns whether it was saved."""
    document, session = app.document, _session(app)
    if document.path is None:
        return await save_as(app)
    now = await perform(fingerprint, document.path)
    if now and now != session.keeper.base and not await _changed_on_disk(app, now, saving=True):
        return False
    return await _write(app, document.path)


async def save_as(app: ThanosApp) -> bool:
    """Save under another name, which becomes the profile's. Returns whether it was saved."""
    from thanos_tui.tui.dialogs import ChooseFile, Confirm

    document = app.document
    name, start_at = f"{document.name}{SUFFIX}", document.directory
    while True:
        question = f"Save the profile as ({SUFFIX})"
        path = await app.push_screen_wait(ChooseFile(question, start_at, suffixes=(SUFFIX,), new=True, value=name))
        if path is None:
            return False
        if path.suffix != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        if document.path is not None and path.absolute() == document.path.absolute():
            return await save(app)
        try:
            there = await perform(path.exists)
        except ThanosError as error:
            app.tell(error)
            return False
        if not there:
            return await _write(app, path)
        text = "What it says is replaced; the comments in it stay."
        answer = await app.push_screen_wait(
            Confirm(f"{path.name} exists. Overwrite it?", text, "Overwrite", "Choose again")
        )
        if answer == "yes":
            return await _write(app, path)
        name, start_at = path.name, path.parent


async def _write(app: ThanosApp, path: Path) -> bool:
    document, session = app.document, _session(app)
    moved = path.parent.absolute() != document.directory.absolute()
    session.busy = True
    try:
        said = await perform(write, path, document.resolved.check())
        session.keeper.base = await perform(fingerprint, path)
    except ThanosError as error:
        app.tell(error)
        return False
    finally:
        session.busy = False
    session.told = ""
    document.file_says(said)
    await _remember(app, path)
    note = ": relative paths in it lead elsewhere now" if moved and _has_relative_paths(document) else ""
    app.notify(f"saved to {place(path)}{note}", severity="warning" if note else "information", markup=False)
    return True


def _has_relative_paths(document: Document) -> bool:
    return any(
        text and text[0] not in "/~$"
        for name, value in document.changed().items()
        if document.catalogue.options[name].format in ("path", "extra-file")
        for item in (value if isinstance(value, tuple) else (str(value),))
        for text in (item.partition("=")[2] if document.catalogue.options[name].format == "extra-file" else item,)
    )


async def _remember(app: ThanosApp, path: Path) -> None:
    try:
        await perform(recent.remember, path)
    except ThanosError as error:
        app.log.warning(str(error))  # the list only saves typing


# Opening


async def open_profile(app: ThanosApp) -> bool:
    """Ask for a profile and open it: one used lately, another file, or a new one from a template."""
    from thanos_tui.tui.dialogs import ChooseFile

    lately, templates = await perform(recent.recent), await perform(recent.templates)
    here = app.document.path.absolute() if app.document.path else None
    others = [item for item in lately if item.path != here][:_RECENT]
    dot = f" {look().dot} "
    choices = [(f"open {item.path}", f"{place(item.path)}{dot}{ago(item.when)}") for item in others]
    choices.append(("file", f"Another file{look().ellipsis}"))
    for item in templates:
        choices.append((f"new {item.path}", look().cut(f"New from {item.name}{dot}{item.about}", _ROW)))
    if not templates:
        choices.append(("new", f"New{dot}every option at its default"))
    answer = await app.ask("Open a profile", choices)
    if answer is None:
        return False
    word, _, rest = answer.partition(" ")
    if word == "new":
        return await new_profile(app, Path(rest) if rest else None)
    path = (
        Path(rest)
        if rest
        else await app.push_screen_wait(ChooseFile("Open a profile", app.document.directory, suffixes=(SUFFIX,)))
    )
    return path is not None and await open_path(app, path)


async def open_path(app: ThanosApp, path: Path) -> bool:
    """Open a profile, once nothing can be lost by it."""
    if not await _change_to(app, partial(Document.open, path)):
        return False
    await _remember(app, path)
    await offer_recovery(app)
    return True


async def new_profile(app: ThanosApp, template: Path | None = None) -> bool:
    """Begin a profile from the defaults or a template, once nothing can be lost by it."""
    return await _change_to(app, partial(Document.new, template))


async def _change_to(app: ThanosApp, read: Callable[[], Document]) -> bool:
    """Edit the document that ``read`` returns, once nothing can be lost by it. Returns whether it is edited now."""
    try:
        document = await perform(read)
    except ThanosError as error:
        app.tell(error)
        return False
    if not await settle(app):
        return False
    _adopt(app, document)
    return True


def _adopt(app: ThanosApp, document: Document) -> None:
    """Edit this document from now on; nothing of the one before is to be kept."""
    before = _sessions.pop(app, None)
    if before is not None:
        before.keeper.discard()
        atexit.unregister(before.keeper.flush)
    app.replace_document(document)
    changed(app)


async def settle(app: ThanosApp) -> bool:
    """Ask what becomes of unsaved changes, if there are any. Returns whether to go on: saved, or not wanted."""
    document = app.document
    if not document.dirty:
        return True
    unsaved = document.unsaved()
    name = document.path.name if document.path else "this profile, which has no file yet"
    answer = await app.ask(
        f"Save {counted(len(unsaved), 'change')} to {name}?",
        [("save", "Save"), ("discard", "Discard them"), ("back", "Go back")],
        differences(document.catalogue, _unsaved(document)),
    )
    if answer == "save":
        return await save(app)
    return answer == "discard"


def _unsaved(document: Document) -> Iterable[tuple[str, Value, Value]]:
    names = document.unsaved()
    return ((n, document.on_disk[n].value, document[n].value) for n in document.catalogue.options if n in names)


async def leave(app: ThanosApp) -> None:
    """Leave the app, once nothing can be lost by it."""
    for pane in app.mounted():
        if pane.under_way:
            choices = [("leave", f"Stop {pane.under_way} and leave"), ("back", "Go back")]
            if await app.ask(f"Leave while {pane.under_way} is under way?", choices) != "leave":
                return
    if not await settle(app):
        return
    _session(app).keeper.discard()
    app.exit(0)


# What was left unsaved


async def offer_recovery(app: ThanosApp) -> None:
    """Offer what apps that were killed left unsaved of this profile, the latest first, until one is taken."""
    found = await perform(recovery.left_behind, app.document.path)
    while found:
        left = found.pop(0)
        answer = await _ask_about(app, left)
        if answer == "restore":
            await _restore(app, left)
            break
        if answer == "discard":
            await perform(left.discard)
        else:
            left.release()
    for left in found:
        left.release()


async def _ask_about(app: ThanosApp, left: Left) -> str | None:
    name = left.path.name if left.path else "a profile without a file"
    try:
        unsaved = await perform(recovery.difference, left, app.document.catalogue)
    except ThanosError as error:
        app.tell(error)
        return None
    if not unsaved:
        return "discard"  # saved meanwhile, by hand or by another app
    stale = "; the file was changed after that" if await perform(lambda: left.stale) else ""
    return await app.ask(
        f"Restore unsaved changes to {name}?",
        [("restore", "Restore them"), ("discard", "Discard them"), ("later", "Ask again next time")],
        f"Last made {ago(left.when)}{stale}:\n{differences(app.document.catalogue, unsaved)}",
    )


async def _restore(app: ThanosApp, left: Left) -> None:
    try:
        document, lost = await perform(recovery.restored, left)
    except ThanosError as error:
        left.release()
        app.tell(error)
        return
    _adopt(app, document)
    # Never on no disk: written under its new owner before the old file goes.
    await perform(_session(app).keeper.flush)
    await perform(left.discard)
    if lost:
        app.notify(f"could not be restored: {', '.join(lost)}", severity="warning", timeout=10, markup=False)


# The file changes on disk


async def _watch(app: ThanosApp) -> None:
    """Look whether somebody else changed the file; asks once about each state of it."""
    session = _session(app)
    problem = session.keeper.problem
    if problem is not None and not session.warned:
        session.warned = True
        said = f"unsaved changes would be lost in a crash: {problem.message}"
        app.notify(said, severity="warning", timeout=30, markup=False)
    path = app.document.path
    # Not above another dialog, and not under the fingers of somebody who types into a machine.
    if path is None or session.busy or len(app.screen_stack) > 1 or app.shown not in ("configure", "yaml"):
        return
    now = await perform(fingerprint, path)
    # Once it is the same for two looks: somebody may be in the middle of writing it.
    settled, session.seen = now == session.seen, now
    if not settled or now in (session.keeper.base, session.told) or _session(app) is not session:
        return
    session.told = now
    if not now:
        app.notify(f"{place(path)} is gone; saving writes it again", severity="warning", markup=False)
        return
    session.busy = True
    try:
        await _changed_on_disk(app, now, saving=False)
    finally:
        session.busy = False


async def _changed_on_disk(app: ThanosApp, now: str, *, saving: bool) -> bool:
    """Ask what to do about a file that says something else. Returns whether to go on with saving one's own."""
    from thanos_tui import profile

    document, session = app.document, _session(app)
    path = document.path
    if path is None:
        return saving
    try:
        said = await perform(profile.load, path, document.catalogue)
    except ThanosError as error:
        session.told = now
        app.tell(error)
        return False
    theirs = {name: given.value for name, given in said.assignments.items()}
    if theirs == {name: given.value for name, given in document.saved.items()}:
        session.keeper.base = now  # only its comments are others, and saving keeps those
        document.file_says(said)
        return saving
    mine = document.changed()
    names = (name for name in document.catalogue.options if mine.get(name) != theirs.get(name))
    both = [(name, said.resolved[name].value, document[name].value) for name in names]
    keep = "Save mine over it" if saving else "Keep mine"
    answer = await app.ask(
        f"{path.name} was changed by somebody else",
        [("keep", keep), ("reload", "Take what the file says"), ("both", "Show both in the YAML")],
        differences(document.catalogue, both, "file", "here"),
    )
    session.told = now
    if answer is None:
        return False
    session.keeper.base = now
    document.file_says(said)
    if answer == "reload":
        document.revert(list(document.catalogue.options))
        app.notify("taken from the file; undo brings yours back", markup=False)
    elif answer == "both":
        pane = await app.show("yaml")
        pane.compare_with_saved()
    return saving and answer == "keep"
