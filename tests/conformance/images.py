"""The images of the cases: small, and as strange as images get."""

from ocilayout import Image, Layer, Layout, blob_of_bytes, gzip_bytes

HUB = "docker.io/conformance/"


def cpio(name, data):
    """A newc archive with one file, as CPU microcode comes."""

    def member(name, mode, data):
        name = name.encode() + b"\0"
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        head += b"\0" * (-len(head) % 4)
        return head + data + b"\0" * (-len(data) % 4)

    archive = member(name, 0o100644, data) + member("TRAILER!!!", 0, b"")
    return archive + b"\0" * (-len(archive) % 512)


def modules(version):
    """What a kernel's module archive unpacks to."""
    top = "lib/modules/" + version
    layer = Layer()
    layer.dirs("lib lib/modules").dir(top).dir(top + "/kernel").dir(top + "/kernel/drivers")
    layer.file(top + "/modules.dep", "kernel/drivers/dummy.ko:\n", mtime=1600000000)
    layer.file(top + "/kernel/drivers/dummy.ko", blob_of_bytes(700, version), 0o640, gid=3)
    layer.hardlink(top + "/kernel/drivers/alias.ko", top + "/kernel/drivers/dummy.ko", 0o640, gid=3)
    layer.symlink(top + "/build", "/usr/src/linux-" + version)
    layer.dir(top + "/firmware", 0o700, uid=12, gid=34)
    return layer.tar()


def kernels(layout):
    plain = Layer().file("kernel", blob_of_bytes(3000, "kernel"), 0o755)
    plain.file("kernel.tar", modules("6.1.0"))
    plain.file("kernel-dev.tar", b"not a tar, and not to be used")
    plain.file("System.map", "0000 T start\n").dirs("etc boot").file("boot/config", "CONFIG_X=y\n")
    layout.add(HUB + "kernel:1", Image(plain, Cmd=["/bin/sh"]))

    # ucode first, then the module archive, then the kernel, under other names
    named = Layer().file("early.cpio", cpio("kernel/x86/microcode/GenuineIntel.bin", b"\1" * 400))
    named.file("modules.tar", modules("6.6.6-rt")).file("bzImage", blob_of_bytes(2000, "bz"), 0o600)
    named.file("kernel", "the wrong one").file("kernel.tar", "the wrong one")
    layout.add(HUB + "kernel-named:1", Image(named))

    # kernel first, ucode last
    last = Layer().file("kernel", "kernel, then ucode", 0o644).file("kernel.tar", modules("5.0"))
    last.file("intel.cpio", cpio("kernel/x86/microcode/AuthenticAMD.bin", b"\2" * 33), 0o444)
    layout.add(HUB + "kernel-ucode:1", Image(last))

    bare = Layer().file("kernel", "a kernel without modules\n")
    layout.add(HUB + "kernel-bare:1", Image(bare))

    packed = Layer().file("kernel", gzip_bytes(blob_of_bytes(1500, "vmlinux"), False), 0o644)
    packed.file("kernel.tar", modules("4.9"))
    layout.add(HUB + "kernel-gz:1", Image(packed))

    layout.add(HUB + "kernel-none:1", Image(Layer().file("vmlinuz", "misnamed")))

    arm = Layer().file("kernel", "arm64 kernel").file("kernel.tar", modules("6.1.0-arm64"))
    amd = Layer().file("kernel", "amd64 kernel").file("kernel.tar", modules("6.1.0-amd64"))
    layout.add(HUB + "kernel-multi:1", Image(amd), Image(arm, arch="arm64"), attest=True)


def inits(layout):
    base = Layer().dirs("bin dev etc etc/init.d lib lib/apk lib/apk/db root run sbin usr usr/bin var")
    base.dir("tmp", 0o1777).dir("proc", 0o555).dir("sys", 0o555)
    base.file("bin/busybox", blob_of_bytes(5000, "busybox"), 0o755)
    base.hardlink("bin/ash", "bin/busybox", 0o755).symlink("bin/sh", "busybox")
    base.symlink("sbin/init", "/bin/busybox").file("init", "#!/bin/sh\nexec /sbin/init\n", 0o755)
    base.file("bin/su", "setuid\n", 0o4755).file("etc/inittab", "::sysinit:/etc/init.d/rcS\n")
    base.file("etc/init.d/rcS", "#!/bin/sh\n", 0o755).file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
    base.file("lib/apk/db/installed", "C:Q1init\nP:busybox\nV:1\n", 0o644)
    base.char("dev/console", 5, 1, 0o600).char("dev/null", 1, 3, 0o666)
    base.file("etc/hostname", "builder\n").file("etc/hosts", "10.9.8.7 builder\n", 0o600, uid=5)
    base.file("etc/resolv.conf", "nameserver 10.0.0.53\n", 0o640, gid=8)
    base.file(".dockerenv", "").file("Dockerfile", "FROM scratch\n")
    layout.add(HUB + "init:1", Image(base))

    runc = Layer().dirs("usr usr/bin lib lib/apk lib/apk/db etc", 0o750)
    runc.file("usr/bin/runc", blob_of_bytes(900, "runc"), 0o755)
    runc.hardlink("usr/bin/runc-static", "usr/bin/runc", 0o755)
    runc.file("lib/apk/db/installed", "C:Q1runc\nP:runc\nV:2\n", 0o644)
    layout.add(HUB + "runc:1", Image(runc))

    daemon = Layer().dirs("usr usr/bin etc etc/init.d etc/containerd")
    daemon.file("usr/bin/containerd", blob_of_bytes(800, "containerd"), 0o755)
    daemon.symlink("etc/init.d/020-containerd", "/usr/bin/service", 0o777)
    daemon.file("etc/containerd/config.toml", 'state = "/run/containerd"\n')
    daemon.file("etc/inittab", "replaced by a later init image\n", 0o600)
    layout.add(HUB + "containerd:1", Image(daemon))

    # overrides files of the others, owns one more package database
    certs = Layer().dirs("etc etc/ssl etc/ssl/certs lib lib/apk lib/apk/db")
    certs.file("etc/ssl/certs/ca.pem", "-----BEGIN-----\n").file("lib/apk/db/installed", "P:ca\n\n")
    certs.symlink("etc/mtab", "../proc/self/mounts")
    layout.add(HUB + "certs:1", Image(certs))


def containers(layout):
    shell = Layer().dirs("bin dev etc proc sys tmp var usr").file("bin/sh", "sh\n", 0o755)
    layout.add(HUB + "shell:1", Image(shell, Cmd=["/bin/sh"], Env=["PATH=/bin"]))

    # everything in the image config that could be used
    layout.add(
        HUB + "configured:1",
        Image(
            Layer().dirs("app etc").file("app/serve", "#!/bin/sh\n", 0o755),
            Entrypoint=["/app/serve", "--port"],
            Cmd=["8080", "a b", "<&>"],
            Env=["PATH=/app:/bin", "EMPTY=", "QUOTED=\"x\" 'y' \\ é"],
            WorkingDir="/app",
            User="1000:1000",
            ExposedPorts={"8080/tcp": {}},
            Volumes={"/data": {}},
            StopSignal="SIGQUIT",
        ),
    )
    layout.add(HUB + "unconfigured:1", Image(Layer().file("opt/tool/bin/run", "run\n", 0o755)))

    label = {
        "capabilities": ["CAP_NET_ADMIN", "CAP_SYS_TIME"],
        "ambient": ["CAP_NET_RAW"],
        "binds": ["/dev:/dev", "/etc/app:/etc/app:ro", "/var:/var:rshared,rbind"],
        "mounts": [{"type": "cgroup2", "source": "cgroup2", "destination": "/sys/fs/cgroup"}],
        "tmpfs": ["/tmp:size=16m", "/scratch"],
        "command": ["/bin/from-label", "--flag"],
        "env": ["FROM=label"],
        "cwd": "/label",
        "net": "host",
        "pid": "host",
        "ipc": "new",
        "uts": "new",
        "hostname": "labelled",
        "readonly": True,
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "uid": 33,
        "gid": 44,
        "additionalGids": [55, 66],
        "noNewPrivileges": True,
        "oomScoreAdj": -500,
        "rootfsPropagation": "shared",
        "cgroupsPath": "/from/label",
        "resources": {"memory": {"limit": 1048576}, "pids": {"limit": 7}},
        "sysctl": {"net.core.somaxconn": "1024"},
        "rlimits": ["nofile,10,20"],
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "mode": "0666"}],
        "annotations": {"from": "label"},
        "runtime": {
            "cgroups": ["from-label"],
            "mkdir": ["/var/label"],
            "mounts": [{"type": "bind", "source": "/a", "destination": "/b", "options": ["bind"]}],
            "interfaces": [{"name": "eth9"}],
            "bindNS": {"net": "/run/netns/label", "uts": "/run/utsns/label"},
            "namespace": "from-label",
        },
    }
    body = Layer().dirs("bin etc").file("bin/from-label", "label\n", 0o755)
    layout.add(HUB + "labelled:1", Image(body, label=label, Cmd=["/bin/from-image"], WorkingDir="/i"))

    text = "# the label may be YAML too\nbinds:\n - /dev:/dev\ncapabilities:\n - all\npid: host\n"
    text += 'runtime:\n  mkdir: ["/run/yaml"]\n'
    layout.add(HUB + "label-yaml:1", Image(Layer().file("bin/x", "x"), label=text))
    layout.add(HUB + "label-caps:1", Image(Layer().file("bin/x", "c"), label={"capabilities": ["CAP_KILL"]}))
    layout.add(HUB + "label-volume:1", Image(Layer().file("bin/x", "v"), label={"binds": ["data:/data"]}))
    layout.add(HUB + "label-bad:1", Image(Layer().file("bin/x", "b"), label={"capabilites": ["all"]}))
    layout.add(HUB + "label-cap-bad:1", Image(Layer().file("bin/x", "b"), label={"capabilities": ["CAP_BREW"]}))


def filesystems(layout):
    long_dir = "usr/share/" + "/".join(f"level-{n:02d}-of-a-deep-tree" for n in range(12))
    short_dir = "usr/share/" + "/".join(f"level-{n:02d}" for n in range(10))
    tree = Layer()
    tree.dirs("bin dev etc home run srv usr usr/bin usr/lib usr/share var var/lib")
    tree.dir("var/tmp", 0o1777).dir("srv/team", 0o2775, gid=50).dir("home/ann", 0o700, uid=1000, gid=1000)
    tree.dir("root", 0o700).dir("proc", 0o555, mtime=5).dir("sys", 0o555)
    tree.file("bin/tool", blob_of_bytes(70000, "tool"), 0o755)
    tree.hardlink("bin/tool-too", "bin/tool", 0o755).hardlink("usr/bin/tool", "bin/tool", 0o755)
    tree.file("bin/setuid", "u", 0o4755).file("bin/setgid", "g", 0o2755, gid=42)
    tree.file("bin/both", "b", 0o6711, uid=7, gid=8).file("bin/none", "n", 0o000)
    tree.symlink("bin/relative", "tool").symlink("usr/bin/absolute", "/bin/tool")
    tree.symlink("usr/lib64", "lib").symlink("var/run", "/run").symlink("etc/dangling", "../no/where")
    tree.symlink("etc/far", "/" + long_dir + "/leaf.txt", uid=9, gid=9)
    tree.file(long_dir + "/leaf.txt", "deeper than 255 characters\n")
    tree.file(short_dir + "/leaf-with-a-name-that-takes-the-path-over-one-hundred.txt", "over 100\n")
    tree.hardlink("usr/lib/leaf", long_dir + "/leaf.txt")
    tree.file("home/ann/with space.txt", "space\n", uid=1000, gid=1000)
    tree.file("home/ann/naïve-Ω.txt", "not ASCII\n", uid=1000, gid=1000)
    tree.symlink("home/ann/ç", "naïve-Ω.txt").file("home/ann/-dash", "-").file("home/ann/a=b", "=")
    tree.file("home/ann/.wh", "not a whiteout").file("home/ann/back\\slash", "\\")
    tree.file("srv/nobody", "n", uid=65534, gid=65534).file("srv/huge", "h", uid=3000000, gid=4000000)
    tree.file("srv/empty", "").file("srv/block", b"x" * 512).file("srv/more", b"x" * 513)
    tree.file("srv/epoch", "0", mtime=0).file("srv/half", "0.5", mtime=1577836800.5)
    tree.char("dev/null", 1, 3, 0o666).block("dev/loop0", 7, 0, 0o660, gid=6).fifo("run/initctl", 0o600)
    tree.char("dev/console", 5, 1).dir("dev/pts").dir("dev/shm", 0o1777).file("dev/shm/kept", "kept")
    tree.file(".dockerenv", "").file("Dockerfile", "FROM scratch\n").file("etc/Dockerfile", "kept\n")
    tree.file("etc/hostname", "builder\n").file("etc/hosts", "1.2.3.4 x\n", 0o600, uid=1, gid=2)
    tree.file("etc/resolv.conf", "nameserver 9.9.9.9\n", 0o600, uid=3).file("etc/mtab", "own\n", 0o640, gid=4)
    layout.add(HUB + "tree:1", Image(tree, Cmd=["/bin/tool"]))

    one = Layer().dirs("etc etc/conf.d opt opt/old usr usr/share usr/share/doc usr/lib")
    one.file("etc/version", "1\n").file("etc/removed", "gone\n").file("etc/kept", "kept\n", uid=11)
    one.file("etc/conf.d/a", "a1\n").file("etc/conf.d/b", "b1\n")
    one.file("opt/old/data", "old\n").dir("opt/old/deep").file("opt/old/deep/data", "old\n")
    one.file("usr/share/doc/readme", "doc\n").file("usr/lib/dir-to-link", "x\n")
    one.dir("usr/share/to-file").file("usr/share/to-file/inner", "inner\n")
    one.dir("usr/share/to-link").file("usr/share/to-link/inner", "inner\n")
    one.file("usr/share/from-file", "was a file\n").file("usr/share/chmod", "same\n", 0o644)
    two = Layer().dir("etc", 0o711, uid=21, gid=22).file("etc/version", "2\n", 0o600)
    two.whiteout("etc/removed").whiteout("opt/old").whiteout("usr/share/doc/readme")
    two.file("usr/share/to-file", "a file now\n").symlink("usr/share/to-link", "/etc")
    two.dir("usr/share/from-file").file("usr/share/from-file/inner", "a directory now\n")
    two.file("usr/share/chmod", "same\n", 0o755).file("etc/conf.d/b", "b2\n").whiteout("never-existed")
    three = Layer().dir("opt", 0o700).file("opt/new", "new\n").whiteout("usr/share/from-file")
    three.file("etc/conf.d/c", "c3\n").hardlink("etc/conf.d/d", "etc/conf.d/c")
    three.dirs("usr usr/share usr/share/doc").file("usr/share/doc/readme", "again\n")
    layout.add(HUB + "layered:1", Image(one, two, three, Entrypoint=["/bin/run"]))

    again = Layer().whiteout("opt/old"), Layer().dirs("opt opt/old").file("opt/old/data", "new\n")
    layout.add(HUB + "recreated:1", Image(one, *again))

    opaque = Layer().dirs("etc etc/conf.d").opaque("etc/conf.d").file("etc/conf.d/only", "only\n")
    layout.add(HUB + "opaque:1", Image(one, opaque))

    low = Layer().dirs("bin").file("bin/tool", "tool\n", 0o755).hardlink("bin/alias", "bin/tool", 0o755)
    layout.add(HUB + "half-removed:1", Image(low, Layer().dir("bin").whiteout("bin/tool")))

    climbing = Layer().dirs("etc").file("etc/plain", "p").file("../../../../etc/passwd", "root::0:0:::\n")
    layout.add(HUB + "climbing:1", Image(climbing.file("etc/../../up", "u")))
    layout.add(HUB + "repeated:1", Image(Layer().file("a", "first\n").file("a", "second, and last\n")))
    layout.add(HUB + "no-platform:1", Image(Layer().file("a", "a\n"), Cmd=["a"]), platforms=False)

    link = Layer().dirs("etc run").symlink("etc/resolv.conf", "../run/resolv.conf")
    layout.add(HUB + "resolv-link:1", Image(link))


def encodings(layout):
    def body(packing="gzip", **kw):
        layer = Layer(packing, **kw).dir("etc").file("etc/kind", packing + "\n")
        name = "share/" + "n" * 90 + "/" + "m" * 90
        layer.file(name, blob_of_bytes(3000, packing) + b"\0" * 9000, 0o640, uid=77)
        return layer.symlink("share/link", name).hardlink("share/hard", name, 0o640, uid=77)

    layout.add(HUB + "zstd:1", Image(body("zstd"), Cmd=["zstd"]))
    layout.add(HUB + "plain:1", Image(body("none"), Cmd=["plain"]))
    layout.add(HUB + "members:1", Image(body("members"), Cmd=["members"]))
    layout.add(HUB + "gnu:1", Image(body(flavour="gnu"), Cmd=["gnu"]))
    layout.add(HUB + "docker:1", Image(body(), docker=True, Cmd=["docker"]))
    layout.add(HUB + "bare:1", Image(body(), Cmd=["bare"]), bare=True)
    layout.add(HUB + "nolayers:1", Image(Cmd=["nothing"]))
    dotted = Layer(prefix="./").dir("", 0o750, uid=6).dirs("etc bin").file("bin/dot", "./", 0o755)
    dotted.file("etc/hosts", "dropped").file("etc/hostname", "dropped").hardlink("bin/dot2", "bin/dot", 0o755)
    layout.add(HUB + "dotted:1", Image(dotted, Cmd=["dotted"]))

    amd = Layer().file("bin/arch", "amd64\n", 0o755)
    arm = Layer().file("bin/arch", "arm64\n", 0o755)
    layout.add(
        HUB + "multi:1",
        Image(arm, arch="arm64", Cmd=["arm64"], label={"capabilities": ["CAP_KILL"]}),
        Image(amd, Cmd=["amd64"], label={"capabilities": ["CAP_CHOWN"]}),
        attest=True,
    )


def volumes(layout):
    def body(arch):
        layer = Layer("stored").dirs("bin etc data").file("data/arch", arch + "\n")
        layer.file("etc/hosts", "own\n").file("etc/resolv.conf", "own\n").hardlink("data/hard", "data/arch")
        return Image(layer, arch=arch, Cmd=["data"])

    layout.add(HUB + "data:1", body("amd64"), body("arm64"))


def names(layout):
    def body(text):
        return Image(Layer("stored").file("name", text + "\n"), Cmd=[text])

    layout.add("docker.io/library/tools:1", body("library, tagged"))
    layout.add("docker.io/library/tools:latest", body("library"), also=["docker.io/library/tools"])
    layout.add(HUB + "untagged:latest", body("untagged"), also=[HUB + "untagged"])
    layout.add("registry.example.com/tool:2.0", body("domain"))
    layout.add("registry.example.com/team/group/tool:2.0", body("deep"))
    layout.add("localhost/tool:dev", body("localhost"))
    layout.add("localhost:5000/tool:dev", body("port"))
    layout.add(HUB + "pinned:1", body("pinned"), by_digest=True)


def make(path):
    """Write the images of all cases as an image layout."""
    layout = Layout(str(path))
    for group in (kernels, inits, containers, filesystems, encodings, volumes, names):
        group(layout)
    layout.close()
