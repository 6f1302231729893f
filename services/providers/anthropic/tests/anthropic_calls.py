"""How the tests of the adapter make a call, and what the vendor answers."""

import json

import adapter_calls
from anthropic_speech import begin, end, said

KEY = "sk-ant-test-0123456789abcdef"
ANSWER = begin() + said(0, "Hel", "lo") + end()


def turn(text="", model="claude-opus-5-5"):
    return adapter_calls.turn(text, model)


async def batches(provider, a_turn=None):
    return await adapter_calls.batches(provider, a_turn or turn())


async def fold(provider, a_turn=None):
    return await adapter_calls.fold(provider, a_turn or turn())


def error_body(kind="invalid_request_error", message="no", **details):
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, "details": details}}).encode()
