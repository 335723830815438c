"""The app: menuconfig for ThanOS, with the YAML, the build, the machine and the console beside it.

Only this package imports Textual. Panes are loaded when they are first shown, so that the first one is there at once.
"""
