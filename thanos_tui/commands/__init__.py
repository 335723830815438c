"""The commands of ``thanos-tui``, by what they are about. Each adds its parsers and runs what was asked for.

Parsers are built at every start, so the modules here import what they work with in the functions that need it.
"""
