"""The catalogue that is shipped: complete, in step with its neighbours, and every option has an effect."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from examples import EXAMPLES, SECOND, companions, needed, write_files

from thanos_tui import profile
from thanos_tui.errors import InputError
from thanos_tui.files import assets_dir
from thanos_tui.linuxkit import config
from thanos_tui.options import Option, Resolved, load, render, settings
from thanos_tui.options.describe import describe, document
from thanos_tui.options.expressions import Value
from thanos_tui.options.render import SETTINGS
from thanos_tui.options.values import to_text
from thanos_tui.settings import BuildSettings

CATALOGUE = load()
ROOT = Path(__file__).parents[2]


def others(option: Option) -> Iterator[Value]:
    """Values of an option, the default among them perhaps."""
    if option.type == "bool":
        yield from (False, True)
    elif option.type == "int":
        yield min(option.ranges[0].low + 7, option.ranges[0].high)
    elif option.type == "choice":
        yield from (choice.value for choice in option.values)
    elif option.values:
        yield from ((choice.value,) for choice in option.values)
    else:
        yield EXAMPLES[option.name]


def context(option: Option, value: Value) -> dict[str, Value]:
    """What else has to be set so that the option can have this value."""
    found = needed(CATALOGUE, option.depends)
    if option.type == "int":
        found |= needed(CATALOGUE, option.ranges[0].condition)
    for choice in option.values:
        if choice.value == value or (isinstance(value, tuple) and choice.value in value):
            found |= needed(CATALOGUE, choice.depends)
    return {"output.architecture": "amd64", **found}


@pytest.fixture
def place(tmp_path: Path, home: Path, public_key: str) -> Path:
    """A directory with the files that the examples name."""
    write_files(tmp_path, public_key)
    return tmp_path


def resolved_with(assignments: dict[str, Value]) -> Resolved:
    plain = profile.read("thanos: 1", "test")
    # As a user gives them: all at once, on the command line.
    return profile.override(plain, [f"{name}={to_text(value)}" for name, value in assignments.items()]).resolved


def effect(resolved: Resolved, place: Path) -> tuple[str, BuildSettings]:
    return config.dump(render(resolved, place, "test")), settings(resolved, place)


@pytest.mark.parametrize("option", CATALOGUE.options.values(), ids=lambda option: option.name)
def test_every_value_has_an_effect(option: Option, place: Path) -> None:
    seen: list[tuple[tuple[str, BuildSettings], Value]] = []
    for value in others(option):
        beside = {name: given for name, given in context(option, value).items() if name != option.name}
        chosen = {**beside, option.name: value}
        beside |= companions(CATALOGUE, beside)
        if option.name in SECOND:
            beside[option.name] = SECOND[option.name]
        with_default, with_value = resolved_with(beside), resolved_with({**chosen, **companions(CATALOGUE, chosen)})
        assert with_value[option.name].value == value
        before, after = effect(with_default, place), effect(with_value, place)
        assert (before == after) == (with_default[option.name].value == value), f"{option.name} = {value} has no effect"
        assert all(after != other for other, _ in seen), f"{option.name} = {value} does the same as {seen}"
        seen.append((after, value))
    assert seen


def test_rendering_twice_gives_the_same(place: Path) -> None:
    everything = {
        "kernel.modules.physical": True,
        "extra.files": EXAMPLES["extra.files"],
        "ntp.servers": ("b.example", "a.example"),
    }
    assert effect(resolved_with(everything), place) == effect(resolved_with(dict(reversed(everything.items()))), place)


def test_rendered_yaml_reads_back_as_the_same_config(place: Path) -> None:
    rendered = render(resolved_with({}), place, "test")
    assert config.read(config.dump(rendered), "dump") == rendered


def test_the_default_is_thanos(place: Path) -> None:
    rendered = render(profile.load(ROOT / "profiles" / "thanos.thanos").resolved, place, "thanos")
    assert rendered.kernel.image == "localhost/thanos/kernel:graphics-hyperv-qemu-sound-virtualbox-vmware"
    assert {service.name for service in rendered.services} == {"dhcp", "getty", "ntp", "rngd", "sshd", "stark"}
    assert [item.name for item in rendered.onboot] == ["sysctl", "dhcp", "storage"]
    keys = next(item for item in rendered.files if item.path == "root/.ssh/authorized_keys")
    assert keys.mode == "0600"


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.thanos")), ids=lambda path: path.name)
def test_shipped_profiles_render(path: Path, place: Path) -> None:
    loaded = profile.load(path)
    assert profile.to_text(loaded.resolved, path.read_text()) == path.read_text()
    assert render(loaded.resolved, loaded.directory, loaded.name).kernel.image
    assert settings(loaded.resolved, loaded.directory).name == path.stem


def test_formats_are_those_that_can_be_made() -> None:
    formats = yaml.safe_load((assets_dir() / "linuxkit" / "formats.yml").read_text())
    offered = {choice.value: choice for choice in CATALOGUE.options["output.formats"].values}
    assert list(offered) == [item["name"] for item in formats]
    for item in formats:
        only = str(offered[item["name"]].depends)
        assert only == (f"output.architecture = {item['arch'][0]}" if "arch" in item else "always")


def test_settings_are_complete() -> None:
    given = [option.setting for option in CATALOGUE.options.values() if option.setting]
    assert sorted(given) == sorted(SETTINGS)


def test_every_component_has_a_recipe(place: Path) -> None:
    recipes = assets_dir() / "linuxkit" / "recipes"
    modules = {name.rpartition(".")[2] for name in CATALOGUE.options if name.startswith("kernel.modules.")}
    assert modules - {"all"} == set(
        yaml.safe_load((recipes / "kernel" / "recipe.yml").read_text())["kernel"]["modules"]
    ) - {"base"}
    for network in ("dhcp", "static"):
        needed = {"network": network, "network.addresses": ("192.0.2.10/24",)} if network == "static" else {}
        rendered = render(resolved_with(needed), place, "test")
        images = [rendered.kernel.image, *rendered.init, *(item.image for _, _, item in rendered.components())]
        for image in images:
            name = image.removeprefix("localhost/thanos/").partition(":")[0]
            assert (recipes / name / "recipe.yml").is_file(), image


def test_the_page_of_options_is_current() -> None:
    page = (ROOT / "docs" / "options.md").read_text()
    assert page == document(CATALOGUE), "run: python -m thanos_tui.options.describe > docs/options.md"


def test_descriptions() -> None:
    resolved = resolved_with({"network": "none"})
    everything = describe(resolved)
    assert [item["name"] for item in everything] == list(CATALOGUE.options)
    (sshd,) = [item for item in describe(resolved, "sshd") if item["name"] == "sshd"]
    assert sshd["value"] is False
    assert "it needs containerd && network != none" in sshd["why_not"]
    assert {item["name"] for item in describe(resolved, "kernel.modules")} == {
        name for name in CATALOGUE.options if name.startswith("kernel.modules.")
    }
    network = describe(resolved, "network")[0]
    assert (network["value"], network["origin"]) == ("none", "--set network=none")
    with pytest.raises(InputError, match=r"there is no option 'sshd\.prot'") as caught:
        describe(resolved, "sshd.prot")
    assert "did you mean" in str(caught.value)


def test_loading_is_light() -> None:
    code = (
        "import sys; from thanos_tui import profile; profile.read('thanos: 1', 'x');"
        "heavy = {'rich', 'asyncssh', 'cryptography', 'elftools', 'zstandard', 'textual', 'asyncio', 'ssl'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
