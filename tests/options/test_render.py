"""What rendering reads from the machine: keys, files, secrets, further YAML; and what it refuses."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from thanos_tui import keys, profile
from thanos_tui.errors import InputError
from thanos_tui.files import profiles_dir
from thanos_tui.linuxkit import config
from thanos_tui.linuxkit.config import Config, File
from thanos_tui.options import as_arguments, as_command, preview, profile_key, render, settings


def rendered(directory: Path, *assignments: str, name: str = "test", make_key: bool = True) -> Config:
    plain = profile.override(profile.read("thanos: 1", "test"), assignments)
    return render(plain.resolved, directory, name, make_key=make_key)


def file(made: Config, path: str) -> File:
    return next(item for item in made.files if item.path == path)


def authorized(made: Config) -> list[str]:
    return (file(made, "root/.ssh/authorized_keys").contents or "").splitlines()


def make_private(path: Path) -> str:
    """A key pair at ``path``; returns the private half's text."""
    keys.generate(path, "pair")
    return path.read_text()


# --- Keys


def test_by_default_the_users_public_keys(home: Path, public_key: str) -> None:
    assert authorized(rendered(home)) == [public_key]


def test_no_key_at_all_says_how_to_make_one(home: Path) -> None:
    (home / ".ssh" / "id_ed25519.pub").unlink()
    with pytest.raises(InputError, match="there is no SSH key to log in with") as caught:
        rendered(home)
    assert "ssh-keygen -t ed25519" in str(caught.value)
    assert "sshd.generate-key=true" in str(caught.value)
    rendered(home, "sshd=false")  # nobody has to log in


def test_a_preview_needs_no_key_but_refuses_a_private_one(home: Path) -> None:
    (home / ".ssh" / "id_ed25519.pub").unlink()
    resolved = profile.read("thanos: 1", "test").resolved
    made = preview(resolved, home, "test")
    assert authorized(made) == []
    assert list(home.glob(".local/share/thanos-tui/*")) == []
    keys.generate(home / "mine", "mine")
    (home / ".ssh" / "wrong.pub").write_text((home / "mine").read_text())
    with pytest.raises(InputError, match="is a private key"):
        preview(resolved, home, "test")


def test_keys_are_given_as_text_files_and_patterns_once_each(home: Path, public_key: str) -> None:
    (home / "a.pub").write_text(f"# mine\n\n{public_key}\n")
    other = keys.generate(home / "b", "b")
    made = rendered(home, f'sshd.authorized-keys=["{public_key}", "*.pub", "~/.ssh/id_ed25519.pub"]')
    assert authorized(made) == [public_key, other]


def test_the_same_key_with_options_is_kept_as_it_came_first(home: Path, public_key: str) -> None:
    made = rendered(home, f'sshd.authorized-keys=["no-pty {public_key}", "~/.ssh/*.pub"]')
    assert authorized(made) == [f"no-pty {public_key}"]


@pytest.mark.parametrize("how", ["key", "*", "key.pub"])
def test_a_private_key_is_refused_wherever_it_is(home: Path, how: str) -> None:
    private = make_private(home / "key")
    if how == "key.pub":
        (home / "key.pub").write_text(private)
    with pytest.raises(InputError, match="is a private key") as caught:
        rendered(home, f"sshd.authorized-keys={how}")
    assert private.splitlines()[1] not in str(caught.value)
    assert ".pub" in str(caught.value)


def test_a_private_key_as_text_is_refused(home: Path) -> None:
    body = "".join(make_private(home / "key").splitlines()[1:-1])
    with pytest.raises(InputError) as caught:
        rendered(home, f'sshd.authorized-keys=["ssh-ed25519 {body}"]')
    assert body not in str(caught.value)


def test_missing_and_broken_key_files(home: Path, public_key: str) -> None:
    with pytest.raises(InputError, match="there is no key file"):
        rendered(home, "sshd.authorized-keys=missing.pub")
    (home / "cut.pub").write_text(public_key[:40])
    with pytest.raises(InputError, match="damaged or cut off") as caught:
        rendered(home, "sshd.authorized-keys=cut.pub")
    assert f"{home}/cut.pub:1" in str(caught.value)
    (home / "large.pub").write_bytes(b"#" * 100_000)
    with pytest.raises(InputError, match="too large"):
        rendered(home, "sshd.authorized-keys=large.pub")
    with pytest.raises(InputError, match="cannot read the key file"):
        rendered(home, "sshd.authorized-keys=.ssh/../.ssh/")


def test_files_that_a_pattern_matches_by_chance_are_left_out(home: Path, public_key: str) -> None:
    (home / ".ssh" / "id_ed25519-cert.pub").write_text("ssh-ed25519-cert-v01@openssh.com AAAA me\n")
    assert authorized(rendered(home)) == [public_key]
    (home / ".ssh" / "id_ed25519.pub").unlink()
    with pytest.raises(InputError, match="certificate"):
        rendered(home)


def test_a_key_is_made_for_the_profile_on_request(home: Path, public_key: str) -> None:
    (home / ".ssh" / "id_ed25519.pub").unlink()
    with pytest.raises(InputError, match="no SSH key"):
        rendered(home, "sshd.generate-key=true", make_key=False)
    assert not profile_key("test").exists()
    made = rendered(home, "sshd.generate-key=true")
    path = profile_key("test")
    assert path == home / ".local/share/thanos-tui/keys/test/id_ed25519"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert authorized(made) == [keys.public_line(path)]
    # It stays, and counts from now on without being asked for; for this profile only.
    assert rendered(home) == made == rendered(home, "sshd.generate-key=true")
    with pytest.raises(InputError, match="no SSH key"):
        rendered(home, name="other")


# --- Files


def test_extra_files_and_directories(home: Path) -> None:
    tree = home / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (tree / "bin" / "hello").chmod(0o700)
    (tree / "link").symlink_to("bin/hello")
    (home / "named").symlink_to("tree/bin/hello")
    (tree / "data").write_bytes(b"\x00\xff")
    (tree / "empty").write_text("")
    made = rendered(home, "extra.files=/usr/local=tree,/etc/motd=tree/empty:0600,/usr/bin/named=named")
    assert file(made, "usr").directory
    assert file(made, "usr").mode == "0755"
    assert file(made, "usr/local/bin/hello").contents == "#!/bin/sh\necho hello\n"
    assert file(made, "usr/local/bin/hello").mode == "0755"
    assert file(made, "usr/local/link").symlink == "bin/hello"
    assert file(made, "usr/bin/named").contents == "#!/bin/sh\necho hello\n"
    assert file(made, "usr/local/data").source == str(tree / "data")
    assert file(made, "usr/local/empty").contents == ""
    assert file(made, "etc/motd").mode == "0600"
    paths = [item.path for item in made.files]
    assert paths.index("usr/local") < paths.index("usr/local/bin") < paths.index("usr/local/bin/hello")


def test_extra_files_that_cannot_be(home: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*missing: No such file"):
        rendered(home, "extra.files=/etc/x=missing")
    private = make_private(home / "key")
    with pytest.raises(InputError, match="holds a private key") as caught:
        rendered(home, "extra.files=/etc/ssh/key=key")
    assert private.splitlines()[1] not in str(caught.value)
    os.mkfifo(home / "pipe")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        rendered(home, "extra.files=/etc/x=pipe")


def test_far_too_many_files_are_a_mistake(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thanos_tui.options.filters.MOST_FILES", 5)
    (home / "tree").mkdir()
    for number in range(6):
        (home / "tree" / str(number)).touch()
    with pytest.raises(InputError, match="more than 5 files"):
        rendered(home, "extra.files=/opt=tree")


def test_a_loop_of_links_ends(home: Path) -> None:
    (home / "tree").mkdir()
    (home / "tree" / "again").symlink_to("../tree")
    made = rendered(home, "extra.files=/opt=tree")
    assert file(made, "opt/again").symlink == "../tree"


# --- Secrets


@pytest.mark.parametrize("reference", ["./hash", "$ROOT_HASH"])
def test_a_secret_comes_from_where_it_is_said_to_be(
    home: Path, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_HASH", "$6$salt$abc")
    (home / "hash").write_text("$6$salt$abc\n")
    shadow = file(rendered(home, f"getty.password={reference}"), "etc/getty.shadow")
    assert (shadow.contents, shadow.mode) == ("root:$6$salt$abc:::::::\n", "0600")


def test_secrets_that_cannot_be_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOT_HASH", raising=False)
    with pytest.raises(InputError, match="the environment variable ROOT_HASH is not set"):
        rendered(home, "getty.password=$ROOT_HASH")
    with pytest.raises(InputError, match="cannot read the secret in"):
        rendered(home, "getty.password=./hash")
    for bad in ("hunter2\n", "a\nb\n", ""):
        (home / "hash").write_text(bad)
        with pytest.raises(InputError) as caught:
            rendered(home, "getty.password=./hash")
        assert "hunter2" not in str(caught.value)
    (home / "hash").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no text"):
        rendered(home, "getty.password=./hash")


# --- LinuxKit YAML, settings, the command line


def test_yaml_is_merged_as_linuxkit_does(home: Path) -> None:
    (home / "one.yml").write_text("kernel: {cmdline: one}\nservices: [{name: one, image: one:1}]\n")
    (home / "two.yml").write_text("volumes: [{name: v}]\nservices: [{name: two, image: two:1, binds: ['v:/v']}]\n")
    made = rendered(home, "extra.yaml=one.yml,two.yml")
    assert made.kernel.cmdline == "one"
    assert made.kernel.image.startswith("localhost/thanos/kernel:")
    assert [service.name for service in made.services][-2:] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [{name: sshd, image: x}]", "sshd"),
        ("servces: []", r"more\.yml:1:1: .*servces"),
        ("a: b: c", r"more\.yml:1:5: not YAML"),
    ],
)
def test_yaml_that_cannot_be_merged(home: Path, text: str, message: str) -> None:
    (home / "more.yml").write_text(text)
    with pytest.raises(InputError, match=message):
        rendered(home, "extra.yaml=more.yml")


def test_missing_yaml_and_keyring(home: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*more\.yml: No such file"):
        rendered(home, "extra.yaml=more.yml")
    plain = profile.override(profile.read("thanos: 1", "test"), ["packages.keyring=keys.gpg"])
    with pytest.raises(InputError, match="there is no keyring"):
        settings(plain.resolved, home)
    (home / "keys.gpg").write_bytes(b"\x99")
    assert settings(plain.resolved, home).keyring == home / "keys.gpg"


def test_copied_as_a_command_it_does_the_same(home: Path) -> None:
    before = profile.read("thanos: 1\noptions: {hostname: box, ntp: false}", "test", path=Path("a b.thanos"))
    given = ["ntp=true", "kernel.cmdline=quiet it's", 'kernel.consoles=["ttyS0,115200"]', "sysctl=false"]
    after = profile.override(before, given)
    arguments = as_arguments(after.resolved, before.resolved)
    assert arguments[::2] == ["--set"] * 4
    again = profile.override(before, arguments[1::2])
    assert dict(again.resolved.values) == dict(after.resolved.values)
    command = as_command(after.resolved, before.resolved, Path("a b.thanos"))
    echoed = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert echoed.stdout.splitlines() == ["thanos-tui", "--replay", "a b.thanos", *arguments]


def test_values_cannot_break_out_of_the_yaml(home: Path) -> None:
    made = rendered(home, 'sysctl.settings=["a.b=x: {y: [z]}  # \\" \' &x *x"]', "kernel.cmdline=a: b # c")
    assert file(made, "etc/sysctl.d/90-profile.conf").contents == "a.b=x: {y: [z]}  # \" ' &x *x\n"
    assert config.read(config.dump(made), "again") == made


def test_linuxkits_own_components(home: Path, tmp_path: Path, public_key: str) -> None:
    plain = profile.load(profiles_dir() / "linuxkit.thanos")
    keyed = profile.override(plain, [f"sshd.authorized-keys={public_key}", "sysctl.settings=kernel.panic=1"])
    found = render(keyed.resolved, tmp_path, "linuxkit")
    images = found.images()
    assert all(image.startswith("linuxkit/") for image in images)
    assert all(":" in image for image in images)
    assert settings(keyed.resolved, tmp_path).ssh_port == 22
    # What asks for drivers that upstream's kernel has not cannot be had with it.
    for asked in ("stark=true", "kernel.modules.graphics=true", "sshd.port=1234"):
        with pytest.raises(InputError) as caught:
            profile.override(keyed, [asked])
        assert "images.components" in str(caught.value) or "22" in str(caught.value)
