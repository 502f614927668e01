"""What gets installed: no torchvision by any way, and one version everywhere."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import neurohorizon

FORBIDDEN = {
    "clean-fid",
    "lpips",
    "open-clip-torch",
    "piq",
    "timm",
    "torch-fidelity",
    "torchvision",
}


def reachable(distribution: str, extras: frozenset[str]) -> set[str]:
    """Return the names of all that a distribution requires, through what is installed."""
    found: set[str] = set()
    visited: set[tuple[str, str]] = set()
    open_ends = [(distribution, extra) for extra in {"", *extras}]
    while open_ends:
        name, extra = open_ends.pop()
        if (name, extra) in visited:
            continue
        visited.add((name, extra))
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not installed: its name is known all the same
        for text in texts:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(requirement.name)
                found.add(wanted)
                open_ends += [(wanted, further) for further in {"", *requirement.extras}]
    return found


def extras() -> frozenset[str]:
    return frozenset(metadata.metadata("neurohorizon").get_all("Provides-Extra") or ())


def test_no_extra_requires_torchvision() -> None:
    names = reachable("neurohorizon", extras())
    assert {"torch", "lightning", "torchmetrics", "pynwb", "hdmf", "diffusers"} <= names
    assert names & FORBIDDEN == set()


def test_the_walk_follows_extras() -> None:
    # lightning names torchvision in an extra that nobody here asks for.
    assert "torchvision" in reachable("lightning", frozenset({"pytorch-examples"}))
    assert "torchvision" not in reachable("lightning", frozenset())


def test_torchvision_is_not_installed() -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("torchvision")


def test_the_pins_cover_what_is_required_and_hold_no_address(root: Path) -> None:
    text = (root / "constraints" / "ci.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, flags=re.MULTILINE))
    pinned = {canonicalize_name(name) for name in pins}
    assert reachable("neurohorizon", frozenset({"dev", "nwb"})) - pinned <= {"colorama"}
    assert pins["torch"] == "2.13.0"
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())


def test_one_version_everywhere(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert metadata.version("neurohorizon") == neurohorizon.__version__
    citation = (root / "CITATION.cff").read_text()
    assert f"version: {neurohorizon.__version__}\n" in citation
