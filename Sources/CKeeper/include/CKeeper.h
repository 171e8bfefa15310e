// Programs that this process starts and that end with it: under a keeper, which ends all that is left of one when this process
// says so or ends, by whatever way. A new session or a new process group is no way out.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ckeeper_program {
    // The file to run; its path is for errors alone where a descriptor is given.
    const char *_Nonnull path;
    // An open file to run, whatever its path leads to by now; -1 for the path.
    int32_t file;
    // A descriptor that the program gets as its descriptor 3; -1 for none.
    int32_t third;
    char *_Nullable const *_Nonnull words;
    // All that it gets.
    char *_Nullable const *_Nonnull variables;
    // NULL for this process's own.
    const char *_Nullable directory;
    // Whether it runs as another account: only root can do that.
    int32_t has_account;
    uint32_t uid;
    uint32_t gid;
    const uint32_t *_Nullable groups;
    size_t group_count;
} ckeeper_program;

typedef struct ckeeper_started {
    // The keeper, whose exit status is the program's.
    int32_t keeper;
    // Closing it ends all that is left.
    int32_t life;
    // The other ends of the program's standard streams; they do not block.
    int32_t input;
    int32_t output;
    int32_t errors;
} ckeeper_started;

// Returns 0, or the number of the error for which nothing was started.
int ckeeper_start(const ckeeper_program *_Nonnull program, ckeeper_started *_Nonnull started);

// The groups of an account, at most `most`, and its own group. Returns how many, or -1 if there is no such account.
int ckeeper_groups(uint32_t uid, uint32_t *_Nonnull gid, uint32_t *_Nonnull groups, int most);

// A file in memory that nobody can change any more. Returns a descriptor that is closed in other programs, or -1.
int ckeeper_sealed(const uint8_t *_Nonnull bytes, size_t count);

// Makes a descriptor refer to nothing, so that the other end of its pipe sees the end; the number stays taken.
int ckeeper_shut(int descriptor);

#ifdef __cplusplus
}
#endif
