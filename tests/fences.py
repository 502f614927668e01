"""Fences of the pages: commands and Python that readers will copy."""

from __future__ import annotations

import re

FENCE = re.compile(
    r"^(?P<marked><!-- run -->\s*)?^```(?P<language>bash|sh|console|python)\n"
    r"(?P<script>.*?)^```$",
    re.M | re.S,
)


def read_fences(text: str, *, language: str = "bash") -> list[tuple[bool, str]]:
    """Return for each fence of a language whether it is marked for running, and its script."""
    return [
        (bool(found["marked"]), found["script"])
        for found in FENCE.finditer(text)
        if (found["language"] == "python") == (language == "python")
    ]
