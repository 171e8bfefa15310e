// Tests of EnsignTargets.
