// Tests of EnsignPlanner.
