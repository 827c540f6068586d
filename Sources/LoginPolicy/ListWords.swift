internal import FixedMemory

/// Iterates over a comma-separated value: `wheel, domain users` has the words `wheel` and `domain users`.
///
/// ```
/// var words = ListWords()
/// while let word = words.next(in: value.utf8.span) { … }
/// ```
public struct ListWords: Sendable {
  private var position = 0

  /// Starts before the first word.
  public init() {}

  /// The next word without surrounding blanks; nil at the end.
  @_lifetime(copy list)
  public mutating func next(in list: Span<UInt8>) -> Span<UInt8>? {
    guard position < list.count else { return nil }
    let end = list.firstIndex(of: UInt8(ascii: ","), from: position) ?? list.count
    let word = list.slice(from: position, to: end)
    position = end &+ 1
    return word.trimmed
  }

  /// Whether the list is not empty, ends without a comma, and `isValid` accepts each word.
  static func all(in list: Span<UInt8>, _ isValid: (Span<UInt8>) -> Bool) -> Bool {
    guard list.count > 0, list.byte(at: list.count &- 1) != UInt8(ascii: ",") else { return false }
    var words = ListWords()
    while let word = words.next(in: list) {
      guard isValid(word) else { return false }
    }
    return true
  }
}

extension Span where Element == UInt8 {
  /// Without surrounding blanks.
  var trimmed: Span<UInt8> {
    @_lifetime(copy self)
    get {
      var start = 0
      var end = count
      while start < end, byte(at: start)?.isBlank == true { start &+= 1 }
      while end > start, byte(at: end &- 1)?.isBlank == true { end &-= 1 }
      return slice(from: start, to: end)
    }
  }
}
