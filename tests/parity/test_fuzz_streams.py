"""Codecs take whatever comes: every split gives the same answer, and damage gives an answer or a failure, once."""

import os
import random
import re
from collections.abc import Iterator, Sequence

import fuzz
import mutations
import outcomes
import pytest
from codecs_under_test import CODECS, Codec, Fixture, fixtures
from google.protobuf.message import Message

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import Reason, failure

# 300 for each run of the tests; `make fuzz` sets it higher.
COUNT = int(os.environ.get("FUZZ", "300"))
# Every split of short answers, and of long ones those around the ends of events and each hundredth elsewhere.
EVERY_BYTES = 1500

STREAMS = [one for one in fixtures() if one.codec.streams and not one.fails]
_FINISHED = re.compile(rb'"(?:finish|stop)_reason":"|"type":"response.(?:completed|incomplete)"')
_Event = response_pb2.StreamEvent


def _name(one: Fixture) -> str:
    return f"{one.provider}-{one.name}".replace("/", "-")


def _splits(data: bytes) -> list[int]:
    if len(data) <= EVERY_BYTES or COUNT > 300:
        return list(range(1, len(data)))
    ends = [at for at in range(len(data)) if data.startswith(b"\n\n", at)]
    near = {at + step for at in ends for step in range(-3, 8)}
    return sorted(at for at in near | set(range(1, len(data), 97)) if 0 < at < len(data))


@pytest.mark.parametrize("fixture", STREAMS, ids=_name)
def test_every_split_gives_the_same_answer(fixture: Fixture) -> None:
    data = fixture.codec.write(fixture.said)
    whole = outcomes.of(fixture.codec, [data], fixture.request)
    assert not whole.reason
    assert outcomes.of(fixture.codec, [data[at : at + 1] for at in range(len(data))], fixture.request) == whole
    for at in _splits(data):
        assert outcomes.of(fixture.codec, [data[:at], data[at:]], fixture.request) == whole, at


@pytest.mark.parametrize("fixture", STREAMS, ids=_name)
def test_a_stream_that_stops_early_is_never_an_answer(fixture: Fixture) -> None:
    """Wherever it is cut: what is missing is a failure, unless only the vendor's last mark was lost."""
    data = fixture.codec.write(fixture.said)
    whole = outcomes.of(fixture.codec, [data], fixture.request)
    told = max(match.start() for match in _FINISHED.finditer(data))
    for at in _splits(data):
        cut = outcomes.of(fixture.codec, [data[:at]], fixture.request)
        assert cut.reason or at > told, at
        assert cut.reason or len(cut.answer) <= len(whole.answer) + 64


@pytest.mark.parametrize(("provider", "answers"), CODECS, ids="-".join)
@pytest.mark.timeout(max(120, COUNT // 10))
def test_damage_gives_one_outcome(provider: str, answers: str) -> None:
    tally = fuzz.run(provider, answers, COUNT)
    assert not tally.broken
    assert tally.streams == COUNT
    assert tally.whole + tally.refused == COUNT
    assert tally.whole
    assert tally.refused


def _tally(monkeypatch: pytest.MonkeyPatch, codec: Codec) -> fuzz.Tally:
    monkeypatch.setitem(CODECS, ("openai", "chat"), codec)
    return fuzz.run("openai", "chat", 40)


def _plain(*_: object) -> Iterator[Message]:
    start, end = _Event(), _Event()
    start.start.SetInParent()
    end.candidate_end.SetInParent()
    yield from (start, end)


def _crash(*_: object) -> Iterator[Message]:
    yield from _plain()
    raise KeyError("x")


def _unended(*_: object) -> Iterator[Message]:
    yield next(_plain())


def _ends_twice(*_: object) -> Iterator[Message]:
    yield from (*_plain(), *list(_plain())[1:])


def _fickle(reads: Sequence[bytes], _: object) -> Iterator[Message]:
    yield from _plain()
    if len(reads) > 1:
        raise failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "in pieces")


def test_a_crash_a_broken_grammar_and_a_slow_codec_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write = CODECS["openai", "chat"].write
    assert not _tally(monkeypatch, Codec(write, _plain, streams=True)).broken
    for broken, complaint in (
        (_crash, "KeyError"),
        (_unended, "AssertionError"),
        (_ends_twice, "after the end"),
        (_fickle, "in pieces"),
    ):
        (found,) = _tally(monkeypatch, Codec(write, broken, streams=True)).broken
        assert complaint in found
    monkeypatch.setattr(fuzz, "SLOW_S", -1.0)
    assert "too long" in next(iter(_tally(monkeypatch, Codec(write, _plain, streams=True)).broken))


def test_damage_is_repeatable_and_does_damage() -> None:
    data = STREAMS[0].codec.write(STREAMS[0].said)
    one, other = (mutations.damaged(random.Random(7), data) for _ in range(2))
    assert one == other != data
    for damage in mutations.DAMAGES:
        assert any(damage(random.Random(seed), data) != data for seed in range(9)), damage
    assert b"".join(mutations.pieces(random.Random(7), data)) == data
