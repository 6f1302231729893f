"""Owns what happens to the parts of a request that a provider cannot honour: refused, or left out with a warning.

Nothing is dropped silently. Warnings of the same kind and cause are one: the first path, and how many more.
"""

from dataclasses import dataclass, field

from antiphon.llm.v1 import options_pb2, response_pb2
from antiphon_contract.errors import CallFailure, Reason, failure

Kind = response_pb2.Warning.Kind
_Policy = options_pb2.CallOptions.UnsupportedPolicy


@dataclass(slots=True)
class Losses:
    """The ledger of one request. Every method takes the path of the field and why, as a clause without a full stop."""

    provider: str
    policy: _Policy = options_pb2.CallOptions.UNSUPPORTED_POLICY_UNSPECIFIED
    _seen: dict[tuple[Kind, str], list[str]] = field(default_factory=dict)

    def hint(self, path: str, why: str) -> None:
        """A parameter that only tunes the answer: left out, unless the caller wants an error."""
        if self.policy == options_pb2.CallOptions.UNSUPPORTED_POLICY_ERROR:
            raise self._refusal(path, why)
        self._add(response_pb2.Warning.KIND_PARAM_DROPPED, path, why)

    def shape(self, path: str, why: str, *, part: bool = False) -> None:
        """Something that changes what the answer is: refused, unless the caller wants warnings only."""
        if self.policy != options_pb2.CallOptions.UNSUPPORTED_POLICY_WARN:
            raise self._refusal(path, why)
        kind = response_pb2.Warning.KIND_PART_DROPPED if part else response_pb2.Warning.KIND_PARAM_DROPPED
        self._add(kind, path, why)

    def emulated(self, path: str, how: str) -> None:
        """Done in another way, unless the caller wants an error."""
        if self.policy == options_pb2.CallOptions.UNSUPPORTED_POLICY_ERROR:
            raise self._refusal(path, how)
        self._add(response_pb2.Warning.KIND_EMULATED, path, how)

    def clamped(self, path: str, how: str) -> None:
        """Changed to the nearest value offered, unless the caller wants an error."""
        if self.policy == options_pb2.CallOptions.UNSUPPORTED_POLICY_ERROR:
            raise self._refusal(path, how)
        self._add(response_pb2.Warning.KIND_PARAM_CLAMPED, path, how)

    def history(self, path: str, why: str) -> None:
        """Part of an earlier answer that this provider cannot take back: never an error, histories move around."""
        self._add(response_pb2.Warning.KIND_PART_DROPPED, path, why)

    def opaque(self, path: str, why: str) -> None:
        """Opaque state of another issuer, domain or model: never an error."""
        self._add(response_pb2.Warning.KIND_OPAQUE_STATE_DROPPED, path, why)

    def _refusal(self, path: str, why: str) -> CallFailure:
        return failure(
            Reason.ERROR_REASON_PARAM_UNSUPPORTED,
            f"{self.provider} cannot honour {path}: {why}; leave it out or set options.unsupported_policy to WARN",
            param=path,
        )

    def _add(self, kind: Kind, path: str, why: str) -> None:
        self._seen.setdefault((kind, why), []).append(path)

    def warnings(self) -> list[response_pb2.Warning]:
        """What was lost, in the order in which it was met."""
        found = []
        for (kind, why), paths in self._seen.items():
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            found.append(response_pb2.Warning(kind=kind, path=paths[0], message=f"{why}{more}"[:512]))
        return found
