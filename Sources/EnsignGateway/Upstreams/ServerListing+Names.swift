import EnsignMCP
import EnsignModel

extension ServerListing {
    /// All that a server lists under a name: names are the same by their bytes. More than one tool is one too many, as far as
    /// they differ: nobody knows which of them is called.
    func tools(named name: String) -> [Tool] { tools.filter { $0.name.utf8.elementsEqual(name.utf8) } }
}
