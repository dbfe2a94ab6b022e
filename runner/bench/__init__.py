"""What runs in the container: read a request, run its launches, write the result. Python 3.8."""
