import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Testing

@testable import EnsignGateway

@Suite("What the gateway pins by itself")
struct PinFolderTests {
    private let scratch: ScratchDirectory
    private let folder: PinFolder
    private let digests: [Digest]

    init() throws {
        scratch = try ScratchDirectory()
        folder = try PinFolder(StateFolder("\(scratch.path)/state"))
        digests = try ["a", "b", "c"].map { try #require(Digest(hex: String(repeating: $0, count: 64))) }
    }

    private func place(_ serverTool: String = "move", _ reference: String? = nil) -> PinPlace {
        PinPlace(tool: "pay", operation: "move", serverTool: serverTool, reference: reference)
    }

    private func pinned(_ place: PinPlace, _ seen: Int, others: Set<Int> = []) throws -> Digest {
        try folder.pinned(place, seen: digests[seen]) { pin in others.contains { digests[$0] == pin } }.pin
    }

    @Test("What is seen first counts, for each of the server's tools and each of its credentials")
    func first() throws {
        for (index, place) in [place(), place("other"), place("move", "vault:pay")].enumerated() {
            #expect(try pinned(place, index) == digests[index])
            #expect(try pinned(place, (index + 1) % 3) == digests[index])
        }
        try folder.accept(place(), digests[2])
        #expect(try pinned(place(), 0) == digests[2] && pinned(place("other"), 0) == digests[1])
    }

    @Test("What an earlier gateway kept counts on, but not for another of the server's tools")
    func old() throws {
        try scratch.write("state/pins/pay/=move.sha256", "\(digests[0])\n")
        #expect(try pinned(place(), 1) == digests[0], "it has changed since")
        #expect(try pinned(place("other"), 1) == digests[0], "nobody can say whose it is")
        #expect(try pinned(place("other"), 1, others: [0]) == digests[1], "it is that of a tool with another name")
        #expect(try pinned(place(), 0) == digests[0])
        try folder.accept(place(), digests[2])
        #expect(try pinned(place(), 0) == digests[2])
        #expect(try scratch.read("state/pins/pay/=move.sha256") == "\(digests[0])\n")
    }

    @Test("What is damaged is no pin, and lets nothing through")
    func damaged() throws {
        try scratch.write("state/pins/pay/=move.sha256", "sha256:\n")
        #expect(throws: RecordFailure.self) { try pinned(place(), 0) }
    }

    @Test("Whether anything was kept of a tool is known")
    func knows() throws {
        #expect(!folder.knows("pay"))
        _ = try pinned(place(), 0)
        #expect(folder.knows("pay") && !folder.knows("nothing"))
    }
}
