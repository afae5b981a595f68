"""Reads a Profile with nothing but Python's standard library: python3 read_profile.py camera.stopline

A Profile is a safetensors file: eight bytes with the length of a header, the header as JSON, then the numbers of each tensor.
"""

import json
import struct
import sys

with open(sys.argv[1], "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
for key in header.pop("__metadata__", {}):
    print(f"metadata {key}")
for name, tensor in header.items():
    print(f"{name} {tensor['dtype']} {tensor['shape']}")
