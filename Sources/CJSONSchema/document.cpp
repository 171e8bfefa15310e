// JSON text to a flat list of nodes, through nlohmann-json's SAX parser.

#include "CJSONSchema.h"
#include "message.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;

/// Tells the handler how far the lexer has read: SAX events have no positions of their own.
struct Cursor {
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char *;
    using reference = const char &;

    const char *at;
    const char **latest;

    reference operator*() const { return *at; }
    Cursor &operator++()
    {
        *latest = ++at;
        return *this;
    }
    bool operator==(const Cursor &other) const { return at == other.at; }
    bool operator!=(const Cursor &other) const { return at != other.at; }
};

struct Document : cjs_document {
    std::vector<cjs_node> storage;
    std::string characters;

    Document() : cjs_document{} {}

    void fail(int32_t code, size_t offset, std::string_view why)
    {
        if (status != CJS_OK) return;
        status = code;
        error_offset = offset;
        set_message(why);
    }
};

/// nlohmann's text without its number, its position, which we report ourselves, and the input that it repeats.
std::string reason(const char *what)
{
    std::string text(what);
    if (const size_t dash = text.find(" - "); dash != std::string::npos) text.erase(0, dash + 3);
    if (const size_t last = text.find("; last read: '"); last != std::string::npos) {
        const size_t expected = text.rfind("'; expected ");
        text.erase(last, expected == std::string::npos || expected < last ? std::string::npos : expected + 1 - last);
    }
    return text;
}

class Handler {
public:
    Handler(Document &document, const char *begin, const char **latest, uint32_t max_depth)
        : document(document), begin(begin), latest(latest), max_depth(max_depth)
    {
    }

    bool null() { return add(CJS_NULL, 0); }
    bool boolean(bool value) { return add(value ? CJS_TRUE : CJS_FALSE, 0); }
    bool number_integer(int64_t value) { return add(CJS_INTEGER, static_cast<uint64_t>(value)); }

    bool number_unsigned(uint64_t value)
    {
        if (value <= static_cast<uint64_t>(INT64_MAX)) return add(CJS_INTEGER, value);
        return number_float(static_cast<double>(value), {});
    }

    bool number_float(double value, const std::string &)
    {
        uint64_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        return add(CJS_NUMBER, bits);
    }

    bool string(std::string &value) { return add_text(CJS_STRING, value); }
    bool key(std::string &value) { return add_text(CJS_KEY, value); }
    bool binary(json::binary_t &) { return false; }

    bool start_array(size_t) { return open(CJS_ARRAY); }
    bool end_array() { return close(); }
    bool start_object(size_t) { return open(CJS_OBJECT); }
    bool end_object() { return close(); }

    bool parse_error(size_t position, const std::string &, const json::exception &error)
    {
        if (dynamic_cast<const json::out_of_range *>(&error) != nullptr) {
            document.fail(CJS_NUMBER_OUT_OF_RANGE, position, "the number is too large for a 64-bit float");
        } else {
            // The position counts the characters read, the wrong one included.
            document.fail(CJS_SYNTAX, position > 0 ? position - 1 : 0, reason(error.what()));
        }
        return false;
    }

private:
    size_t offset() const { return static_cast<size_t>(*latest - begin); }

    bool add(uint32_t kind, uint64_t payload)
    {
        const uint32_t index = static_cast<uint32_t>(document.storage.size());
        document.storage.push_back({kind, index + 1, 0, 0, payload});
        if (kind != CJS_KEY && !open_nodes.empty()) document.storage[open_nodes.back()].payload += 1;
        return true;
    }

    bool add_text(uint32_t kind, const std::string &value)
    {
        add(kind, offset());
        document.storage.back().text = static_cast<uint32_t>(document.characters.size());
        document.characters += value;
        document.storage.back().text_end = static_cast<uint32_t>(document.characters.size());
        return true;
    }

    bool open(uint32_t kind)
    {
        if (open_nodes.size() >= max_depth) {
            document.fail(CJS_TOO_DEEP, offset() - 1, "nested more than " + std::to_string(max_depth) + " deep");
            return false;
        }
        add(kind, 0);
        open_nodes.push_back(static_cast<uint32_t>(document.storage.size() - 1));
        return true;
    }

    bool close()
    {
        document.storage[open_nodes.back()].end = static_cast<uint32_t>(document.storage.size());
        open_nodes.pop_back();
        return true;
    }

    Document &document;
    const char *begin;
    const char **latest;
    uint32_t max_depth;
    std::vector<uint32_t> open_nodes;
};

void read(Document &document, const char *bytes, size_t count, uint32_t max_depth)
{
    // Offsets are 32-bit. Nodes and content are never more than the bytes.
    if (count >= INT32_MAX) return document.fail(CJS_TOO_LARGE, 0, "longer than 2 GiB");

    // nlohmann's lexer takes a NUL for the end and skips a byte order mark: neither is JSON.
    if (const void *nul = count == 0 ? nullptr : std::memchr(bytes, 0, count)) {
        return document.fail(
            CJS_SYNTAX, static_cast<size_t>(static_cast<const char *>(nul) - bytes), "a NUL byte is not allowed");
    }
    if (count >= 3 && std::memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        return document.fail(CJS_SYNTAX, 0, "a byte order mark is not allowed");
    }

    const char *latest = bytes;
    Handler handler(document, bytes, &latest, max_depth);
    const Cursor begin{bytes, &latest};
    const Cursor end{bytes + count, &latest};
    if (!json::sax_parse(begin, end, &handler)) document.fail(CJS_SYNTAX, 0, "not valid JSON");
    document.error_offset = std::min(document.error_offset, count);
}

}  // namespace

extern "C" const cjs_document *cjs_document_read(const void *bytes, size_t count, uint32_t max_depth)
{
    auto *document = new (std::nothrow) Document;
    if (document == nullptr) return nullptr;
    try {
        read(*document, bytes == nullptr ? "" : static_cast<const char *>(bytes), count, max_depth);
        document->nodes = document->storage.data();
        document->node_count = document->storage.size();
        document->text = document->characters.data();
    } catch (...) {
        document->status = CJS_NO_MEMORY;
    }
    return document;
}

extern "C" void cjs_document_free(const cjs_document *document)
{
    delete static_cast<const Document *>(document);
}
