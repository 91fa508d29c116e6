"""May this be done now, and if not, why, and who can change that?

A verdict serves the button, the API, the "who can unblock it" panel and the enforcement alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import NotPermitted, NotPossible, UnmetGuard

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Guard:
    """One unmet condition of an act: its fixed name, a sentence, and the usernames who can clear it.

    `clears_at` is when it clears by itself, if it does.
    """

    guard: str
    message: str
    who_can_clear: tuple[str, ...] = ()
    clears_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "may it happen now?".

    `refusal` says why this person may never do it (403; a guard that is about the person may stand beside it);
    `impossible` why the state forbids it (409);
    `guards` are the unmet conditions (409). All empty means yes.
    """

    refusal: str = ""
    impossible: str = ""
    guards: tuple[Guard, ...] = ()

    @property
    def allowed(self) -> bool:
        return not (self.refusal or self.impossible or self.guards)

    @property
    def reason(self) -> str:
        """One sentence (or several) that says why not; empty when allowed."""
        return self.refusal or self.impossible or " ".join(guard.message for guard in self.guards)

    def enforce(self) -> None:
        """Raise NotPermitted, NotPossible or UnmetGuard unless allowed."""
        if self.refusal:
            raise NotPermitted(self.refusal, guards=self.guards)
        if self.impossible:
            raise NotPossible(self.impossible)
        if self.guards:
            raise UnmetGuard(self.reason, guards=self.guards)


YES = Verdict()
