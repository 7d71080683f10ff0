"""`RepeatFilter`: a message that is logged again and again becomes one line a minute.

A client can make the server log the same line thousands of times in a second. The first line says
what happened; the next one after a minute says how often it has happened since.
"""

import logging
import time

INTERVAL_SECONDS = 60.0
MAX_MESSAGES = 1000
"""Messages that are remembered; beyond that, all are forgotten and logged anew."""
FILTERED = ("uvicorn.error", "asyncio")
"""Loggers whose messages a client can cause."""


class RepeatFilter(logging.Filter):
    """Lets a message of one template, or of one place of an error, pass once in `interval` seconds,
    with the number left out."""

    def __init__(self, interval: float = INTERVAL_SECONDS) -> None:
        super().__init__()
        self._interval = interval
        self._last: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged. Records below WARNING always are."""
        if record.levelno < logging.WARNING:
            return True
        # The text of asyncio's errors has the address of an object, or a time.
        key, now = _cause(record) or str(record.msg), time.monotonic()
        logged, omitted = self._last.get(key, (float("-inf"), 0))
        if now - logged < self._interval:
            self._last[key] = (logged, omitted + 1)
            return False
        if len(self._last) >= MAX_MESSAGES:
            self._last.clear()
        self._last[key] = (now, 0)
        if omitted:
            record.msg = f"{record.getMessage().rstrip()} ({omitted:,} more since the last time)"
            record.args = ()
        return True


def limit_repeats() -> None:
    """Install the filter on every logger whose messages a client can cause. Safe to repeat."""
    for name in FILTERED:
        logger = logging.getLogger(name)
        if not any(isinstance(f, RepeatFilter) for f in logger.filters):
            logger.addFilter(RepeatFilter())


def _cause(record: logging.LogRecord) -> str:
    """The type of the logged exception and the line that raised it, so that two errors differ."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__} {place}"
