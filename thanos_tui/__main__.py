"""The ``thanos-tui`` program, also as ``python -m thanos_tui``."""

import signal
import sys

from thanos_tui.tui import first


def main() -> None:
    """Start the command line. Ctrl-C while it is still being loaded ends the program without a traceback."""
    # Python's own handler would raise in the middle of an import; one that is ignored (nohup, &) stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = sys.argv[1:]
    if first.wanted(words):
        first.draw()
    if words[:1] == ["build"]:
        from thanos_tui import again

        if again.answered(words):
            return
    try:
        from thanos_tui.cli import entry

        entry()
    finally:
        first.restore()


if __name__ == "__main__":
    main()
