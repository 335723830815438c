"""The pane of machines: a list, the log, the boot and the screen of the chosen one, and what can be done with it."""
