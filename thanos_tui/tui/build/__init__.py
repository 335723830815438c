"""The build pane: a build while it runs, and what came of it."""
