import EnsignSystem
import Glibc

/// What a program reads: takes lines one after another, from any number of threads.
///
/// Whoever has no more time in the middle of a line leaves its rest here, to be written when the program reads again: to end
/// the program would end everybody's calls, and whatever came next would be read with that half. There is at most one rest,
/// so that no more memory is held than one line takes. What nobody waits for, such as the answers to a program's own
/// questions, is kept beside it as far as there is room.
final class ProgramInput: Sendable {
    /// How much of a line was written.
    enum Written {
        case all
        /// Nothing of it that means anything, and no more of it will be.
        case nothing(UpstreamFailure)
        /// Its rest is written by ``goOn()``, unless the program has ended.
        case some(UpstreamFailure)
    }

    private struct Rest {
        var bytes: ArraySlice<UInt8>
        /// When the program took something of it last.
        var moved: ContinuousClock.Instant
    }

    private enum Turn {
        case free, busy
        case owing(Rest)
        /// Nothing is written any more.
        case closed(UpstreamFailure)
    }

    private struct State {
        var turn = Turn.free
        /// Whole lines that nobody waits for. They come behind the line that is being written, or its rest.
        var kept: [UInt8] = []
    }

    private let descriptor: Int32
    private let state = Condition(State())

    /// The most bytes of lines that are kept.
    static let mostKept = 256 << 10

    private static let deaf = UpstreamFailure(.timedOut, "the server takes no messages")
    private static let gone = UpstreamFailure(.ended, "the server has ended")
    private static let unwanted = UpstreamFailure(.cancelled, "the caller no longer wants the answer")
    private static let full = UpstreamFailure(
        .malformed,
        "the server asks, and does not read what it is answered: it was ended"
    )

    /// - Parameter descriptor: Does not block, and stays open.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// - Parameters:
    ///   - refusal: Asked when its turn comes, before the first byte: why it may not be written any more.
    ///   - notice: A line that comes behind a rest.
    func write(
        _ line: [UInt8],
        until deadline: ContinuousClock.Instant,
        _ cancellation: Cancellation?,
        refusal: () -> UpstreamFailure? = { nil },
        notice: () -> [UInt8]? = { nil }
    ) -> Written {
        let turn = state.wait(until: deadline) { state -> Result<Void, UpstreamFailure>? in
            if cancellation?.isCancelled == true { return .failure(Self.unwanted) }
            switch state.turn {
            case .busy, .owing: return nil
            case .closed(let failure): return .failure(failure)
            case .free:
                state.turn = .busy
                return .success(())
            }
        }
        switch turn {
        case nil: return .nothing(Self.deaf)
        case .failure(let failure): return .nothing(failure)
        case .success: break
        }
        if let refusal = refusal() {
            passOn()
            return .nothing(refusal)
        }
        var rest = (line + [0x0A])[...]
        let failure = write(&rest, until: deadline)
        guard let failure, rest.count <= line.count else {
            passOn()
            return failure.map { .nothing($0) } ?? .all
        }
        guard failure.kind == .timedOut else {
            state.update { $0.turn = .closed(failure) }
            // Of an object without its end no server makes a request. Only the end of the line may be missing.
            return rest.count > 1 ? .nothing(failure) : .some(failure)
        }
        if let notice = notice() { rest += notice + [0x0A] }
        let owed = Rest(bytes: rest, moved: .now)
        state.update { $0.turn = .owing(owed) }
        return .some(failure)
    }

    /// Writes a line that nobody waits for, as much of it as there is room for. Its rest is kept.
    ///
    /// - Returns: Why there is no use in writing more; nil otherwise.
    func leave(_ line: [UInt8]) -> UpstreamFailure? {
        state.withLock { state in
            if case .closed(let failure) = state.turn { return failure }
            guard state.kept.count + line.count < Self.mostKept else { return Self.full }
            state.kept += line + [0x0A]
            if case .free = state.turn { return goOn(&state) }
            return nil
        }
    }

    /// Whoever waits for its turn looks whether it still wants it.
    func lookAround() { state.update { _ in } }

    /// Lets the next one write, behind what was left meanwhile.
    private func passOn() {
        let failure = state.updateForOne { state in
            state.turn = .free
            return goOn(&state)
        }
        // Nobody's turn comes any more.
        if failure != nil { state.update { _ in } }
    }

    /// Writes as much as the program takes in time.
    private func write(_ rest: inout ArraySlice<UInt8>, until deadline: ContinuousClock.Instant) -> UpstreamFailure? {
        while !rest.isEmpty {
            switch push(rest) {
            case .took(let count): rest = rest.dropFirst(count)
            case .gone: return Self.gone
            case .full:
                var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                let left = deadline - .now
                guard left > .zero else { return Self.deaf }
                _ = unsafe poll(&polled, 1, Int32(min(left / .milliseconds(1), 1_000)) + 1)
            }
        }
        return nil
    }

    private enum Push { case took(Int), full, gone }

    /// Writes what there is room for, and waits for nothing.
    private func push(_ bytes: ArraySlice<UInt8>) -> Push {
        while true {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { return .took(count) }
            if errno != EINTR { return errno == EAGAIN ? .full : .gone }
        }
    }

    // MARK: Rests

    /// When the program took something last of a line whose rest is to be written; nil without such a rest.
    var owedSince: ContinuousClock.Instant? {
        state.withLock { state in
            guard case .owing(let rest) = state.turn else { return nil }
            return rest.moved
        }
    }

    /// Writes what there is room for of a rest.
    ///
    /// - Returns: Why nothing will be read any more; nil where that is not known.
    func goOn() -> UpstreamFailure? {
        state.update { state in
            guard case .owing = state.turn else { return nil }
            return goOn(&state)
        }
    }

    /// Writes what there is room for of a rest, and then of what is kept. Only while nobody else writes.
    private func goOn(_ state: inout State) -> UpstreamFailure? {
        var rest = Rest(bytes: [], moved: .now)
        if case .owing(let owed) = state.turn { rest = owed }
        while !(rest.bytes.isEmpty && state.kept.isEmpty) {
            if rest.bytes.isEmpty { (rest.bytes, state.kept) = (state.kept[...], []) }
            switch push(rest.bytes) {
            case .took(let count): rest = Rest(bytes: rest.bytes.dropFirst(count), moved: .now)
            case .full:
                state.turn = .owing(rest)
                return nil
            case .gone:
                state.turn = .closed(Self.gone)
                return Self.gone
            }
        }
        state.turn = .free
        return nil
    }

    /// Takes no more lines. Whoever waits for its turn is told; whoever writes finds out by itself.
    func close(_ why: UpstreamFailure) {
        state.update { state in
            switch state.turn {
            case .free, .owing: state.turn = .closed(why)
            case .busy, .closed: break
            }
        }
    }
}
