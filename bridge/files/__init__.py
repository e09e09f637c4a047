"""All that touches the disk: where files are, YAML with line numbers, schemas, settings, state."""
