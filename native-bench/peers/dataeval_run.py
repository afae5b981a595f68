"""DataEval on a folder of images: its pixel and visual statistics, one process."""
import pathlib
import sys

import numpy as np
from dataeval.config import use_max_processes
from dataeval.metrics.stats import imagestats
from PIL import Image

paths = sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg"))
images = (np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1) for path in paths)
with use_max_processes(1):
    stats = imagestats(list(images))
if len(stats.mean) != len(paths):
    sys.exit("Expected a row for each image")
