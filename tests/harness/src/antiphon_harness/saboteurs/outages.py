"""Owns the bugs about upstreams that are down or slow."""

from typing import Final

from antiphon_harness.sabotage import Edit, Saboteur

_ROUTER: Final = "antiphon_router"
_KIT: Final = "antiphon_kit"

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    Saboteur(
        name="retry_without_budget",
        what="every failure is repeated, however many there are",
        goal="G09",
        shipped="retry storms: sglang #13894; HKUDS/nanobot #2511",
        edits=(
            Edit(_ROUTER, "        left = budget.spent(self._budget, self.clock())\n", "        left = self._budget\n"),
        ),
    ),
    Saboteur(
        name="provider_retries_too",
        what="the provider repeats what fails, below the router's budget, as vendors' SDKs do by default",
        goal="G09",
        shipped="HKUDS/nanobot #2511 (up to 12 calls for one failure)",
        edits=(
            Edit(
                _KIT,
                "            self._message, self._body = await self._exchange()\n",
                "            self._message, self._body = await self._exchange()\n"
                "            if self._message.code >= 500:\n"
                "                await self._abort()\n"
                "                self._message, self._body = await self._exchange()\n",
            ),
        ),
    ),
    Saboteur(
        name="breaker_never_opens",
        what="an endpoint that only fails stays in rotation",
        goal="G09b",
        shipped="litellm PR 34836 (25 consecutive 500s)",
        edits=(Edit(_ROUTER, "if failures < policy.trip_after and not mostly:", "if True:"),),
    ),
    Saboteur(
        name="ejection_never_grows",
        what="a flapping target is tried again every second",
        goal="G09b",
        edits=(Edit(_ROUTER, "policy.open_s * 2.0 ** min(level, 16)", "policy.open_s"),),
    ),
    Saboteur(
        name="no_failover_on_503",
        what="503 is given to the caller while others are well",
        goal="G09b",
        shipped="agentgateway #1087",
        edits=(
            Edit(
                _ROUTER,
                'Rule("gateway_5xx", _R.PROVIDER_ERROR, Same.IF_FAST, Other.ALWAYS',
                'Rule("gateway_5xx", _R.PROVIDER_ERROR, Same.NEVER, Other.NEVER',
            ),
        ),
    ),
    Saboteur(
        name="panic_onto_disabled",
        what="when all else is out, refused keys are used too",
        goal="G15",
        shipped="Envoy's panic mode knows no dead keys",
        edits=(
            Edit(
                _ROUTER,
                "return was.state is State.OPEN and was.rule != WATCH",
                "return was.state in (State.OPEN, State.DISABLED) and was.rule != WATCH",
            ),
        ),
    ),
    Saboteur(
        name="no_panic",
        what="with most targets out nothing is tried until their time is over",
        goal="G15",
        edits=(Edit(_ROUTER, "return was.state is State.OPEN and was.rule != WATCH", "return False"),),
    ),
    Saboteur(
        name="slow_is_healthy",
        what="only failures count, so a slow endpoint keeps its share",
        goal="G13",
        shipped="litellm #19909",
        edits=(
            Edit(
                _ROUTER,
                "return (load.in_flight + 1) * max(known_s, FASTEST_S)",
                "return 1.0",
            ),
            Edit(
                _ROUTER,
                "        if breached:\n            weight = max(",
                "        if False:\n            weight = max(",
            ),
        ),
    ),
    Saboteur(
        name="hedge_loser_goes_on",
        what="the attempt that lost is not cancelled",
        goal="G17",
        edits=(
            Edit(
                _ROUTER,
                "            opened = await open_(first)\n        except",
                "            opened = await asyncio.shield(open_(first))\n        except",
            ),
        ),
    ),
    Saboteur(
        name="hedge_loser_not_recorded",
        what="the attempt that lost is missing from the record",
        goal="G17",
        edits=(Edit(_ROUTER, "        self._call.lost(self._first, second)\n", ""),),
    ),
)
