"""Owns the door to this wire's pure half: a request out, an answer in. No I/O, no SDK, no kit."""

from antiphon_wires.openai_chat.completion import CompletionStream, encode_completion
from antiphon_wires.openai_chat.dialect import COMPATIBLE, OPENAI, Dialect, Thinking, support
from antiphon_wires.openai_chat.embedding import decode_embed, encode_embed
from antiphon_wires.openai_chat.request import Encoded, encode_request
from antiphon_wires.openai_chat.stream import ChatStream

__all__ = [
    "COMPATIBLE",
    "OPENAI",
    "ChatStream",
    "CompletionStream",
    "Dialect",
    "Encoded",
    "Thinking",
    "decode_embed",
    "encode_completion",
    "encode_embed",
    "encode_request",
    "support",
]
