"""From a config and its images to an output: root filesystem, cached segments, formats."""
