"""/usr/bin/service: what it does with containers, seen from the programs that it calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from guests import Guest


@pytest.fixture
def machine(guest: Guest) -> Guest:
    """A machine whose mounts, runc, containerd and network programs are imitated and succeed."""
    for name in ("mount", "umount", "runc", "ip", "nsenter"):
        guest.program(name)
    guest.program("usleep", "sleep 0.05")
    guest.install("init/plan.awk", "/usr/lib/thanos/plan.awk")
    guest.file("/proc/cmdline", "console=ttyS0 quiet\n")
    guest.file("/sys/fs/cgroup/cgroup.controllers", "cpu\n")
    for directory in ("run", "var/log", "etc/containerd"):
        (guest.root / directory).mkdir(parents=True, exist_ok=True)
    return guest


def container(machine: Guest, path: str, runtime: dict[str, Any] | None = None) -> Path:
    root = f"{machine.root}/{path}"
    machine.file(
        f"{path}/config.json", json.dumps({"process": {"rlimit": 2**64 - 1}, "root": {"path": "rootfs"}}, indent=4)
    )
    if runtime is not None:
        machine.file(f"{path}/runtime.json", json.dumps(runtime))
    return Path(root)


def named(machine: Guest, name: str) -> Path:
    """The program as it is called from /etc/init.d: by the name of a link."""
    return machine.install("init/service", f"/links/{name}")


def writable(path: str) -> dict[str, Any]:
    """What the builder writes into runtime.json for a container that may write."""
    return {
        "mounts": [
            {"destination": f"{path}/tmp", "type": "tmpfs", "source": "tmpfs"},
            {"destination": f"{path}/tmp", "options": ["remount", "private"]},
            {
                "destination": f"{path}/rootfs",
                "type": "overlay",
                "source": "overlay",
                "options": [f"lowerdir={path}/lower", f"upperdir={path}/tmp/upper", f"workdir={path}/tmp/work"],
            },
        ]
    }


def test_onboot_containers_run_in_the_order_of_their_names(machine: Guest) -> None:
    for name in ("010-last", "000-first", "002-second"):
        path = f"/containers/onboot/{name}"
        container(machine, path, writable(f"{machine.root}{path}"))
    done = machine.run(named(machine, "010-onboot"))
    assert (done.returncode, done.stderr) == (0, "")
    runs = [call for call in machine.calls if call.startswith("runc")]
    assert runs == [
        f"runc run --bundle /containers/onboot/{name} {name}" for name in ("000-first", "002-second", "010-last")
    ]
    first = "/containers/onboot/000-first"
    assert machine.calls[:6] == [
        f"mount -t tmpfs tmpfs {first}/tmp",
        f"mount --make-private {first}/tmp",
        f"mount -t overlay -o lowerdir={first}/lower,upperdir={first}/tmp/upper,workdir={first}/tmp/work"
        f" overlay {first}/rootfs",
        runs[0],
        f"umount {first}/rootfs",
        f"umount {first}/tmp",
    ]
    assert (machine.root / "containers/onboot/000-first/tmp/upper").is_dir()


def test_a_failing_container_is_named_with_its_output_and_the_next_ones_run(machine: Guest) -> None:
    for name in ("000-good", "001-bad", "002-later"):
        container(machine, f"/containers/onboot/{name}")
    machine.program("runc", 'echo "out of $4"; echo "note of $4" >&2; case $4 in *bad) exit 7 ;; esac')
    done = machine.run(named(machine, "010-onboot"))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "thanos: onboot 000-good",
        "out of 000-good",
        "thanos: onboot 001-bad",
        "out of 001-bad",
        "note of 001-bad",
        "thanos: onboot 002-later",
        "out of 002-later",
    ]
    assert done.stderr == "thanos: onboot 001-bad failed: exit status 7\n"
    assert (machine.root / "run/thanos/failures").read_text() == "onboot 001-bad\n"
    logs = machine.root / "run/log/onboot"
    assert (logs / "onboot.001-bad.log").read_text() == "note of 001-bad\n"
    assert (logs / "onboot.001-bad.out.log").read_text() == "out of 001-bad\n"
    assert (machine.root / "var/log/onboot").readlink() == logs


def test_a_container_that_cannot_be_prepared_is_not_run(machine: Guest) -> None:
    container(machine, "/containers/onboot/000-x", writable(f"{machine.root}/containers/onboot/000-x"))
    machine.program("mount", 'case "$*" in *overlay*) echo "mount: no such device" >&2; exit 1 ;; esac')
    done = machine.run(named(machine, "010-onboot"))
    assert done.returncode == 1
    assert done.stderr == "thanos: onboot 000-x failed: mount: mount: no such device\n"
    assert not [call for call in machine.calls if call.startswith("runc")]


def test_an_unreadable_runtime_is_a_failure_of_its_container_alone(machine: Guest) -> None:
    container(machine, "/containers/onboot/000-x")
    machine.file("/containers/onboot/000-x/runtime.json", "{")
    container(machine, "/containers/onboot/001-y")
    done = machine.run(named(machine, "010-onboot"))
    assert done.stderr == "thanos: onboot 000-x failed: runtime.json cannot be read: it ends too early\n"
    assert [call for call in machine.calls if call.startswith("runc")] == [
        "runc run --bundle /containers/onboot/001-y 001-y"
    ]


def test_debugging_words_on_the_command_line(machine: Guest) -> None:
    container(machine, "/containers/onboot/000-x")
    machine.file("/proc/cmdline", "quiet linuxkit.runc_debug=1 linuxkit.runc_console=1\n")
    machine.program("runc", "echo said; echo more >&2")
    done = machine.run(named(machine, "010-onboot"))
    assert machine.calls == ["runc --debug run --bundle /containers/onboot/000-x 000-x", *machine.calls[1:]]
    assert (done.stdout, done.stderr) == ("thanos: onboot 000-x\nsaid\n", "more\n")


def test_paths_mkdir_and_cgroups(machine: Guest) -> None:
    runtime = {
        "mkdir": ["inside", f"{machine.root}/var/outside"],
        "cgroups": ["mine"],
        "mounts": [{"type": "bind", "source": "/a", "destination": "there", "options": ["bind", "ro"]}],
    }
    container(machine, "/containers/onboot/000-x", runtime)
    assert machine.run(named(machine, "010-onboot")).returncode == 0
    rootfs = machine.root / "containers/onboot/000-x/rootfs"
    assert (rootfs / "inside").is_dir()
    assert (rootfs / "there").is_dir()
    assert (machine.root / "var/outside").is_dir()
    assert (machine.root / "sys/fs/cgroup/mine").is_dir()
    target = "/containers/onboot/000-x/rootfs/there"
    assert machine.calls[:2] == [f"mount -t bind -o bind,ro /a {target}", f"mount -o remount,bind,ro {target}"]


def test_cgroups_of_the_old_hierarchies(machine: Guest) -> None:
    (machine.root / "sys/fs/cgroup/cgroup.controllers").unlink()
    for controller in ("cpu", "memory"):
        (machine.root / "sys/fs/cgroup" / controller).mkdir()
    container(machine, "/containers/onboot/000-x", {"cgroups": ["mine"]})
    machine.run(named(machine, "010-onboot"))
    assert (machine.root / "sys/fs/cgroup/cpu/mine").is_dir()
    assert (machine.root / "sys/fs/cgroup/memory/mine").is_dir()


def test_a_container_with_an_interface_gets_a_hook_and_keeps_its_numbers(machine: Guest) -> None:
    directory = container(machine, "/containers/onboot/000-x", {"interfaces": [{"name": "a", "peer": "b"}]})
    machine.run(named(machine, "010-onboot"))
    bundle = "/run/thanos/bundles/000-x"
    assert f"runc run --bundle {bundle} 000-x" in machine.calls
    text = (machine.root / bundle[1:] / "config.json").read_text()
    config = json.loads(text)
    assert config["root"]["path"] == f"{directory}/rootfs"
    assert config["hooks"] == {
        "createRuntime": [{"path": "/usr/bin/service", "args": ["service", "prepare-process", str(directory)]}]
    }
    assert "18446744073709551615" in text


@pytest.mark.parametrize(
    ("interface", "calls"),
    [
        (
            {"name": "in", "peer": "out"},
            ["ip link add in type veth", "ip link set veth0 name out", "ip link set in netns 42"],
        ),
        ({"name": "eth1"}, ["ip link set eth1 netns 42"]),
        ({"name": "d0", "add": "dummy"}, ["nsenter -t 42 -n ip link add d0 type dummy"]),
        (
            {"name": "wg0", "add": "wireguard", "createInRoot": True},
            ["ip link add wg0 type wireguard", "ip link set wg0 netns 42"],
        ),
    ],
    ids=lambda value: value.get("add", "other") if isinstance(value, dict) else "",
)
def test_interfaces_are_made_and_moved(machine: Guest, interface: dict[str, Any], calls: list[str]) -> None:
    machine.file("/sys/class/net/in/iflink", "4\n")
    machine.file("/sys/class/net/in/ifindex", "3\n")
    machine.file("/sys/class/net/veth0/ifindex", "4\n")
    directory = container(machine, "/containers/onboot/000-x", {"interfaces": [interface], "mkdir": ["not-again"]})
    state = '{"ociVersion":"1.0.2","id":"x","status":"creating","pid":42,"bundle":"/b"}'
    done = machine.run(named(machine, "service"), "prepare-process", str(directory), stdin=state)
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.calls == calls
    assert not (directory / "rootfs").exists()


def test_a_namespace_is_bound_to_its_file(machine: Guest) -> None:
    target = f"{machine.root}/run/netns/mine"
    directory = container(machine, "/containers/onboot/000-x", {"bindNS": {"net": target}})
    done = machine.run(named(machine, "service"), "prepare-process", str(directory), stdin='{"pid": 42}')
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.calls == ["mount -o bind /proc/42/ns/net /run/netns/mine"]
    assert Path(target).exists()


def test_what_a_hook_cannot_do_fails_it(machine: Guest) -> None:
    directory = container(machine, "/containers/onboot/000-x", {"interfaces": [{"name": "a", "add": "veth"}]})
    done = machine.run(named(machine, "service"), "prepare-process", str(directory), stdin='{"pid": 42}')
    assert done.returncode == 1
    assert done.stderr == "the veth interface a has no peer\n"


def test_volumes(machine: Guest) -> None:
    for path in ("rw/lower", "rw/tmp", "rw/merged", "ro/lower", "ro/merged", "torn/lower"):
        (machine.root / "containers/volumes" / path).mkdir(parents=True)
    done = machine.run(named(machine, "005-volumes"))
    base = "/containers/volumes"
    assert machine.calls == [
        f"mount -o bind,ro {base}/ro/lower {base}/ro/merged",
        f"mount -o remount,bind,ro {base}/ro/merged",
        f"mount -t tmpfs -o relatime tmpfs {base}/rw/tmp",
        f"mount -t overlay -o relatime,lowerdir={base}/rw/lower,upperdir={base}/rw/tmp/upper,workdir={base}/rw/tmp/work"
        f" overlay {base}/rw/merged",
    ]
    assert done.stderr == "thanos: volume torn failed: it has no directory lower or merged\n"


def test_nothing_to_do_is_no_failure(machine: Guest) -> None:
    for name in ("005-volumes", "010-onboot", "010-onshutdown"):
        assert machine.run(named(machine, name)).returncode == 0
    assert machine.calls == []


@pytest.fixture
def engine(machine: Guest) -> Guest:
    """A machine with a containerd that makes its socket and stays; ctr starts what it is given."""
    # A path to a Unix socket may have about a hundred characters, so it is bound from its directory.
    make = "import socket; socket.socket(socket.AF_UNIX).bind('containerd.sock')"
    machine.program(
        "containerd",
        f'mkdir -p "{machine.root}/run/containerd" && cd "{machine.root}/run/containerd" && python3 -c "{make}"\n'
        "exec sleep 2 <&- >&- 2>&-",
    )
    machine.program(
        "ctr", 'case "$*" in *" run "*bad) echo "ctr: first" >&2; echo "ctr: no such program" >&2; exit 1 ;; esac'
    )
    return machine


def test_services_are_started_by_containerd_in_their_namespaces(engine: Guest) -> None:
    for name, runtime in (("ntp", None), ("other", {"namespace": "elsewhere"})):
        container(engine, f"/containers/services/{name}", runtime)
    done = engine.run(named(engine, "020-containerd"))
    assert (done.returncode, done.stderr) == (0, "")
    started = sorted(call for call in engine.calls if call.startswith("ctr"))
    assert started == [
        f"ctr -n {namespace} run --detach --config /run/thanos/services/{name}.json --log-uri file:///var/log/{name}.log"
        f" --pid-file /run/thanos/services/{name}.pid {name}"
        for namespace, name in (("elsewhere", "other"), ("services.linuxkit", "ntp"))
    ]
    config = json.loads((engine.root / "run/thanos/services/ntp.json").read_text())
    assert config["root"]["path"] == f"{engine.root}/containers/services/ntp/rootfs"
    assert (engine.root / "var/log/ntp.out.log").readlink() == Path("ntp.log")


def test_a_service_that_cannot_start_is_named(engine: Guest) -> None:
    for name in ("bad", "good"):
        container(engine, f"/containers/services/{name}")
    done = engine.run(named(engine, "020-containerd"))
    assert done.returncode == 1
    assert done.stderr == "thanos: service bad failed: no such program\n"
    assert len([call for call in engine.calls if call.endswith(" good")]) == 1


def test_containerd_that_dies_is_a_failure_with_its_last_words(machine: Guest) -> None:
    container(machine, "/containers/services/ntp")
    machine.program("containerd", "echo 'containerd: no disk' >&2; exit 1")
    done = machine.run(named(machine, "020-containerd"))
    assert done.returncode == 1
    assert "containerd: no disk" in done.stdout
    assert done.stderr == "thanos: containerd failed: it ended while starting\n"


def test_options_of_containerd_come_from_its_own_file(engine: Guest) -> None:
    engine.file("/etc/containerd/runtime-config.toml", 'cliopts = "--log-level debug"\nstderr = "stdout"\n')
    engine.run(named(engine, "020-containerd"))
    assert "containerd --log-level debug" in engine.calls


def test_containers_of_the_last_boot_are_removed_first(engine: Guest) -> None:
    engine.file("/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db")
    engine.program("ctr", 'case "$*" in *"ls -q") echo old ;; esac')
    container(engine, "/containers/services/ntp")
    engine.run(named(engine, "020-containerd"))
    calls = [
        call.removeprefix("ctr -n services.linuxkit ").split(" --")[0]
        for call in engine.calls
        if call.startswith("ctr")
    ]
    assert calls == ["containers ls -q", "task kill -s KILL old", "task rm -f old", "containers rm old", "run"]


def test_commands_for_services_that_are_not_there(machine: Guest) -> None:
    container(machine, "/containers/services/ntp")
    done = machine.run(named(machine, "service"), "start", "nothing")
    assert done.returncode == 1
    assert done.stderr == 'service: there is no service called "nothing"; there are: ntp \n'
    assert machine.run(named(machine, "service"), "nonsense").returncode == 2
    assert machine.run(named(machine, "service"), "--help").stdout.startswith("usage: service")


def test_a_running_service_is_not_started_again(engine: Guest) -> None:
    container(engine, "/containers/services/ntp")
    engine.file("/run/thanos/services/ntp.pid", "42")
    (engine.root / "proc/42").mkdir()
    done = engine.run(named(engine, "service"), "start", "ntp")
    assert (done.returncode, done.stderr) == (1, "service: ntp is running already\n")
    assert engine.calls == []


def test_stopping_asks_first_and_cleans_up_in_the_services_namespace(engine: Guest) -> None:
    container(engine, "/containers/services/x", {"namespace": "n", "mkdir": ["not-again"]})
    engine.file("/run/thanos/services/x.pid", "42")
    (engine.root / "proc/42").mkdir(parents=True)
    engine.program("ctr", f'case "$*" in *TERM*) rmdir "{engine.root}/proc/42" ;; esac')
    assert engine.run(named(engine, "service"), "stop", "x").returncode == 0
    assert engine.calls == [
        "ctr -n n task kill -s TERM x",
        "ctr -n n task kill -s KILL x",
        "ctr -n n task rm -f x",
        "ctr -n n containers rm x",
        "umount /containers/services/x/rootfs",
        "umount /containers/services/x/tmp",
    ]
    assert not (engine.root / "run/thanos/services/x.pid").exists()
    assert not (engine.root / "containers/services/x/rootfs").exists()
