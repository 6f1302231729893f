"""Egress against scripted sockets on loopback: what the vendor sees, and what its misdeeds are called."""

import asyncio
import gzip
import os
import socket

import pytest
import uvloop
import yarl
from egress_vendor import OK, answering, chunk, request, serving, whole

from antiphon_contract.errors import CallFailure, Reason
from antiphon_kit import egress as egress_module
from antiphon_kit.egress import Egress
from antiphon_kit.provider import Milestones


async def test_sends_the_request_as_given_and_yields_the_answer(egress: Egress) -> None:
    seen: list[tuple[str, bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request(reader))
        writer.write(whole(b"hello", "X-Request-Id: r1"))

    milestones = Milestones()
    async with serving(handle) as vendor:
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        async with egress.post(vendor.url, headers, b'{"a":1}', milestones) as response:
            assert response.status == 200
            assert response.headers["x-request-id"] == "r1"
            assert await response.read(100) == b"hello"
    head, body = seen[0]
    assert head.startswith("POST /v1/chat HTTP/1.1\r\n")
    assert "Authorization: Bearer k\r\n" in head
    assert "Content-Type: application/json\r\n" in head
    assert "cookie" not in head.lower()
    assert body == b'{"a":1}'
    assert milestones.sent is not None
    assert milestones.connected is not None
    assert milestones.first_byte is not None
    assert milestones.sent <= milestones.connected <= milestones.first_byte


async def test_sends_large_bodies_whole(egress: Egress) -> None:
    sizes: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sizes.append(len((await request(reader))[1]))
        writer.write(whole(b""))

    async with serving(handle) as vendor, egress.post(vendor.url, {}, bytes(3_000_001)) as response:
        assert response.status == 200
    assert sizes == [3_000_001]


async def test_gets_without_a_body(egress: Egress) -> None:
    seen: list[tuple[str, bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request(reader))
        writer.write(whole(b"[]"))

    async with serving(handle) as vendor, egress.get(vendor.url, {}) as response:
        assert await response.read(10) == b"[]"
    assert seen[0][0].startswith("GET /v1/chat")


async def test_reuses_the_connection_after_a_complete_body(egress: Egress) -> None:
    async with serving(answering(whole(b"one"), whole(b"two"))) as vendor:
        for expected in (b"one", b"two"):
            async with egress.post(vendor.url, {}, b"{}") as response:
                assert await response.read(10) == expected
        assert vendor.connections == 1


async def test_yields_what_each_read_brings(egress: Egress) -> None:
    taken = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"a") + chunk(b"b"))
        await taken.wait()
        writer.write(chunk(b"c") + chunk(b""))

    async with serving(handle) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        chunks = response.chunks()
        assert await anext(chunks) == b"ab"
        taken.set()
        assert [part async for part in chunks] == [b"c"]


async def _close_early() -> float:
    """Seconds from leaving the block in mid-answer to the vendor seeing the connection end."""
    loop = asyncio.get_running_loop()
    closed: asyncio.Future[float] = loop.create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"a"))
        try:
            assert await reader.read() == b""
        finally:
            closed.set_result(loop.time())

    async with Egress(connect_timeout_s=2.0) as egress, serving(handle) as vendor:
        async with egress.post(vendor.url, {}, b"{}") as response:
            assert await anext(response.chunks()) == b"a"
        left = loop.time()
        return await closed - left


async def test_leaving_early_closes_the_socket_at_once() -> None:
    assert await _close_early() < 0.2


def test_leaving_early_closes_the_socket_at_once_on_uvloop() -> None:
    assert uvloop.run(_close_early()) < 0.2


def sockets_to(port: int) -> int:
    """How many sockets of this process are connected to `port`."""
    count = 0
    for fd in range(512):
        try:
            with socket.socket(fileno=os.dup(fd)) as duplicate:
                count += duplicate.family == socket.AF_INET and duplicate.getpeername()[1] == port
        except OSError:
            continue
    return count


async def test_cancel_in_mid_request_closes_the_socket_though_the_vendor_does_not_read(egress: Egress) -> None:
    arrived, done = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await done.wait()

    async def call(url: str) -> None:
        async with egress.post(url, {}, bytes(32 * 1024 * 1024)):
            pytest.fail("no answer was sent")

    async with serving(handle) as vendor:
        port = yarl.URL(vendor.url).port
        assert port is not None
        task = asyncio.create_task(call(vendor.url))
        await arrived.wait()
        await asyncio.sleep(0.3)  # Until every buffer on the way is full.
        assert sockets_to(port) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):  # The transport closes in the loop's next turn.
            await asyncio.sleep(0)
        left = sockets_to(port)
        done.set()
        assert left == 0


async def test_nobody_reading_stops_the_vendor_and_nothing_is_lost(egress: Egress) -> None:
    total = 48 * 1024 * 1024
    written = 0
    blocked = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request(reader)
        writer.write(OK + f"Content-Length: {total}\r\n\r\n".encode())
        piece = bytes(256 * 1024)
        while written < total:
            writer.write(piece)
            written += len(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                blocked.set()
                await writer.drain()

    async with serving(handle) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        await blocked.wait()
        assert written < total / 2
        size = largest = 0
        async for part in response.chunks():
            size += len(part)
            largest = max(largest, len(part))
        assert size == total
        assert largest < 2 * 1024 * 1024


async def test_the_connect_limit_is_none_for_the_answer() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        await asyncio.sleep(0.3)
        writer.write(whole(b"late"))

    async with (
        serving(handle) as vendor,
        Egress(connect_timeout_s=0.1) as egress,
        egress.post(vendor.url, {}, b"{}") as response,
    ):
        assert await response.read(10) == b"late"


async def test_returns_redirects_as_they_are(egress: Egress) -> None:
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(answer)) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert response.status == 307


async def test_takes_no_proxy_from_the_environment(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(answering(whole(b"direct"))) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert await response.read(10) == b"direct"


async def test_keeps_no_cookies(egress: Egress) -> None:
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append((await request(reader))[0])
            writer.write(whole(b"", "Set-Cookie: a=b"))

    async with serving(handle) as vendor:
        for _ in range(2):
            # By name: cookie jars take none from bare addresses anyway.
            async with egress.post(vendor.url.replace("127.0.0.1", "localhost"), {}, b"{}") as response:
                assert response.headers["set-cookie"] == "a=b"
    assert len(heads) == 2
    assert "cookie" not in heads[1].lower()


async def test_decompresses(egress: Egress) -> None:
    answer = whole(gzip.compress(b"words " * 100), "Content-Encoding: gzip")
    async with serving(answering(answer)) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert await response.read(1000) == b"words " * 100


async def test_a_body_beyond_its_limit_is_refused(egress: Egress) -> None:
    async with serving(answering(whole(b"x" * 11))) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        with pytest.raises(CallFailure) as caught:
            await response.read(10)
    assert caught.value.error.reason == Reason.ERROR_REASON_UPSTREAM_PROTOCOL


async def test_an_error_body_is_cut_at_its_limit_and_survives_a_cut(egress: Egress) -> None:
    long = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n" + b"y" * 100
    cut = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n" + b"z" * 7
    async with serving(answering(long)) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert await response.read_error_body(10) == b"y" * 10
    async with serving(answering(cut)) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert await response.read_error_body() == b"z" * 7


async def test_two_calls_at_once_have_their_own_connection_and_milestones(egress: Egress) -> None:
    both = asyncio.Barrier(2)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await request(reader)
        await both.wait()
        writer.write(whole(body))

    async def call(url: str, body: bytes) -> tuple[bytes, Milestones]:
        milestones = Milestones()
        async with egress.post(url, {}, body, milestones) as response:
            return await response.read(10), milestones

    async with serving(handle) as vendor:
        first, second = await asyncio.gather(call(vendor.url, b"1"), call(vendor.url, b"2"))
        assert vendor.connections == 2
    assert (first[0], second[0]) == (b"1", b"2")
    assert first[1].connected is not None
    assert second[1].connected is not None


async def test_the_rest_is_read_but_not_for_long(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, left = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"done")
        await request(reader)
        writer.write(begun)
        await taken.wait()
        writer.write(chunk(b"more") + chunk(b""))
        await request(reader)
        writer.write(begun)
        assert await reader.read() == b""
        left.set()

    async with serving(handle) as vendor:
        monkeypatch.setattr(egress_module, "_REST_S", 20)
        async with egress.post(vendor.url, {}, b"{}") as response:
            assert await response.next_chunk() == b"done"
            taken.set()
            await response.read_rest()
            assert await response.next_chunk() == b""
        monkeypatch.setattr(egress_module, "_REST_S", 0.05)
        async with egress.post(vendor.url, {}, b"{}") as response:
            assert await response.next_chunk() == b"done"
            await response.read_rest()
        await left.wait()
        assert vendor.connections == 1


async def test_an_answer_may_come_before_all_was_sent(egress: Egress) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        assert await reader.read(1)
        writer.transport.abort()

    async with serving(handle) as vendor:
        async with egress.post(vendor.url, {}, bytes(32 * 1024 * 1024)) as response:
            assert response.status == 413
            assert await response.next_chunk() == b"no"
        # What was sent by halves only is not used again.
        async with egress.post(vendor.url, {}, bytes(1024 * 1024)) as response:
            assert response.status == 413
        assert vendor.connections == 2


async def test_interim_answers_are_none(egress: Egress) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with serving(answering(early + whole(b"late"))) as vendor, egress.post(vendor.url, {}, b"{}") as response:
        assert (response.status, await response.read(10)) == (200, b"late")


async def test_head_has_no_body(egress: Egress) -> None:
    answer = OK + b"Content-Length: 7\r\n\r\n"
    async with serving(answering(answer, answer)) as vendor:
        for _ in range(2):
            async with egress.send("HEAD", vendor.url, [], b"") as response:
                assert await response.next_chunk() == b""
        assert vendor.connections == 1


async def test_what_belongs_to_the_connection_is_not_the_callers_to_say(egress: Egress) -> None:
    seen: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await request(reader))[0])
        writer.write(whole(b""))

    given = [("Host", "evil"), ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("A", "1"), ("A", "2")]
    async with serving(handle) as vendor:
        url = yarl.URL(vendor.url)
        async with egress.send("POST", url.with_query({"q": "ü"}), given, b"{}") as response:
            assert response.status == 200
    assert seen == [
        f"POST /v1/chat?q=%C3%BC HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\nAccept-Encoding: gzip, deflate\r\n"
        "A: 1\r\nA: 2\r\nContent-Length: 2\r\n\r\n"
    ]


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\nb", "a\rb", "a\0b"])
async def test_a_header_does_not_end_its_line(egress: Egress, value: str) -> None:
    async with serving(answering(whole(b""))) as vendor:
        with pytest.raises(CallFailure, match="'X-Odd'") as caught:
            async with egress.post(vendor.url, {"X-Odd": value}, b"{}"):
                pytest.fail("it was sent")
        assert vendor.connections == 0
    assert caught.value.error.reason == Reason.ERROR_REASON_INVALID_REQUEST
    assert "evil" not in caught.value.error.message
