"""Owns the door to this wire's pure half: a request out, an answer in. No I/O, no SDK, no kit."""

from antiphon_wires.openai_responses.choice import APIS, Api, speaks_responses
from antiphon_wires.openai_responses.params import support
from antiphon_wires.openai_responses.request import encode_count, encode_request
from antiphon_wires.openai_responses.stream import ResponseStream
from antiphon_wires.openai_responses.usage import read_count

__all__ = [
    "APIS",
    "Api",
    "ResponseStream",
    "encode_count",
    "encode_request",
    "read_count",
    "speaks_responses",
    "support",
]
