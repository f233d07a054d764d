"""Model files, demonstrations and bags are data: nothing in the sources can run a program that is in one of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from clad.cli.test import checkout

SOURCES = sorted(
    file for top in ("src", "launch", "tools") for file in (checkout() / top).rglob("*.py") if "test" not in file.parts
)
# each of these deserialises into code, or runs what it reads
FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "numpy.load", "np.load"}
# TorchScript is a program: loaded after its SHA-256 was found among those of OpenAI's own releases
EXCEPTIONS = {("src/clad/clad/encoders/clip_checkpoint.py", "torch.jit.load")}


def offences(source: str) -> list[tuple[str, str]]:
    """(what, why) for everything in a Python source that could run a file's contents."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(a.name, "import") for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, "import")] * (node.module.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.Call):
            name, options = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name == "torch.load" and options.get("weights_only") != "True":
                found.append((name, "without weights_only=True"))
            elif name in ("np.load", "numpy.load"):
                found += [(name, "without allow_pickle=False")] * (options.get("allow_pickle") != "False")
            elif name in FORBIDDEN_CALLS | {"torch.jit.load"}:
                found.append((name, "runs what it reads"))
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f.relative_to(checkout()).as_posix())
def test_no_source_can_run_a_data_file(file: Path):
    name = file.relative_to(checkout()).as_posix()
    found = [o for o in offences(file.read_text()) if (name, o[0]) not in EXCEPTIONS]
    assert not found, f"{name}: {found}"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('f')",
        "torch.load('f', weights_only=False)",
        "np.load('f', allow_pickle=True)",
        "np.load('f')",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.jit.load('f')",
        "eval(text)",
    ],
)
def test_the_check_sees_what_it_is_for(source):
    assert offences(source)


def test_what_reads_data_safely_is_no_offence():
    assert not offences("torch.load(p, weights_only=True); np.load(p, allow_pickle=False); yaml.safe_load(t); m.eval()")


def test_shipped_models_hold_known_formats_only():
    """ONNX, JSON, safetensors and words; a file that no verified sidecar lists is refused at loading anyway."""
    shipped = [f for f in (checkout() / "models").rglob("*") if f.is_file()]
    assert shipped
    odd = [f.name for f in shipped if f.suffix not in (".onnx", ".json", ".safetensors", ".md", ".sh", ".yaml")]
    assert not [name for name in odd if name != ".gitignore"], odd
