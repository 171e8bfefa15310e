// EnsignCommands
