/// Options of one letter with which well-known programs take a password: `sshpass -p`, `mysql -p`, `redis-cli -a`.
///
/// A letter says nothing by itself: `-p` is a port, a path or a package with most programs. So it counts behind the name
/// of a program that has it alone.
enum ProgramPasswords {
    private struct Option {
        var letters: String
        /// How the value may stand: in the next word, or in the option's own.
        var isApart = true
        var isAttached = true
        /// Whether what is not an option ends the program's own: what follows is another program's.
        var isLeading = false
        /// Whether it takes `name:password`, and a name alone is not a secret.
        var isLogin = false
        /// A word that must have come before.
        var command: String?
    }

    private static let options: [String: Option] = {
        var options: [String: Option] = [
            "sshpass": Option(letters: "p", isLeading: true), "redis-cli": Option(letters: "a", isAttached: false),
            "sqlcmd": Option(letters: "P"), "bcp": Option(letters: "P"),
            // Apart from it, it is found by what it is.
            "curl": Option(letters: "u", isApart: false, isLogin: true),
        ]
        for name in ["mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "mycli"] {
            // Apart from it stands the database.
            options[name] = Option(letters: "p", isApart: false)
        }
        for name in ["mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"] {
            options[name] = Option(letters: "p", isAttached: false)
        }
        for name in ["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"] { options[name] = Option(letters: "w") }
        for name in ["zip", "unzip"] { options[name] = Option(letters: "P", isAttached: false) }
        for name in ["docker", "podman", "helm", "az", "oc", "skopeo", "crane"] {
            options[name] = Option(letters: "p", isAttached: false, command: "login")
        }
        return options
    }()

    /// A password, the place of the word that holds it, and what it is given to: `mysql -p`.
    typealias Found = (index: Int, name: String, value: String)

    /// The literal passwords among the words of a command.
    static func found(in words: [String]) -> [Found] {
        var found: [Found] = []
        var program: (name: String, option: Option)?
        var hasCommand = false
        for (index, word) in words.enumerated() {
            let base = word.utf8.lastIndex(of: 0x2F).map { String(word[word.index(after: $0)...]) } ?? word
            if let option = options[base], !word.hasPrefix("-") {
                (program, hasCommand) = ((base, option), option.command == nil)
                continue
            }
            guard let (name, option) = program else { continue }
            if ";|&".contains(word.last ?? " ") { program = nil }
            if word == option.command { hasCommand = true }
            guard hasCommand, word.hasPrefix("-"), let letter = word.dropFirst().first,
                option.letters.contains(letter)
            else {
                if option.isLeading, !word.hasPrefix("-") { program = nil }
                continue
            }
            let rest = String(word.dropFirst(2))
            if rest.isEmpty {
                guard option.isApart, index + 1 < words.count else { continue }
                let value = words[index + 1]
                if !value.hasPrefix("-"), !SecretNames.isPlaceholder(value) {
                    found.append((index + 1, "\(name) \(word)", value))
                }
                if option.isLeading { program = nil }
            } else if option.isAttached, !SecretNames.isPlaceholder(rest),
                !option.isLogin || SecretNames.isSecret(rest, under: "-u")
            {
                found.append((index, "\(name) -\(letter)", rest))
            }
        }
        return found
    }

    /// The first one that a script gives to a program.
    static func first(in text: ArraySlice<UInt8>) -> SecretAssignments.Found? {
        guard text.contains(0x2D), text.contains(0x20) else { return nil }
        let words = text.split { $0 <= 0x20 || $0 == 0x22 || $0 == 0x27 }
        return found(in: words.map { String(decoding: $0, as: UTF8.self) }).first.map { ($0.name, $0.value) }
    }
}
