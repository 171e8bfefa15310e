// Drives the built binary.
