import EnsignModel
import EnsignSystem
import EnsignTargets
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignReconciler

/// The halts file: what was asked for is there, whatever else is in it.
@Suite struct HaltsFileTests {
    private let scratch: ScratchDirectory
    private let file: HaltsFile

    init() throws {
        scratch = try ScratchDirectory()
        file = HaltsFile(path: "\(scratch.path)/halts/prod")
        try file.prepare()
    }

    private func record(_ number: Int, reason: String = "because") -> HaltRecord {
        HaltRecord(
            scope: .agent(AgentID(team: "support", name: "a\(number)")),
            reason: reason,
            by: "ada@host",
            time: Moment(nanoseconds: Int64(number)),
            rule: "steps: 5",
            observed: 7.5
        )
    }

    private var bytes: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: file.path))) }
    }

    private func write(_ bytes: [UInt8]) throws {
        // In place: the file that others have open stays the same.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file.path))
        try handle.write(contentsOf: Data(bytes))
        try handle.truncate(atOffset: UInt64(bytes.count))
        try handle.close()
    }

    @Test("Records come back as they were, oldest first, until they are marked")
    func roundTrip() throws {
        let records = [record(3), record(1), record(2)]
        try file.append(records)
        #expect(try file.read().pending == [records[1], records[2], records[0]])
        try file.finish([records[2].id])
        #expect(try file.read().pending == [records[1], records[0]])
    }

    @Test("The room is taken before anything is written, and places are used again")
    func room() throws {
        #expect(try bytes.count == 262_144)
        for round in 0..<3 {
            let records = (0..<200).map { record(round * 1_000 + $0) }
            try file.append(records)
            #expect(try file.read().pending.count == 200)
            try file.finish(Set(records.map(\.id)))
        }
        #expect(try bytes.count == 262_144)
        try file.append((0..<300).map { record($0) })
        #expect(try file.read().pending.count == 300)
        #expect(try bytes.count == 524_288)
    }

    @Test("A reason of any length and content fits", arguments: ["x", "\u{1}", "\u{1F600}", "\"\\\n"])
    func longReason(_ character: String) throws {
        let long = record(1, reason: String(repeating: character, count: 5_000))
        try file.append([long])
        let read = try #require(try file.read().pending.first)
        #expect(read.reason.hasSuffix("...") && long.reason.hasPrefix(read.reason.dropLast(3)))
        #expect(read.reason.utf8.count > 50)
        #expect(read.scope == long.scope)
    }

    @Test("A torn or overwritten record is told once and hides no other", arguments: 0..<20)
    func garbage(_ seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let records = (0..<40).map { record($0) }
        try file.append(records)
        var bytes = try bytes
        var hit: Set<Int> = []
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            let place = Int.random(in: 1..<60, using: &generator)
            hit.insert(place)
            // From the first byte: a mark that was overwritten must not make a record look done.
            for index in 0..<Int.random(in: 20...1_024, using: &generator) {
                bytes[place * 1_024 + index] = UInt8.random(in: 1...63, using: &generator)
            }
        }
        try write(bytes)
        let contents = try file.read()
        let whole = records.enumerated().filter { !hit.contains($0.offset + 1) }.map(\.element)
        #expect(contents.pending == whole)
        #expect(contents.damaged == hit.count)
        #expect(try file.setDamagedAside() == hit.count)
        #expect(try file.read().damaged == 0)
        #expect(try file.read().pending == whole)
        let aside = try Data(contentsOf: URL(fileURLWithPath: file.path + ".damaged"))
        #expect(aside.count == hit.count * 1_024)
    }

    @Test("A file that was cut keeps what is whole, and gets its room back", arguments: [0, 10, 1_024, 2_500, 100_000])
    func cut(_ size: Int) throws {
        try file.append((0..<5).map { record($0) })
        try write(Array(try bytes.prefix(size)))
        let whole = min(5, max(0, size / 1_024 - 1))
        #expect(try file.read().pending.count == whole)
        try file.prepare()
        #expect(try bytes.count == 262_144)
        try file.append([record(9)])
        #expect(try file.read().pending.count == whole + 1)
    }

    @Test("A missing file holds nothing and is made by the first halt; a folder in its place is an error")
    func missing() throws {
        try Files.remove(file.path)
        #expect(try file.read().pending.isEmpty)
        try file.append([record(1)])
        #expect(try file.read().pending.count == 1)
        try Files.remove(file.path)
        try Files.makeDirectories(file.path)
        #expect(throws: (any Error).self) { try file.append([record(1)]) }
        #expect(throws: (any Error).self) { try file.read() }
    }

    @Test("Halts at the same time are all there")
    func concurrent() throws {
        let file = file
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for index in 0..<15 {
                // On a slow disk the others may take longer than anybody waits.
                for _ in 0..<20 where (try? file.append([record(thread * 100 + index)])) != nil { break }
            }
        }
        #expect(try file.read().pending.count == 120)
    }

    @Test("Why the ledger could not be written is remembered until it is")
    func failure() throws {
        let waiting = record(1)
        try file.append([waiting])
        try file.note("no space left\non device")
        #expect(try file.read().failure == "no space left on device")
        try file.note(String(repeating: "é", count: 5_000))
        #expect(try file.read().failure?.hasPrefix("éééé") == true)
        try file.finish([waiting.id])
        #expect(try file.read().failure == nil)
    }

    @Test("Whatever is being published, a halted agent does not come back")
    func race() throws {
        let target = DirectoryTarget(path: "\(scratch.path)/live")
        let agents = (0..<40).map { AgentID(team: "support", name: "a\($0)") }
        let digest = try #require(Digest(hex: String(repeating: "a", count: 64)))
        let version = try #require(AgentVersion("1.0.0"))
        let routes = agents.map { agent in
            (
                path: LivePath.route(agent),
                content: FileContent.bytes(
                    Route(
                        agent: agent,
                        environment: "prod",
                        phase: .stable,
                        targets: [Route.Target(version: version, digest: digest, weight: 100)]
                    ).bytes
                )
            )
        }
        try target.publish(Publication(routes: routes), gate: nil)
        let file = file
        let publisher = DispatchGroup()
        let isDone = Flag()
        DispatchQueue.global().async(group: publisher) {
            let gate = HaltGate(file)
            while !isDone.isSet { _ = try? target.publish(Publication(routes: routes), gate: gate) }
        }
        for agent in agents {
            try file.append([HaltRecord(scope: .agent(agent), reason: "x", by: "y", time: Moment(nanoseconds: 1))])
            #expect(try target.halt([(agent, Route.halted(agent, "prod").bytes)]).isEmpty)
        }
        isDone.set()
        publisher.wait()
        let gate = HaltGate(file)
        #expect(try target.publish(Publication(routes: routes), gate: gate) == Set(agents))
        for agent in agents {
            #expect(try target.read(LivePath.route(agent)) == Route.halted(agent, "prod").bytes, "\(agent)")
        }
    }
}
