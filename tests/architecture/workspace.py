"""Owns the discovery of the workspace: members, their import names and what they declare to need."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Member:
    """One distribution: its directory, import name and the distributions it requires, extras included."""

    directory: Path
    package: str
    requires: frozenset[str]

    @property
    def source(self) -> Path:
        return self.directory / "src" / self.package

    def modules(self) -> list[Path]:
        return sorted(self.source.rglob("*.py"))


def members() -> list[Member]:
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    found = []
    for path in sorted(path for glob in globs for path in ROOT.glob(f"{glob}/pyproject.toml")):
        toml = tomllib.loads(path.read_text())
        package = Path(toml["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"][0]).name
        extras = toml["project"].get("optional-dependencies", {}).values()
        required = [*toml["project"]["dependencies"], *(one for extra in extras for one in extra)]
        found.append(Member(path.parent, package, frozenset(re.split(r"[\[<>=~; ]", one)[0] for one in required)))
    return found


def written() -> list[Member]:
    """Members with code of ours; `antiphon` itself is generated."""
    return [member for member in members() if member.package != "antiphon"]


def codecs() -> list[str]:
    """Every codec as an import path: a module or package named `codec`, a wire's or a provider's."""
    found = []
    for member in written():
        for path in member.modules():
            parts = path.relative_to(member.source.parent).with_suffix("").parts
            if parts[-1] == "codec" or (parts[-1] == "__init__" and parts[-2] == "codec"):
                found.append(".".join(parts).removesuffix(".__init__"))
    return found
