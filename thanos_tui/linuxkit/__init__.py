"""The LinuxKit language: its YAML, typed, checked, merged and rendered; and the OCI runtime documents it leads to."""
