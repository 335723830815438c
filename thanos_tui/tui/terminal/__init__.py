"""The console inside the app: a terminal emulator in a widget, fed by SSH sessions and serial ports.

:mod:`.emulator` says what an emulator is and picks the best one that is installed, :mod:`.widget` draws it and takes
the keys, :mod:`.ssh` and :mod:`.serial` are what is at the other end, :mod:`.pane` holds the tabs.
"""
