"""Owns the run of the figures: what is measured in which order, what is said meanwhile, what is written."""

import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from antiphon_bench import echo, machine, profiles, provider_cost, results, router_cost
from antiphon_bench.figures import missed
from antiphon_bench.idle import settled_rss_mb
from antiphon_bench.services import running_echo, running_openai, running_router, running_vendor

COMMAND: Final = "make bench"


async def run(out: Path, scratch: Path, rounds: int, full_profiles: Path | None) -> str:
    """Measure everything, write bench.json and bench.md to `out`, return the table. Raises BenchError.

    What misses its bound is profiled; the whole profiles go to `full_profiles`, if given.
    """
    where = machine.describe()
    async with AsyncExitStack() as stack:
        vendor = (await stack.enter_async_context(running_vendor(scratch))).address
        _say("measuring the adapters against the SDKs")
        ratios = await provider_cost.measure(vendor, rounds)
        _say("measuring the memory of idle services")
        values = await _idle(scratch, vendor)
        _say("measuring the router against an echo server")
        ratios |= await router_cost.measure(scratch, rounds)
        values |= {name: ratio.value for name, ratio in ratios.items()}
        found: dict[str, profiles.Profile] = {}
        for figure in missed(values):
            _say(f"profiling {figure.name}, which misses its bound")
            found[figure.name] = await profiles.explain(figure.name, scratch, vendor)
    details = {name: results.ratio_details(ratio) for name, ratio in ratios.items()}
    result = results.document(values, details, found, where, COMMAND)
    results.write(out, "bench", result, results.page(result))
    lines = [results.figure_table(result), *busy(where), f"written to {out / 'bench.json'} and {out / 'bench.md'}"]
    lines += _write_profiles(found, full_profiles)
    return "\n".join(lines)


def busy(where: Mapping[str, Any]) -> list[str]:
    """A line for people when other work may have spoilt the figures."""
    if where["load_before"] <= where["cores"] / 2:
        return []
    return [f"note: the machine was busy (load {where['load_before']:g} on {where['cores']} cores), so figures scatter"]


def _write_profiles(found: Mapping[str, profiles.Profile], directory: Path | None) -> list[str]:
    if directory is None:
        return []
    lines = []
    for name, profile in found.items():
        target = directory / f"{name}.txt"
        target.write_text(profile.text, encoding="utf-8")
        lines.append(f"profile of {name}: {target}")
    return lines


async def _idle(scratch: Path, vendor: str) -> dict[str, float]:
    async with (
        running_echo(scratch, "replica") as replica,
        running_router(scratch, {echo.PROVIDER: [replica.address]}) as router,
        running_openai(scratch, vendor) as openai,
    ):
        return {
            "router_idle_rss_mb": await settled_rss_mb(router.pid),
            "openai_idle_rss_mb": await settled_rss_mb(openai.pid),
        }


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)
