/// The names that a client gives to its run and to its session's key: the same by a header, on the socket and by an option.
package enum ClientName {
    package static let rule = "1 to 256 printable characters of ASCII without blanks"

    package static func isValid(_ name: String) -> Bool {
        (1...256).contains(name.utf8.count) && name.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
