"""The scenarios that come with the simulator, one YAML file each; found by path, never imported."""
