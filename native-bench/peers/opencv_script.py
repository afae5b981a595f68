"""What a team writes first: nine numbers an image with OpenCV. Arguments: a folder of images. One thread."""
import pathlib
import sys

import cv2
import numpy as np

cv2.setNumThreads(1)
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg")):
    image = cv2.imread(str(path))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    row = [
        grey.mean(),
        grey.std(),
        (grey < 8).mean(),
        (grey > 247).mean(),
        cv2.Laplacian(grey, cv2.CV_64F).var(),
        np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)).mean(),
        (grey.astype(np.float32) - cv2.GaussianBlur(grey, (3, 3), 0)).std(),
        hsv[:, :, 1].mean(),
        -sum(p * np.log2(p) for p in np.bincount(grey.ravel(), minlength=256) / grey.size if p > 0),
    ]
    if len(row) != 9 or not np.isfinite(row).all():
        sys.exit(f"Expected nine numbers of {path}")
