import EnsignCommands
import Glibc

@main
enum Ensign {
    static func main() {
        exit(App.run(Array(CommandLine.arguments.dropFirst())))
    }
}
