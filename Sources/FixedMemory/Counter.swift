/// Counts from 0 up to, and without, an end; not at all where that is negative.
///
/// For loops in code that must not trap. `0..<end` traps where the end is negative, and the iterator of a range
/// checks each position; the compiler cannot always prove that this is needless.
public struct Counter: Sendable {
  private var position = 0
  private let end: Int

  /// Begins at 0.
  @inline(__always)
  public init(to end: Int) { self.end = end }

  /// The next number, or nil at the end.
  @inline(__always)
  public mutating func next() -> Int? {
    guard position < end else { return nil }
    defer { position &+= 1 }
    return position
  }
}
