"""How stark's services are, as it is told on the host that the machine runs on."""

from __future__ import annotations

import json

import pytest
from boxes import Box

pytestmark = [pytest.mark.boot, pytest.mark.network, pytest.mark.long]


def test_the_host_is_told_of_the_services(stark: Box) -> None:
    found = {each["name"]: each for each in json.loads(stark.user.out("status", stark.name, "--json"))}
    assert {"containerd", "docker", "storage", "xorg", "alsa"} <= found.keys()
    assert {each["state"] for each in found.values()} == {"ready"}
    table = stark.user.out("status", stark.name).splitlines()
    assert [line.split()[0] for line in table[1:]] == list(found)
    stark.inside("sv down /etc/service/alsa")
    try:
        stopped = {each["name"]: each for each in json.loads(stark.user.out("status", stark.name, "--json"))}
        assert (stopped["alsa"]["state"], stopped["alsa"]["pid"]) == ("stopped", None)
        assert stopped["docker"]["state"] == "ready"
    finally:
        stark.inside("sv up /etc/service/alsa; stark ready --timeout 120")
