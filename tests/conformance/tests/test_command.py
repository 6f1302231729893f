"""`antiphon-conformance` judges a service that it knows by address only."""

import asyncio
import sys
from collections.abc import Iterator

import pytest
import reference

from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat

CHEAP = "lists or standard_health or answers"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with performing(OpenAIChat()) as vendor:
        yield vendor


async def _judge(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "antiphon_conformance.command", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_good_service_passes(vendor: Vendor) -> None:
    async with reference.serving(vendor.url) as address:
        code, output = await _judge("--target", address, "--model", "plain", "-k", CHEAP)
    assert code == 0, output
    assert " passed" in output


async def test_a_broken_service_fails(vendor: Vendor) -> None:
    async with reference.serving(vendor.url, "forgets part_end") as address:
        code, output = await _judge("--target", address, "--model", "plain", "-k", CHEAP)
    assert code == 1, output
    assert "open parts" in output


async def test_says_how_it_is_used() -> None:
    code, output = await _judge()
    assert code == 2
    assert "--target" in output
