#pragma once

// Linux calls that need _GNU_SOURCE, which Swift's Glibc module does not define. No system header is included here:
// it would become part of this module, and its types would no longer be Glibc's.

int csystem_sync_file_range(int fd);
int csystem_syncfs(int fd);
int csystem_pipe(int ends[2]);
char **csystem_environment(void);
/// posix_spawn_file_actions_addchdir_np; `actions` is a posix_spawn_file_actions_t.
int csystem_spawn_in(void *actions, const char *directory);
/// posix_spawn_file_actions_addclosefrom_np: closes every descriptor from `first` on in the child.
int csystem_spawn_closing(void *actions, int first);
