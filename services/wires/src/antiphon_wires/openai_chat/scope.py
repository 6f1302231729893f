"""Owns what every step of encoding one request needs: the dialect, the ledger of losses, the account, the patches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.llm.v1 import content_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_wires import merge_patch
from antiphon_wires.losses import Losses
from antiphon_wires.openai_chat.dialect import Dialect

Native = dict[str, Any]


@dataclass(slots=True)
class Scope:
    """`state_domain` is the account's name, "" if the operator gave none. `reasons`: the model is sure to reason.

    `api`: which of the vendor's APIs is spoken, as in the keys of `provider_json`.
    """

    dialect: Dialect
    losses: Losses
    state_domain: str
    reasons: bool = False
    api: str = "chat"

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of `provider_json` that are this wire's, in the order of application."""
        return self.dialect.keys_of(self.api)

    def patch(self, native: Native, provider_json: Mapping[str, str], path: str) -> bool:
        """Apply what `provider_json` holds for this wire; whether there was anything."""
        keys = self.keys
        if not provider_json or not any(provider_json.get(key) for key in keys):
            return False
        merge_patch.apply(native, provider_json, keys, param=f"{path}.provider_json")
        return True

    def own(self, states: Iterable[content_pb2.OpaqueState], path: str, *kinds: str) -> dict[str, str]:
        """Opaque state that this account issued and this wire can send back: kind to value. The rest is warned of."""
        found = {}
        for index, state in enumerate(states):
            where = f"{path}.opaque[{index}]"
            if state.issuer != self.dialect.name:
                self.losses.opaque(where, f"it was issued by {state.issuer or 'nobody'}")
            elif state.state_domain and self.state_domain and state.state_domain != self.state_domain:
                self.losses.opaque(where, "it belongs to another account")
            elif state.kind not in kinds:
                self.losses.opaque(where, f"the {self.api} API cannot take {state.kind or 'it'} back")
            else:
                found[state.kind] = state.data.decode("utf-8", "replace")
        return found


def invalid(message: str, param: str) -> CallFailure:
    """The failure for a request that is wrong in itself."""
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)
