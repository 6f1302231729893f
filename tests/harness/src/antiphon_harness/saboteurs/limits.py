"""Owns the bugs about keys and limits."""

from typing import Final

from antiphon_harness.sabotage import Edit, Saboteur

_ROUTER: Final = "antiphon_router"
_CONTRACT: Final = "antiphon_contract"

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    Saboteur(
        name="shorter_retry_after_shortens",
        what="a later, shorter Retry-After replaces a longer one",
        goal="G07",
        shipped="litellm #40130 (60 s recorded, about 1 s enforced)",
        edits=(Edit(_ROUTER, "next_try=max(was.next_try, fresh.next_try)", "next_try=fresh.next_try"),),
    ),
    Saboteur(
        name="retry_after_ignored",
        what="Retry-After is not read, the router guesses",
        goal="G07",
        shipped="litellm #25507",
        edits=(
            Edit(
                _ROUTER,
                'delay_s = error.retry_delay.ToTimedelta().total_seconds() if error.HasField("retry_delay") else None',
                "delay_s = None",
            ),
        ),
    ),
    Saboteur(
        name="rate_limit_is_final",
        what="429 is given to the caller while other keys are free",
        goal="G07",
        shipped="bifrost #3261; agentgateway #1500",
        edits=(
            Edit(
                _ROUTER,
                'Rule("rate", _R.RATE_LIMITED, Same.NEVER, Other.ALWAYS',
                'Rule("rate", _R.RATE_LIMITED, Same.NEVER, Other.NEVER',
            ),
        ),
    ),
    Saboteur(
        name="many_probes",
        what="everybody tries a target at once when its time is over",
        goal="G07",
        edits=(
            Edit(
                _ROUTER,
                "return replace(self, state=State.HALF_OPEN, since=now, next_try=None, before=self)",
                "return self",
            ),
        ),
    ),
    Saboteur(
        name="fast_failure_is_fast",
        what="a failure counts as a quick answer in the balance",
        goal="G08",
        shipped="Linkerd documents the trap",
        edits=(Edit(_ROUTER, "observe(load, max(FAILURE_S, elapsed_s), now)", "observe(load, elapsed_s, now)"),),
    ),
    Saboteur(
        name="caller_faults_trip_breaker",
        what="a request that is wrong puts the endpoint out for everybody",
        goal="G10",
        shipped="litellm #5225; sglang #25811",
        edits=(Edit(_ROUTER, 'Rule("caller", reason)', 'Rule("caller", reason, scope=Scope.ENDPOINT)'),),
    ),
    Saboteur(
        name="caller_faults_fail_over",
        what="a request that is wrong is sent to every backend",
        goal="G10",
        shipped="litellm #7669",
        edits=(
            Edit(_ROUTER, 'Rule("caller", reason)', 'Rule("caller", reason, Same.REPLICA, Other.ALWAYS)'),
            Edit(
                _ROUTER,
                "return rule.other is Other.ALWAYS and (failure.retry_other or failure.lost)",
                "return rule.other is Other.ALWAYS",
            ),
        ),
    ),
    Saboteur(
        name="auth_disables_provider",
        what="one refused key puts out all keys of the provider",
        goal="G11",
        shipped="litellm PR 34836 (cooldown of more than the key)",
        edits=(
            Edit(
                _ROUTER,
                'Rule("auth", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.ALWAYS, Scope.KEY,',
                'Rule("auth", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.ALWAYS, Scope.POOL,',
            ),
            Edit(_ROUTER, 'pool_mark=f"@{backend.account}"', 'pool_mark=""'),
        ),
    ),
    Saboteur(
        name="auth_is_final",
        what="a refused key ends the call while healthy keys remain",
        goal="G11",
        shipped="bifrost #5876",
        edits=(
            Edit(
                _ROUTER,
                'Rule("auth", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.ALWAYS',
                'Rule("auth", _R.PROVIDER_CREDENTIALS, Same.NEVER, Other.NEVER',
            ),
        ),
    ),
    Saboteur(
        name="dead_key_is_used_on",
        what="a refused key stays in rotation",
        goal="G11",
        shipped="bifrost PR 3491 (dead keys within one request only)",
        edits=(
            Edit(
                _ROUTER,
                "Other.ALWAYS, Scope.KEY, Effect.DISABLE, Cause.AUTH",
                "Other.ALWAYS, None, Effect.DISABLE, Cause.AUTH",
            ),
        ),
    ),
    Saboteur(
        name="latest_retry_info",
        what="the caller is told to wait for the last of several limits instead of the first",
        goal="G12",
        edits=(Edit(_ROUTER, "max(0.0, min(times) - now) if times", "max(0.0, max(times) - now) if times"),),
    ),
    Saboteur(
        name="no_pushback",
        what="final failures do not tell clients not to repeat them",
        goal="G12",
        shipped="sglang #13894 (a storm of 503)",
        edits=(Edit(_CONTRACT, '        (metadata.PUSHBACK, "-1"),\n', ""),),
    ),
    Saboteur(
        name="queue_is_no_news",
        what="calls wait in line upstream and the router lets in as many as ever",
        goal="G14",
        edits=(
            Edit(_ROUTER, "return _cut(limit, seen, now, seen.answering + limit.norm * limit.pipe)", "return limit"),
        ),
    ),
    Saboteur(
        name="first_come_first_served",
        what="whoever comes while there is room gets it, whatever its priority",
        goal="G14",
        edits=(
            Edit(
                _ROUTER,
                "return better + same < limit.now and kept + same < limit.most",
                "return total < limit.now",
            ),
            Edit(_ROUTER, "if priority > crowd.shed or total >= limit.most:", "if total >= limit.most:"),
            Edit(_ROUTER, "if priority == BEST and limit.cut is not None", "if limit.cut is not None"),
        ),
    ),
)
