"""Keep a copy of what the cluster says of some runs: list, then watch, and list again whenever a watch breaks off.

The copy holds only objects of the runs that are followed, so that its size is theirs. An object that is said twice is one; an
object that a list no longer has is gone, and kept as last seen, since a Job's controller deletes pods at a deadline.
"""

import threading
import time

from runner.host.cluster.client import Refused, Unanswered, jittered

MAX_EVENTS = 40  # of each run: the newest tell what it waits for
WATCHES_THAT_FAIL = 3
POLLS_BEFORE_WATCHING_AGAIN = 12


class Mirror(threading.Thread):
    """The objects of one kind that belong to runs.

    ``owner(object)`` returns the name of an object's run, None for those that are nobody's; ``changed(run)`` is called after its
    objects changed; ``failed(problem)`` once, when the cluster's last word is no. ``optional`` kinds may be forbidden, unknown or
    out of order (events may have an etcd of their own): they say more, and nothing depends on them.
    """

    def __init__(self, cluster, kind, owner, changed, failed, selector=None, poll_s=5.0, optional=False):
        super().__init__(daemon=True, name=f"mirror of {kind}")
        self._cluster, self._kind, self._owner, self._selector = cluster, kind, owner, selector
        self._changed, self._failed, self._poll_s, self.optional = changed, failed, poll_s, optional
        self._lock, self._stopped, self._stream = threading.Lock(), threading.Event(), None
        self._objects: dict[str, dict[str, dict]] = {}  # by run, then by uid
        self._gone: dict[str, dict[str, dict]] = {}
        self.listed = threading.Event()

    def of(self, run, gone=False):
        """Return the objects of a run, oldest first; with ``gone`` those too that are not there any more."""
        with self._lock:
            found = [*self._objects.get(run, {}).values(), *(self._gone.get(run, {}).values() if gone else ())]
        return sorted(found, key=_age)

    def take(self, found):
        """Note objects that were listed apart from the mirror's own lists, where they are newer."""
        for one in found:
            run = self._owner(one)
            known = {} if run is None else self._objects.get(run, {}).get(one["metadata"]["uid"], {})
            if _number(one) > _number(known):
                self._take("MODIFIED", one)

    def stop(self):
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            _shut(stream)

    def forget(self, run):
        """Drop what is kept of a run that ended."""
        with self._lock:
            self._objects.pop(run, None)
            self._gone.pop(run, None)

    def run(self):
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
            except Exception as problem:  # a defect ends the whole, not this thread alone
                self._failed(problem)
                return

    def _follow(self):
        failures, wait_s = 0, 0.2
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
                    opened_s, seen = time.monotonic(), version
                    version = self._watch(version)
                    failures, wait_s = 0, 0.2
                    if version == seen and time.monotonic() - opened_s < 1.0:
                        break  # ended at once and told nothing: as good as broken
            except Refused as refusal:
                failures += refusal.status != 410
            except Unanswered:
                failures += 1
            if time.monotonic() - began_s > 60.0:
                wait_s = 0.2
            self._stopped.wait(jittered(wait_s))
            wait_s = min(wait_s * 2, self._poll_s)

    def _list(self):
        found, version = self._cluster.list(self._kind, self._selector)
        objects: dict[str, dict[str, dict]] = {}
        for one in found:
            run = self._owner(one)
            if run is not None:
                objects.setdefault(run, {})[one["metadata"]["uid"]] = _slim(one)
        with self._lock:
            before = self._objects
            for run, known in before.items():
                for uid, one in known.items():
                    if uid not in objects.get(run, {}):
                        self._note_gone(run, uid, one)
            self._objects = objects
            touched = [run for run in {*before, *objects} if _versions(before.get(run)) != _versions(objects.get(run))]
            for run in objects:
                self._cut(run)
        self.listed.set()
        for run in touched:
            self._changed(run)
        return version

    def _watch(self, version):
        try:
            for kind, one in self._cluster.watch(self._kind, version, self._selector, self._opened):
                version = one.get("metadata", {}).get("resourceVersion", version)
                if kind != "BOOKMARK":
                    self._take(kind, one)
                if self._stopped.is_set():
                    break
        finally:
            self._stream = None
        return version

    def _opened(self, stream):
        self._stream = stream
        if self._stopped.is_set():
            _shut(stream)

    def _take(self, kind, one):
        run = self._owner(one)
        if run is None:
            return
        uid = one["metadata"]["uid"]
        with self._lock:
            objects = self._objects.setdefault(run, {})
            if kind == "DELETED":
                objects.pop(uid, None)
                self._note_gone(run, uid, _slim(one))
            elif kind in ("ADDED", "MODIFIED"):
                objects[uid] = _slim(one)
                self._cut(run)
        self._changed(run)

    def _note_gone(self, run, uid, one):
        if self._kind != "Event":
            self._gone.setdefault(run, {})[uid] = one

    def _cut(self, run):
        if self._kind == "Event" and len(self._objects[run]) > MAX_EVENTS:
            newest = sorted(self._objects[run].items(), key=lambda item: _age(item[1]))[-MAX_EVENTS:]
            self._objects[run] = dict(newest)


def _slim(one):
    """Return an object without what only its managers need, which is half of it."""
    metadata = {key: value for key, value in one["metadata"].items() if key != "managedFields"}
    return {**one, "metadata": metadata}


def _versions(objects):
    return {uid: one["metadata"].get("resourceVersion") for uid, one in (objects or {}).items()}


def _number(one):
    """Return a resourceVersion as a number, to be compared with others of the same kind (KEP-5504)."""
    version = one.get("metadata", {}).get("resourceVersion", "")
    return int(version) if version.isdecimal() else 0


def _age(one):
    return one["metadata"].get("creationTimestamp") or "", one["metadata"].get("name", "")


def _shut(stream):
    """Wake a thread that waits for a stream's next byte."""
    try:
        stream.shutdown()
    except (AttributeError, OSError, RuntimeError, ValueError):
        stream.close()
