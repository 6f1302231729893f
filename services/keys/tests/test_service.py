"""The coordinator as a server: it is there before the store is, and its metrics are told to whoever collects them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from antiphon_keys.places import Places
from antiphon_keys.service import serving
from antiphon_keys.settings import KeysSettings
from antiphon_kit.telemetry import OFF, Reading


class Meters:
    """Telemetry that keeps the names."""

    start_call = OFF.start_call
    aclose = OFF.aclose

    def __init__(self) -> None:
        self.names: set[str] = set()

    def gauge(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        self.names.add(name)

    counter = gauge


async def test_it_serves_without_a_store_and_offers_its_metrics(tmp_path: Path) -> None:
    for name in ("role-id", "secret-id"):
        (tmp_path / name).write_text("x")
    settings = KeysSettings.from_env(
        {
            "ANTIPHON_LISTEN": "127.0.0.1:0",
            "ANTIPHON_KEYS_WATCH": "127.0.0.1:1",
            "ANTIPHON_VAULT_ADDR": "http://127.0.0.1:1",
            "ANTIPHON_VAULT_ROLE_ID_FILE": str(tmp_path / "role-id"),
            "ANTIPHON_VAULT_SECRET_ID_FILE": str(tmp_path / "secret-id"),
        }
    )
    meters = Meters()
    async with serving(settings, Places(settings.watch, settings.config), telemetry=meters) as service:
        assert service.address.startswith("127.0.0.1:")
    assert meters.names == {"antiphon.key.rotations", "antiphon.key.alarm", "antiphon.key.store.staleness"}
