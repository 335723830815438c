"""config.json and runtime.json: the same bytes as upstream's, for everything a container can say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from thanos_tui.errors import BuildError, InputError
from thanos_tui.linuxkit import checks, config, spec, values
from thanos_tui.linuxkit.config import Component, Volume

# NAME.yml, and in NAME.json what upstream's `linuxkit build` (March 2026) made of it; images.json holds the
# configurations of the images they use.
GOLDEN = Path(__file__).parent / "golden"
IMAGES = json.loads((GOLDEN / "images.json").read_text())


def made(component: Component, image: dict[str, Any] | None = None, compat: config.Compat = "fixed") -> dict[str, Any]:
    volumes = {"data": Volume("data"), "fixed": Volume("fixed", readonly=True)}
    return spec.oci_spec(spec.effective(component, image or {}, volumes, compat), {"web": 107}, compat)


@pytest.mark.parametrize("compat", ["fixed", "upstream"])
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yml")), ids=lambda path: path.stem)
def test_the_same_bytes_as_upstream(path: Path, compat: config.Compat) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    whole = config.read_files([path], compat)
    ids, volumes = checks.container_ids(whole), {item.name: item for item in whole.volumes}
    trees: dict[str, str] = {}
    for section, number, item in whole.components():
        directory = f"containers/{section}/" + ("" if section == "services" else f"{number:03d}-") + item.name
        item = spec.effective(item, IMAGES[item.image], volumes, compat)
        root = trees.setdefault(item.image, directory + ("/rootfs" if item.readonly else "/lower"))
        for name, value in (
            ("config.json", spec.oci_spec(item, ids, compat)),
            ("runtime.json", spec.runtime_spec(item, directory, root, compat)),
        ):
            upstream = expected.pop(f"{directory}/{name}")
            assert value == upstream["json"]
            assert hashlib.sha256(spec.to_json(value)).hexdigest() == upstream["sha256"]
    assert not expected


def test_json_is_escaped_as_go_does() -> None:
    text = spec.to_json({"a": ["<&>", "é\u2028\x1f\x7f\t"], "b": [], "c": {}})
    assert text == (
        b'{\n    "a": [\n        "\\u003c\\u0026\\u003e",\n        "\xc3\xa9\\u2028\\u001f\x7f\\t"\n    ],\n'
        b'    "b": [],\n    "c": {}\n}'
    )


def test_all_and_one_more_is_all() -> None:
    image = {"Labels": {spec.LABEL: '{"capabilities": ["all"]}'}}
    process = made(Component("a", "b", capabilities_add=("CAP_KILL",)), image)["process"]
    assert process["capabilities"]["effective"] == list(values.CAPABILITIES)


def test_none_and_one_more_is_that_one() -> None:
    image = {"Labels": {spec.LABEL: "capabilities: [none]"}}
    process = made(Component("a", "b", capabilities_add=("CAP_KILL",)), image)["process"]
    assert process["capabilities"]["effective"] == ["CAP_KILL"]


def test_volumes_are_found_in_binds_mounts_and_labels() -> None:
    component = Component(
        "a",
        "b",
        binds_add=("data:/b", "fixed:/f:ro,noexec"),
        mounts=(config.Mount(type="bind", source="data", destination="/m"),),
    )
    mounts = {item["destination"]: item["source"] for item in made(component, label("binds: ['data:/l']"))["mounts"]}
    path = "/containers/volumes/data/merged"
    assert (mounts["/b"], mounts["/m"], mounts["/l"]) == (path, path, path)
    assert mounts["/f"] == "/containers/volumes/fixed/merged"


def label(text: str) -> dict[str, Any]:
    return {"Labels": {spec.LABEL: text}}


@pytest.mark.parametrize(
    ("text", "place", "names"),
    [
        ('{"capabilites": ["all"]}', "label of img:1:1:2", "the image `img:1` has no key `capabilites`"),
        ("capabilities: [CAP_BREW]", "label of img:1:1:16", "`CAP_BREW`"),
        ("name: x", "label of img:1:1:1", "`name`"),
        ("[a]", "label of img:1:1:1", "mapping"),
        ("a: [", "label of img:1:1:4", "never closed"),
        ("binds: ['no:/x']", "label of img:1:1:9", "`no` is not declared"),
        ("binds: ['fixed:/x']", "label of img:1:1:9", "`fixed` is read-only"),
        ("cwd: 5", "label of img:1:1:6", "`cwd`"),
    ],
)
def test_bad_labels_are_refused(text: str, place: str, names: str) -> None:
    with pytest.raises(InputError) as caught:
        made(Component("a", "img:1"), label(text))
    assert str(caught.value.where) == place
    assert names in str(caught.value)


def test_a_label_may_name_a_container_as_user() -> None:
    assert made(Component("a", "b"), label("uid: web"))["process"]["user"] == {"uid": 107, "gid": 0}
    with pytest.raises(InputError, match="`wbe`"):
        made(Component("a", "b"), label("uid: wbe"))


def test_broken_image_configurations_are_refused() -> None:
    with pytest.raises(BuildError, match="Entrypoint"):
        made(Component("a", "b"), {"Entrypoint": "/bin/sh"})


QUIRKS = """
services:
  - name: app
    image: b
    ipc: none
    uidMappings: [{hostID: 100000, containerID: 0, size: 65536}]
    mounts: [{type: bind, source: data, destination: /data}]
    resources:
      memory: {limit: 1, kernelTCP: 5, disableOOMKiller: false}
      blockio: {leafWeight: 2, weightDevice: [{major: 8, weight: 500}]}
      hugepageLimits: [{pageSize: 2097152, limit: 3}]
      network: {classID: 7}
"""


def test_what_upstream_loses_is_kept() -> None:
    linux = made(config.read(QUIRKS, "x").services[0])["linux"]
    assert {"type": "ipc"} in linux["namespaces"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert linux["resources"] == {
        "memory": {"limit": 1, "kernelTCP": 5, "disableOOMKiller": False},
        "blockIO": {"leafWeight": 2, "weightDevice": [{"major": 8, "minor": 0, "weight": 500}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 3}],
        "network": {"classID": 7},
    }


def test_upstream_mode_loses_it_too() -> None:
    found = made(config.read(QUIRKS, "x", "upstream").services[0], compat="upstream")
    assert {"type": "ipc", "path": "none"} in found["linux"]["namespaces"]
    assert found["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 65536}]
    assert found["linux"]["resources"] == {"memory": {"limit": 1}, "blockIO": {}, "network": {}}
    assert {"destination": "/data", "type": "bind", "source": "data"} in found["mounts"]


def test_upstream_mode_wraps_ids() -> None:
    item = config.read("services: [{name: a, image: b, uid: -1, gid: 5000000000}]", "x", "upstream").services[0]
    assert made(item, compat="upstream")["process"]["user"] == {"uid": 4294967295, "gid": 705032704}


def test_container_ids_count_from_100_and_the_last_of_a_name_wins() -> None:
    whole = config.read(
        "onboot: [{name: a, image: x}]\nonshutdown: [{name: b, image: x}]\nservices: [{name: a, image: x}]", "x"
    )
    assert checks.container_ids(whole) == {"a": 102, "b": 101}
