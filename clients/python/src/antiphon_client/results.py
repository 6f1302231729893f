"""Owns the answers of the services beside chat as callers read them."""

import struct
from dataclasses import dataclass

from antiphon.llm.v1 import embedding_pb2, rerank_pb2, response_pb2, usage_pb2


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`response` is the contract's own message; `duration_s` is in seconds on this client's monotonic clock."""

    response: embedding_pb2.EmbedResponse
    request_id: str
    duration_s: float
    router_end: response_pb2.RouterEnd | None = None

    @property
    def vectors(self) -> list[tuple[float, ...]]:
        """One per input, in order. Raises ValueError where none came as float32: read `response.sets` then."""
        for each in self.response.sets:
            if each.encoding == "float32":
                return list(struct.iter_unpack(f"<{each.dimensions}f", each.data)) if each.dimensions else []
        raise ValueError("the answer holds no float32 vectors; read response.sets")

    @property
    def model(self) -> str:
        """As the provider reports it; may differ from what was asked for."""
        return self.response.start.model

    @property
    def usage(self) -> usage_pb2.Usage | None:
        """None: unknown. `usage.source` tells how much to trust it."""
        return self.response.end.usage if self.response.end.HasField("usage") else None


@dataclass(frozen=True, slots=True)
class Ranking:
    """`response` is the contract's own message; `duration_s` is in seconds on this client's monotonic clock."""

    response: rerank_pb2.RerankResponse
    request_id: str
    duration_s: float
    router_end: response_pb2.RouterEnd | None = None

    @property
    def order(self) -> list[tuple[int, float]]:
        """(position of the document in the request, score), best first."""
        return [(result.index, result.score) for result in self.response.results]

    @property
    def model(self) -> str:
        """As the provider reports it; may differ from what was asked for."""
        return self.response.start.model

    @property
    def usage(self) -> usage_pb2.Usage | None:
        """None: unknown. `usage.source` tells how much to trust it."""
        return self.response.end.usage if self.response.end.HasField("usage") else None
