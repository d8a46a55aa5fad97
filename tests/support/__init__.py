"""What tests share: real servers on loopback, and the whole system in an empty home."""
