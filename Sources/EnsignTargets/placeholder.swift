// EnsignTargets
