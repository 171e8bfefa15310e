// Regular expressions: PCRE2 with ECMAScript's behaviour and exact limits.
//
// std::regex, which valijson 1.0 uses, recurses on the input and overflows the stack on long strings.

#define PCRE2_CODE_UNIT_WIDTH 8

#include "pattern.hpp"

#include "CJSONSchema.h"
#include "ecmascript.hpp"
#include "message.hpp"

#include <algorithm>
#include <new>

#include <pcre2.h>

namespace {

constexpr size_t longest_pattern = 4096;

pcre2_compile_context *compile_context()
{
    static pcre2_compile_context *context = [] {
        pcre2_compile_context *context = pcre2_compile_context_create(nullptr);
        if (context == nullptr) throw std::bad_alloc();
        pcre2_set_parens_nest_limit(context, 110);
        return context;
    }();
    return context;
}

/// The most that one item of a pattern can read and then fail, without a trace in the position: `a{9999}`, `\1`, or on
/// the way back to where a lookbehind begins. What `*` reads does show in the position.
size_t hidden_reach(std::string_view text, const Translation &translation)
{
    if (translation.has_back_references) return SIZE_MAX;

    size_t reach = translation.looks_behind ? text.size() : 0;
    bool in_braces = false;
    size_t number = 0;
    for (const char c : text) {
        const bool is_digit = c >= '0' && c <= '9';
        if (in_braces && is_digit) {
            number = std::min<size_t>(number * 10 + static_cast<size_t>(c - '0'), UINT16_MAX);
        } else {
            reach += number;
            number = 0;
            in_braces = c == '{' || (in_braces && c == ',');
        }
    }
    return reach;
}

struct Meter {
    int64_t left;
    PCRE2_SIZE position;
    PCRE2_SIZE hidden_reach;
};

/// Called before each item of the pattern, and so the one place that sees all the work, over all starting points:
/// PCRE2's match limit counts anew for each, and counts no characters.
int meter(pcre2_callout_block *block, void *data)
{
    auto &meter = *static_cast<Meter *>(data);
    const PCRE2_SIZE now = block->current_position;
    const PCRE2_SIZE moved = now > meter.position ? now - meter.position : meter.position - now;
    const PCRE2_SIZE hidden = std::min(meter.hidden_reach, block->subject_length);
    meter.position = now;
    meter.left -= 1 + static_cast<int64_t>(std::max(moved, hidden) / 32);
    return meter.left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

}  // namespace

void Pattern::Free::operator()(pcre2_real_code_8 *code) const { pcre2_code_free(code); }
void Matcher::Free::operator()(pcre2_real_match_data_8 *data) const { pcre2_match_data_free(data); }
void Matcher::Free::operator()(pcre2_real_match_context_8 *context) const { pcre2_match_context_free(context); }

Pattern::Pattern(std::string_view text)
{
    if (text.size() > longest_pattern) {
        throw Error{"longer than " + std::to_string(longest_pattern) + " bytes", longest_pattern};
    }
    if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
        // It would end the pattern on its way through valijson.
        throw Error{"a NUL character must be written as \\x00", nul};
    }
    const Translation translation(text);

    constexpr uint32_t options = PCRE2_UTF | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF
        | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
    int error = 0;
    PCRE2_SIZE offset = 0;
    code.reset(pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(translation.text.data()), translation.text.size(), options, &error, &offset,
        compile_context()));
    if (code == nullptr) {
        PCRE2_UCHAR message[256] = {};
        pcre2_get_error_message(error, message, sizeof message);
        throw Error{reinterpret_cast<const char *>(message), std::min(translation.origin(offset), text.size())};
    }

    reach = hidden_reach(text, translation);
}

Matcher::Result Matcher::search(const Pattern &pattern, std::string_view subject)
{
    if (data == nullptr) {
        data.reset(pcre2_match_data_create(1, nullptr));
        context.reset(pcre2_match_context_create(nullptr));
        if (data == nullptr || context == nullptr) throw std::bad_alloc();
        // The meter stops earlier; these hold even if it should not.
        pcre2_set_match_limit(context.get(), 1'000'000);
        pcre2_set_depth_limit(context.get(), 200'000);
        pcre2_set_heap_limit(context.get(), 64 * 1024);
    }

    const int64_t granted = std::min(budget.left, Budget::one_match);
    Meter count{granted, 0, pattern.reach};
    pcre2_set_callout(context.get(), meter, &count);
    const int result = pcre2_match(
        pattern.code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), 0, PCRE2_NO_UTF_CHECK,
        data.get(), context.get());
    budget.left -= granted - count.left;
    if (result >= 0) return Result::yes;
    return result == PCRE2_ERROR_NOMATCH ? Result::no : Result::too_expensive;
}

extern "C" int32_t cjs_pattern_check(const uint8_t *pattern, size_t count, size_t *offset)
{
    try {
        Pattern compiled{std::string_view(reinterpret_cast<const char *>(pattern), count)};
        return 0;
    } catch (const Pattern::Error &error) {
        *offset = error.offset;
        set_message(error.message);
    } catch (...) {
        *offset = 0;
        set_message("not enough memory");
    }
    return -1;
}
