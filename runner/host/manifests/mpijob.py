"""MPIJobs."""


def bench(site, run, config_name, models):
    raise NotImplementedError
