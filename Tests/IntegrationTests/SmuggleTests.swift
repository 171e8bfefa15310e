import EnsignTestSupport
import Foundation
import Testing

/// Pushes of objects that git itself would not write, and of what a look at the changes alone would miss.
@Suite struct SmuggleTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    /// Writes a tree object as it is given, in an order or with names that git refuses to write.
    private func tree(_ host: Host, _ entries: [(mode: String, name: String, id: String)]) throws -> String {
        var bytes = Data()
        for entry in entries {
            bytes += Data("\(entry.mode) \(entry.name)\0".utf8)
            for index in stride(from: 0, to: 40, by: 2) {
                let start = entry.id.index(entry.id.startIndex, offsetBy: index)
                let end = entry.id.index(start, offsetBy: 2)
                bytes.append(try #require(UInt8(entry.id[start..<end], radix: 16)))
            }
        }
        let file = "\(host.scratch.path)/tree"
        try bytes.write(to: URL(fileURLWithPath: file))
        return try host.git("hash-object", "-t", "tree", "-w", "--literally", file)
    }

    /// The entries of a tree of the newest commit.
    private func entries(_ host: Host, _ path: String) throws -> [(mode: String, name: String, id: String)] {
        try host.git("ls-tree", "HEAD:\(path)").split(separator: "\n").map { line in
            let parts = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            return (parts[0] == "040000" ? "40000" : parts[0], parts[3], parts[2])
        }
    }

    /// Commits a tree in place of a folder and pushes it.
    private func push(_ host: Host, _ tree: String, at path: String) throws -> CommandResult {
        var (path, id) = (path, tree)
        while true {
            let parts = path.split(separator: "/").map(String.init)
            let above = parts.dropLast().joined(separator: "/")
            var siblings = try entries(host, above).filter { $0.name != parts.last }
            siblings.append(("40000", parts.last ?? "", id))
            // A directory sorts as if its name ended in a slash.
            siblings.sort {
                ($0.mode == "40000" ? $0.name + "/" : $0.name) < ($1.mode == "40000" ? $1.name + "/" : $1.name)
            }
            id = try self.tree(host, siblings)
            guard !above.isEmpty else { break }
            path = above
        }
        let commit = try host.git("commit-tree", "-p", "HEAD", "-m", "smuggled", id)
        return try host.tryGit("push", "-q", "origin", "\(commit):refs/heads/main")
    }

    @Test("A file that is twice in a folder is refused, with git's own checks and without them")
    func duplicate() throws {
        let host = try Host()
        let before = try host.liveFiles()
        let folder = "environments/prod/agents/support"
        let text = try String(contentsOfFile: "\(host.work)/\(deployment)", encoding: .utf8)
        try host.scratch.write("evil", text.replacingOccurrences(of: "maximum: 100", with: "maximum: 5000"))
        let evil = try host.git("hash-object", "-w", "\(host.scratch.path)/evil")
        let twice = try tree(host, [("100644", "refund-triage.yaml", evil)] + entries(host, folder))
        for checks in ["true", "false"] {
            try host.hostGit("config", "receive.fsckObjects", checks)
            #expect(try push(host, twice, at: folder).status != 0)
            #expect(try host.liveFiles() == before)
        }
    }

    @Test("A folder out of order is refused: it would hide a change to a frozen tool")
    func unsorted() throws {
        let host = try Host()
        try host.hostGit("config", "receive.fsckObjects", "false")
        let tools = try entries(host, "fleet/tools")
        let unsorted = try tree(host, tools.filter { $0.name != "payments" } + tools.filter { $0.name == "payments" })
        #expect(try push(host, unsorted, at: "fleet/tools").status != 0)
    }

    @Test("What only a check of the whole fleet would see is refused too")
    func missedByChanges() throws {
        let host = try Host()
        let empty = try host.git("hash-object", "-t", "tree", "-w", "/dev/null")
        for path in ["environments/qa", "environments/Bad Name", "fleet/agents/support/refund-triage/garbage"] {
            let push = try push(host, empty, at: path)
            #expect(push.status != 0, "\(path)")
        }
        let text = try String(contentsOfFile: "\(host.work)/\(deployment)", encoding: .utf8)
        for name in ["PROD", "qa"] {
            try host.scratch.write("work/environments/\(name)/agents/support/refund-triage.yaml", text)
            try host.git("add", "-A")
            try host.git("commit", "-q", "--no-verify", "-m", name)
            #expect(try host.tryGit("push", "-q", "origin", "HEAD:main").status != 0, "\(name)")
            try host.git("reset", "-q", "--hard", "HEAD~1")
        }
    }

    @Test(
        "Removing an agent that another version hands work to is refused where that is deployed; a release is history",
        arguments: [true, false]
    )
    func removedDelegate(isDeployed: Bool) throws {
        let host = try Host()
        let agents = "\(host.work)/fleet/agents"
        let from = "\(agents)/sales/crm-hygiene"
        try FileManager.default.createDirectory(atPath: "\(agents)/sales/helper", withIntermediateDirectories: true)
        for copy in ["helper/1.0.0", "crm-hygiene/9.0.0"] {
            try FileManager.default.copyItem(atPath: "\(from)/next", toPath: "\(agents)/sales/\(copy)")
        }
        try host.edit(
            "fleet/agents/sales/crm-hygiene/9.0.0/agent.yaml",
            "  needs:\n",
            "  needs:\n    agents: [sales/helper]\n"
        )
        if isDeployed {
            let deployments = "\(host.work)/environments/dev/agents/sales"
            let own = "\(deployments)/crm-hygiene.yaml"
            try FileManager.default.copyItem(atPath: own, toPath: "\(deployments)/helper.yaml")
            for (name, version) in [("helper", "1.0.0"), ("crm-hygiene", "9.0.0")] {
                try host.edit("environments/dev/agents/sales/\(name).yaml", "version: next", "version: \(version)")
            }
        }
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "A helper")
        let added = try host.tryGit("push", "-q", "origin", "main")
        #expect(added.status == 0, "\(added.errors)")
        try host.git("rm", "-q", "-r", "fleet/agents/sales/helper")
        if isDeployed { try host.git("rm", "-q", "environments/dev/agents/sales/helper.yaml") }
        try host.git("commit", "-q", "--no-verify", "-m", "No helper")
        let removed = try host.tryGit("push", "-q", "origin", "main")
        #expect(try host.ensignInWork("validate").status == (isDeployed ? 3 : 0))
        #expect((removed.status != 0) == isDeployed, "\(removed.errors)")
    }

    @Test("fleet/ replaced by a file is refused with a finding")
    func fleetIsAFile() throws {
        let host = try Host()
        try host.git("rm", "-q", "-r", "fleet")
        try host.scratch.write("work/fleet", "not a folder")
        try host.git("add", "-A")
        try host.git("commit", "-q", "--no-verify", "-m", "A file")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.status != 0)
        #expect(push.errors.contains("'fleet' must be a folder"), "\(push.errors)")
    }

    @Test("Replacement refs cannot be pushed")
    func replacement() throws {
        let host = try Host()
        let tip = try host.git("rev-parse", "HEAD")
        #expect(try host.tryGit("push", "-q", "origin", "HEAD:refs/replace/\(tip)").status != 0)
    }
}
