import FixedMemory

extension Literal {
  /// The text as a string.
  package var description: String {
    String(decoding: (0..<byteCount).compactMap { byte(at: $0) }, as: UTF8.self)
  }
}
