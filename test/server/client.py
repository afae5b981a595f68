"""Sends images to the Open Inference Protocol of a gate as a Python program would: JSON, then the binary extension."""
import base64, json, struct, sys
import requests

url, path = sys.argv[1:3]
image = open(path, "rb").read()
as_json = {"id": "p1", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(image).decode()]}]}
session = requests.Session()
answers = [session.post(url, json=as_json)]
tensor = struct.pack("<I", len(image)) + image
head = json.dumps({"id": "p2", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tensor)}}]}).encode()
headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
answers.append(session.post(url, data=head + tensor, headers=headers))
print(json.dumps([{"status": a.status_code, "verdict": a.headers.get("x-stopline-verdict"), "body": a.json()} for a in answers]))
