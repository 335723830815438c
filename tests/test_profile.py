"""Profiles: read strictly, overridden from the command line, saved without losing anything."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thanos_tui import profile
from thanos_tui.errors import HostError, InputError
from thanos_tui.options import Assignment, Edited, InProfile, OnCommandLine, load, resolve
from thanos_tui.options.expressions import Value
from thanos_tui.options.values import FORMATS, ValueProblem, check

CATALOGUE = load()


def read(text: str) -> profile.Profile:
    return profile.read(text, "x.thanos")


def test_values_have_their_place() -> None:
    loaded = read("thanos: 1\noptions:\n  hostname: box\n")
    state = loaded.resolved["hostname"]
    assert state.value == "box"
    assert isinstance(state.origin, InProfile)
    assert str(state.origin) == "x.thanos:3:13"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^x\.thanos:1:1: this is no ThanOS profile.*\n  begin the file with the line `thanos: 1`"),
        ("- a", r"^x\.thanos:1:1: this is no ThanOS profile"),
        ("just text", r"^x\.thanos:1:1: this is no ThanOS profile"),
        ("options: {}", r"^x\.thanos:1:1: this is no ThanOS profile: the version"),
        ("thanos: one", r"^x\.thanos:1:9: the schema's version must be a number"),
        ("thanos: true", r"^x\.thanos:1:9: the schema's version must be a number"),
        ("thanos: 0", r"^x\.thanos:1:9: the schema's version must be a number"),
        ("thanos: 2", r"^x\.thanos:1:9: this profile has schema 2, and this thanos-tui knows schema 1\n  use a newer"),
        ("thanos: 1\nthanos: 1", r"^x\.thanos:2:1: the key `thanos` is given twice"),
        ("thanos: 1\noption: {}", r"^x\.thanos:2:1: unknown key 'option'"),
        ("thanos: 1\nhostname: x", r"^x\.thanos:2:1: unknown key 'hostname'.*\n  write it below `options:`"),
        ("thanos: 1\noptions: [a]", r"^x\.thanos:2:10: `options` must be a mapping"),
        (
            "thanos: 1\noptions:\n  hostnme: x",
            r"^x\.thanos:3:3: there is no option 'hostnme'\n  did you mean hostname\?",
        ),
        (
            "thanos: 1\noptions:\n  cpus: 2",
            r"^x\.thanos:3:3: there is no option 'cpus'\n  did you mean machine\.cpus\?",
        ),
        ("thanos: 1\noptions:\n  qqqqqq: x", r"there is no option 'qqqqqq'\n  `thanos-tui options` lists"),
        (
            "thanos: 1\noptions:\n  machine: {cpus: 2}",
            r"^x\.thanos:3:3: options are named in full: write machine\.cpus",
        ),
        ("thanos: 1\noptions:\n  hostname: a\n  hostname: b", r"^x\.thanos:4:3: the key `hostname` is given twice"),
        ("thanos: 1\noptions:\n  sshd: yes", r'^x\.thanos:3:9: sshd must be true or false, not "yes"'),
        ("thanos: 1\noptions:\n  machine.cpus: many", r"^x\.thanos:3:17: machine\.cpus must be a whole number"),
        ("thanos: 1\noptions:\n  machine.cpus: 999", r"^x\.thanos:3:17: machine\.cpus must be from 1 to 255, not 999"),
        (
            "thanos: 1\noptions:\n  hostname: 12",
            r'^x\.thanos:3:13: hostname must be text, not 12\n  write it in quotes: "12"',
        ),
        ("thanos: 1\noptions:\n  hostname:", r"hostname must be text, not nothing"),
        (
            "thanos: 1\noptions:\n  network: dchp",
            r"must be one of dhcp, static, none, not \"dchp\"\n  did you mean dhcp\?",
        ),
        (
            "thanos: 1\noptions:\n  output.formats:\n    - vhd\n    - vmdkx",
            r"^x\.thanos:5:7: output\.formats element 2 must be",
        ),
        (
            "thanos: 1\noptions:\n  network.gateways: [192.0.2.1]",
            r"^x\.thanos:3:21: network\.gateways has no effect here: it needs network = static \(network is dhcp\)",
        ),
        (
            "thanos: 1\noptions:\n  containerd: false\n  sshd: true",
            r"^x\.thanos:4:9: sshd has no effect here: it needs containerd \(containerd is off\)",
        ),
        (
            "thanos: 1\noptions:\n  network: static",
            r"^x\.thanos:3:12: network\.addresses must not be empty \(network = static\)",
        ),
        (
            "thanos: 1\noptions:\n  getty.password: hunter2",
            r"^x\.thanos:3:19: getty\.password must say where the secret is",
        ),
        ("thanos: 1\noptions: {a: b", r"^x\.thanos:2:10: not YAML"),
        ("thanos: 1\n\toptions: {}", r"^x\.thanos:2:1: not YAML"),
        ("thanos: 1\n---\nthanos: 1", r"^x\.thanos:2:1: a second document"),
        ("thanos: 1\noptions: {hostname: !!python/object:os.system x}", r"the tag .* is not known here"),
    ],
)
def test_bad_profiles(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    (tmp_path / "box.thanos").write_text("thanos: 1\n")
    with pytest.raises(InputError, match=r"there is no profile .*bx\.thanos") as caught:
        profile.load(tmp_path / "bx.thanos")
    assert "box.thanos" in (caught.value.hint or "")
    with pytest.raises(InputError, match="cannot read the profile"):
        profile.load(tmp_path)
    (tmp_path / "large").write_bytes(b"#" * (profile.LARGEST + 1))
    with pytest.raises(InputError, match="too large"):
        profile.load(tmp_path / "large")
    with pytest.raises(InputError, match="too large"):
        profile.load(Path("/dev/zero"))
    (tmp_path / "bytes").write_bytes(b"thanos: \xff")
    with pytest.raises(InputError, match=r"bytes:1:9: the byte 0xFF is not UTF-8"):
        profile.load(tmp_path / "bytes")


def test_the_name_of_the_output_is_that_of_the_profile(tmp_path: Path) -> None:
    for name, expected in (("box", "box"), ("my box (2)", "my-box-2-"), ("…", "thanos"), (".hidden", "hidden")):
        (tmp_path / f"{name}.thanos").write_text("thanos: 1\n")
        assert profile.load(tmp_path / f"{name}.thanos").resolved["output.name"].value == expected


# --- The command line


def test_the_command_line_counts_for_more() -> None:
    loaded = read("thanos: 1\noptions: {hostname: box, ntp.servers: [a.example]}")
    changed = profile.override(loaded, ["hostname=other", "ntp=off"], ["tar", "kernel+initrd"], "out")
    assert changed.resolved["hostname"].value == "other"
    assert changed.resolved["hostname"].origin == OnCommandLine("--set hostname=other")
    assert changed.resolved["output.formats"].value == ("tar", "kernel+initrd")
    assert str(changed.resolved["output.formats"].origin) == "--format tar --format kernel+initrd"
    assert changed.resolved["output.name"].value == "out"
    assert changed.resolved["ntp.servers"].value is None  # has no effect now, and that is nobody's mistake
    assert loaded.resolved["hostname"].value == "box"


@pytest.mark.parametrize(
    ("settings_", "formats", "message"),
    [
        (["hostname"], [], r"^--set hostname: a setting is OPTION=VALUE"),
        (["hostnme=x"], [], r"there is no option 'hostnme'\n  did you mean hostname\?"),
        (["machine.cpus=x"], [], r"^--set machine\.cpus=x: machine\.cpus must be a whole number"),
        (["network.gateways=192.0.2.1"], [], r"has no effect here: it needs network = static"),
        (["getty.password=hunter2"], [], r"^--set getty\.password=…: getty\.password must say where"),
        ([], ["vmkd"], r"^--format vmkd: output\.formats element 1 must be one of"),
        (["output.architecture=arm64"], [], r"^x\.thanos:2:27: output\.formats cannot be vhd: that needs"),
    ],
)
def test_bad_settings(settings_: list[str], formats: list[str], message: str) -> None:
    loaded = read("thanos: 1\noptions: {output.formats: [vhd], output.architecture: amd64}")
    with pytest.raises(InputError) as caught:
        profile.override(loaded, settings_, formats)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "hunter2" not in str(caught.value)


# --- Saving

COMMENTED = """\
# A box.
# Mine.
thanos: 1

options:
  # why it is called so
  hostname: box   # short
  ntp.servers:
    # at home
    - a.example
    - b.example

  # no screen
  getty: false
# the end
"""


def saved(text: str, *changes: str) -> str:
    loaded = profile.override(read(text), changes)
    after = profile.to_text(loaded.resolved, text)
    assert dict(read(after).resolved.values) == dict(loaded.resolved.values)
    return after


def test_saving_nothing_new_changes_nothing() -> None:
    assert saved(COMMENTED) == COMMENTED


def test_saving_a_change_changes_one_line() -> None:
    assert saved(COMMENTED, "hostname=other") == COMMENTED.replace("hostname: box   # short", "hostname: other")


def test_saving_the_default_takes_the_entry_away() -> None:
    assert saved(COMMENTED, "getty=true") == COMMENTED.replace("\n  # no screen\n  getty: false\n", "")


def test_saving_something_new_puts_it_where_the_catalogue_has_it() -> None:
    expected = COMMENTED.replace("  ntp.servers:", "  kernel.cmdline: debug\n  ntp.servers:").replace(
        "  # why", "  kernel.cmdline: debug\n  # why"
    )
    expected = COMMENTED.replace("options:\n", "options:\n  kernel.cmdline: debug\n")
    assert saved(COMMENTED, "kernel.cmdline=debug") == expected


def test_saving_a_form_of_its_own_keeps_what_is_above() -> None:
    text = "# Mine.\nthanos: 1\noptions: {hostname: box, ntp: false}\n"
    assert saved(text, "ntp=true") == "# Mine.\nthanos: 1\noptions:\n  hostname: box\n"


def test_saving_everything_at_its_default() -> None:
    assert saved("# Mine.\nthanos: 1\noptions:\n  ntp: false\n", "ntp=true") == "# Mine.\nthanos: 1\n"


def test_block_scalars_with_hashes_survive() -> None:
    text = 'thanos: 1\noptions:\n  kernel.cmdline: >-\n    a\n    #b\n  hostname: "box"\n'
    assert saved(text, "hostname=other").startswith("thanos: 1\noptions:\n  kernel.cmdline: ")
    assert read(saved(text, "hostname=other")).resolved["kernel.cmdline"].value == "a #b"
    assert read(saved(text, "hostname=thanos")).resolved["kernel.cmdline"].value == "a #b"


def test_saving_writes_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box.thanos"
    path.write_text(COMMENTED)
    changed = profile.override(profile.load(path), ["hostname=other"])
    profile.save(path, changed.resolved)
    assert profile.load(path).resolved["hostname"].value == "other"
    assert [item.name for item in tmp_path.iterdir()] == ["box.thanos"]

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_text()
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(HostError, match="No space left"):
        profile.save(path, profile.load(path).resolved)
    assert path.read_text() == before
    assert [item.name for item in tmp_path.iterdir()] == ["box.thanos"]


def test_saving_over_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"\xff\xfe binary", b"{ not: [yaml"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            profile.save(path, read("thanos: 1").resolved)
        assert path.read_bytes() == content


# --- Any values, any text

FORMAT_EXAMPLES = {
    "address": ["192.0.2.1", "2001:db8::1"],
    "address-prefix": ["192.0.2.10/24", "2001:db8::5/64"],
    "app": ["img:1", "--name two --memory 64 img:1 sh -c 'echo: #'", "--env A=b --no-x11 localhost/thanos/demo:base"],
    "archive": ["http://mirror.example/debian", "http://m.example/d trixie main"],
    "arguments": ["a=b", "quiet # x: y", "'", '"', "- a", "~", "null", "1.0", "é"],
    "extra-file": ["/etc/a=b", "/etc/a b=c d:0755", "/etc/x=~/y, z"],
    "host": ["a.example", "192.0.2.1"],
    "json-object": ["{}", '{"debug": true, "a": ["b", null]}'],
    "network-pool": ["10.99.0.0/16 24", "fd00::/48 64"],
    "path": ["./a", "~/b c", "/d: e", "[f", "no", "{g}", "*", "&h", "!i", "%j", "@k", "`l"],
    "resolution": ["auto", "1280x800"],
}


def values_of(name: str) -> st.SearchStrategy[Value]:
    option = CATALOGUE.options[name]
    if option.type == "bool":
        return st.booleans()
    if option.type == "int":
        return st.integers(option.ranges[0].low, option.ranges[0].high)
    if option.values:
        single: st.SearchStrategy[str] = st.sampled_from([choice.value for choice in option.values])
    elif option.secret:
        single = st.sampled_from(["$NAME", "./secret", "~/a b"])
    elif option.format:
        single = st.sampled_from(FORMAT_EXAMPLES[option.format])
    else:
        assert option.pattern is not None
        single = st.from_regex(option.pattern, fullmatch=True)
    if option.type == "list":
        return st.lists(single, unique=True, max_size=3).map(tuple)
    return single


ASSIGNMENTS = st.fixed_dictionaries({}, optional={name: values_of(name) for name in CATALOGUE.options})


def test_every_format_has_an_example() -> None:
    assert set(FORMAT_EXAMPLES) == set(FORMATS)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(ASSIGNMENTS, ASSIGNMENTS)
def test_what_is_saved_is_read_back(first: dict[str, Value], second: dict[str, Value]) -> None:
    before = ""
    for values in (first, second):
        given_values: dict[str, Assignment] = {}
        for name, value in values.items():
            try:
                given_values[name] = Assignment(check(CATALOGUE.options[name], value), Edited())
            except ValueProblem:  # from_regex also makes characters that no value may have
                continue
        resolved = resolve(CATALOGUE, given_values, profile.facts("thanos"))
        text = profile.to_text(resolved, before)
        assert text.startswith("thanos: 1\n")
        assert yaml.safe_load(text)["thanos"] == 1
        # A required value that is missing is the one thing a profile can be saved with and not be loaded.
        needed = [problem for problem in resolved.problems if problem.hint == "give it a value"]
        if needed:
            with pytest.raises(InputError, match="must not be empty"):
                read(text)
            return
        again = profile.read(text, "x.thanos")
        assert dict(again.resolved.values) == dict(resolved.values)
        assert profile.to_text(again.resolved, text) == text
        before = text


WORDS = st.sampled_from(
    [*CATALOGUE.options, "thanos", "options", "sshd.prot", "~", "<<", "yes", "1", "&a", "*a", "!!str"]
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(string.printable, max_size=12), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)


def only_input_errors(text: str | bytes) -> None:
    try:
        loaded = profile.read(text, "x.thanos")
    except InputError:
        return
    assert not loaded.resolved.problems
    profile.to_text(loaded.resolved, text if isinstance(text, str) else text.decode())


@settings(deadline=None)
@given(ANYTHING)
def test_fuzzed_values(data: object) -> None:
    only_input_errors(yaml.safe_dump({"thanos": 1, "options": data}, allow_unicode=True))
    only_input_errors(yaml.safe_dump({"thanos": data}, default_flow_style=True))


@settings(deadline=None)
@given(st.one_of(st.text(), st.binary(), st.text(alphabet="thanos: 1\n-[]{}&*!|>'\"#%@`,?~\t")))
def test_fuzzed_texts(text: str | bytes) -> None:
    only_input_errors(text)


@settings(deadline=None)
@given(st.integers(0, len(COMMENTED) - 1), st.text(max_size=3), st.integers(0, 5))
def test_fuzzed_edits(position: int, inserted: str, removed: int) -> None:
    only_input_errors(COMMENTED[:position] + inserted + COMMENTED[position + removed :])
