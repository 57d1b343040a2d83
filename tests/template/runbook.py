"""The runbook: the sections of README.md that alarms lead to."""

import re

from .stack import README

RUNBOOK_LINK = re.compile(r"Runbook: README\.md#([a-z0-9-]+)$")
_CHAPTER = "### Alarms and runbook"


def sections() -> set[str]:
    """The chapter's sections, by the anchors that GitHub gives them."""
    _, chapter = README.read_text().split(f"\n{_CHAPTER}\n")
    # Up to the next heading of the same or a higher level.
    chapter = re.split(r"\n#{1,3} ", chapter)[0]
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^#### (.+)$", chapter, re.MULTILINE)}
