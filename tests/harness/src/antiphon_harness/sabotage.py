"""Owns the bringing back of a bug: `python -m antiphon_harness.sabotage NAME -- MODULE` runs a program with it.

The product has no switch for this. The source of one of its modules is changed on its way into the interpreter; a
change that no longer fits the source ends the program, so that nobody believes in a saboteur that does nothing.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

EXIT_MISFIT: Final = 70


@dataclass(frozen=True, slots=True)
class Edit:
    """In `package`, wherever it is, the one place that reads `old` becomes `new`."""

    package: str
    old: str
    new: str

    def place(self) -> Path:
        """The file to be changed. Raises ValueError if `old` is not there exactly once."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(f"there is no package {self.package}")
        files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
        found = [(file, count) for file in files if (count := file.read_text(encoding="utf-8").count(self.old))]
        if sum(count for _, count in found) != 1:
            raise ValueError(f"{self.package}: {sum(count for _, count in found)} places read {self.old!r}, not one")
        return found[0][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saboteur:
    """A bug with a name. `goal`: the one that has to see it; `shipped`: where others had it."""

    name: str
    what: str
    goal: str
    edits: tuple[Edit, ...]
    shipped: str = ""


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        for edit in self._edits:
            source = source.replace(edit.old, edit.new)
        code: CodeType = compile(source, self.path, "exec")
        return code


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to be changed, and leaves all others to those who come after."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        """Raises ValueError for an edit that does not fit."""
        self._edits: dict[Path, list[Edit]] = {}
        for edit in edits:
            self._edits.setdefault(edit.place(), []).append(edit)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The changed module, or None."""
        if not fullname.startswith("antiphon_"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None or Path(spec.origin) not in self._edits:
            return None
        loader = _Loader(fullname, spec.origin, self._edits[Path(spec.origin)])
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=loader, submodule_search_locations=spec.submodule_search_locations
        )


def main(argv: Sequence[str]) -> None:
    """`argv`: name of the saboteur, `--`, the program's module."""
    from antiphon_harness.saboteurs import SABOTEURS

    name, _, module = argv
    (saboteur,) = [one for one in SABOTEURS if one.name == name]
    try:
        finder = Finder(saboteur.edits)
    except ValueError as error:
        sys.stderr.write(f"{name} does not fit any more: {error}\n")
        sys.exit(EXIT_MISFIT)
    sys.meta_path.insert(0, finder)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
