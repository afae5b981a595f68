"""Counts verdicts and causes in the rows of `stopline score --out verdicts.jsonl`. Needs nothing but Python."""
import collections
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]

judged = [row for row in rows if "error" not in row]
verdicts = collections.Counter(row["verdict"] for row in judged)
groups = collections.Counter(row["reasons"][0]["group"] for row in judged if row["reasons"])

print(f"{len(rows)} images, {len(rows) - len(judged)} could not be judged")
for verdict in ("pass", "warn", "block"):
    print(f"{verdict}: {verdicts[verdict]}")
for group, count in groups.most_common(5):
    print(f"seen first in {count}: {group}")
