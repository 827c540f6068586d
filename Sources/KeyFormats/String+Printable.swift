extension String {
  /// The text with everything that a terminal could take for a command written as an escape: control
  /// characters, and the marks that turn the direction of writing.
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

  /// Whether the text is safe to keep in one line of a file and to show: not empty, no control characters,
  /// and no more than `limit` bytes of UTF-8.
  package func isOneLine(upTo limit: Int) -> Bool {
    !isEmpty && utf8.count <= limit && printable == self
  }
}
