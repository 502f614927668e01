"""``neurohorizon doctor``: what is installed, what is missing, what is broken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from neurohorizon import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MODULE_NAMES = {
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
"""Import names of the core libraries that are not imported by their own name."""

PROBE_LINE = "neurohorizon-probe "
PROBE = f"""
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        error = None
    except BaseException as reason:
        error = f"{{type(reason).__name__}}: {{reason}}"
    print({PROBE_LINE!r} + json.dumps([name, error]), flush=True)
"""


def doctor() -> int:
    """Say what is installed, what is missing, what is broken.

    Prints Python, this package, torch and its device, the version of each core library
    and whether its import works, each extra with the command that installs it, and
    whether an installed torchvision breaks the libraries around it.

    Exits with 1 if a core library is missing, too old or fails to import, or if
    torchvision is installed and fails to import; with 0 otherwise. Missing extras are
    no fault.
    """
    by_extra = _requirements()
    print(f"python        {platform.python_version()} ({sys.executable})")
    print(f"system        {platform.platform()}, {os.cpu_count()} CPU cores")
    print(f"neurohorizon  {__version__}", flush=True)

    core = by_extra.pop("")
    names = [_module_name(requirement.name) for requirement in core]
    errors = probe(names)
    if errors["torch"] is None:
        print(f"torch         {_describe_torch()}")

    broken = []
    print("\ncore libraries")
    for requirement, name in zip(core, names, strict=True):
        fault = _version_fault(requirement) or errors[name]
        if fault:
            broken.append(requirement.name)
        state = f"BROKEN  {_one_line(fault)}" if fault else "ok"
        print(f"  {requirement.name:<14}{_version(requirement.name) or '-':<14}{state}")

    print("\nextras")
    for extra, requirements in sorted(by_extra.items()):
        print(f"  {extra:<14}{_describe_extra(extra, requirements)}")

    torchvision_fault = find_torchvision_fault()
    print(f"\ntorchvision   {torchvision_fault or _describe_torchvision()}")
    if torchvision_fault:
        broken.append("torchvision")

    if broken:
        print(f"\nbroken: {', '.join(broken)}")
        return 1
    print("\nall core libraries work")
    return 0


def probe(names: Sequence[str], *, timeout_s: float = 600.0) -> dict[str, str | None]:
    """Import modules in another process and say what went wrong with each.

    Parameters
    ----------
    names : sequence of str
        Modules, in the order in which they are imported.
    timeout_s : float
        Time in seconds after which the module being imported counts as hanging.

    Returns
    -------
    dict of str to (str or None)
        The error of each module, None where the import worked. An import that kills its
        process is an error like any other, and the modules after it are still tried.
    """
    errors: dict[str, str | None] = {}
    while remaining := [name for name in names if name not in errors]:
        command = [sys.executable, "-c", PROBE, *remaining]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
            output, end = done.stdout, f"ended its process with exit code {done.returncode}"
        except subprocess.TimeoutExpired as expired:
            output = (expired.stdout or b"").decode(errors="replace")
            end = f"took more than {timeout_s:g} s"
        for line in output.splitlines():
            if line.startswith(PROBE_LINE):
                name, error = json.loads(line.removeprefix(PROBE_LINE))
                errors[name] = error
        culprit = next((name for name in remaining if name not in errors), None)
        if culprit is not None:
            errors[culprit] = f"the import {end}"
    return errors


def find_torchvision_fault() -> str | None:
    """Say what is wrong with an installed torchvision, and the mend.

    Returns
    -------
    str or None
        None where torchvision is absent or works.

    Notes
    -----
    A torchvision that was built for another torch (the one on the package index is built
    for CUDA) fails to import beside a CPU build, and transformers, diffusers, torchmetrics
    and lightning, which import it wherever they find it, fail with it.
    """
    version = _version("torchvision")
    if version is None:
        return None
    error = probe(["torchvision"])["torchvision"]
    if error is None:
        return None
    return (
        f"BROKEN  version {version} does not fit this torch and takes transformers, diffusers "
        f"and lightning with it: pip uninstall torchvision ({_one_line(error)})"
    )


def _requirements() -> dict[str, list[Requirement]]:
    """Return this package's own requirements by extra, the core ones under ''."""
    from packaging.requirements import Requirement

    described = metadata.metadata("neurohorizon")
    by_extra: dict[str, list[Requirement]] = {"": []}
    for extra in described.get_all("Provides-Extra") or []:
        by_extra[extra] = []
    for text in described.get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        for extra, found in by_extra.items():
            if requirement.marker is None:
                wanted = extra == ""
            else:
                wanted = requirement.marker.evaluate({"extra": extra})
            if wanted:
                found.append(requirement)
    return by_extra


def _module_name(distribution: str) -> str:
    return MODULE_NAMES.get(distribution, distribution.replace("-", "_"))


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _version_fault(requirement: Requirement) -> str | None:
    version = _version(requirement.name)
    wanted = f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        return f"not installed: {wanted}"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.specifier} is wanted: {wanted}"
    return None


def _describe_extra(extra: str, requirements: Sequence[Requirement]) -> str:
    missing = [requirement.name for requirement in requirements if _version_fault(requirement)]
    if missing:
        return f"missing     {', '.join(missing)}: pip install 'neurohorizon[{extra}]'"
    found = (f"{requirement.name} {_version(requirement.name)}" for requirement in requirements)
    return f"installed   {', '.join(found)}"


def _describe_torch() -> str:
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        device = f"cuda ({', '.join(found)})"
    elif torch.backends.mps.is_available():
        device = "mps (Apple GPU)"
    else:
        device = "cpu (no GPU found)"
    threads = torch.get_num_threads()
    return f"{torch.__version__}, device {device}, {threads} CPU thread{'s' * (threads != 1)}"


def _describe_torchvision() -> str:
    version = _version("torchvision")
    if version is None:
        return "not installed, as it should be: nothing here needs it"
    return f"{version} works; nothing here needs it"


def _one_line(text: str) -> str:
    return " ".join(text.split())
