extension Duration {
    /// In whole milliseconds, rounded up: nothing takes no time.
    package var milliseconds: Int64 {
        components.seconds * 1_000 + (components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
