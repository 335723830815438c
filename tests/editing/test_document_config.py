"""A document's config: rendered once for each state, by whichever thread asks first."""

from __future__ import annotations

from typing import Any

import pytest

from thanos_tui import options
from thanos_tui.editing.document import Document


def test_a_config_rendered_while_the_document_changes_does_not_count_for_the_state_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = Document.new()
    render = options.preview

    def slow(*args: Any, **given: Any) -> Any:
        made = render(*args, **given)
        if document["rngd"].value:
            document.set("rngd", False)  # as the event loop may, while a thread renders
        return made

    monkeypatch.setattr(options, "preview", slow)
    before = document.config()
    assert "rngd" in {service.name for service in before.services}
    assert "rngd" not in {service.name for service in document.config().services}
