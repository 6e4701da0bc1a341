"""Blobs that nginx sends in this server's place (X-Accel-Redirect)."""

from typing import TYPE_CHECKING, cast

from base.web import Part, Reply

if TYPE_CHECKING:
    from server.reply import LocalFile

FIELD = "X-Accel-Redirect"


def hand_over(reply: Reply, location: str) -> Reply:
    """The answer that makes nginx send the file that the reply would have been made of, below `location`.

    Only what is a whole file can be handed over: bytes of a pack, and of anything but a blob, stay as they are. Ranges
    are nginx's to cut out, so the answer speaks of the whole.
    """
    part = reply.body
    if not isinstance(part, Part):
        return reply
    local = cast("LocalFile | None", getattr(part.source, "span", None))
    if local is None or not local.file:
        return reply
    part.source.close()
    fields = [field for field in reply.headers if field[0] != "Content-Range"]
    return Reply(200, [*fields, (FIELD, location + local.file)])
