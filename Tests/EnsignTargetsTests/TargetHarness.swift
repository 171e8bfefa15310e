import EnsignModel
import EnsignSystem
import EnsignTargets
import EnsignTestSupport
import Foundation

/// Every target that there is. A new one is added here, and then has to keep every rule.
enum TargetKind: String, CaseIterable, Sendable {
    case directory, memory

    func make() throws -> any TargetHarness {
        switch self {
        case .directory: try DirectoryHarness()
        case .memory: MemoryHarness()
        }
    }
}

/// A target as agents and strangers see it.
protocol TargetHarness: Sendable {
    var target: any Target { get }
    /// The same target, as another process has it.
    var another: any Target { get }

    /// Everything that a reader sees, by path; what is not a plain file is left out.
    func files() throws -> [String: [UInt8]]
    /// Names of a killed writer's leftovers that no reader looks at.
    func leftovers() throws -> [String]

    /// Writes a file past the target.
    func spoil(_ path: String, _ bytes: [UInt8]) throws
    /// Removes a file or a folder.
    func lose(_ path: String) throws
    /// Puts something that is not a file or folder at a path.
    func block(_ path: String) throws
    /// Removes the permission to read a file.
    func hide(_ path: String) throws
    /// Makes the whole target unfit for use.
    func ruin() throws
}

struct DirectoryHarness: TargetHarness {
    private let scratch: ScratchDirectory
    private var root: String { "\(scratch.path)/live" }

    init() throws { scratch = try ScratchDirectory() }

    var target: any Target { DirectoryTarget(path: root) }
    var another: any Target { DirectoryTarget(path: root) }

    func files() throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for path in paths() where !isTemporary(path) {
            // Gone again since it was listed, when somebody writes meanwhile.
            guard try Files.status("\(root)/\(path)")?.kind == .file else { continue }
            files[path] = try Files.read("\(root)/\(path)", limit: 1 << 20)
        }
        return files
    }

    func leftovers() -> [String] { paths().filter(isTemporary) }

    private func paths() -> [String] {
        FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
    }

    private func isTemporary(_ path: String) -> Bool {
        path.split(separator: "/").contains { $0.hasPrefix(LivePath.temporaryPrefix) }
    }

    func spoil(_ path: String, _ bytes: [UInt8]) throws {
        if try Files.status("\(root)/\(path)")?.kind == .directory { try lose(path) }
        try scratch.write("live/\(path)", bytes: bytes)
    }

    func lose(_ path: String) throws { try FileManager.default.removeItem(atPath: "\(root)/\(path)") }

    func block(_ path: String) throws {
        try? lose(path)
        try FileManager.default.createSymbolicLink(atPath: "\(root)/\(path)", withDestinationPath: "/dev/null")
    }

    func hide(_ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(root)/\(path)")
    }

    func ruin() throws {
        try? FileManager.default.removeItem(atPath: root)
        try scratch.write("live", "not a directory")
    }
}

struct MemoryHarness: TargetHarness {
    private let memory = MemoryTarget()

    var target: any Target { memory }
    var another: any Target { memory }

    func files() -> [String: [UInt8]] {
        memory.nodes.compactMapValues { node in
            switch node {
            case .file(let bytes), .hidden(let bytes): bytes
            case .other: nil
            }
        }
    }

    func leftovers() -> [String] { [] }

    func spoil(_ path: String, _ bytes: [UInt8]) { memory.set(path, .file(bytes)) }
    func lose(_ path: String) { memory.set(path, nil) }
    func block(_ path: String) { memory.set(path, .other) }
    func hide(_ path: String) throws {
        guard case .file(let bytes)? = memory.nodes[path] else { throw CocoaError(.fileNoSuchFile) }
        memory.set(path, .hidden(bytes))
    }
    func ruin() { memory.setObstacle("it was ruined") }
}
