"""The small languages inside the strings of a LinuxKit configuration: binds, tmpfs, limits, capabilities, modes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from thanos_tui.errors import InputError, Where, nearest
from thanos_tui.linuxkit.model import Mount

# In the order of their numbers (linux/capability.h, Linux 5.9 and newer).
_CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
    SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITIES.split())

# setrlimit(2)
_RLIMITS = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
RLIMITS = tuple(f"RLIMIT_{name}" for name in _RLIMITS.split())

UNLIMITED = 2**64 - 1

# Where a mount goes that names only its type.
_USUAL_PLACES = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}


def capabilities(names: Sequence[str], key: str, where: Where | None) -> tuple[str, ...]:
    """The capabilities a list stands for: ``all`` and ``none`` (alone, in any case) are written out.

    Raises InputError for a name that is not one of CAPABILITIES.
    """
    if len(names) == 1 and names[0].lower() in ("all", "none"):
        return CAPABILITIES if names[0].lower() == "all" else ()
    for name in names:
        if name not in CAPABILITIES:
            if name.lower() in ("all", "none"):
                raise InputError(f"`{name}` in `{key}` must be the only one in its list", where=where)
            known = [capability.removeprefix("CAP_") for capability in CAPABILITIES]
            close = nearest(name.upper().removeprefix("CAP_"), known)
            hint = f"did you mean CAP_{close}?" if close else None
            raise InputError(f"there is no capability `{name}` (in `{key}`)", hint=hint, where=where)
    return tuple(names)


def bind(text: str, where: Where | None) -> Mount:
    """The mount that ``source:destination[:options]`` means."""
    parts = text.split(":")
    if len(parts) < 2 or not parts[1]:
        raise InputError(f"the bind `{text}` has no destination", hint="write source:destination", where=where)
    if len(parts) > 3:
        raise InputError(
            f"the bind `{text}` has too many parts", hint="write source:destination:option,option", where=where
        )
    if not parts[0]:
        raise InputError(f"the bind `{text}` has no source", hint="write source:destination", where=where)
    options = (*parts[2].split(","), "rbind") if len(parts) == 3 else ("rw", "rbind", "rshared")
    return Mount(destination=parts[1], type="bind", source=parts[0], options=options)


def tmpfs(text: str, where: Where | None) -> Mount:
    """The mount that ``destination[:options]`` means."""
    parts = text.split(":")
    if len(parts) > 2:
        raise InputError(f"the tmpfs `{text}` has too many parts", hint="write destination:option,option", where=where)
    options = tuple(parts[1].split(",")) if len(parts) == 2 else ()
    return Mount(destination=parts[0], type="tmpfs", source="tmpfs", options=options)


def mount(item: Mount, where: Where | None) -> Mount:
    """A mount of a container with everything filled in that its type, source or destination tells."""
    known = {"mqueue", "devpts", "proc", "sysfs", "cgroup"}
    kind = item.type or (item.source if item.source in known else "tmpfs" if item.destination == "/dev" else "")
    if not kind:
        name = f"the mount at `{item.destination}`" if item.destination else "a mount"
        raise InputError(f"{name} has no type", where=where)
    destination = item.destination or _USUAL_PLACES.get(kind, "")
    if not destination:
        raise InputError(f"the `{kind}` mount has no destination", where=where)
    return replace(item, destination=destination, type=kind, source=item.source or kind)


def rlimit(text: str, where: Where | None) -> tuple[str, int, int]:
    """Name, soft and hard value of ``name,soft,hard``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        missing = {1: "soft and its hard", 2: "hard"}.get(len(parts))
        problem = f"lacks its {missing} value" if missing else "has too many parts"
        raise InputError(f"the resource limit `{text}` {problem}", hint="write name,soft,hard", where=where)
    name = "RLIMIT_" + parts[0].upper().removeprefix("RLIMIT_")
    if name not in RLIMITS:
        names = [limit.removeprefix("RLIMIT_").lower() for limit in RLIMITS]
        close = nearest(parts[0], names)
        hint = f"did you mean {close}?" if close else f"there are: {', '.join(names)}"
        raise InputError(f"there is no resource limit `{parts[0]}`", hint=hint, where=where)
    soft, hard = (_limit(part, where) for part in parts[1:])
    if soft > hard:
        raise InputError(f"the resource limit `{text}` has a soft value above the hard one", where=where)
    return name, soft, hard


def _limit(text: str, where: Where | None) -> int:
    if text.lower() == "unlimited":
        return UNLIMITED
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) > UNLIMITED:
        raise InputError(
            f"the resource limit value `{text}` is not a number from 0", hint="or write unlimited", where=where
        )
    return int(text)


def namespace(text: str, key: str, where: Where | None) -> None:
    """Check a namespace: a word, or the path of one that is bound there."""
    words = ("host", "root", "new", "none")
    if text and text not in words and not text.startswith("/"):
        close = nearest(text, words)
        hint = f"did you mean `{close}`?" if close else "write host, new, or an absolute path"
        raise InputError(f"`{key}` cannot be `{text}`", hint=hint, where=where)


def octal(text: str, name: str, where: Where | None) -> int:
    """The permission bits that ``text`` means; ``name`` says what they belong to."""
    if not re.fullmatch("0*[0-7]{1,4}", text):
        raise InputError(
            f"the mode `{text}` of {name} is not an octal number", hint='write it like "0644"', where=where
        )
    return int(text, 8)
