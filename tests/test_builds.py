"""What is remembered of builds: outputs, configs, sizes and times, and what becomes of it when a build comes again."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from thanos_tui import builds
from thanos_tui.builds import Build, PartSize
from thanos_tui.events import Reporter, Took
from thanos_tui.linuxkit.config import read


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "thanos-tui"


def made(name: str = "box", *outputs: str, profile: str = "/p/box.thanos", **facts: object) -> Build:
    build = Build(name, profile, outputs or (f"/out/{name}-kernel",), 512, 2, "amd64", None, None)
    return replace(build, **facts)  # type: ignore[arg-type]


def config(image: str = "linuxkit/sshd:1") -> builds.Config:
    return read(f"services:\n  - name: sshd\n    image: {image}\n", "test.yml")


def configs(state: Path) -> list[Path]:
    return sorted((state / "configs").glob("*"))


def test_everything_comes_back_as_it_was(state: Path) -> None:
    parts = (PartSize("kernel", "kernel", "k:1", 8_000_000), PartSize("services[0]", "sshd", "s:1", 5))
    build = builds.remember(made(parts=parts, steps=(Took("segments", 2.5, 100),)), config())
    assert builds.builds() == [build]
    assert builds.config_of(build) == config()
    assert stat.S_IMODE(configs(state)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "builds.json").stat().st_mode) == 0o600


def test_records_of_earlier_versions_are_read(state: Path) -> None:
    old = {
        "name": "box",
        "profile": "",
        "outputs": ["/out/box-kernel"],
        "memory_mib": 512,
        "cpus": 2,
        "architecture": "amd64",
        "ssh_port": 1234,
        "identity": None,
    }
    state.mkdir()
    (state / "builds.json").write_text(json.dumps([old]))
    build = builds.builds()[0]
    assert (build.parts, build.steps, build.config) == ((), (), "")
    assert builds.config_of(build) is None
    assert builds.built_as(Path("/out/box-kernel")) == build


@pytest.mark.parametrize("damage", ["", "{", "[{}]", '[{"outputs": 3}]', '[{"outputs": [], "parts": [{"x": 1}]}]'])
def test_a_damaged_record_counts_as_none(state: Path, damage: str) -> None:
    builds.remember(made(), config())
    (state / "builds.json").write_text(damage)
    assert builds.builds() == []
    builds.remember(made(), config())
    assert len(builds.builds()) == 1


def test_configs_go_with_their_builds(state: Path) -> None:
    first = builds.remember(made(), config("a:1"))
    other = builds.remember(made("other", profile="/p/other.thanos"), config("b:1"))
    same = builds.remember(made("same", profile="/p/same.thanos"), config("a:1"))
    assert first.config == same.config
    assert len(configs(state)) == 2
    again = builds.remember(made(), config("c:1"))
    assert len(configs(state)) == 3
    builds.remember(made("same", profile="/p/same.thanos"), config("b:1"))
    assert {path.name for path in configs(state)} == {again.config, other.config}


def test_a_damaged_config_counts_as_none(state: Path) -> None:
    build = builds.remember(made(), config())
    configs(state)[0].write_text("services: [")
    assert builds.config_of(build) is None
    configs(state)[0].unlink()
    assert builds.config_of(build) is None


def test_sizes_are_the_latest_known_of_each_image() -> None:
    def parts(**sizes: int) -> tuple[PartSize, ...]:
        return tuple(
            PartSize(f"services[{n}]", name, f"{name}:1", size) for n, (name, size) in enumerate(sizes.items())
        )

    builds.remember(made("old", parts=parts(sshd=5, dhcp=7)))
    builds.remember(made("new", parts=(*parts(sshd=6), PartSize("onboot[0]", "again", "sshd:1", 1))))
    assert builds.sizes() == {"sshd:1": 7, "dhcp:1": 7}


def test_times_survive_a_build_that_had_nothing_to_do() -> None:
    builds.remember(made(steps=(Took("images/sshd", 4.0, 10), Took("segments", 2.0, 20))))
    build = builds.remember(made(steps=(Took("segments", 3.0, 30),)))
    assert {step.step: step.seconds for step in build.steps} == {"images/sshd": 4.0, "segments": 3.0}
    assert builds.took()["segments"] == Took("segments", 3.0, 30)


def test_the_build_before() -> None:
    known = [made("a", profile="/p/a"), made("b", "/out/x", profile=""), made("b", profile="/p/b")]
    assert builds.previous("/p/a", (), known) == known[0]
    assert builds.previous("/new", ("/out/x", "/out/y"), known) == known[1]
    assert builds.previous("", ("/out/c",), known) is None


def test_a_reporter_keeps_how_long_steps_took() -> None:
    reporter = Reporter()
    with reporter.step("a", "A", 10, "bytes") as step:
        step.advance(4)
    with pytest.raises(RuntimeError), reporter.step("b", "B"):
        raise RuntimeError
    assert [(took.step, took.amount) for took in reporter.took] == [("a", 10)]


def test_what_can_be_booted_is_what_is_still_there(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()
        builds.remember(made(name, str(tmp_path / name), str(tmp_path / f"{name}.gone"), profile=name))
    builds.remember(made("tar", profile="tar", outputs=()))
    assert builds.bootable() == [str(tmp_path / "two"), str(tmp_path / "one")]


@pytest.mark.parametrize(("port", "guest"), [(2222, 2222), (None, 1234)])
def test_a_machine_is_as_its_build_says(port: int | None, guest: int) -> None:
    settings = builds.settings_for(made(memory_mib=768, cpus=3, architecture="arm64", ssh_port=port))
    assert (settings.memory_mib, settings.cpus, settings.architecture) == (768, 3, "arm64")
    assert settings.guest_ssh_port == guest
