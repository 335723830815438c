"""Menus as rows: symbols, what is shown and what is hidden, marks, depths."""

from __future__ import annotations

from catalogues import catalogue_of, document_of

from thanos_tui import options
from thanos_tui.editing.document import Document
from thanos_tui.editing.rows import Memo, Path, Row, View, index_of, marks, menu_at, names_in, rows

TOP = ("Sound and light",)


def shown(document: Document, path: Path = TOP, **view: bool) -> dict[str, Row]:
    made = rows(document, marks(document), path, View(**view))
    return {row.name or row.title: row for row in made}


def test_each_type_has_menuconfigs_symbol() -> None:
    document = document_of(catalogue_of(), {"sound": True, "light": True})
    symbols = {name: row.symbol for name, row in shown(document).items()}
    assert symbols == {
        "sound": "[*]",
        "driver": "-*-",
        "volume": "(5)",
        "output": "(Loudspeaker)",
        "Colours": "--->",
        "Details": "----",
        "light": "[*]",
        "bare": "[ ]",
    }


def test_what_is_not_active_is_hidden_until_it_is_asked_for_and_then_says_why() -> None:
    document = document_of(catalogue_of())
    assert {"volume", "Colours"}.isdisjoint(shown(document))
    everything = shown(document, hidden=True)
    assert everything["volume"].note == "needs sound"
    assert everything["volume"].symbol == "( )"
    assert not everything["volume"].active
    assert everything["Colours"].note == "needs light"
    assert everything["Colours"].symbol == "--->", "its options can be looked at"
    inside = shown(document, (*TOP, "Colours"), hidden=True)
    assert inside["colour"].note == "needs light"


def test_an_option_is_shown_below_the_one_it_hangs_on() -> None:
    document = document_of(catalogue_of(), {"sound": True})
    made = shown(document)
    assert (made["sound"].depth, made["volume"].depth) == (0, 1)
    real = rows(Document.new(), marks(Document.new()), ("Services", "SSH login"))
    assert [(row.name, row.depth) for row in real][:2] == [("sshd", 0), ("sshd.port", 1)]


def test_what_selects_a_locked_option_is_on_its_line() -> None:
    row = shown(document_of(catalogue_of(), {"sound": True}))["driver"]
    assert row.locked
    assert row.note == "selected by sound"


def test_marks_tell_changed_from_unsaved_and_reach_up_to_the_menus() -> None:
    document = document_of(catalogue_of(), {"light": True})
    document.set("colour", "blue")
    made = shown(document)
    assert (made["light"].changed, made["light"].unsaved) == (True, False)
    assert (made["Colours"].changed, made["Colours"].unsaved) == (True, True)
    (top,) = rows(document, marks(document))
    assert top.changed
    assert top.unsaved
    document.set("light", False)
    assert shown(document)["light"].unsaved, "back to the default, but the file says otherwise"
    assert not shown(document)["light"].changed


def test_warnings_and_problems_are_marked_on_the_option_and_its_menus() -> None:
    document = document_of(catalogue_of(), {"light": True})
    document.set("bare", True)
    document.set("colour", "green")
    made = shown(document)
    assert made["bare"].warning == "Whoever touches them is shocked."
    assert "must not be empty" in made["Details"].problem
    (top,) = rows(document, marks(document))
    assert top.problem
    assert top.warning


def test_changed_only_lists_what_differs_in_all_menus_below() -> None:
    document = document_of(catalogue_of(), {"light": True})
    document.set("colour", "blue")
    made = rows(document, marks(document), (), View(changed=True))
    assert [row.name for row in made] == ["colour", "light"]
    assert made[0].note == "Sound and light > Colours"
    assert rows(document, marks(document), (*TOP, "Details"), View(changed=True)) == ()


def test_menus_are_found_by_their_path() -> None:
    catalogue = catalogue_of()
    colours = menu_at(catalogue, (*TOP, "Colours"))
    assert colours is not None
    assert colours.items == ("colour",)
    assert menu_at(catalogue, (*TOP, "Nothing")) is None
    assert menu_at(catalogue, ()) is None
    assert names_in(catalogue, (*TOP, "Colours")) == ("colour",)
    assert names_in(catalogue, ()) == tuple(catalogue.options)


def test_a_row_keeps_its_key_when_its_value_changes() -> None:
    document = document_of(catalogue_of())
    before = shown(document)["light"]
    document.set("light", True)
    made = rows(document, marks(document), TOP)
    at = index_of(made, before.key)
    assert at is not None
    assert made[at].name == "light"
    assert index_of(made, ("no such",)) is None


def test_every_option_of_the_real_catalogue_has_a_row_in_its_menu() -> None:
    document = Document.new()
    for name, option in options.load().options.items():
        made = rows(document, marks(document), option.menu, View(hidden=True))
        assert name in [row.name for row in made]


def test_rows_kept_from_before_are_what_they_would_be_if_made_anew() -> None:
    document = Document.new()
    memo: Memo = {}
    menus = list(dict.fromkeys(option.menu for option in document.catalogue.options.values()))
    bools = [name for name, option in document.catalogue.options.items() if option.type == "bool"]

    def check() -> None:
        marked = marks(document)
        for menu in menus:
            view = View(hidden=True)
            assert rows(document, marked, menu, view, memo) == rows(document, marked, menu, view)

    for name in [*bools, *reversed(bools)]:
        if document[name].active and not document[name].locked:
            document.set(name, not document[name].value)
            check()
    document.apply({"network": "static"}, "addresses are missing now")
    check()
    while document.undo():
        check()
