"""The description of an image inside the image."""

from __future__ import annotations

import hashlib
import json

from thanos_tui.linuxkit import config
from thanos_tui.linuxkit.metadata import metadata

TEXT = """
kernel: {image: "conformance/kernel:1", cmdline: "quiet", tar: none}
init: [conformance/init:1, tools]
onboot:
  - name: once
    image: conformance/shell:1
    command: ["/bin/sh", "-c", "true # <&>"]
    readonly: true
    capabilities: [CAP_SYS_ADMIN]
    oomScoreAdj: 0
    sysctl: {kernel.b: "1", kernel.a: "on"}
services:
  - name: app
    image: registry.example.com/team/group/tool:2.0
    binds.add: ["/var/lib/app:/data", "cache:/cache"]
    capabilities.add: [CAP_KILL]
    env: []
    uid: app
    gid: 12
    additionalGids: [1, once]
    net: new
    noNewPrivileges: false
    rlimits: ["nofile,1,2"]
    devices: [{path: "/dev/x", type: c, major: 1, minor: 2, mode: "0666"}]
    runtime: {mkdir: ["/var/lib/app"], interfaces: [{name: eth0}], bindNS: {net: /run/netns/app}}
volumes:
  - name: cache
  - {name: store, image: "conformance/data:1", readonly: true}
trust: {org: [conformance]}
files:
  - {path: etc/linuxkit.yml, metadata: yaml, mode: "0644"}
  - {path: etc/linuxkit.json, metadata: json}
  - {path: etc/text, contents: "one\\ntwo: 'three'\\n", uid: app}
  - {path: etc/link, symlink: text}
  - {path: srv, directory: true}
  - {path: etc/maybe, source: missing, optional: true}
"""


def expand(reference: str) -> str:
    return {1: "docker.io/library/", 2: "docker.io/"}.get(len(reference.split("/")), "") + reference


def test_the_same_bytes_as_upstream() -> None:
    # The hashes are those of what upstream's `linuxkit build` (March 2026) wrote for this configuration.
    found = config.merge([config.read(TEXT, "x")])
    for form, digest in (
        ("yaml", "efd4a52a084bcd5f3cbe3e7058e289c64e165cc7a614e766ad313eef2c46517f"),
        ("json", "628bcc1218b792fe01d7b8c568b1b431bb64e3387dbb2d1a1264e83e6b5d7673"),
    ):
        text = metadata(found, form, expand)  # type: ignore[arg-type]
        assert hashlib.sha256(text).hexdigest() == digest, text.decode()


def test_it_can_be_read_again() -> None:
    found = config.read(
        "services: [{name: a, image: x.io/y/z, mounts: [{type: tmpfs, destination: /t}],"
        " resources: {memory: {kernelTCP: 5}}, command: ['yes', '1:30', 'a: b']}]",
        "x",
    )
    assert config.read(metadata(found, "yaml", str), "y") == found


def test_empty_sections_are_null_in_json() -> None:
    tree = json.loads(metadata(config.Config(), "json", expand))
    assert tree["kernel"] == {"image": ""}
    assert tree["services"] is None
