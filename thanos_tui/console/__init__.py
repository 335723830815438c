"""The console: SSH sessions with a machine whose host key is known before the first connection.

What the command line calls is here and synchronous; :func:`connect` is the asynchronous core that the app builds on.
asyncssh is imported where it is used, so importing this room costs next to nothing.
"""

from thanos_tui.console.copying import copy, machine_of
from thanos_tui.console.hostkeys import host_key, learn, recall, remember
from thanos_tui.console.login import Ask, ask_on_terminal, connect
from thanos_tui.console.ready import wait_ready
from thanos_tui.console.session import capture, exchange, run, shell
from thanos_tui.console.target import Target
from thanos_tui.console.tunnel import Tunnel, tunnel

__all__ = [
    "Ask",
    "Target",
    "Tunnel",
    "ask_on_terminal",
    "capture",
    "connect",
    "copy",
    "exchange",
    "host_key",
    "learn",
    "machine_of",
    "recall",
    "remember",
    "run",
    "shell",
    "tunnel",
    "wait_ready",
]
