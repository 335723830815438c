"""The catalogue: what can be configured, what each option depends on, and its resolved value with its origin."""
