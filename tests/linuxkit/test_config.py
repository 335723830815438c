"""Reading, checking, merging and writing LinuxKit YAML."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thanos_tui.errors import InputError, Where
from thanos_tui.linuxkit import config, schema
from thanos_tui.linuxkit.config import Component, Config, Device, File, Kernel, Mount, Namespaces, Runtime, Volume
from thanos_tui.linuxkit.model import Resources

GOLDEN = Path(__file__).parent / "golden"


def one(text: str) -> Component:
    """The service that these keys make."""
    return config.read(f"services:\n  - name: web\n    image: shell:1\n    {text}\n", "x.yml").services[0]


def whole(*texts: str) -> Config:
    return config.merge([config.read(text, f"{number}.yml") for number, text in enumerate(texts, 1)])


def test_every_section_is_read() -> None:
    found = config.read(
        """
        kernel: {image: linux:6, cmdline: quiet, tar: none}
        init: [init:1, runc:1]
        volumes: [{name: data, readonly: true}]
        onboot: [{name: dhcp, image: dhcp:1, command: [/dhcp, '-1'], capabilities.add: [CAP_NET_ADMIN]}]
        onshutdown: [{name: bye, image: sh:1}]
        services: [{name: web, image: web:1, maskedPaths: [], uid: web, resources: {memory: {limit: 5}}}]
        files: [{path: etc/x, contents: "y", mode: "0644", gid: 5}]
        trust: {org: [linuxkit]}
        """,
        "x.yml",
    )
    assert found.kernel == Kernel(image="linux:6", cmdline="quiet", tar="none")
    assert found.init == ("init:1", "runc:1")
    assert found.volumes == (Volume("data", readonly=True),)
    assert found.onboot == (Component("dhcp", "dhcp:1", command=("/dhcp", "-1"), capabilities_add=("CAP_NET_ADMIN",)),)
    assert found.services[0].masked_paths == ()
    assert found.services[0].readonly_paths is None
    assert found.services[0].resources is not None
    assert found.services[0].resources.memory is not None
    assert found.services[0].resources.memory.limit == 5
    assert found.files == (File("etc/x", contents="y", mode="0644", gid=5),)
    assert found.files[0].permissions == 0o644


def test_values_remember_where_they_were_read() -> None:
    found = whole("init: [a:1]\nkernel:\n  image: k:1\n  cmdline: quiet", "init: [b:1]\nkernel: {cmdline: loud}")
    assert found.where_init(1) == Where("2.yml", 1, 8)
    assert found.kernel.where("image") == Where("1.yml", 3, 10)
    assert found.kernel.where("cmdline") == Where("2.yml", 2, 19)
    service = one("binds:\n      - /a:/b\n      - /c:/d")
    assert service.where("binds", 1) == Where("x.yml", 6, 9)
    assert service.where("binds", key=True) == Where("x.yml", 4, 5)
    assert Component("a", "b").where("binds") is None


SERVICE = "services:\n  - name: web\n    image: shell:1\n    "
REFUSED = [
    # In one container
    (SERVICE + "bind: [/a:/a]", "4:5", "no key `bind`", "`binds`"),
    (SERVICE + "ambient: [net_raw]", "4:15", "`net_raw`", "CAP_NET_RAW"),
    (SERVICE + "capabilities: [CAP_CHOWN, CAP_BREW]", "4:31", "`CAP_BREW`", ""),
    (SERVICE + "capabilities: [all, CAP_KILL]", "4:20", "`all`", "only one"),
    (SERVICE + "binds: [/data]", "4:13", "`/data`", "no destination"),
    (SERVICE + "binds: ['/data:']", "4:13", "`/data:`", "no destination"),
    (SERVICE + "binds.add: [':/data']", "4:17", "`:/data`", "no source"),
    (SERVICE + "binds: ['/a:/b:ro:z']", "4:13", "`/a:/b:ro:z`", "too many"),
    (SERVICE + "tmpfs: ['/tmp:size=1m:ro']", "4:13", "`/tmp:size=1m:ro`", "too many"),
    (SERVICE + "command: /bin/sh -c true", "4:14", "`command`", "list of strings"),
    (SERVICE + "command: [sleep, 5]", "4:22", "`command`", "`5` is a number"),
    (SERVICE + "readonly: yes", "4:15", "`readonly`", "`yes` is a string"),
    (SERVICE + "cwd: /a\n    cwd: /b", "5:5", "`cwd`", "twice"),
    (SERVICE + "cwd: relative", "4:10", "`cwd`", "absolute"),
    (SERVICE + "cwd:", "4:9", "`cwd`", "empty"),
    (SERVICE + "hostname: [a]", "4:15", "`hostname`", "a list"),
    (SERVICE + "net: hots", "4:10", "`hots`", "`host`"),
    (SERVICE + "devices: [{path: /dev/console, type: c}]", "4:15", "`/dev/console`", "no mode"),
    (SERVICE + "devices: [{path: /dev/x, mode: '0999'}]", "4:36", "`0999`", "octal"),
    (SERVICE + "devices: [{path: /dev/x, mode: 0666}]", "4:36", "`mode`", "`0666` is a number"),
    (SERVICE + "mounts: [{type: tmpfs}]", "4:14", "`tmpfs`", "no destination"),
    (SERVICE + "mounts: [{source: /y, destination: /x}]", "4:14", "`/x`", "no type"),
    (SERVICE + "mounts: [{source: /y}]", "4:14", "no type", ""),
    (SERVICE + "rlimits: ['files,1,2']", "4:15", "`files`", "nofile"),
    (SERVICE + "rlimits: ['nofile,100']", "4:15", "`nofile,100`", "hard"),
    (SERVICE + "rlimits: ['nofile,-1,100']", "4:15", "`-1`", "number"),
    (SERVICE + "rlimits: ['nofile,5,4']", "4:15", "`nofile,5,4`", "above"),
    (SERVICE + "rlimits: ['nofile,1,2,3']", "4:15", "`nofile,1,2,3`", "too many"),
    (SERVICE + "sysctl: {net.ipv4.ip_forward: 1}", "4:35", "`net.ipv4.ip_forward`", "quotes"),
    (SERVICE + "resources: {memory: {limits: 5}}", "4:26", "`limits`", "`resources.memory`"),
    (SERVICE + "resources: {memory: {limit: big}}", "4:33", "`limit`", "`big` is a string"),
    (SERVICE + "resources: {blockio: {weight: 70000}}", "4:35", "`weight`", "65535"),
    (SERVICE + "resources: {hugepageLimits: [{pageSize: 3, limit: 1}]}", "4:34", "`pageSize`", "power of two"),
    (SERVICE + "runtime: {bindNS: {network: /x}}", "4:24", "`network`", "`runtime.bindNS`"),
    (SERVICE + "oomScoreAdj: 1001", "4:18", "`oomScoreAdj`", "1000"),
    (SERVICE + "uid: -1", "4:10", "`uid`", "4294967294"),
    (SERVICE + "additionalGids: [1, true]", "4:25", "`additionalGids`", "true or false"),
    (SERVICE + "env: ['@pkg:../sshd']", "4:11", "`@pkg:../sshd`", "show-tag ../sshd"),
    ("services:\n  - name: web\n    command: [/bin/sh]", "2:5", "the container `web` has no `image`", ""),
    ("services:\n  - image: a", "2:5", "a container has no `name`", ""),
    ("services: [{name: ../../etc, image: a}]", "1:19", "`../../etc`", "directory"),
    ("services: [{name: '', image: a}]", "1:19", "named ``", ""),
    ("services: [{name: a, image: 'http://b/c'}]", "1:29", "`http://b/c`", "registry"),
    ("services: [web]", "1:12", "a container must be a mapping", "`web`"),
    # Other sections
    ("service: []", "1:1", "no key `service`", "`services`"),
    ("init: [a]\nservices:", "2:10", "`services`", "empty"),
    ("services: {}", "1:11", "`services`", "mapping"),
    ("init: [1]", "1:8", "`init`", "strings"),
    ("kernel: linux:6", "1:9", "`kernel`", "mapping"),
    ("kernel: {images: a}", "1:10", "`kernel` has no key `images`", "`image`"),
    ("trust: {orgs: [a]}", "1:9", "`orgs`", "`org`"),
    ("- a", "1:1", "mapping", ""),
    ("# nothing", "1:1", "`x.yml`", "nothing but comments"),
    ("a: [", "1:4", "`[`", "never closed"),
    ("volumes: [{name: Data}]", "1:18", "`Data`", "small letters"),
    ("volumes: [{readonly: true}]", "1:11", "`name`", ""),
    ("volumes: [{name: a, format: squashfs}]", "1:29", "`squashfs`", "oci"),
    ("volumes: [{name: a, format: docker}]", "1:29", "`a`", ""),
    ("volumes: [{name: a, platforms: [amd64]}]", "1:33", "`amd64`", "linux/amd64"),
    ("files: [{contents: hello}]", "1:9", "a file has no `path`", ""),
    ("files: [{path: a, mode: 0644, contents: x}]", "1:25", "`mode`", "`0644` is a number"),
    ("files: [{path: a, mode: '0888', contents: x}]", "1:25", "`0888`", "octal"),
    ("files: [{path: etc/motd}]", "1:9", "`etc/motd`", "no contents"),
    ("files: [{path: etc/motd, contents: '', source: y}]", "1:40", "`etc/motd`", "contents and source"),
    ("files: [{path: etc/conf, directory: true, contents: x}]", "1:43", "`etc/conf`", "contents"),
    ("files: [{path: a, symlink: b, contents: c}]", "1:19", "`a`", "contents and symlink"),
    ("files: [{path: a, metadata: toml}]", "1:29", "`toml`", "json"),
    ("files: [{path: ../a, contents: x}]", "1:16", "`../a`", "root"),
    ("files: [{path: //, directory: true}]", "1:16", "`//`", "root"),
]


@pytest.mark.parametrize(("text", "place", "names", "also"), REFUSED)
def test_what_is_refused_says_where_and_what(text: str, place: str, names: str, also: str) -> None:
    with pytest.raises(InputError) as caught:
        config.read(text, "x.yml")
    assert str(caught.value.where) == f"x.yml:{place}"
    assert names in str(caught.value)
    assert also in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "place", "names"),
    [
        (["services: [{name: a, image: b}, {name: a, image: c}]"], "1.yml:1:40", "`a` is used twice"),
        (["services: [{name: a, image: b}]"] * 2, "2.yml:1:19", "`a` is used twice\n  the first one is at 1.yml:1:19"),
        (["volumes: [{name: a}]"] * 2, "2.yml:1:18", "the volume name `a` is used twice"),
        (["services: [{name: a, image: b, binds: ['cache:/x']}]"], "1.yml:1:40", "`cache` is not declared"),
        (
            ["services: [{name: a, image: b, mounts: [{type: bind, source: c, destination: /x}]}]"],
            "1.yml:1:41",
            "`c` is not declared",
        ),
        (
            ["volumes: [{name: d, readonly: true}]", "onboot: [{name: a, image: b, binds.add: ['d:/x']}]"],
            "2.yml:1:42",
            "`d` is read-only",
        ),
        (
            ["volumes: [{name: d, readonly: true}]\nonboot: [{name: a, image: b, binds: ['d:/x:ro,rw']}]"],
            "1.yml:2:38",
            "`d` is read-only",
        ),
        (["services: [{name: web, image: b, uid: wbe}]"], "1.yml:1:39", "`wbe` is not the name of a container"),
        (["services: [{name: web, image: b, gid: '7'}]"], "1.yml:1:39", "without quotes"),
        (["services: [{name: web, image: b, additionalGids: [x]}]"], "1.yml:1:51", "`x`"),
        (["files: [{path: a, contents: b, uid: www-data}]"], "1.yml:1:37", "`www-data`"),
    ],
)
def test_what_only_the_whole_tells(texts: list[str], place: str, names: str) -> None:
    with pytest.raises(InputError) as caught:
        whole(*texts)
    assert str(caught.value.where) == place
    assert names in str(caught.value)


def test_merging_replaces_kernel_fields_and_joins_lists() -> None:
    found = whole(
        "kernel: {image: a, cmdline: x, tar: none}\ninit: [i:1]\nonboot: [{name: s, image: x}]",
        "kernel: {cmdline: '', binary: b, ucode: u}\nonboot: [{name: s, image: y}]",
        "kernel: {tar: ''}\ninit: [i:2]",
    )
    assert found.kernel == Kernel(image="a", cmdline="x", binary="b", tar="", ucode="u")
    assert found.init == ("i:1", "i:2")
    assert [item.image for item in found.onboot] == ["x", "y"]


def test_volumes_of_all_files_count() -> None:
    found = whole("volumes: [{name: data}]", "services: [{name: a, image: b, binds: ['data:/x'], uid: a}]")
    assert found.volumes[0].directory == "containers/volumes/data"


def test_reading_files_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yml").write_text("init: [a:1]")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"init: [b:1]")))
    assert config.read_files([tmp_path / "a.yml", "-"]).init == ("a:1", "b:1")
    with pytest.raises(InputError, match=r"none\.yml"):
        config.read_files([tmp_path / "none.yml"])
    (tmp_path / "b.yml").write_bytes(b"init: [\xff]")
    with pytest.raises(InputError) as caught:
        config.read_files([tmp_path / "b.yml"])
    assert caught.value.where == Where(str(tmp_path / "b.yml"), 1, 8)


def test_upstream_mode_takes_what_upstream_takes() -> None:
    text = "services: [{name: a, image: b, command: ['@x', y], uid: -1}]\nfiles: [{path: l, symlink: a, contents: b}]"
    found = config.read(text, "x.yml", compat="upstream")
    assert found.services[0].command == ("", "y")
    assert found.services[0].uid == -1
    assert found.files[0].symlink == "a"
    with pytest.raises(InputError):
        config.read("files: [{path: ../x, contents: y}]", "x.yml", compat="upstream")


def test_the_second_document_is_not_looked_at() -> None:
    assert config.read("init: [a:1]\n---\nservices: not read", "x").init == ("a:1",)
    assert config.read("{}", "x") == Config()


def test_dump_is_readable_and_complete() -> None:
    made = Config(
        kernel=Kernel("linux:6", "console=ttyS0", tar=""),
        init=("init:1",),
        services=(
            Component("sshd", "sshd:1", env=(), command=("/sshd", "-e"), sysctl={"b": "1", "a": "on"}, readonly=False),
        ),
        files=(File("etc/motd", contents="one\ntwo\n", mode="0644"), File("srv", directory=True)),
    )
    assert config.dump(made) == (
        'kernel:\n  image: linux:6\n  cmdline: console=ttyS0\n  tar: ""\n'
        "init:\n  - init:1\n"
        'services:\n  - name: sshd\n    image: sshd:1\n    command:\n      - /sshd\n      - "-e"\n    env: []\n'
        '    readonly: false\n    sysctl:\n      a: "on"\n      b: "1"\n'
        'files:\n  - path: etc/motd\n    contents: |\n      one\n      two\n    mode: "0644"\n'
        "  - path: srv\n    directory: true\n"
    )
    assert config.read(config.dump(made), "x") == made


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yml")), ids=lambda path: path.stem)
def test_dump_reads_back_what_was_read(path: Path) -> None:
    found = config.read_files([path])
    assert config.read_files([path]) == found
    assert config.read(config.dump(found), "x") == found


WORDS = st.text(max_size=12).filter(lambda text: not text.startswith("@pkg:"))
LISTS = st.lists(WORDS, max_size=3).map(tuple)
NAMES = st.from_regex("[a-z][a-z0-9-]{0,8}", fullmatch=True)
PATHS = NAMES.map(lambda name: f"/{name}")
COMPONENTS = st.builds(
    Component,
    NAMES,
    NAMES,
    command=st.none() | LISTS,
    env=st.none() | LISTS,
    capabilities=st.none() | st.lists(st.sampled_from(["CAP_KILL", "CAP_CHOWN"]), max_size=2).map(tuple),
    binds_add=st.none() | st.lists(st.builds("{}:{}:ro".format, PATHS, PATHS), max_size=2).map(tuple),
    mounts=st.none() | st.lists(st.builds(Mount, type=NAMES, destination=PATHS, options=LISTS), max_size=2).map(tuple),
    devices=st.none()
    | st.lists(st.builds(Device, path=PATHS, major=st.integers(0, 9), mode=st.just("0600"))).map(tuple),
    readonly=st.none() | st.booleans(),
    uid=st.none() | st.integers(0, 2**32 - 2) | WORDS,
    oom_score_adj=st.none() | st.integers(-1000, 1000),
    cgroups_path=st.none() | WORDS,
    sysctl=st.none() | st.dictionaries(WORDS, WORDS, max_size=3),
    resources=st.none() | st.just(Resources()),
    runtime=st.none()
    | st.builds(Runtime, mkdir=st.none() | LISTS, bind_ns=st.builds(Namespaces, net=st.none() | WORDS)),
)
CONFIGS = st.builds(
    Config,
    kernel=st.builds(Kernel, image=NAMES, cmdline=WORDS, tar=st.none() | WORDS),
    init=st.lists(NAMES, max_size=2).map(tuple),
    services=st.lists(COMPONENTS, max_size=2).map(tuple),
    volumes=st.lists(st.builds(Volume, NAMES, readonly=st.booleans()), max_size=2).map(tuple),
    files=st.lists(st.builds(File, NAMES, contents=st.text(), optional=st.booleans()), max_size=2).map(tuple),
)


@given(CONFIGS)
@settings(deadline=None, max_examples=100)
def test_any_configuration_survives_dump_and_read(made: Config) -> None:
    assert config.read(config.dump(made), "x") == made


KEYS = [*schema.keys(Component), "services", "onboot", "files", "kernel", "volumes", "init", "path", "contents"]
SCALARS = st.sampled_from(
    [None, True, -1, 2**70, 1.5, "", "/a:/b", "all", "new", "nofile,1,2", "..", "@x", "\0", "0644"]
)
TREES = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=15,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["services", "onboot", "files", "kernel", "volumes", "init", "trust"]),
    st.lists(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5), max_size=2) | TREES,
    max_size=3,
)


@given(TREES | SECTIONS)
@settings(deadline=None, max_examples=400)
def test_any_tree_is_read_or_refused(tree: Any) -> None:
    from thanos_tui import yaml12

    try:
        found = config.merge([config.read(yaml12.write(tree), "x.yml")])
    except InputError as error:
        where = error.where
    else:
        where = Where("x.yml", 1, 1)
        assert config.read(config.dump(found), "y") == found
    assert isinstance(where, Where)


@given(st.text(max_size=200), st.integers(0, 10_000), st.integers(0, 20))
@settings(deadline=None, max_examples=200)
def test_damaged_files_are_read_or_refused(text: str, offset: int, length: int) -> None:
    whole_text = (GOLDEN / "label-override.yml").read_text()
    at = offset % len(whole_text)
    try:
        config.merge([config.read(whole_text[:at] + text[:length] + whole_text[at + length :], "x.yml")])
    except InputError as error:
        where: object = error.where
    else:
        where = Where("x.yml", 1, 1)
    assert isinstance(where, Where)
