"""Owns what is known of a model: limits and thinking modes from the vendor's list, and what this adapter makes of it.

Capabilities are the tree of anthropic 2.14 (types/model_capabilities.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from antiphon.llm.v1 import models_pb2
from antiphon_provider_anthropic.codec.scope import NAME
from antiphon_provider_anthropic.codec.tools import PROVIDER_TOOLS
from antiphon_wires import json_text

DEFAULT_MAX_TOKENS: Final = 64_000
"""For a model that is not in the list. Every model that anthropic 2.14 names takes at least this much output
(https://platform.claude.com/docs/en/about-claude/models/overview, 2026-11: 64k or 128k)."""

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_THINKING: Final = ("adaptive", "between_tools", "disabled", "enabled")
_LIFECYCLES: Final = {
    "active": models_pb2.Model.LIFECYCLE_ACTIVE,
    "deprecated": models_pb2.Model.LIFECYCLE_DEPRECATED,
    "retired": models_pb2.Model.LIFECYCLE_RETIRED,
}
# The generation before adaptive thinking; later ones refuse a budget
# (https://platform.claude.com/docs/en/build-with-claude/thinking, 2026-11).
_MANUAL: Final = re.compile(r"claude-(opus|sonnet|haiku)-4-5(-[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one model. `thinking`, `efforts`: values it takes; None where nobody told."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    thinking: frozenset[str] | None = None
    efforts: tuple[str, ...] | None = None


_OF_ANY: Final = Facts()
_OF_MANUAL: Final = Facts(thinking=frozenset({"enabled", "disabled"}))


def known_facts(model: str) -> Facts:
    """What is known without the vendor's list."""
    return _OF_MANUAL if _MANUAL.fullmatch(model) else _OF_ANY


def facts_of(listed: Mapping[str, Any]) -> Facts:
    """What an entry of the vendor's list tells."""
    known = known_facts(_text(listed, "id"))
    limit = listed.get("max_tokens")
    thinking = _dict(_dict(listed, "capabilities"), "thinking")
    effort = _dict(_dict(listed, "capabilities"), "effort")
    types = _dict(thinking, "types")
    return Facts(
        limit if type(limit) is int and 0 < limit < 2**31 else known.max_tokens,
        frozenset(name for name in _THINKING if _supported(types, name)) if types else known.thinking,
        tuple(name for name in EFFORTS if _supported(effort, name)) if effort else known.efforts,
    )


def describe(native_json: str) -> models_pb2.Model:
    """The model of an entry of the vendor's list. Raises ValueError, KeyError or TypeError if it is none."""
    listed = json_text.read(native_json.encode())
    facts = facts_of(listed)
    capabilities = _dict(listed, "capabilities")
    model = models_pb2.Model(
        id=f"{NAME}/{listed['id']}",
        provider=NAME,
        native_id=listed["id"],
        display_name=_text(listed, "display_name"),
        lifecycle=_LIFECYCLES.get(_text(listed, "lifecycle"), models_pb2.Model.LIFECYCLE_ACTIVE),
        max_output_tokens=facts.max_tokens,
        operations=["generate", "count_tokens"],
        support=support(facts),
        input_modalities=["text", *_inputs(capabilities)],
        output_modalities=["text"],
        reasoning_efforts=facts.efforts or (),
        provider_tools=_tools(capabilities),
        native_json=native_json,
    )
    if type(window := listed.get("max_input_tokens")) is int and 0 < window < 2**31:
        model.max_input_tokens = window
    for target, member in ((model.create_time, "created_at"), (model.retire_time, "retires_at")):
        moment = _moment(_text(listed, member))
        # The epoch stands for "unknown".
        if moment is not None and moment.timestamp() > 0:
            target.FromDatetime(moment)
    return model


def support(facts: Facts) -> dict[str, models_pb2.Support]:
    """Field path to how this adapter treats it.

    `params.parallel_tool_calls` is missing: native beside tools, left out without them.
    """
    native, emulated = models_pb2.SUPPORT_NATIVE, models_pb2.SUPPORT_EMULATED
    ignored, rejected = models_pb2.SUPPORT_IGNORED, models_pb2.SUPPORT_REJECTED
    modes, efforts = facts.thinking, facts.efforts
    table = dict.fromkeys(("max_output_tokens", "stop", "service_tier", "end_user_id"), native)
    table |= dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "logit_bias"), ignored)
    table |= dict.fromkeys(("frequency_penalty", "presence_penalty", "repetition_penalty"), ignored)
    table |= dict.fromkeys(("max_tool_calls", "store", "prompt_cache_key", "verbosity"), ignored)
    table |= dict.fromkeys(("candidate_count", "logprobs", "top_logprobs", "output_modalities"), rejected)
    table |= {
        "reasoning.effort": native if efforts is None or efforts else ignored,
        "reasoning.budget_tokens": native if modes is None or "enabled" in modes else ignored,
        "output_format.json_schema": native,
        "output_format.json_object": rejected,
        "output_format.grammar": rejected,
        "tool_choice.allowed_names": emulated,
    }
    prompt = {
        "prompt.tools.function": native,
        "prompt.tools.custom": rejected,
        "prompt.tools.provider_tool": native,
        "prompt.tools.mcp": rejected,
        "prompt.documents": native,
    }
    return {f"params.{field}": value for field, value in table.items()} | prompt


def _inputs(capabilities: Mapping[str, Any]) -> list[str]:
    inputs = (("image", "image_input"), ("file", "pdf_input"))
    return [modality for modality, member in inputs if _supported(capabilities, member)]


def _tools(capabilities: Mapping[str, Any]) -> list[str]:
    server = _dict(capabilities, "server_tools")
    lacking = {name for name in ("web_search", "code_execution") if server and not _supported(server, name)}
    return [name for name in PROVIDER_TOOLS if name not in lacking]


def _supported(tree: Mapping[str, Any], name: str) -> bool:
    return _dict(tree, name).get("supported") is True


def _dict(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def _text(tree: Mapping[str, Any], name: str) -> str:
    value = tree.get(name)
    return value if isinstance(value, str) else ""


def _moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
