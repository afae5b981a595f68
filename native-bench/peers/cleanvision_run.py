"""CleanVision on a folder of images: all of its issues, one process."""
import sys

from cleanvision import Imagelab

lab = Imagelab(data_path=sys.argv[1], verbose=False)
lab.find_issues(n_jobs=1, verbose=False)
if len(lab.issues) == 0:
    sys.exit("Expected a row for each image")
