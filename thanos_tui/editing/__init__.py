"""Editing a profile: its states with undo and redo, search, effects, recovery. No widget, no terminal library."""
