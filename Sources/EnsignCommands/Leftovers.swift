import EnsignModel
import EnsignSystem

extension Files {
    /// Longer than any writer takes between making a temporary file and renaming it.
    private static let patience: Int64 = 60

    /// Removes the temporary files and folders that a writer left in a folder of manifests because it was killed.
    ///
    /// Another writer may be at work in it: its files are younger. What cannot be removed stays.
    static func removeLeftovers(in folder: String, now: Timestamp) {
        let names = ((try? list(folder)) ?? nil) ?? []
        for name in names where name.hasPrefix(LivePath.temporaryPrefix) {
            let rest = name.dropFirst(LivePath.temporaryPrefix.count)
            let path = "\(folder)/\(name)"
            guard !rest.isEmpty, rest.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) }),
                let status = (try? status(path)) ?? nil, status.kind == .file || status.kind == .directory,
                now.seconds - status.modified / 1_000_000_000 > patience
            else { continue }
            try? removeTree(path)
        }
    }
}
