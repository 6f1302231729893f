"""Owns how a streamed answer is shown while it comes, and what is shown when it begins anew.

On a terminal, text that is void stays and is marked: lines that have scrolled by cannot be erased. Anywhere else what
is written is final, so text that may become void waits for the end.
"""

from typing import Final

from antiphon_cli.screen import Screen
from antiphon_client import Answer, AntiphonError, AsyncStream, events
from antiphon_client.answer import text_of
from antiphon_client.stream import delta_of

VOID: Final = "[broken off; the answer begins anew]"


async def shown(stream: AsyncStream, screen: Screen, *, provisional: bool) -> Answer:
    """Write the text as it comes and give back the whole. `provisional`: it may be taken back. Raises AntiphonError."""
    if provisional and not screen.is_terminal:
        try:
            answer = await stream.response()
        except AntiphonError as failure:
            screen.text(text_of(failure.response) if failure.response is not None else "")
            raise
        screen.text(answer.text)
        return answer
    async for event in stream:
        if isinstance(event, events.Restarted):
            if event.voided_text:
                screen.close_line()
                screen.text(f"{VOID}\n")
        elif piece := delta_of(event):
            screen.text(piece)
    return await stream.response()
