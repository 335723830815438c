"""The Configure pane: the menu, what there is to know of an option, its editors, search, and "why not?"."""
