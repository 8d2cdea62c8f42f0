"""One file per figure: what it shows, the data it needs, and its plot. Matplotlib is imported to draw."""
