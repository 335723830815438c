"""From the config back to the options: every option that changes the config is found behind what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from examples import EXAMPLES, SECOND, companions, needed, write_files

from thanos_tui import profile
from thanos_tui.linuxkit import diff
from thanos_tui.linuxkit.config import Config
from thanos_tui.options import (
    Catalogue,
    Option,
    Resolved,
    expressions,
    load,
    make_profile_key,
    render,
    resolve,
    templates,
)
from thanos_tui.options.expressions import Value
from thanos_tui.options.filters import Surroundings, make_filters
from thanos_tui.options.render import profile_key
from thanos_tui.options.sources import Sources, _Scope, _trace, behind, causes, nearest, possible, trace, why_absent
from thanos_tui.options.values import to_text

CATALOGUE = load()


@pytest.fixture
def place(tmp_path: Path, home: Path, public_key: str) -> Path:
    """A directory with the files that the examples name."""
    write_files(tmp_path, public_key)
    return tmp_path


def resolved_with(values: Mapping[str, Value]) -> Resolved:
    plain = profile.read("thanos: 1", "test")
    values = {**companions(CATALOGUE, values), **values}
    return profile.override(plain, [f"{name}={to_text(value)}" for name, value in values.items()]).resolved


def traced(resolved: Resolved, place: Path) -> tuple[Config, Sources]:
    made = render(resolved, place, "test", make_key=False)
    return made, trace(resolved, place, "test", made)


def values_of(option: Option) -> Iterator[Value]:
    if option.type == "bool":
        yield from (False, True)
    elif option.type == "int":
        yield min(option.ranges[0].low + 7, option.ranges[0].high)
    elif option.values:
        for choice in option.values:
            yield choice.value if option.type == "choice" else (choice.value,)
    else:
        yield EXAMPLES[option.name]


def surroundings(option: Option, value: Value) -> dict[str, Value]:
    """What has to be set beside an option that is to have a value."""
    found = needed(CATALOGUE, option.depends)
    if option.type == "int":
        found |= needed(CATALOGUE, option.ranges[0].condition)
    for choice in option.values:
        if value in (choice.value, (choice.value,)):
            found |= needed(CATALOGUE, choice.depends)
    found.pop(option.name, None)
    return found


def named_in_the_change(before: tuple[Config, Sources], after: tuple[Config, Sources]) -> set[str]:
    """The options behind every line of one config that the other one does not have."""
    secrets: dict[str, int] = {}
    names: set[str] = set()
    sides = [(diff.lines(made, secrets), behind_it) for made, behind_it in (before, after)]
    for (lines, origins), (others, _) in zip(sides, reversed(sides), strict=True):
        there = {(line.entry, line.text) for line in others}
        for line in lines:
            if (line.entry, line.text) not in there:
                names.update(origins.of(line.path))
    return names


@pytest.mark.parametrize("name", CATALOGUE.options)
def test_what_an_option_changes_is_traced_back_to_it(name: str, place: Path) -> None:
    option = CATALOGUE.options[name]
    changed = False
    for value in values_of(option):
        beside = surroundings(option, value)
        if name in SECOND:
            beside[name] = SECOND[name]
        if name == "sshd.generate-key":
            make_profile_key("test")  # as a build does; without it the option has no effect on what is shown
            before_it = traced(resolved_with(beside), place)
            assert "sshd.generate-key" in before_it[1].of(path_of(before_it[0], "root/.ssh/authorized_keys"))
            return
        plain, given = resolved_with(beside), resolved_with({**beside, name: value})
        before, after = traced(plain, place), traced(given, place)
        if before[0] == after[0]:
            continue
        changed = True
        found = named_in_the_change(before, after)
        assert name in behind(CATALOGUE, found), f"{name} = {value} changed the config, and only {found} were found"
        assert name in causes(tuple(found), plain, given)
    also_in_config = ("alsa.device", "output.architecture", "sshd.port", "x11.outputs", "x11.resolution")
    assert changed != bool(option.setting and name not in also_in_config)


def path_of(made: Config, file: str) -> tuple[str | int, ...]:
    return ("files", [item.path for item in made.files].index(file), "contents")


SETS: tuple[dict[str, Value], ...] = (
    {},
    {"network": "static", **{name: EXAMPLES[name] for name in EXAMPLES if name.startswith("network.")}},
    {"network": "none", "containerd": False},
    {"kernel.modules.all": True, "rngd.source": "jitter", "sshd.port": 22, "network.interface": "eth1"},
    {name: False for name in CATALOGUE.options if name.startswith("kernel.modules.")},
    {name: EXAMPLES[name] for name in ("extra.files", "sysctl.settings", "getty.password", "ntp.servers")},
    {"getty.insecure": True, "kernel.cmdline": "", "hostname": "", "containerd.log-level": "debug"},
)


@pytest.mark.parametrize("values", SETS, ids=lambda values: ",".join(values)[:40] or "defaults")
def test_tracing_sees_the_config_that_rendering_makes(values: dict[str, Value], place: Path) -> None:
    """The two walk the templates each in its own way, so they are held together here."""
    resolved = resolved_with(values)
    key = profile_key("test")
    filters = make_filters(Surroundings(place, profile_key=key if key.exists() else None))
    for contribution in CATALOGUE.contributions:
        if expressions.holds(contribution.condition, resolved.values):
            filled, _ = _trace(contribution.template, _Scope(resolved.values, filters), ())
            assert filled == templates.fill(contribution.template, resolved.values, filters)


def names_at(values: dict[str, Value], place: Path) -> Callable[..., tuple[str, ...]]:
    return traced(resolved_with(values), place)[1].of


def test_values_know_the_options_they_are_made_of(place: Path) -> None:
    of = names_at({"rngd.source": "jitter"}, place)
    assert of(("kernel", "cmdline")) == ("kernel.consoles", "kernel.cmdline")
    modules = {name for name in CATALOGUE.options if name.startswith("kernel.modules.")}
    assert set(of(("kernel", "image"))) == {*modules, "images.components"}
    services = [item.name for item in render(resolved_with({}), place, "test").services]
    assert of(("services", services.index("rngd"), "command", 1))[0] == "rngd.source"
    assert "rngd.source" not in of(("services", services.index("rngd"), "image"))
    assert of(("init", 0)) == ("images.components",)
    assert of(("init", 2)) == ("containerd", "images.components")


def test_elements_spliced_into_a_list_are_told_apart(place: Path) -> None:
    made, origins = traced(resolved_with(SETS[1]), place)
    index = [item.name for item in made.onboot].index("static")
    command = made.onboot[index].command or ()
    nearest_names = {word: origins.of(("onboot", index, "command", at))[0] for at, word in enumerate(command)}
    assert nearest_names["192.0.2.10/24"] == "network.addresses"
    assert nearest_names["192.0.2.54"] == "network.dns"
    assert nearest_names["192.0.2.1"] == "network.gateways"


def test_what_merged_yaml_brings_is_its_own(place: Path) -> None:
    made, origins = traced(resolved_with({"extra.yaml": ("more.yml",), "extra.files": ("/etc/motd=motd",)}), place)
    last = len(made.services) - 1
    assert made.services[last].name == "more"
    assert origins.of(("services", last, "image")) == ("extra.yaml",)
    assert origins.of(("kernel", "cmdline")) == ("extra.yaml",)
    assert "extra.yaml" not in origins.of(("kernel", "image"))
    assert origins.of(path_of(made, "etc/motd")) == ("extra.files",)


def test_the_nearest_are_those_that_no_other_needs(place: Path) -> None:
    resolved = resolved_with({})
    assert nearest(resolved, ("containerd", "ntp", "ntp.servers")) == ("ntp.servers",)
    assert nearest(resolved, ("sshd.authorized-keys", "sshd.generate-key", "containerd", "sshd")) == (
        "sshd.authorized-keys",
        "sshd.generate-key",
    )
    everything = resolved_with({"kernel.modules.all": True})
    modules = tuple(name for name in CATALOGUE.options if name.startswith("kernel.modules."))
    assert nearest(everything, modules) == ("kernel.modules.all",)


def test_the_cause_is_what_somebody_changed(place: Path) -> None:
    """Without a network there is no time service: the network is to blame, not the service."""
    before, after = resolved_with({}), resolved_with({"network": "none"})
    assert causes(("ntp", "containerd"), before, after) == ("network",)
    assert causes(("ntp.servers",), before, resolved_with({"ntp.servers": ("a.example",)})) == ("ntp.servers",)
    # Nothing is set otherwise: a file that an option names has changed.
    assert causes(("sshd", "sshd.authorized-keys"), before, before) == ("sshd.authorized-keys",)


def test_an_entry_that_is_missing_here_could_come_from(place: Path) -> None:
    resolved = resolved_with({"network": "static", "network.addresses": EXAMPLES["network.addresses"]})
    assert possible(resolved, ("onboot", "dhcp")) == ("network",)
    assert possible(resolved, ("files", "etc/getty.shadow")) == ("getty.password",)
    assert possible(resolved, ("services", "somebody's")) == ("extra.yaml",)
    assert possible(resolved, ("files", "opt/thing")) == ("extra.files", "extra.yaml")
    assert set(possible(resolved, ("services", "rngd #2"))) == {
        "containerd",
        "images.components",
        "rngd",
        "rngd.source",
    }


def test_why_an_option_is_not_in_the_yaml(place: Path) -> None:
    resolved = resolved_with({"network": "none"})
    assert "about the build" in why_absent(resolved, "output.compression")
    assert "not available" in why_absent(resolved, "ntp")
    assert "is off" in why_absent(resolved, "getty.insecure")
    assert "is empty" in why_absent(resolved, "sysctl.settings")
    assert "as it is set" in why_absent(resolved, "containerd.log-level")


def test_conditions_around_a_template_count(make_catalogue: Callable[[str], Catalogue], home: Path) -> None:
    catalogue = make_catalogue(
        """
        menu: M
        help: H
        items:
          - {option: a, type: bool, prompt: A, help: A}
          - {option: b, type: bool, prompt: B, help: B}
          - {option: c, type: string, prompt: C, help: C, default: text}
          - {option: d, type: list, prompt: D, help: D, default: [x, y]}
        config:
          - if: '!a'
            services:
              - name: one
                image: {first: [{if: b, then: 'b:1'}, {let: {n: '${c}'}, in: 'n:${n}'}]}
                env: [{if: b, then: B=1, else: B=0}, '${d}', {join: ',', of: ['${d}']}]
        """
    )
    resolved = resolve(catalogue, {})
    made = render(resolved, home, "test")
    of = trace(resolved, home, "test", made).of
    assert made.services[0].image == "n:text"
    assert of(("services", 0, "name")) == ("a",)
    assert of(("services", 0, "image")) == ("c", "b", "a")
    assert [of(("services", 0, "env", index)) for index in range(4)] == [("b", "a"), ("d", "a"), ("d", "a"), ("d", "a")]
