"""LinuxKit's boot contract, in one boot: what a YAML says of volumes, containers and files is what the system does.

The machine is asked everything at once, then powered off; the tests look at what it said. What is expected follows
upstream's documentation of its YAML and the source of its ``service`` program.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from road import Road
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

# An image with a busybox and no label, so that nothing but the YAML says how its containers run.
IMAGE = "localhost/thanos/init:base"
# Lets a shell that is its container's first process end when it is told to: by default such a process would not.
STAY = "trap exit TERM; sleep 1000000 & wait"
NAMESPACES = "for each in ipc mnt net pid uts; do echo $each=$(readlink /proc/self/ns/$each); done"
STATUS = "grep -E '^(Cap|NoNewPrivs|Groups|Uid|Gid)' /proc/self/status | tr -d '\\t'"


def _container(name: str, script: str, *words: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "command": ["/bin/sh", "-c", script, *words], **keys}


def _service(name: str, script: str, *words: str, **keys: Any) -> dict[str, Any]:
    return _container(name, f"{script}\n{STAY}", *words, **keys)


YAML: Mapping[str, Any] = {
    "volumes": [{"name": "shared"}, {"name": "stock", "image": IMAGE, "readonly": True}],
    "onboot": [
        _container(
            "first",
            'echo "found: $(ls -A /shared)"; echo first >>/shared/order; echo mine >/mine; echo told >&2;'
            "ip link add spare0 type dummy",
            binds=["shared:/shared"],
            capabilities=["CAP_NET_ADMIN"],
        ),
        _container(
            "second",
            "cat /shared/order; test -x /stock/bin/busybox && echo stocked; ls /mine;"
            "echo second >>/shared/order; echo second >/stock/order",
            binds=["shared:/shared:ro", "stock:/stock:ro"],
        ),
        _container("failing", "echo its last words; exit 3"),
        _container(
            "wires",
            "echo wires >>/shared/order; ip addr add 192.0.2.2/30 dev inner0 && ip link set inner0 up; hostname",
            net="new",
            uts="new",
            hostname="wired",
            capabilities=["CAP_NET_ADMIN"],
            binds=["shared:/shared"],
            runtime={
                "interfaces": [
                    {"name": "inner0", "peer": "outer0"},
                    {"name": "inside0", "add": "dummy"},
                    {"name": "outside0", "add": "dummy", "createInRoot": True},
                    {"name": "spare0"},
                ],
                "bindNS": {"net": "/run/netns/wires", "uts": "/run/utsns/wires"},
            },
        ),
    ],
    "services": [
        # With nothing stated but what it runs.
        _service(
            "plain",
            f'echo "$0|$1|$2"; pwd; env | sort; echo first=$$; echo complaint >&2; {NAMESPACES}; {STATUS}',
            "zero",
            "one  two",
            '"three"\\',
            cwd="/usr/bin",
            env=["COLOUR=teal", "ODD=a 'b' \"c\" $d <&> \\ é", "PATH=/usr/bin:/bin"],
        ),
        # With as much as possible stated.
        _service(
            "ruled",
            f"ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward; hostname;"
            "for each in /new /tmp/new /mnt/new /dev/new /proc/sys/vm/swappiness; do "
            "{ echo 60 >$each; } 2>/dev/null && echo $each: written || echo $each: refused; done;"
            "grep -E ' /(tmp|mnt) ' /proc/mounts; wc -c </proc/modules; ls /sys/class/net | tr '\\n' ,; echo;"
            "head -c 4 /dev/own | od -An -tx1; stat -c '%a %t,%T' /dev/own; mknod /tmp/log c 1 11; head -c 1 /tmp/log;"
            f"{STATUS}; {NAMESPACES}",
            capabilities=["CAP_CHOWN", "CAP_MKNOD"],
            noNewPrivileges=True,
            net="new",
            ipc="new",
            uts="new",
            hostname="ruled-by-us",
            sysctl={"net.ipv4.ip_forward": "1"},
            rlimits=["nofile,64,128"],
            oomScoreAdj=345,
            readonly=True,
            tmpfs=["/tmp:size=1m,mode=0711"],
            mounts=[{"type": "tmpfs", "destination": "/mnt", "options": ["nosuid", "size=2m"]}],
            maskedPaths=["/proc/modules"],
            readonlyPaths=["/proc/sys"],
            devices=[{"path": "/dev/own", "type": "c", "major": 1, "minor": 5, "mode": "0640"}],
            cgroupsPath="/ours/ruled",
            resources={
                "memory": {"limit": 33554432},
                "pids": {"limit": 33},
                "cpu": {"quota": 50000, "period": 100000},
            },
            runtime={"cgroups": ["ours/too"]},
        ),
        _service(
            "person",
            STATUS,
            uid=1000,
            gid=1001,
            additionalGids=[7, 8],
            ambient=["CAP_NET_BIND_SERVICE"],
        ),
        # What is made for it before it starts; and it says so when it is told to stop.
        _container(
            "placed",
            "cat /inside/plain; touch /inside/no; test -d /scratch/deep && echo deep; grep ' /scratch ' /proc/mounts;"
            "echo note >/made/note; trap 'echo placed: told to stop >/dev/console; exit' TERM; sleep 1000000 & wait",
            net="new",
            capabilities=["CAP_DAC_OVERRIDE"],
            binds=["/run/placed/made:/made"],
            devices=[{"path": "/dev/console", "type": "c", "major": 5, "minor": 1, "mode": "0666"}],
            runtime={
                "namespace": "other",
                "mkdir": ["/run/placed/made", "scratch/deep"],
                "mounts": [
                    {"type": "tmpfs", "source": "tmpfs", "destination": "scratch", "options": ["size=1m", "nosuid"]},
                    {"source": "/etc/contract", "destination": "inside", "options": ["bind", "ro"]},
                ],
                "bindNS": {"net": "/run/netns/placed"},
            },
        ),
        _service(
            "joined",
            f"hostname; cat /proc/1/comm; ip addr; {NAMESPACES}",
            net="/run/netns/wires",
            uts="/run/utsns/wires",
            pid="host",
        ),
        _container("brief", "echo I had my say; exit 4"),
        {"name": "absent", "image": IMAGE, "command": ["/bin/no-such-program"]},
    ],
    "onshutdown": [
        _container("stumble", "exit 5"),
        _container("farewell", "echo farewell: $(cat /shared/order)", binds=["shared:/shared"]),
    ],
    "files": [
        {"path": "etc/contract", "directory": True, "mode": "0711"},
        {"path": "etc/contract/plain", "contents": "plain as that\n", "mode": "0640", "uid": 3, "gid": 4},
        {"path": "etc/contract/link", "symlink": "plain"},
        {"path": "opt/deep/er/secret", "contents": "hidden"},
    ],
}

# What is asked of the machine, in the root's namespaces: a name for each answer, and a shell command.
QUESTIONS: Mapping[str, str] = {
    **{f"log {item['name']}": f"cat /var/log/{item['name']}.log" for item in YAML["services"]},
    **{f"out {item['name']}": f"cat /var/log/onboot/*-{item['name']}.out.log" for item in YAML["onboot"]},
    **{f"err {item['name']}": f"cat /var/log/onboot/*-{item['name']}.log" for item in YAML["onboot"]},
    "logs": "ls /var/log",
    "root namespaces": NAMESPACES,
    "tasks": "ctr -n services.linuxkit task ls",
    "other tasks": "ctr -n other task ls",
    "shared": "cat /containers/volumes/shared/merged/order",
    "limits": "cd /sys/fs/cgroup/ours/ruled && cat memory.max pids.max cpu.max && wc -l <cgroup.procs && ls -d ../too",
    "wires": "nsenter --net=/run/netns/wires ip -o link",
    "root links": "ip -o link",
    "forwarding": "cat /proc/sys/net/ipv4/ip_forward",
    "note": "cat /run/placed/made/note",
    "files": "cd /; stat -c '%n %F %a %u %g' etc/contract etc/contract/* opt opt/deep/er opt/deep/er/secret;"
    "readlink etc/contract/link; cat etc/contract/link",
    "names": "hostname; cat /etc/hostname; readlink /etc/resolv.conf; cat /etc/resolv.conf",
    "metadata": "cat /etc/linuxkit.yml",
    "getty": "cat /var/log/getty.log",
    "ignored by getty": "for pid in $(pidof getty.sh); do grep SigIgn /proc/$pid/status; done",
    # From here on, the machine changes.
    "stop ruled": "service stop ruled && ctr -n services.linuxkit task ls",
    "start ruled": "service start ruled && ctr -n services.linuxkit task ls",
    "start again": "service start ruled",
    "start nobody": "service start nobody",
    "restart placed": "service restart placed && ctr -n other task ls",
}


@dataclass(frozen=True)
class Boot:
    """What the machine answered, by question, and what its serial port said from power-on to power-off."""

    answers: Mapping[str, str]
    serial: str

    def of(self, name: str) -> list[str]:
        return self.answers[name].splitlines()


@pytest.fixture(scope="module")
def seen(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Boot:
    directory = tmp_path_factory.mktemp("contract")
    (directory / "contract.yml").write_text(yaml.safe_dump(dict(YAML), sort_keys=False, allow_unicode=True))
    profile = directory / "contract.thanos"
    profile.write_text(
        "thanos: 1\noptions:\n  hostname: contract\n  sshd.generate-key: true\n  extra.yaml: [contract.yml]\n"
    )
    road.run("--replay", profile, "--format", "kernel+initrd", "--output", directory)
    name = road.out("run", directory / "contract-kernel", "--detach", "--machine", "contract").strip()
    road.guest(name, "true")
    eventually(lambda: "service brief failed" in road.out("logs", name), 300, pause=1)
    script = "".join(f"echo '@@ {each}'\n( {command}\n) 2>&1\n" for each, command in QUESTIONS.items())
    said = road.out("exec", name, "--", "nsenter", "-t", "1", "-m", "/bin/sh", stdin=f"{script}exit 0\n".encode())
    road.run("stop", name, "--timeout", "60")
    answers = dict(part.split("\n", 1) for part in said.split("@@ ")[1:])
    assert list(answers) == list(QUESTIONS)
    return Boot(answers, road.out("logs", name))


def _states(table: str) -> dict[str, str]:
    """Tasks by name, from what ``ctr task ls`` prints."""
    return {line.split()[0]: line.split()[2] for line in table.splitlines() if not line.startswith("TASK")}


def _shares(seen: Boot, service: str) -> set[str]:
    """Which namespaces a service has in common with the root."""
    return {line.split("=")[0] for line in seen.of(f"log {service}") if line in seen.of("root namespaces")}


def _names(links: list[str]) -> set[str]:
    """The interfaces that ``ip -o link`` lists."""
    return {re.split("[:@]", line)[1].strip() for line in links}


def test_containers_at_boot_run_in_turn(seen: Boot) -> None:
    assert seen.of("out first") == ["found: "]
    assert seen.of("out second")[0] == "first"
    assert seen.of("shared") == ["first", "wires"]
    names = re.findall(r"thanos: onboot \d\d\d-(\w+)$", seen.serial, re.MULTILINE)
    assert names == ["sysctl", "dhcp", "first", "second", "failing", "wires"]


def test_volumes_are_shared_and_can_be_read_only(seen: Boot) -> None:
    assert "stocked" in seen.of("out second")
    assert "/shared/order: Read-only file system" in seen.answers["err second"]
    assert "/stock/order: Read-only file system" in seen.answers["err second"]


def test_what_a_container_writes_is_its_own(seen: Boot) -> None:
    assert "/mine: No such file" in seen.answers["err second"]


def test_a_failure_at_boot_is_reported_and_passed_over(seen: Boot) -> None:
    assert re.search(r"its last words\nthanos: onboot \d\d\d-failing failed: exit status 3\n", seen.serial)
    assert re.search(r"not everything has started: .*onboot \d\d\d-failing", seen.serial)


def test_both_outputs_are_logged(seen: Boot) -> None:
    assert seen.of("err first") == ["told"]
    assert "complaint" in seen.of("log plain")
    assert {"plain.log", "plain.out.log", "containerd.log", "onboot"} <= set(seen.of("logs"))


def test_arguments_environment_and_directory(seen: Boot) -> None:
    said = seen.of("log plain")
    assert said[:2] == ['zero|one  two|"three"\\', "/usr/bin"]
    assert {"COLOUR=teal", "ODD=a 'b' \"c\" $d <&> \\ é", "PATH=/usr/bin:/bin"} <= set(said)


def test_namespaces_are_the_roots_but_for_pid_and_mount(seen: Boot) -> None:
    assert _shares(seen, "plain") == {"ipc", "net", "uts"}
    assert "first=1" in seen.of("log plain")


def test_namespaces_can_be_new_or_the_hosts(seen: Boot) -> None:
    assert _shares(seen, "ruled") == set()
    assert _shares(seen, "joined") == {"ipc", "pid"}
    assert seen.of("log joined")[1] == "init"


def test_limits_settings_and_a_name_of_its_own(seen: Boot) -> None:
    said = seen.of("log ruled")
    assert said[:5] == ["64", "128", "345", "1", "ruled-by-us"]
    assert "lo," in said
    assert seen.of("forwarding") == ["0"]
    assert seen.of("names")[0] == "contract"


def test_capabilities_are_those_stated(seen: Boot) -> None:
    none, some = "0" * 16, f"{1 << 0 | 1 << 27:016x}"  # CAP_CHOWN, CAP_MKNOD of <linux/capability.h>
    assert {f"CapEff:{none}", f"CapBnd:{none}", "NoNewPrivs:0"} <= set(seen.of("log plain"))
    assert {f"CapEff:{some}", f"CapBnd:{some}", "NoNewPrivs:1"} <= set(seen.of("log ruled"))


def test_users_groups_and_ambient_capabilities(seen: Boot) -> None:
    port = f"{1 << 10:016x}"  # CAP_NET_BIND_SERVICE
    said = set(seen.of("log person"))
    assert {"Uid:1000100010001000", "Gid:1001100110011001", f"CapEff:{port}", f"CapAmb:{port}"} <= said
    assert next(line for line in said if line.startswith("Groups:")).split(":")[1].split() == ["7", "8"]


def test_a_read_only_container(seen: Boot) -> None:
    said = seen.of("log ruled")
    assert said[5:10] == [
        "/new: refused",
        "/tmp/new: written",
        "/mnt/new: written",
        "/dev/new: refused",
        "/proc/sys/vm/swappiness: refused",
    ]
    options = {line.split()[1]: set(line.split()[3].split(",")) for line in said[10:12]}
    assert {"size=1024k", "mode=711"} <= options["/tmp"]
    assert {"size=2048k", "nosuid"} <= options["/mnt"]
    assert said[12] == "0"  # bytes in a masked file


def test_devices_are_those_stated(seen: Boot) -> None:
    said = seen.of("log ruled")
    assert {" 00 00 00 00", "640 1,5"} <= set(said)
    assert "head: /tmp/log: Operation not permitted" in said


def test_cgroups_and_their_limits(seen: Boot) -> None:
    assert seen.of("limits") == ["33554432", "33", "50000 100000", "2", "../too"]


def test_interfaces_are_made_and_moved(seen: Boot) -> None:
    inside, outside = _names(seen.of("wires")), _names(seen.of("root links"))
    assert {"lo", "inner0", "inside0", "outside0", "spare0"} <= inside
    assert {"lo", "eth0", "outer0"} <= outside
    assert not outside & {"inner0", "inside0", "outside0", "spare0"}


def test_bound_namespaces_outlive_their_container_and_can_be_joined(seen: Boot) -> None:
    assert seen.of("out wires") == ["wired"]
    assert seen.of("log joined")[0] == "wired"
    assert "inet 192.0.2.2/30" in seen.answers["log joined"]


def test_mounts_and_directories_are_made_before_the_start(seen: Boot) -> None:
    # The log has what was said on stdout in order, and what was said on stderr anywhere between.
    said = seen.of("log placed")
    complaints = [line for line in said if line.endswith("/inside/no: Read-only file system")]
    assert len(complaints) == 1
    said.remove(complaints[0])
    assert said[:2] == ["plain as that", "deep"]
    assert "size=1024k" in said[2]
    assert seen.of("note") == ["note"]


def test_services_run_and_say_when_they_end(seen: Boot) -> None:
    running = {name for name, state in _states(seen.answers["tasks"]).items() if state == "RUNNING"}
    assert running == {"plain", "ruled", "person", "joined"} | {"dhcp", "getty", "ntp", "rngd", "sshd"}
    assert _states(seen.answers["other tasks"]) == {"placed": "RUNNING"}
    assert re.search(r"thanos: service brief failed: .*\n.*I had my say", seen.serial)


def test_a_service_that_cannot_start_is_reported(seen: Boot) -> None:
    assert re.search(r"thanos: service absent failed: .*/bin/no-such-program.*no such file", seen.serial)
    assert re.search(r"not everything has started: .*service absent", seen.serial)


def test_services_can_be_stopped_and_started(seen: Boot) -> None:
    stopped, started = _states(seen.answers["stop ruled"]), _states(seen.answers["start ruled"])
    assert stopped["plain"] == "RUNNING"
    assert "ruled" not in stopped
    assert started["ruled"] == "RUNNING"
    assert seen.of("start again") == ["service: ruled is running already"]
    assert 'there is no service called "nobody"' in seen.answers["start nobody"]
    assert _states(seen.answers["restart placed"]) == {"placed": "RUNNING"}
    assert seen.answers["restart placed"] != seen.answers["other tasks"]  # another process
    assert not re.search(r"service (ruled|placed) failed", seen.serial)


def test_files_have_their_modes_and_owners(seen: Boot) -> None:
    assert seen.of("files") == [
        "etc/contract directory 711 0 0",
        "etc/contract/link symbolic link 777 0 0",
        "etc/contract/plain regular file 640 3 4",
        "opt directory 700 0 0",
        "opt/deep/er directory 700 0 0",
        "opt/deep/er/secret regular file 600 0 0",
        "plain",
        "plain as that",
    ]


def test_names(seen: Boot) -> None:
    said = seen.of("names")
    assert said[:3] == ["contract", "contract", "/run/resolvconf/resolv.conf"]
    assert "nameserver 10.0.2.3" in said[3:]


def test_the_image_describes_itself(seen: Boot) -> None:
    told = yaml.safe_load(seen.answers["metadata"])
    for section in ("volumes", "onboot", "onshutdown", "services"):
        ours = [item["name"] for item in YAML[section]]
        assert [item["name"] for item in told[section]][-len(ours) :] == ours
    assert [item["path"] for item in told["files"]][-4:] == [item["path"] for item in YAML["files"]]


def test_every_console_has_a_login(seen: Boot) -> None:
    assert {"getty: tty1 (closed)", "getty: ttyS0 (closed)"} <= set(seen.of("getty"))
    # What a shell ignores, everything that it starts ignores: Ctrl-C has to work in a login.
    ignored = [int(line.split()[1], 16) for line in seen.of("ignored by getty")]
    assert len(ignored) >= 2
    assert not any(signals & 1 << signal.SIGINT - 1 for signals in ignored)


def test_the_way_down(seen: Boot) -> None:
    """Upstream runs the onshutdown containers first, while services still run, then tells everybody to stop."""
    marks = [
        r"thanos: stopping",
        r"thanos: shutdown \d\d\d-stumble failed: exit status 5",
        r"farewell: first wires",
        r"placed: told to stop",
        r"reboot: Power down",
    ]
    down = seen.serial[seen.serial.index("thanos: stopping") :]
    places = [found.start() if (found := re.search(mark, down)) else -1 for mark in marks]
    assert -1 not in places, marks[places.index(-1)]
    assert places == sorted(places)
    assert "not ended within" not in down
