"""A trace on the virtual clock."""

import greenlet

from asrpar.parallel.trace import RecordingTrace, Track
from asrpar.parallel.virtual.clock import Scheduler


class VirtualTrace(RecordingTrace):
    """Activities have a track each."""

    def __init__(self, scheduler: Scheduler, events: int = 0) -> None:
        self.scheduler = scheduler
        super().__init__(events, lambda: round(scheduler.now * 1e9))

    def track(self) -> Track:
        activity = greenlet.getcurrent()
        if getattr(activity, "track", None) is None:
            name = activity.name if self.tracks else "learner"
            track = next((t for t in self.tracks if t.name == name and t.thread.dead), None)
            if track is None:
                track = Track(len(self.tracks), name)
                self.tracks.append(track)
            track.thread, track.open, activity.track = activity, None, track
        return activity.track
