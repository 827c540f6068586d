import FixedMemory

/// The encoding of the keys of a seed file, decided over all lines: a single key can be valid in two encodings.
struct SeedKeyEncoding {
  private enum Name {
    case hexadecimal, base32, base64
  }

  /// Nil if the lines do not agree.
  private let common: Name?
  /// Whether the header or `--columns` names the encoding.
  private let isNamed: Bool

  init(of column: CSVColumn, _ keys: [Range<Int>], in text: Span<UInt8>) {
    switch column {
    case .hexKey: (common, isNamed) = (.hexadecimal, true)
    case .base32Key: (common, isNamed) = (.base32, true)
    case .base64Key: (common, isNamed) = (.base64, true)
    default:
      var found: [Name] = []
      for range in keys {
        let names = Self.names(of: text.slice(range))
        if names.count == 1, !found.contains(names[0]) { found.append(names[0]) }
      }
      (common, isNamed) = (found.count == 1 ? found[0] : nil, false)
    }
  }

  func key(_ text: Span<UInt8>) throws(FormatProblem) -> SharedKey {
    let prefixes = ["base32:", "base64:", "hex:", "0x"]
    if prefixes.contains(where: { text.begins(with: $0) }) { return try SharedKey.typed(text) }
    let names = Self.names(of: text)
    switch isNamed ? common : names.count == 1 ? names[0] : names.contains(where: { $0 == common }) ? common : nil {
    case .hexadecimal: return try SharedKey(hexadecimal: text)
    case .base32: return try SharedKey(base32: text)
    case .base64: return try SharedKey(base64: text)
    case nil where names.isEmpty: throw FormatProblem("the key is neither Base32 nor hexadecimal nor Base64")
    case nil:
      throw FormatProblem(
        "the key is valid in two encodings",
        hint: "name the column hexkey, base32key or base64key, in the header or with --columns")
    }
  }

  /// The encodings that a key can have. Base64 mixes upper and lower case, the others rarely do.
  private static func names(of text: Span<UInt8>) -> [Name] {
    var (isHexadecimal, isBase32, isBase64) = (true, true, true)
    var (digits, letters, padding) = (0, 0, 0)
    var (hasUpper, hasLower, hasSign) = (false, false, false)
    for index in text.indices {
      let byte = text[index]
      if byte == UInt8(ascii: "=") {
        padding += 1
        isHexadecimal = false
        continue
      }
      if padding > 0 { (isBase32, isBase64) = (false, false) }
      let isGap = byte.isBlank || byte == UInt8(ascii: "-")
      let isLetter = byte.lowercased >= UInt8(ascii: "a") && byte.lowercased <= UInt8(ascii: "z")
      let isSign = byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      hasUpper = hasUpper || isLetter && byte.lowercased != byte
      hasLower = hasLower || isLetter && byte.lowercased == byte
      hasSign = hasSign || isSign
      if byte.lowercased.hexDigit != nil {
        digits += 1
      } else if !isGap, byte != UInt8(ascii: ":") {
        isHexadecimal = false
      }
      let isLow = byte >= UInt8(ascii: "2") && byte <= UInt8(ascii: "7")
      isBase32 = isBase32 && (isLetter || isLow || isGap)
      isBase64 = isBase64 && (isLetter || byte.decimalDigit != nil || isSign)
      letters += 1
    }
    guard letters > 0 else { return [] }
    isHexadecimal = isHexadecimal && digits > 0 && digits % 2 == 0
    isBase64 =
      isBase64 && !isHexadecimal && padding < 3 && letters % 4 != 1 && (hasSign || hasUpper && hasLower)
      && (padding == 0 || (letters + padding) % 4 == 0)
    let candidates: [(Bool, Name)] = [(isHexadecimal, .hexadecimal), (isBase32, .base32), (isBase64, .base64)]
    return candidates.filter(\.0).map(\.1)
  }
}
