"""The kept catalogue: it is what the files say, and nothing that happens to it can make it anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui import files
from thanos_tui.errors import InputError
from thanos_tui.options import kept, reading

MENU = """\
menu: Things
items:
  - option: thing
    type: string
    prompt: A thing
    help: Some thing.
    default: one
    pattern: "[a-z]*"
    pattern help: small letters
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "catalogue"
    made.mkdir()
    (made / "10-things.yml").write_text(MENU)
    return made


def _kept() -> Path:
    (found,) = files.cache_dir().glob("catalogue-*")
    return found


def _never(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_files: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(kept, "read_catalogue", read)


def test_it_is_read_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.catalogue(directory)
    assert first == reading.read_catalogue(sorted(directory.glob("*.yml")))
    _never(monkeypatch)
    assert kept.catalogue(directory) == first
    assert _kept().stat().st_mode & 0o077 == 0


def test_another_text_is_read_anew(directory: Path) -> None:
    kept.catalogue(directory)
    (directory / "10-things.yml").write_text(MENU.replace("one", "two"))
    assert kept.catalogue(directory).options["thing"].defaults[0].value == "two"
    (directory / "20-more.yml").write_text(MENU.replace("option: thing", "option: other"))
    assert list(kept.catalogue(directory).options) == ["thing", "other"]


def test_another_program_reads_anew(directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept.catalogue(directory)
    source = tmp_path / "new.py"
    source.write_text("")
    monkeypatch.setattr(kept, "_program", lambda: [source])
    _never(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        kept.catalogue(directory)


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None])
def test_a_damaged_one_is_made_anew(directory: Path, damage: bytes | None) -> None:
    first = kept.catalogue(directory)
    path = _kept()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!" if damage is None else damage)
    assert kept.catalogue(directory) == first
    assert path.read_bytes() == whole


def test_it_works_where_nothing_can_be_kept(directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert list(kept.catalogue(directory).options) == ["thing"]


def test_a_mistake_is_told_every_time(directory: Path) -> None:
    (directory / "10-things.yml").write_text("menu: [")
    for _ in range(2):
        with pytest.raises(InputError):
            kept.catalogue(directory)
    assert not list(files.cache_dir().glob("catalogue-*"))
