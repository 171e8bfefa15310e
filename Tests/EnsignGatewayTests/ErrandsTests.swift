import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("The operator's commands that are told of something")
struct ErrandsTests {
    private let scratch: ScratchDirectory
    private let program: String

    init() throws {
        scratch = try ScratchDirectory()
        program = try scratch.write(
            "tell",
            """
            #!/bin/sh
            while [ ! -e \(scratch.path)/go ]; do sleep 0.01; done
            cat >>\(scratch.path)/told

            """
        )
        #expect(unsafe Glibc.chmod(program, 0o755) == 0)
    }

    @Test("Those that find no place wait for one, and each is told once")
    func waiting() throws {
        let said = Mutex<[String]>([])
        let errands = Errands { text in said.withLock { $0.append(text) } }
        let all = (0..<(Errands.most * 3)).map { "\($0)\n" }
        for text in all { errands.run([program], input: Array(text.utf8)) }
        try scratch.write("go", "")
        errands.finish()
        #expect(try scratch.read("told").split(separator: "\n").map { "\($0)\n" }.sorted() == all.sorted())
        #expect(said.withLock { $0.isEmpty })
    }

    @Test("No more wait than there is room for, and at the end for no longer than one may take: both are said")
    func most() throws {
        let said = Mutex<[String]>([])
        let errands = Errands(deadline: .milliseconds(200)) { text in said.withLock { $0.append(text) } }
        for _ in 0..<(Errands.most + Errands.mostWaiting + 1) { errands.run([program], input: []) }
        #expect(said.withLock { $0 }.contains { $0.contains("was not told") })
        said.withLock { $0 = [] }
        errands.finish()
        #expect(said.withLock { $0 }.contains { $0.contains("was not told") })
    }
}
