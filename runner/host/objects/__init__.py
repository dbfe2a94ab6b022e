"""What Kubernetes objects are called, how they are shaped, and how a run is read, submitted and collected from. All of it is pure but
``manifest_files``, which reads files.

Nothing here talks to a cluster, judges a run, or renders a manifest.

names           names, labels, annotations and selectors
kinds           the shape that an object of each kind must have
walk            from objects to their pods, containers and Jobs; what a run needs in its namespace
status          what the conditions of an object say
pods            the containers of a pod, their states, and the exit codes of a stop
quantities      Kubernetes quantities as numbers
manifest_files  the files that `render` wrote, read again
submitted       a rendered run as it is submitted
collect_job     the Job that prints the results on a run's volume
"""
