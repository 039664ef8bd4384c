"""One dialog a file; each gives back one answer and changes nothing by itself."""
