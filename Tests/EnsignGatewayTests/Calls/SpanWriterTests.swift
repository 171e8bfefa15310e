import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Spans of calls, as they are written")
struct SpanWriterTests {
    private let scratch: ScratchDirectory
    private let instant = StandingInstant()
    private let said = Said()
    private let writer: SpanWriter
    private var folder: String { "\(scratch.path)/spans" }

    init() throws {
        scratch = try ScratchDirectory()
        writer = SpanWriter(
            folder: "\(scratch.path)/spans",
            environment: "prod",
            instant: { [instant] in instant.now },
            say: { [said] text in said.texts.withLock { $0.append(text) } }
        )
    }

    private func write(_ run: String) {
        writer.write(
            CallSpan(
                trace: TraceContext(parent: nil, state: nil),
                agent: GateFixture.agent,
                run: run,
                operation: "crm.find",
                start: 1,
                end: 2
            )
        )
    }

    /// The runs in all files of the folder.
    private func runs() throws -> [String] {
        try (Files.list(folder) ?? []).flatMap { name in
            try scratch.read("spans/\(name)").split(separator: "\n").map { line in
                let rest = line.split(separator: #""ensign.run","value":{"stringValue":""#)
                return rest.last.map { String($0.prefix { $0 != "\"" }) } ?? ""
            }
        }
    }

    @Test("A file or a folder that was removed is made anew; one that was renamed is written on")
    func removed() throws {
        write("a")
        #expect(try runs() == ["a"])
        try Files.remove("\(folder)/\(#require(try Files.list(folder)?.first))")
        write("b")
        #expect(try runs() == ["b"])
        try Files.removeTree(folder)
        write("c")
        #expect(try runs() == ["c"])
        let name = try #require(try Files.list(folder)?.first)
        try Files.rename("\(folder)/\(name)", to: "\(folder)/\(name).1")
        write("d")
        #expect(try runs() == ["c", "d"] && said.all.isEmpty)
    }

    @Test("Spans that cannot be written are said: the first at once, the others with their number, at most each minute")
    func lost() throws {
        try scratch.write("spans", "a file")
        for run in 0..<5 { write("\(run)") }
        #expect(said.all.count == 1 && said.all[0].hasPrefix("a span of calls could not be written: "), "\(said.all)")
        instant.pass(.seconds(61))
        write("more")
        #expect(said.all.count == 2 && said.all[1].hasPrefix("5 spans of calls could not be written: "), "\(said.all)")
        write("again")
        // Also where no call comes any more.
        writer.settle(all: false)
        #expect(said.all.count == 2)
        writer.settle(all: true)
        #expect(said.all.count == 3)
        try Files.remove(folder)
        write("at last")
        #expect(try runs() == ["at last"])
        instant.pass(.seconds(61))
        writer.settle(all: false)
        #expect(said.all.count == 3)
    }
}
