import EnsignPolicy
import EnsignSystem
import Synchronization

/// What was made of files of the live directory, for as long as they are the same, and what was seen of them: proving a
/// file takes some 100 µs, asking for its status two.
final class LiveShelf<Value: Sendable>: Sendable {
    /// A file's places, and what was made of it.
    struct Entry: Sendable {
        let place: LiveFiles.Place
        /// What the state keeps about it.
        let seen: String
        fileprivate var known: Known?

        init(place: LiveFiles.Place, seen: String) {
            self.place = place
            self.seen = seen
        }

        /// What was made of the file, if nobody has touched it.
        ///
        /// - Parameters:
        ///   - file: What is at its place now.
        ///   - seen: What the state keeps about it now: another process may have seen a newer one.
        func value(_ file: FileStatus?, _ seen: FileStatus?) -> Value? {
            guard let known, let file, known.content.mark == file, known.seen == seen else { return nil }
            return known.value
        }

        /// What was made of the file, if it says the same.
        func value(_ content: LiveFiles.Content, _ seen: FileStatus?) -> Value? {
            guard let known, known.seen == seen, known.content.bytes == content.bytes else { return nil }
            return known.value
        }
    }

    fileprivate struct Known {
        var content: LiveFiles.Content
        var seen: FileStatus
        var value: Value
    }

    private let entries = Mutex<[LiveProof.File: Entry]>([:])
    /// Files that are remembered; beyond, all are forgotten.
    private static var most: Int { 16_384 }

    func entry(of file: LiveProof.File, _ make: () -> Entry) -> Entry {
        entries.withLock { entries in
            if let entry = entries[file] { return entry }
            if entries.count >= Self.most { entries = [:] }
            let entry = make()
            entries[file] = entry
            return entry
        }
    }

    /// What a file is for as long as nobody touches it and its value counts; nil for one that has none.
    func mark(of file: LiveProof.File) -> FileStatus? { entries.withLock { $0[file]?.known?.content.mark } }

    func keep(_ value: Value, of file: LiveProof.File, _ content: LiveFiles.Content, seen: FileStatus) {
        entries.withLock { $0[file]?.known = Known(content: content, seen: seen, value: value) }
    }
}
