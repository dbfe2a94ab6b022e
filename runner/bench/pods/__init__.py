"""What a pod does beside measuring: fetch weights, reach other hosts, let them in, print frames. Nothing here measures."""
