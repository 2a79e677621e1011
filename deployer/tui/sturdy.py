"""A message loop that outlives a fault in one of its handlers. Textual ends the loop of a screen or widget whose handler
raised, for it takes the whole application to be over; ours shows a panel and goes on, so what lies below must still answer.
"""

from textual.message import Message
from textual.message_pump import MessagePump


class Sturdy(MessagePump):
    """Comes first among the bases of a screen or a widget."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001  (whatever it is, the application tells of it)
            self.app._handle_exception(error)
