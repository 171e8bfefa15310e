extension ProgramSession {
    /// What bounds a session.
    struct Limits: Sendable {
        /// The most bytes of one line.
        var line = 16 << 20
        /// The most lines in a row that are not messages: some programs greet.
        var garbage = 1_000
        /// The most notifications of progress that wait for one caller. More are dropped, oldest first.
        var progress = 64
        /// The end of standard error that is kept, in bytes.
        var errors = 8_192
        /// How long nobody may use it before it is ended.
        var idle = Duration.seconds(600)
        /// How long it may take nothing of half a line while it has no request to answer. Then it is ended.
        var deaf = Duration.seconds(10)
    }
}
