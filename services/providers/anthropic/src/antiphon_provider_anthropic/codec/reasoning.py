"""Owns the mapping of reasoning control: mode, effort, budget and display to `thinking` and `output_config.effort`.

https://platform.claude.com/docs/en/build-with-claude/thinking (2026-11): models before 4.6 think within a budget,
later ones adapt and take an effort; what a model takes is in Facts.
"""

from typing import Final

from antiphon.llm.v1 import params_pb2
from antiphon_provider_anthropic.codec.models import EFFORTS, Facts
from antiphon_provider_anthropic.codec.scope import NAME, Native, Scope

MIN_BUDGET_TOKENS: Final = 1024
_PATH: Final = "params.reasoning"
_Mode = params_pb2.ReasoningParams


def add_reasoning(
    body: Native, config: Native, reasoning: params_pb2.ReasoningParams, scope: Scope, facts: Facts
) -> None:
    """Set `thinking` in `body` and `effort` in `config`. `body` holds `max_tokens` already."""
    thinking = _thinking(reasoning, body["max_tokens"], scope, facts)
    if thinking is not None and thinking["type"] in ("adaptive", "enabled"):
        _display(thinking, reasoning.summary, scope)
    elif reasoning.summary not in ("", "none"):
        scope.losses.hint(f"{_PATH}.summary", f"{NAME} takes it together with a mode that thinks only")
    if thinking is not None:
        body["thinking"] = thinking
    if reasoning.effort not in ("", "none"):
        _effort(config, reasoning.effort, scope, facts)
    if reasoning.HasField("include_opaque_state") and not reasoning.include_opaque_state:
        scope.losses.hint(f"{_PATH}.include_opaque_state", f"{NAME} always returns it")


def _thinking(reasoning: params_pb2.ReasoningParams, max_tokens: int, scope: Scope, facts: Facts) -> Native | None:
    if reasoning.mode == _Mode.MODE_DISABLED or reasoning.effort == "none":
        return _off(reasoning, scope, facts)
    manual = facts.thinking is None or "enabled" in facts.thinking
    adaptive = facts.thinking is None or "adaptive" in facts.thinking
    if reasoning.HasField("budget_tokens"):
        if reasoning.budget_tokens == 0:
            return _off(reasoning, scope, facts)
        if manual:
            return _within(reasoning.budget_tokens, f"{_PATH}.budget_tokens", max_tokens, scope)
        scope.losses.hint(f"{_PATH}.budget_tokens", "this model takes an effort instead of a budget")
    elif reasoning.mode == _Mode.MODE_UNSPECIFIED:
        return None
    if adaptive:
        if reasoning.mode == _Mode.MODE_ENABLED:
            scope.losses.emulated(f"{_PATH}.mode", "adaptive thinking is asked for: the model may still not think")
        return {"type": "adaptive"}
    scope.losses.emulated(f"{_PATH}.mode", "half of the output limit is given as a budget: this model does not adapt")
    return _within(max_tokens // 2, f"{_PATH}.mode", max_tokens, scope)


def _off(reasoning: params_pb2.ReasoningParams, scope: Scope, facts: Facts) -> Native | None:
    if facts.thinking is None or "disabled" in facts.thinking:
        return {"type": "disabled"}
    scope.losses.hint(f"{_PATH}.{'effort' if reasoning.effort else 'mode'}", "this model always thinks")
    return None


def _within(budget_tokens: int, path: str, max_tokens: int, scope: Scope) -> Native | None:
    """A budget of at least 1024 tokens and less than the output limit."""
    if max_tokens <= MIN_BUDGET_TOKENS:
        scope.losses.hint(path, f"thinking takes {MIN_BUDGET_TOKENS} tokens, the output limit leaves no room for it")
        return None
    fitting = min(max(budget_tokens, MIN_BUDGET_TOKENS), max_tokens - 1)
    if fitting != budget_tokens:
        scope.losses.clamped(path, f"{fitting} is the nearest budget offered")
    return {"type": "enabled", "budget_tokens": fitting}


def _display(thinking: Native, summary: str, scope: Scope) -> None:
    if not summary:
        return
    thinking["display"] = "omitted" if summary == "none" else "summarized"
    if summary not in ("none", "auto"):
        scope.losses.clamped(f"{_PATH}.summary", f"{NAME} has one kind of summary")


def _effort(config: Native, effort: str, scope: Scope, facts: Facts) -> None:
    """Words outside the vocabulary pass: it grows monthly."""
    offered = EFFORTS if facts.efforts is None else facts.efforts
    if not offered:
        scope.losses.hint(f"{_PATH}.effort", "this model takes no effort")
        return
    words = ("minimal", *EFFORTS)
    if effort in words and effort not in offered:
        wanted = words.index(effort)
        effort = min(offered, key=lambda level: abs(words.index(level) - wanted))
        scope.losses.clamped(f"{_PATH}.effort", f"{effort} is the nearest level offered")
    config["effort"] = effort
