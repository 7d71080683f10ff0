"""`Backoff`: how long to wait before trying again, for the server and for the workers."""

import time

FIRST_WAIT = 0.25


class Backoff:
    """Waits twice as long after each failure, from a quarter of a second up to `longest`.

    It serves where something may work again later: a full disk, a database that is locked.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.reset()

    def due(self) -> bool:
        """Whether to try now."""
        return time.monotonic() >= self._next

    def failed(self) -> float:
        """Note a failure; returns the seconds until the next try."""
        wait = self._wait
        self._next, self._wait = time.monotonic() + wait, min(2 * wait, self._longest)
        return wait

    def reset(self) -> None:
        """Note a success."""
        self._next, self._wait = 0.0, min(FIRST_WAIT, self._longest)
