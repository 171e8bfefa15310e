// libyaml is linked from its archive; a C target needs one source file.
