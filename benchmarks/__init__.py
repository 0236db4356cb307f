"""What waits, calls and imports cost, measured side by side with what users would pick instead."""
