import CGit2
import EnsignModel

/// Takes a pack's bytes, checks each object, and leaves `pack-….pack` and `pack-….idx` in a folder (libgit2's indexer).
@safe
package final class PackIndexer {
    private let handle: OpaquePointer
    private let folder: String
    private var progress = git_indexer_progress()

    /// - Parameter folder: Exists, and is nobody else's.
    package init(in folder: String) throws(GitError) {
        self.folder = folder
        var indexer: OpaquePointer?
        try check("begin a pack in \(folder)") { unsafe git_indexer_new(&indexer, folder, 0, nil, nil) }
        guard let indexer = unsafe indexer else {
            preconditionFailure("libgit2 reported success without an indexer")
        }
        unsafe handle = indexer
    }

    deinit { unsafe git_indexer_free(handle) }

    /// Takes the next bytes, as many as there are.
    package func append(_ bytes: [UInt8]) throws(GitError) {
        try check("write a pack in \(folder)") {
            unsafe bytes.withUnsafeBytes { buffer in
                unsafe git_indexer_append(handle, buffer.baseAddress, buffer.count, &progress)
            }
        }
    }

    /// - Returns: The name of both files, without what comes after its dot.
    package func finish() throws(GitError) -> String {
        try check("end a pack in \(folder)") { unsafe git_indexer_commit(handle, &progress) }
        return unsafe "pack-" + String(cString: git_indexer_name(handle))
    }
}
