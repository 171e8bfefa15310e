/// `1 error`, `2 errors`.
func counted(_ number: Int64, _ noun: String) -> String { counted(Int(number), noun) }

func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
