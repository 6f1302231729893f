"""What a vendor's misdeeds are called, and what a caller is told of them."""

import asyncio
import socket
import ssl

import pytest
import trustme
from egress_vendor import OK, Handler, answering, chunk, request, reset, serving, whole

from antiphon_contract.errors import CallFailure, Reason
from antiphon_kit.egress import Egress


async def failure(egress: Egress, url: str) -> CallFailure:
    async def call() -> None:
        async with egress.post(url, {}, b"{}") as response:
            async for _ in response.chunks():
                pass

    with pytest.raises(CallFailure) as caught:
        await call()
    return caught.value


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    reset(writer)


def _reset_after(answer: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        # Wait until it has been read: a reset throws away what is still under way.
        await asyncio.sleep(0.1)
        reset(writer)

    return handle


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "reason", "native_type"),
    [
        (_hang_up, Reason.ERROR_REASON_PROVIDER_ERROR, "eof"),
        (_reset, Reason.ERROR_REASON_PROVIDER_ERROR, "reset"),
        (answering(OK + b"Content-Length: 9\r\n\r\nhalf"), Reason.ERROR_REASON_PROVIDER_ERROR, "truncated"),
        (answering(CHUNKED + chunk(b"half")), Reason.ERROR_REASON_PROVIDER_ERROR, "truncated"),
        (_reset_after(CHUNKED + chunk(b"half")), Reason.ERROR_REASON_PROVIDER_ERROR, "truncated"),
        (answering(whole(b"no gzip", "Content-Encoding: gzip")), Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "bad_encoding"),
        (answering(CHUNKED + b"zz\r\nno\r\n"), Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "bad_http"),
        (answering(b"SSH-2.0-OpenSSH_9\r\n\r\n"), Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "bad_http"),
    ],
    ids=["eof", "reset", "short", "short_chunked", "reset_in_body", "bad_gzip", "bad_chunk", "no_http"],
)
async def test_what_a_vendors_misdeed_is_called(
    egress: Egress, handler: Handler, reason: Reason, native_type: str
) -> None:
    async with serving(handler) as vendor:
        error = (await failure(egress, vendor.url)).error
    assert (error.reason, error.native_type) == (reason, native_type)
    assert "127.0.0.1" not in error.message


async def test_refused_is_unreachable(egress: Egress) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = (await failure(egress, f"http://127.0.0.1:{free.getsockname()[1]}/?key=k")).error
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "refused")
    assert error.retry_same_backend
    assert "127.0.0.1" not in error.message
    assert "key=" not in error.message


async def test_an_unknown_name_is_unreachable(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    error = (await failure(egress, "http://user:secret@nosuch.invalid/")).error
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "dns")
    assert "nosuch" not in error.message


@pytest.mark.parametrize("url", ["localhost", "http://[", "", "http://h:99999/"])
async def test_what_is_no_url_is_unreachable(egress: Egress, url: str) -> None:
    error = (await failure(egress, url)).error
    assert error.message.partition(":")[0]
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "url")


async def test_a_certificate_that_nobody_vouches_for_is_refused(egress: Egress) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    async with serving(answering(whole(b"stolen")), tls) as vendor:
        error = (await failure(egress, vendor.url)).error
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "certificate")


async def test_tls_to_a_plain_server_is_unreachable(egress: Egress) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(handle) as vendor:
        error = (await failure(egress, vendor.url.replace("http:", "https:"))).error
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "tls")


async def test_connecting_has_a_limit_that_includes_tls() -> None:
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with serving(silent) as vendor, Egress(connect_timeout_s=0.1) as egress:
        error = (await failure(egress, vendor.url.replace("http:", "https:"))).error
        done.set()
    assert (error.reason, error.native_type) == (Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "connect_timeout")
