from collections.abc import Iterator
from dataclasses import replace

import pytest

from antiphon_provider_local.engine import Engine
from antiphon_provider_local.settings import LocalSettings


@pytest.fixture(scope="session")
def settings() -> LocalSettings:
    """The bundled model, small enough to overflow and to fill quickly."""
    return replace(LocalSettings.from_env({}), context_tokens=512, parallel=2, threads=1)


@pytest.fixture(scope="session")
def engine(settings: LocalSettings) -> Iterator[Engine]:
    engine = Engine(settings)
    yield engine
    engine.close()
