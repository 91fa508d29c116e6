"""Every write of content, whichever table it lies in: lock, permission, amend, digest, event."""

from .capture import capture
from .items import add_items, change_item, remove_item
from .plan import alter_plan, set_plan
from .rebase import rebase_items
from .record import create_change, edit_change
from .ties import attach, detach, link, unlink

__all__ = [
    "add_items",
    "alter_plan",
    "attach",
    "capture",
    "change_item",
    "create_change",
    "detach",
    "edit_change",
    "link",
    "rebase_items",
    "remove_item",
    "set_plan",
    "unlink",
]
