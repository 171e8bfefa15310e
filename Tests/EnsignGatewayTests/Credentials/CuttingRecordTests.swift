import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Secrets that a client writes, since a server has given them away")
struct CuttingRecordTests {
    @Test("They stand in no line of the log, in no span and in no refusal; names that were reviewed stay")
    func nowhere() throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho crm-s3cr3t\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let more = "credentials: {vault: {command: [\(resolver)]}}\ntelemetry: \(scratch.path)/spans"
        let upstream = #"{command: [/usr/bin/crm], references: ["vault:crm"], env: {TOKEN: "{credentials}"}}"#
        let fixture = try GateFixture(more: more, upstream: upstream)
        try fixture.publish(
            open { bundle in
                bundle.tools[0].credentials = "vault:crm"
                bundle.tools[0].operations["update"]?.record = [JSONPointer("/customer")].compactMap { $0 }
            }
        )
        let secret = "crm-s3cr3t"
        let made = fixture.call("crm__update", ["customer": .string("x \(secret)")], run: secret)
        #expect(made.reason == nil, "\(made.text)")
        for refused in [
            fixture.call("crm__\(secret)"), fixture.call("crm__find", [secret: 1]),
            fixture.call("crm__find", ["amount": 1_000], run: secret),
        ] { #expect(refused.isError && !refused.text.contains(secret), "\(refused.text)") }
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines[0].recorded.map(\.value) == ["x [credentials]"] && lines[0].operation == "crm.update")
        for line in lines {
            let texts = [line.operation, line.note, line.pointer, line.run?.name] + line.recorded.map(\.pointer)
            for text in texts { #expect(text?.contains(secret) != true) }
        }
        let name = try #require(try Files.list("\(scratch.path)/spans")?.first)
        #expect(try !scratch.read("spans/\(name)").contains(secret))
        // The server gets what was asked for.
        #expect(fixture.server.last?.arguments["customer"] == .string("x \(secret)"))
    }
}
