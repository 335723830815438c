"""The YAML pane: the config as LinuxKit reads it, live, and what it differs in from others."""
