import FixedMemory

extension String {
  /// Escapes control characters and direction marks, so that a terminal cannot interpret them.
  package var printable: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default:
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Whether the text has 1 to `limit` bytes of UTF-8 and no control characters.
  package func isOneLine(upTo limit: Int) -> Bool {
    !isEmpty && utf8.count <= limit && printable == self
  }
}

extension Literal {
  package var description: String {
    String(decoding: (0..<byteCount).compactMap { byte(at: $0) }, as: UTF8.self)
  }
}
