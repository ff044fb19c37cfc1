"""The command `monitor`, called within the test's own process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from monitor.cli.main import BAD_INPUT, main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: object
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)

    def refused(self, *parts: str) -> None:
        """It ended as a wrong input must: exit code 2, and one sentence that holds these parts."""
        assert self.code == BAD_INPUT, self
        assert self.out == ""
        assert "Traceback" not in self.err
        assert self.err.startswith("monitor: "), self.err
        assert self.err.count("\n") == 1, self.err
        for part in parts:
            assert part in self.err, f"{part!r} is not in {self.err!r}"


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(list(words))
    captured = capsys.readouterr()
    return Ended(left.value.code, captured.out, captured.err)
