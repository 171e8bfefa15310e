// Tests of EnsignCommands.
