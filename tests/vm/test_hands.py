"""The commands that stand in for somebody at a machine, on one that has no system."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import get_args

import pytest
from waiting import eventually

from thanos_tui import cli, vm
from thanos_tui.commands.hands import BUTTONS
from thanos_tui.errors import InputError
from thanos_tui.vm import Machine
from thanos_tui.vm.input import Button, chord_named


def test_the_buttons_are_those_that_there_are() -> None:
    assert get_args(Button) == BUTTONS


def test_keys_have_the_names_that_qemu_gives_them() -> None:
    assert chord_named("ctrl-alt-f2") == ("ctrl", "alt", "f2")
    assert chord_named("pgup") == ("pgup",)


@pytest.mark.parametrize("text", ["", "-", "ctrl-", "Ctrl-A", "a b", "ä"])
def test_what_cannot_be_a_key_is_said(text: str) -> None:
    with pytest.raises(InputError, match="names no keys"):
        chord_named(text)


def test_a_machine_is_typed_on_and_clicked_at(
    start: Callable[..., Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = start().name
    # The firmware's own picture has another size.
    eventually(lambda: vm.picture(vm.find(name)).height == 400)
    shown = vm.picture(vm.find(name))
    assert cli.main(["type", "--machine", name, "two", "words", "--key", "ret", "--key", "ctrl-alt-f2"]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("from elsewhere\n"))
    assert cli.main(["type", "-"]) == 0
    assert cli.main(["click", "--machine", name, "0", str(shown.height - 1)]) == 0
    assert cli.main(["click", "50%", "100%", "--button", "right", "--times", "2"]) == 0
    assert capsys.readouterr() == ("", "")

    def refused(*words: str) -> str:
        assert cli.main(list(words)) == (1 if words[-1] == "nonesuch" else 2)
        return capsys.readouterr().err

    assert f"X: {shown.width} is not on the screen, which has {shown.width} pixels there" in refused(
        "click", str(shown.width), "0"
    )
    assert "Y: 101% is not on the screen" in refused("click", "0", "101%")
    assert "X: middle is no place" in refused("click", "middle", "0")
    assert "no key of a US keyboard types 'ä'" in refused("type", "Bär")
    assert "there is nothing to type" in refused("type")
    assert "nonesuch" in refused("type", "--key", "nonesuch")
