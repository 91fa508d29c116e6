"""Forms of things as they would be. What nobody touched stays as it is, to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changemgmt.core.errors import Invalid

from .component_form import PLAIN, ComponentForm, attribute_rows, written_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changemgmt.core.errors import DomainError

MOST_ROWS = 200
LONGEST_NAME = 200


def in_rows(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that a row of the form can hold, at most two hundred of them; the others stay as they are."""
    fitting = {name: value for name, value in attributes.items() if name == name.strip() and 0 < len(name) <= LONGEST_NAME}
    return dict(list(fitting.items())[:MOST_ROWS])


def desired_attributes(rows: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes once the rows are written over them."""
    found = dict(attributes)
    for row in rows:
        name = row["name"]
        if name and row["gone"]:
            found.pop(name, None)
        elif name and not (name in found and row["text"] == written_value(found[name]).replace("\r\n", "\n")):
            found[name] = row["parsed"]
    return found


class SandboxForm(ComponentForm):
    """A component as it would be; written, it is as it should be."""

    def __init__(self, data: Any, *, image: dict[str, Any]) -> None:
        self.image = image
        super().__init__(data, live=image | {"attributes": in_rows(image["attributes"])}, item=None)

    def says_nothing(self) -> bool:
        return False

    def desired(self) -> dict[str, Any]:
        """The component as it should be."""
        values = self.written()
        plain = {name: values[name] for name in PLAIN if self.touched(name)}
        return self.image | plain | {"attributes": desired_attributes(self.rows, self.image["attributes"])}

    def touched(self, name: str) -> bool:
        """Whether something else was sent than was shown."""
        shown = self.fields[name].prepare_value(self.initial[name])
        return str("" if shown is None else shown).strip() != self.data.get(name, "").strip()

    def take(self, refusal: DomainError | None) -> None:
        """Put the verb's messages at their fields and rows; it names the component before each."""
        if refusal:
            prefix = f"component:{self.key} "
            super().take(Invalid(refusal.detail, errors={place.removeprefix(prefix): messages for place, messages in refusal.errors.items()}))


class RelationForm:
    """The attributes of a relation as it would be."""

    def __init__(self, data: Any, *, image: dict[str, Any]) -> None:
        self.image = image
        shown = in_rows(image["attributes"])
        self.rows = attribute_rows(shown, shown, data)

    def desired(self) -> dict[str, Any]:
        """The relation as it should be."""
        return self.image | {"attributes": desired_attributes(self.rows, self.image["attributes"])}
