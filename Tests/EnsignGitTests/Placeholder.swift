// Tests of EnsignGit.
