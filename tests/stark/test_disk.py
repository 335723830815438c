"""Machines that the tests' shared one is not like: with a disk for Docker's data, and with hardly anything at all."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certificates
import pytest
from boxes import BUSYBOX, IMPORT, PROFILE, Box, services
from road import Road
from servers import free_port
from sounds import listen, strengths
from waiting import eventually

from thanos_tui.vm.qemu import PROGRAMS

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]

OPTIONS = """\
  stark.storage: disk
  stark.disk: 128
  alsa.device: intel-hda
  docker.tls: true
  docker.tls.address: 0.0.0.0
  docker.tls.authority: ca.pem
  docker.tls.certificate: cert.pem
  docker.tls.key: key.pem
  docker.log-size: 3
  docker.address-pools: [10.99.0.0/16 24]
  docker.settings: '{"max-concurrent-downloads": 1}'
"""
LOG = "cat /var/log/stark.log"
# Ends a second after it was asked to, and keeps a record of that.
GENTLE = (
    "echo begun >>/record; trap 'busybox sleep 1; echo ended >>/record; exit' TERM; while :; do busybox sleep 1; done"
)
# QEMU, on whose machines there is no graphics card.
BLIND = """\
#!/bin/sh
for word; do
    shift
    case $word in VGA*) word=pvpanic ;; esac
    set -- "$@" "$word"
done
exec {qemu} "$@"
"""


def running(box: Box) -> list[str]:
    return box.inside("docker ps --format '{{.Names}}'").split()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Somebody with an image that wants a disk, an HD Audio card and a graphics card, and with certificates."""
    user = Road(tmp_path_factory.mktemp("user"))
    certificates.write(user.home)
    (user.home / "diskbox.thanos").write_text(PROFILE + OPTIONS)
    yield user
    user.run("stop", "--all", "--timeout", "0", check=False)


def build(user: Road, *words: str) -> Path:
    user.run("--replay", user.home / "diskbox.thanos", "--output", user.home / "out", *words)
    return user.home / "out" / "diskbox-kernel"


@dataclass(frozen=True)
class Bare:
    """What a machine without a disk, a sound card and a graphics card says. apps: and `thanos-tui app` of it."""

    ready: str
    storage: str
    services: dict[str, dict[str, Any]]
    log: str
    drivers: str
    apps: str


@pytest.fixture(scope="module")
def bare(user: Road) -> Bare:
    image = build(user)
    # No build is known for the copies: so nobody knows what they want of a machine.
    for end in ("-kernel", "-initrd.img", "-cmdline"):
        shutil.copy(image.with_name(f"diskbox{end}"), user.home / f"bare{end}")
    qemu = user.home / "bin" / PROGRAMS["amd64"]
    qemu.parent.mkdir()
    qemu.write_text(BLIND.format(qemu=shutil.which(qemu.name)))
    qemu.chmod(0o755)
    blind = Road(user.home, variables={"PATH": f"{qemu.parent}:{user.environment['PATH']}"})
    blind.run("run", "--detach", user.home / "bare-kernel")
    box = Box(blind, "bare")
    eventually(lambda: services(box).get("docker", {}).get("restarts"), tell=lambda: box.sh(LOG), pause=2)
    eventually(lambda: services(box)["alsa"]["note"], pause=2)
    found = Bare(
        ready=box.inside("stark ready 2>&1; echo status $?"),
        storage=box.sh("cat /run/log/onboot/onboot.*storage*.out.log"),
        services=services(box),
        log=box.sh(LOG),
        drivers=box.sh("ls /sys/class/drm /dev/fb0 2>&1; :"),
        apps=blind.run("app", "ls", "--machine", "bare", "--timeout", "1", check=False).stderr.decode(),
    )
    blind.run("stop", "bare", "--timeout", "0")
    return found


@pytest.fixture(scope="module")
def ports() -> dict[int, int]:
    """Ports of this host, by those of the machine that they lead to."""
    return {2376: free_port(), 8080: free_port(), 8081: free_port()}


@pytest.fixture(scope="module")
def box(user: Road, bare: Bare, ports: dict[int, int]) -> Box:
    """The machine with a disk, in its second life: in its first it was smaller, and an app was left running."""
    publish = [f"--publish={host}:{guest}" for guest, host in ports.items()]
    user.run("run", "--detach", *publish, build(user))
    box = Box(user, "diskbox")
    box.inside("stark ready --timeout 240")
    box.inside(IMPORT)
    for name, policy in (("kept", "always"), ("once", "no")):
        box.inside(f'docker run --init -d --name {name} --restart {policy} {BUSYBOX} sh -c "{GENTLE}"')
    user.run("stop", "diskbox", "--timeout", "300")
    user.run("run", "--detach", *publish, build(user, "--set", "stark.disk=256"))
    box.inside("stark ready --timeout 240")
    return box


def test_a_machine_that_lacks_everything_says_so(bare: Bare) -> None:
    assert "there is no disk for Docker's data, and the profile wants one (stark.storage)" in bare.storage
    assert "fb0: No such file" in bare.drivers
    assert "card" not in bare.drivers
    found = {name: (each["state"], each["note"]) for name, each in bare.services.items()}
    no_disk = "the profile wants a disk for {} data (stark.storage), and the machine has none"
    assert found["storage"] == ("ready", no_disk.format("Docker's"))
    assert found["docker"][0] in ("waiting", "starting")
    assert found["docker"][1] == f"Docker does not start: {no_disk.format('its')}"
    assert found["alsa"] == ("ready", "no sound card, so nobody hears what apps play; there are: none")
    assert found["xorg"] == ("ready", "no screen, so nobody sees what apps draw")
    for _, note in found.values():
        assert note in bare.log
        assert note in bare.ready
    assert bare.ready.endswith("status 1\n")
    assert "Docker on bare" in bare.apps
    assert "did not answer within 1 s" in bare.apps


def test_docker_s_data_stays_and_its_disk_grows(box: Box) -> None:
    assert box.sh("cat /run/thanos/docker-storage") == "disk /dev/vda\n"
    assert int(box.inside("df -P /var/lib/docker | tail -n 1").split()[1]) > 200 * 1024
    eventually(lambda: "kept" in running(box), tell=lambda: box.inside("docker ps -a"), pause=1)
    told = json.loads(box.inside("docker network inspect bridge --format '{{json .IPAM.Config}}'"))
    assert told[0]["Subnet"] == "10.99.0.0/24"


def test_a_stop_of_the_machine_gives_apps_their_time(box: Box) -> None:
    assert record(box, "kept")[:3] == ["begun", "ended", "begun"]
    assert record(box, "once") == ["begun", "ended"]
    # Docker was still there to see it.
    assert box.inside("docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' once") == "exited 0\n"


def record(box: Box, name: str) -> list[str]:
    """What an app has kept of its beginnings and ends."""
    return box.inside(f"docker cp {name}:/record - | tar -xO").split()


def ping(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: secure.recv(4096), b""))


def test_docker_by_network_answers_those_with_a_certificate(box: Box, ports: dict[int, int]) -> None:
    port = ports[2376]
    context = ssl.create_default_context(cafile=str(box.user.home / "ca.pem"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ping(port, context)
    context.load_cert_chain(box.user.home / "cert.pem", box.user.home / "key.pem")
    assert ping(port, context).endswith(b"OK")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
        plain.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert b"Client sent an HTTP request to an HTTPS server" in plain.recv(4096)
    assert box.inside("find /etc/stark/tls/key.pem -perm /077") == ""


def test_published_ports_lead_into_apps(box: Box, ports: dict[int, int]) -> None:
    """From the machine and from this host; from this host only where an address is published."""
    serve = "echo it is the app >/page; exec busybox httpd -f -p 80 -h /"
    published = ("--publish", "0.0.0.0:8080:80", "--publish", "8081:80")
    box.user.run("app", "run", "--detach", *published, "--name", "server", BUSYBOX, "sh", "-c", serve)
    try:
        for place in ("10.0.2.15:8080", "127.0.0.1:8080", "127.0.0.1:8081"):
            assert box.inside(f"wget -qO - http://{place}/page") == "it is the app\n"
        assert asked(ports[8080]).endswith(b"\r\n\r\nit is the app\n")
        assert asked(ports[8081]) == b""
    finally:
        box.user.run("app", "rm", "--force", "server")


def asked(port: int) -> bytes:
    """What comes of a request for the page; nothing where nobody listens behind QEMU's own port."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        try:
            stream.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: stream.recv(4096), b""))
        except ConnectionError:
            return b""


def test_a_full_disk_is_said_and_everything_works_when_there_is_room_again(box: Box) -> None:
    before = services(box)["docker"]["restarts"]
    fill = "busybox dd if=/dev/zero of=/big bs=1M; busybox dd if=/dev/zero of=/more bs=1k"
    try:
        filled = box.user.run("app", "run", "--name", "big", BUSYBOX, "sh", "-c", fill, check=False)
        assert filled.returncode == 1
        assert b"No space left on device" in filled.stderr
        eventually(lambda: services(box)["storage"]["note"].startswith("100 % of"), pause=2)
        assert "the place of Docker's data is full" in box.sh(LOG)
        for words in (("load", "localhost/thanos/demo:base"), ("run", BUSYBOX, "busybox", "true")):
            failed = box.user.run("app", *words, check=False)
            assert failed.returncode != 0
            assert re.search(rb"Docker's disk on diskbox \(.*\) is full", failed.stderr)
            assert b"thanos-tui app rm" in failed.stderr
        assert services(box)["docker"]["restarts"] == before
        assert "kept" in running(box)
        # The engine starts over it, too. Only then it knows of the end that it could not write down.
        box.inside("sv -w 30 restart docker; stark ready --timeout 240")
        assert "big" not in running(box)
    finally:
        box.user.run("app", "rm", "--force", "big")
    eventually(lambda: int(services(box)["storage"]["note"].split()[0]) < 90, pause=2)
    eventually(lambda: "kept" in running(box), pause=1)
    assert box.user.out("app", "run", "--rm", BUSYBOX, "busybox", "echo", "works") == "works\n"


def test_an_hd_audio_card_is_heard(box: Box, tmp_path: Path) -> None:
    box.user.run("app", "run", "--detach", "--name", "tone", "localhost/thanos/tone:base", "440", "900", "40")
    try:
        assert eventually(lambda: strengths(listen(box, tmp_path / "tone.wav"), 440))
    finally:
        box.user.run("app", "rm", "--force", "tone")


def test_a_service_that_keeps_failing_is_given_more_and_more_time(box: Box) -> None:
    box.inside("""
        mkdir -p /tmp/failing/log && cd /tmp/failing
        printf '#!/bin/sh\\nexit 3\\n' >run
        printf '#!/bin/sh\\nexec cat >/dev/null\\n' >log/run
        chmod +x run log/run
        ln -s /usr/bin/stark finish
        cut -d. -f1 /proc/uptime >started
        mv /tmp/failing /etc/service
    """)

    def pauses() -> list[int]:
        said = re.findall(r"failing ended with status 3 after .* starts again in (\d+) s", box.sh(LOG))
        return [int(each) for each in said]

    try:
        eventually(lambda: len(pauses()) >= 4, tell=pauses, pause=2)
        assert pauses()[:4] == [1, 2, 4, 8]
        assert services(box)["failing"]["restarts"] >= 4
        assert "failing" in box.inside("stark ready 2>&1 || :")
    finally:
        box.inside("sv -w 30 force-stop failing; rm -rf /etc/service/failing")
