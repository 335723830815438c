"""Docker on a machine with stark: it runs containers, is reached as it should be, and comes back whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from boxes import BUSYBOX, IMPORT, Box, services
from waiting import eventually

pytestmark = [pytest.mark.boot, pytest.mark.network]

LOG = "cat /var/log/stark.log"


def running(box: Box, name: str) -> bool:
    return box.inside(f"docker inspect --format '{{{{.State.Running}}}}' {name} 2>&1 || :").strip() == "true"


@pytest.fixture
def image(stark: Box) -> str:
    stark.inside(IMPORT)
    return BUSYBOX


@pytest.fixture
def kept(stark: Box, image: str) -> Iterator[str]:
    """A container that Docker is to keep running."""
    stark.inside(f"docker run -d --name kept --restart always {image} /bin/busybox sleep 100000")
    yield "kept"
    stark.inside("docker rm -f kept")


@pytest.mark.long
def test_all_services_are_ready_and_said_to_be(stark: Box) -> None:
    found = services(stark)
    assert {"containerd", "docker", "storage", "xorg", "alsa"} <= found.keys()
    assert {each["state"] for each in found.values()} == {"ready"}
    assert "MiB in memory used" in found["storage"]["note"]
    lines = stark.inside("stark status").splitlines()
    assert [line.split()[0] for line in lines] == sorted(found)


@pytest.mark.long
def test_docker_runs_a_container_and_confines_it(stark: Box, image: str) -> None:
    script = "read -r profile </proc/self/attr/current; echo $profile; /bin/busybox grep Seccomp: /proc/self/status"
    said = stark.inside(f"docker run --rm {image} sh -c '{script}'")
    assert said.split() == ["docker-default", "(enforce)", "Seccomp:", "2"]
    # Through Docker's bridge and the machine's network card to the host.
    reached = stark.inside(f"docker run --rm {image} /bin/busybox ping -c 1 -W 20 10.0.2.2")
    assert "1 packets received" in reached


def test_docker_keeps_to_what_the_profile_says(stark: Box) -> None:
    told = json.loads(stark.inside("docker info --format '{{json .}}'"))
    assert (told["Driver"], told["LoggingDriver"], told["CgroupVersion"]) == ("overlay2", "json-file", "2")
    assert {"name=apparmor", "name=seccomp,profile=default"} <= set(told["SecurityOptions"])
    assert told["OperatingSystem"].startswith("ThanOS")
    assert not told.get("Warnings")


def test_nothing_but_ssh_listens_on_the_network(stark: Box) -> None:
    listening = stark.inside("netstat -lnt").splitlines()[2:]
    assert {line.split()[3].rpartition(":")[2] for line in listening} == {"1234"}
    # As somebody on the machine's network and in its containers would try it.
    tried = "nc.openbsd -z -w 5 $address $port && echo $address:$port is open"
    trying = f"for address in 127.0.0.1 10.0.2.15 172.17.0.1; do for port in 2375 2376 6000; do {tried}; done; done; :"
    assert stark.inside(trying) == ""
    assert stark.inside("stat -c '%a %U %G' /run/docker.sock") == "660 root docker\n"


@pytest.mark.long
def test_docker_comes_back_when_it_is_killed(stark: Box, kept: str) -> None:
    before = services(stark)["docker"]["restarts"]
    stark.inside("kill -KILL $(pidof dockerd)")
    eventually(lambda: services(stark)["docker"]["restarts"] == before + 1, pause=1)
    stark.inside("stark ready --timeout 240")
    eventually(lambda: running(stark, kept), pause=1)
    assert "stark: docker ended with signal 9 after" in stark.sh(LOG)


@pytest.mark.long
def test_everything_comes_back_when_stark_is_restarted(stark: Box, kept: str) -> None:
    """The second start finds what the first has left: locks, sockets and pid files in /run and /tmp."""
    facts = """
    export DISPLAY=:0 XAUTHORITY=/run/stark/Xauthority
    md5sum <$XAUTHORITY
    xset q | grep -c 'Keyboard Control'
    stark status --json
    """
    before = stark.inside(facts).splitlines()
    stark.sh("nsenter -t 1 -m -- service restart stark")
    stark.inside("stark ready --timeout 240")
    after = stark.inside(facts).splitlines()
    assert after[0] != before[0]
    assert after[1] == before[1] == "1"
    assert {each["state"] for each in json.loads(after[2])} == {"ready"}
    eventually(lambda: running(stark, kept), pause=1)
