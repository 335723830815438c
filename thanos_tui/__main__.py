"""The ``thanos-tui`` program, also as ``python -m thanos_tui``."""

import signal
import sys

from thanos_tui.tui import first


def main() -> None:
    """Start the command line. Ctrl-C while it is still being loaded ends the program without a traceback."""
    # Python's own handler would raise in the middle of an import; one that is ignored (nohup, &) stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if first.wanted(sys.argv[1:]):
        first.draw()
    try:
        from thanos_tui.cli import entry

        entry()
    finally:
        first.restore()


if __name__ == "__main__":
    main()
