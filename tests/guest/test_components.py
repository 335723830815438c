"""The scripts of single components: addresses, kernel settings, consoles, entropy, the welcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from guests import Guest


@pytest.fixture
def network(guest: Guest) -> Guest:
    for name in ("ip", "usleep"):
        guest.program(name)
    guest.program("hostname", f'[ -z "$1" ] && cat "{guest.root}/name"; exit 0')
    guest.file("name", "thanos\n")
    guest.file("/sys/class/net/eth0/address", "52:54:00:12:34:56\n")
    guest.file("/run/resolvconf/resolv.conf")
    return guest


def static(network: Guest) -> Path:
    return network.install("dhcp/static-address", "/bin/static-address")


def resolv_conf(network: Guest) -> str:
    return (network.root / "run/resolvconf/resolv.conf").read_text()


def test_static_addresses_of_both_protocols(network: Guest) -> None:
    words = (
        "--address 192.0.2.10/24 --address 2001:db8::2/64 --gateway 192.0.2.1 --gateway 2001:db8::1 --dns 192.0.2.53"
    )
    done = network.run(static(network), *words.split(), "--dns", "2001:db8::53", "--search", "example.org")
    assert (done.returncode, done.stderr) == (0, "")
    assert network.calls == [
        "ip link set eth0 up",
        "ip addr add 192.0.2.10/24 brd + dev eth0",
        "ip -6 addr add 2001:db8::2/64 dev eth0",
        "ip route add default via 192.0.2.1 dev eth0",
        "ip -6 route add default via 2001:db8::1 dev eth0",
    ]
    assert resolv_conf(network) == "search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    assert done.stdout == "eth0: 192.0.2.10/24 2001:db8::2/64 by way of 192.0.2.1 2001:db8::1\n"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "usage"),
        (["--address"], 2, "usage"),
        (["--adress", "192.0.2.10/24"], 2, "usage"),
        (["--address", "192.0.2.10"], 1, "needs the length of its network, like 192.0.2.10/24"),
        (["--interface", "eth7", "--address", "192.0.2.10/24"], 1, "there is no interface eth7; there are: eth0"),
    ],
)
def test_addresses_that_cannot_be(network: Guest, words: list[str], status: int, message: str) -> None:
    done = network.run(static(network), *words)
    assert done.returncode == status
    assert message in done.stderr


def test_a_gateway_out_of_reach_is_named(network: Guest) -> None:
    network.program("ip", 'case "$*" in *route*) exit 2 ;; esac')
    done = network.run(static(network), "--address", "192.0.2.10/24", "--gateway", "198.51.100.1")
    assert done.returncode == 1
    assert "the gateway 198.51.100.1" in done.stderr


def test_name_servers_come_and_go_with_leases(network: Guest) -> None:
    hook = network.install("dhcp/dhcp-hook", "/bin/dhcp-hook")
    lease = {
        "interface": "eth0",
        "protocol": "dhcp",
        "reason": "BOUND",
        "new_ip_address": "192.0.2.7",
        "new_subnet_cidr": "24",
        "new_routers": "192.0.2.1 192.0.2.2",
        "new_domain_name": "example.org",
        "new_domain_name_servers": "192.0.2.53 192.0.2.54",
    }
    before = (network.root / "run/resolvconf/resolv.conf").stat().st_ino
    done = network.run(hook, env=lease)
    assert done.stdout == "eth0: 192.0.2.7/24 by way of 192.0.2.1\n"
    advert = {"interface": "eth0", "protocol": "ra", "reason": "ROUTERADVERT", "nd1_rdnss1_servers": "2001:db8::53"}
    network.run(hook, env=advert)
    network.run(hook, env={**lease, "interface": "eth1", "reason": "RENEW"})
    assert resolv_conf(network).splitlines() == [
        "search example.org",
        "nameserver 192.0.2.53",
        "nameserver 192.0.2.54",
        "nameserver 2001:db8::53",
    ]
    for interface in ("eth0", "eth1"):
        network.run(hook, env={"interface": interface, "protocol": "dhcp", "reason": "EXPIRE"})
    assert resolv_conf(network) == "nameserver 2001:db8::53\n"
    # Components have the file itself bound.
    assert (network.root / "run/resolvconf/resolv.conf").stat().st_ino == before


@pytest.mark.parametrize(
    ("name", "taken"), [("(none)", True), ("thanos-525400123456", True), ("db1", False), ("thanos", False)]
)
def test_a_host_name_from_the_network_is_for_machines_without_their_own(network: Guest, name: str, taken: bool) -> None:
    network.file("name", f"{name}\n")
    hook = network.install("dhcp/dhcp-hook", "/bin/dhcp-hook")
    network.run(hook, env={"interface": "eth0", "protocol": "dhcp", "reason": "BOUND", "new_host_name": "given"})
    assert ("hostname given" in network.calls) is taken


@pytest.fixture
def settings(guest: Guest) -> Guest:
    for name in ("kernel/x", "net/ipv4/conf/eth0.1/y", "vm/z"):
        guest.file(f"/proc/sys/{name}", "0\n")
    return guest


def sysctl(settings: Guest) -> Path:
    return settings.install("sysctl/sysctl.sh", "/bin/sysctl.sh")


def test_kernel_settings_of_the_image_come_before_the_machines(settings: Guest) -> None:
    settings.file("/etc/sysctl.d/00-image.conf", "# safe\nkernel.x = 1\n  vm.z=  some words \n-no.such.key = 1\n")
    settings.file("/hostroot/etc/sysctl.d/90-mine.conf", "; mine\nkernel.x=2\nnet/ipv4/conf/eth0.1/y = 3")
    done = settings.run(sysctl(settings))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    values = [
        (settings.root / "proc/sys" / name).read_text() for name in ("kernel/x", "vm/z", "net/ipv4/conf/eth0.1/y")
    ]
    assert values == ["2\n", "some words\n", "3\n"]


def test_a_dot_in_an_interfaces_name_is_written_as_a_slash(settings: Guest) -> None:
    settings.file("/etc/sysctl.d/a.conf", "net.ipv4.conf.eth0/1.y = 4\n")
    assert settings.run(sysctl(settings)).returncode == 0
    assert (settings.root / "proc/sys/net/ipv4/conf/eth0.1/y").read_text() == "4\n"


def test_settings_that_cannot_be_are_named_by_line_and_the_rest_applied(settings: Guest) -> None:
    file = settings.file("/etc/sysctl.d/a.conf", "no.such.key = 1\nnonsense\nvm = 1\nvm.z = 5\n")
    done = settings.run(sysctl(settings))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{file}:1: this kernel has no parameter no.such.key",
        f'{file}:2: not "key = value": nonsense',
        f"{file}:3: the kernel does not take vm = 1",
    ]
    assert (settings.root / "proc/sys/vm/z").read_text() == "5\n"


def welcome(guest: Guest, failures: str = "") -> str:
    guest.file("/proc/uptime", "12.34 20.00\n")
    guest.file("/proc/cmdline", "quiet\n")
    guest.file("/etc/issue", "Welcome to ThanOS\n")
    guest.file("/run/thanos/failures", failures)
    addresses = (
        "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\\n"
        "2: eth0    inet6 2001:db8::2/64 scope global dynamic\\n"
    )
    guest.program("ip", f"printf '{addresses}'")
    return guest.run(guest.install("init/welcome", "/bin/welcome")).stdout


def test_a_good_boot_ends_with_the_welcome(guest: Guest) -> None:
    assert welcome(guest).splitlines() == ["thanos: started in 12 s, 192.0.2.7, 2001:db8::2", "Welcome to ThanOS"]


def test_a_boot_with_failures_says_which_and_does_not_welcome(guest: Guest) -> None:
    said = welcome(guest, "service ntp\nonboot 001-dhcp\nservice ntp\n")
    assert said == "thanos: not everything has started: onboot 001-dhcp, service ntp\n"


@pytest.fixture
def entropy(guest: Guest) -> Guest:
    for name in ("rngd", "jitterentropy-rngd"):
        guest.program(name)
    guest.program("dd", "exit 1")
    guest.file("/proc/cpuinfo", "flags : fpu sse\n")
    guest.file("/sys/class/misc/hw_random/rng_current", "virtio_rng.0\n")
    return guest


def feeder(entropy: Guest) -> Path:
    return entropy.install("rngd/rngd.sh", "/bin/rngd.sh")


def test_the_best_source_of_entropy_is_taken(entropy: Guest) -> None:
    assert entropy.run(feeder(entropy), "auto").stdout == "rngd: feeding from timing jitter\n"
    entropy.file("/proc/cpuinfo", "flags : fpu rdrand sse\n")
    assert entropy.run(feeder(entropy), "auto").stdout == "rngd: feeding from the processor (rdrand)\n"
    entropy.program("dd")
    assert entropy.run(feeder(entropy)).stdout == "rngd: feeding from the hardware generator virtio_rng.0\n"
    assert [call.split()[0] for call in entropy.calls if "dd" not in call] == ["jitterentropy-rngd", "rngd", "rngd"]


@pytest.mark.parametrize(
    ("source", "message"),
    [("hwrng", "no hardware generator"), ("rdrand", "no rdrand"), ("dice", "no such source: dice")],
)
def test_a_source_that_is_not_there_is_named(entropy: Guest, source: str, message: str) -> None:
    done = entropy.run(feeder(entropy), source)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_machine_without_console_has_no_login(guest: Guest) -> None:
    guest.file("/proc/cmdline", "quiet\n")
    done = guest.run(guest.install("getty/getty.sh", "/bin/getty.sh"))
    assert (done.returncode, done.stderr) == (1, "getty: the kernel's command line names no console\n")
