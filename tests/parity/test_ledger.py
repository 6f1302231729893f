"""Nothing that a vendor says is lost without a reviewed reason, and the ledger sees it when something is."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import ledger
import parity_file
import pytest
from codecs_under_test import CODECS, Codec, Fixture, fixtures
from google.protobuf.message import Message
from parity_file import Field, ParityFile, Section

from antiphon.llm.v1 import response_pb2

FILES = parity_file.discover()
RESPONSES = [(file, section) for file in FILES for section in file.responses if section.corpus]


def _name(value: object) -> str:
    return value.provider if isinstance(value, ParityFile) else value.name if isinstance(value, Section) else ""


@pytest.fixture(scope="module")
def entries() -> dict[tuple[str, str], list[ledger.Entry]]:
    found: dict[tuple[str, str], list[ledger.Entry]] = {}
    for one in fixtures():
        found.setdefault((one.provider, one.answers), []).extend(ledger.entries(one))
    return found


@pytest.mark.parametrize(("file", "section"), RESPONSES, ids=_name)
def test_every_path_is_kept_or_reviewed(
    file: ParityFile, section: Section, entries: dict[tuple[str, str], list[ledger.Entry]]
) -> None:
    assert ledger.complaints(file, section, entries[file.provider, section.corpus]) == []


@pytest.mark.parametrize(("file", "section"), RESPONSES, ids=_name)
def test_the_corpus_shows_every_field(
    file: ParityFile, section: Section, entries: dict[tuple[str, str], list[ledger.Entry]]
) -> None:
    assert ledger.unshown(section, entries[file.provider, section.corpus]) == []


def test_every_codec_has_a_corpus_and_every_corpus_a_section() -> None:
    shown = {(one.provider, one.answers) for one in fixtures()}
    assert shown == CODECS.keys() == {(file.provider, section.corpus) for file, section in RESPONSES}


# -- the ledger itself, on a codec that loses things

SAID = {"kept": "a", "number": 7, "lost": "b", "told": True, "below": {"deep": 1.5}, "none": None, "empty": []}
FIELDS = {path: Field("native") for path in ("kept", "number", "lost", "told", "below.deep")}
FILE = ParityFile("judged", "sdk", {}, {})


def _judge(fields: dict[str, Field], beyond: dict[str, Field], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def read(reads: Sequence[Any], _: object) -> Iterator[Message]:
        said = reads[0]
        native = f"{said['below']}"
        message = f"{said['kept']}{said['told']}"
        yield response_pb2.Warning(message=message, path=str(said["number"]), native_json=native)

    monkeypatch.setitem(CODECS, ("judged", "x"), Codec(lambda said: said, read))
    section = Section("responses.x", (), fields, corpus="x", beyond=beyond)
    return ledger.complaints(FILE, section, ledger.entries(Fixture("judged", "f", "x", SAID, {})))


def test_what_is_lost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _judge(FIELDS, {}, monkeypatch) == [
        "judged responses.x: $ loses new members",
        "judged responses.x: lost is said to be native, and is lost",
    ]


def test_what_is_reviewed_is_not_and_a_review_out_of_date_is(monkeypatch: pytest.MonkeyPatch) -> None:
    reviewed = FIELDS | {"lost": Field("dropped", "why")}
    rest = {"*": Field("dropped", "why")}
    assert _judge(reviewed, rest, monkeypatch) == []
    assert _judge(reviewed, {"*": Field("passthrough")}, monkeypatch) == ["judged responses.x: $ loses new members"]
    out_of_date = rest | {"below.*": Field("dropped", "why")}
    assert _judge(reviewed | {"kept": Field("dropped", "why")}, out_of_date, monkeypatch) == [
        "judged responses.x: below loses no new members; `below.*` cannot be dropped",
        "judged responses.x: kept is said to be dropped, and is kept",
    ]
    del reviewed["told"]
    assert _judge(reviewed, {"below.x": Field("native")} | {"$": Field("native")}, monkeypatch) == [
        "judged responses.x: $ loses new members",
        "judged responses.x: told is in the corpus, and nothing is said of it",
    ]


def test_a_field_that_no_fixture_shows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    section = Section("responses.x", (), FIELDS | {"open.*": Field("native"), "gone[].x": Field("native")})
    found = [ledger.Entry(path, "v", "kept") for path in (*FIELDS, "open.a")]
    assert ledger.unshown(section, found) == ["gone[].x"]
    dropped = dataclasses.replace(section, fields={"gone": Field("dropped", "why")})
    assert ledger.unshown(dropped, found) == [], "what is dropped may be something that never comes"
