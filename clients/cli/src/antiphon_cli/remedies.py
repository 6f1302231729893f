"""Owns which exit code and which remedy belongs to a failed call."""

from typing import Final

from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_client import errors
from antiphon_client.answer import text_of

# The first class that fits decides, so subclasses stand before their bases.
_RULES: Final[tuple[tuple[type[errors.AntiphonError], ExitCode, str], ...]] = (
    (
        errors.RouterUnreachable,
        ExitCode.ROUTER_UNREACHABLE,
        "start it with `make up`, or tell where it is with {option} or {variable}",
    ),
    (errors.NotFound, ExitCode.NOT_FOUND, "`antiphon providers` and `antiphon models` list what there is"),
    (
        errors.CredentialsRefused,
        ExitCode.NOT_AUTHORISED,
        "mend the provider's key where the suite runs (for example OPENAI_API_KEY in .env) and start it again",
    ),
    (errors.NotAuthorised, ExitCode.NOT_AUTHORISED, "ask the router's operator for access"),
    (
        errors.ContextLengthExceeded,
        ExitCode.REFUSED,
        "shorten the prompt or take a model with a larger window, see `antiphon models`",
    ),
    (errors.RequestTooLarge, ExitCode.REFUSED, "shorten the prompt"),
    (errors.Unsupported, ExitCode.REFUSED, "leave that option out or take another model, see `antiphon models`"),
    (errors.ContentBlocked, ExitCode.REFUSED, "change the prompt or take another provider"),
    (errors.InvalidRequest, ExitCode.REFUSED, "see `antiphon ask --help`"),
    (errors.QuotaExhausted, ExitCode.LIMITED, "add credit there or take another provider with --provider"),
    (errors.RateLimited, ExitCode.LIMITED, "try again{delay}"),
    (errors.StreamInterrupted, ExitCode.CUT, "the answer is not whole, ask again"),
    (errors.ProviderUnavailable, ExitCode.PROVIDER_FAILED, "`antiphon status` shows why; try again{delay}"),
    (errors.DeadlineExceeded, ExitCode.TIMEOUT, "allow more time with --timeout or LLM_TIMEOUT"),
    (errors.Cancelled, ExitCode.PROVIDER_FAILED, "ask again"),
    (errors.AntiphonError, ExitCode.INTERNAL, "report it with request id {request_id}"),
)
# Who refuses a request or a key knows best what would help, and says so after a semicolon.
_MENDED_BY_THE_SENDER: Final = (ExitCode.REFUSED, ExitCode.NOT_AUTHORISED)


def explain(failure: errors.AntiphonError, *, admin: bool = False) -> CommandFailed:
    """The command's failure for a failed call; `admin`: it went to the router's administration."""
    code, remedy = next((code, remedy) for kind, code, remedy in _RULES if isinstance(failure, kind))
    delay_s = failure.retry_delay_s
    what = failure.message
    if code is ExitCode.ROUTER_UNREACHABLE:
        what = f"the router's administration: {what}" if admin else f"the router cannot be reached: {what}"
    if code in _MENDED_BY_THE_SENDER and "; " in what:
        remedy = ""
    return CommandFailed(
        code,
        what,
        remedy.format(
            option="--admin-address" if admin else "--address",
            variable="ANTIPHON_ADMIN_ADDRESS" if admin else "ANTIPHON_ADDRESS",
            delay=" later" if delay_s is None else f" in {delay_s:.0f} s",
            request_id=failure.request_id,
        ),
        reason=failure.reason,
        code=failure.code.name,
        param=failure.param,
        provider=failure.provider,
        backend=failure.backend,
        retry_delay_s=delay_s,
        request_id=failure.request_id,
        partial_text=text_of(failure.response) if failure.response is not None else None,
    )
