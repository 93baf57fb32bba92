"""Put durations into words."""

from __future__ import annotations


def test_durations() -> None:
    """Each duration is in a fitting unit."""
    from aioconnect._timeline.phrases import format_duration

    said = {
        0: "0",
        0.00000001: "0.00 ms",
        0.000123: "0.12 ms",
        0.000996: "1.0 ms",
        0.00994: "9.9 ms",
        0.00996: "10 ms",
        0.9994: "999 ms",
        0.9996: "1.000 s",
        99.9: "99.900 s",
        100: "100 s",
        35_999: "35,999 s",
        36_000: "10.0 h",
    }
    assert {seconds: format_duration(seconds) for seconds in said} == said
