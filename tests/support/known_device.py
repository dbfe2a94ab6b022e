"""A device of known speed behind the interface of a device module: asynchronous, exclusive, and able to tell everything.

Time is virtual, so that what the timer must find is known to the nanosecond: the device keeps its own record of when it
began and ended each piece of work. The host costs time too: every look at the clock and every order given takes ``host_ns()``.
"""


class KnownDevice:
    backend, shared, emulated = "none", False, True

    def __init__(self, host_ns=lambda: 0, waits=True):
        self.cannot_tell, self.now_ns, self.free_ns = {}, 0, 0
        self.host_ns, self.waits, self.log, self.work = host_ns, waits, [], []
        self.told = {
            "memory_bytes": 0,
            "compilations": 2,
            "cached_kernels": 0,
            "fallbacks": 0,
            "foreign_processes": [],
            "throttle_reasons": [],
        }

    def clock_ns(self):
        self.now_ns += self.host_ns()
        return self.now_ns

    def queue(self, duration_ns):
        """Give an order and come back at once; the device begins when it is free."""
        self.now_ns += self.host_ns()
        begin_ns = max(self.now_ns, self.free_ns)
        self.free_ns = begin_ns + duration_ns
        self.work.append((begin_ns, self.free_ns))
        self.log.append("call")

    def synchronize(self):
        """Wait until the device is free; one that does not wait has a broken synchronisation."""
        self.log.append("synchronize")
        if self.waits:
            self.now_ns = max(self.now_ns, self.free_ns)

    def copy_out(self):
        """Copy a result to the host, which always waits."""
        self.now_ns = max(self.now_ns, self.free_ns)

    def busy_s(self, first, last):
        """Return the seconds from the begin of one piece of work to the end of another, by the device's own record."""
        return (self.work[last][1] - self.work[first][0]) / 1e9

    # the rest of the interface

    def environment(self, ranks, hosts=1):
        return {}

    def missing(self, request):
        return None

    def open(self, local_rank):
        return None

    def prepare_collectives(self):
        pass

    def peak_memory_bytes(self):
        return self.told["memory_bytes"]

    def describe(self):
        return {"name": "known", "driver": None, "threads": None}

    def observe(self):
        return dict(self.told)

    def clock(self, call):
        first = len(self.work)
        call()
        return self.busy_s(first, len(self.work) - 1)

    def numa_node(self):
        return 0
