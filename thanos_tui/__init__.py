"""ThanOS TUI: configure, build, boot and connect to a small OS made of containers."""

__version__ = "0.1.0"
