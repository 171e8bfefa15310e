import EnsignCommands
import EnsignSystem
import Glibc

@main
enum Ensign {
    static func main() {
        exit(App.run(Machine.arguments))
    }
}
