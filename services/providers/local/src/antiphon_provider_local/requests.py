"""Owns what a request goes through before llama.cpp sees it: what this engine adds to, and takes from, the wire."""

import json
from dataclasses import dataclass
from typing import Any, Final

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_contract.errors import Reason, failure
from antiphon_kit.provider import Turn
from antiphon_provider_local.engine import Facts
from antiphon_provider_local.models import LLAMA_CPP
from antiphon_provider_local.refusals import too_long
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.codec import encode_request

# No tokenizer known has longer tokens. What cannot fit is refused before it costs a second of tokenizing per MiB.
LONGEST_TOKEN_BYTES: Final = 256
BODY_OVERHEAD_BYTES: Final = 64 * 1024

_SEEDS: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """What goes to llama.cpp, and what the caller is to be told about it."""

    body: bytes
    warnings: tuple[response_pb2.Warning, ...]


def prepare(turn: Turn, model_name: str, facts: Facts) -> Prepared:
    """The chat-completions body of a turn.

    Raises CallFailure: INVALID_REQUEST, PARAM_UNSUPPORTED, CONTEXT_LENGTH_EXCEEDED, MODEL_NOT_FOUND.
    """
    if turn.model not in (model_name, f"{LLAMA_CPP.name}/{model_name}"):
        raise failure(
            Reason.ERROR_REASON_MODEL_NOT_FOUND,
            f"{LLAMA_CPP.name} serves {model_name} and no other model; ask for that, or start another replica with "
            "LOCAL_MODEL_PATH",
            param="model",
        )
    _refuse_silence(turn.request.prompt)
    request = chat_pb2.StreamGenerateRequest()
    request.CopyFrom(turn.request)
    losses = Losses(LLAMA_CPP.name, request.options.unsupported_policy)
    if not facts.takes_tools:
        _drop_tools(request, losses)
    # llama.cpp then calls back during the prompt too, which is where a cancel is noticed.
    extra: dict[str, Any] = {"return_progress": True}
    _adapt_params(request, losses, extra)
    encoded = encode_request(
        request,
        LLAMA_CPP,
        model=model_name,
        max_output_tokens=turn.max_output_tokens,
        state_domain=turn.state_domain,
    )
    if len(encoded.body) > LONGEST_TOKEN_BYTES * facts.context_tokens + BODY_OVERHEAD_BYTES:
        raise too_long(f"{len(encoded.body)} bytes", facts.context_tokens, model_name)
    return Prepared(_joined(encoded.body, extra), (*losses.warnings(), *encoded.warnings))


def _refuse_silence(prompt: chat_pb2.Prompt) -> None:
    """Models invent something to answer when nothing was said."""
    if any(_says_something(part) for message in prompt.messages for part in message.parts):
        return
    raise failure(
        Reason.ERROR_REASON_INVALID_REQUEST,
        "prompt.messages holds no text; put what the model is to answer into a text part",
        param="prompt.messages",
    )


def _says_something(part: content_pb2.Part) -> bool:
    return part.WhichOneof("kind") != "text" or bool(part.text.text.strip())


def _drop_tools(request: chat_pb2.StreamGenerateRequest, losses: Losses) -> None:
    """Refuse tools or leave them out: this chat template would swallow them without a word."""
    why = "the model's chat template shows no tools to it"
    if request.prompt.tools:
        losses.shape("prompt.tools", why)
        del request.prompt.tools[:]
    if request.params.HasField("tool_choice"):
        losses.shape("params.tool_choice", why)
        request.params.ClearField("tool_choice")


def _adapt_params(request: chat_pb2.StreamGenerateRequest, losses: Losses, extra: dict[str, Any]) -> None:
    params = request.params
    if params.candidate_count > 1:
        # llama.cpp can, but tells usage per candidate and counts the prompt in each.
        losses.shape("params.candidate_count", "one answer per call; send several calls")
    params.ClearField("candidate_count")
    if params.HasField("seed"):
        # 32 bits, of which the highest value means "choose one".
        params.seed %= _SEEDS
    grammar = params.output_format.grammar
    if params.output_format.HasField("grammar") and grammar.syntax == "gbnf":
        extra["grammar"] = grammar.definition
        params.ClearField("output_format")


def _joined(body: bytes, extra: dict[str, Any]) -> bytes:
    """`body`, a JSON object with members, and after them those of `extra`: of two with one name the last counts."""
    return body[:-1] + b"," + json.dumps(extra).encode()[1:]
