// Tests of EnsignYAML.
