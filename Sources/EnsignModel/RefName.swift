/// What git takes as a part of a reference's name, such as a branch or a remote: git-check-ref-format(1).
package enum RefName {
    package static func isValid(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { !$0.isEmpty && !$0.hasPrefix(".") && !$0.hasSuffix(".lock") }
            && !name.hasSuffix(".") && !name.contains("..") && !name.contains("@{") && name != "@"
            && name.unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0.value != 0x7F && !"~^:?*[\\".unicodeScalars.contains($0)
            }
    }
}
