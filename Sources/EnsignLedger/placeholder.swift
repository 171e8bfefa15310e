// EnsignLedger
