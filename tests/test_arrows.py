"""Imports point down only, and each module is small."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VALUES = {
    f"worker.{name}"
    for name in ("errors", "state", "spec", "job", "limits", "listing", "open_enum", "selection")
}
WIRE = {"gen", "betterproto", "grpclib", "h2", "multidict"}

# Package -> what it may import beyond the standard library and itself. The first that fits counts.
ARROWS: dict[str, set[str]] = {
    "worker.keeper": set(),
    "worker.jobs": VALUES | {f"worker.keeper.{name}" for name in ("frames", "messages", "records")},
    "worker.rpc": VALUES | WIRE | {"cryptography"},
    "worker.server": VALUES
    | WIRE
    | {"worker.rpc", "worker.jobs", "worker.settings", "cryptography"},
    "worker.client": VALUES | WIRE | {"worker.rpc", "worker.settings", "cryptography"},
    "worker.settings": VALUES | {"yaml"},
    "worker.check": {"worker.server"},
    "worker": VALUES | {"worker.client", "worker.jobs"},  # for type checkers alone
    "certs": VALUES
    | {f"worker.rpc.{each}" for each in ("expiry", "names", "role")}
    | {"cryptography", "typer"},
    "cli": VALUES | {"worker.client", "worker.settings", "typer"},
}
# The keeper is the server's parent: its folder is named where it is started, its cgroups are
# swept where it has died.
ENTRANCES = {
    "worker.jobs.keeper_process": {"worker.keeper"},
    "worker.jobs.orphans": {"worker.keeper.cgroup"},
    "worker.server.check": {"worker.keeper.cgroup"},
}


def modules() -> list[str]:
    files = [file for top in ("worker", "cli", "certs") for file in (ROOT / top).rglob("*.py")]
    return sorted(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in files
    )


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            found.add(str(node.module))
    return found


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    package = next(name for name in ARROWS if within(module, name))
    allowed = ARROWS[package] | ENTRANCES.get(module, set()) | {package}
    for imported in imports_of(module):
        is_standard = imported.partition(".")[0] in sys.stdlib_module_names
        assert is_standard or any(within(imported, name) for name in allowed), imported


@pytest.mark.parametrize("module", modules())
def test_a_module_can_be_read_in_five_minutes(module: str) -> None:
    lines = len(file_of(module).read_text().splitlines())
    assert lines <= 250
