import Foundation

/// A committed file that holds what a test expects.
///
/// `ENSIGN_RECORD=1` in the environment rewrites it; review that diff as code.
package struct Golden {
    private let path: String

    /// - Parameters:
    ///   - name: Relative to the folder `Golden`.
    ///   - file: The source file that is beside that folder.
    package init(_ name: String, besides file: String = #filePath) {
        path = "\((file as NSString).deletingLastPathComponent)/Golden/\(name)"
    }

    /// A file that is part of the package for others, too.
    ///
    /// - Parameter path: From the package's root.
    package init(inPackage path: String) { self.path = "\(packageRoot)/\(path)" }

    /// The recorded bytes, after recording `actual` if that was asked for; nil when there are none.
    package func expected(recording actual: [UInt8]) throws -> [UInt8]? {
        if ProcessInfo.processInfo.environment["ENSIGN_RECORD"] != nil {
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true
            )
            try Data(actual).write(to: URL(fileURLWithPath: path))
        }
        return FileManager.default.contents(atPath: path).map { Array($0) }
    }
}

/// The package's own folder, where the sample fleet is.
package let packageRoot: String = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.path
}()

/// The files below a folder of the package, by path from its root.
package func packageFiles(below folders: String...) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for folder in folders {
        for name in try FileManager.default.subpathsOfDirectory(atPath: "\(packageRoot)/\(folder)") {
            let path = "\(folder)/\(name)"
            var isFolder: ObjCBool = false
            guard unsafe FileManager.default.fileExists(atPath: "\(packageRoot)/\(path)", isDirectory: &isFolder),
                !isFolder.boolValue, let data = FileManager.default.contents(atPath: "\(packageRoot)/\(path)")
            else { continue }
            files[path] = Array(data)
        }
    }
    return files
}
