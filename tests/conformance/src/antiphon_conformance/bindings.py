"""Owns finding the bindings of the suite in a source tree: the test classes by which providers are put before it."""

import importlib.util
import sys
from pathlib import Path

from antiphon_conformance.deployed import DeployedOnWire


def on_wires(root: Path) -> list[type[DeployedOnWire]]:
    """Those with a scripted vendor, as `services/providers/*/tests/test_conformance.py` below `root` declare them."""
    found: list[type[DeployedOnWire]] = []
    for path in sorted(root.glob("services/providers/*/tests/test_conformance.py")):
        spec = importlib.util.spec_from_file_location(f"binding_of_{path.parts[-3]}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        own = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == spec.name]
        found += [one for one in own if issubclass(one, DeployedOnWire)]
    return found
