"""What was noticed about the events themselves, beside what their columns hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monitor.profiles.layout import OTHER
from monitor.profiles.sketch import add_capped

#: How many names, or reasons, are told apart.
NOTES_CAP = 100

#: Feature and reason.
Refusal = tuple[str, str]


@dataclass(slots=True)
class Notes:
    """Counts that tell of a broken feed; they add up as profiles do.

    Attributes
    ----------
    looked_at
        Events whose features' names were looked at: all of a file or an Arrow stream, a sample of the others.
    absent, foreign
        Of those, by feature: how many lacked one of the layout's, and how many had one that it does not know.
    refused
        By feature and reason: events set aside because the value is of another type. They are not in the profile.
    repeated
        Events that came again, and were counted once.

    Examples
    --------
    >>> notes = Notes(looked_at=2, foreign={"colour": 2}) + Notes(looked_at=1, repeated=3)
    >>> notes.looked_at, notes.foreign, notes.repeated
    (3, {'colour': 2}, 3)
    """

    looked_at: int = 0
    absent: dict[str, int] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    refused: dict[Refusal, int] = field(default_factory=dict)
    repeated: int = 0

    @property
    def refusals(self) -> int:
        """How many events were set aside for a value's type."""
        return sum(self.refused.values())

    def look(self, absent: Iterable[str], foreign: Iterable[str], events: int = 1) -> None:
        """Note in place which features so many events lacked, and which they had beyond the layout's."""
        self.looked_at += events
        add_capped(self.absent, dict.fromkeys(absent, events), NOTES_CAP)
        add_capped(self.foreign, dict.fromkeys(foreign, events), NOTES_CAP)

    def refuse(self, refused: Mapping[Refusal, int]) -> None:
        """Note in place events that were set aside."""
        for refusal, count in refused.items():
            known = refusal in self.refused or len(self.refused) < NOTES_CAP
            key = refusal if known else (refusal[0], OTHER)
            self.refused[key] = self.refused.get(key, 0) + count

    def __add__(self, other: Notes) -> Notes:
        both = Notes(repeated=self.repeated + other.repeated)
        for notes in (self, other):
            both.looked_at += notes.looked_at
            add_capped(both.absent, notes.absent, NOTES_CAP)
            add_capped(both.foreign, notes.foreign, NOTES_CAP)
            both.refuse(notes.refused)
        return both
