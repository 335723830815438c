"""The wheel, installed where nothing of the checkout can be seen, builds a profile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import replays

from thanos_tui.files import cache_dir

pytestmark = pytest.mark.network

CHECKOUT = Path(__file__).parents[1]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZ+qYbWFkMnS2ShFpwqq1vr9pcPDFxurtWw194nnNSK somebody"


def _run(*words: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program to its end, without what would lead Python back to the checkout; what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env={**kept, **variables}, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what is checked out, built as anybody would."""
    place = tmp_path_factory.mktemp("wheel")
    # From a copy: builders put their leftovers beside the sources.
    tracked = ("thanos_tui", "assets", "profiles", "stark", "pyproject.toml", "README.md", "LICENSE")
    source = place / "source"
    source.mkdir()
    for name in tracked:
        path = CHECKOUT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, source / name)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place, source, cwd=place)
    (made,) = place.glob("*.whl")
    shutil.rmtree(source)
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, installed with its dependencies into an environment that was empty."""
    place = tmp_path_factory.mktemp("environment")
    # With the pip that is here: unpacking another one takes longer than everything else.
    _run(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel, cwd=place)
    return place / "venv" / "bin" / "thanos-tui"


def test_the_wheel_holds_all_assets_and_profiles_and_no_tests(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    for directory in ("assets", "profiles", "stark"):
        prefix = f"thanos_tui/{directory}/"
        inside = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        place = CHECKOUT / directory
        tracked = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
        assert {name for name in tracked if "__pycache__" not in name} == inside
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"thanos_tui"}


def test_it_replays_a_profile_from_another_directory(program: Path, tmp_path: Path) -> None:
    python = program.with_name("python")
    where = _run(
        python, "-c", "from thanos_tui import files; print(files.assets_dir(), files.profiles_dir())", cwd=tmp_path
    )
    for place in where.split():
        assert Path(place).is_relative_to(program.parents[1])
        assert Path(place).is_dir()
    shutil.copy(CHECKOUT / "profiles" / "minimal.thanos", tmp_path)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(KEY + "\n")
    # Packages and images are the tests' own user's; that their recipes are found proves the assets.
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache_dir().parent)}
    own |= {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_DATA_HOME": str(tmp_path / "data")}
    words = ["--replay", "minimal.thanos", "--format", "kernel+initrd", "--output", "out"]
    said = _run(program, *words, cwd=tmp_path, **own)
    names = ["minimal-kernel", "minimal-initrd.img", "minimal-cmdline"]
    assert said.splitlines() == [str(tmp_path / "out" / name) for name in names]
    # The same bytes as from the checkout.
    (tmp_path / "again").mkdir()
    _run(
        *(sys.executable, "-c", "from thanos_tui.cli import entry; entry()", *words[:-1], "again"),
        cwd=tmp_path,
        PYTHONPATH=str(CHECKOUT),
        **own,
    )
    assert replays.hashes(tmp_path / "out") == replays.hashes(tmp_path / "again")
