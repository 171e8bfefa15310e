import EnsignGatewayCommands
import EnsignSystem
import Glibc

@main
enum EnsignGateway {
    static func main() {
        exit(GatewayApp.run(Machine.arguments))
    }
}
