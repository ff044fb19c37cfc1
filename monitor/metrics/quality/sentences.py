"""Findings in words."""

from __future__ import annotations

from monitor.metrics.quality.questions import MISSING_SURGE, UNSEEN, ZERO_SURGE


def sentence(
    check: str,
    feature: str,
    group: dict[str, str],
    *,
    share: float,
    n: float,
    baseline_share: float,
    label: str | None = None,
) -> str:
    """Say what surged, in which feature, among whom, and how much it was before.

    Examples
    --------
    >>> sentence("zero_surge", "MIL", {"race": "not white"}, share=0.31, n=612, baseline_share=0.04)
    'surge of value 0 in feature MIL among race = not white (31 % of 612, 4 % in the baseline)'
    """
    if check == MISSING_SURGE:
        what = "surge of missing values"
    elif check == ZERO_SURGE:
        what = f"surge of value {label or 0}"
    elif check == UNSEEN:
        what = "values never seen in the baseline"
    else:
        what = f"surge of value {label}"
    among = " and ".join(f"{attribute} = {value}" for attribute, value in group.items())
    return (
        f"{what} in feature {feature}{f' among {among}' if among else ''} "
        f"({percent(share)} of {n:,.0f}, {percent(baseline_share)} in the baseline)"
    )


def percent(share: float) -> str:
    """Return a share in percent, with a decimal where it is small.

    Examples
    --------
    >>> percent(0.314), percent(0.0042), percent(0.0)
    ('31 %', '0.4 %', '0 %')
    """
    small = 0 < share < 0.0095
    return f"{100 * share:.1f} %" if small else f"{100 * share:.0f} %"
