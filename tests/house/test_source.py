"""What the source may not contain: pickles, torchvision, heavy imports, one machine's paths."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

NEED_TORCHVISION = {
    "cleanfid",
    "lpips",
    "open_clip",
    "piq",
    "timm",
    "torch_fidelity",
    "torchvision",
}
PICKLING = {"cloudpickle", "dill", "joblib", "pickle", "shelve"}
#: Of libraries that also pickle: processes, and the error of a safe load. Files are not touched.
HARMLESS_IMPORTS = {
    "from joblib import Parallel, cpu_count, delayed",
    "from pickle import UnpicklingError",
}
UNPICKLING_CALLS = {"torch.load", "pandas.read_pickle", "pd.read_pickle"}
UNSAFE_ARGUMENTS = {"allow_pickle": True, "weights_only": False}

# Optional or slow to import: only inside the function that needs them.
ON_DEMAND = {
    "accelerate",
    "dandi",
    "diffusers",
    "huggingface_hub",
    "one",
    "optuna",
    "pandas",
    "pynwb",
    "ray",
    "remfile",
    "submitit",
    "tensorboard",
    "transformers",
    "wandb",
}

MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:root|work|home/[a-z]+|Users/\w+|tmp/[a-z]+)/")


def imported(node: ast.AST) -> set[str]:
    """Return the top-level names of what one statement imports from elsewhere."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return {node.module.split(".")[0]}
    return set()


def _weights_alone(call: ast.Call) -> bool:
    """Tell whether a call says that it reads tensors and plain values alone."""
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    return given.get("weights_only") is True


def find_dangers(source: str) -> list[str]:
    """Return what a source does that ours must not: pickles, and torchvision's friends."""
    dangers = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and ast.unparse(node) in HARMLESS_IMPORTS:
            continue
        dangers += [f"imports {name}" for name in imported(node) & (NEED_TORCHVISION | PICKLING)]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in UNPICKLING_CALLS and not _weights_alone(node):
                dangers.append(f"calls {name}")
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if keyword.arg in UNSAFE_ARGUMENTS and value is UNSAFE_ARGUMENTS[keyword.arg]:
                    dangers.append(f"passes {keyword.arg}={value}")
    return dangers


def imported_at_once(node: ast.AST) -> Iterator[str]:
    """Yield what importing a module imports, leaving out functions and TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield from imported(child)
        yield from imported_at_once(child)


def modules(root: Path) -> list[Path]:
    found = sorted((root / "src" / "neurohorizon").rglob("*.py"))
    assert found
    return found


def test_nothing_unpickles_and_nothing_needs_torchvision(root: Path) -> None:
    found = {str(path): find_dangers(path.read_text()) for path in modules(root)}
    assert {path: dangers for path, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import torchvision",
        "def f():\n    from torchvision.ops import nms",
        "import timm.models",
        "import pickle as p",
        "from joblib import load",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "load(path, weights_only=False)",
    ],
)
def test_a_danger_is_found(source: str) -> None:
    assert find_dangers(source)


def test_a_safe_load_is_no_danger() -> None:
    assert not find_dangers("import numpy as np\nnp.load(path, allow_pickle=False)")
    assert not find_dangers("torch.load(path, weights_only=True)")


def test_heavy_libraries_are_imported_where_they_are_used(root: Path) -> None:
    found = {
        str(path): heavy
        for path in modules(root)
        if (heavy := ON_DEMAND & set(imported_at_once(ast.parse(path.read_text()))))
    }
    assert found == {}


def test_an_import_at_once_is_found() -> None:
    source = """
    if TYPE_CHECKING:
        import wandb
    try:
        import ray
    except ImportError:
        ray = None
    class A:
        import dandi
        def f(self):
            import pynwb
    """
    tree = ast.parse("if True:\n" + source)
    assert set(imported_at_once(tree)) == {"ray", "dandi"}


def tracked_texts(root: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of each text file that is, or would be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.split("\0")
    else:  # an unpacked archive
        names = [str(path.relative_to(root)) for path in root.rglob("*")]
        names = [name for name in names if not name.startswith((".venv/", "data/", "runs/"))]
    for name in filter(None, names):
        path = root / name
        if path.is_file() and b"\0" not in path.read_bytes()[:4096]:
            yield name, path.read_text(errors="replace")


def test_no_path_of_one_machine(root: Path) -> None:
    texts = dict(tracked_texts(root))
    assert "pyproject.toml" in texts
    found = {
        f"{name}:{text[: match.start()].count(chr(10)) + 1}"
        for name, text in texts.items()
        for match in MACHINE_PATH.finditer(text)
    }
    assert found == set()


def test_a_path_of_one_machine_is_found() -> None:
    for folder in ("root", "work", "home/ada", "Users/ada", "tmp/x"):
        assert MACHINE_PATH.search(f'open("/{folder}/file")')
        for before in ("~", ".", "https://a.org", "$HOME"):
            assert not MACHINE_PATH.search(f'open("{before}/{folder}/file")')
