"""Owns the way from a fixture of a vendor's answer through that vendor's codec, for every operation that has one.

A fixture is a JSON file in corpus/<provider>: `answers` names the operation, `events` or `body` is what the vendor
sends, `request` what was asked where the codec has to know it (proto JSON), `fails` that it is no answer.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

import antiphon_provider_anthropic.codec as anthropic
import antiphon_provider_cohere.codec as cohere
from antiphon.llm.v1 import embedding_pb2, rerank_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_wires.known_deltas import KnownDeltas
from antiphon_wires.openai_chat import codec as openai_chat
from antiphon_wires.openai_chat.vendor import Vendor
from antiphon_wires.openai_responses import codec as responses

CORPUS = Path(__file__).parent / "corpus"
Reads = Sequence[bytes]


@dataclass(frozen=True)
class Fixture:
    """One answer of a vendor."""

    provider: str
    name: str
    answers: str
    said: Any
    """The list of events, or the body."""
    request: dict[str, Any]
    fails: bool = False
    """It is no answer but a failure of the vendor; what it says is looked for in the error."""

    @property
    def codec(self) -> "Codec":
        return CODECS[self.provider, self.answers]


@dataclass(frozen=True)
class Codec:
    """`write`: what the vendor puts on the wire. `read`: what is made of it, up to what it raises: CallFailure."""

    write: Callable[[Any], bytes]
    read: Callable[[Reads, dict[str, Any]], Iterator[Message]]
    streams: bool = False


def fixtures(provider: str = "**") -> list[Fixture]:
    """All, or those of one provider."""
    found = []
    for path in sorted(CORPUS.glob(f"{provider}/*.json")):
        raw = json.loads(path.read_text())
        said = raw["events"] if "events" in raw else raw["body"]
        owner = path.parent.relative_to(CORPUS).as_posix()
        request, fails = raw.get("request", {}), raw.get("fails", False)
        found.append(Fixture(owner, path.stem, raw["answers"], said, request, fails))
    return found


# -- streams


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _sse(events: Iterable[Any], *, named: bool, last: bytes = b"") -> bytes:
    blocks = []
    for event in events:
        name = f"event: {event['type']}\n".encode() if named and isinstance(event.get("type"), str) else b""
        blocks.append(name + b"data: " + _dump(event) + b"\n\n")
    return b"".join(blocks) + last


def _minted() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"minted_{next(numbers)}"


def _stream(make: Callable[..., Any], reads: Reads, _: dict[str, Any]) -> Iterator[Message]:
    stream = make(mint=_minted(), model="m")
    for data in reads:
        yield from stream.feed(data)
        stream.check()
        if stream.done:
            break
    yield from stream.close()


def _streaming(make: Callable[..., Any], *, named: bool, last: bytes = b"") -> Codec:
    return Codec(partial(_sse, named=named, last=last), partial(_stream, make), streams=True)


# -- whole answers


def _whole(read: Callable[[bytes, dict[str, Any]], list[Message]]) -> Codec:
    return Codec(_dump, lambda reads, request: iter(read(b"".join(reads), request)))


def _embed_openai(body: bytes, request: dict[str, Any]) -> list[Message]:
    asked = json_format.ParseDict(request, embedding_pb2.EmbedRequest())
    return [openai_chat.decode_embed(body, asked, openai_chat.OPENAI, model="m")]


def _models_openai(body: bytes, _: dict[str, Any]) -> list[Message]:
    # The list itself comes from the SDK; what is made of an entry is the wire's.
    vendor = object.__new__(Vendor)
    vendor._dialect = openai_chat.OPENAI
    return [_listed(vendor._model, body)]


def _listed(read: Callable[[str], Message], body: bytes) -> Message:
    """Adapters answer for an entry that cannot be read as this does."""
    try:
        return read(body.decode())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "an entry of the list of models cannot be read") from None


def _count_responses(body: bytes, _: dict[str, Any]) -> list[Message]:
    try:
        return [responses.read_count(body)]
    except ValueError:
        raise failure(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "no count of tokens") from None


def _embed_cohere(body: bytes, request: dict[str, Any]) -> list[Message]:
    asked = json_format.ParseDict(request, embedding_pb2.EmbedRequest())
    return [cohere.read_embeddings(body, asked, cohere.encode_embed(asked, model="m"), {}, 0.0)]


def _rerank_cohere(body: bytes, request: dict[str, Any]) -> list[Message]:
    asked = json_format.ParseDict(request, rerank_pb2.RerankRequest())
    return [cohere.read_rerank(body, asked, cohere.encode_rerank(asked, model="m"), {}, 0.0)]


def _models_cohere(body: bytes, _: dict[str, Any]) -> list[Message]:
    return list(cohere.read_models(body)[0])


def _models_anthropic(body: bytes, _: dict[str, Any]) -> list[Message]:
    return [_listed(anthropic.describe, body)]


_DONE = b"data: [DONE]\n\n"
CODECS: dict[tuple[str, str], Codec] = {
    ("openai", "chat"): _streaming(partial(openai_chat.ChatStream, openai_chat.OPENAI), named=False, last=_DONE),
    ("openai", "complete"): _streaming(
        partial(openai_chat.CompletionStream, openai_chat.OPENAI), named=False, last=_DONE
    ),
    ("openai", "embed"): _whole(_embed_openai),
    ("openai", "models"): _whole(_models_openai),
    ("openai/responses", "chat"): _streaming(partial(responses.ResponseStream, openai_chat.OPENAI), named=True),
    ("openai/responses", "count"): _whole(_count_responses),
    ("anthropic", "chat"): _streaming(partial(anthropic.MessageStream, known=KnownDeltas()), named=True),
    ("anthropic", "models"): _whole(_models_anthropic),
    ("cohere", "chat"): _streaming(partial(cohere.ChatStream, known=KnownDeltas()), named=True),
    ("cohere", "embed"): _whole(_embed_cohere),
    ("cohere", "rerank"): _whole(_rerank_cohere),
    ("cohere", "models"): _whole(_models_cohere),
}
