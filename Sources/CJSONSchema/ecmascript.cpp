// ECMAScript's regular expressions for PCRE2.
//
// The two agree on how alternatives and repetitions are tried (Perl's way), so most of a pattern is passed on. They
// differ in what white space and a dot are, in names of properties, in escapes, and in what a repetition does with the
// groups inside it.

#include "ecmascript.hpp"

#include "pattern.hpp"
#include "unicode_names.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

/// WhiteSpace and LineTerminator (ECMA-262, sections 12.2 and 12.3), inside a class; and everything else.
constexpr const char *space = "\\x{9}-\\x{D}\\x{20}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}"
                              "\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}";
constexpr const char *no_space = "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
                                 "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}"
                                 "\\x{3001}-\\x{FEFE}\\x{FF00}-\\x{10FFFF}";
constexpr const char *dot = "[^\\n\\r\\x{2028}\\x{2029}]";
/// What never matches. PCRE2's empty class cannot be skipped when it is repeated no times.
constexpr const char *never = "[^\\x{0}-\\x{10FFFF}]";

constexpr uint32_t last_character = 0x10FFFF;
/// PCRE2's own limit of a repetition.
constexpr size_t most_repeats = 65'535;
constexpr size_t deepest = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_surrogate(uint32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string hexadecimal(uint32_t c)
{
    std::string text;
    do {
        text.insert(text.begin(), "0123456789ABCDEF"[c & 15]);
        c >>= 4;
    } while (c != 0);
    return "\\x{" + text + "}";
}

bool has_word(std::string_view words, std::string_view word)
{
    return !word.empty() && words.find(" " + std::string(word) + " ") != std::string_view::npos;
}

}  // namespace

/// One walk over a pattern, after a first one that only counts groups.
class Translator {
public:
    Translator(std::string_view pattern, Translation &result) : pattern(pattern), result(result) {}

    void run()
    {
        count_groups();
        disjunction(0);
        if (at < pattern.size()) throw fail("there is no ( before this )", at);
        check_references();
    }

private:
    std::string_view pattern;
    Translation &result;
    size_t at = 0;

    struct Group {
        std::string name;
        size_t end = 0;
        /// The alternative that it is in, by number.
        size_t alternative = 0;
        bool is_closed = false;
        /// Whether each repetition of what is around it goes through it, as far as that was read.
        bool is_sure = true;
        /// Whether it may be left from an earlier repetition than the last: ECMAScript then has nothing in it.
        bool is_stale = false;
        bool is_behind = false;
    };
    struct Reference {
        size_t group;
        size_t offset;
        /// Whether the group has matched in the same alternative before.
        bool is_safe;
        bool is_behind;
    };
    struct Loop {
        size_t begin;
        size_t end;
        size_t first_group;
        size_t last_group;
    };
    std::vector<Group> groups;
    std::vector<std::string> names;
    std::vector<Reference> references;
    std::vector<Loop> loops;
    /// Alternatives that are being read, the outermost first.
    std::vector<size_t> open;
    size_t alternatives = 0;
    size_t behind = 0;

    Pattern::Error fail(std::string message, size_t offset) const { return {std::move(message), offset}; }

    bool is_next(std::string_view text) const
    {
        return pattern.substr(std::min(at, pattern.size()), text.size()) == text;
    }

    bool skip(std::string_view text)
    {
        if (!is_next(text)) return false;
        at += text.size();
        return true;
    }

    static bool is_named_group(std::string_view text)
    {
        return text.size() > 3 && text.substr(0, 3) == "(?<" && text[3] != '=' && text[3] != '!';
    }

    /// Finds out how many groups there are and what they are called: references may come before them.
    void count_groups()
    {
        bool in_class = false;
        for (size_t i = 0; i < pattern.size(); i++) {
            switch (pattern[i]) {
            case '\\': i++; break;
            case '[': in_class = true; break;
            case ']': in_class = false; break;
            case '(':
                if (in_class) break;
                if (pattern.substr(i + 1, 1) != "?") {
                    names.emplace_back();
                } else if (is_named_group(pattern.substr(i))) {
                    const size_t end = pattern.find('>', i);
                    names.emplace_back(pattern.substr(i + 3, end == std::string_view::npos ? 0 : end - i - 3));
                }
                break;
            default: break;
            }
        }
    }

    void disjunction(size_t depth)
    {
        if (depth > deepest) throw fail("parentheses are nested too deeply", at);
        const size_t first = groups.size();
        bool is_alone = true;
        while (true) {
            open.push_back(++alternatives);
            while (at < pattern.size() && pattern[at] != '|' && pattern[at] != ')') term(depth);
            open.pop_back();
            if (!skip("|")) break;
            result.text += '|';
            is_alone = false;
        }
        if (is_alone) return;
        for (size_t i = first; i < groups.size(); i++) groups[i].is_sure = false;
    }

    void term(size_t depth)
    {
        result.places.push_back({result.text.size(), at});
        const size_t begin = at;
        const size_t first = groups.size();
        switch (pattern[at]) {
        case '^':
        case '$':
            result.text += pattern[at++];
            return;
        case '(':
            if (group(depth)) break;
            return;
        case '[': character_class(); break;
        case '.':
            at++;
            result.text += dot;
            break;
        case '\\':
            if (skip("\\b")) {
                result.text += "\\b";
                return;
            }
            if (skip("\\B")) {
                result.text += "\\B";
                return;
            }
            atom_escape();
            break;
        case '*':
        case '+':
        case '?':
            throw fail(std::string("there is nothing to repeat before ") + pattern[at], at);
        case '{': throw fail("there is nothing to repeat before {; a brace itself is \\{", at);
        case '}':
        case ']':
            throw fail(std::string("a ") + pattern[at] + " itself is written \\" + pattern[at], at);
        default: literal(); break;
        }
        quantifier(begin, first);
    }

    void literal()
    {
        const char c = pattern[at];
        // What PCRE2 takes for something else has been dealt with, and it has no extended syntax here.
        result.text += c;
        at++;
        // The rest of a character of several bytes, so that a repetition is of all of them.
        while (at < pattern.size() && (static_cast<unsigned char>(pattern[at]) & 0xC0) == 0x80) {
            result.text += pattern[at++];
        }
    }

    // MARK: Groups

    /// Reads a group or what looks around. Returns whether it may be repeated.
    bool group(size_t depth)
    {
        const size_t begin = at;
        if (skip("(?=") || skip("(?!")) {
            result.text += pattern.substr(begin, 3);
            inside(depth, begin);
            return false;
        }
        if (skip("(?<=") || skip("(?<!")) {
            result.text += pattern.substr(begin, 4);
            result.looks_behind = true;
            behind++;
            inside(depth, begin);
            behind--;
            return false;
        }
        if (skip("(?:")) {
            result.text += "(?:";
            inside(depth, begin);
            return true;
        }
        if (is_next("(?") && !is_next("(?<")) throw fail("ECMAScript has no such group", begin);
        if (is_next("(*")) throw fail("there is nothing to repeat before *", begin + 1);
        Group found;
        if (skip("(?<")) {
            found.name = group_name();
            for (const Group &other : groups) {
                if (other.name == found.name) throw fail("a second group is called " + found.name, begin);
            }
        } else {
            at++;
        }
        found.alternative = open.back();
        found.is_behind = behind > 0;
        const size_t index = groups.size();
        groups.push_back(found);
        result.text += '(';
        inside(depth, begin);
        groups[index].is_closed = true;
        groups[index].end = at;
        return true;
    }

    void inside(size_t depth, size_t begin)
    {
        disjunction(depth + 1);
        if (!skip(")")) throw fail("there is no ) for this (", begin);
        result.text += ')';
    }

    /// A name, up to `>`. Of letters, digits, `_` and `$`: what else ECMAScript allows in names nobody needs.
    std::string group_name()
    {
        const size_t begin = at;
        const auto is_part = [&](char c) {
            return is_letter(c) || c == '_' || c == '$' || (at > begin && is_digit(c));
        };
        while (at < pattern.size() && is_part(pattern[at])) at++;
        if (at == begin || !is_next(">")) {
            throw fail("a group's name has letters, digits, _ and $, and ends with >", at);
        }
        at++;
        return std::string(pattern.substr(begin, at - 1 - begin));
    }

    // MARK: Repetitions

    void quantifier(size_t begin, size_t first)
    {
        if (at >= pattern.size()) return;
        size_t least = 0;
        size_t most = SIZE_MAX;
        const size_t start = at;
        switch (pattern[at]) {
        case '*': at++; break;
        case '+':
            at++;
            least = 1;
            break;
        case '?':
            at++;
            most = 1;
            break;
        case '{': bounds(least, most); break;
        default: return;
        }
        skip("?");
        result.text += pattern.substr(start, at - start);
        if (most > 1) {
            loops.push_back({begin, at, first, groups.size()});
            for (size_t i = first; i < groups.size(); i++) {
                if (!groups[i].is_sure) groups[i].is_stale = true;
            }
        }
        if (least > 0) return;
        for (size_t i = first; i < groups.size(); i++) {
            groups[i].is_sure = false;
            // It may be skipped, so nothing behind it in this alternative can rely on it.
            groups[i].alternative = 0;
        }
    }

    void bounds(size_t &least, size_t &most)
    {
        const size_t begin = at++;
        const auto number = [&](size_t &value) {
            const size_t start = at;
            value = 0;
            while (at < pattern.size() && is_digit(pattern[at])) {
                value = std::min<size_t>(value * 10 + static_cast<size_t>(pattern[at++] - '0'), most_repeats + 1);
            }
            return at > start;
        };
        if (!number(least)) throw fail("a brace itself is written \\{", begin);
        if (!skip(",")) {
            most = least;
        } else if (!number(most)) {
            most = SIZE_MAX;
        }
        if (!skip("}")) throw fail("a brace itself is written \\{", begin);
        if (most < least) throw fail("the numbers of a repetition are out of order", begin);
        if (least > most_repeats || (most != SIZE_MAX && most > most_repeats)) {
            throw fail("a repetition is of at most " + std::to_string(most_repeats), begin);
        }
    }

    // MARK: Escapes

    void atom_escape()
    {
        const size_t begin = at;
        const char c = at + 1 < pattern.size() ? pattern[at + 1] : '\0';
        if (c >= '1' && c <= '9') {
            at++;
            size_t number = 0;
            while (at < pattern.size() && is_digit(pattern[at])) {
                number = std::min<size_t>(number * 10 + static_cast<size_t>(pattern[at++] - '0'), SIZE_MAX / 100);
            }
            return refer(number, begin);
        }
        if (c == 'k') {
            at += 2;
            if (!skip("<")) throw fail("\\k needs a group's name, as in \\k<year>", begin);
            const std::string name = group_name();
            const auto found = std::find(names.begin(), names.end(), name);
            return refer(found == names.end() ? 0 : static_cast<size_t>(found - names.begin()) + 1, begin);
        }
        std::string set;
        if (class_escape(set)) {
            // White space is a list of ranges; the others are one escape.
            const bool is_one = set.size() == 2 || set[1] == 'p' || set[1] == 'P';
            result.text += is_one ? set : "[" + set + "]";
            return;
        }
        const uint32_t character = character_escape(false);
        // Text has no lone surrogates.
        result.text += is_surrogate(character) ? never : hexadecimal(character);
    }

    void refer(size_t number, size_t begin)
    {
        if (number == 0 || number > names.size()) throw fail("there is no such group", begin);
        result.has_back_references = true;
        const size_t index = number - 1;
        const bool is_safe = index < groups.size() && groups[index].is_closed
            && std::find(open.begin(), open.end(), groups[index].alternative) != open.end();
        references.push_back({index, begin, is_safe, behind > 0});
        result.text += "\\g{" + std::to_string(number) + "}";
    }

    /// `\d`, `\s`, `\p{...}` and so on: what it is inside a class of PCRE2. Returns whether it was one.
    bool class_escape(std::string &set)
    {
        const size_t begin = at;
        const char c = at + 1 < pattern.size() ? pattern[at + 1] : '\0';
        switch (c) {
        case 'd':
        case 'D':
        case 'w':
        case 'W': set = std::string("\\") + c; break;
        case 's': set = space; break;
        case 'S': set = no_space; break;
        case 'p':
        case 'P':
            at += 2;
            if (!skip("{")) throw fail(std::string("\\") + c + " needs a property in braces, as in \\p{L}", begin);
            {
                const size_t end = pattern.find('}', at);
                if (end == std::string_view::npos) throw fail("there is no } for this property", begin);
                set = property(pattern.substr(at, end - at), c == 'P', begin);
                at = end + 1;
            }
            return true;
        default: return false;
        }
        at += 2;
        return true;
    }

    std::string property(std::string_view text, bool is_not, size_t begin) const
    {
        const std::string sign = is_not ? "\\P{" : "\\p{";
        const std::string opposite = is_not ? "\\p{" : "\\P{";
        const auto category = [](std::string_view name) -> std::string_view {
            for (const auto &[longer, shorter] : unicode::categories) {
                if (name == longer || name == shorter) return shorter == "LC" ? "L&" : shorter;
            }
            return {};
        };
        const size_t equals = text.find('=');
        if (equals != std::string_view::npos) {
            const std::string_view name = text.substr(0, equals);
            const std::string_view value = text.substr(equals + 1);
            if (name == "General_Category" || name == "gc") {
                if (const auto found = category(value); !found.empty()) return sign + std::string(found) + "}";
            } else if ((name == "Script" || name == "sc") && has_word(unicode::scripts, value)) {
                return sign + "sc:" + std::string(value) + "}";
            } else if ((name == "Script_Extensions" || name == "scx") && has_word(unicode::scripts, value)) {
                return sign + "scx:" + std::string(value) + "}";
            }
        } else if (const auto found = category(text); !found.empty()) {
            return sign + std::string(found) + "}";
        } else if (text == "Any") {
            return sign + "Any}";
        } else if (text == "Assigned") {
            return opposite + "Cn}";
        } else if (has_word(unicode::binary_properties, text)) {
            return sign + std::string(text) + "}";
        }
        throw fail("ECMAScript knows no property " + std::string(text) + ", or PCRE2 does not", begin);
    }

    /// An escape of one character.
    uint32_t character_escape(bool in_class)
    {
        const size_t begin = at++;
        if (at >= pattern.size()) throw fail("a \\ at the end", begin);
        const char c = pattern[at++];
        switch (c) {
        case 'f': return 0x0C;
        case 'n': return 0x0A;
        case 'r': return 0x0D;
        case 't': return 0x09;
        case 'v': return 0x0B;
        case 'b':
            if (in_class) return 0x08;
            break;
        case '-':
            if (in_class) return '-';
            break;
        case '0':
            if (at >= pattern.size() || !is_digit(pattern[at])) return 0;
            break;
        case 'c':
            if (at < pattern.size() && is_letter(pattern[at])) return static_cast<uint32_t>(pattern[at++]) & 31;
            break;
        case 'x':
            if (uint32_t value = 0; digits(2, value)) return value;
            throw fail("\\x needs two hexadecimal digits", begin);
        case 'u': return unicode_escape(begin);
        default:
            if (std::strchr("^$\\.*+?()[]{}|/", c) != nullptr && c != '\0') return static_cast<uint32_t>(c);
            break;
        }
        if (static_cast<unsigned char>(c) < 0x80 && c > ' ') {
            throw fail(std::string("\\") + c + " is not an ECMAScript escape", begin);
        }
        throw fail("no such ECMAScript escape", begin);
    }

    bool digits(size_t count, uint32_t &value)
    {
        value = 0;
        if (pattern.size() - at < count) return false;
        for (size_t i = 0; i < count; i++) {
            const int digit = hex_digit(pattern[at + i]);
            if (digit < 0) return false;
            value = value << 4 | static_cast<uint32_t>(digit);
        }
        at += count;
        return true;
    }

    /// `\u00e9`, `\u{1F600}`, or two surrogates that are one character.
    uint32_t unicode_escape(size_t begin)
    {
        uint32_t value = 0;
        if (skip("{")) {
            const size_t start = at;
            while (at < pattern.size() && hex_digit(pattern[at]) >= 0) {
                const auto digit = static_cast<uint32_t>(hex_digit(pattern[at++]));
                value = std::min<uint32_t>(value << 4 | digit, last_character + 1);
            }
            if (at == start || !skip("}") || value > last_character) {
                throw fail("\\u{...} needs a character's number, at most 10FFFF", begin);
            }
            return value;
        }
        if (!digits(4, value)) throw fail("\\u needs four hexadecimal digits, or some in braces", begin);
        if (value < 0xD800 || value > 0xDBFF || !is_next("\\u")) return value;
        const size_t before = at;
        at += 2;
        uint32_t low = 0;
        if (digits(4, low) && low >= 0xDC00 && low <= 0xDFFF) {
            return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
        }
        at = before;
        return value;
    }

    // MARK: Classes

    void character_class()
    {
        const size_t begin = at++;
        const bool is_not = skip("^");
        std::string members;
        while (true) {
            if (at >= pattern.size()) throw fail("there is no ] for this [", begin);
            if (skip("]")) break;
            const size_t start = at;
            std::string set;
            uint32_t first = 0;
            const bool is_set = class_atom(set, first);
            if (is_next("-") && !is_next("-]")) {
                at++;
                if (at >= pattern.size()) throw fail("there is no ] for this [", begin);
                uint32_t last = 0;
                if (class_atom(set, last) || is_set) throw fail("a range is from one character to another", start);
                if (last < first) throw fail("a range is out of order", start);
                members += range(first, last);
            } else {
                members += is_set ? set : range(first, first);
            }
        }
        if (members.empty() && !is_not) {
            result.text += never;
        } else {
            result.text += (is_not ? "[^" : "[") + members + "]";
        }
    }

    /// Returns whether it is a set; else it is a character.
    bool class_atom(std::string &set, uint32_t &character)
    {
        if (pattern[at] == '\\') {
            if (class_escape(set)) return true;
            character = character_escape(true);
            return false;
        }
        const auto byte = static_cast<unsigned char>(pattern[at++]);
        const size_t more = byte < 0xC0 ? 0 : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
        character = more == 0 ? byte : byte & (0x3F >> more);
        for (size_t i = 0; i < more && at < pattern.size(); i++) {
            character = character << 6 | (static_cast<unsigned char>(pattern[at++]) & 0x3F);
        }
        return false;
    }

    /// Without the surrogates, which text does not have and PCRE2 does not take.
    static std::string range(uint32_t first, uint32_t last)
    {
        if (first < 0xD800 && last > 0xDFFF) return hexadecimal(first) + "-" + hexadecimal(last);
        if (is_surrogate(first)) first = 0xE000;
        if (is_surrogate(last)) last = 0xD7FF;
        if (last < first) return "";
        return first == last ? hexadecimal(first) : hexadecimal(first) + "-" + hexadecimal(last);
    }

    // MARK: References

    /// In ECMAScript each repetition begins with empty groups; in PCRE2 they keep what they had. And ECMAScript looks
    /// behind from the right to the left. Where that can be seen, the pattern is refused.
    void check_references() const
    {
        for (const Reference &reference : references) {
            if (reference.group >= groups.size()) throw fail("there is no such group", reference.offset);
            const Group &group = groups[reference.group];
            if (reference.is_behind || group.is_behind) {
                throw fail("a reference and its group cannot be in what looks behind", reference.offset);
            }
            const bool is_earlier = std::any_of(loops.begin(), loops.end(), [&](const Loop &loop) {
                return reference.offset >= loop.begin && reference.offset < loop.end
                    && reference.group >= loop.first_group && reference.group < loop.last_group
                    && reference.offset < group.end;
            });
            if (is_earlier || (group.is_stale && !reference.is_safe)) {
                throw fail(
                    "this reference may be to an earlier repetition, which ECMAScript forgets", reference.offset);
            }
        }
    }
};

Translation::Translation(std::string_view pattern) { Translator(pattern, *this).run(); }

size_t Translation::origin(size_t offset) const
{
    const auto next = std::upper_bound(
        places.begin(), places.end(), offset, [](size_t offset, const Place &place) { return offset < place.here; });
    return next == places.begin() ? 0 : std::prev(next)->there;
}
