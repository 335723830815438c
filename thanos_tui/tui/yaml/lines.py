"""Lines of YAML: the shared view of lines, with the colours of YAML and of differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType

from thanos_tui.tui.keys import key
from thanos_tui.tui.lines import Lines


class YamlLines(Lines):
    """Lines as ``drawing`` makes them. Styles may be joined (``added+marked``): the later ones count for more."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"lines--{name}"
        for name in (
            *("key", "number", "word", "mark", "comment", "secret"),
            *("added", "removed", "added-part", "removed-part", "fold", "marked"),
        )
    }
    DEFAULT_CSS = """
    YamlLines {
        height: 1fr;
        & > .lines--key { color: $text-primary; }
        & > .lines--number { color: $text-warning; }
        & > .lines--word { color: $text-accent; }
        & > .lines--mark { text-style: dim; }
        & > .lines--comment { text-style: dim italic; }
        & > .lines--secret { color: $text-error; text-style: italic; }
        & > .lines--added { color: $text-success; }
        & > .lines--removed { color: $text-error; }
        & > .lines--added-part { color: $text-success; text-style: bold reverse; }
        & > .lines--removed-part { color: $text-error; text-style: bold reverse; }
        & > .lines--fold { text-style: dim italic; }
        & > .lines--marked { background: $panel; text-style: bold; }
    }
    YamlLines.-stale { text-opacity: 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        key("lines.search", "slash", "search", "Search", "Find text in the YAML while you type."),
        key("yaml.option", "enter", "pick", "Option", "Go to the option that this line comes from.", show=True),
        key("yaml.copy-all", "C", "copy_all", "Copy all", "Copy the YAML, or the difference, as a whole."),
    ]

    def __init__(self, text: Callable[[], str], *, id: str | None = None) -> None:
        """text: gives all that is copied, which is more than what is shown where equal lines are folded."""
        super().__init__(cursor=True, wrap=True, follow=False, id=id)
        self._text = text

    def text(self) -> str:
        return self._text()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # YAML tells of no errors; its pane has another use for the key.
        return False if action == "first_error" else super().check_action(action, parameters)

    def _style(self, name: str) -> Style:
        if "+" not in name or name in self._styles:
            return super()._style(name)
        found = self._styles[name] = Style.combine(super(YamlLines, self)._style(part) for part in name.split("+"))
        return found
