import FixedMemory
import SystemFiles

extension Errno {
  /// The system's description in English, starting in lower case.
  package var text: String {
    var words = ByteText(capacity: 255)
    describe(into: &words)
    let text = String(decoding: words.bytes)
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
