import EnsignGateway
import Glibc

@main
enum Program {
    static func main() {
        exit(64)
    }
}
