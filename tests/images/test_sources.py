"""Package sources: both syntaxes, and which of them are the distribution's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from thanos_tui.errors import InputError
from thanos_tui.images import sources
from thanos_tui.images.sources import Distribution, Source, given, own, read

BOOKWORM = Distribution("debian", "bookworm")


def test_reads_both_syntaxes(tmp_path: Path) -> None:
    listed = tmp_path / "sources.list"
    listed.write_text(
        "# comment\n"
        "deb http://mirror.example/debian bookworm main contrib # trailing\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb [arch=amd64,arm64 signed-by=/k.gpg trusted=yes] https://mirror.example/d bookworm-updates main\n"
        "deb http://mirror.example/flat ./\n"
    )
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "debian.sources").write_text(
        "Types: deb deb-src\nURIs: http://a.example/debian http://b.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nArchitectures: amd64\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
        "\nEnabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n"
        "\n# only a comment\n\nTypes: deb-src\nURIs: http://src.example\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "old.list.disabled").write_text("deb http://disabled.example bookworm main\n")
    found = read(listed, parts)
    assert [(s.uri, s.suite, s.components) for s in found] == [
        ("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        ("https://mirror.example/d", "bookworm-updates", ("main",)),
        ("http://a.example/debian", "bookworm", ("main",)),
        ("http://a.example/debian", "bookworm-updates", ("main",)),
        ("http://b.example/debian", "bookworm", ("main",)),
        ("http://b.example/debian", "bookworm-updates", ("main",)),
    ]
    assert found[1].options == {"Signed-By": "/k.gpg", "Trusted": "yes"}
    assert found[2].options["Signed-By"].endswith("\n .\n abc")
    # What is read from a stanza of ours is the same again.
    (parts / "debian.sources").write_text("\n".join(source.stanza() for source in found))
    listed.unlink()
    assert read(listed, parts) == found


def test_keeps_the_distributions_own() -> None:
    found = [
        Source("http://d", "bookworm", ("main", "non-free-firmware")),
        Source("http://d", "bookworm-updates", ("main",)),
        Source("http://s", "bookworm-security", ("main",)),
        Source("http://d", "stable", ("main",)),
        Source("http://old", "buster/updates", ("main",)),
        Source("http://d", "bookworm-backports", ("main",)),
        Source("http://vendor", "bookworm", ("main", "vendor")),
        Source("http://vendor", "nodistro", ("main",)),
        Source("http://pg", "bookworm-pgdg", ("main",)),
    ]
    kept = own(found, BOOKWORM)
    assert [(s.uri, s.suite) for s in kept] == [
        ("http://d", "bookworm"),
        ("http://d", "bookworm-updates"),
        ("http://s", "bookworm-security"),
        ("http://d", "stable"),
    ]
    other = own(found, BOOKWORM, "trixie")
    assert [(s.uri, s.suite) for s in other] == [
        ("http://d", "trixie"),
        ("http://d", "trixie-updates"),
        ("http://s", "trixie-security"),
    ]


def test_sources_that_the_user_names() -> None:
    found = given(("http://m/debian", "http://s/debian-security trixie-security main contrib"), "trixie", None)
    assert [(s.uri, s.suite, s.components) for s in found] == [
        ("http://m/debian", "trixie", ("main",)),
        ("http://s/debian-security", "trixie-security", ("main", "contrib")),
    ]
    with pytest.raises(InputError, match="not a URL"):
        given(("m/debian",), "trixie", None)
    with pytest.raises(InputError, match="without a suite"):
        given(("http://m/debian",), "", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\nVERSION_CODENAME=trixie\n", ("debian", "trixie", "debian")),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n", ("ubuntu", "noble", "ubuntu")),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n',
            ("linuxmint", "noble", "ubuntu"),
        ),
        ("", ("debian", "", "debian")),
    ],
)
def test_the_machines_distribution(tmp_path: Path, text: str, expected: tuple[str, str, str]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(text)
    found = sources.distribution(tmp_path)
    assert (found.id, found.codename, found.family) == expected
