#pragma once

#include "CJSONSchema.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// Reads the nodes of a value that is being validated. They are trusted: EnsignJSON made them.
struct Instance {
    const cjs_node *nodes;
    const char *text;
    const char *unescaped;

    const cjs_node &at(uint32_t node) const { return nodes[node]; }
    uint32_t kind(uint32_t node) const { return nodes[node].kind; }
    bool is_number(uint32_t node) const { return kind(node) == CJS_INTEGER || kind(node) == CJS_NUMBER; }
    bool is_text(uint32_t node) const { return kind(node) == CJS_STRING || kind(node) == CJS_KEY; }
    int64_t integer(uint32_t node) const { return static_cast<int64_t>(nodes[node].payload); }

    double number(uint32_t node) const
    {
        double value;
        std::memcpy(&value, &nodes[node].payload, sizeof value);
        return value;
    }

    /// The canonical form: values are equal if these are.
    std::string_view canonical(uint32_t node) const
    {
        // A key's is only ever compared with strings', which look the same.
        return {text + nodes[node].text, nodes[node].text_end - nodes[node].text};
    }

    /// What a string or key says.
    std::string_view content(uint32_t node) const
    {
        const uint64_t payload = nodes[node].payload;
        const bool is_escaped = (payload >> 63) != 0;
        return {(is_escaped ? unescaped : text) + (payload & 0xFFFFFFFF), (payload >> 32) & 0x7FFFFFFF};
    }

    static const char *kind_name(uint32_t kind)
    {
        switch (kind) {
        case CJS_NULL: return "null";
        case CJS_FALSE:
        case CJS_TRUE: return "boolean";
        case CJS_INTEGER: return "integer";
        case CJS_NUMBER: return "number";
        case CJS_STRING:
        case CJS_KEY: return "string";
        case CJS_ARRAY: return "array";
        default: return "object";
        }
    }
};
