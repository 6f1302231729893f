"""Owns the models that the router shows: those of every backend that answers, and the routes."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from antiphon.llm.v1 import models_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_router.core.failover import NEW_TURN
from antiphon_router.core.resolve import Resolution
from antiphon_router.core.values import Candidate
from antiphon_router.shell.channels import Links
from antiphon_router.shell.failures import failure_of, placed, refused, wreck_of
from antiphon_router.shell.roster import Roster, Running
from antiphon_router.shell.routes import Routes

log = logging.getLogger(__name__)

LIST: Final = "/antiphon.llm.v1.ModelService/ListModels"
TIMEOUT_S: Final = 3.0
PATIENCE_S: Final = 1.5
"""For connections that are being made anew: a stall of this machine can cost all of them at once."""
MAX_PAGES: Final = 20


class _Lost(CallFailure):
    """The connection failed, and with it nothing that the backend said."""


class Models:
    """The source behind ModelService: asks one replica of each backend, leaves out who does not answer."""

    name = "the router"

    def __init__(self, routes: Routes, roster: Roster, links: Links, *, timeout_s: float = TIMEOUT_S) -> None:
        self._routes = routes
        self._roster = roster
        self._links = links
        self._timeout_s = timeout_s

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """All models once, and each route as a model. Raises the last CallFailure if no backend answers at all."""
        catalog = self._routes.catalog
        backends = [backend for own in catalog.providers.values() for backend in own]
        ways = [Resolution(backend.id, ((Candidate(backend, ""),),)) for backend in backends]
        answers = await self._answers(ways)
        if answers and all(isinstance(answer, _Lost) for answer in answers):
            again = await self._answers(ways, patience_s=PATIENCE_S)
            answers = [
                before if isinstance(now, CallFailure) else now for before, now in zip(answers, again, strict=True)
            ]
        found: dict[str, models_pb2.Model] = {}
        for answer in answers:
            for model in answer if not isinstance(answer, CallFailure) else ():
                found.setdefault(model.id, model)
        failures = [answer for answer in answers if isinstance(answer, CallFailure)]
        if failures and len(failures) == len(answers):
            raise failures[-1]
        for name, targets in catalog.routes.items():
            found.setdefault(name, _route(name, targets, found))
        return list(found.values())

    async def _answers(
        self, ways: Sequence[Resolution], patience_s: float = 0.0
    ) -> Sequence[list[models_pb2.Model] | CallFailure]:
        """Of each backend; `patience_s`: how long to wait for a connection, where there is none."""
        return await asyncio.gather(*(self._of(way, patience_s) for way in ways))

    async def _of(self, way: Resolution, patience_s: float) -> list[models_pb2.Model] | CallFailure:
        running = self._roster.begin(way, NEW_TURN)
        if not isinstance(running, Running):
            return refused(running)
        try:
            models = await self._ask(running, patience_s)
        except grpc.aio.AioRpcError as raised:
            wreck = wreck_of(raised, running.attempt)
            error = placed(wreck.error, running.attempt)
            # A list is no call of a model: it tells about the process, and about nothing behind it.
            if wreck.lost:
                running.failed(failure_of(wreck, running.elapsed_s()), error)
            log.warning("models_unknown", extra={"backend": way.name, "detail": error.message})
            return _Lost(error) if wreck.lost else CallFailure(error)
        except DecodeError:
            message = f"backend {way.name} answered ListModels with something else; see its log"
            return CallFailure(call_error(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, message))
        else:
            return models
        finally:
            running.close()

    async def _ask(self, running: Running, patience_s: float) -> list[models_pb2.Model]:
        ask = self._links[running.attempt.replica.key].unary(LIST)
        models: list[models_pb2.Model] = []
        request = models_pb2.ListModelsRequest(page_size=1000)
        for _ in range(MAX_PAGES):
            data = await ask(
                request.SerializeToString(), timeout=patience_s or self._timeout_s, wait_for_ready=bool(patience_s)
            )
            page = models_pb2.ListModelsResponse.FromString(data)
            models += page.models
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        return models


def _route(name: str, targets: Sequence[Candidate], found: dict[str, models_pb2.Model]) -> models_pb2.Model:
    """A route as a model: what its targets have in common."""
    ids = list(dict.fromkeys(f"{target.backend.provider}/{target.model}" for target in targets))
    model = models_pb2.Model(id=name, display_name=f"{name}: {', '.join(ids)}")
    only = found.get(ids[0]) if len(ids) == 1 else None
    if only is not None:
        model.CopyFrom(only)
        model.id = name
    providers = {target.backend.provider for target in targets}
    if len(providers) == 1:
        model.provider = providers.pop()
    return model
