"""The learning block's time limit, `maxTrainingTimeSeconds`: what training may use of it, and its end in time.

     start          data read                          training ends        files written   limit
       |---- reading ----|------------- training ------------|---- export ----|-- margin --|
                                                              <------- reserve ----------->

The reserve is measured: an export of the untrained net, while training has begun, says what the real one will take.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

MARGIN_SECONDS = 2.0  # for the process to end, and for the little that is not measured
SAFETY = 1.5  # the export takes at most so many times what it took in rehearsal
UNKNOWN_SHARE, UNKNOWN_SECONDS = 0.5, 60.0  # of the limit, at most: the reserve until an export has been measured
# What a first epoch may take although the time for training is over: a share of the limit, or so many seconds.
FIRST_EPOCH_SHARE, FIRST_EPOCH_SECONDS = 0.5, 60.0
TICK_SECONDS = 0.1
INSIDE = ("_train_epoch", "grow")  # functions of kws_dendrite.training that may be left at any point
OVERDUE_SECONDS = 5.0  # of waiting for such a function: then leave whichever it is


class TimeUp(KeyboardInterrupt):
    """The time for training is over. Training ends as with Ctrl-C: with the best that there is by then."""


class BlockClock:
    """Seconds since the block began, and how many are left.

    Attributes:
        limit: seconds of the whole run; None is none.
        reserve: seconds kept for the export.
        known: the reserve is what an export was measured to take, or will not be measured any more.
        fired: training was ended because its time was over.
        epochs: finished so far, of every training.
    """

    def __init__(self, start: float, limit: float | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.start, self.limit, self.now = start, limit, now
        self.reserve = 0.0 if limit is None else min(UNKNOWN_SHARE * limit, UNKNOWN_SECONDS)
        self.known = limit is None
        self.fired = False
        self.epochs = 0

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.now() - self.start

    def measured(self, export_seconds: float) -> None:
        """Set the reserve by what an export took."""
        self.reserve = SAFETY * export_seconds + MARGIN_SECONDS
        self.known = True

    def left(self, share: float = 1.0) -> float:
        """Seconds for training: of the limit, or of a share of it, less the reserve; infinite without a limit."""
        if self.limit is None:
            return float("inf")
        return share * (self.limit - self.reserve) - self.elapsed()

    def epoch_done(self, seconds: float, *, last: bool, share: float = 1.0) -> None:
        """Count an epoch that took `seconds`.

        Raises:
            TimeUp: another one would not end in time.
        """
        self.epochs += 1
        if not last and self.left(share) < seconds:
            self.fired = True
            raise TimeUp

    @contextlib.contextmanager
    def cutting(self) -> Iterator[None]:
        """Raise `TimeUp` in what runs inside when the time for training is over, again if something goes on training.

        A first epoch is let finish unless that takes long: a file that is late is still a file. Functions that must not
        be left halfway (all but INSIDE) are waited for, a while.
        """
        if self.limit is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        begun, done, noticed = self.elapsed(), self.epochs, float("inf")

        def tick(_: int, frame: FrameType | None) -> None:
            nonlocal noticed
            late = self.left() < 0
            if self.epochs == done:
                allowed = max(FIRST_EPOCH_SHARE * self.limit, FIRST_EPOCH_SECONDS)
                late = late and self.elapsed() > max(self.limit, begun + allowed)
            if not late:
                return
            noticed = min(noticed, self.elapsed())
            overdue = self.elapsed() - noticed > OVERDUE_SECONDS
            if overdue or _inside(frame):
                noticed = float("inf")
                self.fired = True
                raise TimeUp

        before = signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _inside(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in INSIDE and "training" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False
