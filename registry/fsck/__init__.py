"""Whether a registry is whole: rows against bytes against digests, and mending what can be mended."""
