"""The referee: arms of equal folded size and equal training, paired by seed, judged on a test partition read once."""
