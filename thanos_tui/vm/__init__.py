"""Machines: QEMU processes that run an output, each with a directory of its own."""
