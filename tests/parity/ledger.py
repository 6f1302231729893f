"""Owns the loss ledger: for every leaf of a vendor's answer, whether it is found again in what the codec makes of it.

Each leaf is changed to a value that stands nowhere else, and the changed answer goes through the codec. The leaf is
kept if that value is found in a field or in verbatim JSON; it is understood if the answer is another one, or none; it
is lost if nothing changed. The same is done for a member that no SDK knows, in every object of the answer.
"""

import base64
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from codecs_under_test import Fixture
from google.protobuf.message import Message
from parity_file import Field, ParityFile, Section

from antiphon_contract.errors import CallFailure

Place = tuple[str | int, ...]
Verdict = Literal["kept", "understood", "lost"]
_RANK: dict[Verdict, int] = {"kept": 2, "understood": 1, "lost": 0}
UNHEARD = "zz_unheard_of"


@dataclass(frozen=True)
class Entry:
    """A leaf, or a new member of the object `path` where `new`."""

    path: str
    value: Any
    verdict: Verdict
    new: bool = False


# -- places in an answer


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every scalar; null and empty containers are no value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if members is None:
        if value is not None:
            yield place, value
        return
    for name, member in members:
        yield from leaves(member, (*place, name))


def objects(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every object."""
    if isinstance(value, dict):
        yield place
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from objects(member, (*place, name))


def path_of(place: Place) -> str:
    """The dotted path, as in parity files."""
    path = ""
    for name in place:
        path += "[]" if isinstance(name, int) else f".{name}" if path else name
    return path


def _put(said: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(said)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return changed


# -- what is made of it


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, Message):
        for _, member in value.ListFields():
            yield from _scalars(member)
    elif hasattr(value, "items"):
        for name, member in value.items():
            yield name
            yield from _scalars(member)
    elif isinstance(value, str | bytes | bool | int | float):
        yield value
    else:
        for member in value:
            yield from _scalars(member)


def _holds(made: Sequence[Message], wanted: Any) -> bool:
    for scalar in _scalars(list(made)):
        if isinstance(scalar, str | bytes):
            text = str(wanted).encode()
            if text in (scalar.encode() if isinstance(scalar, str) else scalar):
                return True
        elif not isinstance(wanted, str) and not isinstance(scalar, bool) and scalar == wanted:
            return True
    return False


def _made(fixture: Fixture, said: Any) -> list[Message] | None:
    try:
        return list(fixture.codec.read([fixture.codec.write(said)], fixture.request))
    except CallFailure as failed:
        return [failed.error] if fixture.fails else None


# -- the ledger


def _others(value: Any, number: int) -> Iterator[tuple[Any, Any]]:
    """Values in place of this one that stand nowhere else, each with what to look for."""
    if isinstance(value, bool):
        yield not value, None
    elif isinstance(value, int):
        yield 1_000_003 + number, 1_000_003 + number
    elif isinstance(value, float):
        yield 4097.5 + number, 4097.5 + number
    else:
        mark = f"zq{number:04d}qz"
        yield f"{value}{mark}", mark
        yield f"{mark}{value}", mark
        # Where base64 is meant: whole groups of it.
        yield base64.b64encode(f"{mark}{number:04d}".encode()).decode(), mark


def entries(fixture: Fixture) -> list[Entry]:
    """What became of every leaf, and of a new member in every object."""
    # Of a stream the place in the list of events is no part of the path.
    skip = 1 if fixture.codec.streams else 0
    before = _made(fixture, fixture.said)
    assert before is not None, f"{fixture.provider}/{fixture.name} is refused by its codec"
    found = []
    for number, (place, value) in enumerate(leaves(fixture.said)):
        found.append(Entry(path_of(place[skip:]), value, _leaf(fixture, place, value, number, before)))
    for place in objects(fixture.said):
        if len(place) >= skip:
            made = _made(fixture, _put(fixture.said, (*place, UNHEARD), "zqnewqz"))
            kept = made is None or _holds(made, "zqnewqz")
            found.append(Entry(path_of(place[skip:]) or "$", None, "kept" if kept else "lost", new=True))
    return found


def _leaf(fixture: Fixture, place: Place, value: Any, number: int, before: list[Message]) -> Verdict:
    verdict: Verdict = "lost"
    for other, wanted in _others(value, number):
        made = _made(fixture, _put(fixture.said, place, other))
        if made is not None and wanted is not None and _holds(made, wanted):
            return "kept"
        if made != before:
            verdict = "understood"
    return verdict


# -- against the reviewed list


def complaints(file: ParityFile, section: Section, found: Sequence[Entry]) -> list[str]:
    """Leaves and objects that lose something which nobody has reviewed, and reviews that are out of date."""
    groups: dict[tuple[str, bool], list[Entry]] = {}
    for entry in found:
        groups.setdefault((entry.path if entry.new else named(section, entry), entry.new), []).append(entry)
    wrong = []
    for (path, new), group in sorted(groups.items()):
        # A leaf may stand in several places and be told once; a new member must be kept wherever it stands.
        worst, *_, best = sorted([entry.verdict for entry in group] * 2, key=_RANK.__getitem__)
        if new:
            complaint = _new(section, path, worst)
        else:
            # A word by which events are told apart says nothing else, and another word makes another event.
            told_apart = "=" in path
            complaint = _known(section.find(group[0].path, group[0].value), "lost" if told_apart else worst, best)
        if complaint:
            wrong.append(f"{file.provider} {section.name}: {path} {complaint}")
    return wrong


def _new(section: Section, path: str, worst: Verdict) -> str:
    rest = "*" if path == "$" else f"{path}.*"
    dropped = rest in section.beyond and section.beyond[rest].status == "dropped"
    if worst == "lost":
        return "" if dropped else "loses new members"
    return f"loses no new members; `{rest}` cannot be dropped" if dropped else ""


def _known(field: Field | None, worst: Verdict, best: Verdict) -> str:
    if field is None:
        return "is in the corpus, and nothing is said of it"
    if field.status == "dropped":
        return "is said to be dropped, and is kept" if worst == "kept" else ""
    return f"is said to be {field.status}, and is lost" if best == "lost" else ""


def unshown(section: Section, found: Sequence[Entry]) -> list[str]:
    """Fields that the SDK tells and no fixture shows; what is dropped need not be, it may never come."""
    shown = {named(section, entry) for entry in found if not entry.new}
    wanted = [path for path, field in section.fields.items() if field.status != "dropped"]
    return sorted(path for path in wanted if not any(_covers(path, one) for one in shown))


def _covers(path: str, shown: str) -> bool:
    return shown == path or (path.endswith(".*") and shown.startswith((path[:-1], f"{path[:-2]}[")))


def named(section: Section, entry: Entry) -> str:
    """The path by which a file speaks of a leaf."""
    told = f"{entry.path}={entry.value}"
    return told if told in section.fields or told in section.beyond else entry.path
