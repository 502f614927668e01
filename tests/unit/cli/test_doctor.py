"""The doctor's own organs: probing imports that fail, and the torchvision trap."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from neurohorizon.cli import doctor


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of packages that this process and its children see first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install_torchvision(site: Path, source: str) -> None:
    (site / "torchvision.py").write_text(source)
    information = site / "torchvision-0.99.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99\n"
    )


def test_probe_tells_each_import_apart(site: Path) -> None:
    (site / "fine.py").write_text("print('noise on the standard output')")
    (site / "faulty.py").write_text("raise RuntimeError('operator is\\nmissing')")
    (site / "deadly.py").write_text("import os; os._exit(139)")
    errors = doctor.probe(["faulty", "deadly", "absent_module", "fine"])
    assert errors == {
        "faulty": "RuntimeError: operator is\nmissing",
        "deadly": "the import ended its process with exit code 139",
        "absent_module": "ModuleNotFoundError: No module named 'absent_module'",
        "fine": None,
    }


def test_probe_does_not_wait_for_ever(site: Path) -> None:
    (site / "hanging.py").write_text("import time; time.sleep(600)")
    (site / "fine.py").write_text("")
    errors = doctor.probe(["fine", "hanging"], timeout_s=3)
    assert errors == {"fine": None, "hanging": "the import took more than 3 s"}


def test_a_torchvision_that_dies_is_found_with_its_mend(site: Path) -> None:
    install_torchvision(site, "raise RuntimeError('operator torchvision::nms does not exist')")
    assert doctor.find_torchvision_fault() == (
        "BROKEN  version 0.99 does not fit this torch and takes transformers, diffusers and "
        "lightning with it: pip uninstall torchvision "
        "(RuntimeError: operator torchvision::nms does not exist)"
    )


def test_a_torchvision_that_works_or_is_absent_is_no_fault(site: Path) -> None:
    assert doctor.find_torchvision_fault() is None
    install_torchvision(site, "")
    assert doctor.find_torchvision_fault() is None


def patch_the_rest(
    monkeypatch: pytest.MonkeyPatch, *, error: str | None = None, torchvision: str | None = None
) -> None:
    monkeypatch.setattr(
        doctor, "probe", lambda names: {n: error if n == "scipy" else None for n in names}
    )
    monkeypatch.setattr(doctor, "find_torchvision_fault", lambda: torchvision)


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    patch_the_rest(monkeypatch)
    assert doctor.doctor() == 0
    shown = capsys.readouterr().out
    assert f"torch         {metadata.version('torch')}, device " in shown
    assert f"  scipy         {metadata.version('scipy'):<14}ok\n" in shown
    assert "nwb           installed   dandi " in shown
    assert "vision" in shown
    assert shown.endswith("all core libraries work\n")


def test_a_broken_core_library_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch_the_rest(monkeypatch, error="ImportError: no\nsymbol")
    assert doctor.doctor() == 1
    shown = capsys.readouterr().out
    assert "BROKEN  ImportError: no symbol\n" in shown
    assert shown.endswith("broken: scipy\n")


def test_a_broken_torchvision_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch_the_rest(monkeypatch, torchvision="BROKEN  pip uninstall torchvision")
    assert doctor.doctor() == 1
    assert "torchvision   BROKEN  pip uninstall torchvision" in capsys.readouterr().out


def test_a_missing_or_old_library_names_its_install_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch_the_rest(monkeypatch)
    versions = {"lightning": "2.6.1", "scipy": None, "pynwb": "1.0"}
    true_version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, true_version(name)))
    assert doctor.doctor() == 1
    shown = capsys.readouterr().out
    assert "BROKEN  >=2.6.4 is wanted: pip install 'lightning>=2.6.4'" in shown
    assert "BROKEN  not installed: pip install 'scipy>=" in shown
    assert "nwb           missing     pynwb: pip install 'neurohorizon[nwb]'" in shown
    assert shown.endswith("broken: lightning, scipy\n")


def test_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Accelerator {index}")
    described = doctor._describe_torch()
    assert described.endswith("device cuda (Accelerator 0, Accelerator 1), 2 CPU threads")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert "device mps" in doctor._describe_torch()
