import CSystem
import Glibc

/// Facts about the process and the machine. Everything else takes these as parameters.
package enum Machine {
    /// Seconds since 1970, from the wall clock.
    package static var now: Int64 {
        var moment = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &moment)
        return Int64(moment.tv_sec)
    }

    /// Nanoseconds since 1970, from the wall clock; stops at the end of 64 bits, in 2262.
    package static var nanoseconds: Int64 {
        var moment = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &moment)
        return moment.nanoseconds
    }

    /// Nanoseconds since 1970, from the clock that stamps files: coarse, and never ahead of a later stamp. Stops at the
    /// end of 64 bits, as stamps do.
    package static var fileTime: Int64 {
        var moment = timespec()
        unsafe clock_gettime(CLOCK_REALTIME_COARSE, &moment)
        return moment.nanoseconds
    }

    /// Does nothing for a while.
    package static func sleep(seconds: UInt32) { _ = Glibc.sleep(seconds) }

    /// Seconds since this machine started, time asleep included, and the id of that boot; nil if the kernel does not
    /// report it. No program can set it.
    package static var sinceBoot: (boot: String, seconds: Int64)? {
        guard let name = try? Files.read("/proc/sys/kernel/random/boot_id", limit: 256) else { return nil }
        var moment = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &moment)
        let boot = String(decoding: name, as: UTF8.self).split(separator: "\n").first.map(String.init)
        return boot.map { ($0, Int64(moment.tv_sec)) }
    }

    /// An environment variable; nil when unset.
    package static func environment(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    package static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package static var effectiveUserID: UInt32 { geteuid() }

    /// The login name of the effective user, or its number.
    package static var userName: String {
        var entry = unsafe passwd()
        var result: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4_096)
        let status = unsafe getpwuid_r(geteuid(), &entry, &buffer, buffer.count, &result)
        guard status == 0, unsafe result != nil, let name = unsafe entry.pw_name else { return String(geteuid()) }
        return unsafe String(cString: name)
    }

    /// The arguments after the program's name; empty when the process was started without any.
    ///
    /// Not `CommandLine.arguments`, which reads `/proc/self/cmdline`: if that cannot be opened (no `/proc`, no free
    /// file handle) it returns none.
    package static var arguments: [String] {
        guard let words = unsafe csystem_arguments() else { return [] }
        let count = Int(csystem_argument_count())
        return (1..<max(1, count)).compactMap { index in
            unsafe words[index].map { unsafe String(cString: $0) }
        }
    }

    /// The absolute path of the running program; nil if neither `/proc` nor the kernel reports it.
    package static var executable: String? {
        Files.canonical("/proc/self/exe")
            ?? (unsafe csystem_program().flatMap { Files.canonical(unsafe String(cString: $0)) })
    }

    /// Replaces this process by another program, with its environment and its streams.
    ///
    /// - Parameter program: A path, or a name to look for in `PATH`.
    /// - Returns: Only where that is not possible: why.
    package static func become(_ program: String, _ arguments: [String]) -> SystemError {
        var words: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) }
        unsafe words.append(nil)
        unsafe execvp(program, &words)
        let error = SystemError(code: errno, operation: "run \(program)")
        for index in unsafe words.indices { unsafe free(words[index]) }
        return error
    }

    /// Opens `/dev/null` in place of each standard stream that is closed.
    package static func fillStandardStreams() {
        for number: Int32 in 0...2 where fcntl(number, F_GETFD) < 0 { _ = unsafe open("/dev/null", O_RDWR) }
    }

    /// Whether a standard stream is a terminal.
    package static func isTerminal(_ number: Int32) -> Bool { isatty(number) == 1 }

    /// How many columns the terminal behind a standard stream has; nil for no terminal, and when it does not say. tty_ioctl(4).
    package static func terminalWidth(_ number: Int32) -> Int? {
        var size = winsize()
        guard isTerminal(number), unsafe ioctl(number, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }
}

extension timespec {
    /// Nanoseconds since 1970; stops at the ends of 64 bits. Anybody can stamp a file with the year 2300.
    var nanoseconds: Int64 {
        let (product, overflow) = Int64(tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowed) = product.addingReportingOverflow(Int64(tv_nsec))
        return overflow || overflowed ? (tv_sec < 0 ? .min : .max) : sum
    }
}
