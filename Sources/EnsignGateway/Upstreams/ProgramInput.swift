import EnsignSystem
import Glibc

/// What a program reads: takes lines one after another, from any number of threads.
final class ProgramInput: Sendable {
    /// How much of a line was written.
    enum Written {
        case all
        case nothing(UpstreamFailure)
        /// The line has no end: nothing else may follow it.
        case some(UpstreamFailure)
    }

    private enum State {
        case free, busy
        /// Half a line is in it: whatever came next would be read with that.
        case broken(UpstreamFailure)
    }

    private let descriptor: Int32
    private let state = Condition(State.free)

    /// - Parameter descriptor: Does not block, and stays open.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func write(_ line: [UInt8], until deadline: ContinuousClock.Instant, _ cancellation: Cancellation?) -> Written {
        let turn = state.wait(until: deadline) { state -> Result<Void, UpstreamFailure>? in
            switch state {
            case .busy: return nil
            case .broken(let failure): return .failure(failure)
            case .free:
                state = .busy
                return .success(())
            }
        }
        switch turn {
        case nil: return .nothing(UpstreamFailure(.timedOut, "the server takes no messages"))
        case .failure(let failure): return .nothing(failure)
        case .success: break
        }
        let written = writeNow(line, until: deadline, cancellation)
        if case .some(let failure) = written {
            state.update { $0 = .broken(failure) }
        } else {
            state.updateForOne { $0 = .free }
        }
        return written
    }

    private func writeNow(_ line: [UInt8], until deadline: ContinuousClock.Instant, _ cancellation: Cancellation?)
        -> Written
    {
        if cancellation?.isCancelled == true {
            return .nothing(UpstreamFailure(.cancelled, "the caller no longer wants the answer"))
        }
        var line = line
        line.append(0x0A)
        var done = 0
        while done < line.count {
            let count = unsafe line.withUnsafeBytes { buffer in
                unsafe Glibc.write(descriptor, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
            }
            if count > 0 {
                done += count
                continue
            }
            if errno == EINTR { continue }
            if errno == EAGAIN {
                var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                let left = deadline - .now
                if left > .zero {
                    _ = unsafe poll(&polled, 1, Int32(min(left / .milliseconds(1), 1_000)) + 1)
                    continue
                }
            }
            let isLate = errno == EAGAIN
            let failure = UpstreamFailure(
                isLate ? .timedOut : .ended,
                isLate ? "the server takes no messages" : "the server has ended"
            )
            return done > 0 ? .some(failure) : .nothing(failure)
        }
        return .all
    }
}
