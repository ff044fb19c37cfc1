"""``python -m grafana [POLICY]`` writes the dashboards and the alert rules; `make dashboards` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana.files import POLICY, files


def main() -> None:
    """Write every file whose content changed, and take away dashboards that are no more."""
    here = Path(__file__).parent
    made = files(Path(sys.argv[1]) if len(sys.argv) > 1 else POLICY)
    for name, text in made.items():
        path = here / name
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote grafana/{name}")
    for path in (here / "dashboards").glob("*.json"):
        if str(path.relative_to(here)) not in made:
            path.unlink()
            print(f"took away grafana/{path.relative_to(here)}")


if __name__ == "__main__":
    main()
