"""Asks a running `stopline serve` about one image. Needs nothing but Python: python3 inspect_image.py frame.jpg [URL]"""
import json
import sys
import urllib.error
import urllib.request

path = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"

with open(path, "rb") as file:
    request = urllib.request.Request(f"{url}/inspect", data=file.read(), headers={"content-type": "image/jpeg"})
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        verdict = json.load(answer)
except urllib.error.HTTPError as error:
    # What cannot be judged has a code and a sentence that says what was expected.
    sys.exit(f"{error.code}: {json.load(error)['error']['message']}")

print(verdict["verdict"], f"p = {verdict['pValue']:.3g}")
for reason in verdict["reasons"]:
    print(f"- {reason['text']}")
