extension Repository {
    /// What it takes to open a repository: each thread opens its own.
    package struct Opening: Sendable {
        package var path: String
        package var insideHook: Bool
        package var objectDirectory: String?

        package init(path: String, insideHook: Bool = false, objectDirectory: String? = nil) {
            self.path = path
            self.insideHook = insideHook
            self.objectDirectory = objectDirectory
        }

        package func open() throws(GitError) -> Repository {
            try Repository(at: path, insideHook: insideHook, objectDirectory: objectDirectory)
        }
    }
}
