internal import FixedMemory

/// The words of a list with commas between them, one after the other.
public struct ListWords: Sendable {
  private var position = 0

  /// Begins with the first word.
  public init() {}

  /// The next word of `list`, or nil. Blanks at its ends do not count.
  @_lifetime(copy list)
  public mutating func next(in list: Span<UInt8>) -> Span<UInt8>? {
    guard position < list.count || (position == 0 && list.count > 0) else { return nil }
    var start = position
    var end = list.firstIndex(of: UInt8(ascii: ","), from: start) ?? list.count
    // A comma at the end is followed by an empty word.
    position = end < list.count && end &+ 1 == list.count ? list.count : end &+ 1
    while start < end, list.byte(at: start)?.isBlank == true { start &+= 1 }
    while end > start, list.byte(at: end &- 1)?.isBlank == true { end &-= 1 }
    return list.slice(from: start, to: end)
  }

  /// Whether every word of a list is one that `isGood` takes, and there is one at least.
  static func all(in list: Span<UInt8>, _ isGood: (Span<UInt8>) -> Bool) -> Bool {
    guard list.count > 0, list.byte(at: list.count &- 1) != UInt8(ascii: ",") else { return false }
    var words = ListWords()
    while let word = words.next(in: list) {
      guard isGood(word) else { return false }
    }
    return true
  }
}
