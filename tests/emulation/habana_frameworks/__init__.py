"""A stand-in for the vendor's package: device "hpu" is this host's processor, and every call is noted.

It carries what unmodified optimum-habana 1.5.0, 1.6.1 and 1.21.2 touch while BLOOM generates, and nothing else. It cannot show time,
device memory or the device's arithmetic, and reports none of them. ``EMULATED`` is what a program asks before it calls
anything a measurement. Needs torch 1.13 or newer, Python 3.8 or newer.
"""

from __future__ import annotations

EMULATED = True
