import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTargets
import Glibc

/// Holds back the routes of halted agents whose halt the ledger does not have yet.
///
/// While routes are put in place the halts file is locked: a halt is either there before, and seen, or comes after, and
/// then replaces the route itself. Shared by runs that publish; each looks at the records only when something was added.
final class HaltGate: RouteGate {
    private let file: HaltsFile
    private var descriptor: Descriptor?
    private var counter: [UInt8] = []
    private var pending: [HaltRecord] = []

    private final class Descriptor {
        let file: FileDescriptor
        let inode: UInt64
        init(_ file: consuming FileDescriptor, inode: UInt64) {
            self.file = file
            self.inode = inode
        }
    }

    init(_ file: HaltsFile) { self.file = file }

    func pass(_ body: (_ isHeld: (AgentID, [UInt8]) -> Bool) throws -> Void) throws {
        let descriptor = try opened()
        // Not opened for writing: closing would look like a change to whoever watches the folder.
        try descriptor.file.locked(exclusively: false, timeout: .seconds(10), file.path) {
            var now: [UInt8] = []
            _ = try descriptor.file.read(at: 0, count: 16, appendingTo: &now, from: file.path)
            if now != counter || now.isEmpty {
                pending = try file.contents(of: descriptor.file).pending.filter { $0.kind == .halt }
                counter = now
            }
            try body { agent, bytes in
                guard pending.contains(where: { $0.scope.covers(agent) }) else { return false }
                return !Route.isHalted(bytes)
            }
        }
    }

    /// What is held back now, oldest first.
    func pendingHalts() throws -> [HaltRecord] {
        try pass { _ in }
        return pending
    }

    /// The file, opened anew when another is in its place.
    private func opened() throws -> Descriptor {
        if let descriptor, try Files.status(file.path)?.inode == descriptor.inode { return descriptor }
        try file.prepare()
        let opened = try FileDescriptor(
            file.path,
            O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
            operation: "open \(file.path)"
        )
        let inode = try opened.status(file.path).inode
        let result = Descriptor(opened, inode: inode)
        descriptor = result
        counter = []
        return result
    }
}

extension Route {
    /// The route of a halted agent.
    static func halted(_ agent: AgentID, _ environment: String) -> Route {
        Route(agent: agent, environment: environment, phase: .halted, targets: [])
    }
}
