"""The runbook: the sections of infra/RUNBOOK.md that alarms link to."""

import re

from .stack import RUNBOOK

RUNBOOK_LINK = re.compile(r"Runbook: infra/RUNBOOK\.md#([a-z0-9-]+)$")
_CHAPTER = "## Alarms"


def sections() -> set[str]:
    """The chapter's sections, by the anchors that GitHub gives them."""
    _, chapter = RUNBOOK.read_text().split(f"\n{_CHAPTER}\n")
    # Up to the next heading of the same or a higher level.
    chapter = re.split(r"\n#{1,2} ", chapter)[0]
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", chapter, re.MULTILINE)}
