import CJSONSchema
import EnsignModel

/// Why a regular expression cannot be used.
struct PatternError {
    let message: String
    /// In Unicode scalars, counted from 1.
    let column: Int

    /// Creates an error if the pattern is not one of ECMAScript that PCRE2 can match.
    init?(in pattern: String) {
        let utf8 = Array(pattern.utf8)
        var offset = 0
        if unsafe cjs_pattern_check(utf8, utf8.count, &offset) == 0 { return nil }
        message = lastMessage()
        column = utf8.prefix(offset).count { $0 & 0xC0 != 0x80 } + 1
    }
}

/// Why the last call into CJSONSchema failed, printable.
///
/// The message is thread-local: nothing may suspend between the call and this read.
func lastMessage() -> String {
    unsafe String(cString: cjs_message()).onOneLine
}
