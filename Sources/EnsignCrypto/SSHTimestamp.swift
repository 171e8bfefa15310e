/// The times in an allowed-signers file (ssh-keygen(1), `valid-after`): `YYYYMMDD[HHMM[SS]]`, then nothing, `Z` or
/// `UTC`.
enum SSHTimestamp {
    /// Returns the seconds since 1970 in UTC, or nil if `text` is not such a time, or not after 1970 began.
    ///
    /// As in ssh-keygen, whose strptime knows no calendar: the 31st of February is the 3rd of March, or the 2nd.
    /// Without a suffix ssh-keygen uses the local time zone. Here it is UTC too: see ``AllowedSigners/parse(_:)``.
    static func seconds(_ text: [UInt8]) -> Int64? {
        let digits = text.prefix { (0x30...0x39).contains($0) }
        let suffix = text.dropFirst(digits.count).map { $0 | 0x20 }  // lowercase, of letters
        guard suffix.isEmpty || suffix == Array("z".utf8) || suffix == Array("utc".utf8) else { return nil }
        guard [8, 12, 14].contains(digits.count) else { return nil }

        func number(_ range: Range<Int>) -> Int {
            digits[range.clamped(to: digits.indices)].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        let (year, month, day) = (number(0..<4), number(4..<6), number(6..<8))
        let (hour, minute, second) = (number(8..<10), number(10..<12), number(12..<14))
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 62 else { return nil }
        let days = daysSince1970(year, month, 1) + day - 1
        let seconds = Int64(days * 86_400 + hour * 3_600 + minute * 60 + second)
        return seconds > 0 ? seconds : nil
    }

    /// Howard Hinnant's `days_from_civil` (https://howardhinnant.github.io/date_algorithms.html), for years from 0:
    /// years begin in March, so that the leap day is the last, in eras of 400 years.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = (month <= 2 ? year - 1 : year) + 400  // not negative, also before March of year 0
        let (era, yearOfEra) = year.quotientAndRemainder(dividingBy: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (era - 1) * 146_097 + dayOfEra - 719_468
    }
}
