"""Owns the format of `services/providers/<provider>/parity.yaml`: what becomes of each field of the vendor's SDK.

A second wire of the provider has a file of its own, `parity.<wire>.yaml`, and is called `<provider>/<wire>`.

    sdk: openai                       the distribution whose installed types are meant
    requests:                         what we send, by operation
      chat:
        of: [openai.types.…]          types, or functions whose keywords are the body
        fields:
          temperature: native         has a field of the contract
          stop: {emulated: why}       is reached in another way
          audio.voice: passthrough    travels as it is: provider_json, NativePart, NativeEvent, native_json
          stream: {unsupported: why}  cannot be asked for
          object: {dropped: why}      reviewed, and not kept
        like: chat                    fields that are not listed are those of another section (optional)
    responses:                        what we are sent
      chat:
        of: […]
        corpus: chat                  the fixtures in tests/parity/corpus/<provider> that show every field
        repeats:                      what stands here as it stands somewhere above, under another path
          output[]: {of: item, as: {dropped: why}}
        never: why                    in place of `corpus`: such an answer is not asked for
        fields: {…}
        beyond: {…}                   the same for what no type of the SDK tells; `path.*`, `*` of the whole, is
                                      what an object may hold besides
    features:                         rows of the README's table: a feature to the fields that it takes
      Tools: [requests.chat tools[].function.name]

Forbids itself: the SDK.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STATUSES = ("native", "emulated", "passthrough", "unsupported", "dropped")
_REASONED = ("emulated", "unsupported", "dropped")
_MEMBERS = {"of", "fields", "like", "repeats", "corpus", "never", "beyond"}


class ParityError(Exception):
    """A parity file that does not keep to its format; the message says where."""


@dataclass(frozen=True)
class Field:
    """`reason` is set for all but native and passthrough."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class Section:
    """One request or response. `fields` holds what the SDK's types tell, `beyond` the rest."""

    name: str
    of: tuple[str, ...]
    fields: dict[str, Field]
    like: str = ""
    corpus: str = ""
    never: str = ""
    beyond: dict[str, Field] = field(default_factory=dict)

    def find(self, path: str, value: object = None) -> Field | None:
        """What becomes of a leaf: told by itself, by its value, or by an object that is not typed further."""
        known = self.fields | self.beyond
        if isinstance(value, str) and (told := known.get(f"{path}={value}")):
            return told
        if told := known.get(path):
            return told
        while path:
            path = path[:-2] if path.endswith("[]") else path.rpartition(".")[0]
            if told := known.get(f"{path}.*" if path else "*"):
                return told
        return None


@dataclass(frozen=True)
class ParityFile:
    """Section names begin with `requests.` or `responses.`."""

    provider: str
    sdk: str
    sections: dict[str, Section]
    features: dict[str, tuple[tuple[str, str], ...]]

    @property
    def responses(self) -> list[Section]:
        return [section for name, section in self.sections.items() if name.startswith("responses.")]


def discover(root: Path = ROOT) -> list[ParityFile]:
    """Those of every provider that has one, by name."""
    files = [load(path) for path in root.glob("services/providers/*/parity*.yaml")]
    return sorted(files, key=lambda file: file.provider)


def load(path: Path) -> ParityFile:
    """Raises ParityError."""
    wire = path.name.removeprefix("parity.").removesuffix("yaml").rstrip(".")
    return parse(path.read_text(), f"{path.parent.name}/{wire}" if wire else path.parent.name)


def parse(text: str, provider: str) -> ParityFile:
    """The same from its text."""
    raw = _mapping(yaml.load(text, yaml.CSafeLoader), provider)
    if unknown := raw.keys() - {"sdk", "requests", "responses", "features"}:
        raise ParityError(f"{provider}: {sorted(unknown)} mean nothing here")
    sections: dict[str, Section] = {}
    for direction in ("requests", "responses"):
        for name, value in _mapping(raw.get(direction, {}), direction).items():
            full = f"{direction}.{name}"
            sections[full] = _section(full, _mapping(value, full), sections, direction)
    features = {
        name: tuple(_reference(one, sections) for one in refs)
        for name, refs in _mapping(raw.get("features", {}), "features").items()
    }
    return ParityFile(provider, str(raw["sdk"]), sections, features)


def _section(name: str, raw: dict[str, Any], others: dict[str, Section], direction: str) -> Section:
    if unknown := raw.keys() - _MEMBERS:
        raise ParityError(f"{name}: {sorted(unknown)} mean nothing here")
    like = f"{direction}.{raw['like']}" if "like" in raw else ""
    if like and like not in others:
        raise ParityError(f"{name}: like {raw['like']!r}, which does not stand above it")
    if direction == "responses" and ("corpus" in raw) == ("never" in raw):
        raise ParityError(f"{name}: say `corpus`, or `never` and why")
    fields = (dict(others[like].fields) if like else {}) | _fields(raw.get("fields", {}), name)
    for path, told in _mapping(raw.get("repeats", {}), name).items():
        fields |= _repeated(str(path), _mapping(told, name), fields, others)
    return Section(
        name,
        tuple(raw.get("of", ())),
        fields,
        like,
        str(raw.get("corpus", "")),
        str(raw.get("never", "")),
        _fields(raw.get("beyond", {}), name),
    )


def _repeated(path: str, raw: dict[str, Any], fields: dict[str, Field], others: dict[str, Section]) -> dict[str, Field]:
    """The fields below `of`, of this section or of another ("requests.chat tools[]"), as fields below `path`.

    `path` may be empty: then they are those of the whole. Their fate is what `as` says, else their own.
    """
    section, _, begin = str(raw.get("of", "")).rpartition(" ")
    if section and section not in others:
        raise ParityError(f"{path}: of {section!r}, which does not stand above it")
    fate = _field(raw["as"], path) if "as" in raw else None
    source = others[section].fields if section else fields
    below = {name[len(begin) + 1 :]: one for name, one in source.items() if name.startswith(f"{begin}.")}
    if not below:
        raise ParityError(f"{path}: nothing stands below {begin!r}")
    return {f"{path}.{name}" if path else name: fate or one for name, one in below.items()}


def _fields(raw: Any, name: str) -> dict[str, Field]:
    return {str(path): _field(value, f"{name}: {path}") for path, value in _mapping(raw, name).items()}


def _field(raw: Any, where: str) -> Field:
    status, reason = next(iter(raw.items())) if isinstance(raw, dict) and len(raw) == 1 else (raw, "")
    if status not in STATUSES:
        raise ParityError(f"{where}: {raw!r} is none of {', '.join(STATUSES)}")
    if (status in _REASONED) != bool(reason):
        raise ParityError(f"{where}: a reason belongs to {', '.join(_REASONED)} and to nothing else")
    return Field(status, str(reason))


def _reference(text: str, sections: dict[str, Section]) -> tuple[str, str]:
    section, _, path = text.partition(" ")
    found = sections.get(section)
    if found is None or path not in found.fields | found.beyond:
        raise ParityError(f"features: {text!r} names no field")
    return section, path


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParityError(f"{where} must be a mapping")
    return value
