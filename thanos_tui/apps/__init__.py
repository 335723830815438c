"""Apps: containers on the Docker of a machine's stark, wired to its screen and its sound.

Docker is spoken to by its own SDK, through a tunnel to its socket (``console.tunnel``). What is called here waits for
answers; the SDK is imported where it is used, so importing this room costs next to nothing.
"""

from thanos_tui.apps.bring import bring, load
from thanos_tui.apps.containers import (
    AppState,
    apps,
    attached,
    find,
    follow,
    free_name,
    last_lines,
    parts,
    remove,
    restart,
    run,
    start,
    stop,
)
from thanos_tui.apps.engine import SOCKET, Engine, connected, through
from thanos_tui.apps.services import SERVICES_LIMIT, Service, services

__all__ = [
    "SERVICES_LIMIT",
    "SOCKET",
    "AppState",
    "Engine",
    "Service",
    "apps",
    "attached",
    "bring",
    "connected",
    "find",
    "follow",
    "free_name",
    "last_lines",
    "load",
    "parts",
    "remove",
    "restart",
    "run",
    "services",
    "start",
    "stop",
    "through",
]
