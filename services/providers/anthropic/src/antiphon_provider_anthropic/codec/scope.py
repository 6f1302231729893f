"""Owns what every step of encoding one request needs: the ledger of losses, the account, the patches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from antiphon.llm.v1 import content_pb2
from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_wires import merge_patch
from antiphon_wires.losses import Losses

Native = dict[str, Any]

NAME: Final = "anthropic"
KEYS: Final = (NAME, f"{NAME}/messages")
"""Keys of `provider_json` that are this adapter's, in the order of application."""

SIGNATURE: Final = "thinking.signature"
REDACTED: Final = "redacted_thinking.data"
COMPACTED: Final = "compaction.encrypted_content"
COMPACTION_SIGNATURE: Final = "compaction.signature"


class Sources(NamedTuple):
    """Ids that the client gave its documents, in the order in which the vendor counts them; "" for none.

    Search results are counted apart (citation type search_result_location in anthropic 2.14).
    """

    documents: tuple[str, ...] = ()
    search_results: tuple[str, ...] = ()


@dataclass(slots=True)
class Scope:
    """`state_domain` is the account's name, "" if the operator gave none."""

    losses: Losses
    state_domain: str
    documents: list[str] = field(default_factory=list)
    search_results: list[str] = field(default_factory=list)

    def patch(self, native: Native, provider_json: Mapping[str, str], path: str) -> bool:
        """Apply what `provider_json` holds for this wire; whether there was anything."""
        if not has_own(provider_json):
            return False
        merge_patch.apply(native, provider_json, KEYS, param=f"{path}.provider_json")
        return True

    def own(self, states: Iterable[content_pb2.OpaqueState], path: str, *kinds: str) -> dict[str, str]:
        """Opaque state that this account issued and this place can send back: kind to value. The rest is warned of."""
        found = {}
        for index, state in enumerate(states):
            where = f"{path}.opaque[{index}]"
            if state.issuer != NAME:
                self.losses.opaque(where, f"it was issued by {state.issuer or 'nobody'}")
            elif state.state_domain and self.state_domain and state.state_domain != self.state_domain:
                self.losses.opaque(where, "it belongs to another account")
            elif state.kind not in kinds:
                self.losses.opaque(where, f"{state.kind or 'it'} has no place there")
            else:
                found[state.kind] = state.data.decode("utf-8", "replace")
        return found

    def sources(self) -> Sources:
        """What was encoded so far, for the reading of citations."""
        return Sources(tuple(self.documents), tuple(self.search_results))


def has_own(provider_json: Mapping[str, str]) -> bool:
    """Whether there is a patch for this wire."""
    return bool(provider_json) and any(provider_json.get(key) for key in KEYS)


def invalid(message: str, param: str) -> CallFailure:
    """The failure for a request that is wrong in itself."""
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, message, param=param)
