#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// A regular expression of ECMAScript, with the flag `u` that JSON Schema asks for, as one of PCRE2.
///
/// Source: ECMA-262 (2023), sections 22.2.1 (the grammar) and 22.2.2 (what it means). This is the one place that reads
/// patterns: what it does not know, or cannot carry over, it refuses.
struct Translation {
    /// For PCRE2 with `PCRE2_UTF`, `PCRE2_ALLOW_EMPTY_CLASS`, `PCRE2_MATCH_UNSET_BACKREF` and `PCRE2_DOLLAR_ENDONLY`.
    std::string text;
    /// Whether it has back references, which read text unseen.
    bool has_back_references = false;
    /// Whether it looks behind.
    bool looks_behind = false;

    /// Where in the pattern an offset of `text` comes from.
    size_t origin(size_t offset) const;

    /// Throws `Pattern::Error`.
    explicit Translation(std::string_view pattern);

private:
    friend class Translator;
    struct Place {
        size_t here;
        size_t there;
    };
    /// Where items begin, in both texts.
    std::vector<Place> places;
};
