"""Comparing a document: with what, line by line, and whose doing each difference is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thanos_tui import builds, vm
from thanos_tui.builds import Build
from thanos_tui.editing import compare
from thanos_tui.editing.compare import Comparison, Fold, Side
from thanos_tui.editing.document import Document
from thanos_tui.errors import InputError
from thanos_tui.linuxkit import config
from thanos_tui.linuxkit.config import Config, File
from thanos_tui.options.expressions import Value


def document(directory: Path, text: str = "thanos: 1\noptions: {hostname: box}\n") -> Document:
    path = directory / "mine.thanos"
    path.write_text(text)
    return Document.open(path)


def side(directory: Path, values: Mapping[str, Value] | None = None) -> Side:
    made = document(directory)
    made.apply(dict(values or {}), "test")
    return compare.side(made.resolved, made.directory, made.name)


def titles(made: Document) -> list[str]:
    return [source.title for source in compare.sources(made)]


def built(made: Document, image: Path) -> Build:
    assert made.path is not None
    return Build("mine", str(made.path), (str(image),), 512, 1, "amd64", None, None)


# --- What there is to compare with


def test_a_document_is_compared_with_its_file_and_the_defaults(home: Path) -> None:
    made = document(home)
    saved, defaults = compare.sources(made)
    assert (saved.title, defaults.title) == ("mine.thanos as saved", "the defaults")
    made.set("hostname", "other")
    names = [next(f.contents for f in s.load().config.files if f.path == "etc/hostname") for s in (saved, defaults)]
    assert names == ["box\n", "thanos\n"]
    # What it says is what it said when it was asked, not when it was listed.
    made.save()
    assert next(f.contents for f in saved.load().config.files if f.path == "etc/hostname") == "other\n"
    assert titles(Document.new(directory=home)) == ["the defaults"]


def test_the_last_build_is_compared_with_as_long_as_it_is_remembered(home: Path) -> None:
    made = document(home)
    assert "the last build" not in titles(made)
    builds.remember(built(made, home / "mine.vhd"), made.config())
    last = next(source for source in compare.sources(made) if source.id == "build")
    assert last.load().config == made.config()
    assert last.load().sources is None
    made.set("hostname", "newer")
    builds.remember(built(made, home / "mine.vhd"), made.config())
    assert last.load().config == made.config()
    (home / ".local/state/thanos-tui/builds.json").unlink()
    with pytest.raises(InputError, match="has not been built"):
        last.load()


def test_a_build_without_its_config_says_so(home: Path) -> None:
    made = document(home)
    builds.remember(built(made, home / "mine.vhd"))
    last = next(source for source in compare.sources(made) if source.id == "build")
    with pytest.raises(InputError, match="has not been kept"):
        last.load()


def test_a_running_machine_is_compared_by_what_it_was_built_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = document(home)
    image = home / "mine.vhd"
    machines = [
        SimpleNamespace(name="one", alive=True, image=str(image)),
        SimpleNamespace(name="two", alive=True, image=str(home / "foreign.vhd")),
        SimpleNamespace(name="gone", alive=False, image=str(image)),
    ]
    monkeypatch.setattr(vm, "machines", lambda: machines)
    builds.remember(built(made, image), made.config())
    found = {source.title: source for source in compare.sources(made)}
    assert [title for title in found if "machine" in title] == ["the machine one", "the machine two"]
    assert found["the machine one"].load().config == made.config()
    with pytest.raises(InputError, match="not known what the machine two was built from"):
        found["the machine two"].load()


def test_another_profile_and_linuxkit_yaml(home: Path) -> None:
    (home / "other.thanos").write_text("thanos: 1\noptions: {ntp: false}\n")
    (home / "kit.yml").write_text("services: [{name: x, image: x:1}]\n")
    other = compare.file(home / "other.thanos").load()
    assert other.resolved is not None
    assert other.resolved["ntp"].value is False
    kit = compare.file(home / "kit.yml").load()
    assert kit.sources is None
    assert kit.config.services[0].name == "x"
    for wrong in ("missing.thanos", "missing.yml"):
        with pytest.raises(InputError):
            compare.file(home / wrong).load()


# --- Line by line


def shown(found: Comparison) -> list[tuple[str, str]]:
    """The rows that differ, as text."""
    before, after = found.before, found.after
    return [
        (
            before[row.before].text.strip() if row.before is not None else "",
            after[row.after].text.strip() if row.after is not None else "",
        )
        for row in found.rows
        if not row.same
    ]


def read(text: str) -> Config:
    return config.read(text, "x.yml")


def test_equal_configs_have_no_hunks() -> None:
    made = read("services: [{name: a, image: x}]")
    found = compare.compare(made, made)
    assert found.hunks == ()
    assert all(row.same for row in found.rows)
    assert list(compare.folded(found)) == [Fold(range(3))]


def test_entries_are_matched_by_name_before_their_lines_are() -> None:
    before = read("files: [{path: a, contents: x, mode: '0644'}, {path: b, contents: y, mode: '0644'}]")
    after = read("files: [{path: b, contents: y, mode: '0644'}]")
    assert shown(compare.compare(before, after)) == [("- path: a", ""), ("contents: x", ""), ('mode: "0644"', "")]


def test_lines_that_were_changed_stand_side_by_side() -> None:
    before = read("services: [{name: a, image: 'x:1', env: [A=1, B=2]}]\nkernel: {image: k, cmdline: quiet one}")
    after = read("services: [{name: a, image: 'y:7', env: [A=1, C=3, B=3]}]\nkernel: {image: k, cmdline: two quiet}")
    assert shown(compare.compare(before, after)) == [
        ("cmdline: quiet one", "cmdline: two quiet"),
        ("image: x:1", "image: y:7"),
        ("", "- C=3"),
        ("- B=2", "- B=3"),
    ]


FILES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"), st.sampled_from(("0600", "0644"))),
    unique_by=lambda file: file[0],
)


def files(given: list[tuple[str, str, str]]) -> Config:
    return Config(files=tuple(File(path=path, contents=text, mode=mode) for path, text, mode in given))


@given(FILES, FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_hold_every_line_of_both_sides_in_order(
    old: list[tuple[str, str, str]], new: list[tuple[str, str, str]]
) -> None:
    found = compare.compare(files(old), files(new))
    assert [row.before for row in found.rows if row.before is not None] == list(range(len(found.before)))
    assert [row.after for row in found.rows if row.after is not None] == list(range(len(found.after)))
    for number, row in enumerate(found.rows):
        before, after = shown_row(found, number)
        assert not row.same or before == after
    assert {n for hunk in found.hunks for n in hunk} == {n for n, row in enumerate(found.rows) if not row.same}


def test_long_texts_are_compared_without_pairing() -> None:
    text = "\\n".join(f"line {n}" for n in range(400))
    before = read(f'files: [{{path: a, mode: "0644", contents: "{text}"}}]')
    after = read(f'files: [{{path: a, mode: "0644", contents: "{text.replace("line", "word")}"}}]')
    found = compare.compare(before, after)
    assert len(shown(found)) == 800


def test_secrets_are_numbered_alike_on_both_sides() -> None:
    before = read("files: [{path: k, contents: hunter2}, {path: l, contents: same}]")
    after = read("files: [{path: k, contents: hunter3}, {path: l, contents: same}]")
    assert shown(compare.compare(before, after)) == [("contents: (secret 1)", "contents: (secret 3)")]


def test_what_differs_within_a_line() -> None:
    before, after = "image: k:a-b-c", "image: k:a-x-b-c"
    old, new = compare.spans(before, after)
    assert old == []
    assert [after[start:end] for start, end in new] == ["x-"]
    assert compare.spans("a", "a") == ([], [])


def test_folds_leave_what_is_near_a_difference() -> None:
    names = [f"{{name: s{n}, image: x}}" for n in range(10)]
    before = read(f"services: [{', '.join(names)}]")
    after = read(f"services: [{', '.join(names).replace('name: s5, image: x', 'name: s5, image: y')}]")
    found = compare.compare(before, after)
    (hunk,) = found.hunks
    parts = list(compare.folded(found, context=2))
    folds = [part for part in parts if isinstance(part, Fold)]
    assert [fold.rows for fold in folds] == [range(hunk.start - 2), range(hunk.stop + 2, len(found.rows))]
    rows = [number for part in parts for number in (part.rows if isinstance(part, Fold) else [part])]
    assert rows == list(range(len(found.rows)))


def test_a_single_line_is_not_worth_a_fold() -> None:
    found = compare.compare(read("services: [{name: a, image: x}]"), read("services: [{name: a, image: y}]"))
    assert [part for part in compare.folded(found, context=1) if isinstance(part, Fold)] == []


# --- Whose doing it is


def causes(before: Side, after: Side, text: str) -> set[str]:
    """The options behind the differing rows that hold a text on either side."""
    found = compare.compare(before.config, after.config)
    rows = [n for n, row in enumerate(found.rows) if not row.same and text in "".join(shown_row(found, n))]
    assert rows, f"nothing that differs says {text}"
    return set(compare.at_rows(found, rows, before, after))


def shown_row(found: Comparison, number: int) -> tuple[str, str]:
    row = found.rows[number]
    return (
        found.before[row.before].text if row.before is not None else "",
        found.after[row.after].text if row.after is not None else "",
    )


def test_a_difference_leads_to_the_option_that_was_changed(home: Path) -> None:
    plain = side(home)
    changed = side(home, {"kernel.modules.sound": True, "network": "none"})
    assert causes(plain, changed, "kernel:") == {"kernel.modules.sound"}
    assert causes(plain, changed, "name: ntp") == {"network"}
    assert causes(plain, side(home, {"sshd.port": 22}), "-p22") == {"sshd.port"}


def test_without_options_on_the_other_side_it_leads_to_those_here(home: Path) -> None:
    full, static = side(home), side(home, {"network": "static", "network.addresses": ("192.0.2.1/24",)})
    yaml_only = replace(full, resolved=None)
    assert causes(yaml_only, static, "name: dhcp") == {"network"}
    assert causes(yaml_only, static, "192.0.2.1") == {"network.addresses"}
    foreign = Side(read("services: [{name: x, image: 'x:1'}]"))
    assert causes(foreign, full, "x:1") == {"extra.yaml"}
    assert causes(foreign, foreign_changed(), "x:2") == set()


def foreign_changed() -> Side:
    return Side(read("services: [{name: x, image: 'x:2'}]"))


def test_an_equal_row_leads_to_the_nearest_option(home: Path) -> None:
    made = side(home)
    found = compare.compare(made.config, made.config)
    row = next(n for n in range(len(found.rows)) if "servers pool" in shown_row(found, n)[0])
    assert compare.at_rows(found, [row], made, made) == ("ntp.servers",)
    assert compare.at_line(found.after[row], made)[0] == "ntp.servers"
    assert compare.at_line(found.after[row], replace(made, resolved=None)) == ()


def test_files_are_read_again_each_time(home: Path) -> None:
    made, key = document(home), home / ".ssh" / "id_ed25519.pub"
    saved = compare.always(made)[0]
    before = saved.load().config
    key.write_text(f"no-pty {key.read_text()}")
    after = saved.load().config
    assert "no-pty" in config.dump(after)
    assert before.services[0] is after.services[0], "what names no file is what it was"


def test_a_file_with_other_content_leads_to_the_option_that_names_it(home: Path) -> None:
    before, key = side(home), home / ".ssh" / "id_ed25519.pub"
    key.write_text(f"no-pty {key.read_text()}")
    assert causes(before, side(home), "no-pty") == {"sshd.authorized-keys", "sshd.generate-key"}
