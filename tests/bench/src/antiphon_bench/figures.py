"""Owns the names of the figures, what each says, and the bound it has to keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """`bound` is an upper bound; None: told for information."""

    name: str
    unit: str
    bound: float | None
    meaning: str


def _of_adapter(name: str) -> tuple[Figure, ...]:
    return (
        Figure(
            f"{name}_unary_cpu_vs_sdk",
            "×",
            0.30,
            f"CPU of the {name} adapter per unary call, over the SDK's whole answer",
        ),
        Figure(f"{name}_chunk_cpu_vs_sdk", "×", 0.12, "the same per streamed chunk, over the SDK's stream iteration"),
        Figure(
            f"{name}_chunk_dripped_cpu_vs_sdk", "×", None, "the same when each chunk comes in a TCP read of its own"
        ),
    )


FIGURES: Final[tuple[Figure, ...]] = (
    Figure(
        "router_unary_cpu_vs_echo",
        "×",
        2.2,
        "CPU of the router per unary call with every bound and permission set, over that of a grpc.aio echo server",
    ),
    Figure("router_frame_cpu_vs_echo", "×", 2.5, "the same per frame of a streamed answer"),
    *_of_adapter("openai"),
    *_of_adapter("anthropic"),
    *_of_adapter("cohere"),
    Figure("router_idle_rss_mb", "MB", 90.0, "resident memory of the router, idle"),
    Figure("openai_idle_rss_mb", "MB", 130.0, "resident memory of the openai service, idle"),
)


def missed(values: Mapping[str, float]) -> list[Figure]:
    """The figures that are above their bounds."""
    return [one for one in FIGURES if one.bound is not None and values.get(one.name, 0.0) > one.bound]


def verdict(figure: Figure, value: float) -> str:
    """`met`, `missed`, or a dash where there is no bound."""
    if figure.bound is None:
        return "–"
    return "met" if value <= figure.bound else "missed"
