#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

/// What one validation may still cost. A unit is one step of about 20 to 50 ns.
struct Budget {
    int64_t left = 4'000'000;

    /// More than this for one match, and the pattern is at fault.
    static constexpr int64_t one_match = 200'000;
};

/// A compiled regular expression. Matching does not change it.
class Pattern {
public:
    /// What is wrong with a pattern, and where.
    struct Error {
        std::string message;
        size_t offset;
    };

    /// Throws `Error`.
    explicit Pattern(std::string_view text);

private:
    friend class Matcher;
    struct Free {
        void operator()(pcre2_real_code_8 *code) const;
    };
    std::unique_ptr<pcre2_real_code_8, Free> code;
    /// How many bytes one item can read unseen by the meter.
    size_t reach;
};

/// What matching needs beside the pattern. For one thread at a time.
class Matcher {
public:
    explicit Matcher(Budget &budget) : budget(budget) {}

    enum class Result { no, yes, too_expensive };

    /// Whether the pattern matches anywhere in the subject, which is valid UTF-8.
    Result search(const Pattern &pattern, std::string_view subject);

private:
    struct Free {
        void operator()(pcre2_real_match_data_8 *data) const;
        void operator()(pcre2_real_match_context_8 *context) const;
    };
    Budget &budget;
    std::unique_ptr<pcre2_real_match_data_8, Free> data;
    std::unique_ptr<pcre2_real_match_context_8, Free> context;
};
