#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>

/// The magnitude of a JSON number as it is written: `significand` times 10 to the power of `exponent`.
///
/// `multipleOf: 0.01` means hundredths, which no double is. A double's shortest form has at most 17 digits and an
/// integer 19, so the significand fits.
struct Decimal {
    uint64_t significand = 0;
    int exponent = 0;

    explicit Decimal(std::string_view text)
    {
        bool is_fraction = false;
        for (size_t i = 0; i < text.size(); i++) {
            const char c = text[i];
            if (c == '.') {
                is_fraction = true;
            } else if (c == 'e') {
                int written = 0;
                const size_t start = text[i + 1] == '+' ? i + 2 : i + 1;
                std::from_chars(text.data() + start, text.data() + text.size(), written);
                exponent += written;
                break;
            } else if (c != '-') {
                // Zeros behind the last digit that counts: 1e20 is written out.
                if (significand >= UINT64_MAX / 10 && c == '0' && !is_fraction) {
                    exponent += 1;
                    continue;
                }
                significand = significand * 10 + static_cast<uint64_t>(c - '0');
                if (is_fraction) exponent -= 1;
            }
        }
        while (significand != 0 && significand % 10 == 0) {
            significand /= 10;
            exponent += 1;
        }
    }

    /// Whether this is a whole multiple of a divisor that is not 0.
    bool is_multiple_of(const Decimal &divisor) const
    {
        if (significand == 0) return true;
        // It does not end in 0, and so is not a multiple of anything with more decimal places than the divisor's.
        if (exponent < divisor.exponent) return false;
        __extension__ typedef unsigned __int128 wide;
        const wide modulus = divisor.significand;
        wide remainder = significand % modulus;
        wide power = 10 % modulus;
        for (unsigned bits = static_cast<unsigned>(exponent - divisor.exponent); bits != 0; bits >>= 1) {
            if (bits & 1) remainder = remainder * power % modulus;
            power = power * power % modulus;
        }
        return remainder == 0;
    }
};
