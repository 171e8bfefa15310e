import EnsignTestSupport
import Testing

@testable import EnsignSystem

/// What is seen of folders, however many look.
@Suite(.timeLimit(.minutes(1)))
struct ChangeMonitorTests {
    private let scratch: ScratchDirectory
    private let hub = ChangeHub()

    init() throws { scratch = try ScratchDirectory() }

    private func folder(_ name: String) throws -> String {
        let path = "\(scratch.path)/\(name)"
        try Files.makeDirectories(path)
        return path
    }

    private func write(_ path: String) throws { try Files.replace(path, with: [0x61], mode: 0o600, durable: false) }

    /// The folders in which a monitor sees something, once it was woken.
    private func seen(_ monitor: ChangeMonitor, _ service: Service) throws -> Set<String> {
        guard service.wait(atMost: .seconds(10)).isWoken else { return [] }
        return Set(try #require(try monitor.events()).map(\.folder))
    }

    @Test("Many monitors share one instance: more than an account has of them, and none is blind")
    func many() throws {
        let service = try Service()
        let folder = try folder("live")
        let monitors = try (0..<400).map { _ in
            let monitor = ChangeMonitor(hub, waking: service)
            try monitor.watch(folder)
            return monitor
        }
        try write("\(folder)/file")
        #expect(service.wait(atMost: .seconds(10)).isWoken)
        for monitor in monitors {
            #expect(!monitor.isBlind)
            #expect(try monitor.events()?.isEmpty == false)
        }
    }

    @Test("Each monitor sees what it watches, and nothing of the others'")
    func apart() throws {
        let (one, other) = (try Service(), try Service())
        let (live, spans) = (try folder("live"), try folder("spans"))
        let first = ChangeMonitor(hub, waking: one)
        let second = ChangeMonitor(hub, waking: other)
        try first.watch(live)
        try second.watch(spans)
        try write("\(live)/route")
        #expect(try seen(first, one) == [live])
        #expect(!other.wait(atMost: .milliseconds(50)).isWoken)
        #expect(try second.events() == [])
        try write("\(spans)/span")
        #expect(try seen(second, other) == [spans])
    }

    @Test("A folder that one lets go of, another still watches")
    func shared() throws {
        let (one, other) = (try Service(), try Service())
        let live = try folder("live")
        let kept = ChangeMonitor(hub, waking: one)
        try kept.watch(live)
        do {
            let gone = ChangeMonitor(hub, waking: other)
            try gone.watch(live)
        }
        try write("\(live)/route")
        #expect(try seen(kept, one) == [live])
        #expect(!other.wait(atMost: .milliseconds(50)).isWoken)
    }

    @Test("What was renamed away is watched no longer; what is at its path then can be")
    func renamed() throws {
        let service = try Service()
        let live = try folder("live")
        let monitor = ChangeMonitor(hub, waking: service)
        let other = ChangeMonitor(hub, waking: try Service())
        try monitor.watch(live)
        try other.watch(live)
        try Files.rename(live, to: "\(scratch.path)/old")
        #expect(try seen(monitor, service) == [live])
        #expect(try other.events()?.isEmpty == false)
        try write("\(scratch.path)/old/file")
        #expect(!service.wait(atMost: .milliseconds(50)).isWoken)
        _ = try folder("live")
        #expect(try monitor.watch(live))
        try write("\(live)/file")
        #expect(try seen(monitor, service) == [live])
        #expect(try other.events() == [])
    }

    @Test("Who never asks is told that something was dropped, and memory stays bounded")
    func bounded() throws {
        let service = try Service()
        let live = try folder("live")
        let (idle, busy) = (ChangeMonitor(hub, waking: service), ChangeMonitor(hub, waking: service))
        try idle.watch(live)
        try busy.watch(live)
        for number in 0..<6_000 {
            try write("\(live)/\(number)")
            if number % 500 == 0 { #expect(try busy.events()?.isEmpty == false) }
        }
        #expect(try idle.events() == nil)
        #expect(try idle.events() == [])
    }
}
