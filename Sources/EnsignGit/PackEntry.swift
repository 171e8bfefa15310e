import CGit2
import EnsignModel

/// One object as it stands in a pack (gitformat-pack(5)): its kind and its size, then its bytes, deflated.
package enum PackEntry {
    /// The first bytes of a pack. After its entries comes the SHA-1 of all bytes before.
    ///
    /// - Parameter count: How many entries follow.
    package static func header(count: Int) -> [UInt8] {
        Array("PACK".utf8) + bigEndian(2) + bigEndian(UInt32(count))
    }

    /// The entry of an object, which is no delta of another.
    ///
    /// Deflated as fast as can be, which is what git does with objects of their own (`core.looseCompression`).
    package static func bytes(_ object: [UInt8], _ kind: ObjectKind) -> [UInt8] {
        let head = head(kind, size: object.count)
        let room = Int(compressBound(UInt(object.count)))
        return unsafe [UInt8](unsafeUninitializedCapacity: head.count + room) { output, count in
            _ = unsafe output.initialize(fromContentsOf: head)
            var deflated = UInt(room)
            let status = unsafe object.withUnsafeBufferPointer { input in
                let nothing: UInt8 = 0
                return unsafe withUnsafePointer(to: nothing) { nothing in
                    unsafe compress2(
                        output.baseAddress.map { unsafe $0 + head.count },
                        &deflated,
                        input.baseAddress ?? nothing,
                        UInt(input.count),
                        Z_BEST_SPEED
                    )
                }
            }
            precondition(status == Z_OK, "there is room for what is deflated, and memory")
            count = head.count + Int(deflated)
        }
    }

    /// Three bits of kind, then the size from its lowest bits on: four of them, then seven a byte, as long as there are
    /// more.
    private static func head(_ kind: ObjectKind, size: Int) -> [UInt8] {
        var rest = size >> 4
        var bytes = [UInt8(kind.type.rawValue << 4) | UInt8(size & 0x0F)]
        while rest > 0 {
            bytes[bytes.count - 1] |= 0x80
            bytes.append(UInt8(rest & 0x7F))
            rest >>= 7
        }
        return bytes
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}
