"""Keep a copy of the cluster's objects of one kind: list, then watch, and list again whenever the watch breaks off.

The copy holds objects of the followed runs only, so that its size is theirs. An object that is reported twice is kept once. An
object that a list no longer has is kept as last seen, apart from those that exist: a Job's controller deletes pods at a deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from runner.contract.records import JsonObject
from runner.host.cluster import answers
from runner.host.cluster.answers import Refused, Stream, Unanswered
from runner.host.cluster.client import Cluster, jittered

# The newest events of a run; they tell what the run waits for.
MAX_EVENTS = 40
WATCHES_THAT_FAIL = 3
POLLS_BEFORE_WATCHING_AGAIN = 12
_FIRST_PAUSE_S = 0.2
# A watch that ends sooner and reports nothing counts as broken.
_SHORTEST_WATCH_S = 1.0
# After a round of this length, the pauses begin again at the shortest.
_GOOD_ROUND_S = 60.0


class Informer(threading.Thread):
    """Keeps the objects of one kind that belong to runs.

    ``owner(object)`` returns the name of an object's run, None for an object of no run. ``changed(name)`` is called after the
    objects of a run changed, and ``failed(problem)`` once, when the cluster refuses for good; both in this thread.
    A kind is ``optional`` if it only adds detail: it may be forbidden or unknown, or fail for a time (a cluster may keep events in
    an etcd of their own). ``listed`` is set after the first list.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        owner: Callable[[JsonObject], str | None],
        changed: Callable[[str], None],
        failed: Callable[[Exception], None],
        selector: str | None = None,
        poll_s: float = 5.0,
        optional: bool = False,
    ) -> None:
        super().__init__(daemon=True, name=f"informer of {kind}")
        self._cluster, self._kind, self._owner, self._selector = cluster, kind, owner, selector
        self._changed, self._failed, self._poll_s, self.optional = changed, failed, poll_s, optional
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._stream: Stream | None = None
        # by run, then by uid
        self._existing: dict[str, dict[str, JsonObject]] = {}
        self._gone: dict[str, dict[str, JsonObject]] = {}
        self.listed = threading.Event()

    def objects(self, run: str, with_gone: bool = False) -> list[JsonObject]:
        """Return the objects of a run, oldest first; ``with_gone`` adds those that exist no more, as last seen."""
        with self._lock:
            gone = self._gone.get(run, {}).values() if with_gone else ()
            objects = [*self._existing.get(run, {}).values(), *gone]
        return sorted(objects, key=_age)

    def merge(self, listed: Iterable[JsonObject]) -> None:
        """Take objects of a list that somebody else asked for, where they are newer than the copy."""
        for item in listed:
            run = self._owner(item)
            copy = {} if run is None else self._existing.get(run, {}).get(item["metadata"]["uid"], {})
            if _version_number(item) > _version_number(copy):
                self._take("MODIFIED", item)

    def stop(self) -> None:
        """End the watch; the thread ends soon after."""
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            answers.shut(stream)

    def forget(self, run: str) -> None:
        """Drop the objects of a run that ended."""
        with self._lock:
            self._existing.pop(run, None)
            self._gone.pop(run, None)

    def run(self) -> None:
        """List and watch, in this thread, until ``stop`` is called or the cluster refuses for good."""
        while not self._stopped.is_set():
            try:
                self._follow()
            except (Refused, Unanswered) as problem:
                if self._stopped.is_set():
                    return
                if not self.optional:
                    self._failed(problem)
                    return
                self.listed.set()
                if isinstance(problem, Refused) and problem.status in (403, 404):
                    return
                self._stopped.wait(jittered(self._poll_s))
            # a defect must end the whole process, and not this thread alone
            except Exception as problem:
                self._failed(problem)
                return

    def _follow(self) -> None:
        """List and watch until stopped. After several watches that fail, list again and again for a while instead."""
        failures, pause_s = 0, _FIRST_PAUSE_S
        while not self._stopped.is_set():
            version = self._list()
            if failures >= WATCHES_THAT_FAIL:
                for _ in range(POLLS_BEFORE_WATCHING_AGAIN):
                    if self._stopped.wait(self._poll_s):
                        return
                    version = self._list()
            began_s = time.monotonic()
            try:
                while not self._stopped.is_set():
                    opened_s, version_before = time.monotonic(), version
                    version = self._watch(version)
                    failures, pause_s = 0, _FIRST_PAUSE_S
                    if version == version_before and time.monotonic() - opened_s < _SHORTEST_WATCH_S:
                        break
            except Refused as refusal:
                # 410 asks for a new list, and is no failure
                failures += refusal.status != 410
            except Unanswered:
                failures += 1
            if time.monotonic() - began_s > _GOOD_ROUND_S:
                pause_s = _FIRST_PAUSE_S
            self._stopped.wait(jittered(pause_s))
            pause_s = min(pause_s * 2, self._poll_s)

    def _list(self) -> str:
        """Replace the copy by a list of the cluster; return the list's resourceVersion."""
        listing = self._cluster.list(self._kind, self._selector)
        listed: dict[str, dict[str, JsonObject]] = {}
        for item in listing.objects:
            run = self._owner(item)
            if run is not None:
                listed.setdefault(run, {})[item["metadata"]["uid"]] = _without_managed_fields(item)
        with self._lock:
            before = self._existing
            for run, objects in before.items():
                for uid, item in objects.items():
                    if uid not in listed.get(run, {}):
                        self._keep_gone(run, uid, item)
            self._existing = listed
            touched = [run for run in {*before, *listed} if _versions(before.get(run)) != _versions(listed.get(run))]
            for run in listed:
                self._drop_old_events(run)
        self.listed.set()
        for run in touched:
            self._changed(run)
        return listing.version

    def _watch(self, version: str) -> str:
        """Take the changes after a resourceVersion until the watch ends; return the newest resourceVersion."""
        try:
            for event_type, item in self._cluster.watch(self._kind, version, self._selector, self._opened):
                version = item.get("metadata", {}).get("resourceVersion", version)
                if event_type != "BOOKMARK":
                    self._take(event_type, item)
                if self._stopped.is_set():
                    break
        finally:
            self._stream = None
        return version

    def _opened(self, stream: Stream) -> None:
        self._stream = stream
        if self._stopped.is_set():
            answers.shut(stream)

    def _take(self, event_type: str | None, item: JsonObject) -> None:
        run = self._owner(item)
        if run is None:
            return
        uid = item["metadata"]["uid"]
        with self._lock:
            existing = self._existing.setdefault(run, {})
            if event_type == "DELETED":
                existing.pop(uid, None)
                self._keep_gone(run, uid, _without_managed_fields(item))
            elif event_type in ("ADDED", "MODIFIED"):
                existing[uid] = _without_managed_fields(item)
                self._drop_old_events(run)
        self._changed(run)

    def _keep_gone(self, run: str, uid: str, item: JsonObject) -> None:
        if self._kind != "Event":
            self._gone.setdefault(run, {})[uid] = item

    def _drop_old_events(self, run: str) -> None:
        if self._kind == "Event" and len(self._existing[run]) > MAX_EVENTS:
            newest = sorted(self._existing[run].items(), key=lambda item: _age(item[1]))[-MAX_EVENTS:]
            self._existing[run] = dict(newest)


def _without_managed_fields(item: JsonObject) -> JsonObject:
    """Return an object without ``managedFields``, which are half of it and serve only the objects' managers."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


def _versions(objects: Mapping[str, JsonObject] | None) -> dict[str, str | None]:
    return {uid: item["metadata"].get("resourceVersion") for uid, item in (objects or {}).items()}


def _version_number(item: JsonObject) -> int:
    """Return a resourceVersion as a number, which can be compared within one kind (KEP-5504)."""
    version = item.get("metadata", {}).get("resourceVersion", "")
    return int(version) if version.isdecimal() else 0


def _age(item: JsonObject) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp") or "", item["metadata"].get("name", "")
