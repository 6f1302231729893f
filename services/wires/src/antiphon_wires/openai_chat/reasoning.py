"""Owns how a caller's wish to reason becomes a dialect's switch and its levels of effort."""

from typing import Final

from antiphon.llm.v1 import params_pb2
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_chat.scope import Native, Scope

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_Reasoning = params_pb2.ReasoningParams


def reasons(reasoning: params_pb2.ReasoningParams, dialect: Dialect) -> bool:
    """Whether the model is sure to reason. It takes a switch to know; patches of the call are not considered."""
    if dialect.thinking is None or is_off(reasoning):
        return False
    return dialect.thinking.by_default or reasoning.mode == _Reasoning.MODE_ENABLED or bool(reasoning.effort)


def encode_reasoning(reasoning: params_pb2.ReasoningParams, scope: Scope) -> Native:
    """The members that switch reasoning and say how much of it is wanted."""
    body: Native = {}
    losses, dialect = scope.losses, scope.dialect
    effort = "none" if is_off(reasoning) else reasoning.effort
    if dialect.thinking is not None:
        if effort or reasoning.mode == _Reasoning.MODE_ENABLED:
            body[dialect.thinking.member] = {"type": "disabled" if effort == "none" else "enabled"}
        effort = "" if effort == "none" else effort
    elif reasoning.mode == _Reasoning.MODE_ENABLED and not effort:
        effort = "medium"
        losses.emulated("params.reasoning.mode", "there is no switch; effort medium is asked for")
    if effort:
        if "reasoning_effort" in dialect.lacks:
            losses.hint("params.reasoning", f"{dialect.name} has no reasoning control")
        else:
            body["reasoning_effort"] = offered(effort, scope)
    if reasoning.HasField("budget_tokens"):
        losses.hint("params.reasoning.budget_tokens", "chat completions have no reasoning budget")
    if reasoning.summary not in ("", "none"):
        losses.hint("params.reasoning.summary", "chat completions return no summary")
    if reasoning.include_opaque_state:
        losses.hint("params.reasoning.include_opaque_state", "chat completions return no reasoning state")
    return body


def is_off(reasoning: params_pb2.ReasoningParams) -> bool:
    """Whether the caller wants none."""
    return reasoning.mode == _Reasoning.MODE_DISABLED or reasoning.effort == "none"


def offered(effort: str, scope: Scope) -> str:
    """A level the dialect takes. Words outside the vocabulary pass: it grows monthly."""
    offered = scope.dialect.efforts
    if effort in offered or effort not in _EFFORTS:
        return effort
    wanted = _EFFORTS.index(effort)
    nearest = min(offered, key=lambda level: abs(_EFFORTS.index(level) - wanted))
    nearest = scope.dialect.effort_aliases.get(effort, nearest)
    scope.losses.clamped("params.reasoning.effort", f"{nearest} is the nearest level offered")
    return nearest
