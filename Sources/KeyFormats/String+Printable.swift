import FixedMemory

extension String {
  /// The text with every control character and direction mark escaped, so that a terminal cannot interpret it.
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

  /// Whether the text is not empty, contains no control characters and has at most `limit` bytes of UTF-8.
  package func isOneLine(upTo limit: Int) -> Bool {
    !isEmpty && utf8.count <= limit && printable == self
  }
}

extension Literal {
  package var description: String {
    String(decoding: (0..<byteCount).compactMap { byte(at: $0) }, as: UTF8.self)
  }
}
