"""The scripted upstream does what it is told, and its witness log tells all of it."""

import asyncio
import json

import pytest

from antiphon_harness.fakellm.answers import text
from antiphon_harness.fakellm.script import Places, Rule, Script
from antiphon_harness.suite import Suite


@pytest.fixture
async def upstream(tmp_path):
    async with Suite(tmp_path) as suite:
        yield await suite.upstream()


async def ask(upstream, model="m", key="k", read_to_end=True, limit_s=1.0):
    """Status and body as bytes, as far as it came; the exception that cut it, if one did."""
    reader, writer = await posted(upstream, key, model)
    status = int((await reader.readline()).split()[1])
    received = b""
    cut = None
    try:
        async with asyncio.timeout(limit_s):
            while data := await reader.read(65536):
                received += data
                if received.endswith(b"0\r\n\r\n") and read_to_end:
                    break
    except (TimeoutError, ConnectionResetError) as error:
        cut = error
    writer.close()
    return status, received, cut


def texts(received):
    events = [line[6:] for line in received.decode().splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"].get("content", "") for e in events for choice in json.loads(e).get("choices", [])]
    return "".join(deltas)


async def test_a_whole_answer_and_its_witness(upstream):
    status, received, _ = await ask(upstream, limit_s=10.0)
    assert status == 200
    assert texts(received) == text(16)
    assert b"data: [DONE]" in received
    (seen,) = await ended(upstream)
    assert (seen.model, seen.prompt, seen.status, seen.by, seen.tokens) == ("m", "q7", 200, "upstream", 16)
    assert seen.at <= seen.last_token <= seen.ended


@pytest.mark.parametrize("end", ["fin", "close", "rst", "error", "unfinished", "malformed"])
async def test_every_way_to_die(upstream, end):
    await upstream.rules(Rule(Script(end=end, cut_after=3, gap_s=0.01)))
    status, received, cut = await ask(upstream, limit_s=10.0)
    assert status == 200
    whole = received.endswith(b"0\r\n\r\n")
    assert whole is (end in ("error", "unfinished", "malformed"))
    assert (b"[DONE]" in received) is (end == "unfinished")
    assert b'"stop"' not in received
    assert (b'"error"' in received) is (end == "error")
    assert isinstance(cut, ConnectionResetError) is (end == "rst")
    await until(lambda: upstream.witness.accepted()[0].ended)
    assert upstream.witness.accepted()[0].tokens == 3


@pytest.mark.parametrize(
    ("noise", "mark"), [("comment", b": keep-alive"), ("empty", b"\r\n\n\r\n"), ("role", b'"content": ""'), ("", b"")]
)
async def test_a_stall_with_noise(upstream, noise, mark):
    await upstream.rules(Rule(Script(stall_after=2, noise=noise, noise_every_s=0.05, role_first=False)))
    _, received, cut = await ask(upstream)
    assert isinstance(cut, TimeoutError)
    assert received.count(mark) >= 2
    assert texts(received) == text(2)
    await until(lambda: upstream.witness.accepted()[0].by)
    assert upstream.witness.accepted()[0].by == "caller"


async def ended(upstream):
    """What was asked, once it is over: the log tells so after the last byte of the answer."""
    await until(lambda: all(one.ended for one in upstream.witness.accepted()))
    return upstream.witness.accepted()


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


async def test_rules_by_key_model_and_count(upstream):
    limit = Script(status=429, headers={"retry-after": "7"}, error={"code": "rate_limit_exceeded"})
    await upstream.rules(Rule(limit, key="a"), Rule(Script(status=500), model="bad", every=2))
    status, received, _ = await ask(upstream, key="a")
    assert status == 429
    assert b"retry-after: 7" in received
    assert b"rate_limit_exceeded" in received
    assert [(await ask(upstream, model="bad"))[0] for _ in range(4)] == [200, 500, 200, 500]
    assert (await ask(upstream))[0] == 200


async def test_keys_are_revoked_and_given_back(upstream):
    await upstream.keys(["other"])
    assert (await ask(upstream))[0] == 401
    await upstream.keys(None)
    assert (await ask(upstream))[0] == 200
    assert [one.status for one in await ended(upstream)] == [401, 200]


async def test_only_so_many_play_at_once_and_who_leaves_the_line_takes_no_place(upstream):
    await upstream.rules(Rule(Script(status=429), key="limited"), Rule(Script(stall_after=1, gap_s=0.001)))
    await upstream.places(1)
    seen = upstream.witness.accepted
    connections = []
    for number in range(1, 4):
        connections.append(await posted(upstream, "k"))
        await until(lambda number=number: len(seen(key="k")) == number)
    (first, writer), (_, gone), (third, last) = connections
    assert b"200" in await first.readline()
    assert (await ask(upstream, key="limited"))[0] == 429, "what takes no time stands in no line"
    gone.close()
    await until(lambda: seen(key="k")[1].by == "caller")
    assert not seen(key="k")[2].ended
    writer.close()
    assert b"200" in await third.readline()
    last.close()
    await until(lambda: seen(key="k")[2].by == "caller")
    assert seen(key="k")[1].tokens == 0
    for each in (writer, gone, last):
        await each.wait_closed()


async def posted(upstream, key, model="m"):
    """A request that was sent; what comes, and the way to leave."""
    host, _, port = upstream.process.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "q7"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return reader, writer


def test_places_are_given_in_the_order_of_the_line():
    places, began = Places(), []
    places.limit(1)
    for who in "abcd":
        places.take(who, lambda who=who: began.append(who))
    assert began == ["a"]
    places.leave("b")
    assert began == ["a"], "it stood in line"
    places.leave("a")
    assert began == ["a", "c"]
    places.limit(None)
    assert began == ["a", "c", "d"]
    places.take("e", lambda: began.append("e"))
    assert began[-1] == "e"


def test_scripts_survive_json():
    rule = Rule(Script(status=429, headers={"a": "b"}, ttft_s=1.5, stall_after=0), key="k", every=3)
    assert Rule.from_json(json.loads(json.dumps(rule.as_json()))) == rule


async def test_the_witness_counts_who_asks_for_the_models(upstream):
    await upstream.keys(["good"])
    host, _, port = upstream.process.address.rpartition(":")
    for key, status in (("good", b"200"), ("bad", b"401"), ("good", b"200")):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /v1/models HTTP/1.1\r\nauthorization: Bearer {key}\r\n\r\n".encode())
        assert status in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert (upstream.witness.listed("good"), upstream.witness.listed("bad")) == (2, 1)
    assert upstream.witness.accepted() == []
