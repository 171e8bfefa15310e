// Tests of EnsignManifest.
