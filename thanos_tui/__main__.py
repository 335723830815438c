"""``python -m thanos_tui`` is ``thanos-tui``."""

from thanos_tui.cli import entry

entry()
