/* The floor for `ensign validate`: reads every .yaml blob of a commit's tree and lets libyaml run through its events.
 *
 * Nothing is built, kept or checked, so no program that reads YAML with libyaml can be faster with one thread. It reads
 * objects as Ensign does, with libgit2 from the object database; libgit2's start-up is counted on both sides. Where it is
 * linked dynamically with network back ends (as Debian's shared library is) that start-up is about 10 ms, which favours
 * Ensign by that much: link it with `libgit2.a` (bench.py tries that first), or look at fleets where 10 ms are nothing.
 *
 *     yamlscan REPOSITORY [REVISION]      prints: files, bytes and events
 */
#include <git2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct scan {
    git_odb *objects;
    uint64_t files, bytes, events;
};

static void fail(const char *what)
{
    const git_error *error = git_error_last();
    fprintf(stderr, "yamlscan: %s: %s\n", what, error && error->message ? error->message : "failed");
    exit(1);
}

static void run_events(struct scan *scan, const unsigned char *bytes, size_t count, const char *name)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int last = 0;

    if (!yaml_parser_initialize(&parser)) fail("libyaml");
    yaml_parser_set_input_string(&parser, bytes, count);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    while (!last) {
        if (!yaml_parser_parse(&parser, &event)) {
            fprintf(stderr, "yamlscan: %s: %s\n", name, parser.problem);
            exit(1);
        }
        last = event.type == YAML_STREAM_END_EVENT;
        scan->events++;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

static int visit(const char *root, const git_tree_entry *entry, void *payload)
{
    struct scan *scan = payload;
    const char *name = git_tree_entry_name(entry);
    size_t length = strlen(name);
    git_odb_object *object;

    (void)root;
    if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB || length < 5 || strcmp(name + length - 5, ".yaml") != 0) return 0;
    if (git_odb_read(&object, scan->objects, git_tree_entry_id(entry)) < 0) fail(name);
    run_events(scan, git_odb_object_data(object), git_odb_object_size(object), name);
    scan->files++;
    scan->bytes += git_odb_object_size(object);
    git_odb_object_free(object);
    return 0;
}

int main(int count, char **arguments)
{
    git_repository *repository;
    git_object *revision, *tree;
    struct scan scan = {0};

    if (count < 2) {
        fprintf(stderr, "usage: yamlscan REPOSITORY [REVISION]\n");
        return 64;
    }
    git_libgit2_init();
    if (git_repository_open(&repository, arguments[1]) < 0) fail(arguments[1]);
    if (git_repository_odb(&scan.objects, repository) < 0) fail("objects");
    if (git_revparse_single(&revision, repository, count > 2 ? arguments[2] : "refs/heads/main") < 0) fail("revision");
    if (git_object_peel(&tree, revision, GIT_OBJECT_TREE) < 0) fail("tree");
    if (git_tree_walk((git_tree *)tree, GIT_TREEWALK_PRE, visit, &scan) < 0) fail("walk");
    printf("%llu files, %llu bytes, %llu events\n", (unsigned long long)scan.files, (unsigned long long)scan.bytes,
           (unsigned long long)scan.events);
    return 0;
}
