// A C API for three C++ and C libraries: nlohmann-json reads JSON, valijson reads JSON Schema, PCRE2 matches patterns.
//
// No exception leaves these functions. Nothing here keeps a pointer that it was given. Objects are immutable once they
// exist: any number of threads may read or validate at once. A function that fails leaves a message in cjs_message().
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CJS_NULL,
    CJS_FALSE,
    CJS_TRUE,
    CJS_INTEGER,  // payload: an int64_t
    CJS_NUMBER,   // payload: the bits of a finite double
    CJS_STRING,
    CJS_KEY,      // a member's name; the member's value is the next node
    CJS_ARRAY,    // payload: how many elements
    CJS_OBJECT,   // payload: how many members
};

// One node of a JSON value that is laid out in preorder.
//
// Documents and instances use `text` and the payload of strings and keys differently: see there.
typedef struct cjs_node {
    uint32_t kind;
    uint32_t end;  // index of the first node behind this one and everything in it
    uint32_t text;
    uint32_t text_end;
    uint64_t payload;
} cjs_node;

// Why the last call on this thread failed. Valid until the next call.
const char *_Nonnull cjs_message(void);

// MARK: - Reading JSON

enum {
    CJS_OK,
    CJS_SYNTAX,
    CJS_TOO_DEEP,
    CJS_NUMBER_OUT_OF_RANGE,
    CJS_TOO_LARGE,
    CJS_NO_MEMORY,
};

// Of a string or key, [text, text_end) of the node is its content in `text`, and the payload is how many bytes had been
// read behind its closing quote.
typedef struct cjs_document {
    int32_t status;
    size_t error_offset;  // into the bytes that were read; may be their count
    const cjs_node *_Nullable nodes;
    size_t node_count;
    const char *_Nullable text;
} cjs_document;

// Reads one JSON text strictly: no comments, byte order mark, NUL, ill-formed UTF-8 or anything behind the value.
// Repeated keys are given as they are. NULL if there is no memory at all.
const cjs_document *_Nullable cjs_document_read(const void *_Nullable bytes, size_t count, uint32_t max_depth);
void cjs_document_free(const cjs_document *_Nonnull document);

// MARK: - Patterns

// 0 if a regular expression is one that schemas may use: what ECMAScript and PCRE2 both know.
// Less than 0 otherwise, with the offset of the mistake.
int32_t cjs_pattern_check(const uint8_t *_Nonnull pattern, size_t count, size_t *_Nonnull offset);

// MARK: - Schemas

typedef struct cjs_schema cjs_schema;

// Compiles a list of schemas, of which the first is the one that values are held against. Only for schemas that EnsignJSON
// has linted and rewritten (SchemaRewriter.swift): valijson itself overflows the stack on reference cycles and ignores what
// it does not know.
//
// `patterns` holds every pattern of the schema, one after the other; `pattern_ends` says where each ends.
// NULL on failure.
cjs_schema *_Nullable cjs_schema_create(
    const uint8_t *_Nonnull json, size_t count, const uint8_t *_Nonnull patterns, const uint32_t *_Nonnull pattern_ends,
    size_t pattern_count);
void cjs_schema_free(cjs_schema *_Nonnull schema);

// MARK: - Validation

typedef struct cjs_violation {
    uint32_t node;
    uint32_t is_limit;  // not 0 if validation gave up: the value may be valid
    const char *_Nonnull message;
    size_t message_count;
} cjs_violation;

typedef struct cjs_report {
    const cjs_violation *_Nullable violations;  // in the order of their nodes
    size_t count;
} cjs_report;

// Validates a value. Of each node, [text, text_end) is its canonical form (RFC 8785) in `text`. The payload of a string
// or key is its content: (count << 32 | offset) into `text`, or, where bit 63 is set because it has escapes, into
// `unescaped`. All offsets are below 2^31.
//
// 0: valid. 1: not valid, and `report` is set. Less than 0: failed.
int32_t cjs_schema_validate(
    const cjs_schema *_Nonnull schema, const cjs_node *_Nonnull nodes, const uint8_t *_Nonnull text,
    const uint8_t *_Nonnull unescaped, size_t most_violations, const cjs_report *_Nullable *_Nonnull report);
void cjs_report_free(const cjs_report *_Nonnull report);

#ifdef __cplusplus
}
#endif
