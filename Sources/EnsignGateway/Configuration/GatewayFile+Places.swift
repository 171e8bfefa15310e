import EnsignManifest

extension GatewayFile {
    /// Places that count instead of those in the file: `ensign dev` makes a live directory of its own, and asks nobody to
    /// write it into a file.
    package struct Places: Sendable, Hashable {
        private let paths: [String: String]

        /// The members of the file that may be replaced.
        package static let names = ["live", "keys", "state"]

        /// - Parameter paths: Absolute paths by the member that each stands for, one of ``names``.
        package init(_ paths: [String: String] = [:]) { self.paths = paths.filter { Self.names.contains($0.key) } }

        subscript(name: String) -> String? { paths[name] }

        /// The file's declaration, in which nothing is asked for that is given here.
        func relaxing(_ kind: OperatorDocument.Kind) -> OperatorDocument.Kind {
            var kind = kind
            for index in kind.spec.indices where paths[kind.spec[index].name] != nil {
                kind.spec[index].isRequired = false
            }
            return kind
        }
    }
}
